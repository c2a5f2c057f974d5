// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/bind2/hub"
)

// bottomless is an offline queue that takes everything and has nothing.
type bottomless struct{}

func (bottomless) Add(context.Context, jid.JID, hub.OfflineMessage) error { return nil }

func (bottomless) Take(context.Context, jid.JID, int64) ([]hub.OfflineMessage, error) {
	return nil, nil
}

// heap returns how many bytes are in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // What was swept meanwhile.
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// person returns the nth account.
func person(n int) jid.JID { return jid.MustParse(fmt.Sprintf("account%d@montague.example", n)) }

// comeAndGo has n accounts that each get a message, are all online at once, and go.
func comeAndGo(t testing.TB, h *hub.Hub, n int) {
	resources := make([]*hub.Resource, n)
	for i := range resources {
		account := person(i)
		require.NoError(t, h.Deliver(t.Context(), account, chat(account, "hello")))
		r := h.NewResource()
		_, err := h.Bind(r.Context(t.Context()), bind2.Request{Account: account, Protocol: bind2.Legacy})
		require.NoError(t, err)
		resources[i] = r
	}
	require.Equal(t, n, h.Accounts())
	for _, r := range resources {
		require.NoError(t, r.Close())
	}
}

func TestIdleAccounts(t *testing.T) {
	// What one of them has is some bytes, if that: a million cost next to nothing.
	const accounts, perAccount = 100_000, 10

	h := &hub.Hub{Offline: bottomless{}}
	comeAndGo(t, h, 1)
	before := heap()
	comeAndGo(t, h, accounts)
	assert.Zero(t, h.Accounts())
	assert.Less(t, heap()-before, int64(accounts*perAccount), "what stays behind")
	runtime.KeepAlive(h)
}

func BenchmarkIdleAccounts(b *testing.B) {
	for b.Loop() {
		const accounts = 1_000_000
		h := &hub.Hub{Offline: bottomless{}}
		before := heap()
		comeAndGo(b, h, accounts)
		require.Zero(b, h.Accounts())
		b.ReportMetric(float64(heap()-before)/accounts, "left-B/account")
		runtime.KeepAlive(h)
	}
}
