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
	Users:   map[string]string{"juliet": password, "o.hara+2": password},
	Modules: []string{"smacks"},
}

func TestProsody(t *testing.T) {
	srv := interop.Prosody(t, config)
	assert.Regexp(t, `^1[3-9]\.`, srv.Version)
	assert.Equal(t, "interop.example", srv.Domain)
	assert.True(t, srv.Roots.Equal(newPool(t, srv.RootsPEM)))

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

	for _, m := range []sasl.Mechanism{
		sasl.Plain, sasl.ScramSha1, sasl.ScramSha256, sasl.ScramSha1Plus, sasl.ScramSha256Plus,
	} {
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

// checkSecure checks what a server offers on an encrypted stream.
func checkSecure(t *testing.T, f features) {
	t.Helper()
	assert.Nil(t, f.StartTLS)
	assert.ElementsMatch(t, []string{
		"PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS",
	}, f.Mechanisms)
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

func TestProsodyEndsWithTest(t *testing.T) {
	var (
		srv  *interop.Server
		conn net.Conn
	)
	ok := t.Run("test", func(t *testing.T) {
		srv = interop.Prosody(t, config)

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
}

func TestProsodyEndsWithProcess(t *testing.T) {
	fake := &fakeT{TB: t}
	var srv *interop.Server
	fake.run(func() { srv = interop.Prosody(fake, config) })
	if fake.skipped != "" {
		t.Skip(fake.skipped)
	}
	require.Empty(t, fake.fatal)
	require.NoError(t, srv.Abandon())
	select {
	case <-srv.Done():
	case <-time.After(10 * time.Second):
		t.Error("Prosody stays when the test goes")
	}
	fake.run(fake.cleanUp)
	assertGone(t, srv)
	assert.Contains(t, fake.errors, "it had ended before")
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
