// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub_test

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/bind2/hub"
	"github.com/xmppext/xmppext/mam"
)

// keeping is an archive that keeps n messages and then forgets the oldest.
func keeping(n int) *mam.Memory { return &mam.Memory{MaxItems: n, MaxBytes: math.MaxInt} }

// readers binds n resources of an account, the first of which gets its messages and
// the others copies, and returns what empties their queues.
func readers(b *testing.B, h *hub.Hub, account jid.JID, n int) func() {
	b.Helper()
	all := make([]*hub.Resource, n)
	for i := range all {
		r := h.NewResource()
		_, err := h.Bind(r.Context(b.Context()), bind2.Request{Account: account, Protocol: bind2.Early, Carbons: true})
		require.NoError(b, err)
		b.Cleanup(func() { require.NoError(b, r.Close()) })
		require.NoError(b, r.SetPresence(b.Context(), true, int8(-min(i, 1))))
		all[i] = r
	}
	ended, cancel := context.WithCancel(b.Context())
	cancel()
	return func() {
		for _, r := range all {
			for {
				if _, err := r.Take(ended); err != nil {
					break
				}
			}
		}
	}
}

// full is how many messages are delivered before queues are emptied.
const full = 500

func BenchmarkDeliver(b *testing.B) {
	for _, resources := range []int{1, 4, 16} {
		b.Run(fmt.Sprintf("resources=%d", resources), func(b *testing.B) {
			h := &hub.Hub{Archive: keeping(1000)}
			empty := readers(b, h, romeo, resources)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := h.Deliver(b.Context(), romeo, chat(romeo, "But soft, what light through yonder window breaks?")); err != nil {
					b.Fatal(err)
				}
				if i%full == 0 {
					empty()
				}
			}
		})
	}
}

// What the reader of the message costs in BenchmarkDeliver.
func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		r := chat(romeo, "But soft, what light through yonder window breaks?")
		for {
			if _, err := r.Token(); err != nil {
				break
			}
		}
	}
}

// A message from one account to another, with one client each.
func BenchmarkSend(b *testing.B) {
	h := &hub.Hub{Archive: keeping(1000), Local: func(jid.JID) bool { return true }}
	empty := readers(b, h, juliet.Bare(), 1)
	r := h.NewResource()
	_, err := h.Bind(r.Context(b.Context()), bind2.Request{Account: romeo, Protocol: bind2.Early, Carbons: true})
	require.NoError(b, err)
	defer r.Close()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := r.Send(b.Context(), note(juliet.Bare(), "But soft, what light through yonder window breaks?")); err != nil {
			b.Fatal(err)
		}
		if i%full == 0 {
			empty()
		}
	}
}

// A bind costs as much as there are conversations with something unread, whatever the
// size of the archive.
func BenchmarkBind(b *testing.B) {
	for _, archived := range []int{1000, 1_000_000} {
		archive := keeping(math.MaxInt)
		with := func(n int) jid.JID { return jid.MustParse(fmt.Sprintf("contact%d@capulet.example", n)) }
		for range archived {
			_, err := archive.Append(b.Context(), romeo, mam.Message{With: with(0)})
			require.NoError(b, err)
		}
		contacts := 0
		for _, unread := range []int{0, 100, 10_000} {
			for ; contacts < unread; contacts++ {
				_, err := archive.Append(b.Context(), romeo, mam.Message{With: with(contacts), Unread: true})
				require.NoError(b, err)
			}
			b.Run(fmt.Sprintf("archived=%d/unread=%d", archived, unread), func(b *testing.B) {
				h := &hub.Hub{Archive: archive, Offline: new(hub.MemoryOffline), MaxUnread: max(unread, 1)}
				b.ReportAllocs()
				for b.Loop() {
					r := h.NewResource()
					bound, err := h.Bind(r.Context(b.Context()), bind2.Request{Account: romeo, Protocol: bind2.Inline, Carbons: true})
					if err != nil || len(bound.Unreads) != unread {
						b.Fatal(len(bound.Unreads), err)
					}
					if err := r.Close(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkThroughput(b *testing.B) {
	for _, accounts := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("accounts=%d", accounts), func(b *testing.B) {
			h := &hub.Hub{Archive: keeping(100)}
			everybody := make([]jid.JID, accounts)
			empty := make([]func(), accounts)
			for i := range everybody {
				everybody[i] = person(i)
				empty[i] = readers(b, h, everybody[i], 1)
			}
			var count atomic.Int64
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					n := count.Add(1)
					to := int(n % int64(accounts))
					if err := h.Deliver(b.Context(), everybody[to], chat(everybody[to], "But soft, what light through yonder window breaks?")); err != nil {
						b.Error(err)
						return
					}
					if n/int64(accounts)%full == 0 {
						empty[to]()
					}
				}
			})
		})
	}
}
