// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub_test

import (
	"encoding/xml"
	"fmt"
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

// TestCopies is which messages are copied, by way of the resources that get them
// (XEP-0280, section 6.1). Each is to the full JID of a, and b has copies.
func TestCopies(t *testing.T) {
	const body = "<body>hi</body>"
	for _, test := range []struct {
		name   string
		typ    stanza.MessageType
		from   string
		inside string
		copied bool
	}{
		{"CA-05: chat", stanza.ChatMessage, "", body, true},
		{"CA-05: chat without a body", stanza.ChatMessage, "", "", true},
		{"CA-05: normal with a body", stanza.NormalMessage, "", body, true},
		{"CA-05: normal without a body", stanza.NormalMessage, "", "<subject>hi</subject>", false},
		{"CA-05: a receipt", stanza.NormalMessage, "", `<received xmlns="urn:xmpp:receipts" id="x"/>`, true},
		{"CA-05: a chat state", stanza.NormalMessage, "", `<active xmlns="http://jabber.org/protocol/chatstates"/>`, true},
		{"CA-05: a chat marker", stanza.NormalMessage, "", `<displayed xmlns="urn:xmpp:chat-markers:0" id="x"/>`, true},
		{"CA-05: headline", stanza.HeadlineMessage, "", body, false},
		{"CA-06, AC-07: groupchat", stanza.GroupChatMessage, "verona@rooms.example/tybalt", body, false},
		{"CA-07: an invitation", stanza.NormalMessage, "", `<x xmlns="jabber:x:conference" jid="verona@rooms.example"/>`, true},
		{"CA-07: an invitation by the room", stanza.NormalMessage, "verona@rooms.example", `<x xmlns="http://jabber.org/protocol/muc#user"><invite from="tybalt@capulet.example"/></x>`, true},
		{"CA-08: a private message in a room", stanza.ChatMessage, "verona@rooms.example/tybalt", body + `<x xmlns="http://jabber.org/protocol/muc#user"/>`, false},
		{"CA-14, AC-06: private", stanza.ChatMessage, "", body + `<private xmlns="urn:xmpp:carbons:2"/>`, false},
		{"CA-14: no-copy", stanza.ChatMessage, "", body + `<no-copy xmlns="urn:xmpp:hints"/>`, false},
		{"CA-15, AC-08, AC-14: an error", stanza.ErrorMessage, "", body + `<error type="cancel"><item-not-found xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>`, false},
		{"CA-21: what is a copy, or pretends to be", stanza.ChatMessage, "", `<received xmlns="urn:xmpp:carbons:2"><forwarded xmlns="urn:xmpp:forward:0"><message xmlns="jabber:client"/></forwarded></received>`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRoom(t)
			from := test.from
			if from == "" {
				from = juliet.String()
			}
			require.NoError(t, r.Deliver(t.Context(), romeo, parsed(`<message xmlns="jabber:client" from="%s" to="%s" type="%s">%s</message>`, from, r.a.JID(), test.typ, test.inside)))
			assert.Len(t, arrived(t, r.a), 1, "the message itself")
			assert.Empty(t, arrived(t, r.c))
			copies := arrived(t, r.b)
			if !test.copied {
				assert.Empty(t, copies)
				return
			}
			require.Len(t, copies, 1)
			require.NotNil(t, copies[0].Received)
			assert.Equal(t, r.a.JID().String(), copies[0].inner().To)
			assert.Equal(t, from, copies[0].inner().From)
			assert.Equal(t, "jabber:client", copies[0].inner().XMLName.Space)
		})
	}
	t.Run("CA-05, AC-14: an error is copied if it answers a message that was", func(t *testing.T) {
		r := newRoom(t)
		bounce := func(id string, to jid.JID) {
			require.NoError(t, r.Deliver(t.Context(), romeo, parsed(`<message xmlns="jabber:client" type="error" id="%s" from="%s" to="%s"><error type="cancel"/></message>`, id, juliet, to)))
		}
		require.NoError(t, send(t, r.a, toJuliet(`type="chat" id="m1"`), body))
		require.NoError(t, send(t, r.a, toJuliet(`type="chat" id="m2"`), body+`<private xmlns="urn:xmpp:carbons:2"/>`))
		arrived(t, r.b)
		bounce("m2", r.a.JID())
		bounce("m3", r.a.JID())
		bounce("m1", romeo) // Nobody but a server sends from there: it is about a copy.
		assert.Len(t, arrived(t, r.a), 2)
		assert.Empty(t, arrived(t, r.b))
		bounce("m1", r.a.JID())
		assert.Len(t, arrived(t, r.a), 1)
		copies := arrived(t, r.b)
		require.Len(t, copies, 1)
		require.NotNil(t, copies[0].Received)
		assert.Equal(t, "error", copies[0].Type)
	})
	t.Run("CA-14: private does not change where the message itself goes", func(t *testing.T) {
		r := newRoom(t)
		require.NoError(t, r.Deliver(t.Context(), romeo, typed(stanza.ChatMessage, romeo, body, `<private xmlns="urn:xmpp:carbons:2"/>`)))
		for _, client := range []*hub.Resource{r.a, r.b, r.c} {
			got := arrived(t, client)
			require.Len(t, got, 1)
			assert.Contains(t, got[0].raw, `<private xmlns="urn:xmpp:carbons:2">`)
		}
	})
	t.Run("CA-14: of what is sent and private there are no copies", func(t *testing.T) {
		r := newRoom(t)
		require.NoError(t, send(t, r.a, toJuliet(`type="chat"`), body+`<private xmlns="urn:xmpp:carbons:2"/>`))
		assert.Empty(t, arrived(t, r.b))
		assert.Contains(t, r.wire.sent[0].raw, `<private xmlns="urn:xmpp:carbons:2">`)
	})
	t.Run("CA-10: who is addressed gets no copy", func(t *testing.T) {
		r := newRoom(t)
		deliver(t, r.Hub, r.b.JID(), "hi")
		assert.Equal(t, []string{"hi"}, texts(t, r.b))
		assert.Empty(t, arrived(t, r.a))
	})
	t.Run("CA-10: who gets it by the bare JID gets no copy", func(t *testing.T) {
		r := newRoom(t)
		deliver(t, r.Hub, romeo, "hi")
		for _, client := range []*hub.Resource{r.a, r.b, r.c} {
			assert.Equal(t, []string{"hi"}, texts(t, client))
		}
	})
	t.Run("CA-10, AC-12: a client of negative priority gets a copy of what goes to others", func(t *testing.T) {
		r := newRoom(t)
		present(t, r.b, -1)
		deliver(t, r.Hub, romeo, "hi")
		assert.Equal(t, []string{"received hi"}, texts(t, r.b))
		assert.Equal(t, []string{"hi"}, texts(t, r.a))
	})
	t.Run("AC-12: nobody is told that a copy goes nowhere", func(t *testing.T) {
		r := newRoom(t)
		require.NoError(t, r.b.Close())
		require.NoError(t, send(t, r.a, toJuliet(`type="chat"`), body))
		deliver(t, r.Hub, r.a.JID(), "hi")
		assert.Empty(t, waiting(t, r.Offline, romeo))
	})
	t.Run("CA-18, AC-13: a forged id is not in copies, that of the archive is once", func(t *testing.T) {
		r := newRoom(t)
		forged := `<stanza-id xmlns="urn:xmpp:sid:0" by="Romeo@Montague.example" id="forged"/>`
		others := `<stanza-id xmlns="urn:xmpp:sid:0" by="verona@rooms.example" id="other"/>`
		require.NoError(t, r.Deliver(t.Context(), romeo, typed(stanza.ChatMessage, r.a.JID(), forged, body, others, forged)))
		require.NoError(t, send(t, r.a, toJuliet(`type="chat"`), forged+body+others+forged))
		itself, copies := arrived(t, r.a), arrived(t, r.b)
		require.Len(t, itself, 1)
		require.Len(t, copies, 2)
		for _, a := range append(itself, copies...) {
			ids := a.inner().IDs
			require.Len(t, ids, 2)
			assert.Equal(t, "verona@rooms.example", ids[0].By)
			assert.Equal(t, romeo.String(), ids[1].By)
			assert.NotContains(t, a.raw, "forged")
		}
		assert.NotContains(t, r.wire.sent[0].raw, "forged")
	})
	t.Run("a forged id goes away also if nothing is archived", func(t *testing.T) {
		r := newRoom(t)
		r.Archive = nil
		require.NoError(t, r.Deliver(t.Context(), romeo, typed(stanza.ChatMessage, r.a.JID(), `<stanza-id xmlns="urn:xmpp:sid:0" by="romeo@montague.example" id="forged"/>`, body)))
		got := arrived(t, r.a)
		require.Len(t, got, 1)
		assert.Empty(t, got[0].IDs)
	})
	t.Run("CA-02, CA-04, AC-09: switched any number of times", func(t *testing.T) {
		r := newRoom(t)
		for range 1000 {
			require.NoError(t, r.c.SetCarbons(t.Context(), true))
		}
		deliver(t, r.Hub, r.a.JID(), "1")
		assert.Equal(t, []string{"received 1"}, texts(t, r.c))
		require.NoError(t, r.c.SetCarbons(t.Context(), false))
		deliver(t, r.Hub, r.a.JID(), "2")
		assert.Empty(t, arrived(t, r.c))
	})
	t.Run("MA-38: however many get it, it is archived once", func(t *testing.T) {
		r := newRoom(t)
		deliver(t, r.Hub, romeo, "1")
		deliver(t, r.Hub, r.a.JID(), "2")
		assert.Equal(t, []string{"1", "2"}, archived(t, r.Archive, romeo))
	})
}

func TestCopiesToSelf(t *testing.T) {
	for _, test := range []struct{ name, to string }{
		{"AC-10: to the own bare JID", `to="romeo@montague.example"`},
		{"AC-10: to nobody", ``},
		{"AC-10: to an empty address", `to=""`},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRoom(t)
			require.NoError(t, send(t, r.a, `type="chat" `+test.to, "<body>note</body>"))
			for _, client := range []*hub.Resource{r.a, r.b, r.c} {
				assert.Equal(t, []string{"note"}, texts(t, client))
			}
			assert.Equal(t, []string{"note"}, archived(t, r.Archive, romeo))
			_, b := bind(t, r.Hub, bind2.Early)
			assert.Empty(t, b.Unreads, "nobody has to read what he has written")
		})
	}
	t.Run("AC-10: to another of the own clients", func(t *testing.T) {
		r := newRoom(t)
		require.NoError(t, send(t, r.a, fmt.Sprintf(`type="chat" to="%s"`, r.c.JID()), "<body>note</body>"))
		assert.Equal(t, []string{"note"}, texts(t, r.c))
		assert.Equal(t, []string{"sent note"}, texts(t, r.b))
		assert.Empty(t, arrived(t, r.a))
		assert.Equal(t, []string{"note"}, archived(t, r.Archive, romeo))
	})
	t.Run("AC-10: to itself", func(t *testing.T) {
		r := newRoom(t)
		require.NoError(t, send(t, r.a, fmt.Sprintf(`type="chat" to="%s"`, r.a.JID()), "<body>note</body>"))
		assert.Equal(t, []string{"note"}, texts(t, r.a))
		assert.Equal(t, []string{"sent note"}, texts(t, r.b))
	})
	t.Run("to one of the own clients that is not there", func(t *testing.T) {
		r := newRoom(t)
		refusedWith(t, send(t, r.a, `to="romeo@montague.example/gone"`, "<body>note</body>"), stanza.ServiceUnavailable)
		assert.Empty(t, archived(t, r.Archive, romeo))
	})
	t.Run("an error to the own account goes nowhere", func(t *testing.T) {
		r := newRoom(t)
		require.NoError(t, send(t, r.a, `type="error" to="romeo@montague.example"`, "<body>note</body>"))
		for _, client := range []*hub.Resource{r.a, r.b, r.c} {
			assert.Empty(t, arrived(t, client))
		}
	})
	t.Run("CA-15: an error that is sent is not copied", func(t *testing.T) {
		r := newRoom(t)
		require.NoError(t, send(t, r.a, toJuliet(`type="error" id="x"`), "<body>hi</body>"))
		assert.Len(t, r.wire.sent, 1)
		assert.Empty(t, arrived(t, r.b))
		assert.Empty(t, archived(t, r.Archive, romeo))
	})
}

// TestRooms is who gets copies of private messages that are sent in rooms.
func TestRooms(t *testing.T) {
	me, other := jid.MustParse("verona@rooms.example/romeo"), jid.MustParse("verona@rooms.example/montague")
	const private = `<body>psst</body><x xmlns="http://jabber.org/protocol/muc#user"/>`
	pm := func(t *testing.T, r *room) {
		t.Helper()
		require.NoError(t, send(t, r.a, `type="chat" to="verona@rooms.example/tybalt"`, private))
		require.Len(t, r.wire.sent, 1)
		assert.Empty(t, arrived(t, r.a))
	}
	occupy := func(t *testing.T, r *hub.Resource, occupant jid.JID, present bool) {
		t.Helper()
		require.NoError(t, r.SetOccupant(t.Context(), occupant, present))
	}
	for _, test := range []struct {
		name   string
		do     func(t *testing.T, r *room)
		copied bool
	}{
		{"CA-08: both are there by the same nick", func(t *testing.T, r *room) {
			occupy(t, r.a, me, true)
			occupy(t, r.b, me, true)
		}, true},
		{"CA-08: the other is there by another nick", func(t *testing.T, r *room) {
			occupy(t, r.a, me, true)
			occupy(t, r.b, other, true)
		}, false},
		{"CA-08: the other is not there", func(t *testing.T, r *room) { occupy(t, r.a, me, true) }, false},
		{"CA-08: neither is known to be there", func(*testing.T, *room) {}, false},
		{"CA-08: the other is in another room", func(t *testing.T, r *room) {
			occupy(t, r.a, me, true)
			occupy(t, r.b, jid.MustParse("mantua@rooms.example/romeo"), true)
		}, false},
		{"CA-08: the other has left", func(t *testing.T, r *room) {
			occupy(t, r.a, me, true)
			occupy(t, r.b, me, true)
			occupy(t, r.b, me, false)
		}, false},
		{"CA-08: the other has become unavailable, and so has left", func(t *testing.T, r *room) {
			occupy(t, r.a, me, true)
			occupy(t, r.b, me, true)
			require.NoError(t, r.b.SetPresence(t.Context(), false, 0))
		}, false},
		{"CA-08: one of them has changed its nick", func(t *testing.T, r *room) {
			occupy(t, r.a, me, true)
			occupy(t, r.b, me, true)
			occupy(t, r.b, other, true)
		}, false},
		{"CA-08: both have changed their nick", func(t *testing.T, r *room) {
			occupy(t, r.a, me, true)
			occupy(t, r.b, me, true)
			occupy(t, r.a, other, true)
			occupy(t, r.b, other, true)
		}, true},
		{"CA-08: more rooms than are remembered", func(t *testing.T, r *room) {
			occupy(t, r.a, me, true)
			for i := range 1000 {
				occupy(t, r.b, jid.MustParse(fmt.Sprintf("room%d@rooms.example/romeo", i)), true)
			}
			occupy(t, r.b, me, true)
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRoom(t)
			test.do(t, r)
			pm(t, r)
			if test.copied {
				assert.Equal(t, []string{"sent psst"}, texts(t, r.b))
			} else {
				assert.Empty(t, arrived(t, r.b))
			}
			var with []string
			_, err := r.Archive.Query(t.Context(), romeo, mam.Query{Max: 9}, func(item mam.Item) error {
				with = append(with, item.Conversation.String())
				return nil
			})
			require.NoError(t, err)
			assert.Equal(t, []string{"verona@rooms.example/tybalt"}, with, "it is a conversation of its own")
		})
	}
	t.Run("what was said in a room is not archived", func(t *testing.T) {
		r := newRoom(t)
		require.NoError(t, send(t, r.a, `type="groupchat" to="verona@rooms.example"`, "<body>hi</body>"))
		assert.Len(t, r.wire.sent, 1)
		assert.Empty(t, archived(t, r.Archive, romeo))
		assert.Empty(t, arrived(t, r.b))
	})
}

// TestCopyBytes is the whole of a copy.
func TestCopyBytes(t *testing.T) {
	r := newRoom(t)
	r.Archive = nil
	require.NoError(t, r.Deliver(t.Context(), romeo, typed(stanza.ChatMessage, r.a.JID(), "<body>hi</body>")))
	copies := arrived(t, r.b)
	require.Len(t, copies, 1)
	itself := arrived(t, r.a)
	require.Len(t, itself, 1)
	want := `<message xmlns="jabber:client" from="` + romeo.String() + `" to="` + r.b.JID().String() + `" type="chat">` +
		`<received xmlns="urn:xmpp:carbons:2"><forwarded xmlns="urn:xmpp:forward:0">` + itself[0].raw + `</forwarded></received></message>`
	assert.Equal(t, want, copies[0].raw)
	var again struct{ XMLName xml.Name }
	require.NoError(t, xml.Unmarshal([]byte(strings.TrimSpace(itself[0].raw)), &again))
	assert.Equal(t, xml.Name{Space: "jabber:client", Local: "message"}, again.XMLName)
}
