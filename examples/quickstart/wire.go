// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A wire is a client's connection to a server that is as far away as it should
// be. It counts what goes over it.
type wire struct {
	net.Conn        // the client's end
	relay    *relay // nil if the server is as far away as it is

	mu    sync.Mutex
	heard bool // the client has received something since it sent last
	counts
}

// counts is what went over a wire.
type counts struct {
	flights, sent, received int
}

// dialWire connects to a server and adds rtt to every round trip.
// The connection itself comes about without delay.
func dialWire(ctx context.Context, addr string, rtt time.Duration) (*wire, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil || rtt == 0 {
		return &wire{Conn: conn}, err
	}
	near, far, err := tcpPair(ctx)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &wire{Conn: near, relay: newRelay(far, conn.(*net.TCPConn), rtt/2)}, nil
}

// Read reads, and notes that the server was heard.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.received += n
	w.heard = w.heard || n > 0
	return n, err
}

// Write writes. It begins a new flight if the server was heard since the last
// write: what the client knew nothing of cannot be what it waited for.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	if w.flights == 0 || w.heard {
		w.flights++
	}
	w.heard = false
	w.sent += len(p)
	w.mu.Unlock()
	return w.Conn.Write(p)
}

// counted returns what has gone over the wire until now.
func (w *wire) counted() counts {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts
}

// hurry ends the delay for whatever is sent from now on.
func (w *wire) hurry() {
	if w.relay != nil {
		w.relay.oneWay.Store(0)
	}
}

// hangUp ends the connection at once, and all that belongs to it.
func (w *wire) hangUp() {
	_ = w.Conn.Close()
	if w.relay != nil {
		w.relay.stop()
	}
}

// tcpPair returns both ends of a TCP connection on loopback.
func tcpPair(ctx context.Context) (near, far *net.TCPConn, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	near = conn.(*net.TCPConn)
	for {
		if conn, err = l.Accept(); err != nil {
			return nil, nil, errors.Join(err, near.Close())
		}
		if conn.RemoteAddr().String() == near.LocalAddr().String() {
			return near, conn.(*net.TCPConn), nil
		}
		_ = conn.Close() // Somebody else was faster.
	}
}

// A relay joins two connections, and has every byte and every end of a stream
// arrive at the other side a moment later. However much is sent, the moment is
// the same, and the order is kept.
type relay struct {
	oneWay  atomic.Int64 // a time.Duration
	a, b    *net.TCPConn
	stopped chan struct{}
	once    sync.Once
	done    sync.WaitGroup
}

// A parcel is under way until it is due. Without data it is the end of a stream.
type parcel struct {
	data []byte
	due  time.Time
}

// underWay is how many parcels may be under way in each direction. It is more
// than any login sends.
const underWay = 1 << 10

func newRelay(a, b *net.TCPConn, oneWay time.Duration) *relay {
	r := &relay{a: a, b: b, stopped: make(chan struct{})}
	r.oneWay.Store(int64(oneWay))
	r.carry(a, b)
	r.carry(b, a)
	return r
}

// carry carries everything from one connection to the other.
func (r *relay) carry(from, to *net.TCPConn) {
	parcels := make(chan parcel, underWay)
	send := func(data []byte) bool {
		due := time.Now().Add(time.Duration(r.oneWay.Load()))
		select {
		case parcels <- parcel{data, due}:
			return true
		case <-r.stopped:
			return false
		}
	}
	r.done.Go(func() {
		defer close(parcels)
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			if n > 0 && !send(bytes.Clone(buf[:n])) {
				return
			}
			if err != nil {
				send(nil)
				return
			}
		}
	})
	r.done.Go(func() {
		for p := range parcels {
			select {
			case <-time.After(time.Until(p.due)):
			case <-r.stopped:
				return
			}
			if p.data == nil {
				_ = to.CloseWrite() // If it is closed already, so much the better.
				return
			}
			if _, err := to.Write(p.data); err != nil {
				r.hangUp() // There is nobody to carry anything to.
				return
			}
		}
	})
}

func (r *relay) hangUp() {
	r.once.Do(func() {
		close(r.stopped)
		_ = r.a.Close()
		_ = r.b.Close()
	})
}

// stop ends the relay at once, and waits until it has ended.
func (r *relay) stop() {
	r.hangUp()
	r.done.Wait()
}
