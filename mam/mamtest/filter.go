// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamtest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

// filterRules are about which items match.
var filterRules = []rule[mam.Archive]{
	{
		name: "MA-18 the other party",
		says: "A bare address stands for itself and all its resources, a full one for itself, a domain for no account there.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			var stored [][]mam.Item
			names := odd(t)
			for _, line := range names {
				var messages []mam.Message
				for _, with := range line {
					messages = append(messages, from(with))
				}
				stored = append(stored, put(ctx, t, s, romeo, messages...))
			}
			for n, line := range names {
				one := int64(len(line))
				assertPage(ctx, t, s, romeo, mam.Query{Max: 100, Count: true, With: line[0].Bare()}, stored[n], mam.Page{Complete: true, Count: one})
				for k, with := range line {
					if with.Resourcepart() != "" {
						assertPage(ctx, t, s, romeo, mam.Query{Max: 100, Count: true, With: with}, stored[n][k:k+1], mam.Page{Complete: true, Count: 1})
					}
				}
			}
			for _, nobody := range []string{"capulet", "example", "%", "_", "juliet@capulet", "nobody@capulet.example", "capulet.example/x", "x@capulet.example/balcony"} {
				with, err := jid.Parse(nobody)
				if err != nil {
					continue
				}
				assertPage(ctx, t, s, romeo, mam.Query{Max: 100, Count: true, With: with}, nil, mam.Page{Complete: true, First: -1})
			}
		},
	},
	{
		name: "MA-18 one's own address",
		says: "Messages to oneself, and only they, are found by one's own address (MA-19).",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			items := put(ctx, t, s, romeo, from(juliet), from(romeo), from(nurse))
			assertPage(ctx, t, s, romeo, mam.Query{Max: 10, With: romeo}, items[1:2], mam.Page{Complete: true, Count: 1})
		},
	},
	{
		name: "MA-20 span of time",
		says: "Start and end are the first and the last moment of what matches; either may be missing.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			var messages []mam.Message
			for n := range 5 {
				messages = append(messages, at(time.Duration(n)*time.Microsecond))
			}
			items := put(ctx, t, s, romeo, messages...)
			moment := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Microsecond) }
			for start := -1; start < 6; start++ {
				for end := -1; end < 6; end++ {
					have := items[:0:0]
					for n, i := range items {
						if n >= start && n <= end {
							have = append(have, i)
						}
					}
					known := mam.Page{Complete: true, Count: int64(len(have))}
					if len(have) == 0 {
						known.First = -1
					}
					zone := time.FixedZone("", 3600*start)
					assertPage(ctx, t, s, romeo, mam.Query{Max: 10, Count: true, Start: moment(start).In(zone), End: moment(end)}, have, known)
				}
			}
			assertPage(ctx, t, s, romeo, mam.Query{Max: 10, Count: true, Start: moment(3)}, items[3:], mam.Page{Complete: true, Count: 2})
			assertPage(ctx, t, s, romeo, mam.Query{Max: 10, Count: true, End: moment(1)}, items[:2], mam.Page{Complete: true, Count: 2})
		},
	},
	{
		name: "MA-21 between ids",
		says: "What lies after one id and before another matches, without those two; where they cross there is nothing (AA-08).",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			items := putSome(ctx, t, s, romeo, 10)
			for after := range 11 {
				for before := 1; before <= 11; before++ {
					q := mam.Query{Max: 20, Count: true}
					if after > 0 {
						q.AfterID = items[after-1].ID
					}
					if before <= 10 {
						q.BeforeID = items[before-1].ID
					}
					want, known := items[:0], mam.Page{Complete: true, First: -1}
					if after < before-1 {
						want = items[after : before-1]
						known.Count, known.First = int64(len(want)), 0
					}
					assertPage(ctx, t, s, romeo, q, want, known)
					if len(want) > 2 {
						q.Max = 2
						assertPage(ctx, t, s, romeo, q, want[:2], mam.Page{Count: known.Count})
						q.From.Last = true
						assertPage(ctx, t, s, romeo, q, want[len(want)-2:], mam.Page{Count: known.Count, First: known.Count - 2})
					}
				}
			}
		},
	},
	{
		name: "MA-21 all filters at once",
		says: "An item must match all that is asked for.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			messages := repeat(from(juliet), 8)
			messages[2].With, messages[5].GroupChat = nurse, true
			items := put(ctx, t, s, romeo, messages...)
			q := mam.Query{
				Max: 10, Count: true, With: juliet.Bare(), WithoutGroupChat: true, AfterID: items[0].ID, BeforeID: items[7].ID,
				Start: items[1].Stamp, End: items[5].Stamp,
				IDs: []string{items[7].ID, items[5].ID, items[4].ID, items[2].ID, items[1].ID, items[0].ID, items[6].ID},
			}
			assertPage(ctx, t, s, romeo, q, []mam.Item{items[1], items[4]}, mam.Page{Complete: true, Count: 2})
			q.IDs = nil
			assertPage(ctx, t, s, romeo, q, []mam.Item{items[1], items[3], items[4]}, mam.Page{Complete: true, Count: 3})
		},
	},
	{
		name: "MA-22 ids of items",
		says: "Items that are named by their ids are returned in the order of the archive, each once.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			items := putSome(ctx, t, s, romeo, 10)
			assertPage(ctx, t, s, romeo, mam.Query{Max: 10, Count: true, IDs: []string{items[6].ID, items[1].ID}}, []mam.Item{items[1], items[6]}, mam.Page{Complete: true, Count: 2})
			twice := []string{items[6].ID, items[1].ID, items[6].ID, items[1].ID, items[3].ID}
			assertPage(ctx, t, s, romeo, mam.Query{Max: 10, Count: true, IDs: twice}, []mam.Item{items[1], items[3], items[6]}, mam.Page{Complete: true, Count: 3})
			assertPage(ctx, t, s, romeo, mam.Query{Max: 2, Count: true, IDs: twice}, []mam.Item{items[1], items[3]}, mam.Page{Count: 3})
			assertPage(ctx, t, s, romeo, mam.Query{Max: 2, Count: true, IDs: twice, From: mam.Cursor{Last: true}}, []mam.Item{items[3], items[6]}, mam.Page{Count: 3, First: 1})
			assertPage(ctx, t, s, romeo, mam.Query{Max: 10, Count: true, IDs: []string{}}, items, mam.Page{Complete: true, Count: 10})
		},
	},
	{
		name: "MA-22 many ids",
		says: "A thousand items can be named at once, some of them twice.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			items := putSome(ctx, t, s, romeo, 40)
			var ids []string
			for n := range 1000 {
				ids = append(ids, items[n%40].ID)
			}
			assertPage(ctx, t, s, romeo, mam.Query{Max: 1000, Count: true, IDs: ids}, items, mam.Page{Complete: true, Count: 40})
			assertNone(ctx, t, s, romeo, mam.Query{Max: 1000, IDs: append(ids, "unknown")})
		},
	},
	{
		name: "MA-23 ids that are not there",
		says: "A query that names an id that the archive does not hold yields nothing; the error is ErrNotFound, whatever the id looks like (AA-20).",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			assertUnknown(ctx, t, s, romeo, "4d6ac9f2-7b0e-4f0c-8a2e-6f9d2c1b3a55", "")
			items := putSome(ctx, t, s, romeo, 3)
			assertUnknown(ctx, t, s, romeo, "4d6ac9f2-7b0e-4f0c-8a2e-6f9d2c1b3a55", items[0].ID)
			for _, text := range append(oddTexts, " "+items[0].ID, items[0].ID+" ", items[0].ID+"0", items[0].ID[1:], items[0].ID[:len(items[0].ID)-1]) {
				assertUnknown(ctx, t, s, romeo, text, items[1].ID)
			}
			assert.Len(t, everything(ctx, t, s, romeo), 3)
		},
	},
	{
		name: "AA-10 ids of another archive",
		says: "The id of an item in another archive is one that is not there.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			mine := putSome(ctx, t, s, romeo, 3)
			for _, other := range []jid.JID{room, parse(t, "romeo@montague.example.net"), parse(t, "montague.example")} {
				theirs := putSome(ctx, t, s, other, 3)
				for _, i := range theirs {
					assertUnknown(ctx, t, s, romeo, i.ID, mine[0].ID)
				}
				assertUnknown(ctx, t, s, parse(t, "nobody@montague.example"), theirs[0].ID, "")
			}
		},
	},
	{
		name: "MA-23 ids outside of what matches",
		says: "Any item of the archive can be a cursor, if it matches or not.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			var messages []mam.Message
			for n, m := range repeat(from(juliet), 9) {
				if n%2 == 0 {
					m.With = nurse
				}
				messages = append(messages, m)
			}
			items := put(ctx, t, s, romeo, messages...) // juliet's are 1, 3, 5 and 7
			for _, q := range []mam.Query{
				{With: juliet.Bare()},
				{With: juliet},
				{With: juliet, Start: noon},
				{IDs: []string{items[1].ID, items[3].ID, items[5].ID, items[7].ID}},
			} {
				q.Max, q.Count = 10, true
				q.From = mam.Cursor{After: items[4].ID}
				assertPage(ctx, t, s, romeo, q, []mam.Item{items[5], items[7]}, mam.Page{Complete: true, Count: 4, First: 2})
				q.From = mam.Cursor{Before: items[4].ID}
				assertPage(ctx, t, s, romeo, q, []mam.Item{items[1], items[3]}, mam.Page{Complete: true, Count: 4})
				q.From = mam.Cursor{After: items[8].ID}
				assertPage(ctx, t, s, romeo, q, nil, mam.Page{Complete: true, Count: 4, First: -1})
				q.From = mam.Cursor{Before: items[0].ID}
				assertPage(ctx, t, s, romeo, q, nil, mam.Page{Complete: true, Count: 4, First: -1})
				q.From, q.AfterID, q.BeforeID = mam.Cursor{After: items[0].ID}, items[2].ID, items[6].ID
				assertPage(ctx, t, s, romeo, q, []mam.Item{items[3], items[5]}, mam.Page{Complete: true, Count: 2})
				q.From = mam.Cursor{Before: items[8].ID}
				assertPage(ctx, t, s, romeo, q, []mam.Item{items[3], items[5]}, mam.Page{Complete: true, Count: 2})
				q.From = mam.Cursor{After: items[6].ID}
				assertPage(ctx, t, s, romeo, q, nil, mam.Page{Complete: true, Count: 2, First: -1})
			}
		},
	},
	{
		name: "MA-24 without group chat",
		says: "Messages of type groupchat are left out if that is asked for, and no others.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			messages := repeat(from(juliet), 6)
			messages[1].GroupChat, messages[4].GroupChat = true, true
			items := put(ctx, t, s, romeo, messages...)
			assertPage(ctx, t, s, romeo, mam.Query{Max: 10, Count: true, WithoutGroupChat: true}, []mam.Item{items[0], items[2], items[3], items[5]}, mam.Page{Complete: true, Count: 4})
			assertPage(ctx, t, s, romeo, mam.Query{Max: 2, Count: true, WithoutGroupChat: true, From: mam.Cursor{After: items[0].ID}}, []mam.Item{items[2], items[3]}, mam.Page{Count: 4, First: 1})
			assertPage(ctx, t, s, romeo, all(), items, mam.Page{Complete: true, Count: 6})
		},
	},
}

// assertUnknown asserts that an id is unknown wherever it is named, alone or with
// one that is known.
func assertUnknown(ctx context.Context, t testing.TB, s mam.Archive, archive jid.JID, id, known string) {
	t.Helper()
	queries := []mam.Query{
		{AfterID: id}, {BeforeID: id}, {IDs: []string{id}}, {From: mam.Cursor{After: id}}, {From: mam.Cursor{Before: id}},
		{From: mam.Cursor{After: id}, With: nurse, Start: noon.Add(time.Hour)},
	}
	if known != "" {
		queries = append(queries, mam.Query{IDs: []string{known, id}}, mam.Query{IDs: []string{id, known}},
			mam.Query{AfterID: known, BeforeID: id}, mam.Query{AfterID: id, From: mam.Cursor{After: known}},
			mam.Query{IDs: []string{known}, From: mam.Cursor{Before: id}})
	}
	for n, q := range queries {
		q.Max = 10 * (1 - n%2)
		assertNone(ctx, t, s, archive, q)
		q.Max, q.Count = 10-q.Max, true
		assertNone(ctx, t, s, archive, q)
	}
}
