// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"context"
	"encoding/xml"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"

	"github.com/xmppext/xmppext/pipelining"
	"github.com/xmppext/xmppext/quickstart"
)

// TestServerCapsBounds asserts that a server does not make a client remember more than
// it may of what it can do: that would drive out what is known of others.
func TestServerCapsBounds(t *testing.T) {
	inBubble(t, "a node that is too long", func(t *testing.T) {
		h := newOldHouse()
		told := xmpp.StreamFeature{
			Name: xml.Name{Space: quickstart.NSCaps, Local: "c"}, Necessary: xmpp.Authn,
			List: func(_ context.Context, w xmlstream.TokenWriter, start xml.StartElement) (bool, error) {
				for name, value := range map[string]string{"hash": "sha-1", "node": strings.Repeat("n", 900<<10), "ver": "x"} {
					start.Attr = append(start.Attr, xml.Attr{Name: xml.Name{Local: name}, Value: value})
				}
				_, err := xmlstream.Copy(w, xmlstream.Wrap(nil, start))
				return false, err
			},
		}
		w := newWorld(t, func(ctx context.Context, c net.Conn) {
			features := func(s *xmpp.Session, cfg *xmpp.StreamConfig) xmpp.StreamConfig {
				is := h.features(s, cfg)
				is.Features = append(is.Features, told)
				return is
			}
			if _, err := xmpp.ReceiveSession(ctx, c, 0, pipelining.NewNegotiator(features, pipelining.Config{})); err != nil {
				_ = c.Close()
			}
		})
		d := newDialer(w)
		d.Discover = true
		_ = mustDial(t, d).Conn().Close()
		b, err := d.Cache.Get(t.Context(), quickstart.Key{Account: juliet, Name: "plan"})
		require.NoError(t, err)
		require.NotNil(t, b)
		assert.Less(t, len(b), 2<<10)
	})
}
