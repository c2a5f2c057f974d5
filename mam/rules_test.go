// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam_test

import (
	"encoding/xml"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

// content reads a message.
func content(t testing.TB, message string) (mam.Content, []byte) {
	t.Helper()
	c, raw, err := mam.Read(xml.NewDecoder(strings.NewReader(message)))
	require.NoError(t, err)
	return c, raw
}

func TestStorageRules(t *testing.T) {
	const (
		body    = "<body>hi</body>"
		noStore = `<no-store xmlns="urn:xmpp:hints"/>`
		noPerm  = `<no-permanent-store xmlns="urn:xmpp:hints"/>`
		store   = `<store xmlns="urn:xmpp:hints"/>`
		typing  = `<composing xmlns="http://jabber.org/protocol/chatstates"/>`
		marker  = `<displayed xmlns="urn:xmpp:chat-markers:0" id="m1"/>`
	)
	for _, test := range []struct {
		rule, typ, inner string
		account, room    bool
	}{
		{"MA-37 chat with a body", "chat", body, true, false},
		{"MA-37 normal with a body", "normal", body, true, false},
		{"MA-37 normal without a type", "", body, true, false},
		{"MA-37 an empty body is a body", "chat", "<body/>", true, false},
		{"MA-37 headline", "headline", body, false, false},
		{"MA-37 error", "error", body, false, false},
		{"MA-37 chat without a body", "chat", typing, false, false},
		{"MA-37 no-store", "chat", body + noStore, false, false},
		{"MA-37 no-permanent-store", "chat", body + noPerm, false, false},
		{"MA-37 store", "chat", marker + store, true, false},
		{"MA-37 no-store and store", "chat", body + store + noStore, false, false},
		{"MA-37 a body of something else", "chat", `<body xmlns="urn:example">hi</body>`, false, false},
		{"MA-40 said in a room", "groupchat", body, false, true},
		{"MA-40 a subject", "groupchat", "<subject>tea</subject>", false, true},
		{"MA-40 an empty subject", "groupchat", "<subject/>", false, true},
		{"MA-40 typing in a room", "groupchat", typing, false, false},
		{"MA-41 a private message", "chat", body + `<x xmlns="http://jabber.org/protocol/muc#user"/>`, true, false},
	} {
		t.Run(test.rule, func(t *testing.T) {
			typ := ""
			if test.typ != "" {
				typ = ` type="` + test.typ + `"`
			}
			c, _ := content(t, `<message xmlns="jabber:client" from="romeo@montague.lit/orchard" to="juliet@capulet.lit"`+typ+`>`+test.inner+`</message>`)
			assert.Equal(t, test.account, c.ForAccount(), "in an account's archive")
			assert.Equal(t, test.room, c.ForRoom(), "in a room's archive")
		})
	}
}

func TestForArchive(t *testing.T) {
	for _, test := range []struct {
		rule, envelope, inner string
		with, conversation    string
		unread                bool
	}{
		{"incoming", `from="romeo@montague.lit/orchard" to="juliet@capulet.lit" type="chat"`, "<body/>", "romeo@montague.lit/orchard", "", true},
		{"outgoing", `from="juliet@capulet.lit/chamber" to="romeo@montague.lit" type="chat"`, "<body/>", "romeo@montague.lit", "", false},
		{"to oneself", `from="juliet@capulet.lit/chamber" to="juliet@capulet.lit" type="chat"`, "<body/>", "juliet@capulet.lit", "", false},
		{"to nobody", `from="juliet@capulet.lit/chamber" type="chat"`, "<body/>", "juliet@capulet.lit", "", false},
		{"D-04 without a body", `from="romeo@montague.lit/orchard" to="juliet@capulet.lit" type="chat"`, "<subject/>", "romeo@montague.lit/orchard", "", false},
		{"D-04 from somebody in a room", `from="coven@chat.shakespeare.lit/hag" to="juliet@capulet.lit" type="chat"`, `<body/><x xmlns="http://jabber.org/protocol/muc#user"/>`, "coven@chat.shakespeare.lit/hag", "coven@chat.shakespeare.lit/hag", true},
	} {
		t.Run(test.rule, func(t *testing.T) {
			c, raw := content(t, `<message xmlns="jabber:client" id="m" `+test.envelope+`>`+test.inner+`</message>`)
			m := c.ForArchive(juliet, raw)
			conversation := jid.JID{}
			if test.conversation != "" {
				conversation = jid.MustParse(test.conversation)
			}
			assert.Equal(t, mam.Message{With: jid.MustParse(test.with), Conversation: conversation, XML: raw, StanzaID: "m", Unread: test.unread}, m)
		})
	}
	t.Run("a marker", func(t *testing.T) {
		c, _ := content(t, `<message xmlns="jabber:client" from="juliet@capulet.lit/chamber" to="romeo@montague.lit"><displayed xmlns="urn:xmpp:chat-markers:0" id="m1"/></message>`)
		assert.Equal(t, "m1", c.Displayed)
	})
}

func TestReadAttributes(t *testing.T) {
	c, raw := content(t, `<message xmlns="jabber:client" xmlns:c="jabber:client" xmlns:s="jabber:server" from="romeo@montague.lit" to="juliet@capulet.lit" c:from="nurse@capulet.lit" s:to="nurse@capulet.lit"><body>hi</body></message>`)
	assert.Equal(t, "romeo@montague.lit", c.Message.From.String(), "attributes with a prefix are no addresses")
	assert.Equal(t, "juliet@capulet.lit", c.Message.To.String())
	assert.Equal(t, `<message xmlns="jabber:client" from="romeo@montague.lit" to="juliet@capulet.lit"><body>hi</body></message>`, string(raw))
}

func TestReadRefuses(t *testing.T) {
	for _, message := range []string{
		"", "text", `<iq xmlns="jabber:client"/>`, `<message xmlns="jabber:client" from="@@"/>`,
		`<message xmlns="jabber:client"/><message xmlns="jabber:client"/>`,
	} {
		_, _, err := mam.Read(xml.NewDecoder(strings.NewReader(message)))
		assert.Error(t, err, message)
	}
	_, _, err := mam.Read(xml.NewDecoder(strings.NewReader(`<message xmlns="jabber:client"><body>` + strings.Repeat("x", 1<<20) + `</body></message>`)))
	require.ErrorIs(t, err, mam.ErrTooLarge)
}

func TestPreferences(t *testing.T) {
	inRoster := func(j jid.JID) bool { return j.Equal(romeo.Bare()) }
	list := func(s ...string) (jids []jid.JID) {
		for _, j := range s {
			jids = append(jids, jid.MustParse(j))
		}
		return jids
	}
	for _, test := range []struct {
		rule string
		p    mam.Preferences
		with jid.JID
		want bool
	}{
		{"nothing set", mam.Preferences{}, romeo, true},
		{"always", mam.Preferences{Default: mam.Always}, nurse, true},
		{"never", mam.Preferences{Default: mam.Never}, romeo, false},
		{"PR-07 in the roster", mam.Preferences{Default: mam.Roster}, romeo, true},
		{"PR-07 not in the roster", mam.Preferences{Default: mam.Roster}, nurse, false},
		{"PR-06 always listed", mam.Preferences{Default: mam.Never, Always: list("romeo@montague.lit")}, romeo, true},
		{"PR-06 never listed", mam.Preferences{Default: mam.Always, Never: list("romeo@montague.lit")}, romeo, false},
		{"PR-06 AA-17 in both lists", mam.Preferences{Default: mam.Always, Always: list("romeo@montague.lit"), Never: list("romeo@montague.lit")}, romeo, false},
		{"PR-07 a resource that is listed", mam.Preferences{Default: mam.Never, Always: list("romeo@montague.lit/orchard")}, romeo, true},
		{"PR-07 another resource", mam.Preferences{Default: mam.Never, Always: list("romeo@montague.lit/garden")}, romeo, false},
	} {
		t.Run(test.rule, func(t *testing.T) {
			assert.Equal(t, test.want, test.p.Allow(test.with, inRoster))
		})
	}
	assert.False(t, mam.Preferences{Default: mam.Roster}.Allow(romeo, nil), "without a roster nobody is in it")
}
