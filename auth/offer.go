// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth

import (
	"maps"
	"slices"

	"mellium.im/xmpp"
)

// Offer is what a server offers a client to log in with.
type Offer struct {
	// SASL2 and RFC6120 are the names of mechanisms in the two profiles.
	SASL2, RFC6120 []string

	// Tokens are the names of mechanisms for tokens (XEP-0484).
	Tokens []string

	// Inline are the namespaces of what may ride along with SASL2, in alphabetical
	// order.
	Inline []string

	// Bindings are the types of channel binding that the server lists (XEP-0440).
	Bindings []string
}

// OfferOf returns what the server has offered last on a client's session that was
// given the features of a [Client]. It is of use in Client.Observe: the list of
// features behind a login has nothing of it.
func OfferOf(s *xmpp.Session) Offer {
	o := offered(s)
	return Offer{
		SASL2:    slices.Clone(o.names),
		RFC6120:  slices.Clone(o.legacy),
		Tokens:   slices.Clone(o.tokens),
		Inline:   slices.Sorted(maps.Keys(o.inline)),
		Bindings: slices.Clone(o.kinds),
	}
}
