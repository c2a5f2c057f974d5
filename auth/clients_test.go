// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/ping"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/internal/interop"
	"github.com/xmppext/xmppext/pipelining"
)

// tagged is Bind 2 as far as other people's clients need it here.
type tagged struct{}

func (tagged) Name() xml.Name { return xml.Name{Space: "urn:xmpp:bind:0", Local: "bind"} }

func (b tagged) Offer(context.Context, *xmpp.Session) xml.TokenReader {
	return xmlstream.Wrap(xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Local: "inline"}}), xml.StartElement{Name: b.Name()})
}

func (tagged) Negotiate(_ context.Context, s *xmpp.Session, _ string, _ jid.JID, d *xml.Decoder, start xml.StartElement) (xml.TokenReader, jid.JID, error) {
	asked := struct {
		Tag string `xml:"urn:xmpp:bind:0 tag"`
	}{}
	if err := d.DecodeElement(&asked, &start); err != nil {
		return nil, jid.JID{}, err
	}
	now, err := s.RemoteAddr().WithResource(asked.Tag + "/1")
	return xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Space: "urn:xmpp:bind:0", Local: "bound"}}), now, err
}

// A listener is one of our servers, to which other people's clients connect.
type listener struct {
	starttls, direct string
	roots            []byte

	mu     sync.Mutex
	logins []auth.Login // those that were successful
}

func (l *listener) observe(_ context.Context, _ *xmpp.Session, login auth.Login, err error) {
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.logins = append(l.logins, login)
	}
}

// listen serves srv on loopback until the test ends.
func listen(t *testing.T, srv *auth.Server) *listener {
	t.Helper()
	cert, roots := interop.Certificate(t, domain.String())
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	srv.Certificate = auth.Leaf(cert)
	l := &listener{roots: roots}
	srv.Observe = l.observe
	n := pipelining.NewNegotiator(func(s *xmpp.Session, _ *xmpp.StreamConfig) xmpp.StreamConfig {
		return xmpp.StreamConfig{Features: append(srv.Features(s), xmpp.StartTLS(config), xmpp.BindResource())}
	}, pipelining.Config{AllowSpace: true})
	var sessions sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	accept := func(wrap func(net.Conn) net.Conn) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		context.AfterFunc(ctx, func() { _ = ln.Close() })
		sessions.Go(func() {
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				sessions.Go(func() {
					defer conn.Close()
					defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
					s, err := xmpp.ReceiveSession(ctx, io.ReadWriter(wrap(conn)), 0, n)
					if err == nil {
						_ = s.Serve(mux.New(stanza.NSClient, ping.Handle()))
						_ = s.Close()
					}
				})
			}
		})
		return ln.Addr().String()
	}
	l.starttls = accept(func(c net.Conn) net.Conn { return pipelining.NewConn(c) })
	l.direct = accept(func(c net.Conn) net.Conn { return tls.Server(pipelining.NewConn(c), config) })
	t.Cleanup(func() {
		cancel()
		sessions.Wait()
	})
	return l
}

// TestClients lets clients that other people wrote log in at our server.
func TestClients(t *testing.T) {
	for _, test := range []struct {
		name  string
		other func(testing.TB) *interop.Client
		sasl2 bool
		fast  string // the mechanism of tokens, if it knows them
	}{
		{"mellium", func(testing.TB) *interop.Client { return interop.Mellium() }, false, ""},
		{"xmpp.js", interop.XMPPJS, true, auth.HTSHA256None},
		{"slixmpp", interop.Slixmpp, false, ""},
		{"go-xmpp", interop.GoXMPP, true, auth.HTSHA256Exporter},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := test.other(t)
			for _, profiles := range []auth.Profile{auth.RFC6120, auth.RFC6120 | auth.SASL2} {
				for _, direct := range []bool{false, true} {
					name := "STARTTLS"
					if direct {
						name = "direct TLS"
					}
					if profiles&auth.SASL2 != 0 {
						name += " SASL2"
					}
					t.Run(name, func(t *testing.T) {
						srv := newServer()
						srv.Profiles, srv.Inline, srv.AllowSpace = profiles, []auth.Inline{tagged{}}, true
						l := listen(t, srv)
						with := interop.ClientLogin{
							JID: juliet.String(), Password: password, RootsPEM: l.roots,
							Addr: l.starttls, DirectTLS: direct,
						}
						if direct {
							with.Addr = l.direct
						}
						tokens := test.fast != "" && profiles&auth.SASL2 != 0
						if tokens {
							with.Times = 3
						}
						for i, r := range client.Login(t, with) {
							require.Empty(t, r.Error)
							assert.True(t, strings.HasPrefix(r.JID, juliet.String()+"/"), r.JID)
							assert.Equal(t, test.sasl2 && profiles&auth.SASL2 != 0, r.SASL2, "the profile")
							assert.Equal(t, tokens && i > 0, r.FAST, "a token is used from the second login on")
						}
						l.mu.Lock()
						defer l.mu.Unlock()
						for _, login := range l.logins {
							assert.Equal(t, juliet, login.Account)
							t.Logf("%s", login.Mechanism)
						}
						if tokens {
							assert.Equal(t, test.fast, l.logins[len(l.logins)-1].Mechanism)
						}

						with.Password, with.Times = "wrong", 0
						for _, r := range client.Login(t, with) {
							assert.NotEmpty(t, r.Error)
							assert.Equal(t, auth.NotAuthorized, r.Condition)
						}
					})
				}
			}
		})
	}
}
