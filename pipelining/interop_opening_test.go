// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/internal/interop"
	"github.com/xmppext/xmppext/pipelining"
)

func TestOpeningAtProsody(t *testing.T) { testOpeningAt(t, interop.Prosody(t, interopConfig)) }

func TestOpeningAtEjabberd(t *testing.T) { testOpeningAt(t, interop.Ejabberd(t, interopConfig)) }

// testOpeningAt asks a real server for the roster, and sends it the presence, in the
// flight of a login by PLAIN. As neither announces pipelining, that is in two writes.
func testOpeningAt(t *testing.T, server *interop.Server) {
	account, err := jid.New(interopUser, server.Domain, "")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tcp, err := new(net.Dialer).DialContext(ctx, "tcp", server.DirectTLS)
	require.NoError(t, err)
	defer tcp.Close()
	counted := &flightConn{Conn: tcp}
	trusted := &tls.Config{RootCAs: server.Roots, ServerName: server.Domain}
	var called bool
	cfg := pipelining.ClientConfig{
		TLS: trusted, Password: password, Mechanisms: []sasl.Mechanism{sasl.Plain},
		Pace: 100 * time.Millisecond, // A machine that is busy with other tests may be slow to read.
		Opening: func() ([]byte, error) {
			called = true
			return []byte(`<iq type='get' id='r1'><query xmlns='jabber:iq:roster'/></iq><presence/>`), nil
		},
	}
	s, err := xmpp.NewSession(ctx, account.Domain(), account, tls.Client(counted, trusted), xmpp.Secure,
		pipelining.Client(pipelining.Plan{Mode: pipelining.Paced}, cfg))
	require.NoError(t, err)
	assert.True(t, called)

	got := make(chan string, 10)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(xmpp.HandlerFunc(func(_ xmlstream.TokenReadEncoder, start *xml.StartElement) error {
			for _, a := range start.Attr {
				if a.Name.Local == "id" && start.Name.Local == "iq" || a.Name.Local == "from" && start.Name.Local == "presence" {
					got <- start.Name.Local + " " + a.Value
				}
			}
			return nil
		}))
	}()
	for _, want := range []string{"iq r1", "presence " + s.LocalAddr().String()} {
		select {
		case have := <-got:
			assert.Equal(t, want, have)
		case <-ctx.Done():
			require.Fail(t, "no answer", want)
		}
	}
	counted.mu.Lock()
	assert.Equal(t, 2, counted.flights, "TLS and all the rest")
	counted.mu.Unlock()
	_ = tcp.Close()
	<-done
}
