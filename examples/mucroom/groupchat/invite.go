// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat

import (
	"encoding/xml"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"
)

// mediation asks a room to pass on an invitation, or that it was declined (XEP-0045,
// section 7.8.2).
type mediation struct {
	Invite  *mediated `xml:"http://jabber.org/protocol/muc#user invite"`
	Decline *mediated `xml:"http://jabber.org/protocol/muc#user decline"`
}

type mediated struct {
	To     string `xml:"to,attr"`
	Reason string `xml:"http://jabber.org/protocol/muc#user reason"`
}

// mediate passes on an invitation, or that it was declined.
func (s *Service) mediate(q request, r *room) {
	var m mediation
	if !find(q.children, xml.Name{Space: muc.NSUser, Local: "x"}, &m) || m.Invite == nil && m.Decline == nil {
		s.refuse(q, errBadRequest)
		return
	}
	name, one := "invite", m.Invite
	if one == nil {
		name, one = "decline", m.Decline
	}
	to, err := jid.Parse(one.To)
	switch {
	case err != nil || to.Localpart() == "":
		s.refuse(q, errMalformed)
		return
	case len(one.Reason) > MaxText:
		s.refuse(q, errTooLarge)
		return
	case !s.pace.take(q.from.Bare(), time.Now()): // They may be as tiresome as joins.
		s.refuse(q, errTooMany)
		return
	case name == "invite" && !s.mayInvite(q, r, to):
		return
	case name == "decline" && len(r.all(to.Bare())) == 0:
		return // Nobody there has invited.
	}
	body := `<x xmlns="` + muc.NSUser + `"><` + name + ` from="` + escaped(q.from.Bare().String()) + `">`
	if one.Reason != "" {
		body += "<reason>" + escaped(one.Reason) + "</reason>"
	}
	body += "</" + name + ">"
	if name == "invite" && r.config.Password != "" {
		body += "<password>" + escaped(r.config.Password) + "</password>"
	}
	s.send(packet{name: "message", id: q.id, from: r.Address(), to: to, body: body + "</x>"})
}

// mayInvite checks an invitation. In a room of members it makes somebody one.
func (s *Service) mayInvite(q request, r *room, to jid.JID) bool {
	if _, inside := r.Client(q.from); !inside {
		s.refuse(q, errNotInside)
		return false
	}
	if !r.config.MembersOnly {
		return true
	}
	if by := r.affiliation(q.from); by != muc.AffiliationOwner && by != muc.AffiliationAdmin {
		s.refuse(q, errForbidden)
		return false
	}
	switch {
	case r.affiliation(to) == muc.AffiliationOutcast:
		s.refuse(q, errForbidden)
		return false
	case r.affiliation(to) != muc.AffiliationNone:
	case len(r.affiliations) >= MaxAffiliations:
		s.refuse(q, errTooMany)
		return false
	default:
		r.affiliations[to.Bare().String()] = muc.AffiliationMember
		r.dirty = true
	}
	return true
}

// find decodes the first child of a name, and reports whether there is one that can be.
func find(children xml.TokenReader, name xml.Name, v any) bool {
	d := xml.NewTokenDecoder(children)
	for {
		t, err := d.Token()
		if start, ok := t.(xml.StartElement); ok {
			if start.Name == name {
				return d.DecodeElement(v, &start) == nil
			}
			if d.Skip() != nil {
				return false
			}
		}
		if err != nil {
			return false
		}
	}
}
