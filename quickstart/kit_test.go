// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/pipelining"
	"github.com/xmppext/xmppext/quickstart"
)

// The parties to all logins.
var (
	juliet = jid.MustParse("juliet@im.example.com")
	romeo  = jid.MustParse("romeo@im.example.com")
)

const (
	password = "r0m30myr0m30"

	// oneWay is the delay of a network in each direction, roundTrip that of both.
	oneWay    = 50 * time.Millisecond
	roundTrip = 2 * oneWay

	// iterations keep tests quick.
	iterations = 4096

	// homeAddress and otherAddress are where servers are.
	homeAddress  = "192.0.2.1:5222"
	otherAddress = "192.0.2.2:5222"
)

// An authority has issued one certificate.
type authority struct {
	cert tls.Certificate
	pool *x509.CertPool
}

// newAuthority makes one that is good for a name, also in the year 2000, where the
// clocks of synctest begin.
func newAuthority(name string) authority {
	issue := func(template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) *x509.Certificate {
		template.NotBefore = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)
		template.NotAfter = time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC)
		der, err := x509.CreateCertificate(rand.Reader, template, cmp.Or(parent, template), &key.PublicKey, parentKey)
		if err != nil {
			panic(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			panic(err)
		}
		return c
	}
	newKey := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		return key
	}
	caKey, key := newKey(), newKey()
	ca := issue(&x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Authority for " + name},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, caKey, caKey)
	leaf := issue(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ca, key, caKey)
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	return authority{tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, pool}
}

var (
	// pki is the authority that clients trust.
	pki = sync.OnceValue(func() authority { return newAuthority(juliet.Domainpart()) })
	// strangers is one that they do not, for the same name.
	strangers = sync.OnceValue(func() authority { return newAuthority(juliet.Domainpart()) })
)

// accounts are those of all tests, made once.
var accounts = sync.OnceValue(func() *auth.Accounts {
	a := &auth.Accounts{Iterations: iterations}
	for _, account := range []jid.JID{juliet, romeo} {
		if err := a.SetPassword(account, password); err != nil {
			panic(err)
		}
	}
	return a
})

// A house is a server.
type house struct {
	logins *auth.Server
	binds  *bind2.Server
	tls    *tls.Config
	direct bool // TLS begins with the first byte

	noStartTLS, noEarly, noPipelining bool

	heard synced // the XML that was read, outside of TLS and within
}

// newHouse returns a server that has all there is: SASL2 with tokens, all ways to
// bind, and pipelining.
func newHouse() *house {
	binds := &bind2.Server{Store: rooms{}, Carbons: true, CSI: true}
	return &house{
		binds: binds,
		logins: &auth.Server{
			Credentials: accounts(),
			Mechanisms:  append(auth.DefaultMechanisms(), auth.Plain),
			Certificate: auth.Leaf(pki().cert),
			Iterations:  iterations,
			FAST:        &auth.FAST{Store: new(auth.MemoryTokens)},
			Inline:      []auth.Inline{binds},
		},
		tls: &tls.Config{Certificates: []tls.Certificate{pki().cert}},
	}
}

// newOldHouse returns a server that has RFC 6120 and pipelining only.
func newOldHouse() *house {
	h := newHouse()
	h.logins.Profiles, h.logins.FAST = auth.RFC6120, nil
	h.noEarly = true
	return h
}

// offering makes a server offer some mechanisms only.
func (h *house) offering(mechanisms ...string) *house {
	h.logins.Mechanisms = mechanisms
	return h
}

// renovated returns the house after changes. Its tickets are good as before.
func (h *house) renovated(change func(h *house)) *house {
	now := &house{
		logins: &auth.Server{
			Credentials: h.logins.Credentials, Mechanisms: h.logins.Mechanisms, Certificate: h.logins.Certificate,
			Iterations: iterations, FAST: h.logins.FAST, Inline: h.logins.Inline, Profiles: h.logins.Profiles,
		},
		binds: h.binds, tls: h.tls, direct: h.direct,
		noStartTLS: h.noStartTLS, noEarly: h.noEarly, noPipelining: h.noPipelining,
	}
	change(now)
	return now
}

func (h *house) features(s *xmpp.Session, _ *xmpp.StreamConfig) xmpp.StreamConfig {
	features := h.logins.Features(s)
	for _, f := range h.binds.Features(s) {
		if !h.noEarly || f.Name.Space != bind2.NS {
			features = append(features, f)
		}
	}
	if !h.noStartTLS {
		features = append(features, xmpp.StartTLS(h.tls))
	}
	if !h.noPipelining {
		features = append(features, pipelining.StreamFeature())
	}
	return xmpp.StreamConfig{Features: features}
}

// serve negotiates a session.
func (h *house) serve(ctx context.Context, conn net.Conn) {
	var (
		rw    io.ReadWriter = conn
		state xmpp.SessionState
	)
	if h.direct {
		held := pipelining.NewConn(conn)
		secure := tls.Server(held, h.tls)
		if secure.HandshakeContext(ctx) != nil {
			_ = held.Flush() // It says why.
			_ = conn.Close()
			return
		}
		rw, state = secure, xmpp.Secure
	}
	if _, err := xmpp.ReceiveSession(ctx, rw, state, pipelining.NewNegotiator(h.features, pipelining.Config{TeeIn: &h.heard})); err != nil {
		_ = conn.Close()
	}
}

// rooms binds whatever it is asked for.
type rooms struct{}

// Bind implements bind2.Store.
func (rooms) Bind(_ context.Context, r bind2.Request) (b bind2.Bound, err error) {
	b.JID, err = r.Account.WithResource(cmp.Or(r.Resource, bind2.NewResource(r.Tag)))
	b.Archived = true
	b.First = bind2.Entry{ID: "m0", Time: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)}
	b.Last = bind2.Entry{ID: "m1", Time: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)}
	return b, err
}

// synced is a buffer that may be written to and read by several.
type synced struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *synced) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *synced) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// newDialer returns what dials in most tests: it knows where the server is.
func newDialer(w *world) *quickstart.Dialer {
	return &quickstart.Dialer{
		Cache:    new(quickstart.MemoryCache),
		TLS:      &tls.Config{RootCAs: pki().pool},
		Address:  homeAddress,
		NetDial:  w.dial,
		Resolver: w,
	}
}

// mustDial is Dial, which must succeed for juliet.
func mustDial(t testing.TB, d *quickstart.Dialer) *quickstart.Session {
	t.Helper()
	s, err := d.Dial(t.Context(), juliet, quickstart.Password(password))
	require.NoError(t, err)
	require.True(t, s.LocalAddr().Bare().Equal(juliet), s.LocalAddr())
	require.NotEmpty(t, s.LocalAddr().Resourcepart())
	return s
}

// inBubble runs a test with a clock of its own.
func inBubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// serverTLS is TLS without anything that would join what is written.
func serverTLS(c net.Conn, cfg *tls.Config) *tls.Conn { return tls.Server(c, cfg) }
