// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"time"

	"mellium.im/sasl"
	"mellium.im/xmpp"
)

// Mode says how far a client sends ahead.
type Mode uint8

const (
	// Off waits for every answer, as stock mellium does.
	Off Mode = iota

	// Paced sends ahead, but lets a moment pass before the part that lies behind
	// a restart, and gives it a write of its own.
	// Many servers that do not announce pipelining drop what shares a segment
	// with the element that restarts the stream; they take what comes a few
	// milliseconds later.
	Paced

	// Full sends ahead in one write.
	// It is for servers that announce pipelining (see [Advertised]), and for
	// those that are known to cope.
	Full
)

// String returns the name of the mode.
func (m Mode) String() string {
	switch m {
	case Off:
		return "off"
	case Paced:
		return "paced"
	case Full:
		return "full"
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

// Plan is what a client expects of a server, commonly from an earlier login.
//
// A plan only says what to send first; what may be sent at all is for
// [ClientConfig] to say.
// The zero value sends nothing ahead.
type Plan struct {
	// Mode says how far to send ahead.
	Mode Mode

	// Mechanism is the SASL mechanism to begin with, and must be one of those in
	// the ClientConfig.
	// If it is empty or not among them, the first of them is taken.
	Mechanism string

	// SASL2 says to begin with an authenticate element of XEP-0388, which needs an
	// Authenticator that can do so.
	// Nothing is sent behind it, whatever the mode, and no pause is needed.
	SASL2 bool
}

// Defaults of a [ClientConfig].
const (
	// DefaultAnswerTimeout is long for a server that is there, and short for a
	// person who waits for one that has lost what was sent ahead.
	DefaultAnswerTimeout = 5 * time.Second

	// DefaultPace is four times what was enough for every server that it was tried
	// with, so that it is also enough for one that is busy.
	DefaultPace = 20 * time.Millisecond
)

// ClientConfig says what a client may do and what it needs for it.
type ClientConfig struct {
	// TLS configures STARTTLS.
	// If it is nil, or its ServerName is empty, the domain of the session's own
	// address is verified, or between servers that of the peer.
	// It is cloned for each session.
	TLS *tls.Config

	// VerifyTLS decides whether a TLS connection is good enough to send
	// credentials over.
	// If it is nil, the peer's certificate must have been verified, which an
	// InsecureSkipVerify in a TLS configuration prevents.
	VerifyTLS func(tls.ConnectionState) error

	// Identity is the authorization identity; empty means the account itself.
	Identity string

	// Password is the password of the account, for mechanisms that need one.
	Password string

	// Mechanisms are the SASL mechanisms that may be used, best first.
	Mechanisms []sasl.Mechanism

	// Authenticator supplies how to authenticate, in place of Identity, Password and
	// Mechanisms.
	Authenticator Authenticator

	// Binder supplies what to bind a resource with.
	// If it is nil, it is ResourceBinder.
	// Between servers nothing is bound.
	Binder Binder

	// Opening returns stanzas to be sent right behind what binds the resource, in the
	// same flight. Each is complete, in the namespace of the stream.
	//
	// It is called where the bind is sent ahead behind a mechanism of one step by which
	// the server does not prove itself, such as PLAIN or EXTERNAL: the server has all
	// that it needs by then, and its certificate is all that is known of it. Behind
	// SCRAM nothing may be said to a server that has not proved itself, and behind
	// SASL2 nothing at all (XEP-0388, section 2.5). So it is called at most once for
	// each connection, before anything of it is sent within TLS, and who needs to know
	// whether the stanzas were sent ahead finds out by having been called. It is not
	// called between servers.
	//
	// What the server answers is left to whoever serves the session.
	// An error of Opening is final, and nothing is sent. If it is nil there are no
	// stanzas.
	Opening func() ([]byte, error)

	// Features are more features to be known: what they parse can be read by
	// Session.Feature. Only with mode Off, or where a plan failed and the login
	// goes on step by step, are they negotiated.
	Features []xmpp.StreamFeature

	// Lang is the language of the stream, if not empty.
	Lang string

	// Timeout limits the whole negotiation, as in [Config].
	Timeout time.Duration

	// AnswerTimeout is how long the server may take for each answer to what was
	// sent ahead; then the error is ErrMispredicted.
	// If it is not positive, it is DefaultAnswerTimeout.
	AnswerTimeout time.Duration

	// Pace is the moment that [Paced] lets pass.
	// If it is not positive, it is DefaultPace.
	Pace time.Duration

	// TeeIn and TeeOut get a copy of the XML, as in [Config].
	TeeIn, TeeOut io.Writer
}

// Errors of a client.
var (
	// ErrMispredicted means that the server did not answer as planned: it lacks
	// a feature that it had, or has lost what was sent ahead.
	// The connection is of no more use; a login with mode Off on a new one shows
	// what the server can do.
	ErrMispredicted = errors.New("pipelining: the server did not answer as planned")

	// ErrUnverifiedTLS means that credentials were about to be sent over a
	// connection whose peer is not verified. Nothing was sent.
	ErrUnverifiedTLS = errors.New("pipelining: the peer of the TLS connection is not verified")

	// ErrUnproven means that the server did not keep its side of the mechanism: its
	// challenge makes no sense, or it accepted without the proof that it knows
	// the account. It is not the server that it claims to be, or broken.
	ErrUnproven = errors.New("pipelining: the server did not prove that it knows the account")

	// ErrNotAuthenticated means that the server offers nothing to authenticate
	// with, as if that were not needed.
	ErrNotAuthenticated = errors.New("pipelining: the server does not ask who the client is")

	// ErrNoMechanism means that the configuration has no SASL mechanism, or step
	// by step, none that the server offers.
	ErrNoMechanism = errors.New("pipelining: no SASL mechanism may be used")
)

// AuthError is the failure that a server answers an authentication with.
type AuthError struct {
	// Condition is the name of the condition, such as not-authorized
	// (RFC 6120 §6.5).
	Condition string

	// Text is what the server says to people, if anything.
	Text string
}

// Error returns the condition and the text.
func (e AuthError) Error() string {
	if e.Text == "" {
		return "pipelining: authentication failed: " + e.Condition
	}
	return fmt.Sprintf("pipelining: authentication failed: %s (%q)", e.Condition, e.Text)
}
