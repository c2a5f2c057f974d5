// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

func TestConnTellsItsAddressesAndTLS(t *testing.T) {
	c, l := newConn(t)
	assert.Equal(t, l.B, c.NetConn())
	assert.Equal(t, l.B.LocalAddr(), c.LocalAddr())
	assert.Equal(t, l.B.RemoteAddr(), c.RemoteAddr())
	assert.Zero(t, c.ConnectionState())

	client, server := newStacks(t, xmpptest.NewLink(xmpptest.LinkConfig{}))
	for _, c := range []*pipelining.Conn{client, server} {
		assert.EqualValues(t, tls.VersionTLS13, c.ConnectionState().Version)
		assert.True(t, c.ConnectionState().HandshakeComplete)
		above := pipelining.NewConn(c)
		assert.True(t, above.ConnectionState().HandshakeComplete, "also one further up")
	}
	assert.NotEmpty(t, client.ConnectionState().VerifiedChains)
}

func TestConnAuthenticatedWithoutNegotiation(t *testing.T) {
	c, _ := newConn(t)
	assert.ErrorContains(t, c.Authenticated(juliet), "no server negotiation")
}

// bubble runs f in a synctest bubble, on the server's end of a link that takes
// four bytes.
func bubble(t *testing.T, f func(t *testing.T, c *pipelining.Conn, l *xmpptest.Link)) {
	synctest.Test(t, func(t *testing.T) {
		l := xmpptest.NewLink(xmpptest.LinkConfig{Limit: 4})
		defer l.Close()
		f(t, pipelining.NewConn(l.B), l)
	})
}

// reads are all ways to read.
var reads = map[string]func(*pipelining.Conn) error{
	"Read": func(c *pipelining.Conn) error {
		_, err := c.Read(make([]byte, 1))
		return err
	},
	"ReadByte": func(c *pipelining.Conn) error {
		_, err := c.ReadByte()
		return err
	},
}

func TestConnReadDeadline(t *testing.T) {
	for name, read := range reads {
		for method, set := range map[string]func(*pipelining.Conn, time.Time) error{
			"SetReadDeadline": (*pipelining.Conn).SetReadDeadline,
			"SetDeadline":     (*pipelining.Conn).SetDeadline,
		} {
			t.Run(name+" "+method, func(t *testing.T) {
				bubble(t, func(t *testing.T, c *pipelining.Conn, l *xmpptest.Link) {
					start := time.Now()
					require.NoError(t, set(c, start.Add(time.Hour)))
					assert.ErrorIs(t, read(c), os.ErrDeadlineExceeded)
					assert.Equal(t, time.Hour, time.Since(start))

					require.NoError(t, set(c, time.Time{}))
					writeTo(t, l.A, "x")
					assert.NoError(t, read(c), "the deadline is gone, and nothing is lost")
				})
			})
		}
	}
}

// flushes are all that flushes and may have to wait for the peer.
var flushes = map[string]func(*pipelining.Conn) error{
	"Flush":      (*pipelining.Conn).Flush,
	"Through":    (*pipelining.Conn).Through,
	"CloseWrite": (*pipelining.Conn).CloseWrite,
	"Read":       reads["Read"],
	"ReadByte":   reads["ReadByte"],
}

func TestConnWriteDeadline(t *testing.T) {
	for name, flush := range flushes {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, c *pipelining.Conn, _ *xmpptest.Link) {
				start := time.Now()
				writeTo(t, c, "too much")
				require.NoError(t, c.SetWriteDeadline(start.Add(time.Hour)))
				assert.ErrorIs(t, flush(c), os.ErrDeadlineExceeded)
				assert.Equal(t, time.Hour, time.Since(start))
			})
		})
	}
}

func TestConnCloseEndsWhatIsBlocked(t *testing.T) {
	for name, blocked := range flushes {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, c *pipelining.Conn, _ *xmpptest.Link) {
				start := time.Now()
				writeTo(t, c, "too much")
				done := make(chan error, 1)
				go func() { done <- blocked(c) }()
				synctest.Wait()
				require.NoError(t, c.Close())
				assert.ErrorIs(t, <-done, net.ErrClosed)
				assert.Zero(t, time.Since(start))
			})
		})
	}
	for name, blocked := range reads {
		t.Run(name+" without flush", func(t *testing.T) {
			bubble(t, func(t *testing.T, c *pipelining.Conn, _ *xmpptest.Link) {
				done := make(chan error, 1)
				go func() { done <- blocked(c) }()
				synctest.Wait()
				require.NoError(t, c.Close())
				assert.ErrorIs(t, <-done, net.ErrClosed)
			})
		})
	}
}

// TestConnCloseAboveTLSEndsWhatIsBlocked blocks in the Conn below TLS. It runs
// outside a bubble, where time stands still while a mutex is waited for.
func TestConnCloseAboveTLSEndsWhatIsBlocked(t *testing.T) {
	l := xmpptest.NewLink(xmpptest.LinkConfig{Limit: 4 << 10})
	_, server := newStacks(t, l)
	shaken := len(sent(l))
	writeTo(t, server, strings.Repeat("x", 8<<10))
	done := make(chan error, 1)
	go func() { done <- server.Flush() }()
	require.Eventually(t, func() bool { return len(sent(l)) > shaken }, time.Minute, time.Millisecond)
	_ = server.Close() // The connection is closed twice: what comes of it does not matter.
	assert.ErrorIs(t, <-done, net.ErrClosed, "no deadline had to pass")
}

func TestConnCloseDoesNotWaitForever(t *testing.T) {
	bubble(t, func(t *testing.T, c *pipelining.Conn, _ *xmpptest.Link) {
		start := time.Now()
		writeTo(t, c, "too much")
		assert.NoError(t, c.Close())
		assert.Equal(t, 5*time.Second, time.Since(start))
	})
	synctest.Test(t, func(t *testing.T) {
		l := xmpptest.NewLink(xmpptest.LinkConfig{Limit: 4 << 10})
		_, server := newStacks(t, l)
		writeTo(t, server, strings.Repeat("x", 8<<10))
		start := time.Now()
		assert.NoError(t, server.Close())
		assert.LessOrEqual(t, time.Since(start), 3*5*time.Second, "the layers' and TLS's own")
	})
}

func TestConnThroughWhileOthersWrite(t *testing.T) {
	const writers, lines = 8, 200
	for name, stacks := range map[string]func(testing.TB) (a, b *pipelining.Conn){
		"plain": func(testing.TB) (a, b *pipelining.Conn) {
			l := xmpptest.NewLink(xmpptest.LinkConfig{})
			a, b = pipelining.NewConn(l.A), pipelining.NewConn(l.B)
			return a, b
		},
		"TLS": func(t testing.TB) (a, b *pipelining.Conn) {
			return newStacks(t, xmpptest.NewLink(xmpptest.LinkConfig{}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := stacks(t)
			var wg sync.WaitGroup
			middle := make(chan struct{}, writers)
			for w := range writers {
				wg.Go(func() {
					for i := range lines {
						if i == lines/2 {
							middle <- struct{}{}
						}
						if _, err := fmt.Fprintf(a, "%d %d\n", w, i); !assert.NoError(t, err) {
							return
						}
					}
				})
			}
			<-middle
			require.NoError(t, a.Through())
			wg.Wait()
			require.NoError(t, a.CloseWrite())

			var next [writers]int
			s := bufio.NewScanner(b)
			for s.Scan() {
				var w, i int
				_, err := fmt.Sscanf(s.Text(), "%d %d", &w, &i)
				require.NoError(t, err, "%q", s.Text())
				require.Equal(t, next[w], i, "writer %d", w)
				next[w]++
			}
			require.NoError(t, s.Err())
			for _, n := range next {
				assert.Equal(t, lines, n)
			}
		})
	}
}

func TestConnNothing(t *testing.T) {
	c, l := newConn(t)
	for range 2 {
		writeTo(t, c, "")
		n, err := c.Read(nil)
		assert.NoError(t, err, "it does not wait")
		assert.Zero(t, n)
		writeTo(t, l.A, "ab")
		b, err := c.ReadByte()
		assert.NoError(t, err)
		assert.Equal(t, byte('a'), b)
		_, err = c.Read(nil)
		assert.NoError(t, err)
		b, err = c.ReadByte()
		assert.NoError(t, err)
		assert.Equal(t, byte('b'), b)
		require.NoError(t, c.Through())
	}
	assert.Empty(t, bytes.Join(l.Writes(xmpptest.Server), nil))

	writeTo(t, pipelining.NewConn(l.B), "")
	require.NoError(t, pipelining.NewConn(l.B).Flush())
}

// A brokenConn fails in one way, and in everything if it is not told how to read.
type brokenConn struct {
	net.Conn
	r   io.Reader
	err error
}

func (c brokenConn) Read(p []byte) (int, error) {
	if c.r != nil {
		return c.r.Read(p)
	}
	return 0, c.err
}
func (c brokenConn) Write([]byte) (int, error)        { return 0, c.err }
func (c brokenConn) Close() error                     { return c.err }
func (c brokenConn) CloseWrite() error                { return c.err }
func (c brokenConn) SetDeadline(time.Time) error      { return c.err }
func (c brokenConn) SetReadDeadline(time.Time) error  { return c.err }
func (c brokenConn) SetWriteDeadline(time.Time) error { return c.err }

func TestConnPassesErrorsOn(t *testing.T) {
	broken := errors.New("broken")
	hold := func(f func(*pipelining.Conn) error) func(*pipelining.Conn) error {
		return func(c *pipelining.Conn) error {
			if _, err := c.Write([]byte("held")); err != nil {
				return fmt.Errorf("too early: %w", err)
			}
			return f(c)
		}
	}
	for name, f := range map[string]func(*pipelining.Conn) error{
		"Read":             reads["Read"],
		"ReadByte":         reads["ReadByte"],
		"Flush":            hold((*pipelining.Conn).Flush),
		"Through":          hold((*pipelining.Conn).Through),
		"Close":            (*pipelining.Conn).Close,
		"CloseWrite":       (*pipelining.Conn).CloseWrite,
		"CloseWrite held":  hold((*pipelining.Conn).CloseWrite),
		"SetDeadline":      func(c *pipelining.Conn) error { return c.SetDeadline(time.Time{}) },
		"SetReadDeadline":  func(c *pipelining.Conn) error { return c.SetReadDeadline(time.Time{}) },
		"SetWriteDeadline": func(c *pipelining.Conn) error { return c.SetWriteDeadline(time.Time{}) },
		"Write": func(c *pipelining.Conn) error {
			_, err := c.Write(make([]byte, holdSize))
			return err
		},
		"Write through": func(c *pipelining.Conn) error {
			if err := c.Through(); err != nil {
				return fmt.Errorf("too early: %w", err)
			}
			_, err := c.Write([]byte("x"))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := f(pipelining.NewConn(brokenConn{err: broken}))
			assert.Equal(t, broken, errors.Join(err).(interface{ Unwrap() []error }).Unwrap()[0])
		})
	}
	for name, read := range reads {
		t.Run("flush of "+name, func(t *testing.T) {
			c := pipelining.NewConn(brokenConn{err: broken, r: strings.NewReader("x")})
			writeTo(t, c, "held")
			assert.ErrorIs(t, read(c), broken)
		})
	}
}

func TestConnReadsWhatComesWithAnError(t *testing.T) {
	broken := errors.New("broken")
	for name, read := range map[string]func(*pipelining.Conn) ([]byte, error){
		"Read": func(c *pipelining.Conn) ([]byte, error) { return io.ReadAll(c) },
		"ReadByte": func(c *pipelining.Conn) (all []byte, err error) {
			for {
				b, err := c.ReadByte()
				if err != nil {
					return all, err
				}
				all = append(all, b)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := pipelining.NewConn(brokenConn{r: iotest.DataErrReader(io.MultiReader(strings.NewReader("data"), iotest.ErrReader(broken)))})
			got, err := read(c)
			assert.Equal(t, "data", string(got))
			assert.Equal(t, broken, err)
		})
	}
}

func TestConnReadByteMakesProgress(t *testing.T) {
	_, err := pipelining.NewConn(brokenConn{}).ReadByte()
	assert.Equal(t, io.ErrNoProgress, err)
}
