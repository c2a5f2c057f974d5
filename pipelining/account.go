// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining

import (
	"context"
	"errors"
	"fmt"
	"io"

	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
)

const (
	// maxTries is how often a client may ask for a mechanism (RFC 6120 §6.4.5).
	maxTries = 3

	// errNoMechanisms is how mellium v0.23.0 calls a request for a mechanism that
	// is not offered, in an error that is not exported.
	errNoMechanisms = "xmpp: no matching SASL mechanisms found"
)

// SASLServer is [xmpp.SASLServer] with the account pinned.
//
// Unlike there, a client that asks for a mechanism that is not offered may ask
// again, twice.
//
// Permissions is called as there, and with the session that is being
// authenticated.
// It reports whether the credentials of n are good, and the bare JID of the
// account that they are good for, or between servers the peer's domain.
// It must compare the authorization identity, the third of the credentials, with
// the account; if it is empty, the account speaks for itself.
// It may be called by several sessions at once; if it is nil, nobody is let in.
//
// It panics if there are no mechanisms, as xmpp.SASLServer does.
// Of mellium's mechanisms only PLAIN calls permissions; with others no account
// is known and the negotiation ends with [ErrNoAccount].
func SASLServer(permissions func(s *xmpp.Session, n *sasl.Negotiator) (account jid.JID, ok bool), mechanisms ...sasl.Mechanism) xmpp.StreamFeature {
	feature := xmpp.SASLServer(nil, mechanisms...)
	feature.Negotiate = func(ctx context.Context, s *xmpp.Session, data any) (xmpp.SessionState, io.ReadWriter, error) {
		var failed error
		check := func(n *sasl.Negotiator) bool {
			if permissions == nil {
				return false
			}
			account, ok := permissions(s, n)
			if !ok {
				return false
			}
			conn, isConn := s.Conn().(*Conn)
			if !isConn {
				failed = errors.New("pipelining: SASLServer needs a negotiator that was wrapped by Negotiator")
				return false
			}
			failed = conn.Authenticated(account)
			return failed == nil
		}
		stock := xmpp.SASLServer(check, mechanisms...)
		for tries := 1; ; tries++ {
			mask, rw, err := stock.Negotiate(ctx, s, data)
			switch {
			case failed != nil:
				return 0, nil, failed
			case err == nil || tries == maxTries || err.Error() != errNoMechanisms:
				return mask, rw, err
			}
			// The failure is sent. Whoever has asked ahead for what is not offered any
			// more may ask again.
		}
	}
	return feature
}

// authenticated is what [Conn.Authenticated] calls.
func (n *negotiation) authenticated(account jid.JID) error {
	switch {
	case account.Domainpart() == "":
		return errors.New("pipelining: the account that authenticated has no domain")
	case n.pinned && !n.account.Equal(account.Bare()):
		return fmt.Errorf("pipelining: %v has authenticated already", n.account)
	}
	n.pinned, n.account, n.claimed = true, account.Bare(), account.Bare()
	if n.in.From.Bare().Equal(n.account) {
		n.claimed = n.in.From
	}
	n.spelled = n.claimed.String()
	n.pin()
	return nil
}

// behindHeader is called when a header has been read and answered.
func (n *negotiation) behindHeader() {
	if behind := n.behind; behind != nil {
		n.behind = nil
		behind()
		return
	}
	n.pin()
}

// pin makes the account the session's remote address.
func (n *negotiation) pin() {
	n.in.From, n.out.To = n.account, n.account
}
