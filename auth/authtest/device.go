// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package authtest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
)

// A device is a client of an account.
type device struct {
	account jid.JID
	client  string
}

func (d device) String() string {
	return fmt.Sprintf("%s, %q", short(d.account.String()), short(d.client))
}

func phone(t testing.TB) device {
	t.Helper()
	return device{parse(t, "romeo@example.net"), "d4565fa7-4d72-4749-b3d3-740edbf87770"}
}

// kathmandu is 5:45 h ahead of UTC: neither a whole hour nor what machines are
// set to.
var kathmandu = time.FixedZone("", (5*60+45)*60)

// issue returns a token that expires in so many hours.
func issue(secret string, hours int) auth.Token {
	now := time.Now()
	return auth.Token{
		Secret:    auth.Secret(secret),
		Mechanism: "HT-SHA-256-EXPR",
		Issued:    now.Add(-time.Minute),
		Expires:   now.Add(time.Duration(hours) * time.Hour),
	}
}

// accepted returns those of the devices that a store does not refuse to keep
// tokens of.
func accepted(ctx context.Context, t testing.TB, s auth.TokenStore, devices []device) []device {
	t.Helper()
	var taken []device
	for _, d := range devices {
		err := s.Update(ctx, d.account, d.client, func(have *auth.Tokens) bool {
			have.New = issue("new", 3)
			return true
		})
		if err == nil {
			taken = append(taken, d)
			write(ctx, t, s, d, auth.Tokens{})
		}
	}
	return taken
}

// assertApart asserts that each device has tokens of its own.
func assertApart(ctx context.Context, t testing.TB, s auth.TokenStore, devices []device) {
	t.Helper()
	own := make([]auth.Tokens, len(devices))
	for i, d := range devices {
		assertTokens(t, auth.Tokens{}, read(ctx, t, s, d), d)
		own[i] = auth.Tokens{Current: issue(fmt.Sprintf("current %d", i), 1), New: issue(fmt.Sprintf("new %d", i), 3)}
		own[i].Current.Count = uint64(i)
		write(ctx, t, s, d, own[i])
	}
	for i, d := range devices {
		assertTokens(t, own[i], read(ctx, t, s, d), d)
	}
	for i, d := range devices {
		own[i] = auth.Tokens{}
		write(ctx, t, s, d, own[i])
		for j, other := range devices {
			assertTokens(t, own[j], read(ctx, t, s, other), other)
		}
	}
}

// change has a client's tokens changed.
func change(ctx context.Context, t testing.TB, s auth.TokenStore, d device, f func(*auth.Tokens)) {
	t.Helper()
	called := false
	err := s.Update(ctx, d.account, d.client, func(have *auth.Tokens) bool {
		called = true
		f(have)
		return true
	})
	require.NoError(t, err, "%v", d)
	require.True(t, called, "change was not called for %v", d)
}

// write replaces a client's tokens.
func write(ctx context.Context, t testing.TB, s auth.TokenStore, d device, want auth.Tokens) {
	t.Helper()
	change(ctx, t, s, d, func(have *auth.Tokens) { *have = want })
}

// read returns a client's tokens.
func read(ctx context.Context, t testing.TB, s auth.TokenStore, d device) auth.Tokens {
	t.Helper()
	var (
		got    auth.Tokens
		called bool
	)
	err := s.Update(ctx, d.account, d.client, func(have *auth.Tokens) bool {
		got, called = *have, true
		return false
	})
	require.NoError(t, err, "%v", d)
	require.True(t, called, "change was not called for %v", d)
	return got
}

func assertTokens(t testing.TB, want, got auth.Tokens, d device) {
	t.Helper()
	assertToken(t, want.Current, got.Current, fmt.Sprintf("the current token of %v", d))
	assertToken(t, want.New, got.New, fmt.Sprintf("the new token of %v", d))
}

// assertToken compares tokens, to the second.
func assertToken(t testing.TB, want, got auth.Token, which string) {
	t.Helper()
	if want.IsZero() || got.IsZero() {
		assert.Equal(t, want.IsZero(), got.IsZero(), "%s: is there none?", which)
		return
	}
	// As strings, which are shown.
	assert.Equal(t, string(want.Secret), string(got.Secret), "%s: secret", which)
	assert.Equal(t, want.Mechanism, got.Mechanism, "%s: mechanism", which)
	assert.Equal(t, want.Count, got.Count, "%s: count", which)
	assertTime(t, want.Expires, got.Expires, which+": expires")
	if !want.Issued.IsZero() {
		assertTime(t, want.Issued, got.Issued, which+": issued")
	}
}

func assertTime(t testing.TB, want, got time.Time, which string) {
	t.Helper()
	assert.Less(t, want.Sub(got).Abs(), time.Second, "%s: %s instead of %s", which, got.UTC().Format(time.RFC3339Nano), want.UTC().Format(time.RFC3339Nano))
}
