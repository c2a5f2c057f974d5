// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam_test

import (
	"context"
	"crypto/tls"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/internal/interop"
	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/mam"
)

// manyMessages is more than a server puts into a page.
const manyMessages = 600

func TestProsody(t *testing.T) {
	testFetchFrom(t, interop.Prosody(t, interop.Config{
		Users: map[string]string{"juliet": "r0m30"}, Modules: []string{"mam"},
	}))
}

func TestEjabberd(t *testing.T) {
	testFetchFrom(t, interop.Ejabberd(t, interop.Config{
		Users: map[string]string{"juliet": "r0m30"}, Modules: []string{"mam"},
	}))
}

// testFetchFrom fills an archive of somebody else's, and fetches it.
func testFetchFrom(t *testing.T, server *interop.Server) {
	t.Logf("%s", server.Version)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	account := jid.MustParse("juliet@" + server.Domain + "/chamber")
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", server.DirectTLS)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	s, err := xmpp.NewSession(ctx, account.Domain(), account, tls.Client(conn, &tls.Config{RootCAs: server.Roots, ServerName: server.Domain}), xmpp.Secure,
		xmpptest.Stock(xmpp.SASL("", "r0m30", sasl.ScramSha1), xmpp.BindResource()))
	require.NoError(t, err)
	c := new(mam.Client)
	go func() { _ = s.Serve(mux.New(stanza.NSClient, mam.HandleClient(c))) }()

	prefs := parsed(`<prefs xmlns="urn:xmpp:mam:2" default="always"><always/><never/></prefs>`)
	r, err := s.SendIQ(ctx, stanza.IQ{Type: stanza.SetIQ}.Wrap(prefs))
	require.NoError(t, err)
	_, err = xmlstream.Copy(xmlstream.Discard(), r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	for i := range manyMessages {
		require.NoError(t, s.Send(ctx, parsed(`<message xmlns="jabber:client" type="chat" to="romeo@%s" id="m%d"><body>%d</body></message>`, server.Domain, i+1, i+1)))
	}
	// What comes behind is answered behind.
	r, err = s.SendIQ(ctx, stanza.IQ{Type: stanza.GetIQ, To: account.Domain()}.Wrap(parsed(`<ping xmlns="urn:xmpp:ping"/>`)))
	require.NoError(t, err)
	_, err = xmlstream.Copy(xmlstream.Discard(), r)
	require.NoError(t, err)
	require.NoError(t, r.Close())

	var (
		got   []string
		place mam.Place
	)
	handle := func(r mam.Result) error {
		if _, err := strconv.Atoi(bodyOf(r)); err == nil { // The server may have bounced some.
			got = append(got, bodyOf(r))
		}
		assert.NotZero(t, r.Stamp)
		return nil
	}
	start := time.Now()
	place, err = c.CatchUp(ctx, s, jid.JID{}, mam.Query{}, mam.Place{}, "", handle)
	require.NoError(t, err)
	t.Logf("%d messages in %v", len(got), time.Since(start))
	assert.Equal(t, numbers(1, manyMessages), got)

	got = nil
	again, err := c.CatchUp(ctx, s, jid.JID{}, mam.Query{}, place, "", handle)
	require.NoError(t, err)
	assert.Empty(t, got, "there is nothing new")
	assert.Equal(t, place, again)
	_ = s.Close()
}
