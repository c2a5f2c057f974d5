// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// What is said with SASL2.
const (
	nsSASL2     = "urn:xmpp:sasl:2"
	offersSASL2 = `<stream:features><authentication xmlns='urn:xmpp:sasl:2'><mechanism>PLAIN</mechanism></authentication></stream:features>`
	asks        = `<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'/>`
	succeeds    = `<success xmlns='urn:xmpp:sasl:2'/>`
	fails       = `<failure xmlns='urn:xmpp:sasl:2'/>`
	headers     = `<?xml version='1.0'?><stream:stream from='juliet@im.example.com' to='im.example.com' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`
)

type answering2 = func(d *xml.Decoder, start xml.StartElement) ([]byte, bool, xmpp.SessionState, error)

// A puppet is an Authenticator that does what a test says. By itself it sends
// asks, and takes everything for success.
type puppet struct {
	ahead   func(s *xmpp.Session, mechanism string, sasl2 bool) ([]byte, bool, answering2, error)
	last    bool
	address jid.JID // what is bound; another one than was asked for if it is zero
	answer  func(s *xmpp.Session, d *xml.Decoder, start xml.StartElement) ([]byte, bool, xmpp.SessionState, error)
	calls   *[]string
}

func (p puppet) note(format string, args ...any) {
	if p.calls != nil {
		*p.calls = append(*p.calls, fmt.Sprintf(format, args...))
	}
}

func (p puppet) Ahead(_ context.Context, s *xmpp.Session, mechanism string, sasl2 bool) ([]byte, bool, answering2, error) {
	p.note("Ahead(%s, %t)", mechanism, sasl2)
	if p.ahead != nil {
		return p.ahead(s, mechanism, sasl2)
	}
	return []byte(asks), p.last, func(d *xml.Decoder, start xml.StartElement) ([]byte, bool, xmpp.SessionState, error) {
		p.note("answer(%s)", start.Name.Local)
		if p.answer != nil {
			return p.answer(s, d, start)
		}
		return nil, false, xmpp.Authn, nil
	}, nil
}

// Features has SASL2, which is parsed as the number of its tags.
func (p puppet) Features() []xmpp.StreamFeature {
	return []xmpp.StreamFeature{{
		Name:       xml.Name{Space: nsSASL2, Local: "authentication"},
		Necessary:  xmpp.Secure,
		Prohibited: xmpp.Authn,
		Parse: func(_ context.Context, d *xml.Decoder, _ *xml.StartElement) (bool, any, error) {
			n := 0
			for {
				tok, err := d.Token()
				if _, ok := tok.(xml.StartElement); ok {
					n++
				}
				if err != nil {
					return true, n, nil
				}
			}
		},
		Negotiate: func(_ context.Context, s *xmpp.Session, data any) (xmpp.SessionState, io.ReadWriter, error) {
			p.note("Negotiate(%v)", data)
			if _, err := io.WriteString(s.Conn(), asks); err != nil {
				return 0, nil, err
			}
			r := s.TokenReader()
			defer r.Close()
			err := readOne(r, func(start xml.StartElement) {
				if start.Name.Local == "bound" {
					p.bind(s)
				}
			})
			return xmpp.Authn, nil, err
		},
	}}
}

// readOne reads one element.
func readOne(r xml.TokenReader, begins func(xml.StartElement)) error {
	for depth := 0; ; {
		tok, err := r.Token()
		if tok == nil && err != nil {
			return err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			depth++
			begins(tok)
		case xml.EndElement:
			if depth--; depth == 0 {
				return nil
			}
		}
	}
}

var otherwise = jid.MustParse("juliet@im.example.com/bound")

// bind says that a resource is bound.
func (p puppet) bind(s *xmpp.Session) {
	if p.address.Equal(jid.JID{}) {
		p.address = otherwise
	}
	s.UpdateAddr(p.address)
	s.Conn().(interface{ FeaturesFollow() }).FeaturesFollow()
}

// client returns a client with the puppet.
func (p puppet) client(plan pipelining.Plan, set ...func(*pipelining.ClientConfig)) xmpp.Negotiator {
	cfg := pipelining.ClientConfig{TLS: clientTLS(), Authenticator: p}
	for _, f := range set {
		f(&cfg)
	}
	return pipelining.Client(plan, cfg)
}

func sasl2(mode pipelining.Mode) pipelining.Plan { return pipelining.Plan{Mode: mode, SASL2: true} }

// TestAuthenticator is about what an Authenticator is asked, and what becomes of
// its answers.
func TestAuthenticator(t *testing.T) {
	for _, plan := range []pipelining.Plan{
		{Mode: pipelining.Full, Mechanism: "X", SASL2: true}, {Mode: pipelining.Paced, Mechanism: "X", SASL2: true},
		{Mode: pipelining.Full, Mechanism: "X"}, {Mode: pipelining.Paced},
	} {
		t.Run(fmt.Sprintf("is asked once, %+v", plan), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls []string
				p := puppet{calls: &calls, answer: func(s *xmpp.Session, d *xml.Decoder, start xml.StartElement) ([]byte, bool, xmpp.SessionState, error) {
					n, _ := s.Feature(nsSASL2)
					assert.Equal(t, 1, n, "its features are parsed")
					if start.Name.Local == "success" {
						return nil, false, xmpp.Authn, nil
					}
					return []byte("<response/>"), false, 0, d.Skip()
				}}
				g := entertain(t, plainTCP, p.client(plan), func(peer *peer) {
					peer.say(answering, offersSASL2, "<challenge/><challenge><x/>y</challenge>", succeeds)
					if !plan.SASL2 {
						peer.say(answering)
					}
					peer.say(offersBind)
					peer.say(boundTo(peer.iqID(), balcony.String()))
				})
				require.NoError(t, g.Err)
				assert.Equal(t, []string{fmt.Sprintf("Ahead(%s, %t)", plan.Mechanism, plan.SASL2), "answer(challenge)", "answer(challenge)", "answer(success)"}, calls)
				sent := headers + asks + "<response/><response/>"
				if !plan.SASL2 {
					sent += headers
				}
				assert.True(t, strings.HasPrefix(string(g.Link.Sent(xmpptest.Client)), sent+"<iq"))
			})
		})
	}
	for _, mode := range []pipelining.Mode{pipelining.Paced, pipelining.Full} {
		for _, test := range []struct {
			name   string
			sasl2  bool
			behind bool
		}{{"RFC 6120", false, true}, {"SA-12 SASL2", true, false}} {
			t.Run("what is last, "+test.name+" "+mode.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					plan := pipelining.Plan{Mode: mode, SASL2: test.sasl2}
					g := entertain(t, plainTCP, puppet{last: true}.client(plan), func(peer *peer) {
						time.Sleep(time.Second)
						_ = peer.Close()
					})
					require.ErrorIs(t, g.Err, pipelining.ErrMispredicted)
					assert.Equal(t, test.behind, strings.HasSuffix(string(g.Link.Sent(xmpptest.Client)), "</iq>"))
				})
				synctest.Test(t, func(t *testing.T) {
					plan := pipelining.Plan{Mode: mode, SASL2: test.sasl2}
					p := puppet{answer: func(_ *xmpp.Session, d *xml.Decoder, _ xml.StartElement) ([]byte, bool, xmpp.SessionState, error) {
						return []byte("<response/>"), true, 0, d.Skip()
					}}
					g := entertain(t, plainTCP, p.client(plan), func(peer *peer) {
						peer.say(answering, offersSASL2, "<challenge/>")
						time.Sleep(time.Second)
						_ = peer.Close()
					})
					require.ErrorIs(t, g.Err, pipelining.ErrMispredicted)
					_, behind, ok := strings.Cut(string(g.Link.Sent(xmpptest.Client)), "<response/>")
					assert.True(t, ok)
					assert.Equal(t, test.behind, strings.HasSuffix(behind, "</iq>"))
				})
			})
		}
		t.Run("SASL2 that is not offered, "+mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls []string
				g := entertain(t, plainTCP, puppet{calls: &calls}.client(sasl2(mode)), func(peer *peer) { peer.say(answering, offersSASL, succeeds) })
				require.ErrorIs(t, g.Err, pipelining.ErrMispredicted)
				assert.Len(t, calls, 1)
				assert.Zero(t, g.Session.State()&(xmpp.Authn|ready))
			})
		})
		t.Run("an error of Ahead, "+mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := puppet{ahead: func(s *xmpp.Session, _ string, _ bool) ([]byte, bool, answering2, error) {
					assert.Equal(t, balcony, s.LocalAddr())
					return nil, false, nil, assert.AnError
				}}
				g := entertain(t, plainTCP, p.client(sasl2(mode)), func(*peer) {})
				require.ErrorIs(t, g.Err, assert.AnError)
				assert.NotErrorIs(t, g.Err, pipelining.ErrMispredicted)
				assert.Empty(t, g.Link.Sent(xmpptest.Client))
			})
		})
		t.Run("the rest of an answer is not the session's, "+mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := puppet{answer: func(s *xmpp.Session, d *xml.Decoder, start xml.StartElement) ([]byte, bool, xmpp.SessionState, error) {
					_, err := d.Token()
					s.UpdateAddr(balcony)
					return nil, false, xmpp.Authn | ready, err
				}}
				g := entertain(t, plainTCP, p.client(sasl2(mode)), func(peer *peer) {
					peer.say(answering, offersSASL2, "<success><a><b/>c</a><d/></success><message/>")
				})
				require.NoError(t, g.Err)
				tok, err := g.Session.TokenReader().Token()
				require.NoError(t, err)
				assert.Equal(t, "message", tok.(xml.StartElement).Name.Local)
			})
		})
	}
	t.Run("one for many sessions", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := puppet{}.client(sasl2(pipelining.Full))
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					g := entertain(t, plainTCP, n, func(peer *peer) {
						peer.try(answering + offersSASL2 + succeeds + offersBind)
						peer.try(boundTo(peer.iqID(), balcony.String()))
					})
					assert.NoError(t, g.Err)
				})
			}
			wg.Wait()
		})
	})
}

// A retry is an error that says whether another attempt may follow.
type retry bool

func (r retry) Error() string  { return "no" }
func (r retry) TryAgain() bool { return bool(r) }

// TestTryAgain is about which errors of an Authenticator end a login.
func TestTryAgain(t *testing.T) {
	for _, mode := range []pipelining.Mode{pipelining.Paced, pipelining.Full} {
		for name, test := range map[string]struct {
			err          error
			again        bool
			mispredicted bool
		}{
			"yes":                  {err: retry(true), again: true},
			"yes, within":          {err: fmt.Errorf("x: %w", retry(true)), again: true},
			"no":                   {err: retry(false)},
			"another":              {err: assert.AnError},
			"the end":              {err: io.EOF, mispredicted: true},
			"the end of something": {err: fmt.Errorf("x: %w", io.ErrUnexpectedEOF), mispredicted: true},
			"the connection":       {err: &net.OpError{Err: assert.AnError}, mispredicted: true},
			"bad XML":              {err: &xml.SyntaxError{}, mispredicted: true},
			"misprediction":        {err: pipelining.ErrMispredicted, mispredicted: true},
		} {
			t.Run(name+", "+mode.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var calls []string
					p := puppet{calls: &calls, answer: func(*xmpp.Session, *xml.Decoder, xml.StartElement) ([]byte, bool, xmpp.SessionState, error) {
						return nil, false, 0, test.err
					}}
					g := entertain(t, plainTCP, p.client(sasl2(mode)), func(peer *peer) {
						peer.header()
						peer.until(asks)
						peer.say(answering, offersSASL2, "<failure xmlns='urn:xmpp:sasl:2'><x>y</x></failure>")
						if test.again {
							peer.until(asks)
							peer.say(succeeds, offersBind)
							peer.say(boundTo(peer.iqID(), balcony.String()))
						}
					})
					if test.again {
						require.NoError(t, g.Err)
						assert.Equal(t, []string{"Ahead(, true)", "answer(failure)", "Negotiate(1)"}, calls)
						assert.Equal(t, 1, strings.Count(string(g.Link.Sent(xmpptest.Client)), "<stream:stream"))
						return
					}
					require.ErrorIs(t, g.Err, test.err)
					assert.Equal(t, test.mispredicted, errors.Is(g.Err, pipelining.ErrMispredicted), g.Err)
					assert.Zero(t, g.Session.State()&(xmpp.Authn|ready))
				})
			})
		}
		t.Run("too late, "+mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := puppet{last: true, answer: func(*xmpp.Session, *xml.Decoder, xml.StartElement) ([]byte, bool, xmpp.SessionState, error) {
					return nil, false, 0, retry(true)
				}}
				g := entertain(t, plainTCP, p.client(pipelining.Plan{Mode: mode}), func(peer *peer) {
					peer.iqID() // A resource was bound behind it.
					peer.say(answering, offersSASL2, fails)
				})
				require.ErrorIs(t, g.Err, pipelining.ErrMispredicted)
				assert.ErrorIs(t, g.Err, retry(true))
			})
		})
	}
}

// TestAuthenticatorTLS is about the connection that an Authenticator may use.
func TestAuthenticatorTLS(t *testing.T) {
	pin := func(cfg *pipelining.ClientConfig) {
		cfg.VerifyTLS = func(tls.ConnectionState) error { return assert.AnError }
	}
	for _, mode := range []pipelining.Mode{pipelining.Paced, pipelining.Full} {
		for _, tr := range []transport{startTLS, directTLS} {
			t.Run("is verified, "+string(tr)+" "+mode.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var calls []string
					g := entertain(t, tr, puppet{calls: &calls}.client(sasl2(mode), pin), func(peer *peer) {
						if tr == startTLS {
							peer.header()
							peer.say(answering, offersTLS)
							peer.until(startTag)
							peer.say(proceed)
						}
						if peer.acceptTLS() == nil { // The client may have gone before it is complete.
							peer.try(answering + offersSASL2 + succeeds)
							_ = peer.Conn.(*tls.Conn).CloseWrite()
						}
					})
					require.ErrorIs(t, g.Err, pipelining.ErrUnverifiedTLS)
					assert.ErrorIs(t, g.Err, assert.AnError)
					assert.Empty(t, calls, "it was asked before the connection was verified")
				})
			})
		}
	}
	t.Run("from is said within TLS only", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := puppet{ahead: func(s *xmpp.Session, _ string, _ bool) ([]byte, bool, answering2, error) {
				assert.NotEmpty(t, s.ConnectionState().VerifiedChains)
				return []byte(asks), false, func(*xml.Decoder, xml.StartElement) ([]byte, bool, xmpp.SessionState, error) {
					return nil, false, xmpp.Authn, nil
				}, nil
			}}
			g := entertain(t, startTLS, p.client(sasl2(pipelining.Full)), func(peer *peer) {
				assert.NotContains(t, peer.header(), "juliet")
				peer.until(startTag)
				peer.say(answering, offersTLS, proceed)
				require.NoError(t, peer.acceptTLS())
				assert.Equal(t, headers+asks, peer.until(asks))
				peer.say(answering, offersSASL2, succeeds, offersBind)
				peer.say(boundTo(peer.iqID(), balcony.String()))
			})
			require.NoError(t, g.Err)
		})
	})
}

// inlineWays are the ways in which a client can learn that it has its address.
var inlineWays = map[string]func(p puppet, set ...func(*pipelining.ClientConfig)) xmpp.Negotiator{
	"full": func(p puppet, set ...func(*pipelining.ClientConfig)) xmpp.Negotiator {
		return p.client(sasl2(pipelining.Full), set...)
	},
	"paced": func(p puppet, set ...func(*pipelining.ClientConfig)) xmpp.Negotiator {
		return p.client(sasl2(pipelining.Paced), set...)
	},
	"off": func(p puppet, set ...func(*pipelining.ClientConfig)) xmpp.Negotiator {
		return p.client(sasl2(pipelining.Off), set...)
	},
	"Negotiator": func(p puppet, set ...func(*pipelining.ClientConfig)) xmpp.Negotiator {
		var cfg pipelining.ClientConfig
		for _, f := range set {
			f(&cfg)
		}
		return pipelining.Negotiator(xmpptest.Stock(append(p.Features(), xmpp.BindResource(), pipelining.StreamFeature())...),
			pipelining.Config{Timeout: cfg.Timeout, TeeIn: cfg.TeeIn, TeeOut: cfg.TeeOut})
	},
}

// inline is a puppet whose resource is bound by success.
func inline(address jid.JID) puppet {
	p := puppet{address: address}
	return puppet{address: address, answer: func(s *xmpp.Session, _ *xml.Decoder, _ xml.StartElement) ([]byte, bool, xmpp.SessionState, error) {
		p.bind(s)
		return nil, false, xmpp.Authn, nil
	}}
}

// binds is success with a resource bound by it.
const binds = `<success xmlns='urn:xmpp:sasl:2'><bound/></success>`

// nextTag returns the local name of the next element.
func nextTag(t testing.TB, s *xmpp.Session) string {
	t.Helper()
	r := s.TokenReader()
	defer r.Close()
	for {
		tok, err := r.Token()
		require.NoError(t, err)
		if start, ok := tok.(xml.StartElement); ok {
			return start.Name.Local
		}
	}
}

// TestFeaturesFollow is about the features behind what has bound a resource.
func TestFeaturesFollow(t *testing.T) {
	for way, negotiator := range inlineWays {
		for name, list := range map[string]string{
			"some":              `<stream:features><pipelining xmlns='urn:xmpp:features:pipelining'/><x xmlns='urn:test'/></stream:features>`,
			"unknown only":      `<stream:features><x xmlns='urn:test'/></stream:features>`,
			"none":              `<stream:features></stream:features>`,
			"an empty tag":      `<stream:features/>`,
			"in lines":          "\n<stream:features>\n\t<x xmlns='urn:test'>\n\t\t<y/>\n\t</x>\n</stream:features>\n",
			"a way to bind":     offersBind,
			"to authenticate":   offersSASL2,
			"with STARTTLS too": `<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>`,
		} {
			t.Run(name+", "+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var in, out bytes.Buffer
					n := negotiator(inline(jid.JID{}), func(cfg *pipelining.ClientConfig) { cfg.TeeIn, cfg.TeeOut = &in, &out })
					said := answering + offersSASL2 + binds + list
					g := entertain(t, plainTCP, n, func(peer *peer) {
						peer.header()
						peer.say(answering, offersSASL2)
						peer.until(asks)
						peer.say(binds, list, "<message/>")
					})
					require.NoError(t, g.Err)
					assert.Equal(t, otherwise, g.Session.LocalAddr())
					assert.Equal(t, domain, g.Session.RemoteAddr())
					assert.NotZero(t, g.Session.State()&ready)
					_, known := g.Session.Feature("urn:test")
					assert.Equal(t, strings.Contains(list, "urn:test"), known)
					assert.Equal(t, strings.Contains(list, pipelining.NS), pipelining.Advertised(g.Session))
					_, known = g.Session.Feature(nsSASL2)
					assert.Equal(t, name == "to authenticate", known, "features from before")
					assert.True(t, strings.HasSuffix(string(g.Link.Sent(xmpptest.Client)), asks), "nothing is negotiated")
					assert.Equal(t, "message", nextTag(t, g.Session))

					clean := strings.NewReplacer("\n", "", "\t", "")
					assert.Equal(t, clean.Replace(said)+"<message/>", clean.Replace(in.String()), "the tee sees what was read, once")
					assert.Equal(t, string(g.Link.Sent(xmpptest.Client)), out.String())
				})
			})
		}
		for name, list := range map[string]string{
			"the end":            "",
			"half of them":       "<stream:features><x",
			"a stanza":           "<message/>",
			"success again":      binds,
			"the end tag":        "</stream:stream>",
			"an entity":          "<stream:features>&x;</stream:features>",
			"bad XML":            "<stream:features><x></stream:features>",
			"features of others": "<features xmlns='urn:test'/>",
			"a stream error":     ends("policy-violation"),
			"a header":           answering + "<stream:features/>",
		} {
			t.Run("in their place "+name+", "+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := entertain(t, plainTCP, negotiator(inline(jid.JID{})), func(peer *peer) {
						peer.header()
						peer.say(answering, offersSASL2)
						peer.until(asks)
						peer.try(binds + list)
						_ = peer.Close()
					})
					require.Error(t, g.Err)
					if name == "a stream error" {
						assert.ErrorIs(t, g.Err, stream.PolicyViolation)
					}
					assert.Zero(t, g.Session.State()&ready)
				})
			})
		}
		t.Run("late, "+way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := entertain(t, plainTCP, negotiator(inline(jid.JID{}), func(cfg *pipelining.ClientConfig) { cfg.Timeout = 20 * time.Second }), func(peer *peer) {
					peer.header()
					peer.say(answering, offersSASL2)
					peer.until(asks)
					peer.say(binds)
				})
				require.Error(t, g.Err)
				assert.LessOrEqual(t, g.Took, 20*time.Second)
			})
		})
		if to := "juliet@im.example.com"; way != "Negotiator" {
			t.Run("the header is to "+to+", "+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := entertain(t, plainTCP, negotiator(inline(jid.JID{})), func(peer *peer) {
						peer.header()
						peer.say(strings.Replace(answering, " id=", " to='"+to+"' id=", 1), offersSASL2)
						peer.until(asks)
						peer.say(binds, "<stream:features/>")
					})
					require.NoError(t, g.Err)
					assert.Equal(t, otherwise, g.Session.LocalAddr())
				})
			})
		}
		if way != "Negotiator" {
			t.Run("bound to what was asked for, "+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := entertain(t, plainTCP, negotiator(inline(balcony)), func(peer *peer) {
						peer.header()
						peer.say(answering, offersSASL2)
						peer.until(asks)
						peer.say(binds, `<stream:features><pipelining xmlns='urn:xmpp:features:pipelining'/></stream:features>`)
					})
					require.NoError(t, g.Err)
					assert.Equal(t, balcony, g.Session.LocalAddr())
					assert.NotZero(t, g.Session.State()&ready)
				})
			})
		}
	}
}

// TestFeaturesFollowNobody calls it where nothing comes of it.
func TestFeaturesFollowNobody(t *testing.T) {
	mine, other := entertainSilent(t)
	c := pipelining.NewConn(mine)
	c.FeaturesFollow()
	c.RefuseSpace(true)
	c.RefuseSpace(false)
	go func() { _, _ = io.WriteString(other, " x") }()
	b, err := c.ReadByte()
	require.NoError(t, err)
	assert.Equal(t, byte(' '), b)

	t.Run("on a server", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v := host{features: func(d *decisions) []xmpp.StreamFeature {
				features := d.features()
				for i, f := range features {
					if negotiate := f.Negotiate; negotiate != nil {
						features[i].Negotiate = func(ctx context.Context, s *xmpp.Session, data any) (xmpp.SessionState, io.ReadWriter, error) {
							s.Conn().(*pipelining.Conn).FeaturesFollow()
							return negotiate(ctx, s, data)
						}
					}
				}
				return features
			}}.visit(t, func(p *peer) {
				p.say(logInPlain())
				p.until("</iq>")
			})
			require.NoError(t, v.Err)
			assert.Equal(t, headed+listsSASL+success+headed+listsBind+bound, strings.ReplaceAll(v.Heard, " to='juliet@im.example.com'", ""))
		})
	})
}

// TestRefuseSpace is about white space between elements.
func TestRefuseSpace(t *testing.T) {
	// reads is a feature that reads three elements, and refuses space before the
	// second.
	reads := func(refuse bool) func(ctx context.Context, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, error) {
		return func(_ context.Context, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, error) {
			c := s.Conn().(*pipelining.Conn)
			r := s.TokenReader()
			defer r.Close()
			for i := range 3 {
				c.RefuseSpace(refuse && i == 1)
				if err := readOne(r, func(xml.StartElement) {}); err != nil {
					return 0, nil, err
				}
			}
			if s.State()&xmpp.Received != 0 {
				if err := c.Authenticated(juliet); err != nil {
					return 0, nil, err
				}
			}
			return xmpp.Authn, s.Conn(), nil
		}
	}
	name := xml.Name{Space: nsSASL2, Local: "authentication"}
	for _, refuse := range []bool{true, false} {
		for _, test := range []struct {
			name, say string
			bad       bool
		}{
			{"none", asks + "<a/><b/>", false},
			{"before the first", "\n " + asks + "<a/><b/>", false},
			{"before the second", asks + "\n<a/><b/>", true},
			{"a blank before the second", asks + " <a/><b/>", true},
			{"before the third", asks + "<a/>\r\n<b/>", false},
			{"within the second", asks + "<a>\n<x/> </a ><b/>", false},
			{"behind the last", asks + "<a/><b/>\n", false},
		} {
			t.Run(fmt.Sprintf("server, refused %t, %s", refuse, test.name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					feature := xmpp.StreamFeature{
						Name: name, Necessary: xmpp.Secure, Prohibited: xmpp.Authn, Negotiate: reads(refuse),
						List: func(_ context.Context, e xmlstream.TokenWriter, start xml.StartElement) (bool, error) {
							_, err := xmlstream.Copy(e, xmlstream.Wrap(nil, start))
							return true, err
						},
					}
					v := host{features: func(d *decisions) []xmpp.StreamFeature {
						return []xmpp.StreamFeature{feature, xmpp.BindCustom(d.bind)}
					}}.visit(t, func(p *peer) {
						p.say(opening, test.say, opening, askBind)
						if !refuse || !test.bad {
							p.until("</iq>")
						}
					})
					if refuse && test.bad {
						require.ErrorIs(t, v.Err, stream.PolicyViolation)
						assert.Zero(t, v.Session.State()&(xmpp.Authn|ready))
						assert.True(t, strings.HasSuffix(v.Heard, ends("policy-violation")), v.Heard)
						assert.Empty(t, v.Decided)
						return
					}
					require.NoError(t, v.Err)
					assert.Equal(t, juliet, v.Session.RemoteAddr())
				})
			})
			t.Run(fmt.Sprintf("client, refused %t, %s", refuse, test.name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					feature := puppet{}.Features()[0]
					feature.Negotiate = reads(refuse)
					n := pipelining.Negotiator(xmpptest.Stock(feature, xmpp.BindResource()), pipelining.Config{})
					g := entertain(t, plainTCP, n, func(p *peer) {
						p.header()
						p.try(answering + offersSASL2 + test.say)
						if !refuse || !test.bad {
							p.header()
							p.say(answering, offersBind)
							p.say(boundTo(p.iqID(), balcony.String()))
						}
					})
					if refuse && test.bad {
						require.ErrorIs(t, g.Err, stream.PolicyViolation)
						assert.Zero(t, g.Session.State()&(xmpp.Authn|ready))
						return
					}
					require.NoError(t, g.Err)
				})
			})
		}
	}
}

// TestBehindAnAuthenticator is about a session that lives long.
func TestBehindAnAuthenticator(t *testing.T) {
	for way, negotiator := range inlineWays {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				link := xmpptest.NewLink(xmpptest.LinkConfig{})
				defer link.Close()
				go func() {
					p := &peer{t: t, Conn: link.B}
					p.header()
					p.say(answering, offersSASL2)
					p.until(asks)
					p.say(binds, "<stream:features/>")
					time.Sleep(24 * time.Hour)
					p.say("<message/>")
				}()
				s, err := dial(t.Context(), plainTCP, link.A, juliet, negotiator(inline(jid.JID{})))
				require.NoError(t, err)
				tok, err := s.TokenReader().Token()
				require.NoError(t, err, "no deadline is left behind")
				assert.Equal(t, "message", tok.(xml.StartElement).Name.Local)
			})
		})
	}
}
