// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat_test

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/examples/mucroom/groupchat"
)

const (
	domain = "rooms.example"
	cave   = "cave@" + domain

	// What a client sends to enter, and to be told what it has missed later on.
	plain = `<x xmlns="http://jabber.org/protocol/muc"/>`
	fast  = plain + `<presence-session xmlns="urn:xmpp:presence-session:0"/>`

	header = `<stream:stream xmlns="jabber:component:accept" xmlns:stream="http://etherx.jabber.org/streams">`
)

// A house is a service with its clients.
type house struct {
	t       *testing.T
	service *groupchat.Service
	clients map[string]*client
	others  []string // what was sent to those who are none of them
}

// open returns a house with a service.
func open(t *testing.T, opts groupchat.Options) *house {
	t.Helper()
	h := &house{t: t, clients: make(map[string]*client)}
	opts.Send = h.deliver
	s, err := groupchat.Open(t.Context(), jid.MustParse(domain), opts)
	require.NoError(t, err)
	h.service = s
	return h
}

// deliver takes what the service sends to where it is for.
func (h *house) deliver(all ...groupchat.Stanza) {
	for _, one := range all {
		text := string(one.AppendXML(nil))
		s := parse(h.t, text)
		if c := h.clients[s.To]; c != nil {
			c.inbox = append(c.inbox, s)
			if s.Session != nil && s.Session.ID != "" {
				c.last = *s.Session
			}
		} else {
			h.others = append(h.others, text)
		}
	}
}

// handle gives the service a stanza, as a server would.
func (h *house) handle(text string) {
	h.t.Helper()
	d := xml.NewDecoder(strings.NewReader(header + text))
	_, err := d.Token()
	require.NoError(h.t, err)
	t, err := d.Token()
	require.NoError(h.t, err, text)
	start, ok := t.(xml.StartElement)
	require.True(h.t, ok, text)
	children := xmlstream.Inner(d)
	h.service.Handle(start, children)
	_, err = xmlstream.Copy(xmlstream.Discard(), children)
	require.NoError(h.t, err, text)
}

// A client is one of an account's.
type client struct {
	h     *house
	jid   string
	inbox []heard
	last  session // of what it has received
}

// client returns a client, which is told what is sent to it.
func (h *house) client(full string) *client {
	c := &client{h: h, jid: full}
	h.clients[full] = c
	return c
}

// send sends a stanza, of which the sender is added.
func (c *client) send(text string) {
	c.h.t.Helper()
	name, rest, _ := strings.Cut(text, " ")
	c.h.handle(name + ` from="` + c.jid + `" ` + rest)
}

func (c *client) sendf(format string, args ...any) {
	c.h.t.Helper()
	c.send(fmt.Sprintf(format, args...))
}

// hears returns what the client has received since it was asked last.
func (c *client) hears() []string {
	all := make([]string, len(c.inbox))
	for i, one := range c.inbox {
		all[i] = one.String()
	}
	c.inbox = nil
	return all
}

// ask sends a request, and returns the answer.
func (c *client) ask(kind, to, payload string) heard {
	c.h.t.Helper()
	c.inbox = slices.DeleteFunc(c.inbox, func(s heard) bool { return s.ID == "asked" })
	c.sendf(`<iq type="%s" to="%s" id="asked">%s</iq>`, kind, to, payload)
	for i, one := range c.inbox {
		if one.ID == "asked" && one.XMLName.Local == "iq" && one.Type != "get" && one.Type != "set" {
			c.inbox = slices.Delete(c.inbox, i, i+1)
			return one
		}
	}
	require.Fail(c.h.t, "there is no answer", "%s to %s", payload, to)
	return heard{}
}

// join enters the cave, or wants to.
func (c *client) join(nick, children string) []string {
	c.h.t.Helper()
	c.inbox = nil
	c.sendf(`<presence to="%s/%s">%s</presence>`, cave, nick, children)
	return c.hears()
}

// resume enters it again from the last that was received.
func (c *client) resume(nick string) []string {
	c.h.t.Helper()
	return c.join(nick, plain+c.last.resume())
}

// leave leaves it.
func (c *client) leave(nick string) {
	c.h.t.Helper()
	c.sendf(`<presence to="%s/%s" type="unavailable"/>`, cave, nick)
}

// configure fills in a room's form: names of fields and values.
func (c *client) configure(fields ...string) {
	c.h.t.Helper()
	require.Equal(c.h.t, "result", c.submit(fields...).Type)
	for _, one := range c.h.clients {
		one.inbox = slices.DeleteFunc(one.inbox, func(s heard) bool {
			return s.XMLName.Local == "message" && s.X != nil && len(s.X.Status) > 0
		})
	}
}

func (c *client) submit(fields ...string) heard {
	c.h.t.Helper()
	text := `<field var="FORM_TYPE"><value>http://jabber.org/protocol/muc#roomconfig</value></field>`
	for pair := range slices.Chunk(fields, 2) {
		name := "muc#roomconfig_" + pair[0]
		if strings.HasPrefix(pair[0], "muc#") {
			name = pair[0]
		}
		text += `<field var="` + name + `"><value>` + pair[1] + `</value></field>`
	}
	return c.ask("set", cave, `<query xmlns="http://jabber.org/protocol/muc#owner"><x xmlns="jabber:x:data" type="submit">`+text+`</x></query>`)
}

// admin changes affiliations or roles, and returns the condition that it is refused with.
func (c *client) admin(items string) string {
	c.h.t.Helper()
	return c.ask("set", cave, `<query xmlns="http://jabber.org/protocol/muc#admin">`+items+`</query>`).condition()
}

// coven opens a house in which the cave is, unlocked, and its owner inside as crone.
func coven(t *testing.T, fields ...string) (h *house, owner *client) {
	t.Helper()
	h = open(t, groupchat.Options{})
	owner = h.client("crone@shakespeare.example/desk")
	owner.join("crone", fast)
	owner.configure(fields...)
	owner.hears()
	return h, owner
}

// quiet empties the inboxes of all.
func (h *house) quiet() {
	for _, c := range h.clients {
		c.inbox = nil
	}
}
