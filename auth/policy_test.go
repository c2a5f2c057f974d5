// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"io"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// TestPolicy is about what a server's configuration decides.
func TestPolicy(t *testing.T) {
	bubble := func(name string, test func(t *testing.T)) {
		t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
	}
	withCertificate := func() *tls.Config {
		cfg := clientTLS()
		cfg.Certificates = serverTLS().Certificates
		return cfg
	}
	refused := func(t *testing.T, m *meeting, condition string) {
		t.Helper()
		var f auth.Failure
		require.ErrorAs(t, m.ClientErr, &f)
		assert.Equal(t, condition, f.Condition)
		assert.Error(t, m.ServerErr)
	}

	for _, account := range []string{"juliet@other.example", "im.example.com", "peer.example"} {
		bubble("EXTERNAL is of the domain that the stream is to, not "+account, func(t *testing.T) {
			srv := &auth.Server{
				Mechanisms: []string{auth.External},
				External: func(context.Context, *xmpp.Session, tls.ConnectionState, string) (jid.JID, error) {
					return jid.MustParse(account), nil
				},
			}
			c := &auth.Client{Mechanisms: []string{auth.External}}
			refused(t, meetOver(t, juliet, ahead(pipelining.Plan{}, c), negotiator(srv), withCertificate(), serverTLS()), auth.NotAuthorized)
		})
	}
	bubble("EXTERNAL chooses its condition, and is limited", func(t *testing.T) {
		var asked []jid.JID
		srv := &auth.Server{
			Mechanisms: []string{auth.External},
			Limit: func(_ context.Context, _ *xmpp.Session, account jid.JID) error {
				asked = append(asked, account)
				return nil
			},
			External: func(_ context.Context, s *xmpp.Session, _ tls.ConnectionState, _ string) (jid.JID, error) {
				if s.RemoteAddr().Bare().Equal(juliet) {
					return juliet, nil
				}
				return jid.JID{}, auth.Failure{Condition: auth.AccountDisabled}
			},
		}
		c := &auth.Client{Mechanisms: []string{auth.External}}
		m := meetOver(t, juliet, ahead(pipelining.Plan{}, c), negotiator(srv), withCertificate(), serverTLS())
		require.NoError(t, m.err())
		assert.Equal(t, []jid.JID{juliet}, asked)
		romeo := jid.MustParse("romeo@im.example.com")
		refused(t, meetOver(t, romeo, ahead(pipelining.Plan{}, c), negotiator(srv), withCertificate(), serverTLS()), auth.AccountDisabled)
	})

	foreign := sasl.Plain
	foreign.Name = "X-PLAIN" // As somebody else would write it, for mellium.
	bubble("a foreign mechanism has its passwords checked", func(t *testing.T) {
		srv := newServer()
		srv.Mechanisms, srv.More = []string{foreign.Name}, []sasl.Mechanism{foreign}
		for given, good := range map[string]bool{password: true, "wrong": false} {
			client := xmpptest.Stock(xmpp.SASL("", given, foreign), xmpp.BindResource())
			assert.Equal(t, good, meet(t, juliet, client, negotiator(srv)).ClientErr == nil, given)
		}
		srv.Credentials = nil
		client := xmpptest.Stock(xmpp.SASL("", password, foreign), xmpp.BindResource())
		assert.Error(t, meet(t, juliet, client, negotiator(srv)).ClientErr, "without accounts nobody is let in")
	})
	bubble("passwords that are kept elsewhere", func(t *testing.T) {
		down := errors.New("the directory is down")
		var asked []jid.JID
		srv := &auth.Server{
			Mechanisms: []string{auth.Plain},
			Password: func(_ context.Context, account jid.JID, given string) (bool, error) {
				asked = append(asked, account)
				if given == "down" {
					return false, down
				}
				return given == password, nil
			},
		}
		log := func(given string) *meeting {
			c := newClient(auth.Plain)
			c.Password = auth.Password(given)
			return meet(t, juliet, ahead(pipelining.Plan{}, c), negotiator(srv))
		}
		require.NoError(t, log(password).err())
		refused(t, log("wrong"), auth.NotAuthorized)
		refused(t, log("down"), auth.TemporaryAuthFailure)
		assert.Equal(t, []jid.JID{juliet, juliet, juliet}, asked)
	})

	tasks := []auth.Task{{Name: "TOTP", Step: func(context.Context, xml.TokenReader) (xml.TokenReader, bool, error) {
		return nil, true, nil
	}}}
	bubble("who has a task cannot get round it by RFC 6120", func(t *testing.T) {
		srv := newServer()
		srv.Tasks = func(_ context.Context, _ *xmpp.Session, _ jid.JID, done []string) ([]auth.Task, error) {
			return tasks[len(done):], nil
		}
		for _, name := range []string{auth.Plain, auth.ScramSHA256} {
			m, err := auth.ClientMechanism(name)
			require.NoError(t, err)
			client := xmpptest.Stock(xmpp.SASL("", password, m), xmpp.BindResource())
			assert.Error(t, meet(t, juliet, client, negotiator(srv)).ClientErr, name)
		}
		c := newClient(auth.Plain)
		c.Tasks = []auth.ClientTask{{Name: "TOTP", Begin: func(context.Context) (xml.TokenReader, func(xml.TokenReader) (xml.TokenReader, error), error) {
			return nil, nil, nil
		}}}
		mustMeet(t, ahead(pipelining.Plan{}, c), negotiator(srv))
	})
	bubble("who has none may log in by RFC 6120", func(t *testing.T) {
		srv := newServer()
		srv.Tasks = func(context.Context, *xmpp.Session, jid.JID, []string) ([]auth.Task, error) { return nil, nil }
		mustMeet(t, xmpptest.Stock(xmpp.SASL("", password, sasl.ScramSha256), xmpp.BindResource()), negotiator(srv))
	})
	bubble("a connection that could negotiate, below negotiators that do not know it", func(t *testing.T) {
		c := newClient()
		c.Inline = []auth.ClientInline{rideAlong{"balcony"}}
		srv := newServer()
		srv.Inline = []auth.Inline{ride{}}
		m := &meeting{Link: xmpptest.NewLink(xmpptest.LinkConfig{})}
		t.Cleanup(func() { _ = m.Link.Close() })
		done := make(chan struct{})
		go func() {
			defer close(done)
			m.Server, m.ServerErr = xmpp.ReceiveSession(t.Context(), pipelining.NewConn(tls.Server(m.Link.B, serverTLS())), xmpp.Secure, xmpp.NewNegotiator(serverConfig(srv)))
			if m.ServerErr == nil {
				m.ServerErr = m.Server.Conn().(*pipelining.Conn).Flush()
			}
		}()
		m.Client, m.ClientErr = xmpp.NewSession(t.Context(), domain, juliet, pipelining.NewConn(tls.Client(m.Link.A, clientTLS())), xmpp.Secure, stockClient(c))
		<-done
		require.NoError(t, m.err())
		assert.Equal(t, "given", m.Client.LocalAddr().Resourcepart(), "nothing rides along")
	})
}

// TestFloor is about how weak a client gets.
func TestFloor(t *testing.T) {
	expr, none := auth.HTSHA256Exporter, auth.HTSHA256None
	for _, w := range routes {
		t.Run("RFC 5802 -PLUS is refused, and the rest is offered, "+w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := channel{}.stage().play(t, w.negotiator(sasl2, newClient()), func(a *actor) {
					a.open(features(modern("", auth.ScramSHA256Plus, auth.ScramSHA256), bindings(exporter)))
					a.begin(sasl2, auth.ScramSHA256Plus)
					a.say(sasl2.failure(auth.InvalidMechanism))
				})
				s.turned(t, auth.ErrChannelBinding)
				assert.NotContains(t, s.Heard, "mechanism='SCRAM-SHA-256'")
			})
		})
	}
	t.Run("RFC 5802 -PLUS is taken away, and tokens still bind", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newClient()
			s := channel{}.stage().play(t, stepwise.negotiator(sasl2, c), func(a *actor) {
				a.open(features(modern(fast(expr, none), auth.ScramSHA256), bindings(exporter)))
				x := scramFor(t, auth.ScramSHA256, a.begin(sasl2, auth.ScramSHA256))
				assert.Equal(t, "y,,", x.gs2, "so that the server notices")
				a.say(sasl2.failure(auth.NotAuthorized))
			})
			s.turned(t, nil)
		})
	})
	for _, mode := range []pipelining.Mode{pipelining.Off, pipelining.Full} {
		t.Run("a wrong password behind a refused token is final, "+mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient()
				c.Password = auth.Password("wrong")
				require.NoError(t, c.Tokens.SetToken(t.Context(), juliet, auth.Token{Secret: "old", Mechanism: none}))
				m := meet(t, juliet, ahead(pipelining.Plan{Mode: mode, SASL2: true}, c), negotiator(newServer()))
				require.ErrorAs(t, m.ClientErr, new(auth.Failure))
				assert.NotErrorIs(t, m.ClientErr, pipelining.ErrMispredicted)
			})
		})
	}
	t.Run("AQ-11 a token that another session has stored is not forgotten", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newClient()
			require.NoError(t, c.Tokens.SetToken(t.Context(), juliet, auth.Token{Secret: "old", Mechanism: none}))
			s := channel{}.stage().play(t, stepwise.negotiator(sasl2, c), func(a *actor) {
				a.open(features(modern(fast(none), auth.ScramSHA256)))
				a.begin(sasl2, none)
				require.NoError(t, c.Tokens.SetToken(t.Context(), juliet, auth.Token{Secret: "new", Mechanism: expr}))
				a.say(sasl2.failure(auth.NotAuthorized))
				a.begin(sasl2, auth.ScramSHA256)
				a.say(sasl2.failure(auth.NotAuthorized))
			})
			s.turned(t, nil)
			left, err := c.Tokens.Token(t.Context(), juliet)
			require.NoError(t, err)
			assert.Equal(t, "new", string(left.Secret))
		})
	})
	t.Run("logging out without a token brings none", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := newClient()
			c.Invalidate = true
			mustMeet(t, ahead(pipelining.Plan{}, c), negotiator(newServer()))
			left, err := c.Tokens.Token(t.Context(), juliet)
			require.NoError(t, err)
			assert.True(t, left.IsZero())
		})
	})
	t.Run("FA-22 a token that does not bind is exchanged for one that does", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv, c := newServer(), newClient()
			srv.FAST.Mechanisms = []string{none}
			mustMeet(t, ahead(pipelining.Plan{}, c), negotiator(srv))
			srv = &auth.Server{Credentials: accounts(), Iterations: iterations, FAST: &auth.FAST{Store: srv.FAST.Store}}
			mustMeet(t, ahead(pipelining.Plan{}, c), negotiator(srv))
			left, err := c.Tokens.Token(t.Context(), juliet)
			require.NoError(t, err)
			assert.Equal(t, expr, left.Mechanism)
		})
	})
}

func TestRefuseLate(t *testing.T) {
	for _, element := range []string{"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'/>", "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>"} {
		t.Run("SA-24 "+element, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv, c := newServer(), newClient()
				srv.Inline, c.Inline = []auth.Inline{ride{}}, []auth.ClientInline{rideAlong{"balcony"}}
				m := mustMeet(t, ahead(pipelining.Plan{}, c), negotiator(srv))
				served := make(chan error, 1)
				go func() { served <- m.Server.Serve(mux.New(stanza.NSClient, auth.RefuseLate())) }()
				_, err := io.WriteString(m.Client.Conn(), element)
				require.NoError(t, err)
				d := xml.NewDecoder(m.Client.Conn())
				tok, err := d.Token()
				require.NoError(t, err)
				refused := stream.Error{}
				start := tok.(xml.StartElement)
				require.NoError(t, refused.UnmarshalXML(d, start))
				require.ErrorIs(t, refused, stream.PolicyViolation, "the client is told")
				require.ErrorIs(t, <-served, stream.PolicyViolation)
				_ = m.Link.Close()
			})
		})
	}
}
