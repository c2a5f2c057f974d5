// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfrtest

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/mucfr"
)

// RunReopened checks what [Run] cannot see in a store that is not closed: that it is
// still there when the program is started again.
//
// NewStore makes an empty store and returns what opens it, as the program does when
// it starts. A store that is an [io.Closer] is closed before it is opened again.
func RunReopened(t *testing.T, newStore func(t testing.TB) (open func(t testing.TB) mucfr.Store)) {
	checkReopened(subtests(t), newStore)
}

func checkReopened(r runner, newStore func(t testing.TB) func(t testing.TB) mucfr.Store) {
	run(r, reopenedRules, newStore)
}

// opener opens a store.
type opener = func(t testing.TB) mucfr.Store

// use opens a store, uses it and closes it.
func use(t testing.TB, open opener, f func(s mucfr.Store)) {
	t.Helper()
	s := open(t)
	f(s)
	if closer, ok := s.(io.Closer); ok {
		require.NoError(t, closer.Close())
	}
}

var reopenedRules = []rule[opener]{
	{
		name: "entries survive",
		says: "What was saved is there when the program is started again, in its room and in no other.",
		check: func(ctx context.Context, t testing.TB, open opener) {
			heath, want := address(t, "heath@chat.example"), make(contents)
			for _, alike := range alikeKeys {
				for i, key := range alike {
					want[key] = pattern(10*i, byte(i)) // The first one is empty.
				}
			}
			want["large"] = pattern(longest, 1)
			use(t, open, func(s mucfr.Store) {
				save(ctx, t, s, coven(t), want.entries()...)
				save(ctx, t, s, heath, entry("room", "value"))
			})
			for range 2 {
				use(t, open, func(s mucfr.Store) {
					assertContents(ctx, t, s, coven(t), want)
					assertContents(ctx, t, s, heath, contents{"room": "value"})
					assertContents(ctx, t, s, address(t, "castle@chat.example"), nil)
				})
			}
		},
	},
	{
		name: "replaced values do not come back",
		says: "The last value that was saved is what is there when the program is started again.",
		check: func(ctx context.Context, t testing.TB, open opener) {
			var want contents
			for i := range 4 {
				use(t, open, func(s mucfr.Store) {
					assertContents(ctx, t, s, coven(t), want)
					for j := range 3 {
						entries := []mucfr.Entry{entry("room", pattern(4000/(i+1), byte(10*i+j))), entry(fmt.Sprint("message/", j), fmt.Sprint(i))}
						save(ctx, t, s, coven(t), entries...)
						want = want.with(entries)
					}
				})
			}
		},
	},
	{
		name: "deleted entries do not come back",
		says: "What was deleted is not there when the program is started again, also if it was saved by an earlier one.",
		check: func(ctx context.Context, t testing.TB, open opener) {
			heath := address(t, "heath@chat.example")
			use(t, open, func(s mucfr.Store) {
				for _, room := range []string{"coven@chat.example", "heath@chat.example"} {
					save(ctx, t, s, address(t, room), entry("room", "value"), entry("message/1", "value"), entry("message/2", "value"))
				}
				save(ctx, t, s, coven(t), gone("message/1"))
			})
			use(t, open, func(s mucfr.Store) {
				assertContents(ctx, t, s, coven(t), contents{"room": "value", "message/2": "value"})
				save(ctx, t, s, coven(t), gone("message/2"))
				require.NoError(t, s.Delete(ctx, heath))
			})
			use(t, open, func(s mucfr.Store) {
				assertContents(ctx, t, s, coven(t), contents{"room": "value"})
				assertContents(ctx, t, s, heath, nil)
			})
		},
	},
	{
		name: "rooms survive",
		says: "A room that was closed, or only saved, is the same when the program is started again.",
		check: func(ctx context.Context, t testing.TB, open opener) {
			var (
				p    *party
				want []string
			)
			use(t, open, func(s mucfr.Store) {
				p = openParty(ctx, t, s)
				p.happen(t)
				want = p.describe()
				require.NoError(t, p.room.Close(ctx))
			})
			use(t, open, func(s mucfr.Store) {
				p.reopen(ctx, t, s)
				require.Equal(t, want, p.describe())
				p.assertResumes(t, false)
				require.NoError(t, p.room.Save()(ctx))
				want = p.describe()
			})
			use(t, open, func(s mucfr.Store) {
				p.reopen(ctx, t, s)
				require.Equal(t, want, p.describe())
			})
		},
	},
}
