// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining

import (
	"cmp"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"mellium.im/xmpp/jid"
)

const (
	// readSize is what a Conn asks the connection below for at once: a little less
	// than the bufio.Reader that encoding/xml would otherwise put in its place, so
	// that an idle session takes no more memory than it would without a Conn.
	readSize = 3456

	// holdSize bounds what is held back while negotiating.
	// It is far above any honest flight; beyond it, holding on gains nothing.
	holdSize = 64 << 10

	// heldSize is what a flight commonly takes.
	heldSize = 1536

	// closeTimeout bounds the last words of a Close to a peer that does not read.
	closeTimeout = 5 * time.Second
)

// Conn is a connection on which a stream can be restarted without losing what
// the peer has sent ahead, and on which everything that is written in answer to
// one flight leaves in one write.
//
// It has a ReadByte method.
// The decoder that mellium makes anew at every restart then takes from the Conn
// exactly the bytes that it parses and leaves the rest to its successor, be it
// another decoder or a TLS handshake.
//
// A new Conn holds its writes back until a read finds nothing to read, or Flush
// is called, or 64 KiB have gathered.
// After Through, writes go straight through; no other policy is safe once
// handlers may wait for each other.
// [Negotiator] and [Client] call Through when the session is ready.
//
// A Conn may stand above a [tls.Conn] and below it at once: above, it keeps XML
// byte-exact; below, it joins the records of a flight.
// What stands between two of them must have a NetConn method, as a tls.Conn has,
// or the lower one is not found when it has to let go of what it holds.
//
// After a write that was held has failed, all writes fail.
//
// All methods of net.Conn may be called concurrently.
// ReadByte must not be called at the same time as itself or Read, as with a
// bufio.Reader.
type Conn struct {
	conn net.Conn

	rmu sync.Mutex // Read against Read; ReadByte has no lock to pay for
	in  input

	through atomic.Bool
	wmu     sync.Mutex
	held    []byte
	failed  error // what was held was not written, or not all of it
	writes  int   // since the stream (re)started, while negotiating
	muted   bool  // what is written is not XML: it is not for the tee
	swallow bool  // the next write is dropped: its like was sent ahead

	limit atomic.Pointer[time.Time] // of the negotiation, for all deadlines

	tee     *tee
	prelude func() error // what to do before the first Read
}

// NewConn returns a Conn on top of c, which it takes over.
func NewConn(c net.Conn) *Conn {
	return &Conn{conn: c, in: input{budget: unlimited}}
}

// NetConn returns the connection below, for reading its address or TLS state.
// Reading from it or writing to it loses data.
func (c *Conn) NetConn() net.Conn { return c.conn }

// ConnectionState returns the state of the TLS connection below, or the zero
// value if there is none.
func (c *Conn) ConnectionState() tls.ConnectionState {
	if t, ok := c.conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
		return t.ConnectionState()
	}
	return tls.ConnectionState{}
}

// below returns the next Conn under c, if there is one that can be found.
func (c *Conn) below() *Conn {
	conn := c.conn
	for {
		switch l := conn.(type) {
		case interface{ self() *Conn }:
			return l.self()
		case interface{ NetConn() net.Conn }:
			conn = l.NetConn()
		default:
			return nil
		}
	}
}

// self also finds a Conn that is embedded in something.
func (c *Conn) self() *Conn { return c }

// Authenticated tells the negotiation that runs on c who has authenticated.
//
// A SASL feature on a server calls it before it reports success, with the bare
// JID of the account, or of the peer's domain between servers.
// From then on that is the session's remote address, whatever the stream header
// claims, and a header that claims otherwise ends the stream with invalid-from.
//
// It fails if no [Negotiator] runs on c, and if another account has
// authenticated before.
// Features that know nothing of this package find it by an interface:
//
//	if a, ok := session.Conn().(interface{ Authenticated(jid.JID) error }); ok {
//		err = a.Authenticated(account)
//	}
func (c *Conn) Authenticated(account jid.JID) error {
	if n := c.in.owner; n != nil && n.server {
		return n.authenticated(account)
	}
	return errors.New("pipelining: no server negotiation runs on this connection")
}

// Read reads what was sent and not yet read, flushing first if it must wait.
func (c *Conn) Read(p []byte) (int, error) {
	c.rmu.Lock()
	defer c.rmu.Unlock()
	if prelude := c.prelude; prelude != nil {
		c.prelude = nil
		if err := prelude(); err != nil {
			return 0, err
		}
	}
	if n := c.in.take(p); n > 0 || len(p) == 0 {
		return n, nil
	}
	if err := c.flush(); err != nil {
		return 0, err
	}
	return c.conn.Read(p)
}

// maxSpace bounds what skipSpace passes over. A line feed is what clients send.
const maxSpace = 16

// skipSpace passes over white space up to the first byte that is none.
func (c *Conn) skipSpace() error {
	for range maxSpace {
		for c.in.r == len(c.in.buf) {
			if err := c.flush(); err != nil {
				return err
			}
			if err := c.in.fill(c.conn); err != nil {
				return err
			}
		}
		if !isSpace(c.in.buf[c.in.r]) {
			break
		}
		c.in.r++
	}
	c.in.vetted, c.in.seen = max(c.in.vetted, c.in.r), max(c.in.seen, c.in.r)
	return nil
}

// ReadByte reads a byte of XML, flushing first if it must wait.
// While the stream is being negotiated, white space between its elements is
// passed over, and what no stream may contain is an error.
func (c *Conn) ReadByte() (byte, error) {
	if c.in.r == c.in.vetted {
		if err := c.more(); err != nil {
			return 0, err
		}
	}
	b := c.in.buf[c.in.r]
	c.in.r++
	return b, nil
}

// more makes at least one byte ready for ReadByte.
func (c *Conn) more() error {
	for {
		switch ready, err := c.in.vet(); {
		case err != nil:
			return err
		case ready:
			if c.tee != nil {
				c.tee.read(c.in.fresh())
			}
			return nil
		}
		if err := c.flush(); err != nil {
			return err
		}
		if err := c.in.fill(c.conn); err != nil {
			return err
		}
	}
}

// Write writes p, or holds it back while negotiating.
func (c *Conn) Write(p []byte) (int, error) {
	if c.through.Load() {
		if c.tee != nil {
			c.tee.write(p)
		}
		return c.conn.Write(p)
	}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.swallow {
		c.swallow = false
		return len(p), nil
	}
	if c.failed != nil {
		return 0, c.failed
	}
	c.writes++
	if c.tee != nil && !c.muted {
		c.tee.write(p)
	}
	if c.through.Load() { // since the lock was waited for
		return c.conn.Write(p)
	}
	if c.held == nil {
		c.held = make([]byte, 0, max(heldSize, len(p)))
	}
	c.held = append(c.held, p...)
	if len(c.held) < holdSize {
		return len(p), nil
	}
	if err := c.release(); err != nil {
		return 0, err
	}
	return len(p), nil
}

// swallowNext drops the next write, if yes.
func (c *Conn) swallowNext(yes bool) {
	c.wmu.Lock()
	c.swallow = yes
	c.wmu.Unlock()
}

// mute keeps what is written from now on from the tee.
func (c *Conn) mute() {
	c.wmu.Lock()
	c.muted = true
	c.wmu.Unlock()
}

// Flush sends what is held back, through all layers that hold.
func (c *Conn) Flush() error {
	if err := c.flush(); err != nil {
		return err
	}
	if b := c.below(); b != nil {
		return b.Flush()
	}
	return nil
}

// flush hands what is held to the connection below, which may hold it in turn.
func (c *Conn) flush() error {
	if c.through.Load() {
		return nil
	}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.release()
}

func (c *Conn) release() error {
	if c.failed != nil || len(c.held) == 0 {
		return c.failed
	}
	_, c.failed = c.conn.Write(c.held)
	c.held = c.held[:0]
	return c.failed
}

// Through flushes and ends the holding back, in all layers.
// It cannot be undone.
func (c *Conn) Through() error {
	c.wmu.Lock()
	err := c.release()
	c.held = nil
	c.through.Store(err == nil) // What has failed must not be followed by anything.
	c.wmu.Unlock()
	if b := c.below(); b != nil {
		err = errors.Join(err, b.Through())
	}
	return err
}

// Close sends what is held back, for at most five seconds, and closes the
// connection. A flush that blocks is ended.
func (c *Conn) Close() error {
	// A write that blocks holds the lock: it must be ended, not waited for, also
	// below TLS, which wants to write on closing.
	if b := c.below(); b != nil && !b.wmu.TryLock() {
		_ = b.conn.Close()
	} else if b != nil {
		b.wmu.Unlock()
	}
	if c.wmu.TryLock() {
		if len(c.held) > 0 && c.speakable() {
			_ = c.conn.SetWriteDeadline(time.Now().Add(closeTimeout))
			_ = c.release() // The peer may have gone: closing is all that is left.
		}
		c.held = nil
		c.failed = cmp.Or(c.failed, net.ErrClosed)
		c.wmu.Unlock()
	}
	return c.conn.Close()
}

// speakable reports whether writing does not begin with a handshake.
func (c *Conn) speakable() bool {
	t, ok := c.conn.(*tls.Conn)
	return !ok || t.ConnectionState().HandshakeComplete
}

// CloseWrite sends what is held back and closes the writing side.
// It fails with [errors.ErrUnsupported] if the connection below cannot.
func (c *Conn) CloseWrite() error {
	if err := c.flush(); err != nil {
		return err
	}
	h, ok := c.conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	// TLS leaves a deadline behind, in the past, that nothing held would survive.
	if b := c.below(); b != nil {
		if err := b.Through(); err != nil {
			return err
		}
	}
	return h.CloseWrite()
}

// LocalAddr returns the local address of the connection below.
func (c *Conn) LocalAddr() net.Addr { return c.conn.LocalAddr() }

// RemoteAddr returns the remote address of the connection below.
func (c *Conn) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

// SetDeadline sets both deadlines of the connection below.
// What is held back meets its deadline when it is flushed.
// During a negotiation no deadline is later than the negotiation's own.
func (c *Conn) SetDeadline(t time.Time) error { return c.conn.SetDeadline(c.within(t)) }

// SetReadDeadline sets the read deadline of the connection below, as SetDeadline.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.conn.SetReadDeadline(c.within(t)) }

// SetWriteDeadline sets the write deadline of the connection below, as SetDeadline.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.conn.SetWriteDeadline(c.within(t)) }

// within returns t, or the limit of the negotiation if that is earlier.
func (c *Conn) within(t time.Time) time.Time {
	if limit := c.limit.Load(); limit != nil && (t.IsZero() || t.After(*limit)) {
		return *limit
	}
	return t
}

// A tee copies the XML of a session, inside TLS, to an XML console.
// It moves up with the topmost Conn.
type tee struct {
	mu      sync.Mutex
	in, out io.Writer
}

func newTee(in, out io.Writer) *tee {
	if in == nil && out == nil {
		return nil
	}
	return &tee{in: in, out: out}
}

func (t *tee) read(p []byte)  { t.copy(&t.in, p) }
func (t *tee) write(p []byte) { t.copy(&t.out, p) }

// copy stops for good at the first error: a console that went away must not
// take the session with it.
func (t *tee) copy(w *io.Writer, p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if *w == nil {
		return
	}
	if _, err := (*w).Write(p); err != nil {
		*w = nil
	}
}
