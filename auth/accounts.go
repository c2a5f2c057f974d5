// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"

	"mellium.im/xmpp/jid"
)

// Accounts are [Credentials] in memory. The zero value has none and is ready to
// use.
//
// Accounts are bare: the resource of an address is left out of account.
// All methods may be called by several goroutines at once.
// Accounts must not be copied after first use.
type Accounts struct {
	// Iterations is how often SetPassword hashes a password, as in [NewKeys].
	// If it is zero it is [DefaultIterations].
	// It must not change while SetPassword runs.
	Iterations int

	mu   sync.RWMutex
	keys map[string]map[string]sealed[Keys] // by account and mechanism
}

// SetPassword gives an account a password, instead of any other that it had.
// It keeps keys made of it by [NewKeys], for SCRAM-SHA-256 and for SCRAM-SHA-1,
// but not the password.
//
// It takes some milliseconds.
// Tokens outlive a password: see [MemoryTokens.Revoke].
func (a *Accounts) SetPassword(account jid.JID, password string) error {
	name, err := accountName(account)
	if err != nil {
		return err
	}
	keys := make(map[string]sealed[Keys])
	for _, mechanism := range []string{ScramSHA256, ScramSHA1} {
		k, err := NewKeys(password, mechanism, a.Iterations)
		if err != nil {
			return err
		}
		keys[mechanism] = seal(k)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.keys == nil {
		a.keys = make(map[string]map[string]sealed[Keys])
	}
	a.keys[name] = keys
	return nil
}

// SetKeys gives an account keys for a mechanism, SCRAM-SHA-256 or SCRAM-SHA-1
// with or without -PLUS. It refuses keys that [NewKeys] could not have made.
//
// Keys for the other mechanism stay: with a new password they need to be replaced
// too.
func (a *Accounts) SetKeys(account jid.JID, mechanism string, k Keys) error {
	name, err := accountName(account)
	if err != nil {
		return err
	}
	h, ok := hashOf(mechanism)
	switch {
	case !ok:
		return fmt.Errorf("auth: there are no keys for the mechanism %q", mechanism)
	case !k.valid(h), k.Iterations < minIterations, k.Iterations > maxIterations:
		return fmt.Errorf("auth: these are no keys for %s", mechanism)
	}
	kept := seal(k.clone())
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.keys == nil {
		a.keys = make(map[string]map[string]sealed[Keys])
	}
	if a.keys[name] == nil {
		a.keys[name] = make(map[string]sealed[Keys])
	}
	a.keys[name][withoutPlus(mechanism)] = kept
	return nil
}

// Remove removes an account. That there is none is no error. Its tokens remain: a store
// of tokens has to revoke them.
func (a *Accounts) Remove(account jid.JID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.keys, account.Bare().String())
}

// Keys returns the keys of an account, as [Credentials] describe it.
// The error is [ErrUnknownAccount], or the context's.
func (a *Accounts) Keys(ctx context.Context, account jid.JID, mechanism string) (Keys, error) {
	if err := ctx.Err(); err != nil {
		return Keys{}, err
	}
	name := account.Bare().String()
	a.mu.RLock()
	defer a.mu.RUnlock()
	k, ok := a.keys[name][withoutPlus(mechanism)]
	if !ok {
		k = nobody
	}
	keys := k().clone() // It takes the same time for accounts that do not exist.
	if !ok {
		return Keys{}, ErrUnknownAccount
	}
	return keys, nil
}

// clone returns a copy that shares nothing with k.
func (k Keys) clone() Keys {
	k.Salt, k.StoredKey, k.ServerKey = bytes.Clone(k.Salt), bytes.Clone(k.StoredKey), bytes.Clone(k.ServerKey)
	return k
}

// accountName returns what an account is filed under.
func accountName(account jid.JID) (string, error) {
	if account.Localpart() == "" {
		return "", fmt.Errorf("auth: %q is no account", account.String())
	}
	return account.Bare().String(), nil
}

func withoutPlus(mechanism string) string { return strings.TrimSuffix(mechanism, "-PLUS") }

// nobody has keys of the usual size.
var nobody = seal(Keys{
	Salt:      make([]byte, saltSize),
	StoredKey: make([]byte, sha256.Size),
	ServerKey: make([]byte, sha256.Size),
})
