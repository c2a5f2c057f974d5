// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/bind2/hub"
	"github.com/xmppext/xmppext/mam"
)

func TestBindUse(t *testing.T) {
	request := bind2.Request{Account: romeo, Protocol: bind2.Early}
	t.Run("no resource in the context", func(t *testing.T) {
		_, err := new(hub.Hub).Bind(t.Context(), request)
		assert.ErrorIs(t, err, hub.ErrNoResource)
	})
	t.Run("a resource of another hub", func(t *testing.T) {
		_, err := new(hub.Hub).Bind(new(hub.Hub).NewResource().Context(t.Context()), request)
		assert.ErrorIs(t, err, hub.ErrNoResource)
	})
	t.Run("AB-02, AB-07: bound twice", func(t *testing.T) {
		h := &hub.Hub{Archive: new(mam.Memory), Offline: new(hub.MemoryOffline)}
		r, b := bind(t, h, bind2.Early)
		deliver(t, h, romeo, "kept")
		_, err := h.Bind(r.Context(t.Context()), request)
		assert.ErrorIs(t, err, hub.ErrBound)
		assert.Equal(t, b.JID, r.JID())
		assert.Equal(t, []string{"kept"}, waiting(t, h.Offline, romeo))
	})
	t.Run("closed before", func(t *testing.T) {
		h := new(hub.Hub)
		r := h.NewResource()
		require.NoError(t, r.Close())
		require.NoError(t, r.Close())
		_, err := h.Bind(r.Context(t.Context()), request)
		assert.ErrorIs(t, err, hub.ErrClosed)
		assert.Zero(t, r.JID())
	})
	t.Run("not bound", func(t *testing.T) {
		r := new(hub.Hub).NewResource()
		assert.ErrorIs(t, r.SetPresence(t.Context(), true, 0), hub.ErrUnbound)
		assert.ErrorIs(t, r.SetCarbons(t.Context(), true), hub.ErrUnbound)
		assert.ErrorIs(t, r.SetOccupant(t.Context(), juliet, true), hub.ErrUnbound)
		assert.ErrorIs(t, r.Send(t.Context(), chat(juliet, "hi")), hub.ErrUnbound)
		assert.ErrorIs(t, r.Serve(t.Context(), nil), hub.ErrUnbound)
		assert.NoError(t, r.Close())
	})
	t.Run("AB-04: who has not authenticated changes nothing", func(t *testing.T) {
		h := &hub.Hub{Archive: new(mam.Memory), Offline: new(hub.MemoryOffline)}
		twin, _ := bind(t, h, bind2.Inline, byClient(phone, ""))
		deliver(t, h, romeo, "kept")
		r := h.NewResource() // Its stream ends before Bind.
		require.NoError(t, r.Close())
		assert.NoError(t, twin.SetCarbons(t.Context(), true))
		assert.Equal(t, []string{"kept"}, waiting(t, h.Offline, romeo))
	})
	t.Run("AB-11: a client that is gone before it is answered", func(t *testing.T) {
		h := &hub.Hub{Archive: new(mam.Memory), Offline: new(hub.MemoryOffline)}
		deliver(t, h, romeo, "1")
		r, b := bind(t, h, bind2.Early)
		require.NoError(t, r.Close())
		deliver(t, h, romeo, "2")
		assert.Equal(t, []string{"1", "2"}, archived(t, h.Archive, romeo))
		refusedWith(t, h.Deliver(t.Context(), romeo, typed(stanza.NormalMessage, b.JID, "<body>x</body>")), stanza.ServiceUnavailable)
		_, again := bind(t, h, bind2.Early)
		assert.Equal(t, b.Last, again.First)
	})
	t.Run("a context that ends while another has the turn", func(t *testing.T) {
		inside, leave := make(chan struct{}), make(chan struct{})
		h := &hub.Hub{Offline: &funcOffline{add: func(hub.OfflineMessage) error {
			close(inside)
			<-leave
			return nil
		}}}
		done := make(chan error)
		go func() { done <- h.Deliver(context.Background(), romeo, chat(romeo, "hi")) }()
		<-inside
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := h.Bind(h.NewResource().Context(ctx), request)
		assert.ErrorIs(t, err, context.Canceled)
		assert.ErrorIs(t, h.Deliver(ctx, romeo, chat(romeo, "hi")), context.Canceled)
		close(leave)
		assert.NoError(t, <-done)
	})
}

// TestBindFails breaks each store in turn.
func TestBindFails(t *testing.T) {
	for _, broken := range []string{"Ends", "Unread", "Take"} {
		t.Run("D-02: nothing has changed if a bind fails: "+broken, func(t *testing.T) {
			archive, offline := new(brokenArchive), new(funcOffline)
			h := &hub.Hub{Archive: archive, Offline: offline}
			deliver(t, h, romeo, "1")
			twin, _ := bind(t, h, bind2.Inline, byClient(phone, ""), func(r *bind2.Request) { r.Protocol = bind2.Legacy; r.Resource = "twin" })
			r := h.NewResource()
			defer func() { assert.NoError(t, r.Close()) }()
			request := bind2.Request{Account: romeo, Protocol: bind2.Inline, Client: phone, Carbons: true}

			archive.breakAt(broken)
			if broken == "Take" {
				offline.take = func(context.Context) error { return errBroken }
			}
			b, err := h.Bind(r.Context(t.Context()), request)
			assert.ErrorIs(t, err, errBroken)
			assert.Zero(t, b)
			assert.Zero(t, r.JID())
			archive.breakAt("")
			offline.take = nil

			assert.Equal(t, []string{"1"}, waiting(t, offline, romeo))
			present(t, twin, 0)
			assert.Equal(t, []string{"late 1"}, texts(t, twin))
			deliver(t, h, twin.JID(), "2")
			assert.Equal(t, []string{"2"}, texts(t, twin))

			_, err = h.Bind(r.Context(t.Context()), request)
			require.NoError(t, err)
			assert.Empty(t, arrived(t, r), "it was not there before")
			_, err = twin.Take(t.Context())
			assert.ErrorIs(t, err, hub.ErrReplaced)
		})
	}
	for _, broken := range []string{"Append", "Preferences"} {
		t.Run("D-02: nothing has changed if a delivery fails: "+broken, func(t *testing.T) {
			archive := new(brokenArchive)
			h := &hub.Hub{Archive: archive, Offline: new(hub.MemoryOffline)}
			r, _ := bind(t, h, bind2.Early)
			archive.breakAt(broken)
			err := h.Deliver(t.Context(), romeo, chat(romeo, "1"))
			assert.ErrorIs(t, err, errBroken)
			assert.False(t, errors.As(err, new(stanza.Error)), "the sender is told nothing of it")
			err = r.Send(t.Context(), parsed(`<message xmlns="jabber:client" type="chat" to="%s"><body>2</body></message>`, juliet))
			assert.ErrorIs(t, err, errBroken)
			archive.breakAt("")
			assert.Empty(t, arrived(t, present(t, r, 0)))
			assert.Empty(t, waiting(t, h.Offline, romeo))
			assert.Empty(t, archived(t, archive, romeo))
		})
	}
	t.Run("D-02: an offline queue that fails refuses what is not archived", func(t *testing.T) {
		h := &hub.Hub{Offline: &funcOffline{add: func(hub.OfflineMessage) error { return errBroken }}}
		assert.ErrorIs(t, h.Deliver(t.Context(), romeo, chat(romeo, "1")), errBroken)
		h.Archive = new(mam.Memory)
		assert.NoError(t, h.Deliver(t.Context(), romeo, chat(romeo, "1")))
	})
	t.Run("a refusal comes before copies", func(t *testing.T) {
		h := &hub.Hub{Offline: &funcOffline{add: func(hub.OfflineMessage) error { return hub.ErrOfflineFull }}}
		r, _ := bind(t, h, bind2.Early)
		present(t, r, -1)
		refusedWith(t, h.Deliver(t.Context(), romeo, chat(romeo, "1")), stanza.ServiceUnavailable)
		assert.Empty(t, arrived(t, r))
	})
}

func TestBindParallel(t *testing.T) {
	for _, limit := range []int{100, 64} {
		t.Run(fmt.Sprintf("AB-10: a hundred binds at once, %d may", limit), func(t *testing.T) {
			var seen events
			h := &hub.Hub{Archive: new(mam.Memory), Offline: new(hub.MemoryOffline), MaxResources: limit, Observe: seen.observe}
			for _, body := range []string{"1", "2", "3"} {
				deliver(t, h, romeo, body)
			}
			var (
				wg       sync.WaitGroup
				mu       sync.Mutex
				names    = make(map[string]bool)
				refusals int
			)
			for range 100 {
				wg.Go(func() {
					r := h.NewResource()
					t.Cleanup(func() { assert.NoError(t, r.Close()) })
					b, err := h.Bind(r.Context(t.Context()), bind2.Request{Account: romeo, Protocol: bind2.Early, Carbons: true})
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						names[b.JID.String()] = true
					case assert.ErrorIs(t, err, stanza.Error{Condition: stanza.ResourceConstraint}):
						refusals++
					}
				})
			}
			wg.Wait()
			assert.Len(t, names, limit)
			assert.Equal(t, 100-limit, refusals)
			assert.Len(t, seen.of(hub.BoundResource), limit)
			cleared := seen.of(hub.Cleared)
			require.Len(t, cleared, 1, "the queue is cleared once")
			assert.Equal(t, 3, cleared[0].N)
		})
	}
}
