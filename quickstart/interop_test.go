// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/ping"

	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/internal/interop"
	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/quickstart"
)

var residents = map[string]string{juliet.Localpart(): password}

// startProsody starts one that has all that there is for logins.
func startProsody(t *testing.T) *interop.Server {
	return interop.Prosody(t, interop.Config{
		Users:   residents,
		Modules: []string{"sasl2", "sasl2_bind2", "sasl2_fast", "sasl2_sm", "smacks", "carbons", "csi", "csi_simple", "mam"},
		// It has this switched off, and then gives out tickets that it does not take.
		Settings: "c2s_ssl = { options = { no_ticket = false } }\nc2s_direct_tls_ssl = { options = { no_ticket = false } }\n",
	})
}

// startEjabberd is startProsody with ejabberd.
func startEjabberd(t *testing.T) *interop.Server {
	return interop.Ejabberd(t, interop.Config{
		Users:   residents,
		Modules: []string{"auth_fast", "carboncopy", "client_state", "mam", "stream_mgmt"},
	})
}

func TestProsody(t *testing.T) {
	s := startProsody(t)
	t.Logf("Prosody %s", s.Version)
	testServer(t, s, true)
}

func TestEjabberd(t *testing.T) {
	s := startEjabberd(t)
	t.Logf("ejabberd %s", s.Version)
	testServer(t, s, false) // It gives out tickets that it does not take.
}

// busy is how often a login is made again because of the machine.
const busy = 3

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

// testServer logs in at a server, which may take up sessions of TLS again. TestTable
// compares the logins with those of others.
func testServer(t *testing.T, server *interop.Server, resumes bool) {
	account := jid.MustParse(juliet.Localpart() + "@" + server.Domain)
	trusted := &tls.Config{RootCAs: server.Roots}
	for _, direct := range []bool{false, true} {
		name, address, security, first := "STARTTLS", server.STARTTLS, quickstart.StartTLS, 6
		if direct {
			name, address, security, first = "direct TLS", server.DirectTLS, quickstart.DirectTLS, 4
		}
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
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
				t.Logf("%s: %d flights in %v, %s", what, r.Flights, r.Total, r.Mechanism)
				assert.Equal(t, direct, r.Direct, what)
				assert.Equal(t, bind2.Inline, r.Bind, what)
				assert.NotNil(t, s.Bound, what)
				return r
			}
			// later logs in with what is remembered. Neither server announces pipelining: if the
			// machine is too busy for a moment to keep what is sent behind starttls apart, it is
			// lost, and the login says nothing.
			later := func(what string, tokens bool) quickstart.Report {
				t.Helper()
				r := login(what, tokens)
				for range busy {
					if r.Held {
						break
					}
					dir = filepath.Join(t.TempDir(), "cache")
					login("once more, first", true)
					r = login(what, tokens)
				}
				assert.Equal(t, 1, r.Attempts, what)
				return r
			}
			r := login("first", true)
			assert.Equal(t, 1, r.Attempts)
			assert.Equal(t, first, r.Flights)
			assert.False(t, r.Held || r.Resumed)
			for range 2 {
				r = later("later, token", true)
				assert.Equal(t, 2, r.Flights)
				assert.True(t, strings.HasPrefix(r.Mechanism, "HT-"), r.Mechanism)
				assert.True(t, r.Held, "as planned")
				assert.Equal(t, resumes, r.Resumed, "TLS is taken up again after a restart")
			}
			r = later("later, password", false)
			assert.Equal(t, 3, r.Flights)
			assert.True(t, strings.HasPrefix(r.Mechanism, "SCRAM-"), r.Mechanism)
			assert.True(t, r.Held, "as planned")
		})
	}
}
