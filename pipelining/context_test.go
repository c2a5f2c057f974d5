// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"

	"github.com/xmppext/xmppext/pipelining"
)

const (
	// tries is how often each negotiation is ended over TCP: one that ends by
	// chance must not pass.
	tries = 20

	// guard is real time, and generous.
	guard = 30 * time.Second
)

// tcp returns both ends of a connection over the loopback.
func tcp(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	server, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close(); _ = server.Close() })
	return client, server
}

// TestContext ends negotiations that wait for a silent peer, over TCP, where
// mellium alone mostly does not notice.
func TestContext(t *testing.T) {
	type negotiate func(ctx context.Context, c net.Conn) error
	client := func(tr transport, mode pipelining.Mode) negotiate {
		return func(ctx context.Context, c net.Conn) error {
			_, err := dial(ctx, tr, c, balcony, pipelining.Client(pipelining.Plan{Mode: mode}, clientConfig(sasl.Plain)))
			return err
		}
	}
	server := func(tr transport) negotiate {
		return func(ctx context.Context, c net.Conn) error {
			_, err := serve(ctx, tr, c, pipelining.Config{})
			return err
		}
	}
	half := opening + authPlain("juliet", password)[:70]
	for _, test := range []struct {
		name string
		try  negotiate
		say  string // what the peer says before it falls silent
	}{
		{"server, nothing said", server(plainTCP), ""},
		{"server, header said", server(plainTCP), opening},
		{"server, half of auth said", server(plainTCP), half},
		{"server, authenticated", server(plainTCP), opening + authPlain("juliet", password)},
		{"server, starttls said", server(startTLS), opening + startTag},
		{"server, TLS handshake", server(directTLS), ""},
		{"client off, nothing said", client(plainTCP, pipelining.Off), ""},
		{"client off, STARTTLS", client(startTLS, pipelining.Off), answering + offersTLS + proceed},
		{"client off, TLS handshake", client(directTLS, pipelining.Off), ""},
		{"client paced, nothing said", client(plainTCP, pipelining.Paced), ""},
		{"client full, nothing said", client(plainTCP, pipelining.Full), ""},
		{"client full, features said", client(plainTCP, pipelining.Full), answering + offersSASL},
		{"client full, STARTTLS", client(startTLS, pipelining.Full), answering + offersTLS + proceed},
		{"client full, TLS handshake", client(directTLS, pipelining.Full), ""},
	} {
		for _, canceled := range []bool{false, true} {
			name, want := test.name+", deadline", context.DeadlineExceeded
			if canceled {
				name, want = test.name+", canceled", context.Canceled
			}
			t.Run(name, func(t *testing.T) {
				errs := make([]error, tries)
				var wg sync.WaitGroup
				start := time.Now()
				for i := range errs {
					mine, other := tcp(t)
					_, err := io.WriteString(other, test.say)
					require.NoError(t, err)
					go func() {
						_, _ = io.Copy(io.Discard, other)
						_ = other.Close()
					}()
					wg.Go(func() {
						defer mine.Close()
						ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
						if canceled {
							ctx, cancel = context.WithCancel(t.Context())
							time.AfterFunc(5*time.Millisecond, cancel)
						}
						defer cancel()
						errs[i] = test.try(ctx, mine)
					})
				}
				wg.Wait()
				assert.Less(t, time.Since(start), guard)
				for _, err := range errs {
					assert.ErrorIs(t, err, want)
				}
			})
		}
	}
}

// TestContextBefore begins with a context that has ended already.
func TestContextBefore(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, try := range map[string]func(net.Conn) error{
		"server": func(c net.Conn) error {
			_, err := serve(ended, startTLS, c, pipelining.Config{})
			return err
		},
		"client off": func(c net.Conn) error {
			_, err := dial(ended, startTLS, c, balcony, pipelining.Client(pipelining.Plan{}, clientConfig(sasl.Plain)))
			return err
		},
		"client full": func(c net.Conn) error {
			_, err := dial(ended, startTLS, c, balcony, pipelining.Client(pipelining.Plan{Mode: pipelining.Full}, clientConfig(sasl.Plain)))
			return err
		},
		"client paced": func(c net.Conn) error {
			_, err := dial(ended, startTLS, c, balcony, pipelining.Client(pipelining.Plan{Mode: pipelining.Paced}, clientConfig(sasl.Plain)))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			mine, other := tcp(t)
			go func() { _, _ = io.Copy(io.Discard, other); _ = other.Close() }()
			require.ErrorIs(t, try(mine), context.Canceled)
		})
	}
}

// TestContextAfter ends the context of a negotiation that is over.
func TestContextAfter(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			mine, other := tcp(t)
			ctx, cancel := context.WithCancel(t.Context())
			served := make(chan error, 1)
			go func() {
				s, err := serve(ctx, startTLS, other, pipelining.Config{})
				if err == nil {
					cancel()
					err = s.Serve(nil)
				}
				served <- err
			}()
			s, err := dial(t.Context(), startTLS, mine, balcony, pipelining.Client(pipelining.Plan{Mode: mode}, clientConfig(sasl.Plain)))
			require.NoError(t, err)
			<-ctx.Done()
			go func() { _ = s.Serve(nil) }()
			require.NoError(t, s.Close())
			require.NoError(t, <-served)
		})
	}
}

// TestTimeout is Config.Timeout and ClientConfig.Timeout.
func TestTimeout(t *testing.T) {
	type row struct {
		set, want time.Duration
	}
	for name, test := range map[string]row{
		"default": {0, pipelining.DefaultTimeout},
		"set":     {3 * time.Second, 3 * time.Second},
		"none":    {-1, 90 * time.Second}, // the context's
	} {
		t.Run("server "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
				defer cancel()
				v := host{ctx: ctx, cfg: pipelining.Config{Timeout: test.set}}.visit(t, func(p *peer) { p.say(opening) })
				require.ErrorIs(t, v.Err, context.DeadlineExceeded)
				assert.Equal(t, headed+listsSASL+ends("connection-timeout"), v.Heard)
				assert.GreaterOrEqual(t, v.Took, test.want)
				assert.LessOrEqual(t, v.Took, test.want+2*time.Second)
			})
		})
		t.Run("client "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := clientConfig(sasl.Plain)
				cfg.Timeout, cfg.AnswerTimeout = test.set, time.Hour
				c := pipelining.Client(pipelining.Plan{Mode: pipelining.Full}, cfg)
				mine, _ := entertainSilent(t)
				ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
				defer cancel()
				start := time.Now()
				_, err := dial(ctx, plainTCP, mine, balcony, c)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				assert.GreaterOrEqual(t, time.Since(start), test.want)
				assert.LessOrEqual(t, time.Since(start), test.want+time.Second)
			})
		})
	}
	t.Run("canceled server says so", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			why := errors.New("going down")
			v := host{ctx: ctx}.visit(t, func(p *peer) {
				p.say(opening)
				p.until("</stream:features>")
				cancel(why)
			})
			assert.ErrorIs(t, v.Err, why)
			assert.ErrorIs(t, v.Err, context.Canceled)
			assert.Zero(t, v.Session.State()&xmpp.Ready)
			assert.Equal(t, headed+listsSASL+ends("system-shutdown"), v.Heard)
		})
	})
}
