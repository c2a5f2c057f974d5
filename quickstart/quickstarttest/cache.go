// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstarttest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/quickstart"
)

const (
	longest  = 64 << 10 // bytes of a value that every cache takes
	ample    = 100      // values that every cache has room for
	usual    = 4 << 10  // bytes of each of those
	tooLarge = 16 << 20 // bytes of the largest value that is tried
)

// Run checks a cache. NewCache returns an empty one.
func Run(t *testing.T, newCache func(t testing.TB) quickstart.Cache) {
	checkCache(subtests(t), newCache)
}

func checkCache(r runner, newCache func(t testing.TB) quickstart.Cache) {
	run(r, slices.Concat(valueRules, keyRules, deleteRules, crowdRules), newCache)
}

var valueRules = []rule[quickstart.Cache]{
	{
		name: "nothing put",
		says: "What was not put is nil, and that is no error.",
		check: func(ctx context.Context, t testing.TB, c quickstart.Cache) {
			assertValue(ctx, t, c, plan(t, "romeo@example.net"), nil)
			assertValue(ctx, t, c, quickstart.Key{}, nil)
			put(ctx, t, c, plan(t, "juliet@example.net"), []byte("value"))
			assertValue(ctx, t, c, plan(t, "romeo@example.net"), nil)
		},
	},
	{
		name: "values are opaque",
		says: "A value is the same byte by byte after it was kept.",
		check: func(ctx context.Context, t testing.TB, c quickstart.Cache) {
			k := plan(t, "romeo@example.net")
			all := make([]byte, 256)
			for i := range all {
				all[i] = byte(i)
			}
			for _, value := range [][]byte{
				{0}, []byte(" x "), []byte("x\n"), []byte("\r\n"), []byte("x\x00"), []byte("\x00x"), all, slices.Concat(all, all),
				[]byte("\xff\xfe"), []byte("e\u0301"), []byte("null"), []byte("'\"\\`%s"), []byte("{}"),
				pattern(longest, 1), make([]byte, longest),
			} {
				put(ctx, t, c, k, value)
				assertValue(ctx, t, c, k, value)
			}
		},
	},
	{
		name: "a new value replaces the old one",
		says: "Of the old value nothing is left, also if it was longer, and also if the new one is empty.",
		check: func(ctx context.Context, t testing.TB, c quickstart.Cache) {
			k := plan(t, "romeo@example.net")
			for i, length := range []int{100, 10, 1000, 1000, longest, 1} {
				value := pattern(length, byte(i))
				put(ctx, t, c, k, value)
				assertValue(ctx, t, c, k, value)
			}
			for _, empty := range [][]byte{{}, nil} {
				put(ctx, t, c, k, pattern(10, 9))
				put(ctx, t, c, k, empty)
				got, err := c.Get(ctx, k)
				require.NoError(t, err)
				require.Empty(t, got, "the value")
			}
		},
	},
	{
		name: "values are copies",
		says: "What becomes of the bytes that were put, or that were got, does not matter to the cache.",
		check: func(ctx context.Context, t testing.TB, c quickstart.Cache) {
			k, mine := plan(t, "romeo@example.net"), []byte("value")
			put(ctx, t, c, k, mine)
			clear(mine)
			got, err := c.Get(ctx, k)
			require.NoError(t, err)
			require.Equal(t, "value", string(got))
			clear(got)
			_ = append(got[:0], "VALUE AND MORE"...)
			assertValue(ctx, t, c, k, []byte("value"))
		},
	},
	{
		name: "room",
		says: "There is room for what a few accounts need.",
		check: func(ctx context.Context, t testing.TB, c quickstart.Cache) {
			key := func(i int) quickstart.Key {
				return quickstart.Key{Account: parse(t, fmt.Sprintf("romeo%d@example.net", i/10)), Name: fmt.Sprint(i)}
			}
			for i := range ample {
				put(ctx, t, c, key(i), pattern(usual, byte(i)))
			}
			for i := range ample {
				assertValue(ctx, t, c, key(i), pattern(usual, byte(i)))
			}
		},
	},
	{
		name: "large values",
		says: "A value is kept as a whole, or refused with ErrTooLarge: then the old one is still there.",
		check: func(ctx context.Context, t testing.TB, c quickstart.Cache) {
			k, have := plan(t, "romeo@example.net"), []byte("value")
			put(ctx, t, c, k, have)
			for length := longest; length <= tooLarge; length *= 4 {
				value := bytes.Repeat([]byte{byte(length >> 16)}, length)
				err := c.Put(ctx, k, value)
				if err != nil {
					require.ErrorIs(t, err, quickstart.ErrTooLarge)
					assertValue(ctx, t, c, k, have)
					break // Larger ones are even more too large.
				}
				assertValue(ctx, t, c, k, value)
				have = value
			}
		},
	},
	{
		name: "a context that has ended",
		says: "A context that has ended is an error, and nothing changes.",
		check: func(ctx context.Context, t testing.TB, c quickstart.Cache) {
			k, absent := plan(t, "romeo@example.net"), plan(t, "juliet@example.net")
			put(ctx, t, c, k, []byte("value"))
			_, err := c.Get(ended(ctx), k)
			require.ErrorIs(t, err, context.Canceled, "get")
			require.ErrorIs(t, c.Put(ended(ctx), k, []byte("another")), context.Canceled, "put")
			require.ErrorIs(t, c.Put(ended(ctx), absent, []byte("another")), context.Canceled, "put")
			require.ErrorIs(t, c.Delete(ended(ctx), k.Account), context.Canceled, "delete")
			require.ErrorIs(t, c.Delete(ended(ctx), k.Account, k.Name), context.Canceled, "delete")
			assertValue(ctx, t, c, k, []byte("value"))
			assertValue(ctx, t, c, absent, nil)
		},
	},
}

var deleteRules = []rule[quickstart.Cache]{
	{
		name: "delete all of an account",
		says: "Without names, Delete removes all that an account has under any Trust, and nothing of others.",
		check: func(ctx context.Context, t testing.TB, c quickstart.Cache) {
			for _, alike := range alikeAccounts {
				accounts := []jid.JID{{}}
				for _, name := range alike {
					accounts = append(accounts, parse(t, name))
				}
				expectDeleted(ctx, t, c, accounts, []string{"plan", ""}, nil)
			}
		},
	},
	{
		name: "delete by name",
		says: "With names, Delete removes the values with exactly these, under any Trust, and nothing else.",
		check: func(ctx context.Context, t testing.TB, c quickstart.Cache) {
			accounts := []jid.JID{{}, parse(t, "romeo@example.net"), parse(t, "juliet@example.net")}
			have := []string{"plan", "token", "token/old", "tokens", "tickets", ""}
			for _, names := range [][]string{{"token"}, {"plan", "tickets"}, {""}, {"token", "absent", "token"}, {"absent"}, {"tok"}, {"tokens*"}, {"token%"}, {"Token"}} {
				expectDeleted(ctx, t, c, accounts, have, names)
			}
		},
	},
	{
		name: "delete what is not there",
		says: "Deleting what is not there, or not there any more, is no error.",
		check: func(ctx context.Context, t testing.TB, c quickstart.Cache) {
			k, other := plan(t, "romeo@example.net"), plan(t, "juliet@example.net")
			require.NoError(t, c.Delete(ctx, k.Account))
			require.NoError(t, c.Delete(ctx, k.Account, k.Name))
			require.NoError(t, c.Delete(ctx, jid.JID{}))
			put(ctx, t, c, other, []byte("value"))
			put(ctx, t, c, k, []byte("value"))
			for range 2 {
				require.NoError(t, c.Delete(ctx, k.Account, k.Name, "another"))
				require.NoError(t, c.Delete(ctx, k.Account))
			}
			assertValue(ctx, t, c, other, []byte("value"))
		},
	},
	{
		name: "put after delete",
		says: "What was deleted can be put again.",
		check: func(ctx context.Context, t testing.TB, c quickstart.Cache) {
			k := plan(t, "romeo@example.net")
			for i := range 3 {
				value := fmt.Appendf(nil, "value %d", i)
				put(ctx, t, c, k, value)
				assertValue(ctx, t, c, k, value)
				require.NoError(t, c.Delete(ctx, k.Account))
				assertValue(ctx, t, c, k, nil)
			}
		},
	},
}

// expectDeleted fills a cache with values of these names, deletes some of each of the
// accounts in turn, asserts what is left, and puts back what is not.
func expectDeleted(ctx context.Context, t testing.TB, c quickstart.Cache, accounts []jid.JID, have, names []string) {
	t.Helper()
	var keys []quickstart.Key
	for _, account := range accounts {
		for _, trust := range []string{"", "pinned"} {
			for _, name := range have {
				keys = append(keys, quickstart.Key{Account: account, Trust: trust, Name: name})
			}
		}
	}
	value := func(i int) []byte { return fmt.Append(nil, "value ", i) }
	for i, k := range keys {
		put(ctx, t, c, k, value(i))
	}
	for _, account := range accounts {
		require.NoError(t, c.Delete(ctx, account, names...), "delete %q of %s", names, short([]byte(account.String())))
		for i, k := range keys {
			want := value(i)
			if k.Account.Equal(account) && (names == nil || slices.Contains(names, k.Name)) {
				want = nil
			}
			assertValue(ctx, t, c, k, want)
			if want == nil {
				put(ctx, t, c, k, value(i))
			}
		}
	}
}

// pattern returns a value of which every part tells which one it is of.
func pattern(length int, seed byte) []byte {
	value := make([]byte, length)
	for i := range value {
		value[i] = seed ^ byte(i*7)
	}
	return value
}
