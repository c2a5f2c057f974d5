// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"regexp"
	"strings"
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

// A tape is a connection to a peer that has said all it will ever say.
type tape struct {
	in    *bytes.Reader
	chunk int // the most that one read returns; 0 is no limit
	read  int
	out   bytes.Buffer
}

func (c *tape) Read(p []byte) (int, error) {
	if c.chunk > 0 && len(p) > c.chunk {
		p = p[:c.chunk]
	}
	n, err := c.in.Read(p)
	c.read += n
	return n, err
}

func (c *tape) Write(p []byte) (int, error)      { return c.out.Write(p) }
func (c *tape) Close() error                     { return nil }
func (c *tape) CloseWrite() error                { return nil }
func (c *tape) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *tape) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *tape) SetDeadline(time.Time) error      { return nil }
func (c *tape) SetReadDeadline(time.Time) error  { return nil }
func (c *tape) SetWriteDeadline(time.Time) error { return nil }

// random is what differs from run to run: the ids of streams and nonces.
var random = regexp.MustCompile(` id='[^']*'|<challenge[^<]*`)

const header = `<stream:stream from='juliet@im.example.com' to='im.example.com' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`

// FuzzServer lets anybody say anything to a server, and repeats it byte by
// byte: the answers must be the same (PL-07).
func FuzzServer(f *testing.F) {
	const (
		auth = `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGp1bGlldAByMG0zMG15cjBtMzA=</auth>`
		bind = `<iq id='b' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>balcony</resource></bind></iq>`
	)
	for _, seed := range []string{
		header + auth + header + bind + `<message/>`,
		"<?xml version='1.0'?>" + header + "\n " + auth + "\n<?xml version='1.0'?>\n" + header + "\n" + bind,
		header + `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>` + "\x16\x03\x01",
		header + `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'></starttls>`,
		header + `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>bixhPSxuPWp1bGlldCxyPWFiYw==</auth>` + `<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`,
		header + `<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`,
		header + auth + strings.Replace(header, "juliet", "romeo", 1) + bind,
		header + auth + strings.Replace(header, "im.example.com'", "im.example.com/b&apos;&gt;'", 1) + bind,
		header + auth + "</stream:stream>" + bind,
		header + "<!-- c --><![CDATA[x]]>", header + header, header + `<iq/>`,
		`<stream:error xmlns:stream='http://etherx.jabber.org/streams'/>`,
		`<stream:error xmlns:stream='http://etherx.jabber.org/streams'><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>`,
		"GET / HTTP/1.1\r\n\r\n", "<!DOCTYPE x>", "</x>", "<", "",
	} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	run := func(data []byte, chunk int, secure bool) (*tape, *xmpp.Session, error) {
		c := &tape{in: bytes.NewReader(data), chunk: chunk}
		state := xmpp.SessionState(0)
		if secure {
			state = xmpp.Secure
		}
		s, err := xmpp.ReceiveSession(context.Background(), c, state,
			pipelining.Negotiator(xmpptest.Stock(serverFeatures()...), pipelining.Config{}))
		return c, s, err
	}
	f.Fuzz(func(t *testing.T, data []byte, secure bool) {
		whole, s, err := run(data, 0, secure)
		if err == nil {
			require.True(t, secure, "nobody logs in without TLS")
			assert.Equal(t, juliet, s.RemoteAddr(), "the only account that there is")
		}
		if s.State()&xmpp.Authn == 0 {
			assert.LessOrEqual(t, whole.read, pipelining.DefaultMaxBytes)
		}
		if !secure {
			return // What TLS answers to is not the same twice.
		}
		pieces, _, err2 := run(data, 1, secure)
		assert.Equal(t, err == nil, err2 == nil, "%v, but byte by byte %v", err, err2)
		mask := func(c *tape) string { return random.ReplaceAllString(c.out.String(), "") }
		assert.Equal(t, mask(whole), mask(pieces))
	})
}

// plainBinder binds with an element that is always the same.
type plainBinder struct{}

func (plainBinder) Feature() xml.Name { return xml.Name{Space: "urn:test", Local: "bind"} }

func (plainBinder) Bind(jid.JID) ([]byte, func(*xml.Decoder, xml.StartElement) (jid.JID, error), error) {
	return []byte(`<bind xmlns='urn:test'/>`), func(d *xml.Decoder, start xml.StartElement) (jid.JID, error) {
		if start.Name != (xml.Name{Space: "urn:test", Local: "bound"}) {
			return jid.JID{}, errors.New("not bound")
		}
		var bound string
		if err := d.DecodeElement(&bound, &start); err != nil {
			return jid.JID{}, err
		}
		return jid.Parse(bound)
	}, nil
}

// FuzzClient lets a server answer anything to a client that has sent ahead.
func FuzzClient(f *testing.F) {
	const (
		answer   = `<stream:stream id='1' from='im.example.com' to='juliet@im.example.com' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`
		offer    = `<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms><pipelining xmlns='urn:xmpp:features:pipelining'/></stream:features>`
		success  = `<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`
		features = `<stream:features><bind xmlns='urn:test'/></stream:features>`
		bound    = `<bound xmlns='urn:test'>juliet@im.example.com/x</bound>`
	)
	for _, seed := range []string{
		answer + offer + success + answer + features + bound + `<message/>`,
		"<?xml version='1.0'?>" + answer + "\n" + offer + "\n" + success + "\n<?xml version='1.0'?>" + answer + "\n" + features + bound,
		answer + offer + `<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><invalid-mechanism/></failure>`,
		answer + offer + `<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/><text>no</text></failure>`,
		answer + offer + `<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>cj1hLHM9YSxpPQ==</challenge>`,
		answer + `<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>x</see-other-host></stream:error>`,
		`<stream:error xmlns:stream='http://etherx.jabber.org/streams'/>`,
		answer + `<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features><proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`,
		answer + offer + success + answer + features + strings.Replace(bound, "juliet", "romeo", 1),
		answer + offer + bound, answer + "</stream:stream>", answer + answer,
	} {
		for mode := range 3 {
			f.Add([]byte(seed), byte(mode), true)
			f.Add([]byte(seed), byte(mode), false)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, mode byte, secure bool) {
		c := &tape{in: bytes.NewReader(data)}
		state := xmpp.SessionState(0)
		if secure {
			state = xmpp.Secure
		}
		mechanisms := []sasl.Mechanism{sasl.Plain}
		if mode&4 != 0 {
			mechanisms = []sasl.Mechanism{sasl.ScramSha256, sasl.Plain}
		}
		s, err := xmpp.NewSession(t.Context(), domain, juliet, c, state, pipelining.Client(
			pipelining.Plan{Mode: pipelining.Mode(mode % 3)},
			pipelining.ClientConfig{
				TLS: clientTLS(), Password: password, Mechanisms: mechanisms, Binder: plainBinder{},
				Pace: time.Nanosecond,
			}))
		if err == nil {
			require.True(t, secure, "nobody logs in without TLS")
			assert.NotZero(t, s.State()&xmpp.Authn, "ready means authenticated")
			assert.Equal(t, juliet, s.LocalAddr().Bare())
			assert.NotEmpty(t, s.LocalAddr().Resourcepart(), "ready means bound")
		} else {
			assert.Empty(t, s.LocalAddr().Resourcepart(), "an address that came to nothing: %v", err)
		}
		if !secure {
			assert.NotContains(t, c.out.String(), "<auth")
		}
		if c.read > 0 && err == nil {
			assert.LessOrEqual(t, c.read, len(data))
		}
	})
}

// FuzzScanner compares where the scanner sees elements end with what
// encoding/xml sees, for every document that both accept.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{
		"<a><b/><c>x</c></a>", `<a x='>' y="'/>"><b z='</b>'/></a>`, "<a><b><![CDATA[ ]]>]]></b>]]&gt;</a>",
		"<?xml version='1.0'?>\n<a>\n<b\n/>\n</a\n>", "<a/>", "<a><b><c/></b><d></d></a>x", "<p:a xmlns:p='u'><p:b/></p:a>",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var want []int
		d, depth := xml.NewDecoder(bytes.NewReader(doc)), 0
		var ended bool
		for !ended {
			tok, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				return
			}
			switch tok.(type) {
			case xml.StartElement:
				depth++
			case xml.EndElement:
				if depth--; depth == 1 {
					want = append(want, int(d.InputOffset()))
				}
				ended = depth == 0
			}
		}
		got, over, err := pipelining.Children(doc)
		if err != nil {
			return
		}
		assert.Equal(t, want, got)
		assert.Equal(t, ended, over)
	})
}
