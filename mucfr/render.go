// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr

import (
	"slices"
	"strconv"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"
)

// Status codes that rooms send (XEP-0045, section 15.6).
const (
	StatusNonAnonymous = 100 // in the presence of who enters: all see real addresses
	StatusConfig       = 104 // the room's configuration has changed
	StatusSelf         = 110 // the presence is the recipient's own
	StatusLogged       = 170
	StatusNotLogged    = 171
	StatusAllJIDs      = 172 // the room is non-anonymous from now on
	StatusSomeJIDs     = 173 // the room is semi-anonymous from now on
	StatusCreated      = 201
	StatusNick         = 210 // the room has chosen the nickname
	StatusBanned       = 301
	StatusRenamed      = 303
	StatusKicked       = 307
	StatusAffiliation  = 321 // somebody has lost the affiliation that is needed to be inside
	StatusMembersOnly  = 322
	StatusShutdown     = 332
	StatusError        = 333 // somebody has lost the connection
)

// item is what a room says about somebody.
type item struct {
	affiliation   muc.Affiliation
	role          muc.Role
	jid           jid.JID // zero if it is not shown
	nick          string  // the next one
	actor, reason string
	codes         []int
	destroyed     *Destroyed
}

// appendXML appends the element of the namespace muc#user.
func (i item) appendXML(b []byte) []byte {
	b = append(b, `<x xmlns="`+muc.NSUser+`"><item`...)
	b = appendAttr(b, "affiliation", i.affiliation.String())
	b = appendAttr(b, "role", i.role.String())
	if !i.jid.Equal(jid.JID{}) {
		b = appendAttr(b, "jid", i.jid.String())
	}
	b = appendAttr(b, "nick", i.nick)
	b = append(b, '>')
	if i.actor != "" {
		b = append(b, "<actor"...)
		b = appendAttr(b, "nick", i.actor)
		b = append(b, "/>"...)
	}
	if i.reason != "" {
		b = append(b, "<reason>"...)
		b = appendEscaped(b, i.reason)
		b = append(b, "</reason>"...)
	}
	b = append(b, "</item>"...)
	if i.destroyed != nil {
		b = i.destroyed.appendXML(b)
	}
	b = appendCodes(b, i.codes)
	return append(b, "</x>"...)
}

func appendCodes(b []byte, codes []int) []byte {
	for _, code := range codes {
		b = append(b, `<status code="`...)
		b = strconv.AppendInt(b, int64(code), 10)
		b = append(b, `"/>`...)
	}
	return b
}

// presence makes a presence of somebody with a nickname.
func (r *Room) presence(nick string, unavailable bool, p Payload, i item) *part {
	attr := r.fromAttr(nick)
	if unavailable {
		attr = append(attr[:len(attr):len(attr)], ` type="unavailable"`...)
	}
	return &part{name: "presence", attr: attr, body: i.appendXML([]byte(p.xml))}
}

// fromAttr returns the attribute from of what somebody sends, or the room if there is
// no nickname.
func (r *Room) fromAttr(nick string) []byte {
	from := r.address
	if nick != "" {
		from, _ = r.address.WithResource(nick) // It was checked when it was chosen.
	}
	return appendAttr(nil, "from", from.String())
}

// present returns the presence of an occupant as others see it.
func (r *Room) present(o *occupant, sees int) *part {
	if o.parts[sees] == nil {
		o.parts[sees] = r.presence(o.nick, false, o.payload, o.item(sees))
	}
	return o.parts[sees]
}

// own returns it as the occupant itself sees it.
func (r *Room) own(o *occupant, sees int, codes ...int) *part {
	i := o.item(sees)
	i.codes = append([]int{StatusSelf}, codes...)
	return r.presence(o.nick, false, o.payload, i)
}

func (o *occupant) item(sees int) item {
	i := item{affiliation: o.affiliation, role: o.role}
	if sees == 1 {
		i.jid = o.real()
	}
	return i
}

// stanza makes a stanza for a client of what it has in common with others.
func (r *Room) stanza(c *client, p *part, m *mark) Stanza {
	s := Stanza{To: c.jid, to: c.to, part: p}
	if c.annotate || r.opts.AnnotateAll {
		s.mark = m
	}
	return s
}

// mark returns the annotation of a point.
func (r *Room) mark(p point) *mark { return newMark(r.session, r.runs[len(r.runs)-1].encode(p)) }

// each appends a stanza for each of the clients in the room, but for those of which
// make returns nil.
func (r *Room) each(to []Stanza, number uint64, make func(c *client) *part) []Stanza {
	m := r.mark(at(number))
	to = slices.Grow(to, len(r.inside))
	for e := r.order.Front(); e != nil; e = e.Next() {
		for _, c := range e.Value.(*occupant).clients {
			if p := make(c); p != nil {
				to = append(to, r.stanza(c, p, m))
			}
		}
	}
	return to
}

// announce appends the presence of an occupant for all but one client.
func (r *Room) announce(to []Stanza, o *occupant, number uint64, but *client) []Stanza {
	var own *part
	return r.each(to, number, func(c *client) *part {
		switch {
		case c == but:
			return nil
		case c.occupant != o:
			return r.present(o, r.sees(c))
		case own == nil:
			own = r.own(o, r.sees(c))
		}
		return own
	})
}

// farewell appends that an occupant, who is not in the room any more, has gone, for all
// and for its own clients.
func (r *Room) farewell(to []Stanza, d departure, p Payload, i item, own []*client) []Stanza {
	i.affiliation, i.codes = d.affiliation, d.codes
	var parts [2]*part
	make := func(sees int, more ...int) *part {
		i := i
		if sees == 1 {
			i.jid = d.jid
		}
		i.codes = slices.Concat(more, i.codes)
		return r.presence(d.nick, true, p, i)
	}
	for _, c := range own {
		to = append(to, r.stanza(c, make(r.sees(c), StatusSelf), r.mark(at(d.number))))
	}
	return r.each(to, d.number, func(c *client) *part {
		sees := r.sees(c)
		if parts[sees] == nil {
			parts[sees] = make(sees)
		}
		return parts[sees]
	})
}
