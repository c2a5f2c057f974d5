// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfrtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/mucfr"
)

const (
	longest  = 1 << 20 // bytes of a value that every store takes
	tooLarge = 8 << 20 // bytes of the largest value that is tried
	most     = 20_000  // entries of a room that every store takes
)

var saveRules = []rule[mucfr.Store]{
	{
		name: "nothing saved",
		says: "A room of which nothing was saved has no entries, and that is no error.",
		check: func(ctx context.Context, t testing.TB, s mucfr.Store) {
			assertContents(ctx, t, s, coven(t), nil)
			save(ctx, t, s, address(t, "heath@chat.example"), entry("room", "value"))
			assertContents(ctx, t, s, coven(t), nil)
		},
	},
	{
		name: "values are opaque",
		says: "A value is the same byte by byte after it was kept.",
		check: func(ctx context.Context, t testing.TB, s mucfr.Store) {
			all := pattern(256, 0)
			for _, value := range []string{
				"\x00", " x ", "x\n", "\r\n", "x\x00", "\x00x", all, all + all, "\xff\xfe", "e\u0301", "null", `'"\` + "`%s", "{ }",
				pattern(longest/16, 1), strings.Repeat("\x00", 1000),
			} {
				save(ctx, t, s, coven(t), entry("room", value))
				assertContents(ctx, t, s, coven(t), contents{"room": value})
			}
		},
	},
	{
		name: "an empty value is a value",
		says: "A value that is empty, but not nil, is kept as such.",
		check: func(ctx context.Context, t testing.TB, s mucfr.Store) {
			save(ctx, t, s, coven(t), mucfr.Entry{Key: "room", Value: []byte{}})
			assertContents(ctx, t, s, coven(t), contents{"room": ""})
			save(ctx, t, s, coven(t), entry("room", "value"), entry("message/1", "value"))
			save(ctx, t, s, coven(t), mucfr.Entry{Key: "room", Value: []byte{}})
			assertContents(ctx, t, s, coven(t), contents{"room": "", "message/1": "value"})
		},
	},
	{
		name: "large values",
		says: "Values of 1 MiB are kept, and several of them at once.",
		check: func(ctx context.Context, t testing.TB, s mucfr.Store) {
			want := make(contents)
			for i := range 4 {
				want[fmt.Sprint("message/", i)] = pattern(longest, byte(i))
			}
			save(ctx, t, s, coven(t), want.entries()...)
			assertContents(ctx, t, s, coven(t), want)
		},
	},
	{
		name: "values that are too large",
		says: "A larger value is kept as a whole, or all that is saved with it is refused: then nothing has changed.",
		check: func(ctx context.Context, t testing.TB, s mucfr.Store) {
			for length := 2 * longest; length <= tooLarge; length *= 4 {
				room := address(t, fmt.Sprintf("coven%d@chat.example", length))
				want := contents{"a": "value", "m": "value", "z": "value"}
				save(ctx, t, s, room, want.entries()...)
				entries := []mucfr.Entry{entry("a", "another"), gone("z"), entry("m", strings.Repeat("x", length-1)+"y"), entry("n", "value"), entry("z1", "value")}
				if s.Save(ctx, room, entries) == nil {
					want = want.with(entries)
				}
				assertContents(ctx, t, s, room, want)
			}
		},
	},
	{
		name: "a new value replaces the old one",
		says: "Of the old value nothing is left, also if it was longer.",
		check: func(ctx context.Context, t testing.TB, s mucfr.Store) {
			for i, length := range []int{100, 10, 1000, 1000, longest, 1} {
				value := pattern(length, byte(i))
				save(ctx, t, s, coven(t), entry("room", value))
				assertContents(ctx, t, s, coven(t), contents{"room": value})
			}
		},
	},
	{
		name: "a save is about its own keys",
		says: "Entries of other keys stay as they are.",
		check: func(ctx context.Context, t testing.TB, s mucfr.Store) {
			var want contents
			for i := range 20 {
				entries := []mucfr.Entry{entry(fmt.Sprint("message/", i), "value"), entry(fmt.Sprint("visit/", i%3), fmt.Sprint(i))}
				save(ctx, t, s, coven(t), entries...)
				want = want.with(entries)
				assertContents(ctx, t, s, coven(t), want)
			}
		},
	},
	{
		name: "nil deletes",
		says: "An entry with nil is deleted, whether it was there or not, and those beside it are not.",
		check: func(ctx context.Context, t testing.TB, s mucfr.Store) {
			var want contents
			for _, entries := range [][]mucfr.Entry{
				{gone("room")},
				{entry("room", "1"), entry("message/1", "1"), entry("message/2", "1"), gone("message/3")},
				{gone("message/1"), entry("room", "2")},
				{entry("message/4", "1"), gone("message/1"), gone("message/2"), entry("message/5", "1")},
				{entry("message/1", "again")},
				{gone("message/1"), gone("message/"), gone("message/%"), gone("message/*"), gone("message/_"), gone("MESSAGE/4")},
			} {
				save(ctx, t, s, coven(t), entries...)
				want = want.with(entries)
				assertContents(ctx, t, s, coven(t), want)
			}
			save(ctx, t, s, coven(t), gone("room"), gone("message/4"), gone("message/5"))
			assertContents(ctx, t, s, coven(t), nil)
		},
	},
	{
		name: "nothing to save",
		says: "To save no entries is no error, and changes nothing.",
		check: func(ctx context.Context, t testing.TB, s mucfr.Store) {
			save(ctx, t, s, coven(t))
			assertContents(ctx, t, s, coven(t), nil)
			save(ctx, t, s, coven(t), entry("room", "value"))
			require.NoError(t, s.Save(ctx, coven(t), []mucfr.Entry{}))
			assertContents(ctx, t, s, coven(t), contents{"room": "value"})
		},
	},
	{
		name: "entries are the caller's",
		says: "What the caller does with the entries that were saved, or loaded, does not matter to the store, which does not change them either.",
		check: func(ctx context.Context, t testing.TB, s mucfr.Store) {
			want := contents{"visit/1": "one", "room": "two", "message/1": "three", "occupant/1": "four"}
			entries := []mucfr.Entry{entry("visit/1", "one"), entry("room", "two"), gone("zone"), entry("message/1", "three"), entry("occupant/1", "four")}
			was := slices.Clone(entries)
			save(ctx, t, s, coven(t), entries...)
			require.Equal(t, was, entries, "the entries that were saved, in their order")
			for i := range entries {
				clear(entries[i].Value)
				entries[i].Key = "changed"
			}
			assertContents(ctx, t, s, coven(t), want)

			loaded, err := s.Load(ctx, coven(t))
			require.NoError(t, err)
			for i := range loaded {
				clear(loaded[i].Value)
				_ = append(loaded[i].Value[:0], "X"...)
				loaded[i].Key = "changed"
			}
			assertContents(ctx, t, s, coven(t), want)
		},
	},
	{
		name: "many entries",
		says: "A room has 20000 entries, which may be saved, changed and deleted at once.",
		check: func(ctx context.Context, t testing.TB, s mucfr.Store) {
			var want contents
			for round := range 2 {
				var entries []mucfr.Entry
				for i := range most {
					e := entry(fmt.Sprintf("message/%x", i), fmt.Sprintf("%d of %d %s", i, round, strings.Repeat("x", i%64)))
					if round > 0 && (i+round)%3 == 0 {
						e.Value = nil
					}
					entries = append(entries, e)
				}
				save(ctx, t, s, coven(t), entries...)
				want = want.with(entries)
				assertContents(ctx, t, s, coven(t), want)
			}
			var all []mucfr.Entry
			for key := range want {
				all = append(all, gone(key))
			}
			save(ctx, t, s, coven(t), all...)
			assertContents(ctx, t, s, coven(t), nil)
		},
	},
}

var deleteRules = []rule[mucfr.Store]{
	{
		name: "delete a room",
		says: "Delete deletes all entries of a room, and none of others.",
		check: func(ctx context.Context, t testing.TB, s mucfr.Store) {
			heath := address(t, "heath@chat.example")
			want := contents{"room": "value", "message/1": "value", "occupant/a b": "value"}
			save(ctx, t, s, coven(t), want.entries()...)
			save(ctx, t, s, heath, want.entries()...)
			require.NoError(t, s.Delete(ctx, coven(t)))
			assertContents(ctx, t, s, coven(t), nil)
			assertContents(ctx, t, s, heath, want)
		},
	},
	{
		name: "delete what is not there",
		says: "To delete a room of which there are no entries, or none any more, is no error.",
		check: func(ctx context.Context, t testing.TB, s mucfr.Store) {
			heath := address(t, "heath@chat.example")
			require.NoError(t, s.Delete(ctx, coven(t)))
			save(ctx, t, s, heath, entry("room", "value"))
			save(ctx, t, s, coven(t), entry("room", "value"))
			for range 2 {
				require.NoError(t, s.Delete(ctx, coven(t)))
			}
			assertContents(ctx, t, s, heath, contents{"room": "value"})
		},
	},
	{
		name: "save after delete",
		says: "A room that was deleted may be saved again, and has nothing that it had before.",
		check: func(ctx context.Context, t testing.TB, s mucfr.Store) {
			for i := range 3 {
				want := contents{"room": "value", fmt.Sprint("message/", i): "value"}
				save(ctx, t, s, coven(t), want.entries()...)
				assertContents(ctx, t, s, coven(t), want)
				require.NoError(t, s.Delete(ctx, coven(t)))
			}
			assertContents(ctx, t, s, coven(t), nil)
		},
	},
}
