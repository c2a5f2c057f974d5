// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"strings"
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

// first and second are what clients begin with.
const (
	first  = `<presence id='first'/>`
	second = `<presence id='second'/>`
)

// begins returns an Opening that counts how often it is called.
func begins(calls *int) func() ([]byte, error) {
	return func() ([]byte, error) {
		*calls++
		return []byte(first + second), nil
	}
}

// hears serves a session and returns the ids of the presences that come in.
func hears(s *xmpp.Session) <-chan string {
	ids := make(chan string, 2)
	go func() {
		_ = s.Serve(mux.New(stanza.NSClient, mux.PresenceFunc("", xml.Name{},
			func(p stanza.Presence, _ xmlstream.TokenReadEncoder) error {
				ids <- p.ID
				return nil
			})))
	}()
	return ids
}

// TestOpening asserts where stanzas are in the flight of the login.
func TestOpening(t *testing.T) {
	anybody := func(s *xmpp.Session, _ *sasl.Negotiator) (jid.JID, bool) { return juliet, true }
	for _, test := range []struct {
		name      string
		transport transport
		mode      pipelining.Mode
		mechanism sasl.Mechanism
		flights   int // of the client, with what is sent at once behind a pause
		called    int
	}{
		{"PLAIN", plainTCP, pipelining.Full, sasl.Plain, 1, 1},
		{"PLAIN", directTLS, pipelining.Full, sasl.Plain, 2, 1},
		{"PLAIN", startTLS, pipelining.Full, sasl.Plain, 2, 1},
		{"PLAIN", plainTCP, pipelining.Paced, sasl.Plain, 1, 1},
		{"EXTERNAL", startTLS, pipelining.Full, external, 2, 1},
		{"PLAIN", plainTCP, pipelining.Off, sasl.Plain, 4, 0},
		{"SCRAM, before the server's proof", plainTCP, pipelining.Full, sasl.ScramSha256, 2, 0},
		{"SCRAM, before the server's proof", startTLS, pipelining.Paced, sasl.ScramSha256, 3, 0},
	} {
		t.Run(test.name+" "+string(test.transport)+" "+test.mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var called int
				cfg := clientConfig(test.mechanism)
				cfg.Opening = begins(&called)
				sent := &strings.Builder{}
				cfg.TeeOut = sent
				features := serverFeatures()
				features[1] = pipelining.SASLServer(anybody, scramServer(), sasl.Plain, external)
				l := logIn(t, test.transport,
					func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
						return dial(ctx, test.transport, c, balcony, pipelining.Client(pipelining.Plan{Mode: test.mode}, cfg))
					},
					func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
						return serve(ctx, test.transport, c, pipelining.Config{}, features...)
					})
				require.NoError(t, errors.Join(l.ClientErr, l.ServerErr))
				assert.Equal(t, test.called, called, "calls")
				assert.Equal(t, test.flights, l.Link.Flights(xmpptest.Client), "flights")
				if test.called == 0 {
					assert.NotContains(t, sent.String(), "<presence")
					return
				}
				_, behind, ok := strings.Cut(sent.String(), "</bind></iq>")
				require.True(t, ok, sent)
				assert.Equal(t, first+second, behind, "right behind the request to bind")
				ids := hears(l.Server)
				assert.Equal(t, "first", <-ids)
				assert.Equal(t, "second", <-ids)
			})
		})
	}
}

// TestOpeningNowhere is about logins in which nothing may be sent ahead behind the bind.
func TestOpeningNowhere(t *testing.T) {
	t.Run("D-12: behind SASL2's authenticate", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var called int
			// Even an Authenticator that says that its one step is the last.
			cfg := pipelining.ClientConfig{TLS: clientTLS(), Authenticator: puppet{last: true}, Opening: begins(&called)}
			g := entertain(t, plainTCP, pipelining.Client(pipelining.Plan{Mode: pipelining.Full, SASL2: true}, cfg), func(p *peer) {
				p.until(asks)
				p.say(answering, offersSASL2, succeeds, offersBind)
				id := p.iqID()
				p.say(boundTo(id, balcony.String()))
			})
			require.NoError(t, g.Err)
			assert.Zero(t, called)
		})
	})
	t.Run("between servers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var called int
			config := clientTLS()
			config.Certificates = []tls.Certificate{pki().cert}
			l := logIn(t, startTLS,
				func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
					return xmpp.NewSession(ctx, domain, jid.MustParse("verona.example"), c, xmpp.S2S,
						pipelining.Client(pipelining.Plan{Mode: pipelining.Full}, pipelining.ClientConfig{
							TLS: config, Mechanisms: []sasl.Mechanism{external}, Opening: begins(&called),
						}))
				},
				func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
					return xmpp.ReceiveSession(ctx, c, xmpp.S2S, pipelining.Negotiator(xmpptest.Stock(
						pipelining.StreamFeature(), xmpp.StartTLS(serverTLS()),
						pipelining.SASLServer(func(s *xmpp.Session, _ *sasl.Negotiator) (jid.JID, bool) {
							return s.RemoteAddr(), true
						}, external),
					), pipelining.Config{}))
				})
			require.NoError(t, errors.Join(l.ClientErr, l.ServerErr))
			assert.Zero(t, called)
		})
	})
}

// TestOpeningFails is about logins that come to nothing.
func TestOpeningFails(t *testing.T) {
	t.Run("an error of Opening", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			failed := errors.New("no stanzas today")
			cfg := clientConfig(sasl.Plain)
			cfg.Opening = func() ([]byte, error) { return nil, failed }
			g := entertain(t, plainTCP, pipelining.Client(pipelining.Plan{Mode: pipelining.Full}, cfg), func(p *peer) {
				_, err := io.ReadAll(p.Conn)
				require.NoError(t, err)
			})
			require.ErrorIs(t, g.Err, failed)
			assert.NotErrorIs(t, g.Err, pipelining.ErrMispredicted)
			g.keepsSecret(t)
		})
	})
	t.Run("called once, whatever becomes of it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var called int
			cfg := clientConfig(sasl.Plain)
			cfg.Opening = begins(&called)
			g := entertain(t, plainTCP, pipelining.Client(pipelining.Plan{Mode: pipelining.Full}, cfg), func(p *peer) {
				p.until(second)
				p.say(answering, offersSASL, `<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><invalid-mechanism/></failure>`)
			})
			require.ErrorIs(t, g.Err, pipelining.ErrMispredicted, "the stream has more on it than one can go on behind")
			assert.Equal(t, 1, called)
		})
	})
	t.Run("a server without a certificate that is good", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var called int
			cfg := clientConfig(sasl.Plain)
			cfg.TLS.ServerName = "verona.invalid"
			cfg.Opening = begins(&called)
			l := logIn(t, startTLS,
				func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
					return dial(ctx, startTLS, c, balcony, pipelining.Client(pipelining.Plan{Mode: pipelining.Full}, cfg))
				},
				func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
					return serve(ctx, startTLS, c, pipelining.Config{})
				})
			require.Error(t, l.ClientErr)
			assert.Zero(t, called)
		})
	})
}
