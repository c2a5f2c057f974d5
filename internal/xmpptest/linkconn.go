// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package xmpptest

import (
	"io"
	"net"
	"os"
	"time"
)

// linkConn is one end of a link; its fields are guarded by the link's mutex.
type linkConn struct {
	link    *Link
	side    Side
	in, out *half

	closed                      bool
	readDeadline, writeDeadline time.Time

	flights int  // see [Link.Flights]
	heard   bool // something was read since the last write
}

// linkAddr is the address of an end.
type linkAddr string

func (linkAddr) Network() string  { return "link" }
func (a linkAddr) String() string { return string(a) }

func (c *linkConn) LocalAddr() net.Addr  { return linkAddr(c.side.String()) }
func (c *linkConn) RemoteAddr() net.Addr { return linkAddr(c.side.Other().String()) }

// opError wraps err as package net does; io.EOF must stay bare.
func (c *linkConn) opError(op string, err error) error {
	if err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "link", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

func (c *linkConn) Read(b []byte) (int, error) {
	n, err := c.read(b)
	if err != nil {
		err = c.opError("read", err)
	}
	return n, err
}

func (c *linkConn) read(b []byte) (int, error) {
	l := c.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cfg.Chunk > 0 && len(b) > l.cfg.Chunk {
		b = b[:l.cfg.Chunk]
	}
	for {
		now := time.Now()
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case passed(c.readDeadline, now):
			return 0, os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		}
		if n := c.in.take(b, now, l.cfg.Segments); n > 0 {
			c.heard = true
			l.cond.Broadcast() // there is room again
			return n, nil
		}
		if len(c.in.segs) == 0 && c.in.end != nil && passed(c.in.endAt, now) {
			return 0, c.in.end
		}
		next := c.readDeadline
		switch {
		case len(c.in.segs) > 0:
			next = earlier(next, c.in.segs[0].at)
		case c.in.end != nil:
			next = earlier(next, c.in.endAt)
		}
		l.wait(next)
	}
}

func (c *linkConn) Write(b []byte) (int, error) {
	n, err := c.write(b)
	if err != nil {
		err = c.opError("write", err)
	}
	return n, err
}

func (c *linkConn) write(b []byte) (n int, err error) {
	l := c.link
	l.mu.Lock()
	defer l.mu.Unlock()

	turn := false
	defer func() {
		if turn {
			c.out.writing = false
			l.cond.Broadcast()
		}
	}()
	event := -1
	for {
		now := time.Now()
		switch {
		case c.closed:
			return n, net.ErrClosed
		case passed(c.writeDeadline, now):
			return n, os.ErrDeadlineExceeded
		case c.out.stop != nil && passed(c.out.stopAt, now):
			return n, c.out.stop
		case n == len(b):
			return n, nil
		}
		if !turn && !c.out.writing {
			turn, c.out.writing = true, true
		}
		if room := c.out.room(len(b)-n, l.cfg.Limit); turn && room > 0 {
			event = c.send(b[n:n+room], now, event)
			n += room
			if n == len(b) {
				return n, nil
			}
			continue
		}
		next := c.writeDeadline
		if c.out.stop != nil {
			next = earlier(next, c.out.stopAt)
		}
		l.wait(next)
	}
}

// send accepts b, of which a copy is made, and logs it as (a further part of)
// the event with the given index.
func (c *linkConn) send(b []byte, now time.Time, event int) int {
	l, h := c.link, c.out
	if event < 0 {
		event = len(l.log)
		l.log = append(l.log, Event{From: c.side, At: now.Sub(l.start)})
		if c.flights == 0 || c.heard {
			c.flights++
		}
		c.heard = false
	}
	l.log[event].Data = append(l.log[event].Data, b...)

	keep := b
	if h.cut >= 0 && h.sent+int64(len(b)) > h.cut {
		keep = b[:max(0, h.cut-h.sent)]
	}
	h.sent += int64(len(b))
	if !h.lost && len(keep) > 0 {
		h.segs = append(h.segs, segment{at: now.Add(h.delay), data: append([]byte(nil), keep...)})
		h.size += len(keep)
	}
	if h.cut >= 0 && h.sent >= h.cut {
		l.cutLocked()
	}
	l.cond.Broadcast()
	return event
}

// CloseWrite is described at [Link.CloseWrite].
func (c *linkConn) CloseWrite() error {
	l := c.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	now := time.Now()
	c.out.finish(io.EOF, now.Add(c.out.delay))
	c.out.refuse(io.ErrClosedPipe, now)
	l.cond.Broadcast()
	return nil
}

// Close closes this end; closing it again does nothing.
func (c *linkConn) Close() error {
	l := c.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	seen := time.Now().Add(c.out.delay)
	c.out.finish(io.EOF, seen)
	c.in.refuse(io.ErrClosedPipe, seen)
	c.in.lost = true
	c.in.segs, c.in.size = nil, 0
	l.cond.Broadcast()
	return nil
}

func (c *linkConn) SetDeadline(t time.Time) error {
	return c.setDeadlines(t, &c.readDeadline, &c.writeDeadline)
}

func (c *linkConn) SetReadDeadline(t time.Time) error {
	return c.setDeadlines(t, &c.readDeadline)
}

func (c *linkConn) SetWriteDeadline(t time.Time) error {
	return c.setDeadlines(t, &c.writeDeadline)
}

func (c *linkConn) setDeadlines(t time.Time, which ...*time.Time) error {
	l := c.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	for _, d := range which {
		*d = t
	}
	l.cond.Broadcast()
	return nil
}
