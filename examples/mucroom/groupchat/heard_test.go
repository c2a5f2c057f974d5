// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat_test

import (
	"encoding/xml"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// heard is a stanza that a client has received.
type heard struct {
	XMLName xml.Name
	From    string   `xml:"from,attr"`
	To      string   `xml:"to,attr"`
	Type    string   `xml:"type,attr"`
	ID      string   `xml:"id,attr"`
	X       *user    `xml:"http://jabber.org/protocol/muc#user x"`
	Session *session `xml:"urn:xmpp:presence-session:0 presence-session"`
	Show    string   `xml:"show"`
	Body    string   `xml:"body"`
	Subject *string  `xml:"subject"`
	Delay   *struct {
		From  string `xml:"from,attr"`
		Stamp string `xml:"stamp,attr"`
	} `xml:"urn:xmpp:delay delay"`
	Error *struct {
		Type       string `xml:"type,attr"`
		Conditions []struct {
			XMLName xml.Name
		} `xml:",any"`
	} `xml:"error"`
	text string
}

// user is what a room says about somebody.
type user struct {
	Item *struct {
		Affiliation string `xml:"affiliation,attr"`
		Role        string `xml:"role,attr"`
		JID         string `xml:"jid,attr"`
		Nick        string `xml:"nick,attr"`
		Actor       struct {
			Nick string `xml:"nick,attr"`
		} `xml:"actor"`
		Reason string `xml:"reason"`
	} `xml:"item"`
	Status []struct {
		Code int `xml:"code,attr"`
	} `xml:"status"`
	Destroy *struct {
		JID    string `xml:"jid,attr"`
		Reason string `xml:"reason"`
	} `xml:"destroy"`
}

// session is a presence-session element.
type session struct {
	Session string `xml:"session,attr"`
	ID      string `xml:"id,attr"`
	Type    string `xml:"type,attr"`
}

// resume returns what asks for what has happened since.
func (s session) resume() string {
	return `<presence-session xmlns="urn:xmpp:presence-session:0" session="` + s.Session + `" id="` + s.ID + `" type="resume"/>`
}

// parse reads what the service sends, with the namespace that it has on the stream.
func parse(t *testing.T, text string) heard {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(header + text + "</stream:stream>"))
	_, err := d.Token()
	require.NoError(t, err)
	h := heard{text: text}
	require.NoError(t, d.Decode(&h), text)
	require.Equal(t, "jabber:component:accept", h.XMLName.Space, text)
	end, err := d.Token()
	require.NoError(t, err, text)
	require.IsType(t, xml.EndElement{}, end, "it is one stanza: %s", text)
	return h
}

// condition returns that of an error, or an empty one.
func (h heard) condition() string {
	if h.Type != "error" || h.Error == nil {
		return ""
	}
	for _, c := range h.Error.Conditions {
		if c.XMLName.Space == "urn:ietf:params:xml:ns:xmpp-stanzas" && c.XMLName.Local != "text" {
			return c.XMLName.Local
		}
	}
	return "no condition"
}

// String says it in short: who it is from, what it says, and with a star if it is
// annotated.
func (h heard) String() string {
	_, nick, _ := strings.Cut(h.From, "/")
	if nick == "" {
		nick, _, _ = strings.Cut(h.From, "@")
		nick = strings.ToUpper(nick)
	}
	said := []string{nick}
	add := func(prefix, text string) {
		if text != "" {
			said = append(said, prefix+text)
		}
	}
	switch {
	case h.Type == "error":
		add("", h.XMLName.Local)
		add("error ", h.condition())
	case h.XMLName.Local == "iq":
		add("iq ", h.Type)
	case h.XMLName.Local == "presence":
		add("", h.Type)
		if h.Type == "unavailable" && h.X == nil && h.Session == nil {
			add("", "reset")
		}
		add("", h.Show)
	default:
		if h.Type != "groupchat" {
			add("", "message")
			add("", h.Type)
		}
		add("says ", h.Body)
		if h.Subject != nil {
			add("subject ", strconv.Quote(*h.Subject))
		}
		if h.Session != nil {
			add("", h.Session.Type)
		}
		if h.Delay != nil && h.Delay.Stamp != "" && strings.HasPrefix(h.From+"/", h.Delay.From+"/") {
			add("", "late") // The room says so.
		}
	}
	if h.X != nil {
		if i := h.X.Item; i != nil {
			add("", i.Affiliation+"/"+i.Role)
			add("jid=", i.JID)
			add("nick=", i.Nick)
			add("actor=", i.Actor.Nick)
			add("reason=", i.Reason)
		}
		if d := h.X.Destroy; d != nil {
			add("destroyed ", strings.TrimSpace(d.JID+" "+d.Reason))
			if d.JID+d.Reason == "" {
				add("", "destroyed")
			}
		}
		for _, s := range h.X.Status {
			add("", strconv.Itoa(s.Code))
		}
	}
	if h.Session != nil && h.Session.ID != "" {
		add("", "*")
	}
	return strings.Join(said, " ")
}
