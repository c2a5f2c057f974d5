// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat

import (
	"encoding/xml"
	"errors"

	"mellium.im/xmpp/disco"
	"mellium.im/xmpp/muc"
	"mellium.im/xmpp/ping"

	"github.com/xmppext/xmppext/mucfr"
)

// iq answers a request, or passes it on to an occupant.
func (s *Service) iq(q request, r *room) {
	switch {
	case q.id == "":
		s.refuse(q, errBadRequest)
	case q.kind == "result" || q.kind == "error":
		s.answered(q, r)
	case q.kind != "get" && q.kind != "set":
		s.refuse(q, errBadRequest)
	case q.to.Localpart() != "" && q.to.Resourcepart() != "":
		s.ask(q, r)
	default:
		s.query(q, r)
	}
}

// query answers what the service or a room is asked.
func (s *Service) query(q request, r *room) {
	d := xml.NewTokenDecoder(q.children)
	start, ok := payload(d)
	if !ok {
		s.refuse(q, errBadRequest)
		return
	}
	get, missing := q.kind == "get", q.to.Localpart() != "" && r == nil
	switch name := start.Name; {
	case missing:
		s.refuse(q, errNotFound)
	case name == xml.Name{Space: disco.NSInfo, Local: "query"} && get:
		s.info(q, r, start)
	case name == xml.Name{Space: disco.NSItems, Local: "query"} && get:
		s.items(q, r)
	case name == xml.Name{Space: ping.NS, Local: "ping"} && get:
		s.send(q.reply("result", ""))
	case name == xml.Name{Space: muc.NSAdmin, Local: "query"} && r != nil:
		s.admin(q, r, d, start)
	case name == xml.Name{Space: muc.NSOwner, Local: "query"} && r != nil:
		s.owner(q, r, d, start)
	default:
		s.refuse(q, errUnsupported)
	}
}

// payload returns the first element.
func payload(d *xml.Decoder) (start xml.StartElement, ok bool) {
	for {
		t, err := d.Token()
		if start, ok := t.(xml.StartElement); ok {
			return start, true
		}
		if err != nil || t == nil {
			return start, false
		}
	}
}

// ask passes a request on to an occupant. Pings to oneself are answered here, as the
// room is what is asked for (XEP-0410, section 3.3).
func (s *Service) ask(q request, r *room) {
	if r == nil {
		s.refuse(q, errNotFound)
		return
	}
	from, inside := r.Client(q.from)
	if !inside {
		s.refuse(q, errNotInside)
		return
	}
	to, ok := r.Occupant(q.to.Resourcepart())
	if !ok {
		s.refuse(q, errNotFound)
		return
	}
	p, err := mucfr.ReadPayload(q.children)
	if err != nil {
		if errors.Is(err, mucfr.ErrTooLarge) {
			s.refuse(q, errTooLarge)
		}
		return
	}
	if to.Nick == from.Nick && q.kind == "get" && isPing(p) {
		s.send(q.reply("result", ""))
		return
	}
	clients := r.clients(to)
	if len(clients) == 0 {
		s.refuse(q, errAway)
		return
	}
	full := clients[len(clients)-1]
	s.send(packet{
		name: "iq", kind: q.kind, id: s.asked.add(q, full), from: r.at(from.Nick), to: full, body: p.String(),
	})
}

// answered passes an answer on to whom it is for.
func (s *Service) answered(q request, r *room) {
	was, ok := s.asked.take(q)
	if !ok || r == nil {
		return
	}
	if _, inside := r.Client(was.from); !inside {
		return
	}
	if p, err := mucfr.ReadPayload(q.children); err == nil {
		s.send(was.reply(q.kind, p.String()))
	} else if errors.Is(err, mucfr.ErrTooLarge) {
		s.refuse(was, errTooLarge)
	}
}
