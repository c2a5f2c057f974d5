// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"

	"mellium.im/sasl"
)

// plainClient differs from mellium's in that it sends nothing without a password,
// or with one that would be taken for two.
func plainClient() sasl.Mechanism {
	m := sasl.Plain
	start := m.Start
	m.Start = func(n *sasl.Negotiator) (bool, []byte, any, error) {
		user, password, identity := n.Credentials()
		switch {
		case len(password) == 0:
			return false, nil, nil, ErrNoPassword
		case bytes.IndexByte(user, 0) >= 0 || bytes.IndexByte(password, 0) >= 0 || bytes.IndexByte(identity, 0) >= 0:
			return false, nil, nil, errMalformed
		}
		return start(n)
	}
	return m
}

func plainServer(x *exchange) sasl.Mechanism {
	return sasl.Mechanism{
		Name:  Plain,
		Start: serverOnly,
		Next: func(n *sasl.Negotiator, message []byte, data any) (bool, []byte, any, error) {
			if n.State()&sasl.StepMask != sasl.AuthTextSent {
				return false, nil, nil, sasl.ErrTooManySteps
			}
			parts := strings.Split(string(message), "\x00")
			if len(parts) != 3 || parts[1] == "" || parts[2] == "" || !utf8.Valid(message) {
				return false, nil, nil, errMalformed
			}
			account, ok, err := x.password(parts[1], parts[2])
			switch {
			case err != nil:
				return false, nil, nil, err
			case !ok || !x.accept(n, account, parts[0]):
				return false, nil, nil, errRefused
			}
			return false, nil, nil, nil
		},
	}
}

// externalClient says no more than as whom it wants to act, and if that is
// nobody else, nothing.
func externalClient() sasl.Mechanism {
	return sasl.Mechanism{
		Name: External,
		Start: func(n *sasl.Negotiator) (bool, []byte, any, error) {
			_, _, identity := n.Credentials()
			return false, append([]byte{}, identity...), nil, nil // Nothing, but that is said at once.
		},
		Next: func(*sasl.Negotiator, []byte, any) (bool, []byte, any, error) {
			return false, nil, nil, sasl.ErrTooManySteps
		},
	}
}

func externalServer(x *exchange) sasl.Mechanism {
	return sasl.Mechanism{
		Name:  External,
		Start: serverOnly,
		Next: func(n *sasl.Negotiator, message []byte, data any) (bool, []byte, any, error) {
			if n.State()&sasl.StepMask != sasl.AuthTextSent {
				return false, nil, nil, sasl.ErrTooManySteps
			}
			state := n.TLSState()
			if !utf8.Valid(message) || bytes.IndexByte(message, 0) >= 0 {
				return false, nil, nil, errMalformed
			}
			if x.server.External == nil || state == nil {
				return false, nil, nil, errRefused
			}
			account, err := x.server.External(x.ctx, x.session, *state, string(message))
			if f := (Failure{}); errors.As(err, &f) {
				return false, nil, nil, f
			}
			account = account.Bare()
			if err != nil || !x.fits(account) {
				return false, nil, nil, errRefused
			}
			if err := x.limit(account); err != nil {
				return false, nil, nil, err
			}
			if !x.accept(n, &claim{account: account, known: true}, string(message)) {
				return false, nil, nil, errRefused
			}
			return false, nil, nil, nil
		},
	}
}
