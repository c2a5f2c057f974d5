// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub_test

import (
	"context"
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

// TestUncleanEnds is what becomes of messages in the queue of a client that goes.
func TestUncleanEnds(t *testing.T) {
	newHub := func(size int) *hub.Hub {
		return &hub.Hub{Offline: new(hub.MemoryOffline), QueueSize: size}
	}
	t.Run("what was not taken goes to the next client, in order", func(t *testing.T) {
		h := newHub(0)
		r := legacy(t, h, "orchard", 0)
		for _, body := range []string{"1", "2", "3"} {
			deliver(t, h, romeo, body)
		}
		require.NoError(t, r.Close())
		assert.Equal(t, []string{"1", "2", "3"}, waiting(t, h.Offline, romeo))
		assert.Equal(t, []string{"late 1", "late 2", "late 3"}, texts(t, legacy(t, h, "orchard", 0)))
		assert.Empty(t, waiting(t, h.Offline, romeo))
	})
	t.Run("what was taken last may not have been sent", func(t *testing.T) {
		h := newHub(0)
		r := legacy(t, h, "orchard", 0)
		deliver(t, h, romeo, "1")
		pending(t, r, 1)
		deliver(t, h, romeo, "2")
		require.NoError(t, r.Close())
		assert.Equal(t, []string{"1", "2"}, waiting(t, h.Offline, romeo))
	})
	t.Run("what was taken before was sent", func(t *testing.T) {
		h := newHub(0)
		r := legacy(t, h, "orchard", 0)
		deliver(t, h, romeo, "1")
		pending(t, r, 1)
		deliver(t, h, romeo, "2")
		pending(t, r, 1)
		require.NoError(t, r.Close())
		assert.Equal(t, []string{"2"}, waiting(t, h.Offline, romeo))
	})
	t.Run("what another client was sent is not kept", func(t *testing.T) {
		h := newHub(0)
		a, b := legacy(t, h, "a", 0), legacy(t, h, "b", 0)
		deliver(t, h, romeo, "1")
		arrived(t, b)
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
		assert.Empty(t, waiting(t, h.Offline, romeo))
	})
	t.Run("what no client was sent is kept once", func(t *testing.T) {
		h := newHub(0)
		a, b := legacy(t, h, "a", 0), legacy(t, h, "b", 0)
		deliver(t, h, romeo, "1")
		require.NoError(t, a.Close())
		assert.Empty(t, waiting(t, h.Offline, romeo), "the other may be sent it")
		require.NoError(t, b.Close())
		assert.Equal(t, []string{"1"}, waiting(t, h.Offline, romeo))
	})
	t.Run("copies are not kept", func(t *testing.T) {
		h := newHub(0)
		a := legacy(t, h, "a", 0)
		b, _ := bind(t, h, bind2.Early)
		deliver(t, h, a.JID(), "1")
		require.NoError(t, send(t, a, `type="chat" to="benvolio@montague.example"`, "<body>2</body>"))
		arrived(t, a)
		assert.Len(t, arrived(t, a), 0)
		require.NoError(t, b.Close())
		assert.Empty(t, waiting(t, h.Offline, romeo))
	})
	t.Run("what is not to be stored, or nobody would keep, is not kept", func(t *testing.T) {
		h := newHub(0)
		a := legacy(t, h, "a", 0)
		for typ, inside := range map[stanza.MessageType]string{
			stanza.ChatMessage:      `<body>x</body><no-store xmlns="urn:xmpp:hints"/>`,
			stanza.NormalMessage:    `<subject>x</subject>`,
			stanza.HeadlineMessage:  `<body>x</body>`,
			stanza.GroupChatMessage: `<body>x</body>`,
			stanza.ErrorMessage:     `<body>x</body>`,
		} {
			require.NoError(t, h.Deliver(t.Context(), romeo, typed(typ, a.JID(), inside)))
		}
		require.NoError(t, a.Close())
		assert.Empty(t, waiting(t, h.Offline, romeo))
	})
	t.Run("without an offline queue it is lost, and nothing else happens", func(t *testing.T) {
		h := new(hub.Hub)
		a := legacy(t, h, "a", 0)
		deliver(t, h, romeo, "1")
		assert.NoError(t, a.Close())
	})
	t.Run("a client that is replaced", func(t *testing.T) {
		h := newHub(0)
		legacy(t, h, "a", 0)
		deliver(t, h, romeo, "1")
		assert.Equal(t, []string{"late 1"}, texts(t, legacy(t, h, "a", 0)))
	})
	t.Run("a client that is replaced by a cut, and has what the archive does not", func(t *testing.T) {
		h := newHub(0)
		h.Archive = new(mam.Memory)
		old, _ := bind(t, h, bind2.Inline, byClient(phone, ""))
		present(t, old, 0)
		deliver(t, h, romeo, "1")
		require.NoError(t, h.Deliver(t.Context(), romeo, typed(stanza.ChatMessage, romeo, `<body>2</body><no-permanent-store xmlns="urn:xmpp:hints"/>`)))
		r, _ := bind(t, h, bind2.Inline, byClient(phone, ""))
		assert.Equal(t, []string{"late 2"}, texts(t, present(t, r, 0)))
	})
	t.Run("a client whose queue is full loses its session but no message", func(t *testing.T) {
		var seen events
		h := newHub(3)
		h.Observe = seen.observe
		slow, other := legacy(t, h, "slow", 0), legacy(t, h, "other", 0)
		for _, body := range []string{"1", "2", "3"} {
			deliver(t, h, slow.JID(), body)
		}
		deliver(t, h, slow.JID(), "4")
		_, err := slow.Take(t.Context())
		assert.ErrorIs(t, err, hub.ErrSlow)
		require.Len(t, seen.of(hub.UnboundResource), 1)
		assert.ErrorIs(t, seen.of(hub.UnboundResource)[0].Err, hub.ErrSlow)
		assert.Equal(t, []string{"1", "2", "3", "4"}, waiting(t, h.Offline, romeo))
		assert.Empty(t, arrived(t, other))
		deliver(t, h, slow.JID(), "5") // A chat message goes to those who are there.
		assert.Equal(t, []string{"5"}, texts(t, other))
	})
	t.Run("a queue is bounded in bytes", func(t *testing.T) {
		h := newHub(0)
		h.QueueBytes = 1000
		r := legacy(t, h, "slow", 0)
		deliver(t, h, romeo, strings.Repeat("x", 5000)) // As large as it may be, if it is alone.
		deliver(t, h, romeo, "2")
		_, err := r.Take(t.Context())
		assert.ErrorIs(t, err, hub.ErrSlow)
		assert.Len(t, waiting(t, h.Offline, romeo), 2)
	})
	t.Run("one that does not read does not harm the other", func(t *testing.T) {
		h := newHub(10)
		_, other := legacy(t, h, "slow", 0), legacy(t, h, "other", 0)
		for range 100 {
			deliver(t, h, romeo, "x")
			assert.Equal(t, []string{"x"}, texts(t, other))
		}
		assert.Empty(t, waiting(t, h.Offline, romeo))
	})
}

// TestFlush is how the offline queue is sent.
func TestFlush(t *testing.T) {
	t.Run("once, when the client is available by a priority that is not negative", func(t *testing.T) {
		h := &hub.Hub{Offline: new(hub.MemoryOffline)}
		deliver(t, h, romeo, "1")
		r, _ := bind(t, h, bind2.Legacy)
		assert.Empty(t, arrived(t, r))
		assert.Empty(t, arrived(t, present(t, r, -1)))
		assert.Equal(t, []string{"late 1"}, texts(t, present(t, r, 0)))
		assert.Empty(t, arrived(t, present(t, r, 1)))
	})
	t.Run("D-03: an archived message that a client of a cut did not get live", func(t *testing.T) {
		h := stocked()
		r, _ := bind(t, h, bind2.Early)
		present(t, r, -1)
		require.NoError(t, h.Deliver(t.Context(), romeo, typed(stanza.ChatMessage, romeo, `<body>1</body><private xmlns="urn:xmpp:carbons:2"/>`)))
		deliver(t, h, romeo, "2") // It gets a copy of this one.
		present(t, r, 1)
		deliver(t, h, romeo, "3")
		assert.Equal(t, []string{"received 2", "late 1", "3"}, texts(t, r))
	})
	t.Run("more than the queue may have", func(t *testing.T) {
		h := &hub.Hub{Offline: new(hub.MemoryOffline), QueueSize: 2}
		for _, body := range []string{"1", "2", "3", "4"} {
			deliver(t, h, romeo, body)
		}
		assert.Len(t, arrived(t, legacy(t, h, "orchard", 0)), 4)
	})
	t.Run("a store that fails keeps all, and the client is there", func(t *testing.T) {
		offline := new(funcOffline)
		h := &hub.Hub{Offline: offline}
		deliver(t, h, romeo, "1")
		offline.take = func(context.Context) error { return errBroken }
		r := legacy(t, h, "orchard", 0)
		offline.take = nil
		assert.Empty(t, arrived(t, r))
		deliver(t, h, romeo, "2")
		assert.Equal(t, []string{"2"}, texts(t, r))
		require.NoError(t, r.SetPresence(t.Context(), false, 0))
		assert.Equal(t, []string{"late 1"}, texts(t, present(t, r, 0)))
	})
	t.Run("nothing is lost if the client is closed meanwhile", func(t *testing.T) {
		offline := new(funcOffline)
		h := &hub.Hub{Offline: offline}
		deliver(t, h, romeo, "1")
		r, _ := bind(t, h, bind2.Legacy)
		closed := make(chan error)
		offline.take = func(context.Context) error {
			offline.take = nil
			go func() { closed <- r.Close() }()
			<-r.Gone()
			return nil
		}
		require.NoError(t, r.SetPresence(t.Context(), true, 0))
		require.NoError(t, <-closed)
		assert.Equal(t, []string{"1"}, waiting(t, offline, romeo))
	})
	t.Run("a message that is delivered while the client is closed is kept", func(t *testing.T) {
		archive := new(closingArchive)
		var seen events
		h := &hub.Hub{Archive: archive, Offline: new(hub.MemoryOffline), Observe: seen.observe}
		r := legacy(t, h, "orchard", 0)
		closed := make(chan error)
		archive.before = func() {
			go func() { closed <- r.Close() }()
			<-r.Gone()
		}
		deliver(t, h, romeo, "1")
		require.NoError(t, <-closed)
		assert.Equal(t, []string{"1"}, waiting(t, h.Offline, romeo))
		gone := seen.of(hub.UnboundResource)
		require.Len(t, gone, 1)
		assert.ErrorIs(t, gone[0].Err, hub.ErrClosed)
	})
}

// A closingArchive does something before it appends.
type closingArchive struct {
	mam.Memory
	before func()
}

func (c *closingArchive) Append(ctx context.Context, archive jid.JID, m mam.Message) (mam.Item, error) {
	c.before()
	return c.Memory.Append(ctx, archive, m)
}

// TestMemoryOffline is the store itself.
func TestMemoryOffline(t *testing.T) {
	message := func(position int64, size int) hub.OfflineMessage {
		return hub.OfflineMessage{Position: position, XML: make([]byte, size)}
	}
	add := func(t *testing.T, o hub.Offline, m hub.OfflineMessage) {
		t.Helper()
		require.NoError(t, o.Add(t.Context(), romeo, m))
	}
	t.Run("positions and order", func(t *testing.T) {
		o := new(hub.MemoryOffline)
		for _, position := range []int64{1, 0, 3, 2} {
			add(t, o, message(position, 1))
		}
		for _, step := range []struct {
			from int64
			want []int64
		}{{4, nil}, {2, []int64{3, 2}}, {1, []int64{1}}, {1, nil}, {0, []int64{0}}, {0, nil}} {
			var got []int64
			messages, err := o.Take(t.Context(), romeo, step.from)
			require.NoError(t, err)
			for _, m := range messages {
				got = append(got, m.Position)
			}
			assert.Equal(t, step.want, got)
		}
	})
	t.Run("bounded by messages, for each account", func(t *testing.T) {
		o := &hub.MemoryOffline{MaxMessages: 2}
		add(t, o, message(1, 1))
		add(t, o, message(2, 1))
		assert.ErrorIs(t, o.Add(t.Context(), romeo, message(3, 1)), hub.ErrOfflineFull)
		assert.NoError(t, o.Add(t.Context(), juliet, message(3, 1)))
		_, err := o.Take(t.Context(), romeo, 2)
		require.NoError(t, err)
		add(t, o, message(3, 1))
	})
	t.Run("bounded by bytes, which are given back", func(t *testing.T) {
		o := &hub.MemoryOffline{MaxBytes: 100}
		add(t, o, message(1, 60))
		assert.ErrorIs(t, o.Add(t.Context(), romeo, message(2, 41)), hub.ErrOfflineFull)
		add(t, o, message(2, 40))
		_, err := o.Take(t.Context(), romeo, 2)
		require.NoError(t, err)
		assert.ErrorIs(t, o.Add(t.Context(), romeo, message(2, 41)), hub.ErrOfflineFull)
		add(t, o, message(2, 40))
	})
	t.Run("the resource of an address does not matter", func(t *testing.T) {
		o := new(hub.MemoryOffline)
		require.NoError(t, o.Add(t.Context(), juliet, message(1, 1)))
		got, err := o.Take(t.Context(), juliet.Bare(), 0)
		require.NoError(t, err)
		assert.Len(t, got, 1)
	})
	t.Run("a context that has ended", func(t *testing.T) {
		o := new(hub.MemoryOffline)
		add(t, o, message(1, 1))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		assert.ErrorIs(t, o.Add(ctx, romeo, message(2, 1)), context.Canceled)
		_, err := o.Take(ctx, romeo, 0)
		assert.ErrorIs(t, err, context.Canceled)
		got, err := o.Take(t.Context(), romeo, 0)
		require.NoError(t, err)
		assert.Len(t, got, 1)
	})
}
