// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// What raw clients say.
const (
	opening   = `<stream:stream from='juliet@im.example.com' to='im.example.com' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`
	askEarly  = `<bind xmlns='urn:xmpp:bind2:0'/>`
	askLegacy = `<iq id='b' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>`
	closing   = `</stream:stream>`
	agent     = `<user-agent id='` + agentID + `'/>`
)

// plain begins a login by RFC 6120.
func plain(user, pass string) string {
	return "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + encoded("\x00"+user+"\x00"+pass) + "</auth>"
}

// plain2 begins a login by SASL2, with more in it.
func plain2(user, pass string, more ...string) string {
	return "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>" + encoded("\x00"+user+"\x00"+pass) +
		"</initial-response>" + strings.Join(more, "") + "</authenticate>"
}

// askInline asks for a resource within SASL2.
func askInline(inner ...string) string {
	return "<bind xmlns='urn:xmpp:bind:0'>" + strings.Join(inner, "") + "</bind>"
}

// askFor asks for a resource by name.
func askFor(resource string) string {
	return "<iq id='b' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>" + resource + "</resource></bind></iq>"
}

func encoded(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// streamError is how our negotiator ends a stream.
func streamError(condition string) string {
	return `<stream:error><` + condition + ` xmlns="urn:ietf:params:xml:ns:xmpp-streams"></` + condition + `></stream:error></stream:stream>`
}

// A peer speaks bytes to a client or a server.
type peer struct {
	t testing.TB
	net.Conn
	side  xmpptest.Side
	ahead []byte              // what was read and has not been waited for
	heard bytes.Buffer        // all that was
	said  xmpptest.Transcript // by both
}

// say sends all of s in one write.
func (p *peer) say(s ...string) {
	p.t.Helper()
	text := strings.Join(s, "")
	p.said = append(p.said, xmpptest.Line{Side: p.side, Text: xmpptest.Literal(text)})
	_, err := io.WriteString(p.Conn, text)
	require.NoError(p.t, err)
}

// until reads until mark was read, and returns all that was read for it.
func (p *peer) until(mark string) string {
	p.t.Helper()
	buf := make([]byte, 4096)
	for {
		if i := bytes.Index(p.ahead, []byte(mark)); i >= 0 {
			return p.hear(i + len(mark))
		}
		n, err := p.Read(buf)
		p.ahead = append(p.ahead, buf[:n]...)
		if n == 0 {
			require.NoErrorf(p.t, err, "waiting for %q, heard %q", mark, p.ahead)
		}
	}
}

// hear takes n bytes of what has been read.
func (p *peer) hear(n int) string {
	got := string(p.ahead[:n])
	p.ahead = p.ahead[n:]
	if n > 0 {
		p.heard.WriteString(got)
		p.said = append(p.said, xmpptest.Line{Side: p.side.Other(), Text: xmpptest.Literal(got)})
	}
	return got
}

// rest reads up to the end of the connection.
func (p *peer) rest() string {
	p.t.Helper()
	rest, err := io.ReadAll(p.Conn)
	p.ahead = append(p.ahead, rest...)
	if !errors.Is(err, net.ErrClosed) { // It has hung up itself.
		assert.NoError(p.t, err)
	}
	return p.hear(len(p.ahead))
}

// login logs in by RFC 6120, up to the features behind it.
func (p *peer) login() string {
	p.t.Helper()
	p.say(opening)
	p.until("</stream:features>")
	p.say(plain("juliet", password))
	p.until("success")
	p.until(">")
	p.say(opening)
	return p.until("</stream:features>")
}

// An outcome is what came of a visit.
type outcome struct {
	Session *xmpp.Session
	Err     error
	Heard   string // by the raw end, ids of streams left out
	Said    xmpptest.Transcript
	Link    *xmpptest.Link
}

// golden compares what was said with a golden transcript.
func (o *outcome) golden(t testing.TB, file string) {
	t.Helper()
	xmpptest.Compare(t, "testdata/"+file, o.Said.SplitElements())
}

var streamID = regexp.MustCompile(`(<stream:stream[^>]* id=')[^']*'`)

// visit lets a raw client talk to h until it is done, in a bubble. A server that
// still waits for something then finds that the client has nothing more to say.
func (h house) visit(t testing.TB, talk func(p *peer)) *outcome {
	t.Helper()
	o := &outcome{Link: xmpptest.NewLink(xmpptest.LinkConfig{AtoB: oneWay, BtoA: oneWay})}
	defer func() { _ = o.Link.Close() }()
	_ = o.Link.A.SetReadDeadline(time.Now().Add(2 * pipelining.DefaultTimeout))
	done := make(chan struct{})
	go func() {
		defer close(done)
		var rw io.ReadWriter = o.Link.B
		o.Session, o.Err = xmpp.ReceiveSession(t.Context(), rw, xmpp.Secure, h.negotiator())
		if o.Err != nil {
			_ = o.Link.B.Close()
		}
	}()
	p := &peer{t: t, Conn: o.Link.A, side: xmpptest.Client}
	talk(p)
	_ = o.Link.CloseWrite(xmpptest.Client)
	<-done
	if o.Err == nil {
		_ = o.Link.CloseWrite(xmpptest.Server) // It has said all that there was to say.
	}
	p.rest()
	o.Heard, o.Said = streamID.ReplaceAllString(p.heard.String(), "${1}'"), p.said
	return o
}

// host lets juliet's client talk to a raw server until the client is done.
func host(t testing.TB, client xmpp.Negotiator, script func(p *peer)) *outcome {
	t.Helper()
	return hostFor(t, juliet, client, script)
}

// hostFor is host for somebody else.
func hostFor(t testing.TB, origin jid.JID, client xmpp.Negotiator, script func(p *peer)) *outcome {
	t.Helper()
	o := &outcome{Link: xmpptest.NewLink(xmpptest.LinkConfig{})}
	defer func() { _ = o.Link.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.Session, o.Err = xmpp.NewSession(ctx, origin.Domain(), origin, o.Link.A, xmpp.Secure, client)
		if o.Err != nil {
			_ = o.Link.A.Close()
		}
	}()
	p := &peer{t: t, Conn: o.Link.B, side: xmpptest.Server}
	script(p)
	_ = o.Link.CloseWrite(xmpptest.Server)
	<-done
	_ = o.Link.CloseWrite(xmpptest.Client)
	p.rest()
	o.Heard, o.Said = p.heard.String(), p.said
	return o
}

// A meeting is one negotiation of a client with a server.
type meeting struct {
	Link                 *xmpptest.Link
	Client, Server       *xmpp.Session
	ClientErr, ServerErr error
	Took                 time.Duration // by the client
}

// meet lets a client and a server negotiate. Origin is the client's address.
func (h house) meet(t testing.TB, origin jid.JID, client xmpp.Negotiator) *meeting {
	t.Helper()
	m := &meeting{Link: xmpptest.NewLink(xmpptest.LinkConfig{AtoB: oneWay, BtoA: oneWay})}
	var a, b io.ReadWriter = m.Link.A, m.Link.B
	if h.tls {
		a = tls.Client(pipelining.NewConn(m.Link.A), clientTLS())
		b = tls.Server(pipelining.NewConn(m.Link.B), serverTLS())
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel) // Not earlier: mellium may let a live session feel it.
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.Server, m.ServerErr = xmpp.ReceiveSession(ctx, b, xmpp.Secure, h.negotiator())
		if m.ServerErr != nil {
			_ = m.Link.B.Close()
		}
	}()
	start := time.Now()
	m.Client, m.ClientErr = xmpp.NewSession(ctx, domain, origin, a, xmpp.Secure, client)
	m.Took = time.Since(start)
	if m.ClientErr != nil {
		_ = m.Link.A.Close()
	}
	<-done
	t.Cleanup(func() { _ = m.Link.Close() })
	return m
}

// mustMeet is meet, which must succeed for juliet.
func (h house) mustMeet(t testing.TB, client xmpp.Negotiator) *meeting {
	t.Helper()
	m := h.meet(t, juliet, client)
	require.NoError(t, errors.Join(m.ClientErr, m.ServerErr))
	require.Equal(t, juliet, m.Server.RemoteAddr(), "the account is the session's")
	require.True(t, m.Client.LocalAddr().Bare().Equal(juliet))
	require.NotEmpty(t, m.Client.LocalAddr().Resourcepart())
	return m
}

// header reads a stream header and answers it.
func (p *peer) header() {
	p.t.Helper()
	head := p.until("<stream:stream") + p.until(">")
	to := regexp.MustCompile(` to='([^']*)'`).FindStringSubmatch(head)
	require.NotNil(p.t, to, head)
	p.say("<stream:stream from='" + to[1] + "' id='s1' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>")
}
