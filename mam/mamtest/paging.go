// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamtest

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

// pagingRules are about how what matches is divided.
var pagingRules = []rule[mam.Archive]{
	{
		name: "RS-05 a cursor at every item",
		says: "A page after an item begins with the next one, a page before an item ends with the previous one.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			items := putSome(ctx, t, s, romeo, 10)
			for n := range items {
				for _, limit := range []int{1, 3, 9, 10, 11} {
					end := min(n+1+limit, 10)
					known := mam.Page{Complete: end == 10, Count: 10, First: int64(n + 1)}
					if n == 9 {
						known.First = -1
					}
					q := mam.Query{Max: limit, Count: true, From: mam.Cursor{After: items[n].ID}}
					assertPage(ctx, t, s, romeo, q, items[n+1:end], known)

					start := max(n-limit, 0)
					known = mam.Page{Complete: start == 0, Count: 10, First: int64(start)}
					if n == 0 {
						known.First = -1
					}
					q.From = mam.Cursor{Before: items[n].ID}
					assertPage(ctx, t, s, romeo, q, items[start:n], known)
				}
			}
		},
	},
	{
		name: "MA-33 the last page",
		says: "The last page has the newest items, in order.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			items := putSome(ctx, t, s, romeo, 5)
			q := mam.Query{Max: 2, Count: true, From: mam.Cursor{Last: true}}
			assertPage(ctx, t, s, romeo, q, items[3:], mam.Page{Count: 5, First: 3})
			q.With = juliet
			assertPage(ctx, t, s, romeo, q, items[3:], mam.Page{Count: 5, First: 3})
			q.Start = noon
			assertPage(ctx, t, s, romeo, q, items[3:], mam.Page{Count: 5, First: 3})
			q.Max = 5
			assertPage(ctx, t, s, romeo, q, items, mam.Page{Complete: true, Count: 5})
		},
	},
	{
		name: "MA-31 complete",
		says: "A page is complete if and only if nothing that matches lies beyond it, in its direction; one that is just full can be complete.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			messages := repeat(from(juliet), 7)
			messages[0].With, messages[6].With = nurse, nurse
			items := put(ctx, t, s, romeo, messages...)
			for _, count := range []bool{false, true} {
				for _, q := range []mam.Query{
					{With: juliet.Bare()}, {With: juliet}, {Start: items[1].Stamp, End: items[5].Stamp},
					{AfterID: items[0].ID, BeforeID: items[6].ID}, {With: juliet, WithoutGroupChat: true},
				} {
					q.Count = count
					for limit := 1; limit <= 6; limit++ {
						q.Max, q.From = limit, mam.Cursor{}
						end := min(limit, 5)
						assertPage(ctx, t, s, romeo, q, items[1:1+end], mam.Page{Complete: limit >= 5, Count: 5})
						q.From = mam.Cursor{After: items[0].ID}
						assertPage(ctx, t, s, romeo, q, items[1:1+end], mam.Page{Complete: limit >= 5, Count: 5})
						for _, from := range []mam.Cursor{{Last: true}, {Before: items[6].ID}} {
							q.From = from
							assertPage(ctx, t, s, romeo, q, items[6-end:6], mam.Page{Complete: limit >= 5, Count: 5, First: int64(5 - end)})
						}
					}
				}
			}
		},
	},
	{
		name: "MA-34 a flipped page",
		says: "A flipped page has the same items in reverse, and is otherwise the same page.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			items := putSome(ctx, t, s, romeo, 10)
			for _, from := range []mam.Cursor{{}, {After: items[2].ID}, {Before: items[7].ID}, {Last: true}, {Index: 4}} {
				for _, with := range []jid.JID{{}, juliet} {
					for _, start := range []time.Time{{}, noon} {
						q := mam.Query{Max: 3, From: from, With: with, Start: start, Count: true}
						have, page := get(ctx, t, s, romeo, q)
						require.Len(t, have, 3)
						slices.Reverse(have)
						q.Flip = true
						assertPage(ctx, t, s, romeo, q, have, page)
					}
				}
			}
		},
	},
	{
		name: "RS-04 count and index",
		says: "The count is that of all items that match, on every page.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			messages := repeat(from(juliet), 12)
			for n := range messages {
				if n%3 == 0 {
					messages[n].With = nurse
				}
			}
			items := put(ctx, t, s, romeo, messages...)
			assertPage(ctx, t, s, romeo, mam.Query{Max: 5, Count: true}, items[:5], mam.Page{Count: 12})
			assertPage(ctx, t, s, romeo, mam.Query{Max: 5, Count: true, From: mam.Cursor{After: items[4].ID}}, items[5:10], mam.Page{Count: 12, First: 5})
			assertPage(ctx, t, s, romeo, mam.Query{Max: 5, Count: true, From: mam.Cursor{After: items[9].ID}}, items[10:], mam.Page{Complete: true, Count: 12, First: 10})
			assertPage(ctx, t, s, romeo, mam.Query{Max: 5, Count: true, From: mam.Cursor{Last: true}}, items[7:], mam.Page{Count: 12, First: 7})
			assertPage(ctx, t, s, romeo, mam.Query{Max: 2, Count: true, With: nurse, From: mam.Cursor{Last: true}}, []mam.Item{items[6], items[9]}, mam.Page{Count: 4, First: 2})
		},
	},
	{
		name: "RS-09 nothing but the count",
		says: "If no items are asked for there are none, but what matches is counted, and the page is complete if there is nothing.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			items := put(ctx, t, s, romeo, from(juliet), from(nurse), from(juliet))
			for q, want := range map[*mam.Query]mam.Page{
				{}:                                            {Count: 3, First: -1},
				{With: juliet}:                                {Count: 2, First: -1},
				{Start: noon.Add(time.Second)}:                {Complete: true, First: -1},
				{WithoutGroupChat: true}:                      {Count: 3, First: -1},
				{From: mam.Cursor{Last: true}}:                {Count: 3, First: -1},
				{From: mam.Cursor{After: items[2].ID}}:        {Complete: true, Count: 3, First: -1},
				{From: mam.Cursor{Before: items[0].ID}}:       {Complete: true, Count: 3, First: -1},
				{From: mam.Cursor{After: items[0].ID}}:        {Count: 3, First: -1},
				{From: mam.Cursor{Index: 3}}:                  {Complete: true, Count: 3, First: -1},
				{IDs: []string{items[0].ID}, Flip: true}:      {Count: 1, First: -1},
				{AfterID: items[0].ID, BeforeID: items[1].ID}: {Complete: true, First: -1},
			} {
				assertPage(ctx, t, s, romeo, *q, nil, want)
				q.Count = true
				assertPage(ctx, t, s, romeo, *q, nil, want)
			}
		},
	},
	{
		name: "RS-10 a page by its index",
		says: "An index is how many items lie before the page; behind the last there is an empty one. Next to any other cursor it has no meaning.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			var messages []mam.Message
			for n, m := range repeat(from(juliet), 12) {
				if n%2 == 0 {
					m.With = nurse
				}
				messages = append(messages, m)
			}
			items := put(ctx, t, s, romeo, messages...)
			var hers []mam.Item
			for n := 1; n < len(items); n += 2 {
				hers = append(hers, items[n])
			}
			for _, c := range []struct {
				q    mam.Query
				want []mam.Item
			}{{mam.Query{}, items}, {mam.Query{With: juliet.Bare()}, hers}, {mam.Query{With: juliet, Start: noon}, hers}, {mam.Query{AfterID: items[3].ID}, items[4:]}} {
				q, n := c.q, len(c.want)
				for _, index := range []int{1, 2, n - 3, n - 2, n - 1, n, n + 1, math.MaxInt32, math.MaxInt} {
					q.Max, q.From.Index = 2, int64(index)
					start, end := min(index, n), min(min(index, n)+2, n)
					known := mam.Page{Complete: end == n, Count: int64(n), First: int64(index)}
					if start == end {
						known.First = -1
					}
					for _, q.Count = range []bool{false, true} {
						assertPage(ctx, t, s, romeo, q, c.want[start:end], known)
					}
				}
			}
			q := mam.Query{Max: 2, Count: true, From: mam.Cursor{Last: true, Index: 3}}
			assertPage(ctx, t, s, romeo, q, items[10:], mam.Page{Count: 12, First: 10})
			q.From = mam.Cursor{After: items[6].ID, Index: 3}
			assertPage(ctx, t, s, romeo, q, items[7:9], mam.Page{Count: 12, First: 7})
			q.From = mam.Cursor{Before: items[6].ID, Index: 3}
			assertPage(ctx, t, s, romeo, q, items[4:6], mam.Page{Count: 12, First: 4})
		},
	},
	{
		name: "RS-01 as many as there are",
		says: "However large the number of items that are asked for, there is a page.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			items := putSome(ctx, t, s, romeo, 3)
			for _, limit := range []int{3, 4, 1000, math.MaxInt16, math.MaxInt32, math.MaxInt - 1, math.MaxInt} {
				for _, from := range []mam.Cursor{{}, {Last: true}} {
					for _, start := range []time.Time{{}, noon} {
						assertPage(ctx, t, s, romeo, mam.Query{Max: limit, From: from, Start: start}, items, mam.Page{Complete: true, Count: 3})
					}
				}
			}
		},
	},
	{
		name: "MA-13 all pages",
		says: "Page by page, forwards or backwards, an archive is what it is at once.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			var messages []mam.Message
			for n, m := range repeat(from(juliet), 47) {
				if n%5 == 0 {
					m.With = nurse
				}
				messages = append(messages, m)
			}
			put(ctx, t, s, romeo, messages...)
			for _, q := range []mam.Query{{}, {With: juliet.Bare()}, {With: juliet, WithoutGroupChat: true}, {Start: noon}} {
				q.Max = 100
				want, _ := get(ctx, t, s, romeo, q)
				for _, limit := range []int{1, 7, 47} {
					for _, back := range []bool{false, true} {
						q.Max, q.From = limit, mam.Cursor{Last: back}
						var have []mam.Item
						for range 100 {
							items, page := get(ctx, t, s, romeo, q)
							if len(items) > 0 && back {
								have, q.From = append(items, have...), mam.Cursor{Before: items[0].ID}
							} else if len(items) > 0 {
								have, q.From = append(have, items...), mam.Cursor{After: items[len(items)-1].ID}
							}
							if page.Complete {
								break
							}
						}
						assert.Equal(t, places(want), places(have), "%d at a time, backwards %t", limit, back)
						q.From = mam.Cursor{}
					}
				}
			}
		},
	},
}
