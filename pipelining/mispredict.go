// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining

import (
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"
)

// unplanned returns an ErrMispredicted that says what came.
func unplanned(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMispredicted}, args...)...)
}

// judge returns err as it is if a login step by step would have met it too, and
// as an ErrMispredicted otherwise: whatever happens to a stream after something
// was sent ahead on it may have happened because of it.
func judge(err error) error {
	switch {
	case err == nil, errors.Is(err, ErrMispredicted):
		return err
	case outdated(err):
	case final(err):
		return err
	}
	return fmt.Errorf("%w: %w", ErrMispredicted, within{err})
}

// within is an error inside of another one of this package, which has the prefix
// already.
type within struct{ error }

func (w within) Error() string { return strings.TrimPrefix(w.error.Error(), "pipelining: ") }
func (w within) Unwrap() error { return w.error }

// final reports whether no plan could have made a difference.
func final(err error) bool {
	if errors.As(err, new(spoken)) || errors.As(err, new(AuthError)) || errors.As(err, new(stanza.Error)) ||
		errors.As(err, new(*tls.CertificateVerificationError)) {
		return true
	}
	for _, e := range []error{
		ErrUnproven, ErrUnverifiedTLS, ErrNoMechanism, errAddress,
		stream.SeeOtherHost, stream.HostUnknown, stream.HostGone,
		stream.SystemShutdown, stream.ResourceConstraint, stream.Conflict,
		stream.UnsupportedVersion,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// A spoken error is what an Authenticator has said, and is final.
type spoken struct{ error }

func (s spoken) Unwrap() error { return s.error }

// verdict returns what an Authenticator's error is worth: it is final unless the
// connection is to blame.
func verdict(err error) error {
	if errors.As(err, new(interface{ TryAgain() bool })) {
		return spoken{err} // It says so itself.
	}
	if errors.Is(err, ErrMispredicted) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, new(net.Error)) || errors.As(err, new(*xml.SyntaxError)) {
		return err
	}
	return spoken{err}
}

// outdated reports whether the server does not take any more what was sent first.
func outdated(err error) bool {
	var retry interface{ TryAgain() bool }
	if errors.As(err, &retry) {
		return retry.TryAgain()
	}
	var e AuthError
	if !errors.As(err, &e) {
		return false
	}
	switch e.Condition {
	case "invalid-mechanism", "mechanism-too-weak", "encryption-required":
		return true
	}
	return false
}
