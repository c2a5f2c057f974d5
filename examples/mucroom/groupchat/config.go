// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat

import (
	"encoding/xml"
	"strconv"
	"strings"

	"mellium.im/xmpp/form"

	"github.com/xmppext/xmppext/mucfr"
)

// Config is what a room is like.
type Config struct {
	Name          string `json:"name"`
	Password      string `json:"password"` // empty if none is needed
	Public        bool   `json:"public"`   // it is listed
	Persistent    bool   `json:"persistent"`
	MembersOnly   bool   `json:"members_only"`
	Moderated     bool   `json:"moderated"`
	NonAnonymous  bool   `json:"non_anonymous"`
	ChangeSubject bool   `json:"change_subject"` // participants may
	MaxUsers      int    `json:"max_users"`
	History       int    `json:"history"` // messages for somebody who enters
}

// DefaultConfig is what a room is like until its owner says something else.
func DefaultConfig() Config {
	return Config{Public: true, MaxUsers: 200, History: mucfr.DefaultHistory}
}

// room returns what a mucfr.Room has to know of it.
func (c Config) room() mucfr.Config {
	history := c.History
	if history == 0 {
		history = -1 // none
	}
	return mucfr.Config{NonAnonymous: c.NonAnonymous, History: history}
}

const (
	formConfig = "http://jabber.org/protocol/muc#roomconfig"
	field      = "muc#roomconfig_"

	whoisAll        = "anyone"
	whoisModerators = "moderators"
)

// form returns the form in which an owner changes it.
func (c Config) form() *form.Data {
	whois := whoisModerators
	if c.NonAnonymous {
		whois = whoisAll
	}
	boolean := func(name, label string, value bool) form.Field {
		return form.Boolean(field+name, form.Label(label), form.Value(strconv.FormatBool(value)))
	}
	text := func(name, label, value string) form.Field {
		return form.Text(field+name, form.Label(label), form.Value(value))
	}
	number := func(name, label string, value int) form.Field {
		return form.Text(name, form.Label(label), form.Value(strconv.Itoa(value)))
	}
	return form.New(
		form.Title("Room"),
		form.Hidden("FORM_TYPE", form.Value(formConfig)),
		text("roomname", "Name", c.Name),
		boolean("publicroom", "List the room", c.Public),
		boolean("persistentroom", "Keep the room when it is empty", c.Persistent),
		boolean("passwordprotectedroom", "A password is needed to enter", c.Password != ""),
		form.TextPrivate(field+"roomsecret", form.Label("Password"), form.Value(c.Password)),
		boolean("membersonly", "Only members may enter", c.MembersOnly),
		boolean("moderatedroom", "Only those who have voice may speak", c.Moderated),
		boolean("changesubject", "Participants may change the subject", c.ChangeSubject),
		form.List(field+"whois", form.Label("Who sees real addresses"), form.Value(whois),
			form.ListItem("Moderators", whoisModerators), form.ListItem("Anyone", whoisAll)),
		number(field+"maxusers", "Most occupants", c.MaxUsers),
		number("muc#maxhistoryfetch", "Messages for those who enter", c.History),
	)
}

// submitted is a form that somebody has filled in.
type submitted struct {
	XMLName xml.Name `xml:"jabber:x:data x"`
	Type    string   `xml:"type,attr"`
	Fields  []struct {
		Var    string   `xml:"var,attr"`
		Values []string `xml:"value"`
	} `xml:"field"`
}

// apply returns what a room is like with what an owner has filled in. Fields that are
// not there or not known change nothing. It may have so many occupants at most. If ok is
// false it cannot be.
func (f submitted) apply(c Config, most int) (_ Config, ok bool) {
	secret, protected := c.Password, c.Password != ""
	for _, one := range f.Fields {
		value := ""
		if len(one.Values) > 0 {
			value = strings.TrimSpace(one.Values[0])
		}
		if len(value) > MaxText {
			return c, false
		}
		name, _ := strings.CutPrefix(one.Var, field)
		ok := true
		switch name {
		case "FORM_TYPE":
			ok = value == formConfig
		case "roomname":
			c.Name = value
		case "roomsecret":
			secret = value
		case "publicroom":
			ok = yes(value, &c.Public)
		case "persistentroom":
			ok = yes(value, &c.Persistent)
		case "passwordprotectedroom":
			ok = yes(value, &protected)
		case "membersonly":
			ok = yes(value, &c.MembersOnly)
		case "moderatedroom":
			ok = yes(value, &c.Moderated)
		case "changesubject":
			ok = yes(value, &c.ChangeSubject)
		case "whois":
			c.NonAnonymous = value == whoisAll
			ok = value == whoisAll || value == whoisModerators
		case "maxusers":
			ok = number(value, 1, most, &c.MaxUsers)
		case "muc#maxhistoryfetch":
			ok = number(value, 0, mucfr.DefaultMessages, &c.History)
		}
		if !ok {
			return c, false
		}
	}
	if c.Password = ""; protected {
		c.Password = secret
	}
	return c, !protected || secret != ""
}

// yes reads a boolean as XML Schema has it.
func yes(value string, to *bool) bool {
	switch value {
	case "1", "true":
		*to = true
	case "0", "false":
		*to = false
	default:
		return false
	}
	return true
}

// number reads a number.
func number(value string, least, most int, to *int) bool {
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		return false
	}
	*to = n
	return true
}
