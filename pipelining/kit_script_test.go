// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// base64Of is what SASL carries its messages in.
func base64Of(message []byte) string { return base64.StdEncoding.EncodeToString(message) }

const ready = xmpp.Ready

// A notedLogin is a login at a server that notes its decisions.
type notedLogin struct {
	*login
	noted *decisions
}

func (l notedLogin) decided() []string { return l.noted.list }

// logInWith lets our client log in at h, over tr.
func logInWith(t testing.TB, tr transport, mode pipelining.Mode, h host, set func(*pipelining.ClientConfig)) notedLogin {
	t.Helper()
	cfg := clientConfig(sasl.Plain)
	if set != nil {
		set(&cfg)
	}
	l := notedLogin{noted: new(decisions)}
	features := l.noted.features()
	if h.features != nil {
		features = h.features(l.noted)
	}
	l.login = logIn(t, tr,
		func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
			return dial(ctx, tr, c, balcony, pipelining.Client(pipelining.Plan{Mode: mode}, cfg))
		},
		func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
			return serve(ctx, tr, c, h.cfg, features...)
		})
	return l
}

// What servers say, written down by hand.
const (
	answering  = `<stream:stream from='im.example.com' id='s1' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`
	offersTLS  = `<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls><pipelining xmlns='urn:xmpp:features:pipelining'/></stream:features>`
	offersSASL = `<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-256</mechanism><mechanism>PLAIN</mechanism></mechanisms><pipelining xmlns='urn:xmpp:features:pipelining'/></stream:features>`
	offersBind = `<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><pipelining xmlns='urn:xmpp:features:pipelining'/></stream:features>`
	accepts    = `<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`
)

// acceptsWith is success with additional data.
func acceptsWith(message string) string {
	return `<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>` + base64Of([]byte(message)) + `</success>`
}

// challenges is a challenge.
func challenges(message string) string {
	return `<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>` + base64Of([]byte(message)) + `</challenge>`
}

// boundTo is the answer to a request to bind.
func boundTo(id, address string) string {
	return `<iq id='` + id + `' type='result'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>` + address + `</jid></bind></iq>`
}

// header reads a stream header.
func (p *peer) header() string { return p.until("<stream:stream") + p.until(">") }

// auth reads an auth or a response and returns its message.
func (p *peer) auth(local string) string {
	p.t.Helper()
	p.until("<" + local)
	p.until(">")
	text := strings.TrimSuffix(p.until("</"+local+">"), "</"+local+">")
	message, err := base64.StdEncoding.DecodeString(text)
	require.NoError(p.t, err)
	return string(message)
}

// iqID reads a request to bind and returns its id.
func (p *peer) iqID() string {
	p.t.Helper()
	p.until("<iq")
	iq := p.until("</iq>")
	_, id, ok := strings.Cut(iq, "id='")
	if !ok {
		_, id, ok = strings.Cut(iq, `id="`)
	}
	require.True(p.t, ok, iq)
	return id[:strings.IndexAny(id, `'"`)]
}

// A guest is what came of a client's visit to a raw peer.
type guest struct {
	Session *xmpp.Session
	Err     error
	Link    *xmpptest.Link
	Took    time.Duration
}

// entertain lets a client talk to a raw peer, until the client is done.
func entertain(t testing.TB, tr transport, n xmpp.Negotiator, talk func(p *peer)) *guest {
	t.Helper()
	g := &guest{Link: xmpptest.NewLink(xmpptest.LinkConfig{})}
	defer g.Link.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		start := time.Now()
		g.Session, g.Err = dial(t.Context(), tr, g.Link.A, balcony, n)
		g.Took = time.Since(start)
		if g.Err != nil {
			_ = g.Link.A.Close()
		}
	}()
	talk(&peer{t: t, Conn: g.Link.B})
	<-done
	return g
}

// keepsSecret asserts that nothing of the password was on the wire.
func (g *guest) keepsSecret(t testing.TB) {
	t.Helper()
	sent := string(g.Link.Sent(xmpptest.Client))
	for _, secret := range []string{"<auth", "<response", password, base64Of([]byte("\x00juliet\x00" + password))} {
		assert.NotContains(t, sent, secret)
	}
}

// acceptTLS is the server's side of a handshake.
func (p *peer) acceptTLS() error {
	c := tls.Server(p.Conn, serverTLS())
	if err := c.Handshake(); err != nil {
		return err
	}
	p.Conn = c
	return nil
}

// entertainSilent returns both ends of a link to a peer that says nothing.
func entertainSilent(t testing.TB) (mine, other net.Conn) {
	link := xmpptest.NewLink(xmpptest.LinkConfig{})
	t.Cleanup(func() { _ = link.Close() })
	return link.A, link.B
}
