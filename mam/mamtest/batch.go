// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamtest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

var batcherRules = []rule[mam.Batcher]{
	{
		name: "many messages at once",
		says: "Messages that are appended at once are stored each in its archive, in the order in which they were given.",
		check: func(ctx context.Context, t testing.TB, s mam.Batcher) {
			lots := lots(t)
			names := []jid.JID{romeo, room, juliet.Bare()}
			var want [3][]mam.Item
			for n, archive := range names {
				want[n] = putSome(ctx, t, s, archive, n)
			}
			seen := make(map[string]bool)
			for _, size := range []int{1, 2, 100, 333} {
				var (
					entries []mam.Entry
					into    []int
				)
				for _, m := range randomMessages(lots, size) {
					n := lots.IntN(3)
					entries, into = append(entries, mam.Entry{Archive: names[n], Message: m}), append(into, n)
				}
				items, err := s.AppendAll(ctx, entries)
				require.NoError(t, err)
				require.Len(t, items, size)
				for k, i := range items {
					n := into[k]
					assertItem(t, mam.Item{Position: int64(len(want[n]) + 1), ID: i.ID, Message: entries[k].Message}, i)
					assert.False(t, seen[i.ID], "%q is the id of two items", i.ID)
					seen[i.ID] = true
					want[n] = append(want[n], i)
				}
			}
			for n, archive := range names {
				assertPage(ctx, t, s, archive, all(), want[n], mam.Page{Complete: true, Count: int64(len(want[n]))})
			}
		},
	},
	{
		name: "no messages at once",
		says: "To append no messages is no error.",
		check: func(ctx context.Context, t testing.TB, s mam.Batcher) {
			items, err := s.AppendAll(ctx, nil)
			assert.NoError(t, err)
			assert.Empty(t, items)
		},
	},
	{
		name: "all or none",
		says: "Of messages that are appended at once all are stored or none, if the context ends before, after or meanwhile.",
		check: func(ctx context.Context, t testing.TB, s mam.Batcher) {
			const size = 100
			entries := make([]mam.Entry, size)
			for n := range entries {
				entries[n] = mam.Entry{Archive: romeo, Message: from(juliet)}
			}
			_, err := s.AppendAll(ended(ctx), entries)
			assert.Error(t, err)
			assert.Empty(t, everything(ctx, t, s, romeo))
			stored := int64(0)
			for n := range 16 {
				short, cancel := context.WithTimeout(ctx, 20*time.Microsecond<<n)
				_, err := s.AppendAll(short, entries)
				cancel()
				_, last, endsErr := s.Ends(ctx, romeo)
				require.NoError(t, endsErr)
				if err == nil {
					assert.Equal(t, stored+size, last.Position, "all are stored")
				} else {
					assert.Contains(t, []int64{stored, stored + size}, last.Position, "all are stored or none")
				}
				stored = last.Position
			}
			assert.Equal(t, numbers(1, stored), places(everything(ctx, t, s, romeo)))
		},
	},
	{
		name: "seen at once",
		says: "Nobody sees some of the messages that are appended at once without the others, and their positions have no gaps however many write.",
		check: func(ctx context.Context, t testing.TB, s mam.Batcher) {
			const size, rounds = 7, 15
			var (
				all  sync.WaitGroup
				done = make(chan struct{})
			)
			for range 4 {
				all.Go(func() {
					for range rounds {
						entries := make([]mam.Entry, size)
						for n := range entries {
							entries[n] = mam.Entry{Archive: romeo, Message: from(juliet)}
						}
						items, err := s.AppendAll(ctx, entries)
						if !assert.NoError(t, err) || !assert.Len(t, items, size) {
							return
						}
						first := items[0].Position
						assert.Equal(t, numbers(first, first+size-1), places(items))
					}
				})
			}
			var reading sync.WaitGroup
			reading.Go(func() {
				for {
					_, last, err := s.Ends(ctx, romeo)
					if !assert.NoError(t, err) || !assert.Zero(t, last.Position%size, "the last position that can be seen, %d, is the last of %d", last.Position, size) {
						return
					}
					select {
					case <-done:
						return
					default:
					}
				}
			})
			all.Wait()
			close(done)
			reading.Wait()
			assert.Equal(t, numbers(1, 4*rounds*size), places(everything(ctx, t, s, romeo)))
		},
	},
}
