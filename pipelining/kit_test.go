// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// The parties to all tests.
var (
	domain  = jid.MustParse("im.example.com")
	juliet  = jid.MustParse("juliet@im.example.com")
	balcony = jid.MustParse("juliet@im.example.com/balcony")
)

const (
	password = "r0m30myr0m30"

	// oneWay is the delay of a link in each direction, roundTrip that of both.
	oneWay    = 50 * time.Millisecond
	roundTrip = 2 * oneWay
)

// pki is a certificate authority with one certificate, valid for all names in
// use and also in the year 2000, where the clocks of synctest begin.
var pki = sync.OnceValue(func() (p struct {
	cert tls.Certificate
	pool *x509.CertPool
}) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "test"},
		NotBefore:             time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC),
		DNSNames:              []string{"im.example.com", "example.net", "verona.example"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	p.cert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
	p.pool = x509.NewCertPool()
	p.pool.AddCert(leaf)
	return p
})

func serverTLS() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{pki().cert}} }

func clientTLS() *tls.Config {
	return &tls.Config{RootCAs: pki().pool, ServerName: domain.String()}
}

// scramServer is the server's side of SCRAM-SHA-256 for an xmpp.SASLServer,
// which does not pass the option that mellium's own needs.
func scramServer() sasl.Mechanism {
	return sasl.Mechanism{
		Name: sasl.ScramSha256.Name,
		Next: func(n *sasl.Negotiator, challenge []byte, data any) (bool, []byte, any, error) {
			type state struct {
				n    *sasl.Negotiator
				user []byte
			}
			s, ok := data.(*state)
			if !ok {
				s = &state{}
				s.n = sasl.NewServer(sasl.ScramSha256, nil, sasl.SaltedCredentials(
					func(user, _ []byte, _ string) ([]byte, []byte, int64, error) {
						s.user = append([]byte(nil), user...)
						salt := []byte("salt of im.example.com")
						salted, err := pbkdf2.Key(sha256.New, password, salt, 4096, sha256.Size)
						return salt, salted, 4096, err
					}))
			}
			more, response, err := s.n.Step(challenge)
			if err != nil {
				return false, nil, s, sasl.ErrAuthn
			}
			if !more && !n.Permissions(sasl.Credentials(func() ([]byte, []byte, []byte) {
				return s.user, []byte(password), nil
			})) {
				return false, nil, s, sasl.ErrAuthn
			}
			return more, response, s, nil
		},
	}
}

// external is EXTERNAL, both sides. The server's side asks permissions with the
// authorization identity as the third credential.
var external = sasl.Mechanism{
	Name: "EXTERNAL",
	Start: func(n *sasl.Negotiator) (bool, []byte, any, error) {
		_, _, identity := n.Credentials()
		return false, identity, nil, nil
	},
	Next: func(n *sasl.Negotiator, challenge []byte, _ any) (bool, []byte, any, error) {
		if !n.Permissions(sasl.Credentials(func() ([]byte, []byte, []byte) { return nil, nil, challenge })) {
			return false, nil, nil, sasl.ErrAuthn
		}
		return false, nil, nil, nil
	},
}

// permit lets anybody in who knows the password.
func permit(s *xmpp.Session, n *sasl.Negotiator) (jid.JID, bool) {
	user, pass, _ := n.Credentials()
	account, err := jid.New(string(user), s.LocalAddr().Domainpart(), "")
	return account, err == nil && string(pass) == password
}

// bindAsked binds the resource that was asked for, or one of the server's.
func bindAsked(account jid.JID, resource string) (jid.JID, error) {
	if resource == "" {
		resource = "given"
	}
	return account.WithResource(resource)
}

// serverFeatures are what the servers of all tests offer.
func serverFeatures() []xmpp.StreamFeature {
	return []xmpp.StreamFeature{
		xmpp.StartTLS(serverTLS()),
		pipelining.SASLServer(permit, scramServer(), sasl.Plain),
		xmpp.BindCustom(bindAsked),
		pipelining.StreamFeature(),
	}
}

// serve negotiates a session on c as a server, over the transport of tr.
func serve(ctx context.Context, tr transport, c net.Conn, cfg pipelining.Config, features ...xmpp.StreamFeature) (*xmpp.Session, error) {
	if features == nil {
		features = serverFeatures()
	}
	var rw io.ReadWriter = c
	var state xmpp.SessionState
	switch tr {
	case plainTCP:
		state = xmpp.Secure
	case directTLS:
		rw = tls.Server(pipelining.NewConn(c), serverTLS())
	}
	return xmpp.ReceiveSession(ctx, rw, state, pipelining.Negotiator(xmpptest.Stock(features...), cfg))
}

// dial negotiates a session on c as a client, over the transport of tr.
func dial(ctx context.Context, tr transport, c net.Conn, origin jid.JID, n xmpp.Negotiator) (*xmpp.Session, error) {
	var rw io.ReadWriter = c
	var state xmpp.SessionState
	switch tr {
	case plainTCP:
		state = xmpp.Secure
	case directTLS:
		rw = tls.Client(pipelining.NewConn(c), clientTLS())
	}
	return xmpp.NewSession(ctx, origin.Domain(), origin, rw, state, n)
}

// clientConfig is what the clients of all tests may do.
func clientConfig(mechanisms ...sasl.Mechanism) pipelining.ClientConfig {
	return pipelining.ClientConfig{TLS: clientTLS(), Password: password, Mechanisms: mechanisms}
}

// A transport is what a stream goes over.
type transport string

const (
	// plainTCP has no TLS, and both ends declare it secure.
	plainTCP transport = "no TLS"
	startTLS transport = "STARTTLS"
	// directTLS has TLS from the first byte.
	directTLS transport = "direct TLS"
)

// A login is one negotiation of a client with a server over a link.
type login struct {
	Link           *xmpptest.Link
	Client, Server *xmpp.Session
	ClientErr      error
	ServerErr      error
	// Took is how long the client took.
	Took time.Duration
}

// logIn lets a client and a server negotiate over a link with the usual delay.
// What is left when the test ends is closed.
func logIn(t testing.TB, tr transport, client, server func(context.Context, net.Conn) (*xmpp.Session, error)) *login {
	t.Helper()
	l := &login{Link: xmpptest.NewLink(xmpptest.LinkConfig{AtoB: oneWay, BtoA: oneWay})}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel) // Not earlier: mellium may let a live session feel it.
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Server, l.ServerErr = server(ctx, l.Link.B)
		if l.ServerErr != nil {
			_ = l.Link.B.Close()
		}
	}()
	start := time.Now()
	l.Client, l.ClientErr = client(ctx, l.Link.A)
	l.Took = time.Since(start)
	if l.ClientErr != nil {
		_ = l.Link.A.Close()
	}
	<-done
	t.Cleanup(func() { _ = l.Link.Close() })
	return l
}

// mustLogIn is logIn with our server and the client n, which must succeed.
func mustLogIn(t testing.TB, tr transport, n xmpp.Negotiator) *login {
	t.Helper()
	l := logIn(t, tr,
		func(ctx context.Context, c net.Conn) (*xmpp.Session, error) { return dial(ctx, tr, c, balcony, n) },
		func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
			return serve(ctx, tr, c, pipelining.Config{})
		})
	require.NoError(t, errors.Join(l.ClientErr, l.ServerErr))
	return l
}
