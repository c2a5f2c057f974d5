// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub_test

import (
	"context"
	"encoding/xml"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/bind2/hub"
	"github.com/xmppext/xmppext/mam"
)

// A wire is everybody elsewhere.
type wire struct {
	to   []jid.JID
	sent []arrival
	err  error
}

func (w *wire) remote(_ context.Context, to jid.JID, message []byte) error {
	a := arrival{raw: string(message)}
	if err := xml.Unmarshal(message, &a); err != nil {
		return err
	}
	w.to, w.sent = append(w.to, to), append(w.sent, a)
	return w.err
}

// A room is romeo's account with three clients: a sends, b has copies, c has none.
type room struct {
	*hub.Hub
	wire    wire
	a, b, c *hub.Resource
}

func newRoom(t *testing.T) *room {
	r := &room{Hub: &hub.Hub{Archive: new(mam.Memory), Offline: new(hub.MemoryOffline)}}
	r.Remote = r.wire.remote
	r.a, _ = bind(t, r.Hub, bind2.Inline, withCarbons(false))
	r.b, _ = bind(t, r.Hub, bind2.Inline)
	r.c, _ = bind(t, r.Hub, bind2.Inline, withCarbons(false))
	for _, client := range []*hub.Resource{r.a, r.b, r.c} {
		present(t, client, 0)
	}
	return r
}

// send lets a client send a message with some attributes and content.
func send(t testing.TB, r *hub.Resource, attrs, inside string) error {
	t.Helper()
	return r.Send(t.Context(), parsed(`<message xmlns="jabber:client" %s>%s</message>`, attrs, inside))
}

func toJuliet(more string) string { return `to="` + juliet.String() + `" ` + more }

func TestSend(t *testing.T) {
	t.Run("CA-12, CA-18, MA-07: copied with the archive's id, sent without", func(t *testing.T) {
		r := newRoom(t)
		require.NoError(t, send(t, r.a, toJuliet(`type="chat" id="x"`), "<body>hi</body>"))
		_, last, err := r.Archive.Ends(t.Context(), romeo)
		require.NoError(t, err)

		require.Len(t, r.wire.sent, 1)
		assert.Equal(t, juliet, r.wire.to[0])
		out := r.wire.sent[0]
		assert.Equal(t, r.a.JID().String(), out.From)
		assert.Equal(t, "hi", out.Body)
		assert.Empty(t, out.IDs)
		assert.NotContains(t, out.raw, last.ID)

		assert.Empty(t, arrived(t, r.a), "who has sent it gets no copy")
		assert.Empty(t, arrived(t, r.c))
		copies := arrived(t, r.b)
		require.Len(t, copies, 1)
		c := copies[0]
		assert.Equal(t, "sent hi", c.String())
		assert.Equal(t, romeo.String(), c.From)
		assert.Equal(t, r.b.JID().String(), c.To)
		assert.Equal(t, "chat", c.Type)
		assert.Equal(t, r.a.JID().String(), c.inner().From)
		assert.Equal(t, juliet.String(), c.inner().To)
		require.Len(t, c.inner().IDs, 1)
		assert.Equal(t, romeo.String(), c.inner().IDs[0].By)
		assert.Equal(t, last.ID, c.inner().IDs[0].ID)
		assert.Equal(t, []string{"hi"}, archived(t, r.Archive, romeo))
	})
	t.Run("somebody of the same server gets it once, and both archives have it", func(t *testing.T) {
		r := newRoom(t)
		benvolio := jid.MustParse("benvolio@montague.example")
		other, _ := bind(t, r.Hub, bind2.Early, of(benvolio))
		present(t, other, 0)
		require.NoError(t, send(t, r.a, `to="benvolio@montague.example" type="chat"`, "<body>hi</body>"))
		got := arrived(t, other)
		require.Len(t, got, 1)
		assert.Equal(t, "hi", got[0].String())
		assert.Equal(t, r.a.JID().String(), got[0].From)
		require.Len(t, got[0].IDs, 1)
		assert.Equal(t, benvolio.String(), got[0].IDs[0].By)
		for _, account := range []jid.JID{romeo, benvolio} {
			assert.Equal(t, []string{"hi"}, archived(t, r.Archive, account))
		}
		assert.Empty(t, r.wire.sent)
	})
	t.Run("nobody else is anywhere", func(t *testing.T) {
		r := newRoom(t)
		r.Remote = nil
		refusedWith(t, send(t, r.a, toJuliet(`type="chat"`), "<body>hi</body>"), stanza.RemoteServerNotFound)
	})
	t.Run("Local decides", func(t *testing.T) {
		r := newRoom(t)
		r.Local = func(account jid.JID) bool {
			assert.Equal(t, juliet.Bare(), account)
			return true
		}
		require.NoError(t, send(t, r.a, toJuliet(`type="chat"`), "<body>hi</body>"))
		assert.Equal(t, []string{"hi"}, waiting(t, r.Offline, juliet.Bare()))
	})
	t.Run("what others say about it is for the sender, and the account has it", func(t *testing.T) {
		r := newRoom(t)
		r.wire.err = stanza.Error{Type: stanza.Cancel, Condition: stanza.ItemNotFound}
		refusedWith(t, send(t, r.a, toJuliet(`type="chat"`), "<body>hi</body>"), stanza.ItemNotFound)
		assert.Equal(t, []string{"sent hi"}, texts(t, r.b))
		assert.Equal(t, []string{"hi"}, archived(t, r.Archive, romeo))
	})
	t.Run("the sender's context ends once the account has it", func(t *testing.T) {
		r := newRoom(t)
		ctx, cancel := context.WithCancel(t.Context())
		r.Remote = func(ctx context.Context, _ jid.JID, _ []byte) error {
			cancel()
			return ctx.Err()
		}
		assert.NoError(t, r.a.Send(ctx, parsed(`<message xmlns="jabber:client" to="%s" type="chat"><body>hi</body></message>`, juliet)))
	})
	t.Run("whatever it says it is from, it is from the resource", func(t *testing.T) {
		for _, from := range []string{
			`from="juliet@capulet.example/balcony"`,
			`from="romeo@montague.example/other"`,
			`from=""`,
			`from="@"`,
			`xmlns:c="jabber:client" c:from="juliet@capulet.example/balcony"`,
			`xmlns:s="jabber:server" s:from="juliet@capulet.example/balcony"`,
		} {
			r := newRoom(t)
			require.NoError(t, send(t, r.a, from+` type="chat" to="romeo@montague.example"`, "<body>hi</body>"), from)
			got := arrived(t, r.c)
			require.Len(t, got, 1)
			assert.Equal(t, r.a.JID().String(), got[0].From)
			assert.NotContains(t, got[0].raw, "juliet")
			assert.Equal(t, 1, strings.Count(got[0].raw, `from="`))
			_, err := r.Archive.Query(t.Context(), romeo, mam.Query{Max: 1}, func(item mam.Item) error {
				assert.Equal(t, romeo, item.With, from)
				assert.False(t, item.Unread)
				return nil
			})
			require.NoError(t, err)
		}
	})
	t.Run("whom it is to is what everybody sees", func(t *testing.T) {
		r := newRoom(t)
		require.NoError(t, send(t, r.a, toJuliet(`type="chat" xmlns:c="jabber:client" c:to="tybalt@capulet.example" c:type="error"`), "<body>hi</body>"))
		require.Len(t, r.wire.to, 1)
		assert.Equal(t, juliet, r.wire.to[0])
		assert.NotContains(t, r.wire.sent[0].raw, "tybalt")
		assert.Equal(t, []string{"sent hi"}, texts(t, r.b))
	})
	for _, to := range []string{"@", "a@b@c/", "romeo@/x", "romeo@montague.example/a&#x9;b", strings.Repeat("x", 1100) + "@a"} {
		t.Run("to what is no address: "+to[:min(len(to), 20)], func(t *testing.T) {
			r := newRoom(t)
			refusedWith(t, send(t, r.a, `type="chat" to="`+to+`"`, "<body>hi</body>"), stanza.JIDMalformed)
			assert.Empty(t, archived(t, r.Archive, romeo))
		})
	}
	t.Run("too large", func(t *testing.T) {
		r := newRoom(t)
		err := send(t, r.a, toJuliet(`type="chat"`), "<body>"+strings.Repeat("x", 2<<20)+"</body>")
		refusedWith(t, err, stanza.PolicyViolation)
		err = r.Deliver(t.Context(), romeo, chat(romeo, strings.Repeat("<a/>", 1<<17)))
		refusedWith(t, err, stanza.PolicyViolation)
		assert.Empty(t, archived(t, r.Archive, romeo))
		assert.Empty(t, arrived(t, r.b))
	})
	t.Run("too large for the archive", func(t *testing.T) {
		r := newRoom(t)
		r.Archive = &mam.Memory{MaxBytes: 100}
		refusedWith(t, send(t, r.a, toJuliet(`type="chat"`), "<body>"+strings.Repeat("x", 100)+"</body>"), stanza.PolicyViolation)
		refusedWith(t, r.Deliver(t.Context(), romeo, chat(romeo, strings.Repeat("x", 100))), stanza.PolicyViolation)
		assert.Empty(t, r.wire.sent)
	})
}

// TestWellFormed sends what encoding/xml reads, but must not reach anybody.
func TestWellFormed(t *testing.T) {
	for name, message := range map[string]string{
		"an attribute twice":               `<message xmlns="jabber:client" to="%s" type="chat" id="a" id="b"><body>hi</body></message>`,
		"an address twice":                 `<message xmlns="jabber:client" to="%s" to="tybalt@capulet.example" type="chat"><body>hi</body></message>`,
		"an attribute twice, further down": `<message xmlns="jabber:client" to="%s" type="chat"><body>hi</body><x xmlns="urn:x"><y a="1" a="2"/></x></message>`,
		"an attribute by two prefixes":     `<message xmlns="jabber:client" to="%s" type="chat"><body>hi</body><x xmlns="urn:x" xmlns:p="u" xmlns:q="u" p:a="1" q:a="2"/></message>`,
		"many attributes, one twice":       `<message xmlns="jabber:client" to="%s" type="chat"><body>hi</body><x xmlns="urn:x" a="" b="" c="" d="" e="" f="" g="" h="" i="" c=""/></message>`,
		"an element without a prefix":      `<message xmlns="jabber:client" to="%s" type="chat"><body>hi</body><:x xmlns="urn:x"/></message>`,
		"an element without a name":        `<message xmlns="jabber:client" to="%s" type="chat"><body>hi</body><x: xmlns="urn:x"/></message>`,
		"an attribute without a prefix":    `<message xmlns="jabber:client" to="%s" type="chat"><body>hi</body><x xmlns="urn:x" :a="1"/></message>`,
		"an element of xml":                `<message xmlns="jabber:client" to="%s" type="chat"><body>hi</body><xml:x/></message>`,
		"an element of xmlns":              `<message xmlns="jabber:client" to="%s" type="chat"><body>hi</body><x xmlns="http://www.w3.org/2000/xmlns/"/></message>`,
		"an attribute of xmlns":            `<message xmlns="jabber:client" to="%s" type="chat"><body>hi</body><x xmlns:p="http://www.w3.org/2000/xmlns/" p:a="1"/></message>`,
		"a name by its prefix alone":       `<message xmlns="jabber:client" to="%s" type="chat"><body>hi</body><p:1 xmlns:p="urn:x"/></message>`,
		"an attribute of that kind":        `<message xmlns="jabber:client" to="%s" type="chat"><body>hi</body><x xmlns="urn:x" xmlns:p="urn:p" p:1=""/></message>`,
		"a name that not all take for one": `<message xmlns="jabber:client" to="%s" type="chat"><body>hi</body><é xmlns="urn:x"/></message>`,
		"a comment":                        `<message xmlns="jabber:client" to="%s" type="chat"><body>hi<!-- x --></body></message>`,
		"a processing instruction":         `<message xmlns="jabber:client" to="%s" type="chat"><body>hi</body><?x y?></message>`,
		"a directive":                      `<message xmlns="jabber:client" to="%s" type="chat"><!DOCTYPE x><body>hi</body></message>`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoom(t)
			refusedWith(t, r.a.Send(t.Context(), parsed(message, romeo)), stanza.BadRequest)
			refusedWith(t, r.Deliver(t.Context(), romeo, parsed(message, romeo)), stanza.BadRequest)
			assert.Empty(t, arrived(t, r.c))
			assert.Empty(t, archived(t, r.Archive, romeo))
		})
	}
	t.Run("what is escaped stays escaped", func(t *testing.T) {
		r := newRoom(t)
		require.NoError(t, send(t, r.a, `to="romeo@montague.example" type="chat" id="&quot;&#x9;&lt;&apos;"`, `<body><![CDATA[</message><a>]]>&amp;&#xD;</body><x xmlns="urn:&quot;'&lt;" xml:lang="de"/>`))
		for _, client := range []*hub.Resource{r.a, r.b, r.c} {
			got := arrived(t, client)
			require.Len(t, got, 1)
			assert.Equal(t, "</message><a>&\r", got[0].Body)
			assert.Len(t, got[0].IDs, 1)
			assert.Contains(t, got[0].raw, `xml:lang="de"`)
		}
	})
	t.Run("a message of another server's stream", func(t *testing.T) {
		r := newRoom(t)
		require.NoError(t, r.Deliver(t.Context(), romeo, parsed(`<message xmlns="jabber:server" from="%s" to="%s" type="chat"><body>hi</body><x xmlns="urn:x"/></message>`, juliet, romeo)))
		got := arrived(t, r.c)
		require.Len(t, got, 1)
		assert.Equal(t, "jabber:client", got[0].XMLName.Space)
		assert.Equal(t, "hi", got[0].Body)
		assert.NotContains(t, got[0].raw, "jabber:server")
	})
	t.Run("a message without a namespace", func(t *testing.T) {
		r := newRoom(t)
		message := stanza.Message{From: juliet, To: romeo, Type: stanza.ChatMessage}
		require.NoError(t, r.Deliver(t.Context(), romeo, message.Wrap(parsed(`<body>hi</body>`))))
		got := arrived(t, r.c)
		require.Len(t, got, 1)
		assert.Equal(t, "hi", got[0].Body)
	})
	for name, message := range map[string]string{
		"nothing":         ``,
		"a presence":      `<presence xmlns="jabber:client"/>`,
		"two messages":    `<message xmlns="jabber:client"/><message xmlns="jabber:client"/>`,
		"not to its end":  `<message xmlns="jabber:client"><body>`,
		"another element": `<message xmlns="urn:x"/>`,
		"text":            `hi`,
	} {
		t.Run("what is not one message: "+name, func(t *testing.T) {
			r := newRoom(t)
			assert.Error(t, r.Deliver(t.Context(), romeo, parsed("%s", message)))
			assert.Error(t, r.a.Send(t.Context(), parsed("%s", message)))
			assert.Empty(t, arrived(t, r.c))
		})
	}
	t.Run("a message for somebody else", func(t *testing.T) {
		r := newRoom(t)
		assert.Error(t, r.Deliver(t.Context(), romeo, chat(juliet, "hi")))
		assert.Empty(t, arrived(t, r.c))
	})
}

// wireBytes is a wire that does not look at what goes over it.
type wireBytes struct{ sent [][]byte }

func (w *wireBytes) remote(_ context.Context, _ jid.JID, message []byte) error {
	w.sent = append(w.sent, message)
	return nil
}
