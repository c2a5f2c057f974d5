// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining

import (
	"errors"
	"io"
	"time"
)

// Defaults of a [Config].
const (
	// DefaultTimeout leaves a person on a bad link enough time for a login.
	DefaultTimeout = time.Minute

	// DefaultMaxBytes is many times what an honest peer sends before it has
	// authenticated, certificates not counted.
	DefaultMaxBytes = 64 << 10

	// DefaultMaxRestarts leaves room for TLS, authentication and what may come
	// to a stream between them.
	DefaultMaxRestarts = 8
)

// Errors of a negotiation.
var (
	// ErrNoAccount means that a server's negotiation authenticated its peer but
	// did not say as whom.
	// Use [SASLServer], or call [Conn.Authenticated] in the feature that
	// authenticates, or set Config.TrustFrom.
	ErrNoAccount = errors.New("pipelining: nobody said which account has authenticated")

	// ErrTee means that the inner negotiator put a connection of its own in place
	// of the stream's before it had begun, as mellium's TeeIn and TeeOut do.
	// Use the fields of the same names in [Config].
	ErrTee = errors.New("pipelining: the inner negotiator replaced the connection before the stream began; use Config.TeeIn and Config.TeeOut")

	// ErrNotBound means that the server has offered a client nothing to bind a
	// resource with, so that no stanza could be exchanged.
	ErrNotBound = errors.New("pipelining: the server offers nothing to bind a resource with")
)

// Config configures [Negotiator].
// The zero value is ready for use.
type Config struct {
	// Timeout limits the whole negotiation, but for the few seconds that a server
	// allows itself to end one that has failed.
	// If it is zero, it is DefaultTimeout; if it is negative, only the context
	// limits a negotiation.
	Timeout time.Duration

	// MaxBytes limits how many bytes of XML are read off the connection before
	// the peer has authenticated.
	// If it is zero, it is DefaultMaxBytes; if it is negative, there is no limit.
	MaxBytes int

	// MaxRestarts limits how often the stream may restart.
	// If it is zero, it is DefaultMaxRestarts; if it is negative, there is no
	// limit.
	MaxRestarts int

	// Proactive makes a server send its stream header and features right behind
	// its TLS handshake, without waiting for the client's header, to clients that
	// have sent their ClientHello ahead (XEP-0305, step 4).
	// It helps clients that will not send ahead what follows.
	Proactive bool

	// AllowSpace lets a client send white space between its starttls element and its
	// ClientHello, which is no TLS and ends the handshake otherwise.
	// It does no harm, as nothing of it is taken for XML, and some clients rely on
	// it: go-xmpp 0.3 ends each element by a line feed.
	AllowSpace bool

	// TrustFrom lets a server go on without knowing who has authenticated.
	// The session's remote address is then whatever the stream header claims:
	// anybody who can authenticate can be anyone.
	// Set it only if the inner negotiator compares the two.
	TrustFrom bool

	// TeeIn and TeeOut get a copy of the XML that is read and written, also
	// inside TLS and after the negotiation: passwords too.
	// A tee that fails is not written to again.
	TeeIn, TeeOut io.Writer
}
