// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"context"
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

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// TestDeclarations are all good.
func TestDeclarations(t *testing.T) {
	for _, declaration := range []string{
		"", "<?xml version='1.0'?>", `<?xml version="1.0" encoding="UTF-8"?>`, `<?xml version='1.0' encoding = 'utf-8' ?>`,
		`<?xml version="1.0" encoding="UTF-8" standalone="yes"?>`, "<?xml\tversion='1.0'?>", "<?xml\nversion='1.0'\nencoding='UTF-8'\n?>\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			v := host{}.visit(t, func(p *peer) {
				p.say(declaration, opening, authPlain("juliet", password), declaration, opening, askBind)
				p.until("</iq>")
			})
			assert.NoErrorf(t, v.Err, "%q", declaration)
		})
	}
}

// TestEmptyAddress is as good as none.
func TestEmptyAddress(t *testing.T) {
	for _, lang := range []string{"en", "é"} {
		header := strings.Replace(openingFrom(""), " to=", " xml:lang='"+lang+"' to=", 1)
		synctest.Test(t, func(t *testing.T) {
			v := host{}.visit(t, func(p *peer) {
				p.say(header, authPlain("juliet", password), header, askBind)
				p.until("</iq>")
			})
			require.NoError(t, v.Err)
			assert.Equal(t, juliet, v.Session.RemoteAddr())
		})
	}
}

// TestFallbackAtOurServer asks for a mechanism that is not offered any more.
func TestFallbackAtOurServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := logInWith(t, plainTCP, pipelining.Full, host{features: func(d *decisions) []xmpp.StreamFeature {
			return []xmpp.StreamFeature{pipelining.SASLServer(d.permit, sasl.Plain), xmpp.BindCustom(bindAsked), pipelining.StreamFeature()}
		}}, func(cfg *pipelining.ClientConfig) {
			cfg.Mechanisms = []sasl.Mechanism{sasl.ScramSha256, sasl.Plain}
		})
		require.NoError(t, errors.Join(l.ClientErr, l.ServerErr))
		assert.Equal(t, 4.0, l.Link.RoundTrips(l.Took), "auth, auth, header, bind")
		assert.Equal(t, balcony, l.Client.LocalAddr())
	})
	t.Run("but not for ever", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v := host{}.visit(t, func(p *peer) {
				p.say(opening, strings.Repeat(strings.Replace(authPlain("juliet", password), "PLAIN", "NONE", 1), 4), authPlain("juliet", password))
			})
			require.Error(t, v.Err)
			assert.Equal(t, 3, strings.Count(v.Heard, "<invalid-mechanism>"))
			assert.Empty(t, v.Decided)
		})
	})
}

// TestFeaturesSeeTheResource lets a feature of the user's bind.
func TestFeaturesSeeTheResource(t *testing.T) {
	var seen string
	bind := xmpp.BindResource()
	negotiate := bind.Negotiate
	bind.Negotiate = func(ctx context.Context, s *xmpp.Session, data any) (xmpp.SessionState, io.ReadWriter, error) {
		seen = s.LocalAddr().String()
		return negotiate(ctx, s, data)
	}
	synctest.Test(t, func(t *testing.T) {
		l := logInWith(t, plainTCP, pipelining.Off, host{}, func(cfg *pipelining.ClientConfig) {
			cfg.Binder = plainBinder{} // which the server does not offer
			cfg.Features = []xmpp.StreamFeature{bind}
		})
		require.NoError(t, errors.Join(l.ClientErr, l.ServerErr))
		assert.Equal(t, balcony.String(), seen)
	})
}

// patient is a feature that sets a deadline of its own, and takes it off again.
func patient() xmpp.StreamFeature {
	return xmpp.StreamFeature{
		Name: xml.Name{Space: "urn:test:patient", Local: "patient"},
		List: func(_ context.Context, w xmlstream.TokenWriter, start xml.StartElement) (bool, error) {
			_, err := xmlstream.Copy(w, xmlstream.Wrap(nil, start))
			return false, err
		},
		Negotiate: func(_ context.Context, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, error) {
			r := s.TokenReader()
			defer r.Close()
			d := xml.NewTokenDecoder(r)
			_, err := d.Token()
			return 0, nil, errors.Join(err, d.Skip(),
				s.Conn().SetDeadline(time.Now().Add(time.Hour)), s.Conn().SetReadDeadline(time.Time{}))
		},
	}
}

// TestDeadlineOfAFeature does not take the negotiation's away.
func TestDeadlineOfAFeature(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := host{cfg: pipelining.Config{Timeout: 3 * time.Second}, features: func(d *decisions) []xmpp.StreamFeature {
			return append(d.features(), patient())
		}}.visit(t, func(p *peer) {
			p.say(opening, `<patient xmlns='urn:test:patient'/>`)
			p.rest()
		})
		require.ErrorIs(t, v.Err, context.DeadlineExceeded)
		assert.LessOrEqual(t, v.Took, 4*time.Second)
	})
}

// odd is a context that has a deadline and never ends.
type odd struct {
	context.Context
	deadline time.Time
}

func (o odd) Deadline() (time.Time, bool) { return o.deadline, true }

func TestContextThatNeverEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := xmpptest.NewLink(xmpptest.LinkConfig{})
		defer link.Close()
		_, err := serve(odd{context.Background(), time.Now().Add(time.Second)}, plainTCP, link.B, pipelining.Config{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// TestServersThatKnowNothing is about features between servers, none of which is
// known, and about lists that are none.
func TestServersThatKnowNothing(t *testing.T) {
	const header = `<stream:stream from='im.example.com' id='s' version='1.0' xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>`
	const offers = `<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms></stream:features>`
	for _, test := range []struct {
		name, list string
		ok         bool
	}{
		{"unknown", `<stream:features><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>`, true},
		{"empty", `<stream:features/>`, true},
		{"malformed", `<stream:features><dialback></stream:features>`, false},
		{"another element", `<features xmlns='urn:x'/>`, false},
	} {
		for _, mode := range modes {
			t.Run(test.name+" "+mode.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					link := xmpptest.NewLink(xmpptest.LinkConfig{})
					defer link.Close()
					done := make(chan error, 1)
					go func() {
						_, err := xmpp.NewSession(t.Context(), domain, juliet.Domain(), link.A, xmpp.S2S|xmpp.Secure,
							pipelining.Client(pipelining.Plan{Mode: mode}, clientConfig(external)))
						done <- err
					}()
					p := &peer{t: t, Conn: link.B}
					p.header()
					p.say(header, offers)
					p.until("</auth>")
					p.say(accepts)
					p.header()
					p.try(header + test.list)
					require.NoError(t, link.CloseWrite(xmpptest.Server))
					assert.Equal(t, test.ok, <-done == nil)
				})
			})
		}
	}
}

// wrapper is how one adds something to a connection.
type wrapper struct{ *pipelining.Conn }

// TestConnBelowAWrapper lets go of all that is held.
func TestConnBelowAWrapper(t *testing.T) {
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"a Conn":         func(c net.Conn) net.Conn { return pipelining.NewConn(c) },
		"an embedded":    func(c net.Conn) net.Conn { return wrapper{pipelining.NewConn(c)} },
		"two of a stack": func(c net.Conn) net.Conn { return wrapper{pipelining.NewConn(pipelining.NewConn(c))} },
	} {
		t.Run(name, func(t *testing.T) {
			link := xmpptest.NewLink(xmpptest.LinkConfig{})
			defer link.Close()
			c := pipelining.NewConn(wrap(link.A))
			writeTo(t, c, "held")
			assert.Empty(t, link.Sent(xmpptest.Client))
			require.NoError(t, c.Through())
			assert.Equal(t, "held", string(link.Sent(xmpptest.Client)))
			writeTo(t, c, ", not")
			assert.Equal(t, "held, not", string(link.Sent(xmpptest.Client)))
		})
	}
}

// TestConnStaysBroken does not send anything behind a hole.
func TestConnStaysBroken(t *testing.T) {
	link := xmpptest.NewLink(xmpptest.LinkConfig{Limit: 4})
	defer link.Close()
	c := pipelining.NewConn(link.A)
	writeTo(t, c, "too much")
	require.NoError(t, c.SetWriteDeadline(time.Unix(1, 0)))
	require.Error(t, c.Through())
	require.NoError(t, c.SetWriteDeadline(time.Time{}))
	_, err := c.Write([]byte("x"))
	assert.Error(t, err)
}
