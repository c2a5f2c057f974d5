// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2

import "errors"

// Errors of a client.
var (
	// ErrAddress means that the server has bound an address that is not the
	// account's, or no full JID at all. The session's address is what it was.
	ErrAddress = errors.New("bind2: the server bound an address that is not the account's")

	// ErrAnswer means that the server has answered a bind with something else, or
	// with more than can be meant. Nothing is known to be bound.
	ErrAnswer = errors.New("bind2: that is no answer to a bind")

	// ErrTag means that Client.Tag cannot be part of a resource. Nothing was asked for.
	ErrTag = errors.New("bind2: the tag is no resourcepart, or too long")
)
