// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/bind2/hub"
	"github.com/xmppext/xmppext/mam"
)

// phone and laptop are ids of clients.
const (
	phone  = "d4565fa7-4d72-4749-b3d3-740edbf87770"
	laptop = "7f2a1fd0-9c3e-4f0c-8d0a-3f6c1f1c9e21"
)

func TestBindOffline(t *testing.T) {
	for _, p := range []bind2.Protocol{bind2.Early, bind2.Inline} {
		for _, priority := range []int8{5, 0, -1} {
			t.Run(fmt.Sprintf("B2-05, B2-13, BN-13: what the archive holds is cleared: %s, priority %d", p, priority), func(t *testing.T) {
				var seen events
				h := &hub.Hub{Archive: new(mam.Memory), Offline: new(hub.MemoryOffline), Observe: seen.observe}
				for _, body := range []string{"1", "2", "3"} {
					deliver(t, h, romeo, body)
				}
				r, _ := bind(t, h, p)
				assert.Empty(t, waiting(t, h.Offline, romeo))
				require.Len(t, seen.of(hub.Cleared), 1)
				assert.Equal(t, 3, seen.of(hub.Cleared)[0].N)
				present(t, r, priority)
				assert.Empty(t, arrived(t, r))
			})
		}
	}
	t.Run("D-07: a second client finds an empty queue", func(t *testing.T) {
		h := &hub.Hub{Archive: new(mam.Memory), Offline: new(hub.MemoryOffline)}
		deliver(t, h, romeo, "1")
		a, _ := bind(t, h, bind2.Early)
		b, bound := bind(t, h, bind2.Legacy)
		assert.False(t, bound.Archived)
		assert.Empty(t, arrived(t, present(t, a, 0)))
		assert.Empty(t, arrived(t, present(t, b, 0)))
	})
	t.Run("D-07: what comes before the first presence comes once", func(t *testing.T) {
		h := &hub.Hub{Archive: new(mam.Memory), Offline: new(hub.MemoryOffline)}
		r, _ := bind(t, h, bind2.Early)
		deliver(t, h, romeo, "1")
		assert.Equal(t, []string{"1"}, waiting(t, h.Offline, romeo))
		present(t, r, 0)
		assert.Equal(t, []string{"1"}, texts(t, r))
		assert.Empty(t, waiting(t, h.Offline, romeo))
	})
	t.Run("D-07: what comes before the first presence comes once if it is not archived", func(t *testing.T) {
		h := &hub.Hub{Archive: new(mam.Memory), Offline: new(hub.MemoryOffline)}
		r, _ := bind(t, h, bind2.Early)
		require.NoError(t, h.Deliver(t.Context(), romeo, typed(stanza.ChatMessage, romeo, `<body>1</body><no-permanent-store xmlns="urn:xmpp:hints"/>`)))
		present(t, r, 0)
		assert.Equal(t, []string{"late 1"}, texts(t, r))
	})
	unarchived := `<body>secret</body><no-permanent-store xmlns="urn:xmpp:hints"/>`
	t.Run("D-03: what the archive does not hold is kept", func(t *testing.T) {
		h := &hub.Hub{Archive: new(mam.Memory), Offline: new(hub.MemoryOffline)}
		deliver(t, h, romeo, "1")
		before := time.Now().UTC().Add(-time.Second)
		require.NoError(t, h.Deliver(t.Context(), romeo, typed(stanza.ChatMessage, romeo, unarchived)))
		r, _ := bind(t, h, bind2.Early)
		assert.Empty(t, arrived(t, r))
		present(t, r, 0)
		got := arrived(t, r)
		require.Len(t, got, 1)
		assert.Equal(t, "late secret", got[0].String())
		assert.Empty(t, got[0].IDs)
		assert.Equal(t, "montague.example", got[0].Delays[0].From)
		at, err := time.Parse("2006-01-02T15:04:05.000Z", got[0].Delays[0].Stamp)
		require.NoError(t, err)
		assert.WithinRange(t, at, before, time.Now().UTC())
		assert.Empty(t, arrived(t, present(t, r, 5)))
	})
	t.Run("D-03: without an archive nothing is cleared", func(t *testing.T) {
		h := &hub.Hub{Offline: new(hub.MemoryOffline)}
		deliver(t, h, romeo, "1")
		r, b := bind(t, h, bind2.Inline)
		assert.Equal(t, bind2.Bound{JID: r.JID()}, b)
		assert.Equal(t, []string{"late 1"}, texts(t, present(t, r, 0)))
	})
	t.Run("D-03: with ClearAll everything is cleared", func(t *testing.T) {
		h := &hub.Hub{Archive: new(mam.Memory), Offline: new(hub.MemoryOffline), ClearAll: true}
		deliver(t, h, romeo, "1")
		require.NoError(t, h.Deliver(t.Context(), romeo, typed(stanza.ChatMessage, romeo, unarchived)))
		r, _ := bind(t, h, bind2.Early)
		assert.Empty(t, waiting(t, h.Offline, romeo))
		assert.Empty(t, arrived(t, present(t, r, 0)))
	})
	t.Run("D-03: ClearAll leaves the queue to clients of RFC 6120", func(t *testing.T) {
		h := &hub.Hub{Archive: new(mam.Memory), Offline: new(hub.MemoryOffline), ClearAll: true}
		deliver(t, h, romeo, "1")
		r, _ := bind(t, h, bind2.Legacy)
		assert.Equal(t, []string{"late 1"}, texts(t, present(t, r, 0)))
	})
	t.Run("D-03: what was pruned from the archive is kept", func(t *testing.T) {
		archive := new(mam.Memory)
		h := &hub.Hub{Archive: archive, Offline: new(hub.MemoryOffline)}
		for _, body := range []string{"1", "2", "3"} {
			deliver(t, h, romeo, body)
		}
		_, err := archive.Prune(t.Context(), romeo, time.Time{}, 1)
		require.NoError(t, err)
		r, _ := bind(t, h, bind2.Early)
		assert.Equal(t, []string{"1", "2"}, waiting(t, h.Offline, romeo))
		assert.Equal(t, []string{"late 1", "late 2"}, texts(t, present(t, r, 0)))
	})
	t.Run("D-03: of an archive that was pruned wholly everything is kept", func(t *testing.T) {
		archive := new(mam.Memory)
		h := &hub.Hub{Archive: archive, Offline: new(hub.MemoryOffline)}
		deliver(t, h, romeo, "1")
		_, err := archive.Prune(t.Context(), romeo, time.Time{}, 0)
		require.NoError(t, err)
		r, b := bind(t, h, bind2.Early)
		assert.True(t, b.Archived)
		assert.Zero(t, b.Last)
		assert.Equal(t, []string{"late 1"}, texts(t, present(t, r, 0)))
		deliver(t, h, romeo, "2")
		assert.Equal(t, []string{"2"}, texts(t, r))
	})
}

func TestBindState(t *testing.T) {
	tybalt := jid.MustParse("tybalt@capulet.example/street")
	t.Run("B2-07, B2-14: what is unread, for all clients", func(t *testing.T) {
		h := &hub.Hub{Archive: new(mam.Memory), Offline: new(hub.MemoryOffline)}
		deliver(t, h, romeo, "1")
		require.NoError(t, h.Deliver(t.Context(), romeo, parsed(`<message xmlns="jabber:client" type="chat" id="t1" from="%s" to="%s"><body>2</body><markable xmlns="urn:xmpp:chat-markers:0"/></message>`, tybalt, romeo)))
		require.NoError(t, h.Deliver(t.Context(), romeo, parsed(`<message xmlns="jabber:client" type="chat" id="t2" from="%s" to="%s"><body>3</body></message>`, tybalt, romeo)))
		r, b := bind(t, h, bind2.Early)
		assert.Equal(t, []bind2.Unread{{JID: tybalt.Bare(), Count: 2}, {JID: juliet.Bare(), Count: 1}}, b.Unreads)

		var id string
		_, err := h.Archive.Query(t.Context(), romeo, mam.Query{Max: 9, With: tybalt}, func(item mam.Item) error {
			if item.StanzaID == "t1" {
				id = item.ID
			}
			return nil
		})
		require.NoError(t, err)
		h.Remote = func(context.Context, jid.JID, []byte) error { return nil }
		require.NoError(t, r.Send(t.Context(), parsed(`<message xmlns="jabber:client" to="%s"><displayed xmlns="urn:xmpp:chat-markers:0" id="t1"/></message>`, tybalt)))
		_, b = bind(t, h, bind2.Early)
		assert.Equal(t, []bind2.Unread{{JID: tybalt.Bare(), ReadID: id, Count: 1}, {JID: juliet.Bare(), Count: 1}}, b.Unreads)
	})
	t.Run("B2-20: what is unread is not known", func(t *testing.T) {
		h := &hub.Hub{Archive: plainArchive{new(mam.Memory)}}
		deliver(t, h, romeo, "1")
		_, b := bind(t, h, bind2.Early)
		assert.Nil(t, b.Unreads)
		assert.True(t, b.Archived)
	})
	t.Run("B2-20: nothing is unread", func(t *testing.T) {
		_, b := bind(t, &hub.Hub{Archive: new(mam.Memory)}, bind2.Early)
		assert.NotNil(t, b.Unreads)
		assert.Empty(t, b.Unreads)
	})
	t.Run("D-05: no more conversations than MaxUnread", func(t *testing.T) {
		h := &hub.Hub{Archive: new(mam.Memory), MaxUnread: 2}
		for i := range 5 {
			require.NoError(t, h.Deliver(t.Context(), romeo, parsed(`<message xmlns="jabber:client" type="chat" from="spam%d@x.example" to="%s"><body>x</body></message>`, i, romeo)))
		}
		_, b := bind(t, h, bind2.Early)
		assert.Equal(t, []bind2.Unread{{JID: jid.MustParse("spam4@x.example"), Count: 1}, {JID: jid.MustParse("spam3@x.example"), Count: 1}}, b.Unreads)
	})
	t.Run("B2-08, BN-15: the ends of the archive", func(t *testing.T) {
		h := &hub.Hub{Archive: new(mam.Memory)}
		for _, body := range []string{"a", "b", "c"} {
			deliver(t, h, romeo, body)
		}
		first, last, err := h.Archive.Ends(t.Context(), romeo)
		require.NoError(t, err)
		_, b := bind(t, h, bind2.Inline)
		assert.Equal(t, bind2.Entry{ID: first.ID, Time: first.Stamp}, b.First)
		assert.Equal(t, bind2.Entry{ID: last.ID, Time: last.Stamp}, b.Last)
	})
	t.Run("BN-24, D-05: an empty archive", func(t *testing.T) {
		r, b := bind(t, &hub.Hub{Archive: new(mam.Memory)}, bind2.Inline)
		assert.Equal(t, bind2.Bound{JID: r.JID(), Archived: true, Unreads: []bind2.Unread{}}, b)
	})
	t.Run("B2-22: nobody learns about the archive of another", func(t *testing.T) {
		h := &hub.Hub{Archive: new(mam.Memory), Offline: new(hub.MemoryOffline)}
		deliver(t, h, romeo, "1")
		other, b := bind(t, h, bind2.Early, of(jid.MustParse("benvolio@montague.example")))
		assert.Equal(t, bind2.Bound{JID: other.JID(), Archived: true, Unreads: []bind2.Unread{}}, b)
		assert.Empty(t, arrived(t, present(t, other, 0)))
		assert.Equal(t, []string{"1"}, waiting(t, h.Offline, romeo))
	})
	t.Run("a client of RFC 6120 learns nothing", func(t *testing.T) {
		h := &hub.Hub{Archive: new(mam.Memory)}
		deliver(t, h, romeo, "1")
		r, b := bind(t, h, bind2.Legacy)
		assert.Equal(t, bind2.Bound{JID: r.JID()}, b)
	})
	for _, test := range []struct {
		name    string
		p       bind2.Protocol
		carbons bool
		want    []string
	}{
		{"B2-09: with carbons", bind2.Early, true, []string{"received hi"}},
		{"BN-26: with carbons", bind2.Inline, true, []string{"received hi"}},
		{"BN-26: without carbons", bind2.Inline, false, []string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := new(hub.Hub)
			orchard := legacy(t, h, "orchard", 0)
			r, _ := bind(t, h, test.p, withCarbons(test.carbons))
			assert.Empty(t, arrived(t, r), "nothing is said about carbons")
			deliver(t, h, orchard.JID(), "hi")
			assert.Equal(t, test.want, texts(t, r))
			assert.Equal(t, []string{"hi"}, texts(t, orchard))
		})
	}
	t.Run("B2-10, BN-14: the resource is there when Bind returns", func(t *testing.T) {
		h := &hub.Hub{Archive: new(mam.Memory)}
		r, b := bind(t, h, bind2.Inline)
		deliver(t, h, b.JID, "hi")
		assert.Equal(t, []string{"hi"}, texts(t, r))
	})
	t.Run("BN-27: the first state of the client", func(t *testing.T) {
		r, _ := bind(t, new(hub.Hub), bind2.Inline, func(r *bind2.Request) { r.Inactive = true })
		assert.True(t, r.Inactive())
		r, _ = bind(t, new(hub.Hub), bind2.Inline)
		assert.False(t, r.Inactive())
	})
}
