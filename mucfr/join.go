// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr

import (
	"cmp"
	"fmt"
	"slices"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"
)

// Join is somebody who enters a room.
type Join struct {
	JID         jid.JID // full
	Nick        string
	Affiliation muc.Affiliation
	Role        muc.Role

	// ID is that of the presence by which the client enters, if it has one. The presence
	// that answers it has the same, so that the client knows which one that is.
	ID string

	// Presence is what the client has sent. Whether its Password is right is for the
	// service to find out.
	Presence Presence

	// Codes are more status codes for the client itself, such as StatusCreated.
	Codes []int
}

// Join lets somebody in, and answers with what the client needs to know: the others,
// itself, messages and the subject, in this order (XEP-0045, section 7.1). A client that
// has asked to resume gets what has changed if that is less (XEP-0311, section 4.2).
// A client that is inside already is brought up to date.
//
// All that somebody may be refused for has to be checked before.
// The error is [ErrConflict], [ErrInside], [ErrRole] or [ErrAddress].
func (r *Room) Join(j Join) ([]Stanza, error) {
	if _, err := r.place(j.Nick); err != nil {
		return nil, err
	}
	// What is written has to be read as the same address, by others and from a Store.
	if again, err := jid.Parse(j.JID.String()); err != nil || !again.Equal(j.JID) || again.Resourcepart() == "" {
		return nil, fmt.Errorf("%w: %q is no client's", ErrAddress, j.JID)
	}
	if j.Role == muc.RoleNone {
		return nil, ErrRole
	}
	bare := j.JID.Bare()
	o, c := r.occupant[j.Nick], r.inside[j.JID.String()]
	switch {
	case o != nil && !o.bare.Equal(bare):
		return nil, ErrConflict
	case c != nil && c.occupant != o:
		return nil, ErrInside
	}

	now := r.next()
	k := r.knowledge(j)
	changed := o == nil
	switch {
	case o == nil:
		o = &occupant{
			nick: j.Nick, bare: bare, affiliation: j.Affiliation, role: j.Role, payload: j.Presence.Payload,
			joined: now, named: now, changed: now,
		}
		r.add(o)
	case c == nil || o.affiliation != j.Affiliation || o.role != j.Role || o.payload != j.Presence.Payload:
		changed = true
		o.payload = j.Presence.Payload
		r.become(o, j.Affiliation, j.Role, now)
	}
	if c == nil {
		c = r.enter(o, j.JID)
		r.visits.enter(bare, r.real(j.Role), now)
	}
	c.annotate = j.Presence.Request != nil
	r.touch(keyVisit + bare.String())
	r.touch(keyOccupant + o.nick)

	var to []Stanza
	if changed {
		to = r.announce(nil, o, now, c)
	}
	return r.answer(to, c, j, k), nil
}

// knowledge is what somebody knows who enters.
type knowledge struct {
	asked  bool // to resume
	sure   bool // the room has given out the point
	latest bool // and what has changed since is enough
	point  point
}

// knowledge returns what the client knows.
func (r *Room) knowledge(j Join) (k knowledge) {
	ask := j.Presence.Request
	if k.asked = ask != nil && ask.Type == Resume; !k.asked || ask.Session != r.session || r.head > maxNumber {
		return k
	}
	p, ok := understand(r.runs, ask.ID, r.head-1)
	v := r.visits.all[j.JID.Bare().String()]
	if !ok || v == nil || !v.inside() && p.newest() > v.last {
		return k // Or it was given to somebody else.
	}
	k.sure, k.point = true, p
	k.latest = p.gone() >= r.gone.floor && v.knows(r.real(j.Role), p.seen)
	return k
}

// answer appends what somebody gets who has entered.
func (r *Room) answer(to []Stanza, c *client, j Join, k knowledge) []Stanza {
	o, sees := c.occupant, r.sees(c)
	missed, forgotten := r.history.since(k.point.message)
	said := r.limit(missed, j.Presence.History, c)
	known := point{presence: r.head, seen: r.head, message: k.point.message}
	if !k.asked {
		// What was said before is not missed.
		known.message = r.head
		if len(said) > 0 {
			known.message = said[0].number - 1
		}
	}

	changes, enough := []change(nil), false
	if k.latest {
		changes, enough = r.changes(k.point, o, sees)
	}
	if enough {
		to = slices.Grow(to, len(changes)+len(said)+3)
		for _, ch := range changes {
			to = append(to, r.stanza(c, ch.part, r.mark(point{presence: ch.number, seen: r.head, partial: true, message: known.message})))
		}
	} else {
		to = slices.Grow(to, len(r.occupant)+len(said)+4)
		if k.asked {
			to = append(to, Stanza{To: c.jid, to: c.to, part: &part{
				name: "presence", attr: append(r.fromAttr(""), ` type="unavailable"`...),
			}})
		}
		for e := r.order.Front(); e != nil; e = e.Next() {
			if other := e.Value.(*occupant); other != o {
				to = append(to, r.stanza(c, r.present(other, sees), r.mark(point{presence: other.changed, seen: r.head, message: known.message})))
			}
		}
	}

	codes := slices.Clone(j.Codes)
	if r.opts.Config.NonAnonymous {
		codes = append(codes, StatusNonAnonymous)
	}
	if r.opts.Config.Logged {
		codes = append(codes, StatusLogged)
	}
	own := r.own(o, sees, codes...)
	own.attr = appendAttr(own.attr, "id", j.ID)
	to = append(to, r.stanza(c, own, r.mark(known)))

	if k.asked && (!k.sure || forgotten || len(said) < len(missed)) {
		to = append(to, Stanza{To: c.jid, to: c.to, part: truncated(r.fromAttr(""))})
	}
	for _, m := range said {
		to = append(to, r.stanza(c, r.said(m, true), r.mark(point{presence: r.head, seen: r.head, message: m.number})))
	}
	return append(to, r.stanza(c, r.subjectPart(), r.mark(at(r.head))))
}

// A change is a presence that somebody gets who has missed it.
type change struct {
	number uint64
	part   *part
}

// changes returns what has changed since a point for all but one occupant, in the
// order in which it did. It is not enough if the whole state is less.
func (r *Room) changes(p point, but *occupant, sees int) (all []change, enough bool) {
	most := len(r.occupant) // One more than there are others.
	told := make(map[string]bool)
	for _, d := range slices.Backward(r.gone.since(p.gone())) {
		switch own := d.nick == but.nick && d.jid.Bare().Equal(but.bare); {
		case d.named > p.seen: // It had come after that.
		case (own || r.stillThere(d)) && !told[d.nick]: // The nickname comes again, and nobody else had it.
		default:
			told[d.nick] = true
			// Whom a client knows by that name is not sure if it was cut off meanwhile.
			sure := !p.partial || d.number > p.seen
			all = append(all, change{d.number, r.departed(d, but, sees, sure)})
		}
		if len(all) > most {
			return nil, false
		}
	}
	for e := r.order.Back(); e != nil; e = e.Prev() {
		o := e.Value.(*occupant)
		if o.changed <= p.presence {
			break
		}
		if o == but {
			continue
		}
		if all = append(all, change{o.changed, r.present(o, sees)}); len(all) > most {
			return nil, false
		}
	}
	slices.SortFunc(all, func(a, b change) int { return cmp.Compare(a.number, b.number) })
	return all, true
}

// stillThere reports whether somebody has the nickname again who had another one for a
// while.
func (r *Room) stillThere(d departure) bool {
	o := r.byJoined[d.joined]
	return d.renamed && o != nil && o.nick == d.nick
}

// departed returns the presence by which somebody, who is occupant to, learns later of
// a departure. That an occupant has another nickname is said only if it still has it: who
// is cut off then would not learn that it has gone by the next one. Nor is it if it is
// not sure that who is told knows this one by the nickname.
func (r *Room) departed(d departure, to *occupant, sees int, sure bool) *part {
	i := item{affiliation: d.affiliation, codes: d.codes}
	if sees == 1 {
		i.jid = d.jid
	}
	if d.renamed {
		i.codes = nil
		if o := r.byJoined[d.joined]; o != nil && o != to && o.named == d.number && sure {
			i.role, i.nick, i.codes = o.role, o.nick, d.codes
		}
	}
	return r.presence(d.nick, true, Payload{}, i)
}
