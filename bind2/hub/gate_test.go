// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/bind2/hub"
	"github.com/xmppext/xmppext/mam"
)

// gated returns a hub with a gate.
func gated(g hub.Gate) *hub.Hub {
	return &hub.Hub{Archive: new(mam.Memory), Offline: new(hub.MemoryOffline), Gate: &g}
}

func TestGate(t *testing.T) {
	for _, p := range []bind2.Protocol{bind2.Early, bind2.Inline} {
		inBubble(t, fmt.Sprintf("B2-15, D-06: messages are held until the client is available: %s", p), func(t *testing.T) {
			h := gated(hub.Gate{})
			r, _ := bind(t, h, p)
			deliver(t, h, romeo, "1")
			deliver(t, h, r.JID(), "2")
			assert.Empty(t, arrived(t, r))
			require.NoError(t, r.SetPresence(t.Context(), false, 0))
			assert.Empty(t, arrived(t, r))
			present(t, r, -1)
			assert.Equal(t, []string{"1", "2"}, texts(t, r))
			deliver(t, h, r.JID(), "3")
			assert.Equal(t, []string{"3"}, texts(t, r))
		})
	}
	inBubble(t, "D-06: who is available finds nothing twice, and the oldest first", func(t *testing.T) {
		h := gated(hub.Gate{})
		r, _ := bind(t, h, bind2.Early)
		deliver(t, h, romeo, "1")
		require.NoError(t, h.Deliver(t.Context(), romeo, typed(stanza.ChatMessage, romeo, `<body>2</body><no-permanent-store xmlns="urn:xmpp:hints"/>`)))
		deliver(t, h, romeo, "3")
		present(t, r, 0)
		assert.ElementsMatch(t, []string{"1", "late 2", "3"}, texts(t, r))
	})
	inBubble(t, "D-06: clients of RFC 6120 have none", func(t *testing.T) {
		h := gated(hub.Gate{})
		r, _ := bind(t, h, bind2.Legacy)
		deliver(t, h, r.JID(), "1")
		assert.Equal(t, []string{"1"}, texts(t, r))
	})
	inBubble(t, "D-06: Open", func(t *testing.T) {
		h := gated(hub.Gate{})
		r, _ := bind(t, h, bind2.Early)
		deliver(t, h, romeo, "1")
		r.Open()
		assert.Equal(t, []string{"1"}, texts(t, r))
		r.Open()
		deliver(t, h, romeo, "2")
		assert.Equal(t, []string{"2"}, texts(t, r))
	})
	for _, d := range []time.Duration{0, 5 * time.Second} {
		inBubble(t, fmt.Sprintf("D-06: some time has passed: %v", d), func(t *testing.T) {
			h := gated(hub.Gate{Time: d})
			r, _ := bind(t, h, bind2.Early)
			deliver(t, h, romeo, "1")
			want := d
			if d == 0 {
				want = hub.DefaultGateTime
			}
			start := time.Now()
			assert.Len(t, pending(t, r, 1), 1)
			assert.Equal(t, want, time.Since(start))
		})
	}
	inBubble(t, "D-06, AB-15: too many are held", func(t *testing.T) {
		h := gated(hub.Gate{Size: 3})
		r, _ := bind(t, h, bind2.Early)
		for _, body := range []string{"1", "2", "3"} {
			deliver(t, h, romeo, body)
		}
		assert.Empty(t, arrived(t, r))
		deliver(t, h, romeo, "4")
		deliver(t, h, romeo, "5")
		assert.Equal(t, []string{"1", "2", "3", "4", "5"}, texts(t, r))
	})
	inBubble(t, "AB-15: a flood while the gate is closed ends at the size of the queue", func(t *testing.T) {
		h := gated(hub.Gate{Size: 1 << 30})
		h.QueueSize = 100
		r, _ := bind(t, h, bind2.Early)
		for range 200 {
			deliver(t, h, romeo, "x")
		}
		_, err := r.Take(t.Context())
		assert.ErrorIs(t, err, hub.ErrSlow)
		assert.Len(t, archived(t, h.Archive, romeo), 200)
	})
	inBubble(t, "D-06: only messages and presences wait, and those in their order", func(t *testing.T) {
		h := gated(hub.Gate{})
		r, _ := bind(t, h, bind2.Early)
		deliver(t, h, romeo, "1")
		presence := fmt.Sprintf(`<presence xmlns="jabber:client" from="%s"/>`, juliet)
		iq := `<iq xmlns="jabber:client" type="result" id="x"/>`
		require.NoError(t, h.Push(t.Context(), r.JID(), []byte(presence)))
		require.NoError(t, h.Push(t.Context(), r.JID(), []byte(iq)))
		deliver(t, h, romeo, "2")
		assert.Equal(t, []string{iq}, pending(t, r, 1))
		r.Open()
		got := pending(t, r, 3)
		assert.Contains(t, got[0], "<body>1</body>")
		assert.Equal(t, presence, got[1])
		assert.Contains(t, got[2], "<body>2</body>")
	})
	inBubble(t, "D-06: what is held when the client goes is in the archive", func(t *testing.T) {
		h := gated(hub.Gate{})
		r, _ := bind(t, h, bind2.Early)
		deliver(t, h, r.JID(), "1")
		require.NoError(t, r.Close())
		assert.Equal(t, []string{"1"}, archived(t, h.Archive, romeo))
		_, b := bind(t, h, bind2.Early)
		assert.NotZero(t, b.Last)
	})
	inBubble(t, "D-06: copies wait as well", func(t *testing.T) {
		h := gated(hub.Gate{})
		a := legacy(t, h, "a", 0)
		r, _ := bind(t, h, bind2.Early)
		deliver(t, h, a.JID(), "1")
		assert.Empty(t, arrived(t, r))
		r.Open()
		assert.Equal(t, []string{"received 1"}, texts(t, r))
	})
}

func TestPush(t *testing.T) {
	h := new(hub.Hub)
	r := legacy(t, h, "orchard", 0)
	iq := []byte(`<iq xmlns="jabber:client" type="get" id="x"/>`)
	require.NoError(t, h.Push(t.Context(), r.JID(), iq))
	assert.Equal(t, []string{string(iq)}, pending(t, r, 1))
	for _, to := range []string{"romeo@montague.example", "romeo@montague.example/gone", "benvolio@montague.example/orchard"} {
		refusedWith(t, h.Push(t.Context(), mustParse(t, to), iq), stanza.ServiceUnavailable)
	}
	require.NoError(t, r.Close())
	refusedWith(t, h.Push(t.Context(), r.JID(), iq), stanza.ServiceUnavailable)
}
