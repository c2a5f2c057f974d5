// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat

import (
	"cmp"
	"encoding/xml"
	"maps"
	"slices"
	"strconv"
	"strings"

	"mellium.im/xmpp/disco"
	"mellium.im/xmpp/form"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"
	"mellium.im/xmpp/ping"

	"github.com/xmppext/xmppext/mucfr"
)

// Features that a service or a room announces.
const (
	featureStableID = muc.NS + "#stable_id"
	featureSelfPing = muc.NS + "#self-ping-optimization"

	// nodeNick asks for the nickname that is reserved for somebody.
	nodeNick = "x-roomuser-item"
)

// info says what the service is, or a room (XEP-0045, sections 6.2 and 6.4).
func (s *Service) info(q request, r *room, query xml.StartElement) {
	node := ""
	for _, a := range query.Attr {
		if a.Name.Local == "node" && a.Name.Space == "" {
			node = a.Value
		}
	}
	switch {
	case node == "":
	case node == nodeNick && r != nil:
		// There are none.
		s.send(q.reply("result", written(disco.InfoQuery{Node: node}.TokenReader())))
		return
	default:
		s.refuse(q, errNotFound)
		return
	}
	name := "Chat rooms"
	features := []string{disco.NSInfo, disco.NSItems, muc.NS, featureStableID, ping.NS}
	extended := ""
	if r != nil {
		name = cmp.Or(r.config.Name, r.Address().Localpart())
		features = append(features, featureSelfPing, mucfr.NS)
		features = append(features, r.config.features()...)
		extended = r.roomInfo()
	}
	var b strings.Builder
	b.WriteString(`<query xmlns="` + disco.NSInfo + `">`)
	b.WriteString(`<identity category="conference" type="text" name="` + escaped(name) + `"/>`)
	for _, f := range features {
		b.WriteString(`<feature var="` + f + `"/>`)
	}
	s.send(q.reply("result", b.String()+extended+"</query>"))
}

// features returns those that say what a room is like.
func (c Config) features() []string {
	choose := func(is bool, yes, no string) string {
		if is {
			return "muc_" + yes
		}
		return "muc_" + no
	}
	return []string{
		choose(c.Public, "public", "hidden"),
		choose(c.Persistent, "persistent", "temporary"),
		choose(c.Password != "", "passwordprotected", "unsecured"),
		choose(c.MembersOnly, "membersonly", "open"),
		choose(c.Moderated, "moderated", "unmoderated"),
		choose(c.NonAnonymous, "nonanonymous", "semianonymous"),
	}
}

// roomInfo returns what else there is to know of a room (XEP-0045, section 15.5.4).
func (r *room) roomInfo() string {
	return written(form.New(
		form.Result,
		form.Hidden("FORM_TYPE", form.Value(muc.NS+"#roominfo")),
		form.Text("muc#roominfo_description", form.Value(r.config.Name)),
		form.Text("muc#roominfo_occupants", form.Value(strconv.Itoa(r.Len()))),
		form.Text("muc#maxhistoryfetch", form.Value(strconv.Itoa(r.config.History))),
	).TokenReader())
}

// items lists the rooms of the service, or for those who are inside, who else is.
func (s *Service) items(q request, r *room) {
	var b strings.Builder
	b.WriteString(`<query xmlns="` + disco.NSItems + `">`)
	add := func(j jid.JID, name string) {
		b.WriteString(`<item jid="` + escaped(j.String()) + `"`)
		if name != "" {
			b.WriteString(` name="` + escaped(name) + `"`)
		}
		b.WriteString("/>")
	}
	if r == nil {
		for _, name := range slices.Sorted(maps.Keys(s.rooms)) {
			if one := s.rooms[name]; one.config.Public && !one.locked {
				add(one.Address(), one.config.Name)
			}
		}
	} else if _, inside := r.Client(q.from); inside {
		for o := range r.Occupants() {
			add(r.at(o.Nick), "")
		}
	}
	s.send(q.reply("result", b.String()+"</query>"))
}
