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
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
)

// RunTokenCache checks a client's cache of tokens.
//
// NewCache returns an empty cache. When a token was issued need not be kept.
// A resource of an account may be refused or left out of account, but must not
// make another account of it.
func RunTokenCache(t *testing.T, newCache func(t testing.TB) auth.TokenCache) {
	checkTokenCache(subtests(t), newCache)
}

func checkTokenCache(r runner, newCache func(t testing.TB) auth.TokenCache) {
	run(r, cacheRules, newCache)
}

// offer returns a token as a client gets it.
func offer(secret string) auth.Token {
	token := issue(secret, 3)
	token.Issued = time.Time{}
	return token
}

var cacheRules = []rule[auth.TokenCache]{
	{
		name: "nothing stored",
		says: "An account without a token has the zero value, and that is no error.",
		check: func(ctx context.Context, t testing.TB, c auth.TokenCache) {
			assertCached(ctx, t, c, parse(t, "romeo@example.net"), auth.Token{})
		},
	},
	{
		name: "all of a token",
		says: "Secret, mechanism, expiry and count are kept.",
		check: func(ctx context.Context, t testing.TB, c auth.TokenCache) {
			romeo, token := parse(t, "romeo@example.net"), offer("rOm30+/=")
			token.Mechanism = "HT-SHA-256-NONE"
			for _, token.Count = range []uint64{0, 1, 123, math.MaxInt32 + 1, 1<<53 + 1, math.MaxInt64} {
				require.NoError(t, c.SetToken(ctx, romeo, token))
				assertCached(ctx, t, c, romeo, token)
			}
		},
	},
	{
		name: "times in any zone",
		says: "A time is the same to the second after it was kept, whatever its zone.",
		check: func(ctx context.Context, t testing.TB, c auth.TokenCache) {
			romeo, token := parse(t, "romeo@example.net"), offer("token")
			for _, zone := range []*time.Location{time.UTC, time.Local, kathmandu} {
				token.Expires = token.Expires.In(zone)
				require.NoError(t, c.SetToken(ctx, romeo, token))
				assertCached(ctx, t, c, romeo, token)
			}
		},
	},
	{
		name: "secrets are opaque",
		says: "A secret, which the server chose, is the same byte by byte after it was kept.",
		check: func(ctx context.Context, t testing.TB, c auth.TokenCache) {
			romeo := parse(t, "romeo@example.net")
			for _, alike := range alikeTexts {
				for _, secret := range alike {
					want := offer(secret)
					require.NoError(t, c.SetToken(ctx, romeo, want))
					assertCached(ctx, t, c, romeo, want)
				}
			}
		},
	},
	{
		name: "FA-08 a new token replaces the old one",
		says: "A new token takes the place of the old one, and nothing of that is left, such as its count.",
		check: func(ctx context.Context, t testing.TB, c auth.TokenCache) {
			romeo, old := parse(t, "romeo@example.net"), offer("old")
			old.Count = 5
			require.NoError(t, c.SetToken(ctx, romeo, old))
			fresh := offer("new")
			fresh.Mechanism, fresh.Expires = "HT-SHA-256-ENDP", fresh.Expires.Add(-2*time.Hour)
			require.NoError(t, c.SetToken(ctx, romeo, fresh))
			assertCached(ctx, t, c, romeo, fresh)
		},
	},
	{
		name: "FA-19 a discarded token",
		says: "The zero value removes a token; that there is none is no error.",
		check: func(ctx context.Context, t testing.TB, c auth.TokenCache) {
			romeo, another := parse(t, "romeo@example.net"), offer("another")
			require.NoError(t, c.SetToken(ctx, romeo, auth.Token{}))
			assertCached(ctx, t, c, romeo, auth.Token{})
			require.NoError(t, c.SetToken(ctx, romeo, offer("token")))
			for range 2 {
				require.NoError(t, c.SetToken(ctx, romeo, auth.Token{}))
				assertCached(ctx, t, c, romeo, auth.Token{})
			}
			require.NoError(t, c.SetToken(ctx, romeo, another))
			assertCached(ctx, t, c, romeo, another)
		},
	},
	{
		name: "accounts do not mix",
		says: "Whatever their names look like, two accounts have nothing in common.",
		check: func(ctx context.Context, t testing.TB, c auth.TokenCache) {
			for _, alike := range alikeAccounts {
				own := make([]auth.Token, len(alike))
				for i, name := range alike {
					assertCached(ctx, t, c, parse(t, name), auth.Token{})
					own[i] = offer(fmt.Sprint(i))
					require.NoError(t, c.SetToken(ctx, parse(t, name), own[i]))
				}
				for i, name := range alike {
					assertCached(ctx, t, c, parse(t, name), own[i])
				}
				for i, name := range alike {
					own[i] = auth.Token{}
					require.NoError(t, c.SetToken(ctx, parse(t, name), own[i]))
					for j, other := range alike {
						assertCached(ctx, t, c, parse(t, other), own[j])
					}
				}
			}
		},
	},
	{
		name: "bare accounts",
		says: "A resource makes no other account: its token is that of the bare one, or it is refused.",
		check: func(ctx context.Context, t testing.TB, c auth.TokenCache) {
			full := parse(t, "romeo@example.net/orchard")
			want, another := offer("token"), offer("another")
			require.NoError(t, c.SetToken(ctx, full.Bare(), want))
			if got, err := c.Token(ctx, full); err == nil {
				assertToken(t, want, got, "the token of the full JID")
			}
			if c.SetToken(ctx, full, another) == nil {
				want = another
			}
			assertCached(ctx, t, c, full.Bare(), want)
		},
	},
	{
		name: "several sessions at once",
		says: "Sessions of several accounts may use the cache at once.",
		check: func(ctx context.Context, t testing.TB, c auth.TokenCache) {
			var (
				accounts [crowd]jid.JID
				last     [crowd]auth.Token
			)
			for i := range accounts {
				accounts[i] = parse(t, fmt.Sprintf("romeo%d@example.net", i))
			}
			for n := range rounds {
				require.NoError(t, atOnce(func(i int) error {
					last[i] = offer(fmt.Sprintf("%d of %d", n, i))
					if err := c.SetToken(ctx, accounts[i], last[i]); err != nil {
						return err
					}
					_, err := c.Token(ctx, accounts[i])
					return err
				}))
				for i, account := range accounts {
					assertCached(ctx, t, c, account, last[i])
				}
			}
		},
	},
	{
		name: "a context that has ended",
		says: "A context that has ended is an error, and nothing changes.",
		check: func(ctx context.Context, t testing.TB, c auth.TokenCache) {
			romeo, want := parse(t, "romeo@example.net"), offer("token")
			_, err := c.Token(ended(ctx), romeo)
			require.Error(t, err)
			require.Error(t, c.SetToken(ended(ctx), romeo, want))
			assertCached(ctx, t, c, romeo, auth.Token{})
			require.NoError(t, c.SetToken(ctx, romeo, want))
			for _, token := range []auth.Token{offer("another"), {}} {
				require.Error(t, c.SetToken(ended(ctx), romeo, token))
				assertCached(ctx, t, c, romeo, want)
			}
		},
	},
}

func assertCached(ctx context.Context, t testing.TB, c auth.TokenCache, account jid.JID, want auth.Token) {
	t.Helper()
	got, err := c.Token(ctx, account)
	require.NoError(t, err, short(account.String()))
	assertToken(t, want, got, "the token of "+short(account.String()))
}
