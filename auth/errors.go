// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth

import (
	"errors"
	"fmt"
	"regexp"
)

// Errors of a client.
var (
	// ErrNoMechanism means that the server offers none of the mechanisms that the
	// client may use. To allow more is for Client.Mechanisms.
	ErrNoMechanism = errors.New("auth: the server offers no SASL mechanism that may be used")

	// ErrChannelBinding means that the server's lists of mechanisms and of channel
	// bindings contradict each other, or have nothing to bind by that the
	// connection has (XEP-0440, section 4).
	// Either the server is badly configured, or somebody is in the middle.
	ErrChannelBinding = errors.New("auth: channel binding is announced but not possible")

	// ErrUnproven means that the server did not keep its side of the mechanism: its
	// challenge makes no sense, or it accepted without the proof that it knows the
	// account. It is not the server that it claims to be, or broken.
	ErrUnproven = errors.New("auth: the server did not prove that it knows the account")

	// ErrUnverifiedTLS means that credentials were about to be sent over a
	// connection whose peer is not verified. Nothing was sent.
	ErrUnverifiedTLS = errors.New("auth: the peer of the TLS connection is not verified")

	// ErrNoPassword means that there is neither a token nor a password.
	ErrNoPassword = errors.New("auth: there is no password to log in with")

	// ErrTask means that the server asks for something that the client cannot do,
	// such as a second factor. What, is in the error.
	ErrTask = errors.New("auth: the server asks for a task that is not known")

	// ErrIdentity means that the server has taken the client for somebody else.
	ErrIdentity = errors.New("auth: the server takes the client for another account")

	errUnexpected = errors.New("auth: the server sent what is not due")
)

// Errors of a server.
var (
	// ErrTooManyTries means that a client has failed to log in as often as it may.
	ErrTooManyTries = errors.New("auth: the client has failed too often")

	// ErrNotPinned means that a client did not say in its stream header who it is,
	// and that nothing would keep it from saying later that it is somebody else
	// than has authenticated.
	// Wrap the session's negotiator by one that pins the account, such as
	// pipelining.NewNegotiator.
	ErrNotPinned = errors.New("auth: nothing pins the account of a client without a from in its stream header; use pipelining.NewNegotiator")
)

// Conditions of failures (RFC 6120, section 6.5).
const (
	Aborted              = "aborted"
	AccountDisabled      = "account-disabled"
	CredentialsExpired   = "credentials-expired"
	EncryptionRequired   = "encryption-required"
	IncorrectEncoding    = "incorrect-encoding"
	InvalidAuthzid       = "invalid-authzid"
	InvalidMechanism     = "invalid-mechanism"
	MalformedRequest     = "malformed-request"
	MechanismTooWeak     = "mechanism-too-weak"
	NotAuthorized        = "not-authorized"
	TemporaryAuthFailure = "temporary-auth-failure"
)

// Failure is the failure that a server answers an authentication with.
//
// It is what a client's login returns, and what hooks and tasks of a server may
// return to choose the condition.
type Failure struct {
	// Condition is one of the conditions above, or another one of RFC 6120.
	Condition string

	// Text is for people. It may be empty.
	Text string
}

// Error returns the condition and the text.
func (f Failure) Error() string {
	if f.Text == "" {
		return "auth: authentication failed: " + f.Condition
	}
	return fmt.Sprintf("auth: authentication failed: %s (%q)", f.Condition, f.Text)
}

// conditionName is what the name of a condition looks like, at least.
var conditionName = regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)

// failureOf returns what a client is told about err.
func failureOf(err error) Failure {
	var f Failure
	switch {
	case errors.As(err, &f) && conditionName.MatchString(f.Condition):
		return f
	case errors.Is(err, errRefused):
		return Failure{Condition: NotAuthorized}
	case errors.Is(err, errMalformed):
		return Failure{Condition: MalformedRequest}
	case errors.Is(err, errEncoding):
		return Failure{Condition: IncorrectEncoding}
	}
	return Failure{Condition: TemporaryAuthFailure}
}
