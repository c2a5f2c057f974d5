// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/internal/interop"
	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/mam"
)

// listen serves an archive of juliet's on loopback until the test ends. It returns
// the address, and the certificate to trust.
func listen(t *testing.T, archive mam.Archive) (addr string, roots []byte) {
	t.Helper()
	cert, roots := interop.Certificate(t, juliet.Domainpart())
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	negotiator := xmpptest.Stock(
		xmpp.SASLServer(func(n *sasl.Negotiator) bool {
			user, password, _ := n.Credentials()
			return string(user) == juliet.Localpart() && string(password) == xmpptest.Password
		}, sasl.Plain),
		xmpp.BindCustom(func(jid.JID, string) (jid.JID, error) { return juliet.WithResource("chamber") }),
	)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	require.NoError(t, err)
	var sessions sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	t.Cleanup(func() {
		cancel()
		sessions.Wait()
	})
	serve := func(conn net.Conn) {
		defer conn.Close()
		defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
		s, err := xmpp.ReceiveSession(ctx, conn, xmpp.Secure, negotiator)
		if err == nil {
			_ = s.Serve(mux.New(stanza.NSClient, mam.Handle(&mam.Handler{Archive: archive, Account: juliet})))
			_ = s.Close()
		}
	}
	sessions.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			sessions.Go(func() { serve(conn) })
		}
	})
	return listener.Addr().String(), roots
}

// TestClients lets clients that other people wrote read an archive of ours.
func TestClients(t *testing.T) {
	const friends = 5
	archive := new(mam.Memory)
	var (
		all  []interop.ArchiveMessage
		with = make([][]interop.ArchiveMessage, friends)
	)
	for i := range 250 {
		friend := jid.MustParse(fmt.Sprintf("friend%d@montague.lit/orchard", i%friends))
		body := fmt.Sprintf("Ä & <%d>", i)
		item, err := archive.Append(t.Context(), juliet, mam.Message{
			With: friend,
			XML:  fmt.Appendf(nil, `<message xmlns="jabber:client" from=%q to=%q type="chat" id="m%d"><body>Ä &amp; &lt;%d></body></message>`, friend, juliet, i, i),
		})
		require.NoError(t, err)
		message := interop.ArchiveMessage{ID: item.ID, Body: body}
		all = append(all, message)
		with[i%friends] = append(with[i%friends], message)
	}
	flipped := func(messages []interop.ArchiveMessage) []interop.ArchiveMessage {
		messages = slices.Clone(messages)
		slices.Reverse(messages)
		return messages
	}
	queries := []struct {
		rule string
		q    interop.ArchiveQuery
		want []interop.ArchiveMessage
	}{
		{"MA-13: the first page", interop.ArchiveQuery{Max: 20}, all[:20]},
		{"MA-33: the last page", interop.ArchiveQuery{Max: 20, Last: true}, all[230:]},
		{"MA-18: with a contact", interop.ArchiveQuery{Max: 100, With: "friend2@montague.lit"}, with[2]},
		{"MA-18: with a contact, the last page", interop.ArchiveQuery{Max: 7, Last: true, With: "friend3@montague.lit/orchard"}, with[3][43:]},
		{"MA-34: a flipped page", interop.ArchiveQuery{Max: 20, Flip: true}, flipped(all[:20])},
		{"MA-34: the last page, flipped", interop.ArchiveQuery{Max: 20, Last: true, Flip: true}, flipped(all[230:])},
		{"MA-13: page after page", interop.ArchiveQuery{Max: 30, All: true}, all},
		{"MA-13: page after page, to the end of a full one", interop.ArchiveQuery{Max: 25, All: true, With: "friend0@montague.lit"}, with[0]},
	}
	addr, roots := listen(t, archive)
	login := interop.ClientLogin{
		JID: juliet.String(), Password: xmpptest.Password, Addr: addr, DirectTLS: true, RootsPEM: roots, Mechanism: "PLAIN",
	}
	for _, query := range queries {
		login.Queries = append(login.Queries, query.q)
	}
	for _, test := range []struct {
		name  string
		other func(testing.TB) *interop.Client
	}{
		{"mellium", func(testing.TB) *interop.Client { return interop.Mellium() }},
		{"slixmpp", interop.Slixmpp},
		{"xmpp.js", interop.XMPPJS},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := test.other(t).Login(t, login)[0]
			require.Empty(t, r.Error)
			require.Len(t, r.Archive, len(queries))
			for i, query := range queries {
				t.Run(query.rule, func(t *testing.T) { assert.Equal(t, query.want, r.Archive[i]) })
			}
		})
	}
}
