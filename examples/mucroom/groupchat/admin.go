// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat

import (
	"cmp"
	"encoding/xml"
	"maps"
	"slices"
	"strings"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"
	"mellium.im/xmpp/stanza"
)

// adminQuery asks for a list of affiliations or roles, or changes some (XEP-0045,
// sections 8 to 10).
type adminQuery struct {
	XMLName xml.Name    `xml:"http://jabber.org/protocol/muc#admin query"`
	Items   []adminItem `xml:"http://jabber.org/protocol/muc#admin item"`
}

type adminItem struct {
	Affiliation string `xml:"affiliation,attr"`
	Role        string `xml:"role,attr"`
	JID         string `xml:"jid,attr"`
	Nick        string `xml:"nick,attr"`
	Reason      string `xml:"http://jabber.org/protocol/muc#admin reason"`
}

// admin answers a request about affiliations or roles.
func (s *Service) admin(q request, r *room, d *xml.Decoder, start xml.StartElement) {
	var query adminQuery
	if d.DecodeElement(&query, &start) != nil || len(query.Items) == 0 || len(query.Items) > MaxItems {
		s.refuse(q, errBadRequest)
		return
	}
	if q.kind == "get" {
		s.list(q, r, query.Items[0])
		return
	}
	changes, e := r.changes(q.from, query.Items)
	if e != nil {
		s.refuse(q, *e)
		return
	}
	// The answer comes first, as the sender may be gone afterwards.
	s.send(q.reply("result", ""))
	for _, c := range changes {
		s.change(r, c)
	}
}

// list returns those who have an affiliation or a role.
func (s *Service) list(q request, r *room, item adminItem) {
	var all []muc.Item
	by, inside := r.Client(q.from)
	mine := r.affiliation(q.from)
	switch {
	case item.Affiliation != "" && item.Role == "":
		a, err := affiliationOf(item.Affiliation)
		switch {
		case err != nil || a == muc.AffiliationNone:
			s.refuse(q, errBadRequest)
			return
		case rank(mine) >= rank(muc.AffiliationOwner),
			rank(mine) >= rank(muc.AffiliationAdmin) && rank(a) < rank(muc.AffiliationAdmin),
			// Who is known to all anyway may be known as a member, too.
			a == muc.AffiliationMember && r.config.MembersOnly && r.config.NonAnonymous && inside:
		default:
			s.refuse(q, errForbidden)
			return
		}
		for _, bare := range slices.Sorted(maps.Keys(r.affiliations)) {
			if j, err := jid.Parse(bare); err == nil && r.affiliations[bare] == a {
				all = append(all, muc.Item{JID: j, Affiliation: a})
			}
		}
	case item.Role != "" && item.Affiliation == "":
		role, err := roleOf(item.Role)
		switch {
		case err != nil || role == muc.RoleNone:
			s.refuse(q, errBadRequest)
			return
		case by.Role != muc.RoleModerator,
			role == muc.RoleModerator && rank(mine) < rank(muc.AffiliationAdmin):
			s.refuse(q, errForbidden)
			return
		}
		for o := range r.Occupants() {
			if o.Role == role {
				all = append(all, muc.Item{
					JID: o.JIDs[len(o.JIDs)-1], Affiliation: o.Affiliation, Nick: o.Nick, Role: role,
				})
			}
		}
		slices.SortFunc(all, func(a, b muc.Item) int { return cmp.Compare(a.Nick, b.Nick) })
	default:
		s.refuse(q, errBadRequest)
		return
	}
	s.send(q.reply("result", itemsXML(all)))
}

// itemsXML returns a list as it is sent.
func itemsXML(all []muc.Item) string {
	var b strings.Builder
	b.WriteString(`<query xmlns="` + muc.NSAdmin + `">`)
	for _, i := range all {
		b.WriteString(`<item affiliation="` + i.Affiliation.String() + `" jid="` + escaped(i.JID.String()) + `"`)
		if i.Nick != "" {
			b.WriteString(` nick="` + escaped(i.Nick) + `" role="` + i.Role.String() + `"`)
		}
		b.WriteString("/>")
	}
	b.WriteString("</query>")
	return b.String()
}

// changes returns what somebody wants to change, or why none of it may be.
func (r *room) changes(by jid.JID, items []adminItem) (all []change, e *stanza.Error) {
	actor, _ := r.Client(by)
	// Each change is checked as if those before were made.
	after := maps.Clone(r.affiliations)
	for _, item := range items {
		var c change
		if len(item.Reason) > MaxText {
			return nil, &errTooLarge
		}
		switch {
		case item.Affiliation != "" && item.Role == "":
			c, e = r.affiliationChange(by, item, after)
		case item.Role != "" && item.Affiliation == "" && item.Nick != "":
			c, e = r.roleChange(by, item)
		default:
			e = &errBadRequest
		}
		if e != nil {
			return nil, e
		}
		c.why.Actor, c.why.Reason = actor.Nick, item.Reason
		all = append(all, c)
	}
	if len(after) > max(MaxAffiliations, len(r.affiliations)) {
		return nil, &errTooMany
	}
	return all, nil
}

// affiliationOf reads an affiliation, and roleOf a role.
func affiliationOf(s string) (a muc.Affiliation, err error) {
	err = a.UnmarshalXMLAttr(xml.Attr{Value: s})
	return a, err
}

func roleOf(s string) (r muc.Role, err error) {
	err = r.UnmarshalXMLAttr(xml.Attr{Value: s})
	return r, err
}
