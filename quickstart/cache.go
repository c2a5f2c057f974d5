// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"context"

	"mellium.im/xmpp/jid"
)

// Key names what a [Cache] keeps.
type Key struct {
	// Account is the bare JID of the account that it is about, or the zero JID for what
	// all accounts share.
	Account jid.JID

	// Trust is the name of the configuration of TLS that it was learned under. See
	// Dialer.Trust.
	Trust string

	// Name is what it is, in printable ASCII.
	Name string
}

// Cache keeps what is worth to be remembered from one login to the next. It is safe
// for concurrent use. Package quickstarttest tests whether a store is one.
//
// Some values are secrets. None of them is needed: what is lost costs round trips
// or a password, and what is wrong costs a connection, never security.
type Cache interface {
	// Get returns a value, or nil if there is none. The caller may change it.
	Get(ctx context.Context, k Key) ([]byte, error)

	// Put replaces a value, all of it or nothing. The value stays the caller's.
	// It is [ErrTooLarge] if the cache takes none of that size.
	Put(ctx context.Context, k Key, value []byte) error

	// Delete removes values of an account, or if it is the zero JID, of what all accounts
	// share, whatever their Trust: those with one of the names, or if there are none,
	// all. That there is none is no error.
	Delete(ctx context.Context, account jid.JID, names ...string) error
}
