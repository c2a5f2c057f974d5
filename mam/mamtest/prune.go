// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamtest

import (
	"context"
	"math"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

// never is a time that nothing was received before.
var never time.Time

// prune removes items and asserts how many they are.
func prune(ctx context.Context, t testing.TB, s mam.Pruner, archive jid.JID, before time.Time, keep, want int64) {
	t.Helper()
	n, err := s.Prune(ctx, archive, before, keep)
	require.NoError(t, err, "Prune")
	assert.Equal(t, want, n, "items that were pruned")
}

var prunerRules = []rule[mam.Pruner]{
	{
		name: "MA-03 all but some",
		says: "Pruning removes the oldest items, and only as many as are too many.",
		check: func(ctx context.Context, t testing.TB, s mam.Pruner) {
			items := putSome(ctx, t, s, romeo, 10)
			for _, c := range []struct{ keep, pruned, first int64 }{{math.MaxInt64, 0, 1}, {11, 0, 1}, {10, 0, 1}, {7, 3, 4}, {7, 0, 4}, {-1, 0, 4}, {8, 0, 4}, {1, 6, 10}} {
				prune(ctx, t, s, romeo, never, c.keep, c.pruned)
				assertPage(ctx, t, s, romeo, all(), items[c.first-1:], mam.Page{Complete: true, Count: 11 - c.first})
			}
			prune(ctx, t, s, romeo, never, 0, 1)
			assert.Empty(t, everything(ctx, t, s, romeo))
			prune(ctx, t, s, romeo, never, 0, 0)
			prune(ctx, t, s, room, noon, 0, 0)
		},
	},
	{
		name: "MA-03 by time",
		says: "Pruning removes the oldest items, in the order of the archive, up to the first that was received in time.",
		check: func(ctx context.Context, t testing.TB, s mam.Pruner) {
			items := put(ctx, t, s, romeo, at(0), at(2*time.Hour), at(time.Hour), at(3*time.Hour), at(0), at(5*time.Hour))
			prune(ctx, t, s, romeo, noon, -1, 0)
			prune(ctx, t, s, romeo, noon.Add(time.Hour).In(time.FixedZone("", 7200)), -1, 1)
			prune(ctx, t, s, romeo, noon.Add(2*time.Hour), -1, 0) // the next was received just then
			assertPage(ctx, t, s, romeo, all(), items[1:], mam.Page{Complete: true, Count: 5})
			prune(ctx, t, s, romeo, noon.Add(2*time.Hour+time.Microsecond), -1, 2)
			assertPage(ctx, t, s, romeo, all(), items[3:], mam.Page{Complete: true, Count: 3})
			prune(ctx, t, s, romeo, noon.Add(6*time.Hour), 10, 3)
			assert.Empty(t, everything(ctx, t, s, romeo))
		},
	},
	{
		name: "MA-03 by time or by number",
		says: "Pruning goes on as long as either is a reason to do so.",
		check: func(ctx context.Context, t testing.TB, s mam.Pruner) {
			items := put(ctx, t, s, romeo, at(5*time.Hour), at(0), at(0), at(5*time.Hour), at(0), at(5*time.Hour))
			prune(ctx, t, s, romeo, noon.Add(time.Hour), 5, 3) // the first is too many, the next two are too old
			assertPage(ctx, t, s, romeo, all(), items[3:], mam.Page{Complete: true, Count: 3})
		},
	},
	{
		name: "MA-03 never again",
		says: "Ids and positions that were pruned are never used again, even if nothing is left.",
		check: func(ctx context.Context, t testing.TB, s mam.Pruner) {
			seen := make(map[string]bool)
			for round := range int64(4) {
				items := putSome(ctx, t, s, romeo, 5)
				assert.Equal(t, numbers(round*5+1, round*5+5), places(items))
				for _, i := range items {
					assert.False(t, seen[i.ID], "%q was used before", i.ID)
					seen[i.ID] = true
				}
				prune(ctx, t, s, romeo, never, 0, 5)
				for _, i := range items {
					assertUnknown(ctx, t, s, romeo, i.ID, "")
				}
				first, last, err := s.Ends(ctx, romeo)
				require.NoError(t, err)
				assert.Equal(t, [2]mam.Item{}, [2]mam.Item{first, last}, "the ends of nothing")
				assertPage(ctx, t, s, romeo, mam.Query{Max: 5, Count: true}, nil, mam.Page{Complete: true, First: -1})
			}
		},
	},
	{
		name: "RS-06 ids that were pruned",
		says: "The id of an item that was pruned is one that is not there, so that a client notices what it missed (AA-11).",
		check: func(ctx context.Context, t testing.TB, s mam.Pruner) {
			items := putSome(ctx, t, s, romeo, 6)
			prune(ctx, t, s, romeo, never, 3, 3)
			for n, i := range items {
				if n < 3 {
					assertUnknown(ctx, t, s, romeo, i.ID, items[4].ID)
				}
			}
			assertPage(ctx, t, s, romeo, mam.Query{Max: 10, Count: true, From: mam.Cursor{After: items[3].ID}}, items[4:], mam.Page{Complete: true, Count: 3, First: 1})
		},
	},
	{
		name: "RS-13 pruned while paging",
		says: "While the item that a client stopped at is there, the next page is the same, whatever was pruned before it (AA-11).",
		check: func(ctx context.Context, t testing.TB, s mam.Pruner) {
			items := putSome(ctx, t, s, romeo, 20)
			page, _ := get(ctx, t, s, romeo, mam.Query{Max: 5})
			require.Len(t, page, 5)
			prune(ctx, t, s, romeo, never, 16, 4)
			assertPage(ctx, t, s, romeo, mam.Query{Max: 5, Count: true, From: mam.Cursor{After: page[4].ID}}, items[5:10], mam.Page{Count: 16, First: 1})
			prune(ctx, t, s, romeo, never, 8, 8)
			assertNone(ctx, t, s, romeo, mam.Query{Max: 5, From: mam.Cursor{After: items[9].ID}})
			assertPage(ctx, t, s, romeo, mam.Query{Max: 5, Count: true, From: mam.Cursor{Before: items[14].ID}}, items[12:14], mam.Page{Complete: true, Count: 8})
		},
	},
	{
		name: "RS-04 counted after pruning",
		says: "What was pruned counts no longer, and does not match.",
		check: func(ctx context.Context, t testing.TB, s mam.Pruner) {
			messages := repeat(from(juliet), 12)
			for n := range messages {
				if n%2 == 0 {
					messages[n].With = nurse
				}
			}
			items := put(ctx, t, s, romeo, messages...)
			prune(ctx, t, s, romeo, never, 7, 5) // those left are 5 to 11
			assertPage(ctx, t, s, romeo, mam.Query{Max: 2, Count: true, From: mam.Cursor{Index: 3}}, items[8:10], mam.Page{Count: 7, First: 3})
			assertPage(ctx, t, s, romeo, mam.Query{Max: 2, Count: true, From: mam.Cursor{Last: true}}, items[10:], mam.Page{Count: 7, First: 5})
			assertPage(ctx, t, s, romeo, mam.Query{Max: 5, Count: true, With: nurse}, []mam.Item{items[6], items[8], items[10]}, mam.Page{Complete: true, Count: 3})
			assertPage(ctx, t, s, romeo, mam.Query{Max: 5, Count: true, End: items[6].Stamp}, items[5:7], mam.Page{Complete: true, Count: 2})
		},
	},
	{
		name: "MA-03 one archive",
		says: "Pruning an archive leaves all others as they are.",
		check: func(ctx context.Context, t testing.TB, s mam.Pruner) {
			names := odd(t)
			items := make([][]mam.Item, len(names))
			for n, line := range names {
				items[n] = putSome(ctx, t, s, line[0].Bare(), 2)
			}
			for n, line := range names {
				if n%2 == 0 {
					prune(ctx, t, s, line[0].Bare(), never, 1, 1)
				}
			}
			for n, line := range names {
				assertPage(ctx, t, s, line[0], all(), items[n][1-n%2:], mam.Page{Complete: true, Count: int64(1 + n%2)})
			}
		},
	},
	{
		name: "D-24 any query after pruning",
		says: "Whatever is asked of whatever is left, the answer is what the definition of a query says.",
		check: func(ctx context.Context, t testing.TB, s mam.Pruner) {
			lots := lots(t)
			for n := range 4 {
				archive := parse(t, "romeo"+strconv.Itoa(n)+"@montague.example")
				var m model
				for range 4 {
					m.items = append(m.items, put(ctx, t, s, archive, randomMessages(lots, lots.IntN(25))...)...)
					before, keep := never, int64(lots.IntN(40)-5)
					if lots.IntN(2) == 0 {
						before = moment(lots)
					}
					left := m.items
					for len(left) > 0 && (left[0].Stamp.Before(kept(before)) || keep >= 0 && int64(len(left)) > keep) {
						left = left[1:]
					}
					prune(ctx, t, s, archive, before, keep, int64(len(m.items)-len(left)))
					m.items = left
					if !m.assertQueries(ctx, t, s, archive, lots, 30) {
						return
					}
				}
			}
		},
	},
	{
		name: "D-24 pruned while others write",
		says: "Pruning and appending at once loses nothing but the oldest, and no position.",
		check: func(ctx context.Context, t testing.TB, s mam.Pruner) {
			var (
				writing, pruning sync.WaitGroup
				written          = make(chan struct{})
				pruned           int64
			)
			for range 4 {
				writing.Go(func() {
					for range letters {
						if _, err := s.Append(ctx, romeo, from(juliet)); !assert.NoError(t, err, "Append") {
							return
						}
					}
				})
			}
			pruning.Go(func() {
				for last := false; !last; {
					select {
					case <-written:
						last = true
					default:
					}
					n, err := s.Prune(ctx, romeo, never, 10)
					if !assert.NoError(t, err, "Prune") {
						return
					}
					pruned += n
				}
			})
			writing.Wait()
			close(written)
			pruning.Wait()
			assert.EqualValues(t, 4*letters-10, pruned, "items that were pruned in all")
			assert.Equal(t, numbers(4*letters-9, 4*letters), places(everything(ctx, t, s, romeo)), "what is left")
		},
	},
	{
		name: "pruning with a context that has ended",
		says: "With a context that has ended nothing is pruned, and the error says so.",
		check: func(ctx context.Context, t testing.TB, s mam.Pruner) {
			putSome(ctx, t, s, romeo, 3)
			_, err := s.Prune(ended(ctx), romeo, never, 0)
			assert.Error(t, err)
			assert.Len(t, everything(ctx, t, s, romeo), 3)
		},
	},
}
