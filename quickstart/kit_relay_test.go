// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"cmp"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/internal/xmpptest"
)

// A relay is where clients of any kind find a server on loopback that is a round trip
// away. It takes in their connections and sees what goes over them: it needs nothing of
// a client but an address.
//
// Every byte arrives oneWay later. The system makes a client's connection at once, so
// what the client sends before it is sent anything takes a round trip longer: elsewhere
// it would have waited for the connection.
type relay struct {
	t       *testing.T
	l       net.Listener
	server  string
	running sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	crossings []*crossing
}

// A crossing is one connection.
type crossing struct {
	link *xmpptest.Link
	ends [2]*net.TCPConn // to the client and to the server
	told atomic.Bool     // the client was sent something
}

// newRelay begins to take in connections to a server. It ends with the test.
func newRelay(t *testing.T, server string) *relay {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &relay{t: t, l: l, server: server}
	r.running.Go(r.accept)
	t.Cleanup(func() {
		_ = l.Close()
		r.mu.Lock()
		r.closed = true
		for _, c := range r.crossings {
			c.close()
		}
		r.mu.Unlock()
		r.running.Wait()
	})
	return r
}

func (r *relay) address() string { return r.l.Addr().String() }

func (r *relay) accept() {
	for {
		client, err := r.l.Accept()
		if err != nil {
			return
		}
		link := xmpptest.NewLink(xmpptest.LinkConfig{AtoB: oneWay, BtoA: oneWay})
		server, err := new(net.Dialer).DialContext(r.t.Context(), "tcp", r.server)
		if err != nil {
			_ = client.Close() // The login fails, and so does the test.
			continue
		}
		c := &crossing{link: link, ends: [2]*net.TCPConn{client.(*net.TCPConn), server.(*net.TCPConn)}}
		r.mu.Lock()
		r.crossings = append(r.crossings, c)
		if r.closed {
			c.close()
		}
		r.mu.Unlock()
		r.running.Go(c.connect)
		r.running.Go(func() { c.carry(c.ends[1], link.B) })
		r.running.Go(func() { c.carry(link.B, c.ends[1]) })
		r.running.Go(func() { c.carry(teller{c}, link.A) })
	}
}

// last returns the connection that was made last.
func (r *relay) last() *crossing {
	r.mu.Lock()
	defer r.mu.Unlock()
	require.NotEmpty(r.t, r.crossings, "no connection was made")
	return r.crossings[len(r.crossings)-1]
}

// made returns how many connections were made.
func (r *relay) made() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.crossings)
}

// carry carries what is sent in one direction, and its end.
func (c *crossing) carry(to io.Writer, from io.Reader) {
	_, err := io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
		_ = half.CloseWrite()
		return
	}
	c.close()
}

// connect carries what the client sends, the first of it as late as the connection
// would have been there.
func (c *crossing) connect() {
	type parcel struct {
		data []byte
		at   time.Time // when it sets off
	}
	parcels := make(chan parcel, 1<<8) // more than a login has
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(parcels)
		for {
			p := parcel{data: make([]byte, 1<<14)}
			n, err := c.ends[0].Read(p.data)
			if p.at = time.Now(); !c.told.Load() {
				p.at = p.at.Add(roundTrip)
			}
			p.data = p.data[:n]
			parcels <- p
			if err != nil {
				return
			}
		}
	})
	for p := range parcels {
		<-time.After(time.Until(p.at))
		_, _ = c.link.A.Write(p.data) // After the end it fails, and nothing waits for it.
	}
	reading.Wait()
	_ = c.link.CloseWrite(xmpptest.Client)
}

// A teller passes on what the client is sent, and notes that.
type teller struct{ *crossing }

func (t teller) Write(p []byte) (int, error) {
	t.told.Store(true)
	return t.ends[0].Write(p)
}

func (t teller) CloseWrite() error { return t.ends[0].CloseWrite() }

func (c *crossing) close() {
	_ = c.link.Close()
	_ = c.ends[0].Close()
	_ = c.ends[1].Close()
}

// A tally is what has gone over a connection in a login.
type tally struct {
	flights        int // those of the client: it began to send after it was sent something
	sent, received int // bytes
	took           time.Duration
}

// tally returns what the client was sent until now, and what it sent before the last of
// that was there. What it has sent since then, no login was waiting for.
func (c *crossing) tally() tally {
	now := c.link.Elapsed()
	type event struct {
		xmpptest.Event
		at time.Duration // at the client
	}
	var events []event
	for _, e := range c.link.Log() {
		at := e.At
		if e.From == xmpptest.Server {
			at += oneWay
		}
		if at <= now {
			events = append(events, event{e, at})
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	var is, then tally
	told := true
	for _, e := range events {
		if told = told || e.From == xmpptest.Server; e.From == xmpptest.Server {
			then.received += len(e.Data)
			then.took = e.at
			is = then
			continue
		}
		then.sent += len(e.Data)
		if told {
			then.flights++
		}
		told = false
	}
	return is
}

// TestRelay asserts that a relay measures what was agreed on, with a server that
// answers each byte with two.
func TestRelay(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var server sync.WaitGroup
	server.Go(func() {
		c, err := l.Accept()
		if !assert.NoError(t, err) {
			return
		}
		defer c.Close()
		b := make([]byte, 1)
		for {
			if _, err := io.ReadFull(c, b); errors.Is(err, io.EOF) {
				_, _ = io.WriteString(c, "bye")
				return
			}
			_, _ = c.Write(append(b, b...))
		}
	})
	r := newRelay(t, l.Addr().String())
	begin := time.Now()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", r.address())
	require.NoError(t, err)
	defer c.Close()
	answer := make([]byte, 2)
	for i := range 3 {
		_, err = c.Write([]byte{'a' + byte(i)})
		require.NoError(t, err)
		_, err = io.ReadFull(c, answer)
		require.NoError(t, err)
		is := r.last().tally()
		assert.Equal(t, tally{i + 1, i + 1, 2 * (i + 1), is.took}, is)
		trips := time.Duration(i + 2) // One is for the connection.
		assert.GreaterOrEqual(t, is.took, trips*roundTrip)
		assert.LessOrEqual(t, is.took, time.Since(begin))
	}
	require.NoError(t, c.(*net.TCPConn).CloseWrite())
	rest, err := io.ReadAll(c)
	require.NoError(t, err)
	assert.Equal(t, "bye", string(rest), "half a connection may end")
	assert.Equal(t, 1, r.made())
	require.NoError(t, l.Close())
	server.Wait()
}
