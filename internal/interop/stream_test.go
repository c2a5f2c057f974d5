// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package interop_test

import (
	"crypto/tls"
	"encoding/xml"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/internal/interop"
)

// features is what a server offers on a stream.
type features struct {
	StartTLS *struct {
		Required *struct{} `xml:"required"`
	} `xml:"urn:ietf:params:xml:ns:xmpp-tls starttls"`
	Mechanisms []string `xml:"urn:ietf:params:xml:ns:xmpp-sasl mechanisms>mechanism"`
	SASL2      struct {
		Mechanisms []string  `xml:"mechanism"`
		Bind       *struct{} `xml:"inline>bind"`
		FAST       []string  `xml:"inline>fast>mechanism"`
	} `xml:"urn:xmpp:sasl:2 authentication"`
}

// stream is the client's end of a stream, without a library that could hide
// what the server sends.
type stream struct {
	t      *testing.T
	conn   net.Conn
	domain string
	from   string // the client, if it says so before it logs in
	d      *xml.Decoder
}

// dial connects to addr; the test closes the connection.
func dial(t *testing.T, addr, domain string) *stream {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	return &stream{t: t, conn: conn, domain: domain}
}

// encrypt does the TLS handshake and verifies the certificate.
func (s *stream) encrypt(srv *interop.Server) {
	s.t.Helper()
	conn := tls.Client(s.conn, &tls.Config{RootCAs: srv.Roots, ServerName: srv.Domain})
	require.NoError(s.t, conn.Handshake())
	s.conn = conn
}

// open opens a stream and returns the features that the server offers on it.
func (s *stream) open() features {
	s.t.Helper()
	s.d = xml.NewDecoder(s.conn)
	s.send(`<?xml version="1.0"?><stream:stream to="%s" `, s.domain)
	if s.from != "" {
		s.send(`from="%s" `, s.from)
	}
	s.send(`version="1.0" xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams">`)
	s.start("stream")
	var f features
	start := s.start("features")
	require.NoError(s.t, s.d.DecodeElement(&f, &start))
	return f
}

func (s *stream) send(format string, args ...any) {
	s.t.Helper()
	_, err := fmt.Fprintf(s.conn, format, args...)
	require.NoError(s.t, err)
}

// start reads the next start tag, which must have the name.
func (s *stream) start(name string) xml.StartElement {
	s.t.Helper()
	for {
		tok, err := s.d.Token()
		require.NoError(s.t, err)
		if start, ok := tok.(xml.StartElement); ok {
			require.Equal(s.t, name, start.Name.Local)
			return start
		}
	}
}
