// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2_test

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/xml"
	"math/big"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// What is bound by whom.
var (
	_ auth.Inline       = (*bind2.Server)(nil)
	_ auth.ClientInline = bind2.InlineBinder{}
	_ pipelining.Binder = bind2.Binder{}
)

// The parties to all tests.
var (
	domain  = jid.MustParse("im.example.com")
	juliet  = jid.MustParse("juliet@im.example.com")
	romeo   = jid.MustParse("romeo@im.example.com")
	balcony = jid.MustParse("juliet@im.example.com/balcony")
)

const (
	password = "r0m30myr0m30"
	agentID  = "d4565fa7-4d72-4749-b3d3-740edbf87770"

	// oneWay is the delay of a link in each direction, roundTrip that of both.
	oneWay    = 50 * time.Millisecond
	roundTrip = 2 * oneWay

	// iterations keep tests quick.
	iterations = 4096
)

// authority is a certificate authority with one certificate, valid also in the year
// 2000, where the clocks of synctest begin.
type authority struct {
	cert tls.Certificate
	pool *x509.CertPool
}

var pki = sync.OnceValue(func() authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "test"},
		NotBefore:             time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC),
		DNSNames:              []string{domain.String()},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return authority{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool}
})

func serverTLS() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{pki().cert}} }

func clientTLS() *tls.Config {
	return &tls.Config{RootCAs: pki().pool, ServerName: domain.String()}
}

func anyTLS(tls.ConnectionState) error { return nil }

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

// A fakeStore binds whatever it is asked for, and remembers that.
type fakeStore struct {
	// bind is asked in place of that.
	bind func(bind2.Request) (bind2.Bound, error)
	// state is what it says about all accounts.
	state bind2.Bound
	// forgetful makes it remember nothing.
	forgetful bool

	mu       sync.Mutex
	requests []bind2.Request
}

// Bind implements bind2.Store.
func (f *fakeStore) Bind(_ context.Context, r bind2.Request) (bind2.Bound, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.forgetful {
		f.requests = append(f.requests, r)
	}
	if f.bind != nil {
		return f.bind(r)
	}
	return f.as(r)
}

func (f *fakeStore) as(r bind2.Request) (b bind2.Bound, err error) {
	b = f.state
	b.JID, err = r.Account.WithResource(cmp.Or(r.Resource, bind2.NewResource(r.Tag)))
	return b, err
}

// asked are the requests so far, without their sessions.
func (f *fakeStore) asked() []bind2.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := slices.Clone(f.requests)
	for i := range list {
		list[i].Session = nil
	}
	return list
}

// binding returns a store that gives everybody the same resource.
func binding(resource string, state bind2.Bound) *fakeStore {
	return &fakeStore{bind: func(r bind2.Request) (b bind2.Bound, err error) {
		b = state
		b.JID, err = r.Account.WithResource(resource)
		return b, err
	}}
}

// A house is a server.
type house struct {
	binds  *bind2.Server
	logins *auth.Server
	stock  bool // mellium's own negotiator
	tls    bool // direct TLS; else the connection is said to be secure
	cfg    pipelining.Config
	// features are listed besides.
	features []xmpp.StreamFeature
}

// newHouse returns a server that offers all there is.
func newHouse(store bind2.Store) house {
	binds := &bind2.Server{Store: store, Carbons: true, CSI: true}
	return house{binds: binds, logins: newLogins(binds)}
}

// newLogins returns a server's authentication without channel binding.
func newLogins(inline ...auth.Inline) *auth.Server {
	return &auth.Server{
		Credentials: accounts(),
		Mechanisms:  []string{auth.ScramSHA256, auth.Plain},
		Iterations:  iterations,
		Inline:      inline,
	}
}

func (h house) config(s *xmpp.Session, _ *xmpp.StreamConfig) xmpp.StreamConfig {
	features := append(h.logins.Features(s), h.binds.Features(s)...)
	features = append(features, h.features...)
	return xmpp.StreamConfig{Features: append(features, pipelining.StreamFeature())}
}

func (h house) negotiator() xmpp.Negotiator {
	if h.stock {
		return xmpp.NewNegotiator(h.config)
	}
	return pipelining.NewNegotiator(h.config, h.cfg)
}

// newLogin returns a client's authentication, which takes any connection for
// verified.
func newLogin(mechanism string, inline ...auth.ClientInline) *auth.Client {
	return &auth.Client{
		Password:   auth.Password(password),
		Mechanisms: []string{mechanism},
		UserAgent:  auth.UserAgent{ID: agentID},
		Inline:     inline,
		VerifyTLS:  anyTLS,
	}
}

// A told is what a client was told by Observe.
type told struct {
	bind2.Protocol
	bind2.Bound
}

// newClient returns a client that tells what it is told.
func newClient() (*bind2.Client, func() []told) {
	var (
		mu   sync.Mutex
		list []told
	)
	c := &bind2.Client{Observe: func(p bind2.Protocol, b bind2.Bound) {
		mu.Lock()
		defer mu.Unlock()
		list = append(list, told{p, b})
	}}
	return c, func() []told {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(list)
	}
}

// stockClient is a client in mellium's own negotiator, which logs in by RFC 6120.
func stockClient(c *bind2.Client) xmpp.Negotiator {
	return xmpptest.Stock(append(newLogin(auth.Plain).Features(), c.Prefer(xmpp.BindResource())...)...)
}

// aheadClient is a client that sends ahead. It binds by Inline if it logs in by
// SASL2, and by Early otherwise.
func aheadClient(plan pipelining.Plan, mechanism string, c *bind2.Client) xmpp.Negotiator {
	return pipelining.Client(plan, pipelining.ClientConfig{
		TLS: clientTLS(), VerifyTLS: anyTLS,
		Authenticator: newLogin(mechanism, c.Inline()),
		Binder:        c.Binder(),
		Features:      c.Prefer(xmpp.BindResource()),
	})
}

// aheadPlan sends a login by SASL2 ahead.
var aheadPlan = pipelining.Plan{Mode: pipelining.Full, SASL2: true}

// A resumption is the part of stream management that is of interest to a bind: a
// stream that is resumed has a resource.
type resumption struct{ now jid.JID }

func (resumption) Name() xml.Name { return xml.Name{Space: "urn:xmpp:sm:3", Local: "resume"} }

func (resumption) Offer(context.Context, *xmpp.Session) xml.TokenReader {
	return xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Space: "urn:xmpp:sm:3", Local: "sm"}})
}

func (r resumption) Negotiate(context.Context, *xmpp.Session, string, jid.JID, *xml.Decoder, xml.StartElement) (xml.TokenReader, jid.JID, error) {
	local := "resumed"
	if r.now.Equal(jid.JID{}) {
		local = "failed"
	}
	return xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Space: "urn:xmpp:sm:3", Local: local}}), r.now, nil
}

// inBubble runs a test with a clock of its own.
func inBubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}
