// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// TestServerToServer is PL-15: the same flights between servers, with EXTERNAL.
func TestServerToServer(t *testing.T) {
	verona := jid.MustParse("verona.example")
	permitDomain := func(s *xmpp.Session, n *sasl.Negotiator) (jid.JID, bool) {
		_, _, identity := n.Credentials()
		peer := s.RemoteAddr()
		if len(identity) > 0 {
			var err error
			if peer, err = jid.Parse(string(identity)); err != nil {
				return jid.JID{}, false
			}
		}
		certs := s.ConnectionState().PeerCertificates
		return peer, len(certs) > 0 && certs[0].VerifyHostname(peer.String()) == nil
	}
	run := func(t *testing.T, mode pipelining.Mode, identity string) *login {
		return logIn(t, startTLS,
			func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
				config := clientTLS()
				config.Certificates = []tls.Certificate{pki().cert}
				config.ServerName = ""
				return xmpp.NewSession(ctx, domain, verona, c, xmpp.S2S, pipelining.Client(pipelining.Plan{Mode: mode},
					pipelining.ClientConfig{TLS: config, Identity: identity, Mechanisms: []sasl.Mechanism{external}}))
			},
			func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
				config := serverTLS()
				config.ClientAuth = tls.RequireAndVerifyClientCert
				config.ClientCAs = pki().pool
				return xmpp.ReceiveSession(ctx, c, xmpp.S2S, pipelining.Negotiator(xmpptest.Stock(
					pipelining.StreamFeature(),
					xmpp.StartTLS(config),
					pipelining.SASLServer(permitDomain, external),
				), pipelining.Config{}))
			})
	}
	for mode, trips := range map[pipelining.Mode]float64{pipelining.Full: 2, pipelining.Off: 6} {
		t.Run(mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := run(t, mode, "")
				require.NoError(t, errors.Join(l.ClientErr, l.ServerErr))
				assert.Equal(t, trips, l.Link.RoundTrips(l.Took))
				assert.Equal(t, verona, l.Server.RemoteAddr())
				assert.Equal(t, domain, l.Server.LocalAddr())
				assert.Equal(t, stanza.NSServer, l.Server.In().XMLNS)
				assert.NotEmpty(t, l.Server.Out().ID)
				assert.Equal(t, l.Server.Out().ID, l.Client.In().ID)
				_, ok := l.Client.Feature(pipelining.NS)
				assert.True(t, ok)

				// The session that a stock server never gets to is alive.
				got := make(chan string, 1)
				go func() {
					_ = l.Server.Serve(mux.New(stanza.NSServer, mux.MessageFunc(stanza.NormalMessage, element2("body"),
						func(m stanza.Message, _ xmlstream.TokenReadEncoder) error {
							got <- m.From.String()
							return nil
						})))
				}()
				require.NoError(t, l.Client.Send(t.Context(), stanza.Message{
					From: verona, To: domain, Type: stanza.NormalMessage,
				}.Wrap(element("", "body"))))
				assert.Equal(t, verona.String(), <-got)
				require.NoError(t, l.Client.Close())
			})
		})
	}
	t.Run("a certificate for another domain", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := run(t, pipelining.Full, "montague.example")
			var failure pipelining.AuthError
			require.ErrorAs(t, l.ClientErr, &failure)
			assert.Equal(t, "not-authorized", failure.Condition)
			assert.ErrorIs(t, l.ServerErr, sasl.ErrAuthn)
		})
	})
}
