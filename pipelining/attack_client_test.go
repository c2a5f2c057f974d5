// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"crypto/tls"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

var modes = []pipelining.Mode{pipelining.Off, pipelining.Paced, pipelining.Full}

// forgetful asserts that a client knows and believes nothing.
func (g *guest) forgetful(t testing.TB) {
	t.Helper()
	require.Error(t, g.Err)
	assert.Zero(t, g.Session.State()&(xmpp.Authn|ready))
	assert.Equal(t, balcony, g.Session.LocalAddr())
	for _, ns := range []string{pipelining.NS, "urn:ietf:params:xml:ns:xmpp-sasl", "urn:ietf:params:xml:ns:xmpp-bind", "urn:example:forged"} {
		_, known := g.Session.Feature(ns)
		assert.False(t, known, ns)
	}
}

// TestAttackPlaintext is about somebody between a client and its server.
func TestAttackPlaintext(t *testing.T) {
	forged := `<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms><f xmlns='urn:example:forged'/></stream:features>`
	failure := `<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>` + closing
	for _, mode := range modes {
		for name, behind := range map[string]string{
			"features":                  forged,
			"header and features":       answering + forged,
			"success":                   accepts,
			"header, features, success": answering + forged + accepts + answering + offersBind,
			"white space":               "\n",
		} {
			t.Run("AP-04 "+mode.String()+" proceed with "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := entertain(t, startTLS, pipelining.Client(pipelining.Plan{Mode: mode}, clientConfig(sasl.Plain)), func(p *peer) {
						p.header()
						p.say(answering, offersTLS)
						p.until(startTag)
						p.say(proceed, behind)
						p.try(strings.Repeat("\x00", 16))
					})
					g.forgetful(t)
					g.keepsSecret(t)
					if mode != pipelining.Off {
						assert.ErrorIs(t, g.Err, pipelining.ErrMispredicted)
					}
				})
			})
		}
		for name, answer := range map[string]string{
			"failure":                     failure,
			"success":                     accepts,
			"proceed of nobody":           `<proceed xmlns='urn:example:forged'/>`,
			"features again":              forged,
			"stream error":                ends("policy-violation"),
			"failure, but it offers auth": failure,
		} {
			t.Run("AP-05 "+mode.String()+" starttls is answered by "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					offer := offersTLS
					if strings.Contains(name, "offers auth") {
						offer = forged
					}
					g := entertain(t, startTLS, pipelining.Client(pipelining.Plan{Mode: mode}, clientConfig(sasl.Plain)), func(p *peer) {
						p.header()
						p.say(answering, offer)
						p.until(startTag)
						p.try(answer)
						_ = p.Close()
					})
					require.Error(t, g.Err)
					assert.Zero(t, g.Session.State()&(xmpp.Secure|xmpp.Authn|ready))
					g.keepsSecret(t)
					if mode != pipelining.Off {
						g.forgetful(t)
						assert.ErrorIs(t, g.Err, pipelining.ErrMispredicted)
					}
				})
			})
		}
	}
}

// TestAttackCertificate is about a server that has the wrong certificate, or
// none that is looked at.
func TestAttackCertificate(t *testing.T) {
	for _, mode := range modes {
		for name, set := range map[string]func(*pipelining.ClientConfig){
			"untrusted":  func(cfg *pipelining.ClientConfig) { cfg.TLS = &tls.Config{} },
			"other name": func(cfg *pipelining.ClientConfig) { cfg.TLS.ServerName = "montague.example" },
			"not verified": func(cfg *pipelining.ClientConfig) {
				cfg.TLS = &tls.Config{InsecureSkipVerify: true}
			},
		} {
			t.Run(mode.String()+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := logInWith(t, startTLS, mode, host{}, set)
					if name == "not verified" {
						require.ErrorIs(t, l.ClientErr, pipelining.ErrUnverifiedTLS)
					} else {
						require.ErrorAs(t, l.ClientErr, new(*tls.CertificateVerificationError))
					}
					assert.NotErrorIs(t, l.ClientErr, pipelining.ErrMispredicted, "no other plan would help")
					assert.Empty(t, l.decided())
				})
			})
		}
	}
}

// TestAttackProof is about a server that does not know the password.
func TestAttackProof(t *testing.T) {
	good := func(nonce string) string { return nonce + "more,s=c2FsdA==,i=4096" }
	for _, mode := range modes {
		for name, test := range map[string]struct {
			challenge func(nonce string) string // nil: none
			success   string
		}{
			"forged":              {good, acceptsWith("v=" + base64Of(make([]byte, 32)))},
			"missing":             {good, accepts},
			"empty":               {good, acceptsWith("v=")},
			"an error":            {good, acceptsWith("e=other-error")},
			"not asked for":       {nil, accepts},
			"a challenge":         {nil, acceptsWith("r=x,s=c2FsdA==,i=4096")},
			"of other nonce":      {func(string) string { return "r=other,s=c2FsdA==,i=4096" }, accepts},
			"of no iterations":    {func(n string) string { return n + "more,s=c2FsdA==,i=0" }, accepts},
			"of iterations":       {func(n string) string { return n + "more,s=c2FsdA==,i=2000000000" }, accepts},
			"of an empty field":   {func(n string) string { return good(n) + "," }, accepts},
			"of a reserved field": {func(n string) string { return "m=x," + good(n) }, accepts},
			"of nothing":          {func(string) string { return "" }, accepts},
		} {
			t.Run("AP-15 "+mode.String()+" proof is "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := entertain(t, plainTCP, pipelining.Client(pipelining.Plan{Mode: mode}, clientConfig(sasl.ScramSha256)), func(p *peer) {
						p.header()
						p.say(answering, offersSASL)
						first := p.auth("auth")
						nonce := first[strings.Index(first, "r="):]
						if test.challenge != nil {
							p.say(challenges(test.challenge(nonce)))
						}
						p.try(test.success + answering + offersBind + boundTo("b", balcony.String()))
					})
					require.ErrorIs(t, g.Err, pipelining.ErrUnproven)
					assert.NotErrorIs(t, g.Err, pipelining.ErrMispredicted)
					assert.Zero(t, g.Session.State()&(xmpp.Authn|ready))
					assert.Equal(t, balcony, g.Session.LocalAddr())
					if test.challenge == nil {
						assert.NotContains(t, string(g.Link.Sent(xmpptest.Client)), "<response")
					}
				})
			})
		}
	}
}

// TestAttackOrder is about a server that answers what it was not asked yet.
func TestAttackOrder(t *testing.T) {
	early := boundTo("b", "juliet@im.example.com/forged")
	client := func(mode pipelining.Mode, m sasl.Mechanism) xmpp.Negotiator {
		return pipelining.Client(pipelining.Plan{Mode: mode}, clientConfig(m))
	}
	for _, mode := range modes {
		for _, m := range []sasl.Mechanism{sasl.Plain, sasl.ScramSha256} {
			for name, say := range map[string]string{
				"bound":             early + accepts + answering + offersBind,
				"header and bound":  answering + offersBind + early + accepts,
				"message":           `<message><body>hi</body></message>` + accepts + answering + offersBind + early,
				"features":          offersBind + accepts + answering + offersBind + early,
				"success of nobody": `<success xmlns='urn:example:forged'/>` + answering + offersBind + early,
				"proceed":           proceed + accepts + answering + offersBind + early,
			} {
				t.Run("AP-18 "+mode.String()+" "+m.Name+" "+name+" before success", func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						g := entertain(t, plainTCP, client(mode, m), func(p *peer) {
							p.header()
							p.say(answering, offersSASL)
							p.auth("auth")
							p.say(say)
						})
						require.Error(t, g.Err)
						assert.Zero(t, g.Session.State()&(xmpp.Authn|ready))
						assert.Equal(t, balcony, g.Session.LocalAddr())
						if mode != pipelining.Off {
							assert.ErrorIs(t, g.Err, pipelining.ErrMispredicted)
						}
					})
				})
			}
		}
		for name, test := range map[string]struct {
			id, address string
		}{
			"to another account": {"", "romeo@im.example.com/balcony"},
			"to another host":    {"", "juliet@verona.example/balcony"},
			"to no resource":     {"", "juliet@im.example.com"},
			"to nobody":          {"", ""},
			"for another id":     {"other", "juliet@im.example.com/balcony"},
		} {
			t.Run("AP-18 "+mode.String()+" bound "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := entertain(t, plainTCP, client(mode, sasl.Plain), func(p *peer) {
						p.header()
						p.say(answering, offersSASL)
						p.auth("auth")
						p.say(accepts)
						p.header()
						p.say(answering, offersBind)
						id := p.iqID()
						if test.id != "" {
							id = test.id
						}
						p.say(boundTo(id, test.address))
					})
					require.Error(t, g.Err)
					assert.Zero(t, g.Session.State()&ready)
					assert.Equal(t, balcony, g.Session.LocalAddr())
				})
			})
		}
	}
}
