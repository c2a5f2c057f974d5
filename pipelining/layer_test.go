// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/ping"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// scrambled is a layer that is no net.Conn, such as compression.
type scrambled struct{ io.ReadWriter }

func (s scrambled) Read(p []byte) (int, error) {
	n, err := s.ReadWriter.Read(p)
	for i := range p[:n] {
		p[i] ^= 0x55
	}
	return n, err
}

func (s scrambled) Write(p []byte) (int, error) {
	b := make([]byte, len(p))
	for i := range p {
		b[i] = p[i] ^ 0x55
	}
	return s.ReadWriter.Write(b)
}

// scramble is a stream feature that puts scrambled on top of the connection.
func scramble(wrap func(net.Conn) io.ReadWriter) xmpp.StreamFeature {
	name := xml.Name{Space: "urn:test:scramble", Local: "scramble"}
	return xmpp.StreamFeature{
		Name:       name,
		Necessary:  xmpp.Secure,
		Prohibited: xmpp.Authn,
		List: func(_ context.Context, w xmlstream.TokenWriter, start xml.StartElement) (bool, error) {
			_, err := xmlstream.Copy(w, xmlstream.Wrap(nil, start))
			return false, err
		},
		Parse: func(_ context.Context, d *xml.Decoder, _ *xml.StartElement) (bool, any, error) {
			return false, nil, d.Skip()
		},
		Negotiate: func(_ context.Context, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, error) {
			if _, again := s.Conn().(*pipelining.Conn).NetConn().(interface{ NetConn() net.Conn }); again {
				return 0, nil, nil
			}
			if s.State()&xmpp.Received == 0 {
				if _, err := io.WriteString(s.Conn(), `<scramble xmlns='urn:test:scramble'/>`); err != nil {
					return 0, nil, err
				}
			}
			r := s.TokenReader()
			defer r.Close()
			if _, err := xml.NewTokenDecoder(r).Token(); err != nil {
				return 0, nil, err
			}
			if s.State()&xmpp.Received != 0 {
				if _, err := io.WriteString(s.Conn(), `<scramble xmlns='urn:test:scramble'/>`); err != nil {
					return 0, nil, err
				}
			}
			return 0, wrap(s.Conn()), nil
		},
	}
}

// bytewise is a layer that reads bytes if it can, as compress/flate does.
type bytewise struct{ scrambled }

func (b bytewise) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c, err := b.ReadWriter.(io.ByteReader).ReadByte()
	p[0] = c ^ 0x55
	if err != nil {
		return 0, err
	}
	return 1, nil
}

// TestLayer negotiates over a layer that is not TLS and no net.Conn.
func TestLayer(t *testing.T) {
	for name, wrap := range map[string]func(net.Conn) io.ReadWriter{
		"reads":       func(c net.Conn) io.ReadWriter { return scrambled{c} },
		"reads bytes": func(c net.Conn) io.ReadWriter { return bytewise{scrambled{c}} },
	} {
		t.Run(name, func(t *testing.T) { testLayer(t, wrap) })
	}
}

func testLayer(t *testing.T, wrap func(net.Conn) io.ReadWriter) {
	synctest.Test(t, func(t *testing.T) {
		l := logIn(t, plainTCP,
			func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
				features := []xmpp.StreamFeature{scramble(wrap)}
				return dial(ctx, plainTCP, c, juliet, pipelining.Negotiator(
					xmpptest.Stock(append(features, stockClientFeatures()...)...), pipelining.Config{}))
			},
			func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
				return serve(ctx, plainTCP, c, pipelining.Config{}, append(serverFeatures(), scramble(wrap))...)
			})
		require.NoError(t, errors.Join(l.ClientErr, l.ServerErr))
		assert.NotContains(t, string(l.Link.Sent(xmpptest.Client)), "<auth", "authentication is below the layer")
		assert.Equal(t, juliet, l.Server.RemoteAddr())
		served := make(chan error, 1)
		go func() { served <- l.Server.Serve(mux.New(stanza.NSClient, ping.Handle())) }()
		pingServer(t.Context(), t, l.Client)
		assert.NoError(t, <-served)
	})
}
