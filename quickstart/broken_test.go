// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp"
	"mellium.im/xmpp/stream"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/pipelining"
	"github.com/xmppext/xmppext/quickstart"
)

// TestSwallowed logs in at a server that loses what comes in the same segment as what
// restarts the stream, as many do.
func TestSwallowed(t *testing.T) {
	for _, announces := range []bool{false, true} {
		name := "pipelining is not announced"
		if announces {
			name = "pipelining is announced"
		}
		inBoth(t, name, func(t *testing.T, w *world, h *house, d *quickstart.Dialer) {
			h.logins.Profiles, h.noEarly, h.noPipelining = auth.RFC6120, true, !announces
			w.put(homeAddress, func(ctx context.Context, c net.Conn) {
				var rw io.ReadWriter = c
				state := xmpp.SessionState(0)
				if h.direct {
					rw, state = serverTLS(c, h.tls), xmpp.Secure
				}
				if _, err := xmpp.ReceiveSession(ctx, rw, state, xmpp.NewNegotiator(h.features)); err != nil {
					_ = c.Close()
				}
			})
			mustDial(t, d)
			for i := range 4 {
				begin := time.Now()
				r := mustDial(t, d).Report
				if r.Attempts == 2 {
					assert.Zero(t, i, "it has learned")
					assert.LessOrEqual(t, time.Since(begin), pipelining.DefaultAnswerTimeout+20*roundTrip)
				}
				assert.LessOrEqual(t, r.Attempts, 2)
				if i > 0 {
					assert.True(t, r.Held, "in two parts, all of it arrives")
					assert.Contains(t, r.Plan, "paced")
				}
			}
			assertSecret(t, w, h)
		})
	}
}

// A stopper closes a connection after some writes.
type stopper struct {
	net.Conn
	mu   sync.Mutex
	left int
}

func (s *stopper) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == 0 {
		_ = s.Close()
		return 0, net.ErrClosed
	}
	s.left--
	return s.Conn.Write(p)
}

// TestEnd ends connections at each stage of a login.
func TestEnd(t *testing.T) {
	for _, ahead := range []bool{false, true} {
		for _, kind := range []string{"SASL2 with tokens", "SASL2", "RFC 6120"} {
			name := kind + ", first login"
			if ahead {
				name = kind + ", later login"
			}
			inBoth(t, name, func(t *testing.T, w *world, _ *house, d *quickstart.Dialer) {
				direct := d.Security == quickstart.DirectTLS
				ended := 0
				for stage := range 20 {
					h := kinds[kind]()
					h.direct = direct
					w.put(homeAddress, h.serve)
					d.Cache = new(quickstart.MemoryCache)
					if ahead {
						mustDial(t, d)
					}
					before := len(w.connections())
					once := true
					w.put(homeAddress, func(ctx context.Context, c net.Conn) {
						if once {
							once = false
							s := &stopper{Conn: c, left: stage}
							h.serve(ctx, s)
							return
						}
						h.serve(ctx, c)
					})
					s, err := d.Dial(t.Context(), juliet, quickstart.Password(password))
					connections := len(w.connections()) - before
					switch {
					case err != nil:
						assert.ErrorContains(t, err, "EOF", "stage %d", stage)
						assert.Equal(t, 1, strings.Count(err.Error(), "quickstart:"), err.Error())
						assert.False(t, ahead, "stage %d: a login without expectations could do better: %v", stage, err)
						assert.Equal(t, 1, connections)
						ended++
					case connections == 2:
						assert.Equal(t, 2, s.Report.Attempts)
						assert.True(t, ahead, "a login step by step shows all there is")
						assert.True(t, direct || !s.Report.Held)
						ended++
					default:
						assert.Equal(t, 1, connections)
					}
					assertSecret(t, w, h)
				}
				assert.Greater(t, ended, 1, "there are stages")
				assert.Less(t, ended, 15, "and an end of them")
			})
		}
	}
}

// TestSlow logs in at servers that take their time.
func TestSlow(t *testing.T) {
	slowly := func(h *house, delay time.Duration) func(context.Context, net.Conn) {
		return func(ctx context.Context, c net.Conn) {
			h.serve(ctx, &slow{Conn: c, delay: delay})
		}
	}
	inBoth(t, "slower than the client waits for what was sent ahead", func(t *testing.T, w *world, h *house, d *quickstart.Dialer) {
		mustDial(t, d)
		before := len(w.connections())
		w.put(homeAddress, slowly(h, pipelining.DefaultAnswerTimeout+time.Second))
		mustDial(t, d)
		assert.LessOrEqual(t, len(w.connections()), before+2)
		assertSecret(t, w, h)
	})
	inBoth(t, "slow, but not so", func(t *testing.T, w *world, h *house, d *quickstart.Dialer) {
		mustDial(t, d)
		w.put(homeAddress, slowly(h, pipelining.DefaultAnswerTimeout/2))
		r := mustDial(t, d).Report
		assert.Equal(t, 1, r.Attempts)
		assert.True(t, r.Held)
	})
	inBoth(t, "it never says a word", func(t *testing.T, w *world, h *house, d *quickstart.Dialer) {
		for range 2 {
			w.put(homeAddress, func(_ context.Context, c net.Conn) { _, _ = io.Copy(io.Discard, c) })
			d.Timeout = 20 * time.Second
			begin := time.Now()
			_, err := d.Dial(t.Context(), juliet, quickstart.Password(password))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.InDelta(t, d.Timeout, time.Since(begin), float64(roundTrip))
			w.put(homeAddress, h.serve)
			mustDial(t, d)
		}
		assertSecret(t, w, h)
	})
}

// slow is a connection whose writes take time.
type slow struct {
	net.Conn
	delay time.Duration
}

func (s *slow) Write(p []byte) (int, error) {
	time.Sleep(s.delay)
	return s.Conn.Write(p)
}

// TestStripped asserts that nothing is sent without TLS.
func TestStripped(t *testing.T) {
	for _, known := range []bool{false, true} {
		name := "AQ-02: first login"
		if known {
			name = "AQ-02: later login"
		}
		inBubble(t, name, func(t *testing.T) {
			h := newHouse()
			w := newWorld(t, h.serve)
			d := newDialer(w)
			d.Mechanisms = append(auth.DefaultMechanisms(), auth.Plain)
			if known {
				mustDial(t, d)
			}
			before := len(w.connections())
			bare := h.renovated(func(h *house) { h.noStartTLS = true })
			w.put(homeAddress, bare.serve)
			_, err := d.Dial(t.Context(), juliet, quickstart.Password(password))
			require.Error(t, err)
			assert.ErrorIs(t, err, stream.PolicyViolation, "RFC 7590: the client has asked for TLS nevertheless")
			assert.LessOrEqual(t, len(w.connections()), before+2)
			assert.Empty(t, bare.mechanisms())
			assertSecret(t, w, h, bare)
			w.put(homeAddress, h.serve)
			mustDial(t, d)
		})
	}
}
