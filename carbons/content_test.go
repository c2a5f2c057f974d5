// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package carbons_test

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/carbons"
)

const (
	body     = `<body>hi</body>`
	room     = `<x xmlns="http://jabber.org/protocol/muc#user"/>`
	direct   = `<x xmlns="jabber:x:conference" jid="coven@chat.example"/>`
	mediated = `<x xmlns="http://jabber.org/protocol/muc#user"><invite from="crone@shakespeare.example"/></x>`
	declined = `<x xmlns="http://jabber.org/protocol/muc#user"><decline from="crone@shakespeare.example"/></x>`
	private  = `<private xmlns="urn:xmpp:carbons:2"/>`
	noCopy   = `<no-copy xmlns="urn:xmpp:hints"/>`
	hints    = `<store xmlns="urn:xmpp:hints"/><copy xmlns="urn:xmpp:hints"/>`
	typing   = `<composing xmlns="http://jabber.org/protocol/chatstates"/>`
	receipt  = `<received xmlns="urn:xmpp:receipts" id="1"/>`
	please   = `<request xmlns="urn:xmpp:receipts"/>`
	marker   = `<displayed xmlns="urn:xmpp:chat-markers:0" id="1"/>`
	markable = `<markable xmlns="urn:xmpp:chat-markers:0"/>`
	event    = `<event xmlns="http://jabber.org/protocol/pubsub#event"/>`
	failed   = `<error type="cancel"><service-unavailable xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>`
)

// carbon is a copy in a direction of a message, without the message around it.
func carbon(direction, message string) string {
	return `<` + direction + ` xmlns="urn:xmpp:carbons:2"><forwarded xmlns="urn:xmpp:forward:0">` + message + `</forwarded></` + direction + `>`
}

// TestEligible is the table of all rules. The peer is a bare JID, a full one, a room
// or somebody in it.
func TestEligible(t *testing.T) {
	const (
		bare   = "juliet@capulet.example"
		full   = "juliet@capulet.example/balcony"
		coven  = "coven@chat.example"
		crone  = "coven@chat.example/crone"
		forged = `<received xmlns="urn:xmpp:carbons:2"/>`
	)
	for _, test := range []struct {
		rule, peer, typ, inner string
		received, sent         bool
	}{
		{"CA-05: chat with a body", full, "chat", body, true, true},
		{"CA-05: chat to a bare JID", bare, "chat", body, true, true},
		{"CA-05: chat without anything", full, "chat", "", true, true},
		{"CA-05: chat with anything", full, "chat", event, true, true},
		{"CA-05: normal with a body", full, "normal", body, true, true},
		{"CA-05: normal without a type", full, "", body, true, true},
		{"CA-05: normal with a type that nobody knows", full, "poem", body, true, true},
		{"CA-05: an empty body is a body", full, "normal", "<body/>", true, true},
		{"CA-05: normal without a body", full, "normal", "<subject>tea</subject>", false, false},
		{"CA-05: a body of something else", full, "normal", `<body xmlns="urn:example">hi</body>`, false, false},
		{"CA-05: a body further down", full, "normal", `<html xmlns="urn:example"><body xmlns="jabber:client">hi</body></html>`, false, false},
		{"CA-05: a chat state", full, "normal", typing, true, true},
		{"CA-05: a receipt", full, "normal", receipt, true, true},
		{"CA-05: a request for a receipt", full, "normal", please, true, true},
		{"CA-05: a marker", full, "normal", marker, true, true},
		{"CA-05: a request for markers", full, "normal", markable, true, true},
		{"CA-05: a receipt further down", full, "normal", `<other xmlns="urn:example">` + receipt + `</other>`, false, false},
		{"CA-05: headline", full, "headline", body, false, false},
		{"CA-05: a notification", bare, "headline", event, false, false},
		{"CA-05: headline with a receipt", full, "headline", receipt, true, true},
		{"CA-05: an error that answers nothing known", full, "error", failed, false, false},
		{"AC-14: an error that quotes what would be copied", full, "error", body + please + direct + failed, false, false},

		{"CA-06: said in a room", crone, "groupchat", body, false, false},
		{"CA-06: said to a room", coven, "groupchat", body, false, false},
		{"CA-06: a chat state in a room", crone, "groupchat", typing, false, false},
		{"CA-06: an invitation in a room", crone, "groupchat", direct, false, false},
		{"CA-06: a room's own invitation to a room", coven, "groupchat", mediated, false, false},
		{"AC-07: said in a room with hints that ask for more", crone, "groupchat", body + room + please + hints, false, false},

		{"CA-07: a direct invitation", full, "normal", direct, true, true},
		{"CA-07: a direct invitation as a headline", full, "headline", direct, true, true},
		{"CA-07: another element of the same namespace", full, "normal", `<y xmlns="jabber:x:conference"/>`, false, false},
		{"CA-07: an invitation through a room", coven, "normal", mediated, true, true},
		{"CA-07: both", coven, "", mediated + direct, true, true},
		{"CA-07: through a room, by somebody in it", crone, "normal", mediated, true, true},
		{"CA-07: in the second of two elements", crone, "normal", room + mediated, true, true},
		{"CA-07: in the first of two elements", crone, "normal", mediated + room, true, true},
		{"CA-07: an invitation is refused without a word", coven, "normal", declined, false, false},
		{"CA-07: an invitation is refused", coven, "normal", body + declined, true, true},
		{"CA-07: invite of something else", full, "normal", `<x xmlns="http://jabber.org/protocol/muc#user"><invite xmlns="urn:example"/></x>`, false, true},
		{"CA-07: invite further down", crone, "normal", `<x xmlns="http://jabber.org/protocol/muc#user"><y><invite/></y></x>`, false, true},
		{"CA-07: invite outside of its element", full, "normal", `<x xmlns="urn:example"><invite xmlns="http://jabber.org/protocol/muc#user"/></x>`, false, false},

		{"CA-08: private chat in a room", crone, "chat", body + room, false, true},
		{"CA-08: private chat, with the element in front", crone, "chat", room + body, false, true},
		{"CA-08: a private message in a room", crone, "normal", room, false, true},
		{"CA-08: private, with a receipt", crone, "chat", body + please + room, false, true},
		{"CA-08: private, with a direct invitation", crone, "chat", direct + room, false, true},
		{"CA-08: without the element it is not known", crone, "chat", body, true, true},
		{"CA-08: from a room itself", coven, "normal", body + room, true, true},
		{"CA-08: from a room itself, without a body", coven, "normal", room, false, false},

		{"CA-14: private", full, "chat", body + private, false, false},
		{"CA-14: private in front", full, "chat", private + body, false, false},
		{"CA-14: private, to a bare JID", bare, "chat", body + private, false, false},
		{"CA-14: the hint", full, "chat", body + noCopy, false, false},
		{"CA-14: both", full, "chat", body + private + noCopy, false, false},
		{"CA-14: a private invitation", full, "normal", direct + private, false, false},
		{"CA-14: private of something else", full, "chat", body + `<private xmlns="jabber:iq:private"/>`, true, true},
		{"CA-14: private further down", full, "chat", `<other xmlns="urn:example">` + private + noCopy + `</other>`, true, true},
		{"CA-14: other hints", full, "chat", body + `<no-store xmlns="urn:xmpp:hints"/>`, true, true},
		{"AC-06: private, by a contact", full, "chat", private, false, false},

		{"CA-21: a copy", full, "chat", carbon("received", message(full, bare, "chat", body)), false, false},
		{"CA-21: a sent copy", full, "chat", carbon("sent", message(full, bare, "chat", body)), false, false},
		{"CA-21: a copy with more", full, "normal", body + please + forged, false, false},
		{"CA-21: an element of somebody else", full, "chat", `<received xmlns="urn:example"/>`, true, true},
		{"CA-21: forwarded by somebody", full, "chat", body + `<forwarded xmlns="urn:xmpp:forward:0">` + message(full, bare, "chat", private) + `</forwarded>`, true, true},

		{"the type is an attribute without a namespace", full, `groupchat" xmlns:c="jabber:client" c:type="chat`, body, false, false},
	} {
		t.Run(test.rule, func(t *testing.T) {
			in := message(test.peer, "romeo@montague.example/garden", test.typ, test.inner)
			assert.Equal(t, test.received, read(t, in).Eligible(carbons.Received), "received: %s", in)
			out := message("romeo@montague.example/garden", test.peer, test.typ, test.inner)
			assert.Equal(t, test.sent, read(t, out).Eligible(carbons.Sent), "sent: %s", out)
			server := strings.Replace(in, "jabber:client", "jabber:server", 1)
			assert.Equal(t, test.received, read(t, server).Eligible(carbons.Received), "from another server: %s", server)
		})
	}
}

func TestEligibleError(t *testing.T) {
	bounce := read(t, message("juliet@capulet.example", "romeo@montague.example/garden", "error", failed))
	assert.False(t, bounce.Eligible(carbons.Received))
	bounce.Answers = true
	assert.True(t, bounce.Eligible(carbons.Received), "CA-05: it answers what was copied")

	private := read(t, message("juliet@capulet.example", "romeo@montague.example/garden", "error", private+failed))
	private.Answers = true
	assert.False(t, private.Eligible(carbons.Received), "CA-14: even if it answers what was copied")

	for name, inner := range map[string]string{"without payload": failed, "with the copy in it": carbon("received", "") + failed} {
		t.Run("CA-15: AC-08: the bounce of a copy, "+name, func(t *testing.T) {
			c := read(t, message("romeo@montague.example/home", "romeo@montague.example", "error", inner))
			c.Answers = true // Whatever the caller believes.
			assert.False(t, c.Eligible(carbons.Sent))
			assert.False(t, c.Eligible(carbons.Received))
		})
	}
	t.Run("CA-15: the bounce of a copy, without an address", func(t *testing.T) {
		c := read(t, `<message xmlns="jabber:client" from="romeo@montague.example/home" type="error">`+failed+`</message>`)
		c.Answers = true
		assert.False(t, c.Eligible(carbons.Sent))
	})
	t.Run("a resource answers another one", func(t *testing.T) {
		c := read(t, message("romeo@montague.example/home", "romeo@montague.example/garden", "error", failed))
		c.Answers = true
		assert.True(t, c.Eligible(carbons.Sent))
	})
}

func TestEligibleDirection(t *testing.T) {
	c := read(t, message("juliet@capulet.example", "romeo@montague.example", "chat", body))
	assert.False(t, c.Eligible(0))
	assert.False(t, c.Eligible(carbons.Sent+1))
	assert.False(t, carbons.Content{}.Eligible(carbons.Received), "nothing was seen")
}

func TestContent(t *testing.T) {
	addressed := message("juliet@capulet.example/balcony", "romeo@montague.example", "chat", "%s")
	for inner, want := range map[string]carbons.Content{
		body: {Body: true}, typing: {Payload: true}, direct: {Invitation: true}, mediated: {Invitation: true},
		room: {Occupant: true}, declined: {Occupant: true}, private: {Private: true}, noCopy: {Private: true},
		`<sent xmlns="urn:xmpp:carbons:2"/>`: {Copy: true},
		body + typing + direct + room:        {Body: true, Payload: true, Invitation: true, Occupant: true},
	} {
		want.Message = stanza.Message{
			XMLName: xml.Name{Space: stanza.NSClient, Local: "message"},
			From:    balcony, To: romeo, Type: stanza.ChatMessage,
		}
		assert.Equal(t, want, read(t, strings.Replace(addressed, "%s", inner, 1)), inner)
	}
}

func TestReadRefuses(t *testing.T) {
	for _, s := range []string{
		"", "text", "<!-- --><message/>", `<iq xmlns="jabber:client"/>`, `<message xmlns="urn:example"/>`,
		`<message from="@@"/>`, `<message/><message/>`, `<message/> `, `<message to="a@b/` + strings.Repeat("c", 1024) + `"/>`,
	} {
		_, err := carbons.Read(reader(s))
		assert.Error(t, err, s)
	}
	t.Run("it does not end", func(t *testing.T) {
		r := xmlstream.LimitReader(reader("<message type='chat'><body>hi</body></message>"), 4)
		_, err := carbons.Read(r)
		assert.Error(t, err)
	})
	t.Run("an error of the reader", func(t *testing.T) {
		_, err := carbons.Read(reader("<message><body></message>"))
		assert.ErrorAs(t, err, new(*xml.SyntaxError))
	})
	t.Run("tokens that are in no document", func(t *testing.T) {
		_, err := carbons.Read(xmlstream.Token(xml.EndElement{Name: xml.Name{Local: "message"}}))
		assert.Error(t, err)
	})
}

func TestWatch(t *testing.T) {
	const in = `<message xmlns="jabber:client" xmlns:x="urn:x" from="juliet@capulet.example/balcony" x:y="z" type="chat"> <body xml:lang="en">hi &amp; ho</body><!-- c --><x:y/></message>`
	t.Run("all tokens pass unchanged", func(t *testing.T) {
		var c carbons.Content
		got, err := all(c.Watch(reader(in)))
		require.NoError(t, err)
		want, err := all(reader(in))
		require.NoError(t, err)
		assert.Equal(t, want, got)
		assert.True(t, c.Body)
		assert.True(t, c.Message.From.Equal(balcony))
	})
	t.Run("a token beside an error", func(t *testing.T) {
		tokens, err := all(reader("<message type='chat'/>"))
		require.NoError(t, err)
		var c carbons.Content
		got, err := all(c.Watch(xmlstream.ReaderFunc(func() (tok xml.Token, err error) {
			if tok, tokens = tokens[0], tokens[1:]; len(tokens) == 0 {
				err = io.EOF
			}
			return tok, err
		})))
		require.NoError(t, err)
		assert.Len(t, got, 2)
		assert.True(t, c.Eligible(carbons.Sent))
	})
	t.Run("an error of the reader", func(t *testing.T) {
		broken := errors.New("broken")
		var c carbons.Content
		_, err := all(c.Watch(xmlstream.MultiReader(
			xmlstream.LimitReader(reader(in), 5),
			xmlstream.ReaderFunc(func() (xml.Token, error) { return nil, broken }))))
		require.ErrorIs(t, err, broken)
		assert.True(t, c.Body)
		assert.False(t, c.Eligible(carbons.Received), "what comes behind it could be private")
	})
	t.Run("not to its end", func(t *testing.T) {
		var c carbons.Content
		r := c.Watch(reader(in))
		for range 4 {
			_, err := r.Token()
			require.NoError(t, err)
		}
		assert.True(t, c.Body)
		assert.False(t, c.Eligible(carbons.Received))
	})
	for name, s := range map[string]string{
		"no message": `<iq xmlns="jabber:client" type="chat"><body/></iq>`, "no address": `<message from="@@" type="chat"><body/></message>`,
		"another namespace": `<message xmlns="urn:example" type="chat"/>`, "text in front": `hi<message type="chat"/>`,
	} {
		t.Run(name, func(t *testing.T) {
			c := carbons.Content{Payload: true, Message: stanza.Message{Type: stanza.ChatMessage}}
			_, err := all(c.Watch(reader(s)))
			require.NoError(t, err)
			assert.False(t, c.Eligible(carbons.Sent), "what was in c before does not count")
		})
	}
	t.Run("one Content for one message after the other", func(t *testing.T) {
		var c carbons.Content
		for _, s := range []string{message("a.example", "b.example", "chat", private+room+typing), message("a.example", "b.example", "normal", body)} {
			_, err := all(c.Watch(reader(s)))
			require.NoError(t, err)
			assert.Equal(t, read(t, s), c)
		}
	})
	t.Run("only the first message counts", func(t *testing.T) {
		var c carbons.Content
		_, err := all(c.Watch(reader(`<message type="groupchat"/><message type="chat"><body/></message>`)))
		require.NoError(t, err)
		assert.Equal(t, stanza.GroupChatMessage, c.Message.Type)
		assert.False(t, c.Body)
	})
	t.Run("addresses are attributes without a namespace", func(t *testing.T) {
		c := read(t, `<message xmlns="jabber:client" xmlns:c="jabber:client" from="tybalt@capulet.example/home" c:from="romeo@montague.example"/>`)
		assert.Equal(t, tybalt, c.Message.From)
		c = read(t, `<message xmlns="jabber:server" xmlns:c="jabber:server" from="tybalt@capulet.example/home" c:from="romeo@montague.example"/>`)
		assert.Equal(t, tybalt, c.Message.From)
		assert.Equal(t, jid.JID{}, c.Message.To)
	})
}
