// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth

import (
	"context"
	"encoding/xml"
	"errors"
	"slices"

	"mellium.im/xmpp"
)

// Ahead begins a login before the server has said what it offers, for clients that
// send it right behind their stream header: a Client is an Authenticator of package
// pipelining.
//
// A token is used if there is one, in the profile of SASL2. Otherwise it is
// the mechanism that is named, or if that may not be used, the first of Mechanisms
// that the connection can bear.
//
// Request is one element. Last reports whether the server's next answer ends the
// login and the stream begins anew behind it, so that more may be sent behind
// request; with SASL2 it never does.
//
// Answer is called with each element that the server sends in return; d reads on
// behind start.
// It returns what to send next, if anything, and mask is not zero once the login
// is complete. A resource that was bound by it is the session's address then.
// An error with a method TryAgain that returns true leaves the stream as it was
// before request, so that a login over Features may follow.
func (c *Client) Ahead(ctx context.Context, s *xmpp.Session, mechanism string, sasl2 bool) (
	request []byte, last bool,
	answer func(d *xml.Decoder, start xml.StartElement) (response []byte, last bool, mask xmpp.SessionState, err error),
	err error,
) {
	if err := c.verify(s); err != nil {
		return nil, false, nil, err
	}
	l, err := c.guess(ctx, s, sasl2, mechanism)
	if err != nil {
		return nil, false, nil, err
	}
	return l.request, l.last(), func(d *xml.Decoder, start xml.StartElement) ([]byte, bool, xmpp.SessionState, error) {
		e := element{start: start.Copy()}
		if err := e.read(d); err != nil {
			return nil, false, 0, err
		}
		out, mask, err := l.step(ctx, e)
		var f Failure
		if errors.As(err, &f) && l.steps == 0 && l.another(f) {
			err = again{f}
		}
		return out, l.last(), mask, err
	}, nil
}

// again is a failure behind which another attempt may follow.
type again struct{ Failure }

func (a again) TryAgain() bool { return true }
func (a again) Unwrap() error  { return a.Failure }

// guess prepares a login for a server that has offered nothing yet.
func (c *Client) guess(ctx context.Context, s *xmpp.Session, modern bool, mechanism string) (*login, error) {
	state := s.ConnectionState()
	bound := clientBindings(&state)
	p := rfc6120
	if modern {
		p = sasl2
		t := c.token(ctx, s.LocalAddr().Bare())
		if _, ok := htData(t.Mechanism, bound); ok && !t.IsZero() {
			return c.prepare(ctx, s, p, t.Mechanism, gs2{}, t, nil)
		}
	}
	allowed := c.mechanisms()
	if slices.Contains(allowed, mechanism) {
		allowed = append([]string{mechanism}, allowed...)
	}
	for _, name := range allowed {
		if isHT(name) || !c.has(name) || isPlus(name) && len(bound) == 0 {
			continue
		}
		// Whether the server can bind is not known, so that nothing is claimed.
		return c.prepare(ctx, s, p, name, gs2{}, Token{}, nil)
	}
	return nil, ErrNoMechanism
}
