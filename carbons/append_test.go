// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package carbons_test

import (
	"encoding/xml"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/carbons"
)

const plain = `<message xmlns="jabber:client" from="juliet@capulet.example/balcony" to="romeo@montague.example" type="chat"><body>hi</body></message>`

func TestAppend(t *testing.T) {
	t.Run("CA-11: the bytes", func(t *testing.T) {
		assert.Equal(t, `<message xmlns="jabber:client" from="romeo@montague.example" to="romeo@montague.example/home" type="chat">`+
			`<received xmlns="urn:xmpp:carbons:2"><forwarded xmlns="urn:xmpp:forward:0">`+plain+`</forwarded></received></message>`,
			string(carbons.Append(nil, carbons.Received, home, stanza.ChatMessage, []byte(plain))))
	})
	t.Run("it appends", func(t *testing.T) {
		b := carbons.Append([]byte("1"), carbons.Sent, home, stanza.ChatMessage, []byte(plain))
		assert.Equal(t, "1"+string(carbons.Append(nil, carbons.Sent, home, stanza.ChatMessage, []byte(plain))), string(b))
	})
	t.Run("CA-15: a copy has no id that a bounce could have", func(t *testing.T) {
		in := strings.Replace(plain, " type", ` id="1" type`, 1)
		copied := string(carbons.Append(nil, carbons.Received, home, stanza.ChatMessage, []byte(in)))
		assert.Empty(t, envelope(t, copied).ID)
		assert.Equal(t, 1, strings.Count(copied, `id="1"`), "that of the message in it")
	})
	t.Run("CA-19: the message keeps its namespace", func(t *testing.T) {
		tokens, err := all(reader(string(carbons.Append(nil, carbons.Received, home, stanza.ChatMessage, []byte(plain)))))
		require.NoError(t, err)
		assert.Equal(t, xml.Name{Space: stanza.NSClient, Local: "message"}, tokens[3].(xml.StartElement).Name)
		assert.Equal(t, xml.Name{Space: stanza.NSClient, Local: "body"}, tokens[4].(xml.StartElement).Name)
	})
	t.Run("CA-19: when it was received", func(t *testing.T) {
		at := time.Date(2010, 7, 10, 23, 8, 25, 5e8, time.FixedZone("", 3600))
		copied := string(carbons.AppendAt(nil, carbons.Received, home, stanza.ChatMessage, at, []byte(plain)))
		assert.Contains(t, copied, `<forwarded xmlns="urn:xmpp:forward:0"><delay xmlns="urn:xmpp:delay" stamp="2010-07-10T22:08:25.5Z"/><message `)
		assert.Equal(t, canonical(t, copied), canonical(t, encode(t, carbons.WrapAt(carbons.Received, home, stanza.ChatMessage, at, reader(plain)))))
		c, err := carbons.Unwrap(romeo, envelope(t, copied), reader(copied))
		require.NoError(t, err)
		assert.True(t, at.Equal(c.Stamp), c.Stamp)
	})
	for typ, want := range map[stanza.MessageType]string{
		stanza.ChatMessage: "chat", stanza.NormalMessage: "normal", stanza.HeadlineMessage: "headline", stanza.ErrorMessage: "error",
		stanza.GroupChatMessage: "groupchat", "": "normal", `"><evil`: "normal",
	} {
		t.Run("CA-11: type "+string(typ), func(t *testing.T) {
			copied := string(carbons.Append(nil, carbons.Sent, home, typ, []byte(plain)))
			assert.Contains(t, copied, `example/home" type="`+want+`"><sent `)
			assert.Equal(t, canonical(t, copied), canonical(t, encode(t, carbons.Wrap(carbons.Sent, home, typ, reader(plain)))))
		})
	}
	for _, resource := range []string{`a"b`, "a'b", "<a>&amp;", "a/b@c", "ä☃"} {
		t.Run("an address of any characters: "+resource, func(t *testing.T) {
			to, err := romeo.WithResource(resource)
			require.NoError(t, err)
			copied := string(carbons.Append(nil, carbons.Received, to, stanza.ChatMessage, []byte(plain)))
			assert.Equal(t, to, envelope(t, copied).To)
			assert.Equal(t, romeo, envelope(t, copied).From)
		})
	}
	t.Run("an account without a localpart", func(t *testing.T) {
		copied := string(carbons.Append(nil, carbons.Received, jid.MustParse("bot.example/1"), stanza.ChatMessage, []byte(plain)))
		assert.Contains(t, copied, ` from="bot.example" to="bot.example/1" `)
	})
}

func TestWrap(t *testing.T) {
	const want = `<message xmlns="jabber:client" type="chat" to="romeo@montague.example/home" from="romeo@montague.example">` +
		`<received xmlns="urn:xmpp:carbons:2"><forwarded xmlns="urn:xmpp:forward:0">` +
		`<message xmlns="jabber:client" from="juliet@capulet.example"><body xmlns="jabber:client">hi</body></message></forwarded></received></message>`
	wrap := func(r xml.TokenReader) string {
		return encode(t, carbons.Wrap(carbons.Received, home, stanza.ChatMessage, r))
	}
	t.Run("CA-19: AC-04: from a client", func(t *testing.T) {
		assert.Equal(t, want, wrap(reader(`<message xmlns="jabber:client" from="juliet@capulet.example"><body>hi</body></message>`)))
	})
	t.Run("CA-19: AC-04: from a server", func(t *testing.T) {
		assert.Equal(t, want, wrap(reader(`<message xmlns="jabber:server" from="juliet@capulet.example"><body>hi</body></message>`)))
	})
	t.Run("CA-19: AC-04: without a namespace", func(t *testing.T) {
		got := wrap(stanza.Message{From: balcony.Bare()}.Wrap(
			xmlstream.Wrap(xmlstream.Token(xml.CharData("hi")), xml.StartElement{Name: xml.Name{Local: "body"}})))
		c, err := carbons.Unwrap(romeo, envelope(t, got), reader(got))
		require.NoError(t, err)
		assert.Equal(t, xml.Name{Space: stanza.NSClient, Local: "body"}, c.Tokens[1].(xml.StartElement).Name)
	})
	t.Run("what it holds is left alone", func(t *testing.T) {
		got := wrap(reader(`<message xmlns="jabber:server" xmlns:x="urn:x"><x:forwarded x:a="1"><message xmlns="jabber:server"/></x:forwarded></message>`))
		assert.Contains(t, got, `<forwarded xmlns="urn:x" xmlns:_="urn:x" _:a="1"><message xmlns="jabber:server"></message></forwarded>`)
	})
	t.Run("CA-18: the id that an archive has given is in the copy", func(t *testing.T) {
		const id = `<stanza-id xmlns="urn:xmpp:sid:0" by="romeo@montague.example" id="7"></stanza-id>`
		got := wrap(reader(strings.Replace(plain, "</message>", id+"</message>", 1)))
		assert.Contains(t, got, id+"</message></forwarded></received></message>")
	})
}
