// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining

import (
	"bytes"
	"context"
	"encoding/xml"
	"io"
	"slices"
	"time"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"
)

// Client returns a Negotiator for the initiating side of a stream, which sends
// ahead as far as plan says.
//
// Without TLS it begins with
//
//	header, starttls, ClientHello
//
// and within TLS goes on with
//
//	header, auth, header, bind, opening          if the mechanism needs one step
//	header, auth | response, header, bind       with SCRAM
//	header, authenticate            with SASL2, and what the mechanism needs then
//
// Each line up to a bar is sent without waiting.
// No credential is sent before the TLS connection is verified, nothing that the
// server says is believed before it has proven itself where the mechanism can
// prove it, and neither depends on the plan.
//
// If the plan fails where only a header and one auth element were sent, the
// login goes on step by step on the same connection.
// Otherwise the error is [ErrMispredicted].
// Final errors are an [AuthError], [ErrUnverifiedTLS], [ErrUnproven], what
// ClientConfig.Authenticator says, a [stream.Error] or, if the resource was refused,
// a [stanza.Error].
//
// After an error the connection is of no more use, and the caller must close it.
//
// The session knows the features that the server sent last, as if it had
// been negotiated step by step.
// One Client may negotiate any number of sessions.
func Client(plan Plan, cfg ClientConfig) xmpp.Negotiator {
	cfg = cfg.withDefaults()
	known := cfg.informational()
	return Negotiator(func(ctx context.Context, in, out *stream.Info, s *xmpp.Session, data any) (xmpp.SessionState, io.ReadWriter, any, error) {
		c, ok := data.(*client)
		if !ok {
			c = &client{plan: plan, cfg: cfg, auth: cfg.Authenticator, known: cfg.stock(known), origin: s.LocalAddr()}
			if plan.Mode == Off {
				c.lockstep = cfg.stepByStep(s)
			}
		}
		mask, rw, err := c.step(ctx, in, out, s)
		if err != nil {
			in.To, out.From = c.origin, c.origin // Whatever the server said.
		}
		return mask, rw, c, err
	}, Config{Timeout: cfg.Timeout, TeeIn: cfg.TeeIn, TeeOut: cfg.TeeOut})
}

func (cfg ClientConfig) withDefaults() ClientConfig {
	if cfg.Binder == nil {
		cfg.Binder = ResourceBinder()
	}
	if cfg.AnswerTimeout <= 0 {
		cfg.AnswerTimeout = DefaultAnswerTimeout
	}
	if cfg.Pace <= 0 {
		cfg.Pace = DefaultPace
	}
	cfg.Mechanisms = slices.Clone(cfg.Mechanisms)
	for i, m := range cfg.Mechanisms {
		cfg.Mechanisms[i] = guarded(m)
	}
	if cfg.Authenticator == nil {
		cfg.Authenticator = passwords{cfg}
	}
	return cfg
}

// A client is one login.
type client struct {
	plan   Plan
	cfg    ClientConfig
	auth   Authenticator
	known  xmpp.Negotiator
	origin jid.JID

	lockstep xmpp.Negotiator // once nothing is sent ahead any more
	cache    any
	replayed bool // the next header has been sent already

	sent   bool // header, and bind if there is one, of the last stream
	answer func(*xml.Decoder, xml.StartElement) (jid.JID, error)
}

func (c *client) step(ctx context.Context, in, out *stream.Info, s *xmpp.Session) (xmpp.SessionState, io.ReadWriter, error) {
	conn := s.Conn().(*Conn) // Negotiator has seen to it.
	switch {
	case c.lockstep != nil:
		return c.goOn(ctx, in, out, s, conn)
	case s.State()&xmpp.Secure == 0:
		return c.startTLS(ctx, s, conn)
	case s.State()&xmpp.Authn == 0:
		return c.authenticate(ctx, in, out, s, conn)
	}
	return c.bind(ctx, in, out, s, conn)
}

// authenticate sends the header and auth, and what may go behind it.
func (c *client) authenticate(ctx context.Context, in, out *stream.Info, s *xmpp.Session, conn *Conn) (xmpp.SessionState, io.ReadWriter, error) {
	if t, ok := conn.conn.(interface{ Handshake() error }); ok {
		if err := t.Handshake(); err != nil {
			return 0, nil, err
		}
	}
	if err := c.cfg.verify(s); err != nil {
		return 0, nil, err
	}
	auth, last, answer, err := c.auth.Ahead(ctx, s, c.plan.Mechanism, c.plan.SASL2)
	if err != nil {
		return 0, nil, err
	}
	var now, later []byte
	now = append(c.header(s), auth...)
	if last && !c.plan.SASL2 {
		if later, err = c.lastFlight(s); err != nil {
			return 0, nil, err
		}
		opening, err := c.opening(s)
		if err != nil {
			return 0, nil, err
		}
		later = append(later, opening...)
	}
	c.await(ctx, conn)
	if err := c.send(ctx, conn, now, later); err != nil {
		return 0, nil, judge(err)
	}

	conn.in.record = true
	if err := c.read(ctx, in, out, s, conn); err != nil {
		return 0, nil, judge(err)
	}
	first := conn.in.records
	conn.in.record, conn.in.records = false, nil
	if _, offered := s.Feature(nsSASL2); c.plan.SASL2 && !offered {
		return 0, nil, unplanned("SASL2 is not offered")
	}
	mask, err := converse(s, answer, func(response []byte, last bool) error {
		c.await(ctx, conn)
		if !last || c.plan.SASL2 || c.sent {
			return c.send(ctx, conn, response, nil)
		}
		flight, err := c.lastFlight(s)
		if err != nil {
			return err
		}
		return c.send(ctx, conn, response, flight)
	})
	switch {
	case err == nil && (mask&xmpp.Ready != 0 || conn.in.owner.follows):
		return mask, nil, nil
	case err == nil && c.plan.SASL2:
		// The stream goes on, with features that mellium reads behind a header only.
		c.goStepByStep(ctx, s, conn, conn.in.owner.header)
		return mask, conn, nil
	case err == nil:
		return mask, conn, nil
	case !c.sent && outdated(err):
		// Only one element was sent, and its failure has been read: the stream is
		// where a client is that has sent its header and read the features.
		c.goStepByStep(ctx, s, conn, first)
		return 0, conn, nil
	}
	return 0, nil, judge(err)
}

// goStepByStep sends nothing ahead from now on, on a stream that is to look as if
// it had just begun with what was read before.
func (c *client) goStepByStep(ctx context.Context, s *xmpp.Session, conn *Conn, read []byte) {
	c.lockstep, c.replayed = c.cfg.stepByStep(s), true
	c.relax(ctx, conn)
	conn.in.replay = read
}

// bind reads what was bound ahead.
func (c *client) bind(ctx context.Context, in, out *stream.Info, s *xmpp.Session, conn *Conn) (xmpp.SessionState, io.ReadWriter, error) {
	if !c.sent {
		last, err := c.lastFlight(s)
		if err != nil {
			return 0, nil, err
		}
		if err := c.send(ctx, conn, last, nil); err != nil {
			return 0, nil, judge(err)
		}
	}
	c.await(ctx, conn)
	if err := c.read(ctx, in, out, s, conn); err != nil {
		return 0, nil, judge(err)
	}
	if s.State()&xmpp.S2S == 0 {
		if _, ok := s.Feature(c.cfg.Binder.Feature().Space); !ok {
			return 0, nil, unplanned("%s is not offered", c.cfg.Binder.Feature().Local)
		}
		c.await(ctx, conn)
		if err := readBound(s, c.answer); err != nil {
			return 0, nil, judge(err)
		}
	}
	c.relax(ctx, conn)
	return xmpp.Ready, nil, nil
}

// lastFlight returns the header behind the authentication and what to bind
// with.
func (c *client) lastFlight(s *xmpp.Session) ([]byte, error) {
	c.sent = true
	b := c.header(s)
	if s.State()&xmpp.S2S != 0 {
		return b, nil
	}
	request, answer, err := c.cfg.Binder.Bind(c.origin)
	c.answer = answer
	return append(b, request...), err
}

// opening returns the stanzas that go behind what lastFlight returns, where the server
// has nothing to prove.
func (c *client) opening(s *xmpp.Session) ([]byte, error) {
	if c.cfg.Opening == nil || s.State()&xmpp.S2S != 0 {
		return nil, nil
	}
	return c.cfg.Opening()
}

func (c *client) header(s *xmpp.Session) []byte {
	var b bytes.Buffer
	writeHeader(&b, header{ns: namespaceOf(s), lang: c.cfg.Lang, from: c.origin.Bare(), to: s.RemoteAddr()})
	return b.Bytes()
}

func namespaceOf(s *xmpp.Session) string {
	if s.State()&xmpp.S2S != 0 {
		return stanza.NSServer
	}
	return stanza.NSClient
}

// read reads the server's header and features, with mellium's own checks, whose
// own header is dropped: it has been sent.
func (c *client) read(ctx context.Context, in, out *stream.Info, s *xmpp.Session, conn *Conn) error {
	in.To, out.From = c.origin.Bare(), c.origin.Bare()
	defer func() { in.To, out.From = c.origin, c.origin }()
	conn.swallowNext(true)
	_, _, _, err := c.known(ctx, in, out, s, nil)
	if nothingKnown(s, err) {
		return nil
	}
	return err
}

// send sends now, and later as the plan's mode says.
func (c *client) send(ctx context.Context, conn *Conn, now, later []byte) error {
	if _, err := conn.Write(now); err != nil || len(later) == 0 {
		return err
	}
	if err := c.pause(ctx, conn); err != nil {
		return err
	}
	_, err := conn.Write(later)
	return err
}

// pause sends what there is and lets a moment pass, in mode Paced.
func (c *client) pause(ctx context.Context, conn *Conn) error {
	if c.plan.Mode != Paced {
		return nil
	}
	if err := conn.Flush(); err != nil {
		return err
	}
	t := time.NewTimer(c.cfg.Pace)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// await gives the server time for its next answer, but no more than there is.
func (c *client) await(ctx context.Context, conn *Conn) {
	due := time.Now().Add(c.cfg.AnswerTimeout)
	if limit, ok := ctx.Deadline(); ok && limit.Before(due) {
		due = limit
	}
	_ = conn.SetReadDeadline(due) // A closed connection will say so itself.
}

// relax gives the server all the time that there is.
func (c *client) relax(ctx context.Context, conn *Conn) {
	limit, _ := ctx.Deadline()
	_ = conn.SetReadDeadline(limit)
}
