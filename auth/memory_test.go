// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/auth/authtest"
)

var (
	_ auth.TokenStore = (*auth.MemoryTokens)(nil)
	_ auth.TokenCache = (*auth.MemoryCache)(nil)
)

func TestMemoryTokens(t *testing.T) {
	authtest.RunTokens(t, func(testing.TB) auth.TokenStore { return new(auth.MemoryTokens) })
}

func TestMemoryCache(t *testing.T) {
	authtest.RunTokenCache(t, func(testing.TB) auth.TokenCache { return new(auth.MemoryCache) })
}

// tokenFor returns a token that is good for some time.
func tokenFor(life time.Duration) auth.Token {
	now := time.Now()
	return auth.Token{Secret: "t0k3n", Mechanism: auth.HTSHA256Exporter, Issued: now, Expires: now.Add(life)}
}

// keep stores tokens of a client.
func keep(t *testing.T, m *auth.MemoryTokens, account jid.JID, client string, tokens auth.Tokens) {
	t.Helper()
	require.NoError(t, m.Update(t.Context(), account, client, func(have *auth.Tokens) bool {
		*have = tokens
		return true
	}))
}

// kept returns those of the clients that have tokens.
func kept(t *testing.T, m *auth.MemoryTokens, account jid.JID, clients ...string) []string {
	t.Helper()
	var with []string
	for _, client := range clients {
		require.NoError(t, m.Update(t.Context(), account, client, func(have *auth.Tokens) bool {
			if *have != (auth.Tokens{}) {
				with = append(with, client)
			}
			return false
		}))
	}
	return with
}

// numbered returns the names of n clients.
func numbered(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	return names
}

func TestMemoryTokensMaxClients(t *testing.T) {
	for _, test := range []struct{ max, want int }{
		{-1, auth.DefaultMaxClients},
		{0, auth.DefaultMaxClients},
		{1, 1},
		{3, 3},
	} {
		t.Run(strconv.Itoa(test.max), func(t *testing.T) {
			m := auth.MemoryTokens{MaxClients: test.max}
			all := numbered(2 * test.want)
			for i, client := range all {
				keep(t, &m, juliet, client, auth.Tokens{New: tokenFor(time.Hour + time.Duration(i)*time.Second)})
			}
			assert.Equal(t, all[test.want:], kept(t, &m, juliet, all...))
		})
	}
}

func TestMemoryTokensGiveWay(t *testing.T) {
	const h = time.Hour
	newest := auth.Tokens{New: tokenFor(5 * h)}
	for _, test := range []struct {
		name  string
		first string
		have  map[string]auth.Tokens
	}{
		{"first to expire", "b", map[string]auth.Tokens{
			"a": {Current: tokenFor(2 * h)},
			"b": {Current: tokenFor(1 * h)},
			"c": {Current: tokenFor(3 * h)},
		}},
		{"not if one has not expired", "c", map[string]auth.Tokens{
			"a": {Current: tokenFor(2 * h)},
			"b": {Current: tokenFor(-1 * h), New: tokenFor(2 * h)},
			"c": {Current: tokenFor(1 * h)},
		}},
		{"by the newest token", "a", map[string]auth.Tokens{
			"a": {Current: tokenFor(2 * h)},
			"b": {Current: tokenFor(1 * h), New: tokenFor(3 * h)},
			"c": {Current: tokenFor(1 * h), New: tokenFor(4 * h)},
		}},
		{"a new token only", "c", map[string]auth.Tokens{
			"a": {New: tokenFor(2 * h)},
			"b": {New: tokenFor(3 * h)},
			"c": {New: tokenFor(1 * h)},
		}},
		{"a new token that expires first", "b", map[string]auth.Tokens{
			"a": {Current: tokenFor(3 * h), New: tokenFor(1 * h)},
			"b": {Current: tokenFor(2 * h), New: tokenFor(2 * h)},
			"c": {Current: tokenFor(4 * h), New: tokenFor(1 * h)},
		}},
		{"all the same", "a", map[string]auth.Tokens{"a": newest, "b": newest, "c": newest}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := auth.MemoryTokens{MaxClients: 3}
			for client, tokens := range test.have {
				keep(t, &m, juliet, client, tokens)
			}
			romeo := jid.MustParse("romeo@im.example.com")
			keep(t, &m, romeo, "a", auth.Tokens{New: tokenFor(h / 2)})
			for client, tokens := range test.have {
				keep(t, &m, juliet, client, tokens)
			}
			require.Len(t, kept(t, &m, juliet, "a", "b", "c"), 3, "who has tokens already takes nobody's place")

			keep(t, &m, juliet, "d", auth.Tokens{New: tokenFor(time.Minute)})
			with := kept(t, &m, juliet, "a", "b", "c", "d")
			assert.Len(t, with, 3)
			assert.NotContains(t, with, test.first)
			assert.Contains(t, with, "d", "what was stored is there, even if it is the first to expire")
			assert.Len(t, kept(t, &m, romeo, "a"), 1, "another account gives nothing")
		})
	}
}

func TestMemoryTokensExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			m   auth.MemoryTokens
			all []jid.JID
		)
		with := func(accounts []jid.JID) int {
			n := 0
			for _, account := range accounts {
				n += len(kept(t, &m, account, agentID))
			}
			return n
		}
		// A hundred accounts have tokens at any time.
		for i := range 2000 {
			account := jid.MustParse(fmt.Sprintf("juliet%d@im.example.com", i))
			keep(t, &m, account, agentID, auth.Tokens{Current: tokenFor(-time.Hour), New: tokenFor(100 * time.Minute)})
			all = append(all, account)
			if i%100 == 99 {
				require.Equal(t, 100, with(all[i-99:]), "tokens that have not expired are gone")
				require.LessOrEqual(t, with(all), 201, "what has expired piles up")
			}
			time.Sleep(time.Minute)
		}
		// Clients of one account, too.
		clients := numbered(20)
		for _, client := range clients {
			keep(t, &m, juliet, client, auth.Tokens{New: tokenFor(time.Hour)})
		}
		time.Sleep(time.Hour)
		for range 1000 {
			keep(t, &m, juliet, agentID, auth.Tokens{New: tokenFor(time.Hour)})
		}
		assert.Empty(t, kept(t, &m, juliet, clients...))
		assert.Len(t, kept(t, &m, juliet, agentID), 1)
	})
}

func TestMemoryTokensRevoke(t *testing.T) {
	romeo := jid.MustParse("romeo@im.example.com")
	fill := func(t *testing.T) *auth.MemoryTokens {
		m := new(auth.MemoryTokens)
		for _, account := range []jid.JID{juliet, romeo} {
			for _, client := range []string{"phone", "desk"} {
				keep(t, m, account, client, auth.Tokens{Current: tokenFor(time.Hour), New: tokenFor(time.Hour)})
			}
		}
		return m
	}
	for _, account := range []jid.JID{juliet, balcony} {
		t.Run("all clients of "+account.String(), func(t *testing.T) {
			m := fill(t)
			m.Revoke(account)
			assert.Empty(t, kept(t, m, juliet, "phone", "desk"))
			assert.Len(t, kept(t, m, romeo, "phone", "desk"), 2)
		})
		t.Run("one client of "+account.String(), func(t *testing.T) {
			m := fill(t)
			m.RevokeClient(account, "phone")
			assert.Equal(t, []string{"desk"}, kept(t, m, juliet, "phone", "desk"))
			assert.Len(t, kept(t, m, romeo, "phone", "desk"), 2)
			m.RevokeClient(account, "desk")
			assert.Empty(t, kept(t, m, juliet, "phone", "desk"))
		})
	}
	t.Run("what is not there", func(t *testing.T) {
		m := new(auth.MemoryTokens)
		m.Revoke(juliet)
		m.RevokeClient(juliet, "phone")
		m = fill(t)
		m.RevokeClient(juliet, "tablet")
		assert.Len(t, kept(t, m, juliet, "phone", "desk"), 2)
	})
}

func TestMemoryTokensPanic(t *testing.T) {
	var m auth.MemoryTokens
	keep(t, &m, juliet, "phone", auth.Tokens{Current: tokenFor(time.Hour)})
	assert.Panics(t, func() {
		_ = m.Update(t.Context(), juliet, "phone", func(have *auth.Tokens) bool {
			*have = auth.Tokens{}
			panic("in the middle")
		})
	})
	assert.Len(t, kept(t, &m, juliet, "phone"), 1)
}

func TestMemoryShowsNothing(t *testing.T) {
	const secret = "s3cr3tt0k3n"
	token := tokenFor(time.Hour)
	token.Secret = secret
	var holder struct {
		Tokens auth.MemoryTokens
		Cache  auth.MemoryCache
		tokens auth.MemoryTokens
		cache  auth.MemoryCache
	}
	for _, m := range []*auth.MemoryTokens{&holder.Tokens, &holder.tokens} {
		keep(t, m, juliet, agentID, auth.Tokens{Current: token, New: token})
	}
	for _, m := range []*auth.MemoryCache{&holder.Cache, &holder.cache} {
		require.NoError(t, m.SetToken(t.Context(), juliet, token))
	}
	assertHidden(t, []string{secret}, &holder, &holder.Tokens, &holder.Cache)
}
