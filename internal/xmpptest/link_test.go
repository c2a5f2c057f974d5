// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package xmpptest_test

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"

	"github.com/xmppext/xmppext/internal/xmpptest"
)

const (
	ab = 50 * time.Millisecond // from A to B
	ba = 30 * time.Millisecond // and back
)

var delayed = xmpptest.LinkConfig{AtoB: ab, BtoA: ba}

func TestLinkIsANetConn(t *testing.T) {
	for name, cfg := range map[string]xmpptest.LinkConfig{
		"limited":  {Limit: 64 << 10},
		"narrow":   {Limit: 100},
		"chunks":   {Limit: 64 << 10, Chunk: 7},
		"segments": {Limit: 64 << 10, Segments: true},
		"delayed":  {Limit: 64 << 10, AtoB: 100 * time.Microsecond, BtoA: 10 * time.Microsecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				l := xmpptest.NewLink(cfg)
				return l.A, l.B, func() { _ = l.Close() }, nil
			})
		})
	}
}

// read reads once.
func read(t *testing.T, c net.Conn) string {
	t.Helper()
	b := make([]byte, 1024)
	n, err := c.Read(b)
	require.NoError(t, err)
	return string(b[:n])
}

func write(t *testing.T, c net.Conn, s string) {
	t.Helper()
	n, err := io.WriteString(c, s)
	require.NoError(t, err)
	require.Equal(t, len(s), n)
}

// readErr reads once, which must fail.
func readErr(t *testing.T, c net.Conn) error {
	t.Helper()
	n, err := c.Read(make([]byte, 1024))
	require.Zero(t, n)
	require.Error(t, err)
	return err
}

func TestLinkDelayIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := xmpptest.NewLink(delayed)
		write(t, l.A, "one")
		assert.Zero(t, l.Elapsed(), "a write does not wait")
		time.Sleep(time.Millisecond)
		write(t, l.A, "two")
		assert.Equal(t, "one", read(t, l.B))
		assert.Equal(t, ab, l.Elapsed(), "first bytes")
		assert.Equal(t, "two", read(t, l.B))
		assert.Equal(t, ab+time.Millisecond, l.Elapsed(), "second bytes")

		write(t, l.B, "back")
		assert.Equal(t, "back", read(t, l.A))
		assert.Equal(t, ab+time.Millisecond+ba, l.Elapsed(), "other direction")
	})
}

func TestLinkNoEarlierByNanosecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := xmpptest.NewLink(delayed)
		write(t, l.A, "x")
		require.NoError(t, l.B.SetReadDeadline(time.Now().Add(ab-1)))
		assert.ErrorIs(t, readErr(t, l.B), os.ErrDeadlineExceeded)
		assert.Equal(t, ab-1, l.Elapsed())
		require.NoError(t, l.B.SetReadDeadline(time.Time{}))
		assert.Equal(t, "x", read(t, l.B))
		assert.Equal(t, ab, l.Elapsed())
	})
}

func TestLinkReads(t *testing.T) {
	write3 := func(t *testing.T, cfg xmpptest.LinkConfig) net.Conn {
		l := xmpptest.NewLink(cfg)
		t.Cleanup(func() { _ = l.Close() })
		for _, s := range []string{"one", "two", "three"} {
			write(t, l.A, s)
		}
		return l.B
	}
	t.Run("merge writes", func(t *testing.T) {
		assert.Equal(t, "onetwothree", read(t, write3(t, xmpptest.LinkConfig{})))
	})
	t.Run("one write each with Segments", func(t *testing.T) {
		c := write3(t, xmpptest.LinkConfig{Segments: true})
		assert.Equal(t, "one", read(t, c))
		assert.Equal(t, "two", read(t, c))
	})
	t.Run("at most Chunk bytes", func(t *testing.T) {
		c := write3(t, xmpptest.LinkConfig{Chunk: 4})
		assert.Equal(t, "onet", read(t, c))
		assert.Equal(t, "woth", read(t, c))
		assert.Equal(t, "ree", read(t, c))
	})
	t.Run("no bytes into no buffer", func(t *testing.T) {
		n, err := write3(t, xmpptest.LinkConfig{}).Read(nil)
		assert.NoError(t, err)
		assert.Zero(t, n)
	})
}

func TestLinkLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := xmpptest.NewLink(xmpptest.LinkConfig{AtoB: ab, BtoA: ba, Limit: 4})
		require.NoError(t, l.A.SetWriteDeadline(time.Now().Add(time.Second)))
		n, err := io.WriteString(l.A, "abcdef")
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.Equal(t, 4, n, "what fits is written")
		assert.Equal(t, time.Second, l.Elapsed())

		require.NoError(t, l.A.SetWriteDeadline(time.Time{}))
		done := make(chan time.Duration)
		go func() {
			_, _ = io.WriteString(l.A, "ghijk")
			done <- l.Elapsed()
		}()
		time.Sleep(time.Second)
		assert.Equal(t, "abcd", read(t, l.B))
		assert.Equal(t, "ghij", read(t, l.B))
		assert.Equal(t, 2*time.Second+ab, <-done, "the rest goes when there is room again")
		assert.Equal(t, "k", read(t, l.B))

		assert.Equal(t, []string{"abcd", "ghijk"}, texts(l.Writes(xmpptest.A)), "one event per write")
	})
}

func TestLinkBlockedWritesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := xmpptest.NewLink(xmpptest.LinkConfig{Limit: 1})
		for range 3 {
			go func() {
				_, _ = io.WriteString(l.A, "abc")
			}()
		}
		b := make([]byte, 9)
		_, err := io.ReadFull(l.B, b)
		require.NoError(t, err)
		assert.Equal(t, "abcabcabc", string(b))
	})
}

func TestLinkDeadlineWakesBlockedRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := xmpptest.NewLink(delayed)
		go func() {
			time.Sleep(time.Second)
			_ = l.A.SetReadDeadline(time.Unix(1, 0))
		}()
		err := readErr(t, l.A)
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		var nerr net.Error
		require.ErrorAs(t, err, &nerr)
		assert.True(t, nerr.Timeout())
		assert.Equal(t, time.Second, l.Elapsed())
	})
}

func TestLinkCloseWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := xmpptest.NewLink(delayed)
		write(t, l.A, "bye")
		require.NoError(t, l.A.(interface{ CloseWrite() error }).CloseWrite())
		_, err := io.WriteString(l.A, "more")
		assert.ErrorIs(t, err, io.ErrClosedPipe)

		assert.Equal(t, "bye", read(t, l.B))
		assert.Equal(t, io.EOF, readErr(t, l.B), "io.EOF must be bare")
		assert.Equal(t, ab, l.Elapsed())
		write(t, l.B, "bye yourself")
		assert.Equal(t, "bye yourself", read(t, l.A))

		require.NoError(t, l.CloseWrite(xmpptest.B))
		assert.Equal(t, io.EOF, readErr(t, l.A))
		assert.Equal(t, ab+2*ba, l.Elapsed())
	})
}

func TestLinkClose(t *testing.T) {
	t.Run("other end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := xmpptest.NewLink(delayed)
			write(t, l.A, "last words")
			require.NoError(t, l.A.Close())
			write(t, l.B, "not heard, but B cannot know yet")
			assert.Equal(t, "last words", read(t, l.B), "bytes in flight arrive")
			assert.Equal(t, io.EOF, readErr(t, l.B))
			assert.Equal(t, ab, l.Elapsed())
			_, err := io.WriteString(l.B, "x")
			assert.ErrorIs(t, err, io.ErrClosedPipe)
		})
	})
	t.Run("own end", func(t *testing.T) {
		l := xmpptest.NewLink(delayed)
		write(t, l.B, "never read")
		require.NoError(t, l.A.Close())
		assert.ErrorIs(t, readErr(t, l.A), net.ErrClosed)
		_, err := io.WriteString(l.A, "x")
		assert.ErrorIs(t, err, net.ErrClosed)
		assert.ErrorIs(t, l.A.SetDeadline(time.Now()), net.ErrClosed)
		assert.ErrorIs(t, l.CloseWrite(xmpptest.A), net.ErrClosed)
		assert.NoError(t, l.Close(), "closing again")
	})
	t.Run("wakes blocked calls of both ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := xmpptest.NewLink(xmpptest.LinkConfig{AtoB: ab, BtoA: ba, Limit: 1})
			reads, writes := make(chan error), make(chan error)
			go func() {
				_, err := l.A.Read(make([]byte, 1))
				reads <- err
			}()
			go func() {
				_, err := io.WriteString(l.B, "xx")
				writes <- err
			}()
			synctest.Wait()
			require.NoError(t, l.A.Close())
			assert.ErrorIs(t, <-reads, net.ErrClosed)
			assert.NoError(t, <-writes, "a closed end takes bytes until the other end notices")
			assert.Zero(t, l.Elapsed())
		})
	})
}

func TestLinkCutAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := xmpptest.NewLink(delayed)
		l.CutAfter(xmpptest.A, 5)
		write(t, l.A, "abc")
		write(t, l.B, "in flight")
		write(t, l.A, "defg")
		write(t, l.B, "lost")

		assert.Equal(t, "in flight", read(t, l.A))
		assert.ErrorIs(t, readErr(t, l.A), xmpptest.ErrCut)
		_, err := io.WriteString(l.A, "x")
		assert.ErrorIs(t, err, xmpptest.ErrCut)
		assert.Equal(t, ba, l.Elapsed())

		assert.Equal(t, "abcde", read(t, l.B))
		assert.ErrorIs(t, readErr(t, l.B), xmpptest.ErrCut)
		assert.Equal(t, ab, l.Elapsed())
		assert.Equal(t, "abcdefg", string(l.Sent(xmpptest.A)), "the log has what was written")
	})
}

func TestLinkCut(t *testing.T) {
	t.Run("exactly behind a write", func(t *testing.T) {
		l := xmpptest.NewLink(xmpptest.LinkConfig{})
		l.CutAfter(xmpptest.B, 3)
		write(t, l.B, "abc")
		assert.Equal(t, "abc", read(t, l.A))
		assert.ErrorIs(t, readErr(t, l.A), xmpptest.ErrCut)
	})
	t.Run("bytes already written", func(t *testing.T) {
		l := xmpptest.NewLink(xmpptest.LinkConfig{})
		write(t, l.B, "abc")
		l.CutAfter(xmpptest.B, 2)
		assert.Equal(t, "abc", read(t, l.A), "what is in flight arrives")
		assert.ErrorIs(t, readErr(t, l.A), xmpptest.ErrCut)
		assert.ErrorIs(t, readErr(t, l.B), xmpptest.ErrCut)
	})
	t.Run("now", func(t *testing.T) {
		l := xmpptest.NewLink(xmpptest.LinkConfig{})
		l.Cut()
		assert.ErrorIs(t, readErr(t, l.A), xmpptest.ErrCut)
		require.NoError(t, l.A.Close())
		assert.ErrorIs(t, readErr(t, l.A), net.ErrClosed, "a close is known at once")
		assert.ErrorIs(t, readErr(t, l.B), xmpptest.ErrCut)
	})
}

func TestLinkLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := xmpptest.NewLink(delayed)
		buf := []byte("one")
		_, err := l.A.Write(buf)
		require.NoError(t, err)
		copy(buf, "XXX")
		write(t, l.A, "two")
		write(t, l.A, "")
		time.Sleep(time.Second)
		write(t, l.B, "three")

		want := []xmpptest.Event{
			{From: xmpptest.A, Data: []byte("one")},
			{From: xmpptest.A, Data: []byte("two")},
			{From: xmpptest.B, At: time.Second, Data: []byte("three")},
		}
		got := l.Log()
		assert.Equal(t, want, got)
		got[0].Data[0] = 'X'
		assert.Equal(t, want, l.Log(), "the log is a copy")
		assert.Equal(t, []string{"one", "two"}, texts(l.Writes(xmpptest.A)))
		assert.Equal(t, "onetwo", string(l.Sent(xmpptest.Client)))
	})
}

func texts(bs [][]byte) (s []string) {
	for _, b := range bs {
		s = append(s, string(b))
	}
	return s
}

func TestLinkFlights(t *testing.T) {
	l := xmpptest.NewLink(xmpptest.LinkConfig{})
	assert.Zero(t, l.Flights(xmpptest.A))
	write(t, l.A, "1")
	write(t, l.A, "1")
	assert.Equal(t, 1, l.Flights(xmpptest.A))
	write(t, l.B, "x")
	write(t, l.A, "1: B's answer was not read yet")
	assert.Equal(t, 1, l.Flights(xmpptest.A))
	read(t, l.A)
	assert.Equal(t, 1, l.Flights(xmpptest.A), "reading alone starts no flight")
	write(t, l.A, "2")
	assert.Equal(t, 2, l.Flights(xmpptest.A))
	assert.Equal(t, 1, l.Flights(xmpptest.B))
}

func TestLinkRoundTrips(t *testing.T) {
	assert.Equal(t, 1.5, xmpptest.NewLink(delayed).RoundTrips(120*time.Millisecond))
	assert.Zero(t, xmpptest.NewLink(xmpptest.LinkConfig{}).RoundTrips(time.Second), "no delay")
}

func TestLinkBlockedIsDurable(t *testing.T) {
	// Were it not, time in the bubble would stand still.
	synctest.Test(t, func(t *testing.T) {
		l := xmpptest.NewLink(xmpptest.LinkConfig{Limit: 1})
		go func() { _, _ = io.WriteString(l.A, strings.Repeat("x", 10)) }()
		go func() { _, _ = io.WriteString(l.A, strings.Repeat("x", 10)) }()
		go func() { _, _ = l.A.Read(make([]byte, 1)) }()
		time.Sleep(24 * time.Hour)
		require.NoError(t, l.Close())
	})
}

func TestLinkAddrs(t *testing.T) {
	l := xmpptest.NewLink(xmpptest.LinkConfig{})
	assert.Equal(t, "C", l.A.LocalAddr().String())
	assert.Equal(t, "S", l.A.RemoteAddr().String())
	assert.Equal(t, "link", l.B.LocalAddr().Network())
	assert.Equal(t, l.B, l.End(xmpptest.Server))
	require.NoError(t, l.A.Close())
	var op *net.OpError
	require.True(t, errors.As(readErr(t, l.A), &op))
	assert.Equal(t, "read link C->S: use of closed network connection", op.Error())
}
