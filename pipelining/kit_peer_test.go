// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// What peers say.
const (
	opening  = `<stream:stream to='im.example.com' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`
	startTag = `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`
	proceed  = `<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`
	closing  = `</stream:stream>`
	askBind  = `<iq id='b' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>balcony</resource></bind></iq>`
)

// openingFrom is the opening of a client that says who it is.
func openingFrom(from string) string {
	return strings.Replace(opening, " to=", " from='"+from+"' to=", 1)
}

// authPlain is an auth element.
func authPlain(user, pass string) string {
	return `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>` +
		base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+pass)) + `</auth>`
}

// logInPlain is all that a client has to say.
func logInPlain() string { return opening + authPlain("juliet", password) + opening + askBind }

// What the servers of all tests say, with the ids of streams left out.
const (
	headed         = `<?xml version="1.0" encoding="UTF-8"?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' id='${id}' from='im.example.com'>`
	listsTLS       = `<stream:features><starttls xmlns="urn:ietf:params:xml:ns:xmpp-tls"><required></required></starttls><pipelining xmlns="urn:xmpp:features:pipelining"></pipelining></stream:features>`
	listsSASL      = `<stream:features><mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><mechanism>SCRAM-SHA-256</mechanism><mechanism>PLAIN</mechanism></mechanisms><pipelining xmlns="urn:xmpp:features:pipelining"></pipelining></stream:features>`
	listsBind      = `<stream:features><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"></bind><pipelining xmlns="urn:xmpp:features:pipelining"></pipelining></stream:features>`
	success        = `<success xmlns="urn:ietf:params:xml:ns:xmpp-sasl"></success>`
	notAuthorized  = `<failure xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><not-authorized></not-authorized></failure>`
	bound          = `<iq xmlns="jabber:client" type="result" id="b"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><jid>juliet@im.example.com/balcony</jid></bind></iq>`
	refusedOpening = "<?xml version='1.0'?><stream:stream%s id='${id}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
)

// headedTo is headed, to a client that has said who it is.
func headedTo(to string) string {
	return strings.Replace(headed, " from=", " to='"+to+"' from=", 1)
}

// refused is the header of a server that was asked for none it could answer.
func refused(from string) string {
	if from != "" {
		from = " from='" + from + "'"
	}
	return strings.Replace(refusedOpening, "%s", from, 1)
}

// ends is how a stream ends with a stream error.
func ends(condition string) string {
	return `<stream:error><` + condition + ` xmlns="urn:ietf:params:xml:ns:xmpp-streams"></` + condition + `></stream:error></stream:stream>`
}

var streamID = regexp.MustCompile(`(<stream:stream[^>]* id=')[^']*'`)

// withoutIDs leaves the ids of streams out.
func withoutIDs[T string | []byte](s T) string {
	return streamID.ReplaceAllString(string(s), "${1}$${id}'")
}

// A peer speaks raw bytes to whom is tested.
type peer struct {
	t testing.TB
	net.Conn
	heard bytes.Buffer // all that was read
}

// say sends all of s in one write.
func (p *peer) say(s ...string) {
	p.t.Helper()
	_, err := io.WriteString(p.Conn, strings.Join(s, ""))
	require.NoError(p.t, err)
}

// try is say to somebody who may have hung up.
func (p *peer) try(s string) { _, _ = io.WriteString(p.Conn, s) }

// until reads until mark was read, and returns all that was read up to it.
func (p *peer) until(mark string) string {
	p.t.Helper()
	buf := make([]byte, 1)
	start := p.heard.Len()
	for {
		if got := p.heard.Bytes()[start:]; bytes.HasSuffix(got, []byte(mark)) {
			return string(got)
		}
		_, err := io.ReadFull(p.Conn, buf)
		require.NoErrorf(p.t, err, "waiting for %q, heard %q", mark, p.heard.Bytes()[start:])
		p.heard.Write(buf)
	}
}

// rest reads up to the end of the connection.
func (p *peer) rest() {
	p.t.Helper()
	rest, err := io.ReadAll(p.Conn)
	p.heard.Write(rest)
	assert.NoError(p.t, err)
}

// all is everything that was heard, without the ids of streams.
func (p *peer) all() string { return withoutIDs(p.heard.Bytes()) }

// behind is a connection whose first write has a prefix and whose first read is
// behind a mark.
type behind struct {
	*peer
	prefix, mark string
}

func (b *behind) Write(p []byte) (int, error) {
	prefix := b.prefix
	b.prefix = ""
	if _, err := b.Conn.Write(append([]byte(prefix), p...)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (b *behind) Read(p []byte) (int, error) {
	if b.mark != "" {
		b.until(b.mark)
		b.mark = ""
	}
	return b.Conn.Read(p)
}

// startTLS sends say and the ClientHello in one write, and handshakes behind
// proceed.
func (p *peer) startTLS(say string, max uint16) error {
	config := clientTLS()
	config.MaxVersion = max
	config.CurvePreferences = []tls.CurveID{tls.X25519} // The others take their time.
	c := tls.Client(&behind{peer: &peer{t: p.t, Conn: p.Conn}, prefix: say, mark: proceed}, config)
	if err := c.Handshake(); err != nil {
		return err
	}
	p.Conn = c
	return nil
}

// decisions are what a server was asked to decide.
type decisions struct {
	mu   sync.Mutex
	list []string
}

func (d *decisions) add(s ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = append(d.list, strings.Join(s, " "))
}

// permit is permit, noted.
func (d *decisions) permit(s *xmpp.Session, n *sasl.Negotiator) (jid.JID, bool) {
	user, _, _ := n.Credentials()
	account, ok := permit(s, n)
	if ok {
		d.add("let in", string(user))
	} else {
		d.add("turn away", string(user))
	}
	return account, ok
}

// bind is bindAsked, noted.
func (d *decisions) bind(account jid.JID, resource string) (jid.JID, error) {
	d.add("bind", account.String(), resource)
	return bindAsked(account, resource)
}

// features are serverFeatures, noted.
func (d *decisions) features() []xmpp.StreamFeature {
	return []xmpp.StreamFeature{
		xmpp.StartTLS(serverTLS()),
		pipelining.SASLServer(d.permit, scramServer(), sasl.Plain),
		xmpp.BindCustom(d.bind),
		pipelining.StreamFeature(),
	}
}

// counting counts what is read from a connection.
type counting struct {
	net.Conn
	n atomic.Int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func (c *counting) CloseWrite() error { return c.Conn.(interface{ CloseWrite() error }).CloseWrite() }

// A host is a server to be visited by a raw peer. Its zero value is the server
// of all tests over plainTCP.
type host struct {
	transport transport
	cfg       pipelining.Config
	link      xmpptest.LinkConfig
	features  func(d *decisions) []xmpp.StreamFeature
	ctx       context.Context
}

// A visit is what came of a visit.
type visit struct {
	Session *xmpp.Session
	Err     error
	// Heard is all that the server has said, ids of streams left out. If the
	// peer has changed to TLS, it is what was said inside.
	Heard   string
	Decided []string
	Read    int // bytes off the connection
	Took    time.Duration
	Link    *xmpptest.Link
}

// visit lets a raw peer talk to a server, until the server has hung up or the
// peer is done and the server is ready. If the server fails, it must have
// closed the connection.
func (h host) visit(t testing.TB, talk func(p *peer)) *visit {
	t.Helper()
	link := xmpptest.NewLink(h.link)
	v := &visit{Link: link}
	t.Cleanup(func() { _ = link.Close() })
	ctx := h.ctx
	if ctx == nil {
		ctx = t.Context()
	}
	var d decisions
	features := d.features()
	if h.features != nil {
		features = h.features(&d)
	}
	tr := h.transport
	if tr == "" {
		tr = plainTCP
	}
	conn := &counting{Conn: link.B}
	done := make(chan struct{})
	go func() {
		defer close(done)
		start := time.Now()
		v.Session, v.Err = serve(ctx, tr, conn, h.cfg, features...)
		v.Took = time.Since(start)
	}()
	p := &peer{t: t, Conn: link.A}
	if tr == directTLS {
		p.Conn = tls.Client(link.A, clientTLS())
	}
	talk(p)
	<-done
	if v.Err != nil {
		p.rest()
		time.Sleep(h.link.BtoA)
		_, err := link.A.Write([]byte{' '})
		require.ErrorIs(t, err, io.ErrClosedPipe, "the server closes the connection when it fails")
	}
	v.Heard, v.Decided, v.Read = p.all(), d.list, int(conn.n.Load())
	return v
}

// refuseAll refuses all certificates.
func refuseAll(err error) func([][]byte, [][]*x509.Certificate) error {
	return func([][]byte, [][]*x509.Certificate) error { return err }
}
