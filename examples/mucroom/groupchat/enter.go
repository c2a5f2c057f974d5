// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat

import (
	"crypto/subtle"
	"errors"
	"slices"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/mucfr"
)

// enter lets a client in, or says why not. A client that is inside already is brought
// up to date.
func (s *Service) enter(q request, r *room, nick string, p mucfr.Presence) {
	if !s.pace.take(q.from.Bare(), time.Now()) {
		s.refuse(q, errTooMany)
		return
	}
	var codes []int
	if r == nil {
		if nick == "" {
			s.refuse(q, errMalformed)
			return
		}
		var e *stanza.Error
		if r, e = s.create(q.to, q.from); e != nil {
			s.refuse(q, *e)
			return
		}
		codes = []int{mucfr.StatusCreated}
	} else if e := r.refuses(q.from, nick, p.Password, s.opts.MaxOccupants); e != nil {
		// Before the room's memory is asked: who may not enter learns nothing, whatever
		// there is to resume (XEP-0311 leaves that to XEP-0045).
		s.refuse(q, *e)
		return
	}

	if o, inside := r.Room.Client(q.from); inside && r.isAway(q.from) && o.Nick != nick {
		if to, err := r.Leave(q.from, mucfr.Payload{}); err == nil {
			s.say(r, to) // It comes back as somebody else.
		}
	}
	affiliation := r.affiliation(q.from)
	role := r.role(affiliation)
	if o, ok := r.Occupant(nick); ok {
		role = o.Role // It may have been given voice, or have lost it.
	}
	to, err := r.Join(mucfr.Join{
		JID: q.from, Nick: nick, ID: q.id, Affiliation: affiliation, Role: role, Presence: p, Codes: codes,
	})
	switch {
	case errors.Is(err, mucfr.ErrAddress):
		s.refuse(q, errMalformed)
	case errors.Is(err, mucfr.ErrConflict):
		s.refuse(q, errConflict)
	case err != nil:
		s.refuse(q, errInternal)
	default:
		delete(r.away, q.from.String())
		s.say(r, to)
	}
}

// refuses returns what a client is refused for, or nil (XEP-0045, sections 7.2.5 to
// 7.2.10, the first that there is). There may be so many occupants at most.
func (r *room) refuses(from jid.JID, nick, password string, most int) *stanza.Error {
	if _, inside := r.Client(from); inside {
		return nil
	}
	a := r.affiliation(from)
	high := a == muc.AffiliationOwner || a == muc.AffiliationAdmin
	o, taken := r.Occupant(nick)
	shared := taken && o.JIDs[0].Bare().Equal(from.Bare())
	switch {
	case r.config.Password != "" && subtle.ConstantTimeCompare([]byte(password), []byte(r.config.Password)) == 0:
		return &errPassword
	case a == muc.AffiliationOutcast:
		return &errForbidden
	case r.config.MembersOnly && a == muc.AffiliationNone:
		return &errMembers
	case taken && !shared:
		return &errConflict
	case shared && r.isAway(from) && slices.ContainsFunc(o.JIDs, from.Equal): // It has its place.
	case shared && len(o.JIDs) >= MaxClients,
		!shared && r.Len() >= most,
		!shared && r.Len() >= r.config.MaxUsers && !high:
		return &errUnavailable
	case r.locked && a != muc.AffiliationOwner:
		return &errNotFound
	case nick == "":
		return &errMalformed
	}
	return nil
}
