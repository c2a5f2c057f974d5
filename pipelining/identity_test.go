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
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// TestPrefixForNoNamespace would be an address that nobody has looked at:
// encoding/xml makes to of x:to if x stands for nothing.
func TestPrefixForNoNamespace(t *testing.T) {
	evil := ` xmlns:x='' x:to='im.example.com/a&apos;&gt;&lt;evil xmlns=&apos;urn:evil&apos;/&gt;&lt;z a=&apos;' `
	synctest.Test(t, func(t *testing.T) {
		v := host{}.visit(t, func(p *peer) { p.say(strings.Replace(opening, " to=", evil+"to=", 1)) })
		require.ErrorIs(t, v.Err, stream.NotWellFormed)
		assert.Equal(t, refused("")+ends("not-well-formed"), v.Heard)
	})
}

// TestAddressThatQuotes is an address that mellium would write into its answer
// as it is.
func TestAddressThatQuotes(t *testing.T) {
	for _, cfg := range []pipelining.Config{{}, {Proactive: true}} {
		synctest.Test(t, func(t *testing.T) {
			v := host{cfg: cfg}.visit(t, func(p *peer) {
				from := openingFrom("juliet@im.example.com/o&apos;hara&gt;")
				p.say(from, authPlain("juliet", password), from, askBind)
				p.until("</iq>")
			})
			require.NoError(t, v.Err)
			assert.Equal(t, headedTo("juliet@im.example.com")+listsSASL+success+headedTo("juliet@im.example.com")+listsBind+bound, v.Heard)
			assert.Equal(t, juliet, v.Session.RemoteAddr())
		})
	}
}

// A metered connection has a TLS state, but no handshake that could be asked for.
type metered struct{ net.Conn }

func (m metered) ConnectionState() tls.ConnectionState {
	return m.Conn.(*tls.Conn).ConnectionState()
}

// TestHandshakeOutOfReach is about TLS that is only going to be verified when the
// password is already being written.
func TestHandshakeOutOfReach(t *testing.T) {
	for _, mode := range []pipelining.Mode{pipelining.Full, pipelining.Paced} {
		synctest.Test(t, func(t *testing.T) {
			cfg := clientConfig(sasl.Plain)
			cfg.VerifyTLS = func(tls.ConnectionState) error { return errors.New("never") }
			l := logIn(t, directTLS,
				func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
					insecure := &tls.Config{InsecureSkipVerify: true}
					return xmpp.NewSession(ctx, domain, juliet, metered{tls.Client(c, insecure)}, xmpp.Secure,
						pipelining.Client(pipelining.Plan{Mode: mode}, cfg))
				},
				func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
					return serve(ctx, directTLS, c, pipelining.Config{})
				})
			require.ErrorIs(t, l.ClientErr, pipelining.ErrUnverifiedTLS)
			assert.Empty(t, l.Link.Sent(xmpptest.Client))
		})
	}
}

// TestRefusedCertificate is final, whoever refuses it.
func TestRefusedCertificate(t *testing.T) {
	mine := errors.New("not the key that was pinned")
	for name, set := range map[string]func(*tls.Config){
		"VerifyConnection":      func(c *tls.Config) { c.VerifyConnection = func(tls.ConnectionState) error { return mine } },
		"VerifyPeerCertificate": func(c *tls.Config) { c.VerifyPeerCertificate = refuseAll(mine) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := logInWith(t, startTLS, pipelining.Full, host{}, func(c *pipelining.ClientConfig) { set(c.TLS) })
				require.ErrorIs(t, l.ClientErr, mine)
				require.ErrorIs(t, l.ClientErr, pipelining.ErrUnverifiedTLS)
				assert.NotErrorIs(t, l.ClientErr, pipelining.ErrMispredicted)
			})
		})
	}
}

// TestOptionalStartTLS is a stock feature that does not call itself required, with
// which a stock server is ready before anything has happened.
func TestOptionalStartTLS(t *testing.T) {
	optional := xmpp.StartTLS(serverTLS())
	list := optional.List
	optional.List = func(ctx context.Context, w xmlstream.TokenWriter, start xml.StartElement) (bool, error) {
		_, err := list(ctx, w, start)
		return false, err
	}
	synctest.Test(t, func(t *testing.T) {
		l := logInWith(t, startTLS, pipelining.Full, host{features: func(d *decisions) []xmpp.StreamFeature {
			return []xmpp.StreamFeature{optional, pipelining.SASLServer(d.permit, sasl.Plain), xmpp.BindResource(), pipelining.StreamFeature()}
		}}, nil)
		require.NoError(t, errors.Join(l.ClientErr, l.ServerErr))
		assert.NotZero(t, l.Server.State()&xmpp.Authn)
		assert.Equal(t, juliet, l.Server.RemoteAddr())
	})
}

func TestNilPermissions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := logInWith(t, plainTCP, pipelining.Full, host{features: func(*decisions) []xmpp.StreamFeature {
			return []xmpp.StreamFeature{pipelining.SASLServer(nil, sasl.Plain)}
		}}, nil)
		var failure pipelining.AuthError
		require.ErrorAs(t, l.ClientErr, &failure)
		assert.Equal(t, "not-authorized", failure.Condition)
	})
}

// TestNoAccountWithoutRestart is a feature that authenticates on the same stream
// and does not say whom: nothing may follow it, above all no bind.
func TestNoAccountWithoutRestart(t *testing.T) {
	trusting := xmpp.StreamFeature{
		Name:       xml.Name{Space: "urn:test:auth", Local: "auth"},
		Prohibited: xmpp.Authn,
		List: func(_ context.Context, w xmlstream.TokenWriter, start xml.StartElement) (bool, error) {
			_, err := xmlstream.Copy(w, xmlstream.Wrap(nil, start))
			return true, err
		},
		Negotiate: func(_ context.Context, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, error) {
			r := s.TokenReader()
			defer r.Close()
			if _, err := r.Token(); err != nil {
				return 0, nil, err
			}
			_, err := xmlstream.Copy(xmlstream.Discard(), xmlstream.Inner(r))
			return xmpp.Authn, nil, err
		},
	}
	synctest.Test(t, func(t *testing.T) {
		v := host{features: func(d *decisions) []xmpp.StreamFeature {
			return []xmpp.StreamFeature{trusting, xmpp.BindCustom(d.bind), pipelining.StreamFeature()}
		}}.visit(t, func(p *peer) {
			p.say(openingFrom("admin@im.example.com"), `<auth xmlns='urn:test:auth'/>`, askBind)
		})
		require.ErrorIs(t, v.Err, pipelining.ErrNoAccount)
		assert.Empty(t, v.Decided)
	})
}

// TestFallback goes on with another mechanism on the connection that there is.
func TestFallback(t *testing.T) {
	for _, origin := range []jid.JID{juliet, balcony} {
		t.Run(origin.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var seen strings.Builder
				cfg := clientConfig(sasl.ScramSha256, sasl.Plain)
				cfg.TeeIn = &seen
				c := pipelining.Client(pipelining.Plan{Mode: pipelining.Full, Mechanism: "SCRAM-SHA-256"}, cfg)
				link := xmpptest.NewLink(xmpptest.LinkConfig{AtoB: oneWay, BtoA: oneWay})
				done := make(chan error, 1)
				var s *xmpp.Session
				start := time.Now()
				go func() {
					var err error
					s, err = dial(t.Context(), plainTCP, link.A, origin, c)
					done <- err
				}()
				p := &peer{t: t, Conn: link.B}
				to := strings.Replace(answering, " id=", " to='juliet@im.example.com' id=", 1)
				p.header()
				p.say(to, strings.Replace(offersSASL, "<mechanism>SCRAM-SHA-256</mechanism>", "", 1))
				p.auth("auth")
				p.say(`<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><invalid-mechanism/></failure>`)
				assert.Equal(t, "\x00juliet\x00"+password, p.auth("auth"))
				p.say(accepts)
				p.header()
				p.say(to, offersBind)
				id := p.iqID()
				p.say(boundTo(id, balcony.String()))
				require.NoError(t, <-done)
				assert.Equal(t, balcony, s.LocalAddr())
				assert.True(t, pipelining.Advertised(s))
				assert.Equal(t, 4.0, link.RoundTrips(time.Since(start)-0), "auth, auth, header, bind")
				assert.Equal(t, 2, strings.Count(seen.String(), "<stream:stream"), "a tee sees nothing twice")
				require.NoError(t, link.Close())
			})
		})
	}
}

// TestPanicLeavesNothingBehind lets a callback panic under a server that recovers.
func TestPanicLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := xmpptest.NewLink(xmpptest.LinkConfig{})
		go func() {
			defer link.Close()
			defer func() { _ = recover() }()
			_, _ = serve(context.Background(), plainTCP, link.B, pipelining.Config{},
				pipelining.SASLServer(func(*xmpp.Session, *sasl.Negotiator) (jid.JID, bool) { panic("a bug") }, sasl.Plain))
		}()
		p := &peer{t: t, Conn: link.A}
		p.say(opening, authPlain("juliet", password))
		_, _ = io.ReadAll(p.Conn)
		time.Sleep(2 * pipelining.DefaultTimeout) // What is left over wakes, and the bubble finds it.
	})
}
