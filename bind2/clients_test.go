// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/ping"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/internal/interop"
	"github.com/xmppext/xmppext/pipelining"
)

// listen serves h on loopback with direct TLS until the test ends.
func (h house) listen(t *testing.T) (addr string, roots []byte) {
	t.Helper()
	cert, roots := interop.Certificate(t, domain.String())
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	h.logins.Certificate, h.logins.AllowSpace = auth.Leaf(cert), true
	h.cfg.AllowSpace = true
	n := h.negotiator()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var sessions sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
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
				s, err := xmpp.ReceiveSession(ctx, io.ReadWriter(tls.Server(pipelining.NewConn(conn), config)), 0, n)
				if err == nil {
					_ = s.Serve(mux.New(stanza.NSClient, ping.Handle(), bind2.RefuseLate()))
					_ = s.Close()
				}
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		sessions.Wait()
	})
	return ln.Addr().String(), roots
}

// TestClients lets clients that other people wrote bind at our server.
func TestClients(t *testing.T) {
	for _, test := range []struct {
		name  string
		other func(testing.TB) *interop.Client
		by    bind2.Protocol
		tag   string // that it takes for itself or, if it is Balcony, from its user
	}{
		{"mellium", func(testing.TB) *interop.Client { return interop.Mellium() }, bind2.Legacy, ""},
		{"xmpp.js", interop.XMPPJS, bind2.Inline, "Balcony"},
		{"slixmpp", interop.Slixmpp, bind2.Legacy, ""},
		{"go-xmpp", interop.GoXMPP, bind2.Inline, "go-xmpp"},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := test.other(t)
			store := new(fakeStore)
			h := newHouse(store)
			addr, roots := h.listen(t)
			account := juliet.String()
			if test.by == bind2.Inline {
				account += "/Balcony"
			}
			results := client.Login(t, interop.ClientLogin{
				JID: account, Password: password, RootsPEM: roots, Addr: addr, DirectTLS: true, UserAgentID: agentID, Times: 2,
			})
			require.Len(t, results, 2)
			asked := store.asked()
			require.Len(t, asked, 2, "once for each login")
			for i, r := range results {
				require.Empty(t, r.Error)
				bound, err := jid.Parse(r.JID)
				require.NoError(t, err)
				assert.True(t, bound.Bare().Equal(juliet))
				assert.NotEmpty(t, bound.Resourcepart())
				assert.Equal(t, test.by, asked[i].Protocol)
				assert.True(t, asked[i].Account.Equal(juliet))
				if test.by == bind2.Inline {
					assert.Equal(t, test.tag, asked[i].Tag)
					assert.Regexp(t, "^"+test.tag+`/[A-Z2-7]{26}$`, bound.Resourcepart())
					assert.Equal(t, agentID, asked[i].Client)
				}
				t.Logf("%+v", asked[i])
			}
		})
	}
}
