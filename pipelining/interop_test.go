// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/internal/interop"
	"github.com/xmppext/xmppext/pipelining"
)

// flightConn counts the flights of its own side: writes that follow a read.
type flightConn struct {
	net.Conn
	mu      sync.Mutex
	writing bool
	flights int
}

func (c *flightConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	if !c.writing {
		c.flights++
	}
	c.writing = true
	c.mu.Unlock()
	return c.Conn.Write(p)
}

func (c *flightConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	c.writing = false
	c.mu.Unlock()
	return n, err
}

const interopUser = "juliet"

var interopConfig = interop.Config{Users: map[string]string{interopUser: password}}

func TestProsody(t *testing.T) {
	server := interop.Prosody(t, interopConfig)
	t.Logf("Prosody %s", server.Version)
	testLogins(t, server)
}

func TestEjabberd(t *testing.T) {
	server := interop.Ejabberd(t, interopConfig)
	t.Logf("ejabberd %s", server.Version)
	testLogins(t, server)
}

// testLogins logs in to a real server, which does not announce pipelining.
func testLogins(t *testing.T, server *interop.Server) {
	account, err := jid.New(interopUser, server.Domain, "balcony")
	require.NoError(t, err)

	for _, direct := range []bool{false, true} {
		for _, mechanism := range []sasl.Mechanism{sasl.Plain, sasl.ScramSha1, sasl.ScramSha256, sasl.ScramSha256Plus} {
			for _, mode := range []pipelining.Mode{pipelining.Off, pipelining.Paced, pipelining.Full} {
				name := "STARTTLS "
				if direct {
					name = "direct TLS "
				}
				t.Run(name+mechanism.Name+" "+mode.String(), func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
					defer cancel()
					config := &tls.Config{RootCAs: server.Roots, ServerName: server.Domain}
					addr := server.STARTTLS
					if direct {
						addr = server.DirectTLS
					}
					conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
					require.NoError(t, err)
					flights := &flightConn{Conn: conn}
					defer conn.Close()
					var rw io.ReadWriter = flights
					if direct {
						rw = tls.Client(pipelining.NewConn(flights), config)
					}
					start := time.Now()
					s, err := xmpp.NewSession(ctx, account.Domain(), account, rw, 0, pipelining.Client(
						pipelining.Plan{Mode: mode, Mechanism: mechanism.Name},
						pipelining.ClientConfig{
							TLS: config, Password: password, Mechanisms: []sasl.Mechanism{mechanism},
							// A machine that is busy with other tests may be slow to read.
							AnswerTimeout: 5 * time.Second, Pace: 100 * time.Millisecond,
						}))
					took := time.Since(start)
					if mode == pipelining.Full && errors.Is(err, pipelining.ErrMispredicted) {
						t.Logf("%v: lost what was sent ahead: %v", took, err)
						return
					}
					require.NoError(t, err)
					t.Logf("%d flights, %v", flights.flights, took)
					assert.Equal(t, account, s.LocalAddr())
					pingServer(ctx, t, s)
				})
			}
		}
	}
}

// pingServer shows that a session is alive in both directions.
func pingServer(ctx context.Context, t *testing.T, s *xmpp.Session) {
	t.Helper()
	served := make(chan error, 1)
	go func() { served <- s.Serve(nil) }()
	err := s.UnmarshalIQ(ctx, stanza.IQ{Type: stanza.GetIQ, To: s.LocalAddr().Domain()}.Wrap(element("urn:xmpp:ping", "ping")), nil)
	assert.NoError(t, err)
	assert.NoError(t, s.Close())
	assert.NoError(t, <-served)
}
