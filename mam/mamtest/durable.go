// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamtest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

// RunReopened checks what [Run] cannot see in an archive that is opened once: that
// it is still there when a process starts again.
//
// NewArchive returns an empty store, and what closes the one that was opened last
// and opens it again.
func RunReopened(t *testing.T, newArchive func(t testing.TB) (s mam.Archive, reopen func() mam.Archive)) {
	checkReopened(subtests(t), newArchive)
}

func checkReopened(r runner, newArchive func(t testing.TB) (mam.Archive, func() mam.Archive)) {
	run(r, reopenedRules, func(t testing.TB) reopened {
		s, reopen := newArchive(t)
		return reopened{s, reopen}
	})
}

type reopened struct {
	mam.Archive
	reopen func() mam.Archive
}

// RunShared checks what [Run] cannot see in one store: that several processes may
// have the same archives.
//
// NewArchives returns two stores with the same empty database, which have nothing
// else in common, as in two processes.
func RunShared(t *testing.T, newArchives func(t testing.TB) (a, b mam.Archive)) {
	checkShared(subtests(t), newArchives)
}

func checkShared(r runner, newArchives func(t testing.TB) (a, b mam.Archive)) {
	run(r, sharedRules, func(t testing.TB) [2]mam.Archive {
		a, b := newArchives(t)
		return [2]mam.Archive{a, b}
	})
}

var reopenedRules = []rule[reopened]{
	{
		name: "MA-30 what is stored is stored for good",
		says: "All that was appended, and every id, is the same after the archive was opened again; positions go on.",
		check: func(ctx context.Context, t testing.TB, s reopened) {
			lots := lots(t)
			m := model{items: put(ctx, t, s, romeo, randomMessages(lots, 30)...)}
			for range 3 {
				again := s.reopen()
				if !m.assertQueries(ctx, t, again, romeo, lots, 30) {
					return
				}
				more := put(ctx, t, again, romeo, randomMessages(lots, 5)...)
				assert.Equal(t, int64(len(m.items)+1), more[0].Position)
				m.items = append(m.items, more...)
			}
		},
	},
	{
		name: "MA-03 what was pruned is gone for good",
		says: "After the archive was opened again, no position and no id that was pruned is used again, even if nothing was left.",
		check: func(ctx context.Context, t testing.TB, s reopened) {
			p, ok := s.Archive.(mam.Pruner)
			if !ok {
				t.Skip("The store cannot prune, and need not.")
			}
			items := putSome(ctx, t, p, romeo, 5)
			prune(ctx, t, p, romeo, never, 0, 5)
			again := s.reopen()
			for _, i := range items {
				assertUnknown(ctx, t, again, romeo, i.ID, "")
			}
			assert.Equal(t, numbers(6, 8), places(putSome(ctx, t, again, romeo, 3)))
			prune(ctx, t, again.(mam.Pruner), romeo, never, 1, 2)
			assert.Equal(t, []int64{8}, places(everything(ctx, t, s.reopen(), romeo)))
		},
	},
	{
		name: "D-04 what was read is read for good",
		says: "What is unread is the same after the archive was opened again.",
		check: func(ctx context.Context, t testing.TB, s reopened) {
			u, ok := s.Archive.(mam.UnreadArchive)
			if !ok {
				t.Skip("The store cannot do this, and need not.")
			}
			items := put(ctx, t, u, romeo, incoming(juliet), incoming(juliet), incoming(juliet), incoming(nurse))
			markRead(ctx, t, u, romeo, juliet.Bare(), items[1].ID, true)
			u = s.reopen().(mam.UnreadArchive)
			assertUnread(ctx, t, u, romeo, row{"nurse@capulet.example", "", 1, 4}, row{"juliet@capulet.example", items[1].ID, 1, 3})
			markRead(ctx, t, u, romeo, juliet.Bare(), items[0].ID, false)
			markRead(ctx, t, u, romeo, nurse.Bare(), items[3].ID, true)
			assertUnread(ctx, t, s.reopen().(mam.UnreadArchive), romeo, row{"juliet@capulet.example", items[1].ID, 1, 3})
		},
	},
	{
		name: "PR-01 preferences are set for good",
		says: "Preferences are the same after the archive was opened again.",
		check: func(ctx context.Context, t testing.TB, s reopened) {
			p, ok := s.Archive.(mam.PreferenceStore)
			if !ok {
				t.Skip("The store cannot do this, and need not.")
			}
			want := mam.Preferences{Default: mam.Roster, Always: []jid.JID{juliet}, Never: []jid.JID{room}}
			prefer(ctx, t, p, romeo, want)
			assertPreferences(ctx, t, s.reopen().(mam.PreferenceStore), romeo, want)
		},
	},
}

var sharedRules = []rule[[2]mam.Archive]{
	{
		name: "each sees what the other stored",
		says: "What one process was told is stored, the other can read at once.",
		check: func(ctx context.Context, t testing.TB, s [2]mam.Archive) {
			var items []mam.Item
			for n := range 10 {
				items = append(items, putSome(ctx, t, s[n%2], romeo, 1)...)
				assertPage(ctx, t, s[1-n%2], romeo, all(), items, mam.Page{Complete: true, Count: int64(n + 1)})
			}
			assert.Equal(t, numbers(1, 10), places(items))
		},
	},
	{
		name: "D-24 many writers in each",
		says: "Positions have no gaps and are given in the order in which messages are stored, however many write in however many processes.",
		check: func(ctx context.Context, t testing.TB, s [2]mam.Archive) {
			assertNoGaps(ctx, t, writers, letters/2, func(n int) mam.Archive { return s[n%2] })
		},
	},
	{
		name: "MA-03 each sees what the other pruned",
		says: "What one process has pruned, the other does not find.",
		check: func(ctx context.Context, t testing.TB, s [2]mam.Archive) {
			p, ok := s[0].(mam.Pruner)
			if !ok {
				t.Skip("The store cannot prune, and need not.")
			}
			items := putSome(ctx, t, s[1], romeo, 5)
			assertPage(ctx, t, s[1], romeo, mam.Query{Max: 5, From: mam.Cursor{After: items[3].ID}}, items[4:], mam.Page{Complete: true, Count: 5, First: 4})
			prune(ctx, t, p, romeo, never, 0, 5)
			assertUnknown(ctx, t, s[1], romeo, items[4].ID, "")
			assert.EqualValues(t, 6, putSome(ctx, t, s[1], romeo, 1)[0].Position)
		},
	},
	{
		name: "D-04 each sees what the other has read",
		says: "What was read in one process is unread in no other.",
		check: func(ctx context.Context, t testing.TB, s [2]mam.Archive) {
			a, ok := s[0].(mam.UnreadArchive)
			if !ok {
				t.Skip("The store cannot do this, and need not.")
			}
			b := s[1].(mam.UnreadArchive)
			items := put(ctx, t, a, romeo, incoming(juliet), incoming(juliet), incoming(juliet))
			assertUnread(ctx, t, b, romeo, row{"juliet@capulet.example", "", 3, 3})
			markRead(ctx, t, b, romeo, juliet.Bare(), items[1].ID, true)
			assertUnread(ctx, t, a, romeo, row{"juliet@capulet.example", items[1].ID, 1, 3})
			markRead(ctx, t, a, romeo, juliet.Bare(), items[0].ID, false)
			put(ctx, t, b, romeo, incoming(juliet))
			assertUnread(ctx, t, a, romeo, row{"juliet@capulet.example", items[1].ID, 2, 4})
		},
	},
	{
		name: "PR-01 each sees what the other prefers",
		says: "Preferences that were set in one process are those of every other.",
		check: func(ctx context.Context, t testing.TB, s [2]mam.Archive) {
			a, ok := s[0].(mam.PreferenceStore)
			if !ok {
				t.Skip("The store cannot do this, and need not.")
			}
			b, ok := s[1].(mam.PreferenceStore)
			require.True(t, ok)
			for _, p := range []mam.Preferences{{Default: mam.Roster, Never: []jid.JID{juliet}}, {Default: mam.Never}} {
				prefer(ctx, t, a, romeo, p)
				assertPreferences(ctx, t, b, romeo, p)
				a, b = b, a
			}
		},
	},
}
