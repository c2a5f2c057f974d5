// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr

import (
	"slices"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"
)

// Update says that a client has sent another presence. The error is [ErrNotInside].
func (r *Room) Update(full jid.JID, p Payload) ([]Stanza, error) {
	c := r.inside[full.String()]
	if c == nil {
		return nil, ErrNotInside
	}
	number, o := r.next(), c.occupant
	o.payload = p
	r.changed(o, number)
	return r.announce(nil, o, number, nil), nil
}

// Set gives the occupant of a nickname another affiliation or role, with what is said
// about it. The error is [ErrNotInside], or [ErrRole] if the role is none: use Remove.
func (r *Room) Set(nick string, a muc.Affiliation, role muc.Role, why Why) ([]Stanza, error) {
	o := r.occupant[nick]
	if o == nil {
		return nil, ErrNotInside
	}
	if role == muc.RoleNone {
		return nil, ErrRole
	}
	number := r.next()
	r.become(o, a, role, number)
	var parts [2]*part
	return r.each(nil, number, func(c *client) *part {
		i, sees := o.item(r.sees(c)), r.sees(c)
		i.actor, i.reason, i.codes = why.Actor, why.Reason, why.Codes
		if c.occupant == o {
			i.codes = append([]int{StatusSelf}, why.Codes...)
			return r.presence(o.nick, false, o.payload, i)
		}
		if parts[sees] == nil {
			parts[sees] = r.presence(o.nick, false, o.payload, i)
		}
		return parts[sees]
	}), nil
}

// Why says why something was done to an occupant.
type Why struct {
	Actor  string // nickname of who has done it
	Reason string
	Codes  []int
}

// Leave says that a client has left by itself, with what its presence has in it.
// To somebody who has lost the connection it is for the service to say so, by
// StatusError and StatusKicked, for instance. The error is [ErrNotInside].
func (r *Room) Leave(full jid.JID, p Payload, codes ...int) ([]Stanza, error) {
	c := r.inside[full.String()]
	if c == nil {
		return nil, ErrNotInside
	}
	o := c.occupant
	if len(o.clients) == 1 {
		return r.depart(o, p, item{}, codes), nil
	}
	number := r.next()
	r.exit(c, number)
	i := o.item(r.sees(c))
	i.role, i.codes = muc.RoleNone, append([]int{StatusSelf}, codes...)
	// The client is told that the nickname has gone, though others of it are still there.
	to := []Stanza{r.stanza(c, r.presence(o.nick, true, p, i), r.mark(point{presence: number - 1, seen: number, message: number}))}
	r.changed(o, number) // Its address may be another one now.
	return r.announce(to, o, number, nil), nil
}

// Remove takes the occupant of a nickname out, with all of its clients and with the
// affiliation that it has from now on. The codes in why are StatusKicked,
// StatusBanned and the like. The error is [ErrNotInside].
func (r *Room) Remove(nick string, a muc.Affiliation, why Why) ([]Stanza, error) {
	o := r.occupant[nick]
	if o == nil {
		return nil, ErrNotInside
	}
	o.affiliation = a
	return r.depart(o, Payload{}, item{actor: why.Actor, reason: why.Reason}, why.Codes), nil
}

// depart takes an occupant out.
func (r *Room) depart(o *occupant, p Payload, i item, codes []int) []Stanza {
	number, own := r.next(), slices.Clone(o.clients)
	d := r.departure(o, number)
	d.codes = slices.Clone(codes)
	r.remember(d)
	for _, c := range own {
		r.exit(c, number)
	}
	r.remove(o)
	return r.farewell(nil, d, p, i, own)
}

// departure is that of an occupant by an event.
func (r *Room) departure(o *occupant, number uint64) departure {
	return departure{
		nick: o.nick, jid: o.real(), affiliation: o.affiliation,
		joined: o.joined, named: o.named, number: number, time: time.Now(),
	}
}

// remember keeps a departure.
func (r *Room) remember(d departure) {
	r.gone.all = append(r.gone.all, d)
	r.touch(keyDeparture + numbered(d.number))
	r.forgetOld(d.time)
}

// Rename gives an occupant, by one of its clients, another nickname. More status codes
// are for the clients of the occupant, such as StatusNick.
// The error is [ErrNotInside], [ErrConflict] or [ErrAddress].
func (r *Room) Rename(full jid.JID, nick string, codes ...int) ([]Stanza, error) {
	c := r.inside[full.String()]
	if c == nil {
		return nil, ErrNotInside
	}
	if _, err := r.place(nick); err != nil {
		return nil, err
	}
	o := c.occupant
	if other := r.occupant[nick]; other != nil {
		if other == o {
			return nil, nil
		}
		return nil, ErrConflict
	}
	number := r.next()
	d := r.departure(o, number)
	d.renamed, d.codes = true, []int{StatusRenamed}
	r.remember(d)
	r.remove(o)
	to := r.farewell(nil, d, Payload{}, item{role: o.role, nick: nick}, o.clients)

	o.nick, o.named = nick, number // It is known from the event on that says so.
	number = r.next()
	o.changed, o.parts = number, [2]*part{}
	r.add(o)
	var own *part
	return r.each(to, number, func(c *client) *part {
		if c.occupant != o {
			return r.present(o, r.sees(c))
		}
		if own == nil {
			own = r.own(o, r.sees(c), codes...)
		}
		return own
	}), nil
}

// Configure changes what the room is like, and tells all. If it shows addresses to
// others than before, it is another session: who comes back gets the whole state.
func (r *Room) Configure(cfg Config) []Stanza {
	var codes []int
	was := r.opts.Config
	r.opts.Config = cfg
	if cfg.NonAnonymous != was.NonAnonymous {
		codes = append(codes, StatusSomeJIDs)
		if cfg.NonAnonymous {
			codes[0] = StatusAllJIDs
		}
		r.begin()
		for _, o := range r.occupant {
			o.parts = [2]*part{}
			moderator := o.role == muc.RoleModerator
			r.visits.all[o.bare.String()].turn(was.NonAnonymous || moderator, r.real(o.role), len(o.clients), r.head)
		}
		r.touchAll()
	}
	if cfg.Logged != was.Logged {
		if cfg.Logged {
			codes = append(codes, StatusLogged)
		} else {
			codes = append(codes, StatusNotLogged)
		}
	}
	if codes == nil {
		codes = []int{StatusConfig}
	}
	number := r.next()
	b := append([]byte(`<x xmlns="`), muc.NSUser+`">`...)
	p := &part{
		name: "message", attr: append(r.fromAttr(""), ` type="groupchat"`...),
		body: append(appendCodes(b, codes), "</x>"...),
	}
	return r.each(nil, number, func(*client) *part { return p })
}

// Destroyed says what becomes of a room that is no more.
type Destroyed struct {
	Alternate jid.JID // another room, unless it is zero
	Reason    string
}

func (d Destroyed) appendXML(b []byte) []byte {
	b = append(b, "<destroy"...)
	if !d.Alternate.Equal(jid.JID{}) {
		b = appendAttr(b, "jid", d.Alternate.String())
	}
	b = append(b, '>')
	if d.Reason != "" {
		b = append(b, "<reason>"...)
		b = appendEscaped(b, d.Reason)
		b = append(b, "</reason>"...)
	}
	return append(b, "</destroy>"...)
}

// Destroy takes all occupants out and forgets everything. A room of the same address
// that is made later has another session.
func (r *Room) Destroy(d Destroyed) []Stanza {
	number := r.next()
	to := r.each(nil, number, func(c *client) *part {
		return r.presence(c.occupant.nick, true, Payload{}, item{
			affiliation: c.occupant.affiliation, codes: []int{StatusSelf}, destroyed: &d,
		})
	})
	r.touchAll()
	clear(r.occupant)
	clear(r.inside)
	clear(r.byJoined)
	r.order.Init()
	r.gone, r.visits = departures{}, visits{}
	r.renew()
	r.begin()
	return to
}
