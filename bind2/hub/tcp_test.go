// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"io"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/bind2/hub"
	"github.com/xmppext/xmppext/mam"
	"github.com/xmppext/xmppext/pipelining"
)

// Those who meet at one server.
var (
	verona   = jid.MustParse("verona.example")
	montague = jid.MustParse("romeo@verona.example")
	capulet  = jid.MustParse("juliet@verona.example")
)

const tcpPassword = "r0m30myr0m30"

// A server is one that listens.
type server struct {
	listener net.Listener
	client   *tls.Config
	serving  sync.WaitGroup
}

// listen starts a server with a hub, which ends with ctx.
func listen(ctx context.Context, t *testing.T, h *hub.Hub) *server {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{verona.String()}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	s := &server{client: &tls.Config{RootCAs: x509.NewCertPool(), ServerName: verona.String()}}
	s.client.RootCAs.AddCert(leaf)
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}

	accounts := new(auth.Accounts)
	for _, account := range []jid.JID{montague, capulet} {
		require.NoError(t, accounts.SetPassword(account, tcpPassword))
	}
	binds := &bind2.Server{Store: h, Carbons: true, CSI: true}
	logins := &auth.Server{Credentials: accounts, Mechanisms: []string{auth.Plain}, Inline: []auth.Inline{binds}}
	negotiator := pipelining.NewNegotiator(func(s *xmpp.Session, _ *xmpp.StreamConfig) xmpp.StreamConfig {
		features := append(logins.Features(s), binds.Features(s)...)
		return xmpp.StreamConfig{Features: append(features, pipelining.StreamFeature())}
	}, pipelining.Config{})

	s.listener, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.serving.Go(func() {
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				return
			}
			s.serving.Go(func() {
				defer conn.Close()
				r := h.NewResource()
				defer r.Close()
				session, err := xmpp.ReceiveSession(r.Context(ctx), tls.Server(pipelining.NewConn(conn), config), xmpp.Secure, negotiator)
				if err == nil {
					// Clients hang up as they like.
					_ = r.Serve(ctx, session, mam.Handle(&mam.Handler{Archive: h.Archive, Account: r.JID().Bare()}))
				}
			})
		}
	})
	return s
}

// stop ends the server, once its clients have hung up.
func (s *server) stop() {
	_ = s.listener.Close()
	s.serving.Wait()
}

// A visit is one session of a client with the server.
type visit struct {
	*xmpp.Session
	conn  net.Conn
	how   bind2.Protocol
	bound bind2.Bound
}

// visit calls the server.
func (s *server) visit(ctx context.Context, account jid.JID, sasl2 bool) (*visit, error) {
	conn, err := net.Dial("tcp", s.listener.Addr().String())
	if err != nil {
		return nil, err
	}
	v := &visit{conn: conn}
	binds := &bind2.Client{Observe: func(p bind2.Protocol, b bind2.Bound) { v.how, v.bound = p, b }}
	plan := pipelining.Plan{Mode: pipelining.Full, SASL2: sasl2}
	v.Session, err = xmpp.NewSession(ctx, verona, account, tls.Client(pipelining.NewConn(conn), s.client), xmpp.Secure,
		pipelining.Client(plan, pipelining.ClientConfig{
			Authenticator: &auth.Client{
				Password: auth.Password(tcpPassword), Mechanisms: []string{auth.Plain},
				UserAgent: auth.UserAgent{ID: "d4565fa7-4d72-4749-b3d3-740edbf87770"},
				Inline:    []auth.ClientInline{binds.Inline()},
			},
			Binder: binds.Binder(), Features: binds.Prefer(xmpp.BindResource()),
		}))
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return v, nil
}

// A diary is what a client knows of the messages, which are numbers.
type diary struct {
	mu    sync.Mutex
	next  int // the one that must come now
	wrong []int
	grown chan struct{}
}

// write notes a message.
func (d *diary) write(r xml.TokenReader) error {
	n, err := number(r)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if n != d.next {
		d.wrong = append(d.wrong, n)
	}
	d.next = n + 1
	select {
	case d.grown <- struct{}{}:
	default:
	}
	return nil
}

// until waits until a message has come, and reports whether it has.
func (d *diary) until(ctx context.Context, n int) bool {
	for {
		d.mu.Lock()
		there := d.next > n
		d.mu.Unlock()
		if there {
			return true
		}
		select {
		case <-d.grown:
		case <-ctx.Done():
			return false
		}
	}
}

// number returns what is in the body of a message.
func number(r xml.TokenReader) (int, error) {
	body := false
	n := -1
	for {
		tok, err := r.Token()
		switch t := tok.(type) {
		case xml.StartElement:
			body = t.Name.Local == "body"
		case xml.CharData:
			if body {
				if n, err = strconv.Atoi(string(t)); err != nil {
					return n, err
				}
			}
		case xml.EndElement:
			body = false
		}
		if errors.Is(err, io.EOF) || tok == nil && err == nil {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// next waits for what is to be done next, and reports whether there is anything.
func next(ctx context.Context, more <-chan struct{}) bool {
	select {
	case _, ok := <-more:
		return ok
	case <-ctx.Done():
		return false
	}
}

// Over real sockets, a client that binds again and again by turns within SASL2 and as
// a stream feature, and hangs up at any point, gets what another one writes
// meanwhile: from the archive up to the bind, and live from there on, each once and
// in order.
func TestSeamOverTCP(t *testing.T) {
	const (
		visits = 24
		around = 60 // messages that are written while the client binds, and again behind that
	)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	h := &hub.Hub{Archive: keeping(1 << 30), Offline: new(hub.MemoryOffline)}
	s := listen(ctx, t, h)
	defer s.stop()
	defer cancel()

	var (
		sent   atomic.Int64
		writer sync.WaitGroup
		more   = make(chan struct{}, 2*visits*around)
	)
	write := func() {
		for range around {
			more <- struct{}{}
		}
	}
	writer.Go(func() {
		v, err := s.visit(ctx, capulet, true)
		if !assert.NoError(t, err) {
			return
		}
		defer v.conn.Close()
		var reading sync.WaitGroup
		reading.Go(func() { _ = v.Serve(mux.New(stanza.NSClient)) })
		defer reading.Wait()
		defer v.conn.Close()
		n := 0
		for next(ctx, more) {
			body := xmlstream.Wrap(xmlstream.Token(xml.CharData(strconv.Itoa(n))), xml.StartElement{Name: xml.Name{Local: "body"}})
			if err := v.Send(ctx, stanza.Message{To: montague, Type: stanza.ChatMessage}.Wrap(body)); !assert.NoError(t, err) {
				return
			}
			n++
			sent.Store(int64(n))
		}
	})

	seed := mrand.Uint64()
	defer func() {
		if t.Failed() {
			t.Logf("Seed: %d", seed)
		}
	}()
	lots := mrand.New(mrand.NewPCG(seed, 0))
	var (
		place mam.Place
		known int // how many messages lie up to that place
		ways  = make(map[bind2.Protocol]int)
	)
	for i := range visits {
		write()
		v, err := s.visit(ctx, montague, i%2 == 0)
		require.NoError(t, err)
		ways[v.how]++
		d := &diary{next: known, grown: make(chan struct{}, 1)}
		gate := &mam.Gate{By: montague}
		archive := new(mam.Client)
		ctx, cancel := context.WithCancel(ctx)
		var serving sync.WaitGroup
		serving.Go(func() {
			defer cancel()
			_ = v.Serve(mux.New(stanza.NSClient, mam.HandleClient(archive),
				mux.MessageFunc(stanza.ChatMessage, xml.Name{Space: stanza.NSClient, Local: "body"}, func(_ stanza.Message, r xmlstream.TokenReadEncoder) error {
					now, err := gate.Hold(r)
					if err == nil && now != nil {
						err = d.write(now)
					}
					return err
				})))
		})
		write()
		if v.bound.Last.ID != "" {
			place, err = archive.CatchUp(ctx, v.Session, montague, mam.Query{}, place, v.bound.Last.ID, func(r mam.Result) error {
				gate.See(r)
				return d.write(r.TokenReader())
			})
			require.NoError(t, err)
			known = d.next
		}
		require.NoError(t, gate.Open(ctx, d.write))
		if i == visits-1 {
			close(more)
			writer.Wait()
			require.True(t, d.until(ctx, int(sent.Load())-1), "the last message has not come")
		} else if n := lots.IntN(around); n > 0 {
			require.True(t, d.until(ctx, known+n-1), "a message has not come")
		}
		_ = v.conn.Close()
		serving.Wait()
		require.Empty(t, d.wrong, "not in order, or not once")
	}
	assert.Equal(t, map[bind2.Protocol]int{bind2.Inline: visits / 2, bind2.Early: visits / 2}, ways)
	t.Logf("%d messages, %d of them known from the archive", sent.Load(), known)
}
