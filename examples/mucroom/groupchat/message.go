// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat

import (
	"errors"

	"mellium.im/xmpp/muc"

	"github.com/xmppext/xmppext/mucfr"
)

// message passes on what somebody says, to all or to one.
func (s *Service) message(q request, r *room) {
	if r == nil {
		s.refuse(q, errNotFound)
		return
	}
	o, inside := r.Client(q.from)
	nick := q.to.Resourcepart()
	switch {
	case nick == "" && (q.kind == "" || q.kind == "normal"):
		s.mediate(q, r)
		return
	case !inside:
		s.refuse(q, errNotInside)
		return
	case nick == "" && q.kind != "groupchat" && q.kind != "error",
		nick != "" && q.kind == "groupchat":
		s.refuse(q, errBadRequest)
		return
	}
	p, err := mucfr.ReadPayload(q.children)
	if err != nil {
		if errors.Is(err, mucfr.ErrTooLarge) {
			s.refuse(q, errTooLarge)
		}
		return
	}
	switch {
	case q.kind == "error" && lost(p):
		s.leave(q.from, r, mucfr.Payload{}, mucfr.StatusKicked, mucfr.StatusError)
	case nick != "":
		s.private(q, r, o, p)
	case q.kind == "groupchat":
		s.public(q, r, o, p)
	}
}

// public is for all.
func (s *Service) public(q request, r *room, o mucfr.Occupant, p mucfr.Payload) {
	switch {
	case o.Role == muc.RoleVisitor,
		p.IsSubject() && o.Role != muc.RoleModerator && !r.config.ChangeSubject:
		s.refuse(q, errForbidden)
		return
	}
	if to, err := r.Say(q.from, q.id, p); err == nil {
		s.say(r, to)
	}
}

// private is for one occupant, on all of its clients.
func (s *Service) private(q request, r *room, from mucfr.Occupant, p mucfr.Payload) {
	to, ok := r.Occupant(q.to.Resourcepart())
	if !ok {
		s.refuse(q, errNotFound)
		return
	}
	clients := r.clients(to)
	if len(clients) == 0 {
		s.refuse(q, errAway)
		return
	}
	for _, full := range clients {
		s.send(packet{
			name: "message", kind: q.kind, id: q.id, from: r.at(from.Nick), to: full,
			body: p.String() + `<x xmlns="` + muc.NSUser + `"/>`,
		})
	}
}
