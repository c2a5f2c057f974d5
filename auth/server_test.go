// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/internal/xmpptest"
)

// features returns what a server lists for a client.
func (r receiver) features(t testing.TB, from string) string {
	t.Helper()
	var list string
	r.visit(t, func(c *rawClient) {
		list = c.open(from)
		c.say(closing)
	})
	return between(t, list, "<stream:features>", "</stream:features>")
}

// TestServerOffer is about what a server lists.
func TestServerOffer(t *testing.T) {
	none := func(context.Context, jid.JID, []string) []string { return nil }
	for name, srv := range map[string]*auth.Server{
		"the zero value":                      {},
		"no accounts":                         {Mechanisms: []string{auth.ScramSHA256, auth.Plain}},
		"no names":                            {Credentials: accounts(), Mechanisms: []string{}},
		"unknown names":                       {Credentials: accounts(), Mechanisms: []string{"GSSAPI", ""}},
		"nothing but -PLUS without TLS":       {Credentials: accounts(), Mechanisms: []string{auth.ScramSHA256Plus}},
		"EXTERNAL without a certificate":      {External: externalJuliet, Mechanisms: []string{auth.External}},
		"nothing but tokens":                  {FAST: &auth.FAST{Store: new(auth.MemoryTokens)}},
		"an HT mechanism outside of FAST":     {Credentials: accounts(), Mechanisms: []string{auth.HTSHA256None}},
		"nothing left for the account":        {Credentials: accounts(), Offer: none},
		"nothing left but tokens for anybody": {Credentials: accounts(), Offer: none, FAST: &auth.FAST{Store: new(auth.MemoryTokens)}},
	} {
		inBubble(t, "SA-01 "+name, func(t *testing.T) {
			list := receiver{auth: srv}.features(t, juliet.String())
			assert.Equal(t, `<pipelining xmlns="urn:xmpp:features:pipelining"></pipelining>`, list)
		})
	}
	inBubble(t, "SA-02 only what an account can use", func(t *testing.T) {
		srv := newServer()
		srv.Offer = func(_ context.Context, account jid.JID, names []string) []string {
			assert.Equal(t, []string{auth.ScramSHA256, auth.ScramSHA1, auth.Plain}, names)
			switch account.String() {
			case "juliet@im.example.com":
				return []string{auth.ScramSHA1, auth.Plain, "GSSAPI"}
			case "":
				return names
			}
			return names[:1]
		}
		r := receiver{auth: srv}
		assert.Contains(t, r.features(t, ""), lists6120, "nobody in particular")
		assert.Contains(t, r.features(t, "romeo@im.example.com/orchard"), `<mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><mechanism>SCRAM-SHA-256</mechanism></mechanisms>`)
		list := r.features(t, "juliet@im.example.com/balcony")
		assert.Contains(t, list, `<mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism></mechanisms>`)
		assert.Contains(t, list, `<authentication xmlns="urn:xmpp:sasl:2"><mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism><inline>`)
		for _, w := range ways {
			o := r.visit(t, func(c *rawClient) {
				c.open("romeo@im.example.com")
				c.say(w.begin(auth.Plain, plain("juliet", password)), closing)
			})
			assert.Contains(t, o.Heard, w.failed("invalid-mechanism"), "%s: what the account is not offered is refused", w.name)
		}
	})
	for _, stock := range []bool{false, true} {
		inBubble(t, "SA-03 from another domain"+stocked(stock), func(t *testing.T) {
			r := receiver{stock: stock}
			o := r.visit(t, func(c *rawClient) {
				c.say(openingFrom("juliet@verona.example"), auth6120(auth.Plain, plain("juliet", password)))
			})
			assert.True(t, strings.HasSuffix(o.Heard, r.ends("invalid-from")), o.Heard)
			assert.NotContains(t, o.Heard, "<failure")
			require.ErrorIs(t, o.Err, stream.InvalidFrom)
			assert.Empty(t, o.Tries)
		})
	}
	for name, r := range map[string]receiver{
		"with TLS":     {tls: serverTLS()},
		"without":      {},
		"mellium's":    {stock: true},
		"with inlines": {auth: &auth.Server{Credentials: accounts(), Inline: []auth.Inline{ride{}}}},
	} {
		for _, from := range []string{"", juliet.String(), "nobody@im.example.com"} {
			inBubble(t, "SA-04 stable "+name+" from "+from, func(t *testing.T) {
				first := r.features(t, from)
				for range 9 {
					require.Equal(t, first, r.features(t, from))
				}
				assert.Equal(t, first, r.features(t, ""), "the same for everybody, whether there is an account or not")
			})
		}
	}
	const types = `<sasl-channel-binding xmlns="urn:xmpp:sasl-cb:0"><channel-binding type="tls-exporter"></channel-binding><channel-binding type="tls-server-end-point"></channel-binding></sasl-channel-binding>`
	for name, test := range map[string]struct {
		names  []string
		fast   bool
		listed bool
	}{
		"by default":             {nil, false, true},
		"one with -PLUS":         {[]string{auth.Plain, auth.ScramSHA1Plus}, false, true},
		"tokens only":            {[]string{auth.Plain}, true, true},
		"nothing that is bound":  {[]string{auth.ScramSHA256, auth.Plain}, false, false},
		"nothing but one secret": {[]string{auth.Plain}, false, false},
	} {
		inBubble(t, "SA-05 the list of channel bindings, "+name, func(t *testing.T) {
			srv := newServer()
			srv.Mechanisms = test.names
			if !test.fast {
				srv.FAST = nil
			}
			list := receiver{auth: srv, tls: serverTLS()}.features(t, "")
			if test.listed {
				assert.Contains(t, list, types)
				return
			}
			// Clients end the login if there are types but nothing to use them with
			// (XEP-0440, section 4, rule 5).
			assert.NotContains(t, list, "channel-binding")
		})
	}
	inBubble(t, "SA-06, FA-01, FA-02 what rides along", func(t *testing.T) {
		srv := newServer()
		srv.Inline = []auth.Inline{ride{}, silentRide{}}
		list := receiver{auth: srv, tls: serverTLS()}.features(t, "")
		assert.Contains(t, list, `<authentication xmlns="urn:xmpp:sasl:2">`+
			`<mechanism>SCRAM-SHA-256-PLUS</mechanism><mechanism>SCRAM-SHA-1-PLUS</mechanism><mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism>`+
			`<inline><ride xmlns="urn:example:ride"></ride>`+
			`<fast xmlns="urn:xmpp:fast:0"><mechanism>HT-SHA-256-EXPR</mechanism><mechanism>HT-SHA-256-ENDP</mechanism><mechanism>HT-SHA-256-NONE</mechanism></fast>`+
			`</inline></authentication>`)
	})
	inBubble(t, "FA-03 nothing is allowed in 0-RTT", func(t *testing.T) {
		assert.NotContains(t, receiver{tls: serverTLS()}.features(t, ""), "0rtt")
	})
	inBubble(t, "SA-28 PLAIN is off by default", func(t *testing.T) {
		srv := &auth.Server{Credentials: accounts(), Certificate: auth.Leaf(pki().cert)}
		r := receiver{auth: srv, tls: serverTLS()}
		assert.Equal(t, []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1"}, auth.DefaultMechanisms())
		assert.NotContains(t, r.features(t, ""), "PLAIN")
		for _, w := range ways {
			o := r.visit(t, func(c *rawClient) {
				c.open("")
				c.say(w.begin(auth.Plain, plain("juliet", password)), closing)
			})
			assert.Contains(t, o.Heard, w.failed("invalid-mechanism"), w.name)
		}
	})
	for name, profiles := range map[string]auth.Profile{"both": 0, "RFC 6120": auth.RFC6120, "SASL2": auth.SASL2, "each": auth.RFC6120 | auth.SASL2} {
		inBubble(t, "profiles: "+name, func(t *testing.T) {
			srv := newServer()
			srv.Profiles = profiles
			r := receiver{auth: srv}
			list := r.features(t, "")
			for _, w := range ways {
				has := profiles == 0 || profiles&w.profile != 0
				assert.Equal(t, has, strings.Contains(list, w.ns), w.name)
				if has {
					continue
				}
				o := r.visit(t, func(c *rawClient) {
					c.open("")
					c.say(w.begin(auth.Plain, plain("juliet", password)))
				})
				assert.True(t, strings.HasSuffix(o.Heard, r.ends("policy-violation")), o.Heard)
				assert.Empty(t, o.Tries)

				o = r.visit(t, func(c *rawClient) {
					c.open("")
					c.say(w.other().begin(auth.Plain, plain("juliet", "wrong")), w.begin(auth.Plain, plain("juliet", password)))
				})
				assert.True(t, strings.HasSuffix(o.Heard, w.other().failed("not-authorized")+r.ends("policy-violation")), o.Heard)
			}
		})
	}
	for _, w := range ways {
		inBubble(t, "SA-25 only inside TLS, "+w.name, func(t *testing.T) {
			r := receiver{insecure: true}
			o := r.visit(t, func(c *rawClient) {
				assert.NotContains(t, c.open(""), "<mechanism>")
				c.say(w.begin(auth.Plain, plain("juliet", password)))
			})
			assert.True(t, strings.HasSuffix(o.Heard, r.ends("policy-violation")), o.Heard)
			assert.Empty(t, o.Tries)
		})
	}
	for _, gs2 := range []string{"n,,", "y,,"} {
		inBubble(t, "features that were made for nobody are held to, "+gs2, func(t *testing.T) {
			srv := newServer()
			n := xmpptest.Stock(append(srv.Features(nil), xmpp.BindResource())...)
			o := receiver{auth: srv, tls: serverTLS(), negotiator: n}.visit(t, func(c *rawClient) {
				list := c.open(juliet.String())
				assert.NotContains(t, list, "PLUS", "without a session nothing is known of TLS")
				s := newScram(auth.ScramSHA256, "juliet", password)
				s.gs2 = gs2
				c.scram(way2, s)
				c.success()
				c.bind()
			})
			require.NoError(t, o.Err)
		})
	}
}

// silentRide is an Inline that does not announce itself.
type silentRide struct{ ride }

func (silentRide) Offer(context.Context, *xmpp.Session) xml.TokenReader { return nil }

// stocked names a test by its negotiator.
func stocked(yes bool) string {
	if yes {
		return ", mellium's negotiator"
	}
	return ""
}

// recorder is a mechanism that notes all messages, and lets juliet in after it has
// sent the challenges.
func recorder(got *[]string, data []byte, challenges ...string) sasl.Mechanism {
	return sasl.Mechanism{
		Name: "RECORD",
		Next: func(n *sasl.Negotiator, message []byte, state any) (bool, []byte, any, error) {
			*got = append(*got, string(message))
			i, _ := state.(int)
			if i < len(challenges) {
				return true, []byte(challenges[i]), i + 1, nil
			}
			if !n.Permissions(sasl.Credentials(func() ([]byte, []byte, []byte) { return []byte("juliet"), nil, nil })) {
				return false, nil, nil, sasl.ErrAuthn
			}
			return false, data, nil, nil
		},
	}
}

// newRecorder is a server whose only mechanism is recorder.
func newRecorder(got *[]string, data []byte, challenges ...string) *auth.Server {
	return &auth.Server{More: []sasl.Mechanism{recorder(got, data, challenges...)}, Mechanisms: []string{"RECORD"}}
}

// TestServerEncoding is about base64.
func TestServerEncoding(t *testing.T) {
	success := func(w way) string {
		if w.profile == auth.SASL2 {
			return success2
		}
		return success6120
	}
	for _, w := range ways {
		for name, test := range map[string]struct {
			text string
			want string
			ways auth.Profile
		}{
			"some bytes":         {"AAEC", "\x00\x01\x02", 0},
			"padding":            {"AA==", "\x00", 0},
			"white space around": {"\n  AAEC\t\r\n ", "\x00\x01\x02", 0},
			"nothing":            {"=", "", auth.RFC6120},
			"an empty element":   {"", "", auth.SASL2},
		} {
			if test.ways != 0 && test.ways != w.profile {
				continue
			}
			inBubble(t, "SA-07 "+w.name+" "+name, func(t *testing.T) {
				var got []string
				r := receiver{auth: newRecorder(&got, nil)}
				o := r.visit(t, func(c *rawClient) {
					c.open("")
					c.say(w.begin("RECORD", test.text), closing)
				})
				assert.Equal(t, []string{test.want}, got)
				assert.Contains(t, o.Heard, success(w))
			})
		}
		for name, absent := range map[string]string{
			"no initial response":      w.absent(),
			"an element that is empty": "<auth xmlns='" + auth.NSSASL + "' mechanism='RECORD'/>",
		} {
			if w.profile == auth.SASL2 && strings.HasPrefix(absent, "<auth ") {
				continue
			}
			inBubble(t, "SA-07 "+w.name+" "+name, func(t *testing.T) {
				var got []string
				o := receiver{auth: newRecorder(&got, nil)}.visit(t, func(c *rawClient) {
					c.open("")
					c.say(absent)
					c.until("<challenge")
					c.until(">")
					c.say(w.response("AAEC"), closing)
				})
				assert.Equal(t, []string{"\x00\x01\x02"}, got, "the mechanism is not bothered with nothing")
				assert.Contains(t, o.Heard, success(w))
			})
		}
		inBubble(t, "SA-07 "+w.name+" empty challenges and responses", func(t *testing.T) {
			var got []string
			o := receiver{auth: newRecorder(&got, nil, "first", "")}.visit(t, func(c *rawClient) {
				c.open("")
				c.say(w.begin("RECORD", "AAEC"))
				assert.Equal(t, "first", c.message("challenge"))
				c.say("<response xmlns='" + w.ns + "'/>")
				c.until("<challenge")
				c.until(">")
				c.say(w.response(""), closing)
			})
			assert.Equal(t, []string{"\x00\x01\x02", "", ""}, got)
			assert.Contains(t, o.Heard, success(w))
		})
		for name, data := range map[string][]byte{"none": nil, "empty": {}, "some": []byte("data")} {
			inBubble(t, "SA-07, SA-15 "+w.name+" additional data: "+name, func(t *testing.T) {
				o := receiver{auth: newRecorder(new([]string), data)}.visit(t, func(c *rawClient) {
					c.open("")
					c.say(w.begin("RECORD", "AAEC"), closing)
				})
				want := map[string][2]string{
					"none":  {`<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`, `<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>`},
					"empty": {`<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>=</success>`, `<success xmlns='urn:xmpp:sasl:2'><additional-data/><authorization-identifier>`},
					"some":  {`<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>ZGF0YQ==</success>`, `<success xmlns='urn:xmpp:sasl:2'><additional-data>ZGF0YQ==</additional-data><authorization-identifier>`},
				}[name]
				assert.Contains(t, o.Heard, want[int(w.profile)-1])
			})
		}
		for name, text := range map[string]string{
			"= before other bytes":  "=AAA",
			"a newline within":      "AA\nEC",
			"a return within":       "AA\r\nEC",
			"a space within":        "AA EC",
			"too short":             "AAE",
			"padding within":        "AA==AAEC",
			"too much padding":      "AAEC=",
			"bits that count not":   "AB==",
			"the alphabet for URLs": "-_-_",
			"no base64":             "juliet",
			"an entity":             "AA&#10;EC",
			"an element":            "AA<b/>EC",
			"another element":       "<b xmlns='urn:example:b'>AAEC</b>",
			"two equals signs":      "==",
		} {
			for _, stock := range []bool{false, true} {
				inBubble(t, "AQ-17, SA-07 "+w.name+" "+name+stocked(stock), func(t *testing.T) {
					var got []string
					o := receiver{auth: newRecorder(&got, nil, "go on"), stock: stock}.visit(t, func(c *rawClient) {
						c.open(juliet.String())
						c.say(w.begin("RECORD", text))
						assert.Equal(t, w.failed("incorrect-encoding"), c.until("</failure>"), "with what begins")
						assert.Empty(t, got)
						c.say(w.begin("RECORD", "AAEC"))
						c.until("</challenge>")
						c.say(w.response(text))
						assert.Equal(t, w.failed("incorrect-encoding"), c.until("</failure>"), "with a response")
						c.say(w.begin("RECORD", "AAEC"))
						c.until("</challenge>")
						c.say(w.response("AAEC"), closing)
					})
					assert.Contains(t, o.Heard, success(w), "the stream is as before")
					assert.Len(t, got, 3)
				})
			}
		}
		for _, stock := range []bool{false, true} {
			inBubble(t, "AQ-17 "+w.name+" much base64"+stocked(stock), func(t *testing.T) {
				r := receiver{stock: stock}
				o := r.visit(t, func(c *rawClient) {
					c.open("")
					c.say(w.begin(auth.Plain, strings.Repeat("A", 32<<10)))
					assert.Equal(t, w.failed("incorrect-encoding"), c.until("</failure>"))
					c.say(w.begin(auth.Plain, strings.Repeat("A", 1<<20)))
				})
				assert.True(t, strings.HasSuffix(o.Heard, r.ends("policy-violation")), o.Heard)
				assert.False(t, o.Left)
				require.Error(t, o.Err)
			})
		}
	}
	inBubble(t, "SA-07 SASL2 has no = for nothing", func(t *testing.T) {
		o := receiver{auth: newRecorder(new([]string), nil)}.visit(t, func(c *rawClient) {
			c.open("")
			c.say(authenticate2("RECORD", "="), closing)
		})
		assert.Contains(t, o.Heard, failed2("incorrect-encoding"))
	})
}

// absent begins RECORD without an initial response.
func (w way) absent() string {
	if w.profile == auth.SASL2 {
		return "<authenticate xmlns='" + w.ns + "' mechanism='RECORD'/>"
	}
	return "<auth xmlns='" + w.ns + "' mechanism='RECORD'></auth>"
}

// fixedAccounts has keys with a salt that is always the same.
type fixedAccounts struct{ t testing.TB }

func (f fixedAccounts) Keys(_ context.Context, account jid.JID, mechanism string) (auth.Keys, error) {
	if !account.Equal(juliet) {
		return auth.Keys{}, auth.ErrUnknownAccount
	}
	s := newScram(mechanism, "juliet", password)
	return keysOf(f.t, s.hash(), password, []byte("salt of "+mechanism), iterations).Keys, nil
}

// TestServer6120 is about the profile of RFC 6120.
func TestServer6120(t *testing.T) {
	inBubble(t, "SCRAM-SHA-256", func(t *testing.T) {
		srv := newServer()
		srv.Credentials = fixedAccounts{t}
		o := receiver{auth: srv}.visit(t, func(c *rawClient) {
			c.open(juliet.String())
			s := newScram(auth.ScramSHA256, "juliet", password)
			c.scram(way6120, s)
			assert.Equal(t, s.verifier, c.message("success"))
			c.open(juliet.String())
			c.bind()
		})
		require.NoError(t, o.Err)
		o.golden(t, "server-6120-scram.txt")
		assert.Equal(t, juliet, o.Session.RemoteAddr())
		require.Len(t, o.Tries, 1)
		assert.Equal(t, auth.Login{Account: juliet, Mechanism: auth.ScramSHA256, Profile: auth.RFC6120}, o.Tries[0].Login)
	})
	inBubble(t, "failure, retry and abort", func(t *testing.T) {
		srv := newServer()
		srv.Credentials = fixedAccounts{t}
		o := receiver{auth: srv}.visit(t, func(c *rawClient) {
			c.open(juliet.String())
			c.say(auth6120(auth.Plain, plain("juliet", "wrong")))
			c.until("</failure>")
			c.say(auth6120(auth.ScramSHA1, base64Of(newScram(auth.ScramSHA1, "juliet", password).first())))
			c.until("</challenge>")
			c.say(way6120.abort())
			c.until("</failure>")
			c.say(auth6120(auth.Plain, plain("juliet", password)))
			c.until("/>") // success
			c.open(juliet.String())
			c.bind()
		})
		require.NoError(t, o.Err)
		o.golden(t, "server-6120-retry.txt")
		assert.Equal(t, []error{
			auth.Failure{Condition: auth.NotAuthorized}, auth.Failure{Condition: auth.Aborted}, nil,
		}, o.results())
	})
	for _, mechanism := range []string{auth.ScramSHA256, auth.ScramSHA1} {
		for _, w := range ways {
			inBubble(t, mechanism+" "+w.name, func(t *testing.T) {
				o := receiver{}.visit(t, func(c *rawClient) {
					c.open("")
					s := newScram(mechanism, "juliet", password)
					c.scram(w, s)
					if w.profile == auth.SASL2 {
						assert.Equal(t, s.verifier, c.message("additional-data"))
					} else {
						assert.Equal(t, s.verifier, c.message("success"))
						c.open("")
					}
					c.bind()
				})
				require.NoError(t, o.Err)
				assert.Equal(t, juliet, o.Session.RemoteAddr(), "SA-27 who it is comes from SASL")
			})
		}
	}
	inBubble(t, "names are prepared", func(t *testing.T) {
		for _, name := range []string{"juliet", "JULIET", "ｊuliet"} {
			o := receiver{}.visit(t, func(c *rawClient) {
				c.open("")
				s := newScram(auth.ScramSHA256, name, password)
				c.scram(way2, s)
				assert.Equal(t, s.verifier, c.message("additional-data"))
				c.until("</success>")
				c.bind()
			})
			require.NoError(t, o.Err)
			assert.Equal(t, juliet, o.Session.RemoteAddr())
		}
	})
}

// TestServerIdentity is about who a client may be.
func TestServerIdentity(t *testing.T) {
	type test struct {
		name, from, identity string
		ok                   bool
	}
	for _, w := range ways {
		for _, mechanism := range []string{auth.Plain, auth.ScramSHA256} {
			for _, test := range []test{
				{"none", "", "", true},
				{"the account", "", "juliet@im.example.com", true},
				{"the account, spelled otherwise", "", "JULIET@IM.example.com", true},
				{"a full JID", "", "juliet@im.example.com/balcony", false},
				{"another account", "", "romeo@im.example.com", false},
				{"the domain", "", "im.example.com", false},
				{"a name only", "", "juliet", false},
				{"no JID", "", "@@", false},
				{"from the account", "juliet@im.example.com", "", true},
				{"from the account, full", "juliet@im.example.com/chamber", "", true},
				{"from another account", "romeo@im.example.com", "", false},
				{"from another account, that is asked for", "romeo@im.example.com", "romeo@im.example.com", false},
				{"from another account, with the right identity", "romeo@im.example.com", "juliet@im.example.com", false},
				{"from the domain", "im.example.com", "", false},
			} {
				inBubble(t, "SA-09 "+w.name+" "+mechanism+" "+test.name, func(t *testing.T) {
					o := receiver{}.visit(t, func(c *rawClient) {
						c.open(test.from)
						if mechanism == auth.Plain {
							c.say(w.begin(mechanism, base64Of(test.identity+"\x00juliet\x00"+password)))
						} else {
							s := newScram(mechanism, "juliet", password)
							if test.identity != "" {
								s.gs2 = "n,a=" + test.identity + ","
							}
							c.scram(w, s)
						}
						c.say(closing)
					})
					require.Len(t, o.Tries, 1)
					if test.ok {
						assert.NoError(t, o.Tries[0].Err)
						assert.NotContains(t, o.Heard, "<failure")
						return
					}
					var f auth.Failure
					require.ErrorAs(t, o.Tries[0].Err, &f)
					assert.Equal(t, auth.InvalidAuthzid, f.Condition)
					assert.Contains(t, o.Heard, strings.TrimSuffix(w.failed("invalid-authzid"), "</failure>"))
				})
			}
			inBubble(t, "SA-09 "+w.name+" "+mechanism+" whoever has not proven anything learns nothing", func(t *testing.T) {
				var answers []string
				for _, identity := range []string{"", "romeo@im.example.com", "@@"} {
					for _, user := range []string{"juliet", "nobody"} {
						o := receiver{}.visit(t, func(c *rawClient) {
							c.open("romeo@im.example.com")
							if mechanism == auth.Plain {
								c.say(w.begin(mechanism, base64Of(identity+"\x00"+user+"\x00wrong")))
							} else {
								s := newScram(mechanism, user, "wrong")
								if identity != "" {
									s.gs2 = "n,a=" + identity + ","
								}
								c.scram(w, s)
							}
							c.until("</failure>")
							c.say(closing)
						})
						answers = append(answers, o.Heard[strings.Index(o.Heard, "<failure"):])
					}
				}
				for _, a := range answers {
					assert.Equal(t, w.failed("not-authorized")+closing, a)
				}
			})
		}
	}
}

// TestServerStock is about mellium's own negotiator on the server.
func TestServerStock(t *testing.T) {
	r := receiver{stock: true}
	for _, w := range ways {
		inBubble(t, "who does not say who it is is refused, "+w.name, func(t *testing.T) {
			var asked []string
			r := r
			r.auth = newServer()
			r.auth.Inline = []auth.Inline{ride{asked: &asked}}
			o := r.visit(t, func(c *rawClient) {
				c.open("")
				if w.profile == auth.SASL2 {
					w = w.with(askRide)
				}
				c.say(w.begin(auth.Plain, plain("juliet", password)))
			})
			require.ErrorIs(t, o.Err, auth.ErrNotPinned)
			assert.True(t, strings.HasSuffix(o.Heard, "</stream:features>"+r.ends("not-authorized")), o.Heard)
			assert.Empty(t, asked)
			assert.Zero(t, o.Session.State()&(xmpp.Authn|xmpp.Ready))
			require.Len(t, o.Tries, 1)
			assert.ErrorIs(t, o.Tries[0].Err, auth.ErrNotPinned)
		})
		inBubble(t, "who does not say it and cannot prove it is refused like everybody, "+w.name, func(t *testing.T) {
			o := r.visit(t, func(c *rawClient) {
				c.open("")
				c.say(w.begin(auth.Plain, plain("juliet", "wrong")), closing)
			})
			assert.True(t, strings.HasSuffix(o.Heard, w.failed("not-authorized")), o.Heard)
		})
		inBubble(t, "who says it is let in, "+w.name, func(t *testing.T) {
			o := r.visit(t, func(c *rawClient) {
				c.open(juliet.String())
				c.say(w.begin(auth.Plain, plain("juliet", password)))
				if w.profile == auth.SASL2 {
					c.success()
				} else {
					c.until("/>")
					c.open(juliet.String())
				}
				c.bind()
			})
			require.NoError(t, o.Err)
			assert.Equal(t, juliet, o.Session.RemoteAddr())
			assert.Contains(t, o.Heard, bound)
		})
		inBubble(t, "who says a resource before it has one is let in, "+w.name, func(t *testing.T) {
			o := r.visit(t, func(c *rawClient) {
				c.open("juliet@im.example.com/chamber")
				c.say(w.begin(auth.Plain, plain("juliet", password)))
				if w.profile == auth.SASL2 {
					c.success()
				} else {
					c.until("/>")
					c.open("juliet@im.example.com/chamber")
				}
				c.bind()
			})
			require.NoError(t, o.Err)
			assert.True(t, o.Session.RemoteAddr().Bare().Equal(juliet))
		})
	}
	for name, again := range map[string]string{
		"another account":                openingFrom("romeo@im.example.com"),
		"another resource":               openingFrom("juliet@im.example.com/chamber"),
		"nobody":                         opening,
		"another domain":                 strings.Replace(openingFrom("juliet@im.example.com"), "to='im.example.com'", "to='verona.example'", 1),
		"the same account there":         strings.Replace(openingFrom("juliet@verona.example"), "to='im.example.com'", "to='verona.example'", 1),
		"the domain":                     openingFrom("im.example.com"),
		"an account that ends like hers": openingFrom("xjuliet@im.example.com"),
	} {
		inBubble(t, "who says after the restart that it is "+name, func(t *testing.T) {
			o := r.visit(t, func(c *rawClient) {
				c.open(juliet.String())
				c.say(auth6120(auth.Plain, plain("juliet", password)), again, askBind)
			})
			require.Error(t, o.Err)
			assert.NotContains(t, o.Heard, "<iq")
			assert.Zero(t, o.Session.State()&xmpp.Ready)
		})
	}
	inBubble(t, "failures in one profile before success in the other", func(t *testing.T) {
		o := r.visit(t, func(c *rawClient) {
			c.open(juliet.String())
			c.say(auth6120(auth.Plain, plain("juliet", "wrong")))
			c.until("</failure>")
			c.say(authenticate2(auth.Plain, plain("juliet", password)))
			c.success()
			c.bind()
		})
		require.NoError(t, o.Err)
	})
	inBubble(t, "what ends a stream is said", func(t *testing.T) {
		for say, condition := range map[string]string{
			"<iq id='p' type='get'><ping xmlns='urn:xmpp:ping'/></iq>": "not-authorized",
			"<message to='romeo@im.example.com'/>":                     "not-authorized",
			"<stranger xmlns='urn:example:stranger'/>":                 "policy-violation",
			" ":    "policy-violation",
			"text": "policy-violation",
		} {
			o := r.visit(t, func(c *rawClient) {
				c.open("")
				c.say(auth6120(auth.Plain, plain("juliet", "wrong")), say, closing)
			})
			assert.True(t, strings.HasSuffix(o.Heard, failed6120("not-authorized")+r.ends(condition)), "%q: %s", say, o.Heard)
			require.Error(t, o.Err)
		}
	})
	inBubble(t, "what has ended a stream is not said again", func(t *testing.T) {
		o := r.visit(t, func(c *rawClient) {
			c.open("")
			c.say(auth6120(auth.Plain, plain("juliet", "wrong")), "<stream:error><conflict xmlns='"+nsStreams+"'/></stream:error></stream:stream>")
		})
		assert.True(t, strings.HasSuffix(o.Heard, failed6120("not-authorized")), o.Heard)
		require.Error(t, o.Err)
	})
}

var errHook = errors.New("a hook's own error with secrets")

func externalJuliet(context.Context, *xmpp.Session, tls.ConnectionState, string) (jid.JID, error) {
	return juliet, nil
}

// withVersion limits TLS to a version.
func withVersion(config *tls.Config, version uint16) *tls.Config {
	config.MaxVersion = version
	return config
}

// bindingOf is the data of a channel binding, as a client sees it.
func bindingOf(t testing.TB, c *rawClient, kind string) []byte {
	t.Helper()
	state := c.Conn.(*tls.Conn).ConnectionState()
	switch kind {
	case "tls-exporter":
		data, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
		require.NoError(t, err)
		return data
	case "tls-unique":
		require.NotEmpty(t, state.TLSUnique)
		return state.TLSUnique
	case "tls-server-end-point":
		leaf := state.PeerCertificates[0]
		if leaf.SignatureAlgorithm == x509.ECDSAWithSHA384 {
			sum := sha512.Sum384(leaf.Raw)
			return sum[:]
		}
		sum := sha256.Sum256(leaf.Raw)
		return sum[:]
	}
	return nil
}

// certificate is a certificate signed with another key and hash than that of all
// tests.
func certificate(t testing.TB, key crypto.Signer) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		NotBefore:    time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC),
		DNSNames:     []string{domain.String()},
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// TestServerBinding compares with channel bindings that are computed here.
func TestServerBinding(t *testing.T) {
	kinds := map[uint16][]string{
		tls.VersionTLS12: {"tls-unique", "tls-server-end-point"},
		tls.VersionTLS13: {"tls-exporter", "tls-server-end-point"},
	}
	for version, listed := range kinds {
		for _, stock := range []bool{false, true} {
			r := receiver{tls: withVersion(serverTLS(), version), stock: stock}
			name := tls.VersionName(version) + stocked(stock) + " "
			inBubble(t, "SA-30 "+name+"lists", func(t *testing.T) {
				var want string
				for _, kind := range listed {
					want += `<channel-binding type="` + kind + `"></channel-binding>`
				}
				assert.Contains(t, r.features(t, ""), `<sasl-channel-binding xmlns="urn:xmpp:sasl-cb:0">`+want+`</sasl-channel-binding>`)
			})
			for _, kind := range listed {
				for _, mechanism := range []string{auth.ScramSHA256Plus, auth.ScramSHA1Plus} {
					for _, w := range ways {
						inBubble(t, "SA-30 "+name+kind+" "+mechanism+" "+w.name, func(t *testing.T) {
							o := r.visit(t, func(c *rawClient) {
								c.open(juliet.String())
								s := newScram(mechanism, "juliet", password)
								s.gs2, s.binding = "p="+kind+",,", bindingOf(t, c, kind)
								c.scram(w, s)
								if w.profile == auth.SASL2 {
									assert.Equal(t, s.verifier, c.message("additional-data"))
									c.success()
								} else {
									assert.Equal(t, s.verifier, c.message("success"))
									c.open(juliet.String())
								}
								c.bind()
							})
							require.NoError(t, o.Err)
							assert.Equal(t, mechanism, o.Tries[0].Mechanism)
						})
					}
				}
				inBubble(t, "FA-01 "+name+kind+" HT", func(t *testing.T) {
					r := r
					r.auth = newServer()
					mechanism := map[string]string{"tls-unique": auth.HTSHA256Unique, "tls-exporter": auth.HTSHA256Exporter, "tls-server-end-point": auth.HTSHA256EndPoint}[kind]
					token := r.getToken(t, mechanism)
					o := r.visit(t, func(c *rawClient) {
						c.open(juliet.String())
						text, answer := ht("juliet", token, bindingOf(t, c, kind))
						c.say(authenticate2(mechanism, text, agent, useToken))
						assert.Contains(t, c.success(), "<additional-data>"+answer+"</additional-data>")
						c.bind()
					})
					require.NoError(t, o.Err)
				})
			}
		}
	}
	for _, stock := range []bool{false, true} {
		inBubble(t, "SA-25, SA-30 after STARTTLS"+stocked(stock), func(t *testing.T) {
			o := receiver{insecure: true, stock: stock}.visit(t, func(c *rawClient) {
				c.say(opening)
				assert.NotContains(t, c.until("</stream:features>"), "<mechanism>")
				c.say("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
				c.until("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
				c.Conn = tls.Client(c.Conn, clientTLS())
				assert.Contains(t, c.open(juliet.String()), `<channel-binding type="tls-exporter">`)
				s := newScram(auth.ScramSHA256Plus, "juliet", password)
				s.gs2, s.binding = "p=tls-exporter,,", bindingOf(t, c, "tls-exporter")
				c.scram(way2, s)
				assert.Equal(t, s.verifier, c.message("additional-data"))
				c.success()
				c.bind()
			})
			require.NoError(t, o.Err)
			assert.Equal(t, juliet, o.Session.RemoteAddr())
		})
	}
	ec384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	for name, test := range map[string]struct {
		key     crypto.Signer
		without bool // no Server.Certificate
		kinds   []string
	}{
		"a certificate with SHA-384":                            {ec384, false, []string{"tls-exporter", "tls-server-end-point"}},
		"a certificate whose hash is not known (RFC 5929, 4.1)": {ed, false, []string{"tls-exporter"}},
		"a certificate that the server is not told":             {ec384, true, []string{"tls-exporter"}},
	} {
		inBubble(t, "SA-30 "+name, func(t *testing.T) {
			cert := certificate(t, test.key)
			pool := x509.NewCertPool()
			pool.AddCert(cert.Leaf)
			srv := newServer()
			srv.Certificate = auth.Leaf(cert)
			if test.without {
				srv.Certificate = nil
			}
			r := receiver{auth: srv, tls: &tls.Config{Certificates: []tls.Certificate{cert}}, clientTLS: &tls.Config{RootCAs: pool, ServerName: domain.String()}}
			list := r.features(t, "")
			for _, kind := range []string{"tls-exporter", "tls-server-end-point"} {
				listed := strings.Contains(list, `"`+kind+`"`)
				assert.Equal(t, slices.Contains(test.kinds, kind), listed, kind)
				o := r.visit(t, func(c *rawClient) {
					c.open("")
					s := newScram(auth.ScramSHA256Plus, "juliet", password)
					s.gs2, s.binding = "p="+kind+",,", bindingOf(t, c, kind)
					if listed {
						c.scram(way2, s)
						c.success()
						c.bind()
						return
					}
					c.say(way2.begin(s.mechanism, base64Of(s.first())))
					assert.Equal(t, failed2("not-authorized"), c.until("</failure>"))
				})
				assert.Equal(t, listed, o.Err == nil)
			}
		})
	}
	inBubble(t, "a certificate is parsed if it has to be", func(t *testing.T) {
		cert := pki().cert
		cert.Leaf = nil
		assert.Equal(t, pki().cert.Leaf, auth.Leaf(cert)(tls.ConnectionState{}))
		assert.Nil(t, auth.Leaf(tls.Certificate{})(tls.ConnectionState{}))
		assert.Nil(t, auth.Leaf(tls.Certificate{Certificate: [][]byte{{1}}})(tls.ConnectionState{}))
	})
}

// TestServerBindingRefused is about claims that are wrong. All get the same
// answer.
func TestServerBindingRefused(t *testing.T) {
	type test struct {
		name      string
		version   uint16
		mechanism string
		gs2       string
		binding   func(t testing.TB, c *rawClient) []byte // nil: the right one
		said      string                                  // what c= says of the header, if not the truth
		early     bool                                    // there is no challenge
		plusless  bool                                    // the server offers no -PLUS
		ok        bool
	}
	const v12, v13 = tls.VersionTLS12, tls.VersionTLS13
	data := func(kind string) func(t testing.TB, c *rawClient) []byte {
		return func(t testing.TB, c *rawClient) []byte { return bindingOf(t, c, kind) }
	}
	bytes := func(s string) func(t testing.TB, c *rawClient) []byte {
		return func(testing.TB, *rawClient) []byte { return []byte(s) }
	}
	for _, test := range []test{
		{name: "n is allowed", version: v13, mechanism: auth.ScramSHA256, gs2: "n,,", ok: true},
		{name: "y if nothing is offered", version: v13, mechanism: auth.ScramSHA256, gs2: "y,,", plusless: true, ok: true},
		{name: "n if nothing is offered", version: v13, mechanism: auth.ScramSHA256, gs2: "n,,", plusless: true, ok: true},
		{name: "y though -PLUS is offered", version: v13, mechanism: auth.ScramSHA256, gs2: "y,,", early: true},
		{name: "y though -PLUS is offered, SHA-1", version: v12, mechanism: auth.ScramSHA1, gs2: "y,,", early: true},
		{name: "-PLUS with n", version: v13, mechanism: auth.ScramSHA256Plus, gs2: "n,,", early: true},
		{name: "-PLUS with y", version: v13, mechanism: auth.ScramSHA256Plus, gs2: "y,,", early: true},
		{name: "p without -PLUS", version: v13, mechanism: auth.ScramSHA256, gs2: "p=tls-exporter,,", early: true},
		{name: "p without -PLUS, which is not offered", version: v13, mechanism: auth.ScramSHA256, gs2: "p=tls-exporter,,", plusless: true, early: true},
		{name: "a type that is not listed", version: v13, mechanism: auth.ScramSHA256Plus, gs2: "p=tls-unique,,", binding: bytes(""), early: true},
		{name: "a type that is not listed, TLS 1.2", version: v12, mechanism: auth.ScramSHA256Plus, gs2: "p=tls-exporter,,", early: true},
		{name: "a type that nobody knows", version: v13, mechanism: auth.ScramSHA256Plus, gs2: "p=tls-fancy,,", early: true},
		{name: "a type in capitals", version: v13, mechanism: auth.ScramSHA256Plus, gs2: "p=TLS-EXPORTER,,", early: true},
		{name: "no type", version: v13, mechanism: auth.ScramSHA256Plus, gs2: "p=,,", early: true},
		{name: "no data", version: v13, mechanism: auth.ScramSHA256Plus, gs2: "p=tls-exporter,,", binding: bytes("")},
		{name: "wrong data", version: v13, mechanism: auth.ScramSHA256Plus, gs2: "p=tls-exporter,,", binding: bytes("0123456789abcdef0123456789abcdef")},
		{name: "data of another type", version: v13, mechanism: auth.ScramSHA256Plus, gs2: "p=tls-exporter,,", binding: data("tls-server-end-point")},
		{name: "data of another type, TLS 1.2", version: v12, mechanism: auth.ScramSHA256Plus, gs2: "p=tls-unique,,", binding: data("tls-server-end-point")},
		{name: "data without -PLUS", version: v13, mechanism: auth.ScramSHA256, gs2: "n,,", binding: data("tls-exporter")},
		{name: "n in the first message and y in the last", version: v13, mechanism: auth.ScramSHA256, gs2: "n,,", said: "y,,"},
		{name: "one type in the first message and another in the last", version: v13, mechanism: auth.ScramSHA256Plus, gs2: "p=tls-exporter,,", said: "p=tls-server-end-point,,"},
		{name: "another identity in the last message", version: v13, mechanism: auth.ScramSHA256, gs2: "n,,", said: "n,a=juliet@im.example.com,"},
	} {
		for _, w := range ways {
			inBubble(t, w.name+" "+test.name, func(t *testing.T) {
				srv := newServer()
				if test.plusless {
					srv.Mechanisms = []string{auth.ScramSHA256, auth.ScramSHA1}
				}
				r := receiver{auth: srv, tls: withVersion(serverTLS(), test.version)}
				o := r.visit(t, func(c *rawClient) {
					c.open(juliet.String())
					s := newScram(test.mechanism, "juliet", password)
					s.gs2 = test.gs2
					first := base64Of(s.first())
					switch {
					case test.binding != nil:
						s.binding = test.binding(t, c)
					case strings.HasPrefix(test.gs2, "p=tls-exporter") && test.version == v13:
						s.binding = bindingOf(t, c, "tls-exporter")
					}
					if test.said != "" {
						s.gs2 = test.said
					}
					c.say(w.begin(test.mechanism, first))
					if !test.early {
						c.say(w.response(base64Of(s.last(t, c.message("challenge")))))
					}
					if test.ok {
						c.until("</success>")
						return
					}
					assert.Equal(t, w.failed("not-authorized"), c.until("</failure>"))
				})
				require.Len(t, o.Tries, 1)
				if test.ok {
					assert.NoError(t, o.Tries[0].Err)
					return
				}
				assert.Equal(t, auth.Failure{Condition: auth.NotAuthorized}, o.Tries[0].Err)
			})
		}
	}
}

// TestServerExternal is about EXTERNAL.
func TestServerExternal(t *testing.T) {
	// Who the peer is stands in its certificate: the first of its names.
	who := func(account jid.JID) func(context.Context, *xmpp.Session, tls.ConnectionState, string) (jid.JID, error) {
		return func(_ context.Context, _ *xmpp.Session, state tls.ConnectionState, identity string) (jid.JID, error) {
			if len(state.VerifiedChains) == 0 || state.PeerCertificates[0].DNSNames[0] != domain.String() {
				return jid.JID{}, errHook
			}
			return account, nil
		}
	}
	certain := clientTLS()
	certain.Certificates = []tls.Certificate{pki().cert}
	newReceiver := func(account jid.JID) receiver {
		srv := newServer()
		srv.Mechanisms = []string{auth.External, auth.ScramSHA256}
		srv.External = who(account)
		return receiver{auth: srv, tls: serverTLS(), clientTLS: certain}
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, w := range ways {
			for name, test := range map[string]struct {
				text, from, condition string
			}{
				"nobody in particular":              {"", "", ""},
				"nobody in particular, said in XML": {"=", "", ""},
				"the account":                       {base64Of("juliet@im.example.com"), "", ""},
				"from the account":                  {"", "juliet@im.example.com/balcony", ""},
				"another account":                   {base64Of("romeo@im.example.com"), "", "invalid-authzid"},
				"a name only":                       {base64Of("juliet"), "", "invalid-authzid"},
				"from another account":              {"", "romeo@im.example.com", "invalid-authzid"},
				"an identity with a null":           {base64Of("juliet\x00"), "", "malformed-request"},
				"an identity that is not UTF-8":     {base64Of("\xff\xfe"), "", "malformed-request"},
			} {
				if test.text == "=" && w.profile == auth.SASL2 {
					continue
				}
				inBubble(t, tls.VersionName(version)+" "+w.name+" "+name, func(t *testing.T) {
					r := newReceiver(juliet)
					r.tls = withVersion(r.tls, version)
					o := r.visit(t, func(c *rawClient) {
						assert.Contains(t, c.open(test.from), "<mechanism>EXTERNAL</mechanism>")
						if test.text == "" && w.profile == auth.RFC6120 {
							c.say("<auth xmlns='" + w.ns + "' mechanism='EXTERNAL'/>")
							assert.Equal(t, "<challenge xmlns='"+w.ns+"'>=</challenge>", c.until("</challenge>"))
							c.say(w.response("="))
						} else {
							c.say(w.begin(auth.External, test.text))
						}
						if test.condition != "" {
							assert.Contains(t, c.until("</failure>"), "<"+test.condition+" ")
							return
						}
						if w.profile == auth.SASL2 {
							c.success()
						} else {
							c.until("/>")
							c.open(test.from)
						}
						c.bind()
					})
					require.Len(t, o.Tries, 1)
					if test.condition != "" {
						require.Error(t, o.Tries[0].Err)
						return
					}
					require.NoError(t, o.Err)
					assert.Equal(t, juliet, o.Session.RemoteAddr())
					assert.Equal(t, auth.Login{Account: juliet, Mechanism: auth.External, Profile: w.profile}, o.Tries[0].Login)
				})
			}
		}
	}
	for _, w := range ways {
		inBubble(t, w.name+" without a certificate it is not offered", func(t *testing.T) {
			r := newReceiver(juliet)
			r.clientTLS = clientTLS()
			o := r.visit(t, func(c *rawClient) {
				assert.NotContains(t, c.open(""), "EXTERNAL")
				c.say(w.begin(auth.External, ""))
				assert.Equal(t, w.failed("invalid-mechanism"), c.until("</failure>"))
			})
			require.Error(t, o.Err)
		})
		inBubble(t, w.name+" a certificate that says nothing", func(t *testing.T) {
			r := newReceiver(juliet)
			r.tls.ClientAuth = tls.RequestClientCert
			cert := certificate(t, pki().cert.PrivateKey.(crypto.Signer))
			r.clientTLS = clientTLS()
			r.clientTLS.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
			o := r.visit(t, func(c *rawClient) {
				c.open("")
				c.say(w.begin(auth.External, base64Of("juliet@im.example.com")))
				assert.Equal(t, w.failed("not-authorized"), c.until("</failure>"))
			})
			assert.Equal(t, auth.Failure{Condition: auth.NotAuthorized}, o.Tries[0].Err)
		})
		inBubble(t, w.name+" who has no account", func(t *testing.T) {
			o := newReceiver(jid.JID{}).visit(t, func(c *rawClient) {
				c.open("")
				c.say(w.begin(auth.External, base64Of("juliet@im.example.com")))
				assert.Equal(t, w.failed("not-authorized"), c.until("</failure>"))
			})
			require.Error(t, o.Err)
		})
	}

	// Between servers.
	const peer = "example.net"
	header := func(from string) string {
		return strings.Replace(openingFrom(from), "jabber:client", "jabber:server", 1)
	}
	server := func(account string) receiver {
		r := newReceiver(jid.MustParse(account))
		r.s2s = true
		r.clientTLS = clientTLS()
		r.clientTLS.Certificates = []tls.Certificate{pki().cert}
		return r
	}
	for name, text := range map[string]string{"nothing": "=", "its domain": base64Of(peer)} {
		inBubble(t, "a server that asks for "+name, func(t *testing.T) {
			o := server(peer).visit(t, func(c *rawClient) {
				c.say(header(peer))
				list := c.until("</stream:features>")
				assert.Contains(t, list, `<mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><mechanism>EXTERNAL</mechanism></mechanisms>`, "nothing else is for servers")
				assert.NotContains(t, list, "urn:xmpp:sasl:2")
				c.say(auth6120(auth.External, text))
				assert.Equal(t, success6120, c.until("/>"))
				c.say(header(peer))
				c.until("</stream:features>")
			})
			require.NoError(t, o.Err)
			assert.Equal(t, peer, o.Session.RemoteAddr().String())
			assert.NotZero(t, o.Session.State()&xmpp.Ready)
			assert.Equal(t, auth.Login{Account: jid.MustParse(peer), Mechanism: auth.External, Profile: auth.RFC6120}, o.Tries[0].Login)
		})
	}
	for name, test := range map[string]struct{ account, from, text, condition string }{
		"that asks for another domain":  {peer, peer, base64Of("verona.example"), "invalid-authzid"},
		"that is from another domain":   {peer, "verona.example", "=", "invalid-authzid"},
		"whose certificate says other":  {"verona.example", peer, "=", "invalid-authzid"},
		"that wants to be an account":   {peer, peer, base64Of("juliet@" + peer), "invalid-authzid"},
		"that is from an account of it": {peer, "juliet@" + peer, "=", "invalid-authzid"},
	} {
		inBubble(t, "a server "+name, func(t *testing.T) {
			o := server(test.account).visit(t, func(c *rawClient) {
				c.say(header(test.from))
				c.until("</stream:features>")
				c.say(auth6120(auth.External, test.text))
				assert.Contains(t, c.until("</failure>"), "<"+test.condition+" ")
			})
			require.Error(t, o.Err)
			assert.Zero(t, o.Session.State()&xmpp.Ready)
		})
	}
	for name, say := range map[string]string{
		"SASL2": authenticate2(auth.External, ""),
		"SCRAM": auth6120(auth.ScramSHA256, base64Of("n,,n=juliet,r=abc")),
	} {
		inBubble(t, "a server that tries "+name, func(t *testing.T) {
			r := server(peer)
			o := r.visit(t, func(c *rawClient) {
				c.say(header(peer))
				c.until("</stream:features>")
				c.say(say)
			})
			require.Error(t, o.Err)
			if name == "SASL2" {
				assert.True(t, strings.HasSuffix(o.Heard, r.ends("policy-violation")), o.Heard)
			} else {
				assert.True(t, strings.HasSuffix(o.Heard, failed6120("invalid-mechanism")), o.Heard)
			}
		})
	}
}
