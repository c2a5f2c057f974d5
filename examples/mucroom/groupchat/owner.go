// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat

import (
	"encoding/xml"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"

	"github.com/xmppext/xmppext/mucfr"
)

// ownerQuery changes what a room is like, or ends it (XEP-0045, section 10).
type ownerQuery struct {
	XMLName xml.Name   `xml:"http://jabber.org/protocol/muc#owner query"`
	Form    *submitted `xml:"jabber:x:data x"`
	Destroy *struct {
		JID    string `xml:"jid,attr"`
		Reason string `xml:"http://jabber.org/protocol/muc#owner reason"`
	} `xml:"http://jabber.org/protocol/muc#owner destroy"`
}

// owner answers a request of an owner.
func (s *Service) owner(q request, r *room, d *xml.Decoder, start xml.StartElement) {
	var query ownerQuery
	if r.affiliation(q.from) != muc.AffiliationOwner {
		s.refuse(q, errForbidden)
		return
	}
	if d.DecodeElement(&query, &start) != nil {
		s.refuse(q, errBadRequest)
		return
	}
	switch {
	case q.kind == "get":
		s.send(q.reply("result", `<query xmlns="`+muc.NSOwner+`">`+written(r.config.form().TokenReader())+"</query>"))
	case query.Destroy != nil:
		why := mucfr.Destroyed{Reason: query.Destroy.Reason}
		if query.Destroy.JID != "" {
			var err error
			if why.Alternate, err = jid.Parse(query.Destroy.JID); err != nil {
				s.refuse(q, errMalformed)
				return
			}
		}
		if len(why.Reason) > MaxText {
			s.refuse(q, errTooLarge)
			return
		}
		s.send(q.reply("result", ""))
		s.destroy(r, why)
	case query.Form == nil:
		s.refuse(q, errBadRequest)
	case query.Form.Type == "cancel":
		s.send(q.reply("result", ""))
		if r.locked {
			s.destroy(r, mucfr.Destroyed{})
		}
	case query.Form.Type == "submit":
		s.configure(q, r, *query.Form)
	default:
		s.refuse(q, errBadRequest)
	}
}

// configure makes a room what its owner says. A form without fields leaves it as it is,
// and unlocks it.
func (s *Service) configure(q request, r *room, f submitted) {
	config, ok := f.apply(r.config, s.opts.MaxOccupants)
	if !ok {
		s.refuse(q, errUnacceptable)
		return
	}
	s.send(q.reply("result", ""))
	if config != r.config {
		r.config = config
		s.say(r, r.Configure(config.room()))
	}
	r.locked, r.dirty = false, true
	if !config.MembersOnly {
		return
	}
	var strangers []mucfr.Occupant
	for o := range r.Occupants() {
		if o.Affiliation == muc.AffiliationNone {
			strangers = append(strangers, o)
		}
	}
	for _, o := range strangers {
		if to, err := r.Remove(o.Nick, o.Affiliation, mucfr.Why{Codes: []int{mucfr.StatusMembersOnly}}); err == nil {
			s.say(r, to)
		}
	}
}

// destroy ends a room.
func (s *Service) destroy(r *room, why mucfr.Destroyed) {
	s.say(r, r.Destroy(why))
	s.drop(r, true)
}
