// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth

import (
	"net"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
)

// What a connection may know of the negotiation that runs on it. All of it is
// there on a pipelining.Conn.
type (
	// An authenticator makes an account the session's.
	authenticator interface{ Authenticated(jid.JID) error }

	// A follower sees to the features that follow on success.
	follower interface{ FeaturesFollow() }

	// A refuser makes white space between elements an error, or not, that it
	// passes over otherwise.
	refuser interface{ RefuseSpace(bool) }
)

// negotiated returns the session's connection if it takes part in the
// negotiation, and nil otherwise: a connection that could, below a negotiator that
// does not know it, does not.
func negotiated(s *xmpp.Session) net.Conn {
	c := s.Conn()
	if n, ok := c.(interface{ Negotiating() bool }); ok && !n.Negotiating() {
		return nil
	}
	return c
}
