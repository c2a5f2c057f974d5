// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstarttest

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/quickstart"
)

// RunReopened checks what [Run] cannot see in a cache that is not closed: that it is
// still there when the program is started again.
//
// NewCache makes an empty cache and returns what opens it, as the program does when
// it starts. A cache that is an [io.Closer] is closed before it is opened again.
func RunReopened(t *testing.T, newCache func(t testing.TB) (open func(t testing.TB) quickstart.Cache)) {
	checkReopened(subtests(t), newCache)
}

func checkReopened(r runner, newCache func(t testing.TB) func(t testing.TB) quickstart.Cache) {
	run(r, reopenedRules, newCache)
}

// RunShared checks a cache that several processes may have at once.
//
// NewCaches returns two that have the same values, at first none, and nothing else in
// common, as in two processes.
func RunShared(t *testing.T, newCaches func(t testing.TB) (a, b quickstart.Cache)) {
	checkShared(subtests(t), newCaches)
}

func checkShared(r runner, newCaches func(t testing.TB) (a, b quickstart.Cache)) {
	run(r, sharedRules, func(t testing.TB) [2]quickstart.Cache {
		a, b := newCaches(t)
		return [2]quickstart.Cache{a, b}
	})
}

// use opens a cache, uses it and closes it.
func use(t testing.TB, open func(t testing.TB) quickstart.Cache, f func(c quickstart.Cache)) {
	t.Helper()
	c := open(t)
	f(c)
	if closer, ok := c.(io.Closer); ok {
		require.NoError(t, closer.Close())
	}
}

var reopenedRules = []rule[func(t testing.TB) quickstart.Cache]{
	{
		name: "values survive",
		says: "What was put is there when the program is started again, under its key and under no other.",
		check: func(ctx context.Context, t testing.TB, open func(t testing.TB) quickstart.Cache) {
			romeo := parse(t, "romeo@example.net")
			keys := []quickstart.Key{
				{Account: romeo, Trust: "pinned", Name: "tickets"},
				{Account: romeo, Name: "tickets"},
				{Account: parse(t, "juliet@example.net"), Trust: "pinned", Name: "tickets"},
				{Name: "dns/example.net"},
			}
			use(t, open, func(c quickstart.Cache) {
				for i, k := range keys {
					put(ctx, t, c, k, pattern(usual, byte(i)))
				}
			})
			for range 2 {
				use(t, open, func(c quickstart.Cache) {
					for i, k := range keys {
						assertValue(ctx, t, c, k, pattern(usual, byte(i)))
					}
					assertValue(ctx, t, c, quickstart.Key{Account: romeo, Trust: "pinned", Name: "plan"}, nil)
				})
			}
		},
	},
	{
		name: "replaced values do not come back",
		says: "The last value that was put is what is there when the program is started again.",
		check: func(ctx context.Context, t testing.TB, open func(t testing.TB) quickstart.Cache) {
			k := plan(t, "romeo@example.net")
			var want []byte
			for i := range 4 {
				use(t, open, func(c quickstart.Cache) {
					assertValue(ctx, t, c, k, want)
					for j := range 3 {
						want = pattern(usual/(i+1), byte(10*i+j))
						put(ctx, t, c, k, want)
					}
				})
			}
		},
	},
	{
		name: "deleted values do not come back",
		says: "What was deleted is not there when the program is started again, also if it was put by an earlier one.",
		check: func(ctx context.Context, t testing.TB, open func(t testing.TB) quickstart.Cache) {
			k, other := plan(t, "romeo@example.net"), plan(t, "juliet@example.net")
			token := quickstart.Key{Account: k.Account, Name: "token"}
			use(t, open, func(c quickstart.Cache) {
				for _, k := range []quickstart.Key{k, token, other} {
					put(ctx, t, c, k, []byte("value"))
				}
				require.NoError(t, c.Delete(ctx, k.Account, "token"))
			})
			use(t, open, func(c quickstart.Cache) {
				assertValue(ctx, t, c, token, nil)
				assertValue(ctx, t, c, k, []byte("value"))
				require.NoError(t, c.Delete(ctx, k.Account))
			})
			use(t, open, func(c quickstart.Cache) {
				assertValue(ctx, t, c, k, nil)
				assertValue(ctx, t, c, other, []byte("value"))
			})
		},
	},
}

var sharedRules = []rule[[2]quickstart.Cache]{
	{
		name: "values are shared",
		says: "What one process puts or deletes is there or gone for the other at once.",
		check: func(ctx context.Context, t testing.TB, c [2]quickstart.Cache) {
			k := plan(t, "romeo@example.net")
			for i := range 4 {
				mine, theirs := c[i%2], c[1-i%2]
				assertValue(ctx, t, theirs, k, nil)
				put(ctx, t, mine, k, pattern(usual, byte(i)))
				assertValue(ctx, t, theirs, k, pattern(usual, byte(i)))
				put(ctx, t, theirs, k, []byte("value"))
				assertValue(ctx, t, mine, k, []byte("value"))
				require.NoError(t, theirs.Delete(ctx, k.Account))
				assertValue(ctx, t, mine, k, nil)
			}
		},
	},
	{
		name: "one value in several processes",
		says: "Of several processes that put the same value at once one is the last, and nobody ever sees a mix.",
		check: func(ctx context.Context, t testing.TB, c [2]quickstart.Cache) {
			checkOneValue(ctx, t, c[0], c[1])
		},
	},
}
