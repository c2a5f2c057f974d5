// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package authtest

import (
	"testing"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
)

// Runner runs a rule in place of a subtest.
type Runner = func(name string, test func(t testing.TB))

// CheckCredentials is RunCredentials with another runner.
func CheckCredentials(r Runner, newStore func(t testing.TB) (auth.Credentials, func(jid.JID, string) error)) {
	checkCredentials(r, newStore)
}

// CheckTokens is RunTokens with another runner.
func CheckTokens(r Runner, newStore func(t testing.TB) auth.TokenStore) { checkTokens(r, newStore) }

// CheckSharedTokens is RunSharedTokens with another runner.
func CheckSharedTokens(r Runner, newStores func(t testing.TB) (a, b auth.TokenStore)) {
	checkSharedTokens(r, newStores)
}

// CheckTokenCache is RunTokenCache with another runner.
func CheckTokenCache(r Runner, newCache func(t testing.TB) auth.TokenCache) {
	checkTokenCache(r, newCache)
}

// NewCrossing returns the place where the first two who wait meet, if they do so
// before long.
func NewCrossing() interface{ Wait() } { return place{newCrossing()} }

type place struct{ *crossing }

func (p place) Wait() { p.wait() }
