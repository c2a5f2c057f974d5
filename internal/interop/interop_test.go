// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package interop_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/internal/interop"
)

// password needs every kind of escaping that there is on the way to the server.
const password = `pen\cil" ü]]%d`

var config = interop.Config{
	Users: map[string]string{"juliet": password, "o.hara+2": password},
}

// mechanisms are those that every server offers.
var mechanisms = []sasl.Mechanism{
	sasl.Plain, sasl.ScramSha1, sasl.ScramSha256, sasl.ScramSha1Plus, sasl.ScramSha256Plus,
}

func TestProsody(t *testing.T) {
	config := config
	config.Modules = []string{"smacks"}
	srv := interop.Prosody(t, config)
	assert.Regexp(t, `^1[3-9]\.`, srv.Version)
	checkServer(t, srv)
}

func TestEjabberd(t *testing.T) {
	config := config
	config.Modules = []string{"stream_mgmt", "client_state", "carboncopy", "mam", "auth_fast"}
	srv := interop.Ejabberd(t, config)
	assert.Regexp(t, `^2[4-9]\.\d\d`, srv.Version)
	checkServer(t, srv, "SCRAM-SHA-512", "SCRAM-SHA-512-PLUS")

	t.Run("SASL2", func(t *testing.T) {
		s := dial(t, srv.DirectTLS, srv.Domain)
		s.from = "juliet@" + srv.Domain
		s.encrypt(srv)
		f := s.open()
		assert.ElementsMatch(t, f.Mechanisms, f.SASL2.Mechanisms)
		assert.NotNil(t, f.SASL2.Bind)
		assert.Contains(t, f.SASL2.FAST, "HT-SHA-256-NONE")
	})
}

// checkServer checks what is the same with every server that has [config], except
// for the names of more mechanisms.
func checkServer(t *testing.T, srv *interop.Server, more ...string) {
	assert.Equal(t, "interop.example", srv.Domain)
	assert.True(t, srv.Roots.Equal(newPool(t, srv.RootsPEM)))

	for _, m := range mechanisms {
		more = append(more, m.Name)
	}
	checkSecure := func(t *testing.T, f features) {
		assert.Nil(t, f.StartTLS)
		assert.ElementsMatch(t, more, f.Mechanisms)
	}
	t.Run("STARTTLS features", func(t *testing.T) {
		s := dial(t, srv.STARTTLS, srv.Domain)
		f := s.open()
		require.NotNil(t, f.StartTLS)
		assert.NotNil(t, f.StartTLS.Required)
		assert.Empty(t, f.Mechanisms)

		s.send(`<starttls xmlns="urn:ietf:params:xml:ns:xmpp-tls"/>`)
		s.start("proceed")
		s.encrypt(srv)
		checkSecure(t, s.open())
	})
	t.Run("direct TLS features", func(t *testing.T) {
		s := dial(t, srv.DirectTLS, srv.Domain)
		s.encrypt(srv)
		checkSecure(t, s.open())
	})
	t.Run("certificate from elsewhere", func(t *testing.T) {
		s := dial(t, srv.DirectTLS, srv.Domain)
		err := tls.Client(s.conn, &tls.Config{RootCAs: x509.NewCertPool(), ServerName: srv.Domain}).Handshake()
		assert.ErrorAs(t, err, new(x509.UnknownAuthorityError))
	})

	for _, m := range mechanisms {
		t.Run("login with "+m.Name, func(t *testing.T) {
			assert.NoError(t, login(t, srv, "juliet", password, m))
			assert.Error(t, login(t, srv, "juliet", password+"?", m))
		})
	}
	t.Run("localpart with punctuation", func(t *testing.T) {
		assert.NoError(t, login(t, srv, "o.hara+2", password, sasl.Plain))
	})
}

// newPool returns the certificates in PEM.
func newPool(t *testing.T, pem []byte) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(pem))
	return pool
}

// login logs in to srv and out again.
func login(t *testing.T, srv *interop.Server, user, password string, m sasl.Mechanism) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	addr, err := jid.New(user, srv.Domain, "")
	require.NoError(t, err)
	conn, err := net.Dial("tcp", srv.STARTTLS)
	require.NoError(t, err)
	defer conn.Close()
	session, err := xmpp.NewClientSession(ctx, addr, conn,
		xmpp.StartTLS(&tls.Config{RootCAs: srv.Roots, ServerName: srv.Domain}),
		xmpp.SASL("", password, m),
		xmpp.BindResource())
	if err != nil {
		return err
	}
	return session.Close()
}

func TestProsodyConfig(t *testing.T) {
	srv := interop.Prosody(t, interop.Config{
		Domain:   "other.example",
		Settings: `disable_sasl_mechanisms = { "PLAIN" }`,
		Sections: `Component "rooms.other.example" "muc"`,
	})
	assert.Equal(t, "other.example", srv.Domain)
	s := dial(t, srv.DirectTLS, srv.Domain)
	s.encrypt(srv)
	f := s.open()
	assert.Contains(t, f.Mechanisms, "SCRAM-SHA-256")
	assert.NotContains(t, f.Mechanisms, "PLAIN")
}

func TestEjabberdConfig(t *testing.T) {
	srv := interop.Ejabberd(t, interop.Config{
		Domain:   "other.example",
		Settings: "modules:\n  mod_muc:\n    host: rooms.other.example",
		Sections: "disable_sasl_mechanisms:\n  - PLAIN\n  - SCRAM-SHA-1",
	})
	assert.Equal(t, "other.example", srv.Domain)
	s := dial(t, srv.DirectTLS, srv.Domain)
	s.encrypt(srv)
	f := s.open()
	assert.Contains(t, f.Mechanisms, "SCRAM-SHA-256")
	assert.NotContains(t, f.Mechanisms, "PLAIN")
}

func TestEndsWithTest(t *testing.T) {
	for _, peer := range peers {
		t.Run(peer.name, func(t *testing.T) {
			var (
				srv  *interop.Server
				conn net.Conn
			)
			ok := t.Run("test", func(t *testing.T) {
				srv = peer.start(t, config)

				// An open stream must not hold the end up.
				s := dial(t, srv.STARTTLS, srv.Domain)
				s.open()
				conn = s.conn
			})
			if srv == nil {
				t.SkipNow()
			}
			require.True(t, ok)
			_ = conn.Close()
			assertGone(t, srv)
		})
	}
}

func TestEndsWithProcess(t *testing.T) {
	for _, peer := range peers {
		t.Run(peer.name, func(t *testing.T) {
			fake := &fakeT{TB: t}
			var srv *interop.Server
			fake.run(func() { srv = peer.start(fake, config) })
			if fake.skipped != "" {
				t.Skip(fake.skipped)
			}
			require.Empty(t, fake.fatal)
			require.NoError(t, srv.Abandon())
			select {
			case <-srv.Done():
			case <-time.After(10 * time.Second):
				t.Error("the server stays when the test goes")
			}
			fake.run(fake.cleanUp)
			assertGone(t, srv)
			assert.Contains(t, fake.errors, "it had ended before")
		})
	}
}

// assertGone asserts that a server has left neither a process nor a port.
func assertGone(t *testing.T, srv *interop.Server) {
	t.Helper()
	p, err := os.FindProcess(srv.PID())
	if err == nil {
		err = p.Signal(syscall.Signal(0))
	}
	assert.ErrorIs(t, err, os.ErrProcessDone)
	for _, addr := range []string{srv.STARTTLS, srv.DirectTLS} {
		_, err := net.Dial("tcp", addr)
		assert.Error(t, err)
	}
}
