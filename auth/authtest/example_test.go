// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package authtest_test

import (
	"testing"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/auth/authtest"
)

// A test of accounts gives them passwords in the way in which the rest of the
// program does it.
func ExampleRunCredentials() {
	_ = func(t *testing.T) { // func TestAccounts(t *testing.T)
		authtest.RunCredentials(t, func(testing.TB) (auth.Credentials, func(jid.JID, string) error) {
			accounts := new(auth.Accounts)
			return accounts, accounts.SetPassword
		})
	}
}

// Each rule gets a new store. One that keeps tokens in a file keeps it in
// t.TempDir; one for a database server makes a schema, and removes it in t.Cleanup.
func ExampleRunTokens() {
	_ = func(t *testing.T) { // func TestTokens(t *testing.T)
		authtest.RunTokens(t, func(testing.TB) auth.TokenStore {
			return new(auth.MemoryTokens)
		})
	}
}

// A client's cache is checked like a server's store.
func ExampleRunTokenCache() {
	_ = func(t *testing.T) { // func TestCache(t *testing.T)
		authtest.RunTokenCache(t, func(testing.TB) auth.TokenCache {
			return new(auth.MemoryCache)
		})
	}
}
