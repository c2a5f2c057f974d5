// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
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
		if err := e.read(d, ofServer); err != nil {
			return nil, false, 0, err
		}
		out, mask, err := l.step(ctx, e)
		var f Failure
		if errors.As(err, &f) && (l.steps == 0 || l.more) {
			err = l.retry(ctx, f)
		}
		return out, l.last(), mask, err
	}, nil
}

// retry returns f, as one behind which another attempt may follow if that may do
// better. By now it is known what the server offers.
func (l *login) retry(ctx context.Context, f Failure) error {
	if !l.token.IsZero() {
		return again{f}
	}
	o := offered(l.s)
	best, err := l.c.next(l.s, o)
	switch {
	case err == nil && l.guessed(best):
		// A good password is refused, too, where the mechanism is not the one that the
		// account has keys for, or what was said about channel binding is not so. Some
		// servers, such as ejabberd, do the latter no sooner than behind the proof.
		return again{f}
	case errors.Is(err, ErrChannelBinding):
		return fmt.Errorf("%w: %w", err, f)
	case l.steps > 0 || !l.another(f):
		return f
	}
	o.refuse(l.mechanism)
	_, err = l.c.next(l.s, o)
	left := slices.Contains(l.c.mechanisms(), Plain) && slices.Contains(slices.Concat(o.names, o.legacy), Plain)
	if errors.Is(err, ErrChannelBinding) || err != nil && left {
		// What is left is weaker than what was to be expected of the server.
		return fmt.Errorf("%w: %w", err, f)
	}
	return again{f}
}

// guessed reports whether whoever had known what the server offers would have begun
// in another way, which is not weaker.
func (l *login) guessed(best choice) bool {
	if best.name == l.mechanism {
		return isScram(best.name) && best.gs2 != l.gs2
	}
	rank := func(name string) int { return slices.Index(l.c.mechanisms(), name) }
	return rank(best.name) < rank(l.mechanism)
}

// again is a failure behind which another attempt may follow.
type again struct{ Failure }

func (a again) TryAgain() bool { return true }
func (a again) Unwrap() error  { return a.Failure }

// ours is an error that has nothing to do with the connection, whatever it looks
// like.
type ours struct{ error }

func (ours) TryAgain() bool  { return false }
func (o ours) Unwrap() error { return o.error }

// guess prepares a login for a server that has offered nothing yet.
func (c *Client) guess(ctx context.Context, s *xmpp.Session, modern bool, mechanism string) (*login, error) {
	state := s.ConnectionState()
	bound := clientBindings(&state)
	p := rfc6120
	if modern {
		p = sasl2
		t := c.token(ctx, s.LocalAddr().Bare())
		if _, ok := htData(t.Mechanism, bound); ok && !t.IsZero() && c.himself(s) {
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
		// Whoever names a mechanism that does not bind thinks that the server cannot.
		able := slices.ContainsFunc(allowed, isPlus) && len(bound) > 0
		g := gs2{canBind: able}
		if isPlus(name) {
			have := kinds(bound)
			g = gs2{kind: cmp.Or(firstCommon(have, c.Bindings), have[0])}
		}
		return c.prepare(ctx, s, p, name, g, Token{}, nil)
	}
	return nil, ErrNoMechanism
}
