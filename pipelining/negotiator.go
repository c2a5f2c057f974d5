// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"
)

// Negotiator wraps inner so that its stream may be pipelined.
//
// It serves both ends of a stream, between client and server and between
// servers; the peer need not know of it.
// The inner negotiator, commonly [xmpp.NewNegotiator], is not changed in what it
// negotiates, and its connection is a [Conn].
//
// Beyond that, compared with a bare stock negotiator:
//
//   - The end of ctx, and Config.Timeout, end the negotiation at once; the error
//     wraps the context's.
//   - What the peer may cost before it has authenticated is limited by Config.
//   - A server's remote address is the account that has authenticated (see
//     [Conn.Authenticated] and [SASLServer]); a stream header that claims
//     another one is refused.
//   - A server that ends a negotiation says why by a stream error, and closes the
//     connection.
//   - White space between elements, both spellings of the starttls element, and a
//     stream error in place of a stream header are understood.
//   - A server's session with another server is ready when its features are
//     sent: a stock negotiator would wait for a feature that never comes.
//
// One Negotiator may negotiate any number of sessions if inner may.
// What [xmpp.NewNegotiator] returns may not: it is good for one session at a
// time (mellium v0.23.0). See [NewNegotiator].
//
// The session must be created over a [net.Conn] whose deadlines work, and not over
// WebSocket.
// Deadlines that the caller has set before are lost.
// The context that inner and its features get ends with the negotiation.
func Negotiator(inner xmpp.Negotiator, cfg Config) xmpp.Negotiator {
	return negotiator(func() xmpp.Negotiator { return inner }, cfg)
}

// NewNegotiator is [Negotiator] around mellium's [xmpp.NewNegotiator], which it
// makes anew for each session. So unlike that, it may negotiate any number of
// sessions at once.
//
// Config is called as there: with a nil session first, and then for each stream.
// It must not be nil, and is called concurrently if sessions are negotiated so.
func NewNegotiator(config func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig, cfg Config) xmpp.Negotiator {
	if config == nil {
		panic("pipelining: NewNegotiator needs a function")
	}
	return negotiator(func() xmpp.Negotiator { return xmpp.NewNegotiator(config) }, cfg)
}

func negotiator(inner func() xmpp.Negotiator, cfg Config) xmpp.Negotiator {
	return func(ctx context.Context, in, out *stream.Info, s *xmpp.Session, data any) (xmpp.SessionState, io.ReadWriter, any, error) {
		n, ok := data.(*negotiation)
		if !ok {
			n = begin(ctx, inner(), cfg, s)
			if s.Conn() == net.Conn(n.top) {
				return n.secured(), nil, n, nil // The session reads from it already.
			}
			return n.secured(), n.top, n, nil
		}
		mask, rw, err := n.step(in, out, s)
		return mask, rw, n, err
	}
}

// A negotiation is what a Negotiator knows of one session.
type negotiation struct {
	cfg   Config
	inner xmpp.Negotiator
	cache any // the inner negotiator's

	watch watch
	top   *Conn // where XML is read and written
	lower []*Conn

	in, out  *stream.Info
	server   bool
	s2s      bool
	preset   bool // the caller of ReceiveSession vouches for the peer
	stepped  bool // inner has been called
	authn    bool
	pinned   bool // the account is known
	account  jid.JID
	claimed  jid.JID // how the account calls itself in its stream headers
	spelled  string  // claimed
	origin   jid.JID // a client's address before anything was bound
	restarts int

	behind  func()  // what to do behind the next header, in place of pin
	header  []byte  // the last header, while it may be needed again
	assumed *rawTag // the header that was answered before it came
	idle    *idle   // a server-to-server stream that is about to be ready
	follows bool    // features follow on what made a client's session ready
	tail    bool    // and are about to be read
}

func begin(ctx context.Context, inner xmpp.Negotiator, cfg Config, s *xmpp.Session) *negotiation {
	conn := s.Conn()
	top, ok := conn.(*Conn)
	if !ok {
		top = NewConn(conn)
	}
	n := &negotiation{
		cfg:    cfg,
		inner:  inner,
		server: s.State()&xmpp.Received != 0,
		s2s:    s.State()&xmpp.S2S != 0,
		preset: s.State()&xmpp.Authn != 0,
		authn:  s.State()&xmpp.Authn != 0,
		origin: s.LocalAddr(),
	}
	n.watch.start(ctx, cmp.Or(cfg.Timeout, DefaultTimeout), top)
	top.tee = newTee(cfg.TeeIn, cfg.TeeOut)
	n.ascend(top)
	if limit := cmp.Or(cfg.MaxBytes, DefaultMaxBytes); limit > 0 && !n.authn {
		top.in.budget = limit
	}
	n.restart()
	top.in.stopIdle = n.authn && n.server && n.s2s
	return n
}

// secured tells mellium of a TLS connection that it does not see, below a Conn.
func (n *negotiation) secured() xmpp.SessionState {
	if _, ok := n.top.conn.(*tls.Conn); ok {
		return xmpp.Secure
	}
	return 0
}

// ascend makes top the connection that XML goes over.
func (n *negotiation) ascend(top *Conn) {
	if n.top != nil && n.top != top {
		top.tee, n.top.tee = n.top.tee, nil
		top.in.budget = n.top.in.budget
		n.top.in.straight()
		n.top.in.owner = nil
		n.lower = append(n.lower, n.top)
	}
	n.top = top
	top.in.owner = n
}

// restart expects a new stream.
func (n *negotiation) restart() {
	n.top.in.restart()
	n.top.beginAnew(true)
}

// beginAnew notes, if yes, that what is written next is a stream of its own.
func (c *Conn) beginAnew(yes bool) {
	c.wmu.Lock()
	if yes {
		c.writes = 0
	}
	c.wmu.Unlock()
}

// step lets the inner negotiator go on, on one stream.
func (n *negotiation) step(in, out *stream.Info, s *xmpp.Session) (xmpp.SessionState, io.ReadWriter, error) {
	n.in, n.out = in, out
	returned := false
	defer func() {
		if !returned {
			_ = n.watch.stop() // A panic that may be recovered from.
		}
	}()
	mask, rw, err := n.advance(in, out, s)
	returned = true
	return mask, rw, err
}

// advance is step, less what is for all ways out of it.
func (n *negotiation) advance(in, out *stream.Info, s *xmpp.Session) (xmpp.SessionState, io.ReadWriter, error) {
	if n.idle != nil {
		return n.resume(s)
	}
	if n.tail {
		return n.readTail(in, out, s)
	}
	claimed := *in
	if n.server && n.s2s && !n.top.in.scan.begun && n.top.in.r == n.top.in.vetted {
		// The stock negotiator wants to know before the header whom it is from.
		if err := n.top.more(); err != nil {
			return 0, nil, n.fail(err, claimed)
		}
	}
	mask, rw, cache, err := n.inner(n.watch.ctx, in, out, s, n.cache)
	n.cache = cache
	first := !n.stepped
	n.stepped = true

	switch {
	case errors.Is(err, errIdle):
		return n.suspend()
	case err != nil:
		return mask, nil, n.fail(err, claimed)
	}
	if n.authn = n.authn || (mask|s.State())&xmpp.Authn != 0; n.authn {
		n.top.in.budget = unlimited
	}
	if rw != nil && !n.authn {
		// A stock negotiator takes a list of optional features for the end, and is
		// ready as soon as STARTTLS has begun if that is not required.
		mask &^= xmpp.Ready
	}
	if err := n.known(); err != nil {
		n.top.beginAnew(rw != nil)
		return mask, nil, n.fail(err, claimed)
	}
	if n.follows {
		rw = n.beforeTail()
	}
	ready := mask&xmpp.Ready != 0
	if rw != nil {
		if rw, err = n.renew(rw, first); err != nil {
			n.top.beginAnew(true)
			return mask, nil, n.fail(err, claimed)
		}
	}
	if ready {
		if err = n.finish(s); err != nil {
			return mask, nil, n.fail(err, claimed)
		}
	}
	return mask, rw, nil
}

// known reports ErrNoAccount where it is time.
func (n *negotiation) known() error {
	if n.server && n.authn && !n.preset && !n.cfg.TrustFrom && !n.pinned {
		return ErrNoAccount
	}
	return nil
}

// renew prepares for the stream that begins on rw.
func (n *negotiation) renew(rw io.ReadWriter, first bool) (io.ReadWriter, error) {
	if n.restarts++; n.cfg.MaxRestarts >= 0 && n.restarts > cmp.Or(n.cfg.MaxRestarts, DefaultMaxRestarts) {
		return nil, fmt.Errorf("pipelining: too many stream restarts: %w", stream.PolicyViolation)
	}
	if first && rw != io.ReadWriter(n.top) && !n.top.used() {
		return nil, ErrTee
	}
	// A feature may leave the end tag of the element that chose it unread, as
	// mellium's StartTLS does with <starttls></starttls>.
	if err := n.top.endElement(); err != nil {
		return nil, err
	}
	ahead := len(n.top.in.buf) > n.top.in.r
	risen := rw != io.ReadWriter(n.top)
	if _, ok := rw.(*tls.Conn); ok && risen && n.server && n.cfg.AllowSpace {
		n.top.prelude = n.top.skipSpace
	}
	if rw != io.ReadWriter(n.top) {
		n.ascend(asConn(rw, n.top))
	}
	n.restart()
	if n.pinned {
		// The header must be answered to the very address that it is from.
		n.in.From, n.out.To = n.claimed, n.claimed
	}
	n.top.in.stopIdle = n.authn && n.server && n.s2s
	if t, ok := n.top.conn.(*tls.Conn); ok && risen && n.cfg.Proactive && n.server && ahead && n.header != nil {
		if err := n.answerAhead(t); err != nil {
			return nil, err
		}
	}
	return n.top, nil
}

// written returns how often the stream was written to.
func (c *Conn) written() int {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.writes
}

// used reports whether anything was read or written since the stream began.
func (c *Conn) used() bool {
	return c.written() > 0 || c.in.scan.begun
}

// endElement reads to the end of the child of the root that is being read.
func (c *Conn) endElement() error {
	for c.in.r < c.in.vetted || !c.in.scan.outside() {
		if _, err := c.ReadByte(); err != nil {
			return err
		}
	}
	return nil
}

// finish makes the connection what the session will use.
func (n *negotiation) finish(s *xmpp.Session) error {
	if n.trapped(s) {
		return ErrNotBound
	}
	n.top.in.straight()
	n.top.in.owner = nil
	err := n.top.Through()
	// A layer need not say what is below it.
	for _, c := range slices.Backward(n.lower) {
		err = errors.Join(err, c.Through())
	}
	if ended := n.watch.stop(); ended != nil {
		return ended
	}
	return err
}

// trapped reports whether a stock negotiator took a list in which it knows only
// pipelining for the end of a client's negotiation.
func (n *negotiation) trapped(s *xmpp.Session) bool {
	if n.server || n.s2s || !n.authn || n.preset || n.tail || !Advertised(s) {
		return false
	}
	if _, ok := n.cache.(*client); ok {
		return false // It looks for itself, and has written before the stream began.
	}
	// Whoever binds, by whatever feature, writes more than a header.
	_, offered := s.Feature(nsBind)
	return !offered && s.LocalAddr().Equal(n.origin) && n.top.written() <= 1
}
