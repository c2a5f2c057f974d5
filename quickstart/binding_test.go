// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"context"
	"crypto/tls"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/pipelining"
	"github.com/xmppext/xmppext/quickstart"
)

// endPointOnly is a server's connection that has nothing to bind to but the
// certificate, as behind TLS that somebody else does.
type endPointOnly struct{ *tls.Conn }

func (c endPointOnly) ConnectionState() tls.ConnectionState {
	state := c.Conn.ConnectionState()
	state.Version, state.TLSUnique = tls.VersionTLS12, nil
	return state
}

// serveEndPoint is serve with direct TLS, and with tls-server-end-point alone.
func (h *house) serveEndPoint(ctx context.Context, conn net.Conn) {
	held := pipelining.NewConn(conn)
	secure := tls.Server(held, h.tls)
	if secure.HandshakeContext(ctx) != nil {
		_ = held.Flush() // It says why.
		_ = conn.Close()
		return
	}
	n := pipelining.NewNegotiator(h.features, pipelining.Config{TeeIn: &h.heard})
	if _, err := xmpp.ReceiveSession(ctx, endPointOnly{secure}, xmpp.Secure, n); err != nil {
		_ = conn.Close()
	}
}

// TestBindings is about types of channel binding that are remembered.
func TestBindings(t *testing.T) {
	for name, build := range kinds {
		inBubble(t, "SA-30: end-point is all there is, "+name, func(t *testing.T) {
			h := build().offering(auth.DefaultMechanisms()...)
			w := newWorld(t, h.serveEndPoint)
			d := newDialer(w)
			d.Security, d.NoTokens = quickstart.DirectTLS, true
			for i := range 3 {
				r := mustDial(t, d).Report
				assert.Equal(t, auth.ScramSHA256Plus, r.Mechanism)
				assert.Equal(t, 1, r.Attempts)
				assert.Equal(t, i > 0, r.Held, "the type is remembered")
			}
		})
		inBubble(t, "D-20: the exporter has gone from the list, "+name, func(t *testing.T) {
			h := build().offering(auth.DefaultMechanisms()...)
			h.direct = true
			w := newWorld(t, h.serve)
			d := newDialer(w)
			d.Security, d.NoTokens = quickstart.DirectTLS, true
			mustDial(t, d)
			w.put(homeAddress, h.serveEndPoint)
			for _, lockStep := range []bool{false, true} {
				later := newDialer(w)
				later.Cache, later.Security, later.NoTokens, later.LockStep = d.Cache, d.Security, true, lockStep
				_, err := later.Dial(t.Context(), juliet, quickstart.Password(password))
				require.ErrorIs(t, err, quickstart.ErrDowngrade)
			}
			require.NoError(t, d.Forget(t.Context(), juliet))
			mustDial(t, d)
		})
	}
	inBubble(t, "D-20: a token does not wash the types", func(t *testing.T) {
		h := newHouse().offering(auth.DefaultMechanisms()...)
		h.direct = true
		h.logins.FAST.Mechanisms = []string{auth.HTSHA256None}
		w := newWorld(t, h.serve)
		d := newDialer(w)
		d.Security = quickstart.DirectTLS
		mustDial(t, d)
		// In the middle, somebody lets the token pass.
		w.put(homeAddress, h.serveEndPoint)
		require.Equal(t, auth.HTSHA256None, mustDial(t, d).Report.Mechanism)
		later := newDialer(w)
		later.Cache, later.Security, later.NoTokens = d.Cache, d.Security, true
		_, err := later.Dial(t.Context(), juliet, quickstart.Password(password))
		require.ErrorIs(t, err, quickstart.ErrDowngrade)
	})
}
