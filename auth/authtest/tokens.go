// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package authtest

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/auth"
)

// RunTokens checks a server's store of tokens.
//
// NewStore returns an empty store.
// A resource of an account may be refused or left out of account, but must not
// make another account of it.
func RunTokens(t *testing.T, newStore func(t testing.TB) auth.TokenStore) {
	checkTokens(subtests(t), newStore)
}

func checkTokens(r runner, newStore func(t testing.TB) auth.TokenStore) {
	run(r, tokenRules, newStore)
}

// RunSharedTokens checks what [RunTokens] cannot see in one store: that several
// processes may have the same tokens.
//
// NewStores returns two stores with the same empty database, which have nothing
// else in common, as in two processes.
func RunSharedTokens(t *testing.T, newStores func(t testing.TB) (a, b auth.TokenStore)) {
	checkSharedTokens(subtests(t), newStores)
}

func checkSharedTokens(r runner, newStores func(t testing.TB) (a, b auth.TokenStore)) {
	run(r, sharedTokenRules, func(t testing.TB) [2]auth.TokenStore {
		a, b := newStores(t)
		return [2]auth.TokenStore{a, b}
	})
}

var tokenRules = []rule[auth.TokenStore]{
	{
		name: "nothing stored",
		says: "Where nothing is stored, change is called with the zero value.",
		check: func(ctx context.Context, t testing.TB, s auth.TokenStore) {
			d := phone(t)
			assertTokens(t, auth.Tokens{}, read(ctx, t, s, d), d)
		},
	},
	{
		name: "FA-23 all of a token",
		says: "Secret, mechanism, times and count of both tokens are kept; they are checked at every use.",
		check: func(ctx context.Context, t testing.TB, s auth.TokenStore) {
			d := phone(t)
			want := auth.Tokens{Current: issue("rOm30+/=", 1), New: issue("m0NTagu3-_", 3)}
			want.New.Mechanism = "HT-SHA-256-NONE"
			want.Current.Count, want.New.Count = 3, 1
			write(ctx, t, s, d, want)
			assertTokens(t, want, read(ctx, t, s, d), d)
		},
	},
	{
		name: "times in any zone",
		says: "Times are the same to the second after they were kept, whatever their zone.",
		check: func(ctx context.Context, t testing.TB, s auth.TokenStore) {
			d := phone(t)
			want := auth.Tokens{Current: issue("current", 1), New: issue("new", 3)}
			want.Current.Issued, want.Current.Expires = want.Current.Issued.In(kathmandu), want.Current.Expires.In(kathmandu)
			want.New.Issued, want.New.Expires = want.New.Issued.UTC(), want.New.Expires.In(time.FixedZone("", -9*60*60))
			write(ctx, t, s, d, want)
			assertTokens(t, want, read(ctx, t, s, d), d)
		},
	},
	{
		name: "secrets are opaque",
		says: "A secret is the same byte by byte after it was kept.",
		check: func(ctx context.Context, t testing.TB, s auth.TokenStore) {
			d := phone(t)
			for _, alike := range alikeTexts {
				for _, secret := range alike {
					want := auth.Tokens{Current: issue(secret, 1)}
					write(ctx, t, s, d, want)
					assertTokens(t, want, read(ctx, t, s, d), d)
				}
			}
		},
	},
	{
		name: "FA-09 the highest count",
		says: "The highest count that was seen is kept, or an attempt to log in could be replayed.",
		check: func(ctx context.Context, t testing.TB, s auth.TokenStore) {
			d := phone(t)
			want := auth.Tokens{Current: issue("current", 1)}
			write(ctx, t, s, d, want)
			for _, count := range []uint64{1, 2, 123, math.MaxInt32, math.MaxInt32 + 1, 1<<53 + 1, math.MaxInt64} {
				want.Current.Count = count
				change(ctx, t, s, d, func(have *auth.Tokens) { have.Current.Count = count })
				assertTokens(t, want, read(ctx, t, s, d), d)
			}
		},
	},
	{
		name: "FA-12 the current token stays",
		says: "The current token stays beside a new one, which the client may never have received.",
		check: func(ctx context.Context, t testing.TB, s auth.TokenStore) {
			d := phone(t)
			want := auth.Tokens{Current: issue("current", 1)}
			write(ctx, t, s, d, want)
			want.New = issue("new", 3)
			change(ctx, t, s, d, func(have *auth.Tokens) { have.New = want.New })
			assertTokens(t, want, read(ctx, t, s, d), d)
		},
	},
	{
		name: "FA-12 a new token only",
		says: "A client's first token is kept as its new one, with no current one.",
		check: func(ctx context.Context, t testing.TB, s auth.TokenStore) {
			d := phone(t)
			want := auth.Tokens{New: issue("new", 3)}
			write(ctx, t, s, d, want)
			assertTokens(t, want, read(ctx, t, s, d), d)
		},
	},
	{
		name: "FA-13 a new token becomes current",
		says: "A new token that was used takes the place of the current one, and its own place is empty.",
		check: func(ctx context.Context, t testing.TB, s auth.TokenStore) {
			d := phone(t)
			fresh := issue("new", 3)
			write(ctx, t, s, d, auth.Tokens{Current: issue("current", 1), New: fresh})
			change(ctx, t, s, d, func(have *auth.Tokens) { have.Current, have.New = have.New, auth.Token{} })
			assertTokens(t, auth.Tokens{Current: fresh}, read(ctx, t, s, d), d)
		},
	},
	{
		name: "FA-14 a newer token replaces a new one",
		says: "A new token that was never used is gone when a newer one is issued.",
		check: func(ctx context.Context, t testing.TB, s auth.TokenStore) {
			d := phone(t)
			want := auth.Tokens{Current: issue("current", 1), New: issue("new", 2)}
			write(ctx, t, s, d, want)
			want.New = issue("newer", 3)
			change(ctx, t, s, d, func(have *auth.Tokens) { have.New = want.New })
			assertTokens(t, want, read(ctx, t, s, d), d)
		},
	},
	{
		name: "FA-16 invalidated tokens",
		says: "Tokens that change has removed are not found again.",
		check: func(ctx context.Context, t testing.TB, s auth.TokenStore) {
			d := phone(t)
			want := auth.Tokens{Current: issue("current", 1), New: issue("new", 3)}
			write(ctx, t, s, d, want)
			want.Current = auth.Token{}
			change(ctx, t, s, d, func(have *auth.Tokens) { have.Current = auth.Token{} })
			assertTokens(t, want, read(ctx, t, s, d), d)
			change(ctx, t, s, d, func(have *auth.Tokens) { *have = auth.Tokens{} })
			assertTokens(t, auth.Tokens{}, read(ctx, t, s, d), d)
			want = auth.Tokens{New: issue("newer", 3)}
			write(ctx, t, s, d, want)
			assertTokens(t, want, read(ctx, t, s, d), d)
		},
	},
	{
		name: "nothing changed",
		says: "If change reports false nothing is stored, even if it has written to the tokens.",
		check: func(ctx context.Context, t testing.TB, s auth.TokenStore) {
			d := phone(t)
			scribble := func(have *auth.Tokens) bool {
				*have = auth.Tokens{Current: issue("other", 2), New: issue("another", 5)}
				return false
			}
			require.NoError(t, s.Update(ctx, d.account, d.client, scribble))
			assertTokens(t, auth.Tokens{}, read(ctx, t, s, d), d)
			want := auth.Tokens{Current: issue("current", 1)}
			write(ctx, t, s, d, want)
			require.NoError(t, s.Update(ctx, d.account, d.client, scribble))
			assertTokens(t, want, read(ctx, t, s, d), d)
		},
	},
	{
		name: "only while change runs",
		says: "What change was given is not what is stored: writing to it later changes nothing.",
		check: func(ctx context.Context, t testing.TB, s auth.TokenStore) {
			d := phone(t)
			want := auth.Tokens{Current: issue("current", 1)}
			var kept *auth.Tokens
			for _, changed := range []bool{true, false} {
				require.NoError(t, s.Update(ctx, d.account, d.client, func(have *auth.Tokens) bool {
					*have, kept = want, have
					return changed
				}))
				*kept = auth.Tokens{Current: issue("other", 2)}
				assertTokens(t, want, read(ctx, t, s, d), d)
			}
		},
	},
	{
		name: "clients do not mix",
		says: "Two clients of an account have nothing in common.",
		check: func(ctx context.Context, t testing.TB, s auth.TokenStore) {
			var devices []device
			for _, client := range alikeClients {
				devices = append(devices, device{parse(t, "romeo@example.net"), client})
			}
			assertApart(ctx, t, s, devices)
		},
	},
	{
		name: "ids that are no UUIDs",
		says: "The id of a client that is no UUID is refused, or kept apart from all others, whatever it looks like.",
		check: func(ctx context.Context, t testing.TB, s auth.TokenStore) {
			for i, alike := range alikeTexts {
				var devices []device
				for _, client := range alike {
					devices = append(devices, device{parse(t, fmt.Sprintf("romeo%d@example.net", i)), client})
				}
				assertApart(ctx, t, s, accepted(ctx, t, s, devices))
			}
			// Where the account ends and the id begins makes a difference.
			for _, between := range []string{"", ".", "-", "--"} {
				assertApart(ctx, t, s, accepted(ctx, t, s, []device{
					{parse(t, "romeo@a"), "b" + between + "c"},
					{parse(t, "romeo@a"+between+"b"), "c"},
				}))
			}
		},
	},
	{
		name: "accounts do not mix",
		says: "Whatever their names look like, two accounts have nothing in common, even if their clients have the same id.",
		check: func(ctx context.Context, t testing.TB, s auth.TokenStore) {
			for _, alike := range alikeAccounts {
				var devices []device
				for _, name := range alike {
					devices = append(devices, device{parse(t, name), phone(t).client})
				}
				assertApart(ctx, t, s, devices)
			}
		},
	},
	{
		name: "bare accounts",
		says: "A resource makes no other account: its tokens are those of the bare one, or it is refused.",
		check: func(ctx context.Context, t testing.TB, s auth.TokenStore) {
			full := device{parse(t, "romeo@example.net/orchard"), phone(t).client}
			bare := device{full.account.Bare(), full.client}
			want := auth.Tokens{Current: issue("current", 1)}
			write(ctx, t, s, bare, want)
			wanted := issue("new", 3)
			var seen auth.Tokens
			err := s.Update(ctx, full.account, full.client, func(have *auth.Tokens) bool {
				seen = *have
				have.New = wanted
				return true
			})
			if err == nil {
				assertTokens(t, want, seen, full)
				want.New = wanted
			}
			assertTokens(t, want, read(ctx, t, s, bare), bare)
		},
	},
	{
		name:  "FA-09 one of many attempts",
		says:  "Updates of a client take place one after the other: of many attempts with one count one is the first.",
		check: func(ctx context.Context, t testing.TB, s auth.TokenStore) { checkReplays(ctx, t, s) },
	},
	{
		name:  "no update is lost",
		says:  "Updates of a client take place one after the other: none undoes another, and none is refused because of another.",
		check: func(ctx context.Context, t testing.TB, s auth.TokenStore) { checkCounting(ctx, t, s) },
	},
	{
		name:  "clients at once",
		says:  "Updates of different clients may take place at once, and do not undo one another.",
		check: checkManyClients,
	},
	{
		name: "a context that has ended",
		says: "A context that has ended is an error, and nothing changes.",
		check: func(ctx context.Context, t testing.TB, s auth.TokenStore) {
			d := phone(t)
			set := func(have *auth.Tokens) bool { have.New = issue("new", 3); return true }
			require.Error(t, s.Update(ended(ctx), d.account, d.client, set))
			assertTokens(t, auth.Tokens{}, read(ctx, t, s, d), d)
			want := auth.Tokens{Current: issue("current", 1)}
			write(ctx, t, s, d, want)
			require.Error(t, s.Update(ended(ctx), d.account, d.client, set))
			assertTokens(t, want, read(ctx, t, s, d), d)
		},
	},
	{
		name: "an error changes nothing",
		says: "If Update returns an error nothing has changed, and if it does not the change is stored; also if the context ends meanwhile.",
		check: func(ctx context.Context, t testing.TB, s auth.TokenStore) {
			d := phone(t)
			want := auth.Tokens{Current: issue("current", 1)}
			write(ctx, t, s, d, want)
			changed := auth.Tokens{Current: want.Current, New: issue("new", 3)}
			ending, cancel := context.WithCancel(ctx)
			defer cancel()
			err := s.Update(ending, d.account, d.client, func(have *auth.Tokens) bool {
				cancel()
				*have = changed
				return true
			})
			if err == nil {
				want = changed
			}
			assertTokens(t, want, read(ctx, t, s, d), d)
		},
	},
}

var sharedTokenRules = []rule[[2]auth.TokenStore]{
	{
		name: "each sees what the other stored",
		says: "What was stored in one process is found in the other at once, the removal of tokens too.",
		check: func(ctx context.Context, t testing.TB, s [2]auth.TokenStore) {
			d := phone(t)
			want := auth.Tokens{Current: issue("current", 1), New: issue("new", 3)}
			for i := range 6 {
				want.Current.Count++
				write(ctx, t, s[i%2], d, want)
				assertTokens(t, want, read(ctx, t, s[1-i%2], d), d)
			}
			write(ctx, t, s[0], d, auth.Tokens{})
			assertTokens(t, auth.Tokens{}, read(ctx, t, s[1], d), d)
		},
	},
	{
		name: "FA-09 one of many attempts at both",
		says: "Updates of a client take place one after the other, also in two processes: of many attempts with one count one is the first.",
		check: func(ctx context.Context, t testing.TB, s [2]auth.TokenStore) {
			checkReplays(ctx, t, s[0], s[1])
		},
	},
	{
		name: "no update is lost at either",
		says: "Updates of a client take place one after the other, also in two processes: none undoes another, and none is refused because of another.",
		check: func(ctx context.Context, t testing.TB, s [2]auth.TokenStore) {
			checkCounting(ctx, t, s[0], s[1])
		},
	},
}
