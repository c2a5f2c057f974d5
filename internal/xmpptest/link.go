// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package xmpptest

import (
	"errors"
	"net"
	"sync"
	"time"
)

// ErrCut is what both ends of a [Link] get from reads and writes after the link
// was cut.
var ErrCut = errors.New("xmpptest: link was cut")

// Side names one end of a [Link] or one speaker of a [Transcript].
type Side uint8

// The two sides.
// By convention the client sits at end A and the server at end B.
const (
	A Side = iota
	B

	Client = A
	Server = B
)

// Other returns the opposite side.
func (s Side) Other() Side { return s ^ 1 }

// String returns "C" for the client and "S" for the server, as in transcripts.
func (s Side) String() string {
	if s == Client {
		return "C"
	}
	return "S"
}

// LinkConfig configures a [Link].
// The zero value is an immediate link with unlimited buffers.
type LinkConfig struct {
	// AtoB and BtoA are the one-way delays: bytes written at time T can be read
	// at the other end from T+delay on, not before.
	AtoB, BtoA time.Duration

	// Limit is the number of bytes that each direction holds (in flight and not
	// yet read together) before a write waits for the reader.
	// Zero means no limit: a write never waits.
	Limit int

	// Chunk is the most that one read returns; 1 delivers byte by byte.
	// Zero means that a read returns everything that has arrived and fits.
	Chunk int

	// Segments keeps writes apart: a read returns bytes of one write only.
	// Otherwise a read may merge several writes, as over TCP.
	Segments bool
}

// Link is a pair of connected net.Conn in memory.
//
// Unlike the ends of net.Pipe they are buffered, so that a write does not wait
// for a reader, and bytes may take time to arrive.
// Every write is logged, see [Link.Log].
//
// Both ends support deadlines and half close ([Link.CloseWrite]); all methods
// may be called concurrently.
// After Close, the own reads and writes fail with [net.ErrClosed].
// The other end notices one delay later: it reads the bytes that were sent
// before, then io.EOF, and its writes fail with io.ErrClosedPipe.
// There are no resets: unread bytes at a closed end never destroy bytes in
// flight to the other.
//
// A Link has no goroutines and no timers except while a call is blocked.
// Blocked calls are durably blocked in the sense of testing/synctest, where
// delays are exact; the link must be created in the bubble that uses it.
type Link struct {
	// A and B are the two ends.
	A, B net.Conn

	cfg   LinkConfig
	start time.Time

	mu   sync.Mutex
	cond sync.Cond // anything below, in ends or in halves changed
	ends [2]*linkConn
	log  []Event
}

// NewLink returns a new link, both ends open.
func NewLink(cfg LinkConfig) *Link {
	l := &Link{cfg: cfg, start: time.Now()}
	l.cond.L = &l.mu
	ab := &half{delay: cfg.AtoB, cut: -1}
	ba := &half{delay: cfg.BtoA, cut: -1}
	l.ends[A] = &linkConn{link: l, side: A, in: ba, out: ab}
	l.ends[B] = &linkConn{link: l, side: B, in: ab, out: ba}
	l.A, l.B = l.ends[A], l.ends[B]
	return l
}

// End returns the end of the given side.
func (l *Link) End(s Side) net.Conn { return l.ends[s&1] }

// CloseWrite ends the direction that starts at from: the other side reads what
// was sent before, then io.EOF, and may go on writing.
// Later writes by from fail with io.ErrClosedPipe.
//
// The ends themselves have this method too, as *net.TCPConn does.
func (l *Link) CloseWrite(from Side) error { return l.ends[from&1].CloseWrite() }

// Close closes both ends.
func (l *Link) Close() error {
	return errors.Join(l.A.Close(), l.B.Close())
}

// Cut breaks the link in both directions, now.
// Bytes in flight still arrive; after them each end's reads fail with [ErrCut],
// as do its writes once it has noticed, one delay after the cut.
// Until then writes succeed and their bytes are lost.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cutLocked()
}

// CutAfter cuts the link (see [Link.Cut]) as soon as side from has written n
// bytes in all, counted from the creation of the link.
// The write that passes n succeeds, but its bytes behind the n-th are lost.
// If n bytes were written before the call, the link is cut at once.
func (l *Link) CutAfter(from Side, n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.ends[from&1].out
	h.cut = max(n, 0)
	if h.sent >= h.cut {
		l.cutLocked()
	}
}

func (l *Link) cutLocked() {
	now := time.Now()
	for _, c := range l.ends {
		c.out.finish(ErrCut, now.Add(c.out.delay))
		c.out.refuse(ErrCut, now.Add(c.in.delay))
		c.out.lost = true
	}
	l.cond.Broadcast()
}

// wait blocks until something changed or until t; a zero t means no limit.
// The caller holds l.mu.
func (l *Link) wait(t time.Time) {
	if t.IsZero() {
		l.cond.Wait()
		return
	}
	timer := time.AfterFunc(time.Until(t), func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.cond.Broadcast()
	})
	l.cond.Wait()
	timer.Stop()
}
