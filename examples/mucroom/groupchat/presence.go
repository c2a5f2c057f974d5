// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat

import (
	"encoding/xml"
	"errors"
	"strings"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/mucfr"
)

// presence does what a presence asks for. Those of other types than these, such as
// probes, are not for rooms.
func (s *Service) presence(q request, r *room) {
	switch q.kind {
	case "":
		s.available(q, r)
	case "unavailable", "error":
		p, err := mucfr.ReadPayload(q.children)
		if err != nil && !errors.Is(err, mucfr.ErrTooLarge) {
			return
		}
		if q.kind == "unavailable" {
			s.leave(q.from, r, p)
		} else if lost(p) {
			s.leave(q.from, r, mucfr.Payload{}, mucfr.StatusKicked, mucfr.StatusError)
		}
	}
}

// available lets somebody enter, or be somebody else, or be seen otherwise.
func (s *Service) available(q request, r *room) {
	p, err := mucfr.ReadPresence(q.children)
	if err != nil {
		if errors.Is(err, mucfr.ErrTooLarge) {
			s.refuse(q, errTooLarge)
		}
		return
	}
	var o mucfr.Occupant
	inside := false
	if r != nil {
		o, inside = r.Client(q.from)
	}
	nick := q.to.Resourcepart()
	if !inside {
		if p.MUC {
			s.enter(q, r, nick, p)
			return
		}
		// It has not noticed that it was taken out (XEP-0045, section 7.2.17).
		s.send(q.reply("unavailable", goneXML(muc.AffiliationNone, mucfr.StatusSelf, mucfr.StatusKicked, mucfr.StatusError)))
		return
	}
	if nick == "" {
		nick = o.Nick
	}
	if nick != o.Nick && !s.rename(q, r, nick) {
		return
	}
	switch {
	case p.MUC:
		s.enter(q, r, nick, p)
	case nick == o.Nick || p.Payload != o.Payload:
		if to, err := r.Update(q.from, p.Payload); err == nil {
			s.say(r, to)
		}
	}
}

// rename gives an occupant another nickname, and reports whether it did.
func (s *Service) rename(q request, r *room, nick string) bool {
	if !s.pace.take(q.from.Bare(), time.Now()) {
		s.refuse(q, errTooMany)
		return false
	}
	to, err := r.Rename(q.from, nick)
	switch {
	case errors.Is(err, mucfr.ErrConflict):
		s.refuse(q, errConflict)
	case errors.Is(err, mucfr.ErrAddress):
		s.refuse(q, errMalformed)
	case err != nil:
		s.refuse(q, errInternal)
	default:
		s.say(r, to)
	}
	return err == nil
}

// leave takes a client out that has gone, also if it was away. Who is not inside cannot go.
func (s *Service) leave(full jid.JID, r *room, p mucfr.Payload, codes ...int) {
	if r == nil {
		return
	}
	o, inside := r.Room.Client(full)
	if !inside {
		return
	}
	if r.locked && r.Len() == 1 && len(o.JIDs) == 1 {
		// Nobody is left who could unlock it (XEP-0045, section 10.1.3).
		s.destroy(r, mucfr.Destroyed{})
		return
	}
	if to, err := r.Leave(full, p, codes...); err == nil {
		s.say(r, to)
	}
}

// lost reports whether an error, which is the answer to what a room has sent, says that
// a client is not there any more. Nobody else says so if its server has lost it.
func lost(p mucfr.Payload) bool {
	e, err := stanza.UnmarshalError(xml.NewDecoder(strings.NewReader(p.String())))
	if err != nil {
		return false
	}
	switch e.Condition {
	case stanza.Gone, stanza.InternalServerError, stanza.ItemNotFound, stanza.JIDMalformed,
		stanza.RecipientUnavailable, stanza.Redirect, stanza.RemoteServerNotFound,
		stanza.RemoteServerTimeout, stanza.ServiceUnavailable:
		return true
	}
	return false
}
