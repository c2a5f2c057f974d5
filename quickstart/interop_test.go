// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/ping"

	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/internal/interop"
	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/quickstart"
)

var residents = map[string]string{juliet.Localpart(): password}

func TestProsody(t *testing.T) {
	s := interop.Prosody(t, interop.Config{
		Users:   residents,
		Modules: []string{"sasl2", "sasl2_bind2", "sasl2_fast", "sasl2_sm", "smacks", "carbons", "csi", "csi_simple", "mam"},
		// It has this switched off, and then gives out tickets that it does not take.
		Settings: "c2s_ssl = { options = { no_ticket = false } }\nc2s_direct_tls_ssl = { options = { no_ticket = false } }\n",
	})
	t.Logf("Prosody %s", s.Version)
	testServer(t, s, true)
}

func TestEjabberd(t *testing.T) {
	s := interop.Ejabberd(t, interop.Config{
		Users:   residents,
		Modules: []string{"auth_fast", "carboncopy", "client_state", "mam", "stream_mgmt"},
	})
	t.Logf("ejabberd %s", s.Version)
	testServer(t, s, false) // It gives out tickets that it does not take.
}

// far dials a server on loopback as if it were a round trip away.
func far(ctx context.Context, network, address string) (net.Conn, error) {
	near, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	select {
	case <-time.After(roundTrip):
	case <-ctx.Done():
		_ = near.Close()
		return nil, ctx.Err()
	}
	l := xmpptest.NewLink(xmpptest.LinkConfig{AtoB: oneWay, BtoA: oneWay})
	carry := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = near.Close()
		_ = l.B.Close()
	}
	go carry(near, l.B) // Both end when either end is closed.
	go carry(l.B, near)
	return l.A, nil
}

// testServer logs in at a server, which may take up sessions of TLS again.
func testServer(t *testing.T, server *interop.Server, resumes bool) {
	var table strings.Builder
	account := jid.MustParse(juliet.Localpart() + "@" + server.Domain)
	trusted := &tls.Config{RootCAs: server.Roots}
	for _, direct := range []bool{true, false} {
		name, address, security := "STARTTLS", server.STARTTLS, quickstart.StartTLS
		if direct {
			name, address, security = "direct TLS", server.DirectTLS, quickstart.DirectTLS
		}
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			row := func(what string, flights int, d time.Duration, how string) {
				fmt.Fprintf(&table, "%-10s  %-18s  %2d flights  %4d ms  %s\n", name, what, flights, d.Milliseconds(), how)
			}
			flights, took := realStock(ctx, t, server, account, direct)
			row("mellium", flights, took, "SCRAM-SHA-256")

			dir := filepath.Join(t.TempDir(), "cache")
			// login logs in as a program does that was just started.
			login := func(what string, tokens bool) quickstart.Report {
				t.Helper()
				cache, err := quickstart.OpenFileCache(dir)
				require.NoError(t, err)
				d := &quickstart.Dialer{
					Cache: cache, TLS: trusted, Address: address, Security: security, NetDial: far,
					NoTokens: !tokens, Tag: "Example",
				}
				s, err := d.Dial(ctx, account, quickstart.Password(password))
				require.NoError(t, err, what)
				served := make(chan error, 1)
				go func() { served <- s.Serve(nil) }()
				assert.NoError(t, ping.Send(ctx, s.Session, account.Domain()), "the session works")
				assert.NoError(t, s.Close())
				_ = s.Conn().Close()
				<-served
				r := s.Report
				how := r.Mechanism
				if r.Resumed {
					how += ", TLS resumed"
				}
				row(what, r.Flights, r.Total, how)
				assert.Equal(t, 1, r.Attempts, what)
				assert.Equal(t, direct, r.Direct, what)
				assert.Equal(t, bind2.Inline, r.Bind, what)
				assert.NotNil(t, s.Bound, what)
				return r
			}
			r := login("first", true)
			assert.LessOrEqual(t, r.Flights, flights, "no more than mellium")
			assert.False(t, r.Held || r.Resumed)
			for range 3 {
				r = login("later, token", true)
				assert.Equal(t, 2, r.Flights)
				assert.True(t, strings.HasPrefix(r.Mechanism, "HT-"), r.Mechanism)
				assert.True(t, r.Held, "as planned")
				assert.Equal(t, resumes, r.Resumed, "TLS is taken up again after a restart")
				assert.Less(t, r.Total, took, "faster than mellium")
			}
			for range 2 {
				r = login("later, password", false)
				assert.Equal(t, 3, r.Flights)
				assert.True(t, strings.HasPrefix(r.Mechanism, "SCRAM-"), r.Mechanism)
				assert.True(t, r.Held, "as planned")
			}
		})
	}
	t.Logf("round trips of %v; the time of the connection is included:\n%s", roundTrip, table.String())
}

// realStock logs in with mellium alone.
func realStock(ctx context.Context, t *testing.T, server *interop.Server, account jid.JID, direct bool) (flights int, took time.Duration) {
	t.Helper()
	begin := time.Now()
	address := server.STARTTLS
	if direct {
		address = server.DirectTLS
	}
	conn, err := far(ctx, "tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	var (
		counted                = &flightsConn{Conn: conn, reading: true}
		rw       io.ReadWriter = counted
		state    xmpp.SessionState
		cfg      = &tls.Config{RootCAs: server.Roots, ServerName: server.Domain}
		features = []xmpp.StreamFeature{xmpp.SASL("", password, sasl.ScramSha256), xmpp.BindResource()}
	)
	if direct {
		secure := tls.Client(counted, cfg)
		require.NoError(t, secure.HandshakeContext(ctx))
		rw, state = secure, xmpp.Secure
	} else {
		features = append(features, xmpp.StartTLS(cfg))
	}
	_, err = xmpp.NewSession(ctx, account.Domain(), account, rw, state, xmpptest.Stock(features...))
	require.NoError(t, err)
	return counted.flights, time.Since(begin)
}

// flightsConn counts writes that follow a read. It is used by one goroutine.
type flightsConn struct {
	net.Conn
	flights int
	reading bool
}

func (c *flightsConn) Write(p []byte) (int, error) {
	if c.reading {
		c.flights++
		c.reading = false
	}
	return c.Conn.Write(p)
}

func (c *flightsConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.reading = c.reading || n > 0
	return n, err
}
