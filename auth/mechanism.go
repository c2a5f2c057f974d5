// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"mellium.im/sasl"
)

// Names of mechanisms.
const (
	ScramSHA256Plus = "SCRAM-SHA-256-PLUS" // RFC 7677
	ScramSHA256     = "SCRAM-SHA-256"
	ScramSHA1Plus   = "SCRAM-SHA-1-PLUS" // RFC 5802
	ScramSHA1       = "SCRAM-SHA-1"
	Plain           = "PLAIN"    // RFC 4616
	External        = "EXTERNAL" // RFC 4422, appendix A

	// The HT mechanisms (draft-schmaus-kitten-sasl-ht) take a token in place of a
	// password, and are for FAST (XEP-0484) only.
	// They differ in the channel binding: tls-exporter, tls-unique,
	// tls-server-end-point and none.
	HTSHA256Exporter = "HT-SHA-256-EXPR"
	HTSHA256Unique   = "HT-SHA-256-UNIQ"
	HTSHA256EndPoint = "HT-SHA-256-ENDP"
	HTSHA256None     = "HT-SHA-256-NONE"
)

// DefaultMechanisms returns the names of what is used where nothing else is
// configured, best first: SCRAM, with channel binding before without.
//
// PLAIN is not among them (XEP-0388, section 5; RFC 6120, section 13.8.3): it
// hands the password to whoever is at the other end.
func DefaultMechanisms() []string {
	return []string{ScramSHA256Plus, ScramSHA1Plus, ScramSHA256, ScramSHA1}
}

// Errors of mechanisms. They say nothing of what is stored.
var (
	errMalformed = errors.New("auth: malformed SASL message")
	errRefused   = sasl.ErrAuthn // The one error that mellium answers properly.
)

// ClientMechanism returns the client's side of one of the mechanisms named in
// this package, for use elsewhere, such as in [xmpp.SASL].
// [Client] needs none of it.
//
// The mechanism takes user, password and identity from the negotiator's
// credentials, and the connection from its TLSState.
// With -PLUS it binds to the channel by the first of tls-exporter, tls-unique
// and tls-server-end-point that the connection has; a mechanism that finds none
// fails before anything is sent.
// Without, it says "n" to the server: that it cannot bind.
// HT mechanisms take the token for the password.
func ClientMechanism(name string) (sasl.Mechanism, error) {
	switch {
	case name == Plain:
		return plainClient(), nil
	case name == External:
		return externalClient(), nil
	case isHT(name):
		return htClient(name), nil
	case isScram(name):
		return scramClient(name, gs2{}), nil
	}
	return sasl.Mechanism{}, fmt.Errorf("auth: there is no mechanism %q", name)
}

func isScram(name string) bool {
	_, ok := hashOf(name)
	return ok
}

func isPlus(name string) bool { return strings.HasSuffix(name, "-PLUS") }

func isHT(name string) bool { return slices.Contains(tokenMechanisms, name) }

// tokenMechanisms are the mechanisms of FAST, best first.
var tokenMechanisms = []string{HTSHA256Exporter, HTSHA256Unique, HTSHA256EndPoint, HTSHA256None}

// binds reports whether the mechanism binds to the channel.
func binds(name string) bool { return isPlus(name) || isHT(name) && name != HTSHA256None }
