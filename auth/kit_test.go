// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/xml"
	"errors"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
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
	agentID  = "d4565fa7-4d72-4749-b3d3-740edbf87770"

	// oneWay is the delay of a link in each direction, roundTrip that of both.
	oneWay    = 50 * time.Millisecond
	roundTrip = 2 * oneWay

	// iterations keep tests quick.
	iterations = 4096
)

// authority is a certificate authority with one certificate, valid for all names in
// use and also in the year 2000, where the clocks of synctest begin.
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
		DNSNames:              []string{"im.example.com", "example.net"},
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
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return authority{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool}
})

func serverTLS() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{pki().cert}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pki().pool}
}

func clientTLS() *tls.Config {
	return &tls.Config{RootCAs: pki().pool, ServerName: domain.String()}
}

// accounts are those of all tests, made once.
var accounts = sync.OnceValue(func() *auth.Accounts {
	a := &auth.Accounts{Iterations: iterations}
	if err := a.SetPassword(juliet, password); err != nil {
		panic(err)
	}
	return a
})

// newServer returns what the servers of most tests are. Each mechanism is offered.
func newServer() *auth.Server {
	return &auth.Server{
		Credentials: accounts(),
		Mechanisms:  append(auth.DefaultMechanisms(), auth.Plain),
		Certificate: auth.Leaf(pki().cert),
		Iterations:  iterations,
		FAST:        &auth.FAST{Store: new(auth.MemoryTokens)},
	}
}

// newClient returns what the clients of most tests are.
func newClient(mechanisms ...string) *auth.Client {
	return &auth.Client{
		Password:   auth.Password(password),
		Mechanisms: mechanisms,
		UserAgent:  auth.UserAgent{ID: agentID, Software: "Balcony", Device: "Juliet's phone"},
		Tokens:     new(auth.MemoryCache),
	}
}

// negotiator returns a server's negotiator with the features of srv.
func negotiator(srv *auth.Server) xmpp.Negotiator {
	return pipelining.NewNegotiator(serverConfig(srv), pipelining.Config{})
}

func serverConfig(srv *auth.Server) func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
	return func(s *xmpp.Session, _ *xmpp.StreamConfig) xmpp.StreamConfig {
		return xmpp.StreamConfig{Features: append(srv.Features(s),
			xmpp.StartTLS(serverTLS()),
			xmpp.BindCustom(func(account jid.JID, resource string) (jid.JID, error) {
				if resource == "" {
					resource = "given"
				}
				return account.WithResource(resource)
			}),
			pipelining.StreamFeature(),
		)}
	}
}

// stockClient returns mellium's own negotiator with the features of c.
func stockClient(c *auth.Client) xmpp.Negotiator {
	return xmpptest.Stock(append(c.Features(), xmpp.StartTLS(clientTLS()), xmpp.BindResource())...)
}

// ahead returns a client's negotiator that sends ahead.
func ahead(plan pipelining.Plan, c *auth.Client) xmpp.Negotiator {
	return pipelining.Client(plan, pipelining.ClientConfig{TLS: clientTLS(), Authenticator: c})
}

// A meeting is one negotiation of a client with a server over a link with direct
// TLS.
type meeting struct {
	Link           *xmpptest.Link
	Client, Server *xmpp.Session
	ClientErr      error
	ServerErr      error
	Took           time.Duration // by the client
}

func (m *meeting) err() error { return errors.Join(m.ClientErr, m.ServerErr) }

// meet lets a client and a server negotiate. Origin is the client's address.
func meet(t testing.TB, origin jid.JID, client, server xmpp.Negotiator) *meeting {
	t.Helper()
	return meetOver(t, origin, client, server, clientTLS(), serverTLS())
}

func meetOver(t testing.TB, origin jid.JID, client, server xmpp.Negotiator, clientTLS, serverTLS *tls.Config) *meeting {
	t.Helper()
	return meetWrapped(t, origin, client, server, clientTLS, serverTLS, func(c net.Conn) net.Conn { return pipelining.NewConn(c) })
}

// mustMeetPlainly is mustMeet with two negotiators that know nothing of
// pipelining, and connections to suit them.
func mustMeetPlainly(t testing.TB, client, server xmpp.Negotiator) *meeting {
	t.Helper()
	m := meetWrapped(t, juliet, client, server, clientTLS(), serverTLS(), func(c net.Conn) net.Conn { return c })
	require.NoError(t, m.err())
	return m
}

func meetWrapped(t testing.TB, origin jid.JID, client, server xmpp.Negotiator, clientTLS, serverTLS *tls.Config, wrap func(net.Conn) net.Conn) *meeting {
	t.Helper()
	m := &meeting{Link: xmpptest.NewLink(xmpptest.LinkConfig{AtoB: oneWay, BtoA: oneWay})}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel) // Not earlier: mellium may let a live session feel it.
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.Server, m.ServerErr = xmpp.ReceiveSession(ctx, tls.Server(wrap(m.Link.B), serverTLS), xmpp.Secure, server)
		if m.ServerErr != nil {
			_ = m.Link.B.Close()
		}
	}()
	start := time.Now()
	m.Client, m.ClientErr = xmpp.NewSession(ctx, origin.Domain(), origin, tls.Client(wrap(m.Link.A), clientTLS), xmpp.Secure, client)
	m.Took = time.Since(start)
	if m.ClientErr != nil {
		_ = m.Link.A.Close()
	}
	<-done
	t.Cleanup(func() { _ = m.Link.Close() })
	return m
}

// mustMeet is meet, which must succeed for juliet.
func mustMeet(t testing.TB, client, server xmpp.Negotiator) *meeting {
	t.Helper()
	m := meet(t, juliet, client, server)
	require.NoError(t, m.err())
	require.Equal(t, juliet, m.Server.RemoteAddr(), "the account is the session's")
	require.True(t, m.Client.LocalAddr().Bare().Equal(juliet))
	return m
}

var _ net.Conn = (*pipelining.Conn)(nil)

// nsRide is the namespace of a way to bind that exists in these tests only.
const nsRide = "urn:example:ride"

// ride binds a resource inline, on a server.
type ride struct {
	// asked are the ids of the clients that have asked.
	asked *[]string
	// refuse makes it say nothing and do nothing.
	refuse bool
}

func (ride) Name() xml.Name { return xml.Name{Space: nsRide, Local: "ride"} }

func (r ride) Offer(context.Context, *xmpp.Session) xml.TokenReader {
	return xmlstream.Wrap(nil, xml.StartElement{Name: r.Name()})
}

func (r ride) Negotiate(_ context.Context, s *xmpp.Session, client string, bound jid.JID, d *xml.Decoder, start xml.StartElement) (xml.TokenReader, jid.JID, error) {
	asked := struct {
		Tag string `xml:"urn:example:ride tag"`
	}{}
	if err := d.DecodeElement(&asked, &start); err != nil {
		return nil, jid.JID{}, err
	}
	if r.asked != nil {
		*r.asked = append(*r.asked, client)
	}
	if r.refuse || !bound.Equal(jid.JID{}) {
		return nil, jid.JID{}, nil
	}
	now, err := s.RemoteAddr().WithResource(asked.Tag)
	return xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Space: nsRide, Local: "ridden"}}), now, err
}

// rideAlong binds a resource inline, on a client.
type rideAlong struct{ tag string }

func (rideAlong) Feature() xml.Name { return xml.Name{Space: nsRide, Local: "ride"} }

func (r rideAlong) Request(jid.JID, xml.TokenReader) ([]byte, func(*xml.Decoder, xml.StartElement, jid.JID) (jid.JID, error), error) {
	return []byte("<ride xmlns='" + nsRide + "'><tag>" + r.tag + "</tag></ride>"),
		func(_ *xml.Decoder, start xml.StartElement, address jid.JID) (jid.JID, error) {
			if start.Name.Local != "ridden" {
				return jid.JID{}, nil
			}
			return address, nil
		}, nil
}
