// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// wired returns both ends of a wire.
func wired(t *testing.T, rtt time.Duration) (*wire, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	w, err := dialWire(t.Context(), l.Addr().String(), rtt)
	require.NoError(t, err)
	t.Cleanup(w.hangUp)
	conn, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	require.NoError(t, w.SetDeadline(time.Now().Add(20*time.Second)))
	return w, conn.(*net.TCPConn)
}

func send(t *testing.T, w io.Writer, s string) {
	t.Helper()
	_, err := io.WriteString(w, s)
	require.NoError(t, err)
}

func expect(t *testing.T, r io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	_, err := io.ReadFull(r, got)
	require.NoError(t, err)
	assert.Equal(t, want, string(got))
}

func TestWireDelay(t *testing.T) {
	noLeaks(t)
	const rtt = 60 * time.Millisecond
	w, server := wired(t, rtt)

	start := time.Now()
	for range 100 {
		send(t, w, "x")
	}
	expect(t, server, strings.Repeat("x", 100))
	assert.GreaterOrEqual(t, time.Since(start), rtt/2)
	send(t, server, "answer")
	expect(t, w, "answer")
	assert.GreaterOrEqual(t, time.Since(start), rtt)
	assert.Less(t, time.Since(start), 100*rtt/2, "no byte waits for another one")

	w.hurry()
	require.NoError(t, w.Close())
	_, err := server.Read(make([]byte, 1))
	assert.ErrorIs(t, err, io.EOF, "the end arrives too")
}

// TestWireHalfClose ends one direction while the other one goes on.
func TestWireHalfClose(t *testing.T) {
	noLeaks(t)
	w, server := wired(t, 10*time.Millisecond)
	send(t, server, "last words")
	require.NoError(t, server.CloseWrite())
	got, err := io.ReadAll(w)
	require.NoError(t, err)
	assert.Equal(t, "last words", string(got))
	send(t, w, "still here")
	expect(t, server, "still here")
}

// TestWireOrder sends more at once than later, when there is no delay any more.
func TestWireOrder(t *testing.T) {
	noLeaks(t)
	w, server := wired(t, 20*time.Millisecond)
	send(t, w, "first ")
	w.hurry()
	send(t, w, "second")
	expect(t, server, "first second")
}

func TestWireCounts(t *testing.T) {
	noLeaks(t)
	for _, rtt := range []time.Duration{0, time.Millisecond} {
		w, server := wired(t, rtt)
		send(t, w, "a")
		send(t, w, "b")
		assert.Equal(t, counts{flights: 1, sent: 2}, w.counted())
		expect(t, server, "ab")
		send(t, server, "cde")
		expect(t, w, "c")
		expect(t, w, "de")
		assert.Equal(t, counts{flights: 1, sent: 2, received: 3}, w.counted())
		send(t, w, "f")
		send(t, w, "g")
		assert.Equal(t, counts{flights: 2, sent: 4, received: 3}, w.counted())
	}
}
