// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamtest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

var archiveRules = slices.Concat(keepingRules, filterRules, pagingRules, orderRules)

// keepingRules are about what becomes of a message.
var keepingRules = []rule[mam.Archive]{
	{
		name: "MA-17 nothing stored",
		says: "An archive that nothing was ever put into is an empty one, whose pages are complete.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			put(ctx, t, s, room, from(juliet))
			for _, from := range []mam.Cursor{{}, {Last: true}, {Index: 1}} {
				for _, count := range []bool{false, true} {
					assertPage(ctx, t, s, romeo, mam.Query{Max: 10, From: from, Count: count}, nil, mam.Page{Complete: true, First: -1})
				}
			}
			assertPage(ctx, t, s, romeo, mam.Query{Max: 10, With: juliet, Start: noon}, nil, mam.Page{Complete: true, First: -1})
			first, last, err := s.Ends(ctx, romeo)
			require.NoError(t, err)
			assert.Equal(t, [2]mam.Item{}, [2]mam.Item{first, last}, "the ends of nothing")
		},
	},
	{
		name: "MA-01 all of a message",
		says: "What is known of a message is kept, and returned as it is stored.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			messages := repeat(from(juliet), 6)
			messages[1].With = juliet.Bare()
			messages[2].StanzaID = "'; --<\"" + strings.Repeat("ä", 500)
			messages[3].GroupChat = true
			messages[4].Unread = true
			messages[5].With, messages[5].Conversation = room, room
			messages[5].With, _ = room.WithResource("Juliet / 'J' 🙂")
			private := messages[5]
			private.Conversation = private.With
			messages = append(messages, private)
			for n, m := range messages {
				item := put(ctx, t, s, romeo, m)[0]
				assertItem(t, mam.Item{Position: int64(n + 1), ID: item.ID, Message: m}, item)
				found, _ := get(ctx, t, s, romeo, mam.Query{Max: 1, From: mam.Cursor{Last: true}})
				if assert.Len(t, found, 1) {
					assertItem(t, mam.Item{Position: int64(n + 1), ID: item.ID, Message: m}, found[0])
				}
			}
		},
	},
	{
		name: "MA-12 the present time",
		says: "A message without a time gets the present one.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			m := from(juliet)
			m.Stamp = time.Time{}
			before := kept(time.Now())
			item := put(ctx, t, s, romeo, m)[0]
			after := time.Now()
			assert.False(t, item.Stamp.Before(before) || item.Stamp.After(after), "%v is between %v and %v", item.Stamp, before, after)
			items := everything(ctx, t, s, romeo)
			require.Len(t, items, 1)
			assert.Equal(t, item.Stamp, items[0].Stamp)
			assert.Equal(t, kept(item.Stamp), item.Stamp, "to the microsecond, in UTC")
		},
	},
	{
		name: "MA-12 times to the microsecond",
		says: "Times are kept to the microsecond, in UTC; what is below is cut off.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			var messages []mam.Message
			for _, stamp := range []time.Time{
				noon, noon.Add(time.Microsecond), noon.Add(999_999_999), noon.Add(1999), noon.Add(1500),
				noon.In(time.FixedZone("", 5*60*60+45*60)), noon.In(time.FixedZone("", -9*60*60)).Add(123_456_789),
				time.Unix(0, 0), time.Unix(-1, 999_999_999), time.Unix(-1, 1),
				time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
			} {
				m := from(juliet)
				m.Stamp = stamp
				messages = append(messages, m)
			}
			items := put(ctx, t, s, romeo, messages...)
			found := everything(ctx, t, s, romeo)
			require.Len(t, found, len(items))
			for n, m := range messages {
				assert.Equal(t, kept(m.Stamp), items[n].Stamp, "appended")
				assert.Equal(t, kept(m.Stamp), found[n].Stamp, "stored")
				span := mam.Query{Max: 100, Start: m.Stamp, End: m.Stamp}
				named, _ := get(ctx, t, s, romeo, span)
				assert.Contains(t, places(named), int64(n+1), "the item of the moment %v", m.Stamp)
			}
		},
	},
	{
		name: "MA-01 XML byte by byte",
		says: "The XML of a message is the same byte by byte after it was kept.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			large := []byte("<message xmlns='jabber:client'><body>" + strings.Repeat("0123456789abcdef", 256<<10/16) + "</body></message>")
			var messages []mam.Message
			for _, text := range oddXML {
				m := from(juliet)
				m.XML = []byte(text)
				messages = append(messages, m)
			}
			for _, size := range []int{1<<8 - 1, 1 << 12, 1<<16 - 1, 1 << 16, 1<<16 + 1, 256 << 10} {
				m := from(juliet)
				m.XML = large[:size]
				messages = append(messages, m)
			}
			items := put(ctx, t, s, romeo, messages...)
			found := everything(ctx, t, s, romeo)
			require.Len(t, found, len(messages))
			for n, m := range messages {
				assert.True(t, string(m.XML) == string(items[n].XML), "appended: %.40q… of %d bytes", m.XML, len(m.XML))
				assert.True(t, string(m.XML) == string(found[n].XML), "stored: %.40q… of %d bytes", m.XML, len(m.XML))
			}
		},
	},
	{
		name: "MA-04 a message that was redacted",
		says: "An item without XML is an item like any other.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			messages := repeat(from(juliet), 3)
			messages[1].XML = nil
			items := put(ctx, t, s, romeo, messages...)
			assertPage(ctx, t, s, romeo, all(), items, mam.Page{Complete: true, Count: 3})
			assertPage(ctx, t, s, romeo, mam.Query{Max: 1, From: mam.Cursor{After: items[1].ID}, Count: true}, items[2:], mam.Page{Complete: true, Count: 3, First: 2})
		},
	},
	{
		name: "SI-01 ids",
		says: "Ids are random: no item of any archive has the id of another, and they do not tell an order. Any XML attribute can have them.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			seen := make(map[string]bool)
			for n := range 10 {
				archive := parse(t, strings.Repeat("x", n+1)+"@montague.example")
				var ids []string
				for _, i := range putSome(ctx, t, s, archive, 20) {
					ids = append(ids, i.ID)
					assert.False(t, seen[i.ID], "%q is the id of two items", i.ID)
					seen[i.ID] = true
					assert.GreaterOrEqual(t, len(i.ID), 16, "the length of %q, which is random", i.ID)
					assert.NotContains(t, i.ID, romeo.String(), "nothing is told")
					assert.False(t, strings.ContainsFunc(i.ID, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`<>&'"`, r) }), "%q has only what needs no escaping", i.ID)
				}
				assert.False(t, slices.IsSorted(ids), "20 random ids are not in order by chance: %q", ids)
			}
		},
	},
	{
		name: "D-24 positions count from one",
		says: "Positions begin at 1, have no gaps, and are counted for each archive by itself.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			for n := range int64(5) {
				for _, archive := range []jid.JID{romeo, room, juliet.Bare()} {
					assert.Equal(t, n+1, putSome(ctx, t, s, archive, 1)[0].Position, archive.String())
				}
			}
			for _, archive := range []jid.JID{romeo, room, juliet.Bare()} {
				assert.Equal(t, numbers(1, 5), places(everything(ctx, t, s, archive)), archive.String())
			}
		},
	},
	{
		name: "MA-02 AA-14 AA-19 order of arrival",
		says: "The order of an archive is that in which its messages were appended, even if a clock was set back (AA-19) or they claim to be from the future (AA-14).",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			items := put(ctx, t, s, romeo, at(0), at(time.Hour), at(time.Minute), at(time.Minute), at(-24*time.Hour), at(100*365*24*time.Hour), at(time.Second))
			assert.Equal(t, numbers(1, 7), places(items))
			assertPage(ctx, t, s, romeo, all(), items, mam.Page{Complete: true, Count: 7})
			for n := range items {
				q := mam.Query{Max: 10, From: mam.Cursor{After: items[n].ID}, Count: true}
				known := mam.Page{Complete: true, Count: 7, First: int64(n + 1)}
				if n == 6 {
					known.First = -1
				}
				assertPage(ctx, t, s, romeo, q, items[n+1:], known)
			}
			assertPage(ctx, t, s, romeo, mam.Query{Max: 10, Start: noon, End: noon.Add(time.Hour)}, []mam.Item{items[0], items[1], items[2], items[3], items[6]}, mam.Page{Complete: true, Count: 5})
			first, last, err := s.Ends(ctx, romeo)
			require.NoError(t, err)
			assert.Equal(t, []int64{1, 7}, []int64{first.Position, last.Position}, "ends")
		},
	},
	{
		name: "MA-05 archives do not mix",
		says: "Whatever their names look like, two archives have nothing in common (AA-20).",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			names := odd(t)
			stored := make([][]mam.Item, len(names))
			for range 2 {
				for n, line := range names {
					m := from(juliet)
					m.StanzaID = line[0].String()
					stored[n] = append(stored[n], put(ctx, t, s, line[0].Bare(), m)...)
				}
			}
			for n, line := range names {
				assertPage(ctx, t, s, line[0], all(), stored[n], mam.Page{Complete: true, Count: 2})
			}
		},
	},
	{
		name: "MA-35 ends",
		says: "The ends of an archive are its first and its last item, without their XML.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			messages := repeat(from(juliet), 4)
			messages[0].StanzaID, messages[3].Unread, messages[3].Stamp = "s1", true, noon.Add(-time.Hour)
			messages[3].With = nurse
			var items []mam.Item
			for _, m := range messages {
				items = append(items, put(ctx, t, s, romeo, m)...)
				first, last, err := s.Ends(ctx, romeo)
				require.NoError(t, err)
				for want, have := range map[*mam.Item]mam.Item{&items[0]: first, &items[len(items)-1]: last} {
					without := *want
					without.XML = nil
					assertItem(t, without, have)
				}
			}
		},
	},
	{
		name: "an error of yield",
		says: "An error of yield ends the query, and is returned as it is; the store goes on.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			putSome(ctx, t, s, romeo, 5)
			for range 30 {
				for stop := 1; stop <= 5; stop++ {
					calls := 0
					_, err := s.Query(ctx, romeo, mam.Query{Max: 5, Count: true}, func(mam.Item) error {
						if calls++; calls == stop {
							return errStop
						}
						return nil
					})
					assert.True(t, err == errStop, "the error of yield, not %v", err)
					assert.Equal(t, stop, calls, "calls of yield")
				}
			}
			assert.Len(t, everything(ctx, t, s, romeo), 5)
			putSome(ctx, t, s, romeo, 1)
		},
	},
	{
		name: "a context that has ended",
		says: "With a context that has ended nothing is stored, and the error says so.",
		check: func(ctx context.Context, t testing.TB, s mam.Archive) {
			items := putSome(ctx, t, s, romeo, 2)
			_, err := s.Append(ended(ctx), romeo, from(juliet))
			assert.Error(t, err, "Append")
			_, err = s.Append(ended(ctx), room, from(juliet))
			assert.Error(t, err, "Append")
			_, _, err = ask(ended(ctx), s, romeo, all())
			assert.Error(t, err, "Query")
			_, _, err = s.Ends(ended(ctx), romeo)
			assert.Error(t, err, "Ends")
			assert.Equal(t, places(items), places(everything(ctx, t, s, romeo)))
			assert.Empty(t, everything(ctx, t, s, room))
			assert.EqualValues(t, 3, putSome(ctx, t, s, romeo, 1)[0].Position, "the position after those that are stored")
			assert.EqualValues(t, 1, putSome(ctx, t, s, room, 1)[0].Position, "the position after those that are stored")
		},
	},
}
