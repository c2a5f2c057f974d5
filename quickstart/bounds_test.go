// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"context"
	"crypto/rand"
	"encoding/xml"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/pipelining"
	"github.com/xmppext/xmppext/quickstart"
)

// more lists more mechanisms in the elements that end in a list of features.
type more struct {
	xmlstream.TokenWriter
	names []string
}

// EncodeToken writes the names in front of the end of the list.
func (m more) EncodeToken(t xml.Token) error {
	if end, ok := t.(xml.EndElement); ok && (end.Name.Local == "authentication" || end.Name.Local == "mechanisms") {
		for _, name := range m.names {
			start := xml.StartElement{Name: xml.Name{Space: end.Name.Space, Local: "mechanism"}}
			if _, err := xmlstream.Copy(m.TokenWriter, xmlstream.Wrap(xmlstream.Token(xml.CharData(name)), start)); err != nil {
				return err
			}
		}
	}
	return m.TokenWriter.EncodeToken(t)
}

// listing is serve for a server that lists so many mechanisms of its own invention, others
// each time.
func (h *house) listing(n int) func(context.Context, net.Conn) {
	features := func(s *xmpp.Session, c *xmpp.StreamConfig) xmpp.StreamConfig {
		is := h.features(s, c)
		for i, f := range is.Features {
			if f.Name.Local != "authentication" && f.Name.Local != "mechanisms" {
				continue
			}
			is.Features[i].List = func(ctx context.Context, w xmlstream.TokenWriter, start xml.StartElement) (bool, error) {
				var names []string
				for range n {
					names = append(names, rand.Text()[:20])
				}
				return f.List(ctx, more{w, names}, start)
			}
		}
		return is
	}
	return func(ctx context.Context, c net.Conn) {
		if _, err := xmpp.ReceiveSession(ctx, c, 0, pipelining.NewNegotiator(features, pipelining.Config{})); err != nil {
			_ = c.Close()
		}
	}
}

// TestBounds asserts that what a server makes a client remember does not grow with what it
// invents.
func TestBounds(t *testing.T) {
	for name, kind := range kinds {
		inBubble(t, name, func(t *testing.T) {
			size := func(invented int) int {
				h := kind()
				w := newWorld(t, h.listing(invented))
				d := newDialer(w)
				d.Mechanisms = []string{auth.ScramSHA256, auth.ScramSHA1}
				for range 6 {
					mustDial(t, d)
				}
				b, err := d.Cache.Get(t.Context(), quickstart.Key{Account: juliet, Name: "plan"})
				require.NoError(t, err)
				return len(b)
			}
			usual := size(0)
			assert.InDelta(t, usual, size(200), 100)
		})
	}
}
