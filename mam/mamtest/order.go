// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamtest

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

const (
	writers = 8
	letters = 40 // of each writer
)

// orderRules are about an archive that changes while it is read.
var orderRules = []rule[mam.Archive]{
	{
		name: "RS-13 appended while paging",
		says: "What is appended while somebody pages through an archive neither moves nor hides an item.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			items := putSome(ctx, t, s, romeo, 10)
			q := mam.Query{Max: 3, Count: true}
			var have []mam.Item
			for n := 0; n < 10; n++ {
				page, _ := get(ctx, t, s, romeo, q)
				have = append(have, page...)
				if len(page) == 0 {
					break
				}
				q.From.After = page[len(page)-1].ID
				if n < 5 {
					items = append(items, put(ctx, t, s, romeo, at(-time.Duration(n)*time.Hour))...)
				}
			}
			assert.Equal(t, places(items), places(have), "forwards")

			q = mam.Query{Max: 3, From: mam.Cursor{Last: true}}
			have = nil
			for range 10 {
				page, _ := get(ctx, t, s, romeo, q)
				have = append(page, have...)
				if len(page) == 0 {
					break
				}
				q.From = mam.Cursor{Before: page[0].ID}
				put(ctx, t, s, romeo, at(-time.Hour))
			}
			assert.Equal(t, places(items), places(have), "backwards")
		},
	},
	{
		name: "D-24 one instant",
		says: "A query has the archive as it was at one instant, whatever is appended or pruned while it yields.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			items := putSome(ctx, t, s, romeo, 200)
			pruner, _ := s.(mam.Pruner)
			for n, q := range []mam.Query{
				{Max: 1000, Count: true},
				{Max: 1000, Count: true, From: mam.Cursor{Last: true}, With: juliet},
				{Max: 1000, Count: true, Flip: true, Start: noon},
			} {
				want := slices.Clone(items)
				if q.Flip {
					slices.Reverse(want)
				}
				var (
					have    []mam.Item
					changed sync.WaitGroup
				)
				page, err := s.Query(ctx, romeo, q, func(i mam.Item) error {
					i.XML = slices.Clone(i.XML)
					if have = append(have, i); len(have) == 1 {
						// The store may let them wait until the query has ended.
						done := make(chan struct{})
						changed.Go(func() {
							defer close(done)
							for _, m := range repeat(from(juliet), 20) {
								i, err := s.Append(ctx, romeo, m)
								assert.NoError(t, err)
								items = append(items, i)
							}
							if pruner != nil {
								_, err := pruner.Prune(ctx, romeo, time.Time{}, 100)
								assert.NoError(t, err)
							}
						})
						select {
						case <-done:
						case <-time.After(50 * time.Millisecond):
						}
					}
					return nil
				})
				changed.Wait()
				require.NoError(t, err)
				if !assert.Equal(t, places(want), places(have), "query %d", n) {
					return
				}
				for k := range want {
					assertItem(t, want[k], have[k])
				}
				assert.True(t, page.Complete, "complete")
				assert.EqualValues(t, len(want), page.Count, "count")
				if pruner != nil {
					items = items[len(items)-100:]
				}
			}
		},
	},
	{
		name: "D-24 many writers",
		says: "Positions have no gaps and are given in the order in which messages are stored, however many write: who reads a position can read all that are below it (RS-13).",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			assertNoGaps(ctx, t, writers, letters, func(int) mam.Archive { return s })
		},
	},
	{
		name: "D-24 many archives",
		says: "Writers of different archives do not disturb one another.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			var all sync.WaitGroup
			for n := range writers {
				archive := parse(t, "romeo"+strconv.Itoa(n)+"@montague.example")
				all.Go(func() {
					for k := range letters {
						i, err := s.Append(ctx, archive, from(juliet))
						if !assert.NoError(t, err) || !assert.EqualValues(t, k+1, i.Position) {
							return
						}
					}
				})
			}
			all.Wait()
			for n := range writers {
				assert.Equal(t, numbers(1, letters), places(everything(ctx, t, s, parse(t, "romeo"+strconv.Itoa(n)+"@montague.example"))))
			}
		},
	},
	{
		name: "D-24 any query",
		says: "Whatever is asked of whatever is stored, the answer is what the definition of a query says.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			lots := lots(t)
			for n := range 6 {
				archive := parse(t, "romeo"+strconv.Itoa(n)+"@montague.example")
				m := model{items: put(ctx, t, s, archive, randomMessages(lots, 1+lots.IntN(60))...)}
				if !m.assertQueries(ctx, t, s, archive, lots, 150) {
					return
				}
			}
		},
	},
}

// assertNoGaps has many writers append to one archive, and others page through it.
func assertNoGaps(ctx context.Context, t testing.TB, writers, letters int, store func(n int) mam.Archive) {
	t.Helper()
	var (
		writing, reading sync.WaitGroup
		total            = int64(writers * letters)
		mine             = make([][]mam.Item, writers)
		stop             atomic.Bool
		start            = make(chan struct{})
	)
	for n := range writers {
		s := store(n)
		writing.Go(func() {
			<-start
			for k := range letters {
				m := from(juliet)
				m.StanzaID = strconv.Itoa(n) + "-" + strconv.Itoa(k)
				i, err := s.Append(ctx, romeo, m)
				if !assert.NoError(t, err, "Append") {
					return
				}
				mine[n] = append(mine[n], i)
				// It is there, and so are all before it.
				page, _, err := ask(ctx, s, romeo, mam.Query{Max: 3, From: mam.Cursor{Before: i.ID}})
				if !assert.NoError(t, err, "what is stored can be found") ||
					!assert.Equal(t, numbers(max(1, i.Position-3), i.Position-1), places(page), "what lies before an item, once it is stored") {
					return
				}
			}
		})
	}
	for n := range 2 {
		s := store(n + 1)
		reading.Go(func() {
			<-start
			var (
				next = int64(1)
				q    = mam.Query{Max: 7}
				last bool
			)
			for {
				end := next - 1
				if n == 1 {
					_, item, err := s.Ends(ctx, romeo)
					if !assert.NoError(t, err, "Ends") {
						return
					}
					end = item.Position
				}
				items, _, err := ask(ctx, s, romeo, q)
				if !assert.NoError(t, err, "Query") {
					return
				}
				for _, i := range items {
					if !assert.Equal(t, next, i.Position, "the next position, while others write") {
						return
					}
					next, q.From.After = next+1, i.ID
				}
				if len(items) < 7 && !assert.GreaterOrEqual(t, next-1, end, "the last position that was there before the query") {
					return
				}
				if len(items) == 0 {
					if last {
						break
					}
					last = stop.Load()
				}
			}
			assert.Equal(t, total+1, next, "the position after all that was written")
		})
	}
	close(start)
	writing.Wait()
	stop.Store(true)
	reading.Wait()

	found := everything(ctx, t, store(0), romeo)
	if !assert.Equal(t, numbers(1, total), places(found), "positions") {
		return
	}
	for n, items := range mine {
		assert.True(t, slices.IsSortedFunc(items, func(a, b mam.Item) int { return int(a.Position - b.Position) }), "what one appends has its order: %v", places(items))
		for k, i := range items {
			stored := found[i.Position-1]
			assert.Equal(t, i.ID, stored.ID, "the item at position %d is the one of which Append said so", i.Position)
			assert.Equal(t, strconv.Itoa(n)+"-"+strconv.Itoa(k), stored.StanzaID, "the message at position %d", i.Position)
		}
	}
}

// partners are whom the random messages are exchanged with.
var partners = []jid.JID{
	juliet, juliet.Bare(), nurse, nurse.Bare(), room, jid.MustParse("garden@chat.example/juliet"), jid.MustParse("garden@chat.example/Nurse"),
	jid.MustParse("capulet.example"), jid.MustParse("capulet.example/balcony"), jid.MustParse("juliet@capulet.example.net/balcony"),
}
