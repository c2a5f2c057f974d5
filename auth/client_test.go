// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

var _ pipelining.Authenticator = (*auth.Client)(nil)

// TestProfileChosen is about servers that offer both profiles, or one of them.
func TestProfileChosen(t *testing.T) {
	for name, list := range map[string]string{
		"SASL2 first": features(modern("", auth.Plain), legacy(auth.Plain)),
		"SASL2 last":  features(legacy(auth.Plain), modern("", auth.Plain)),
	} {
		for _, w := range []route{stock, wrapped, stepwise} {
			t.Run("SASL2 before RFC 6120, "+w.name+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := trusting(newClient(auth.Plain))
					for range 100 { // The order in which mellium looks at features is random.
						s := play(t, w.negotiator(sasl2, c), func(a *actor) {
							a.open(list)
							a.begin(sasl2, auth.Plain)
							a.say(sasl2.success(""))
							a.settle(sasl2)
						})
						s.welcomed(t, balcony)
					}
				})
			})
		}
	}
	for name, list := range map[string]string{
		"SASL2 has none that may be used": features(modern("", "X-UNKNOWN", auth.ScramSHA256), legacy(auth.Plain)),
		"SASL2 has none at all":           features(modern(""), legacy(auth.Plain)),
		"there is no SASL2":               features(legacy(auth.Plain)),
		"SASL2 is of somebody else":       features(strings.ReplaceAll(modern("", auth.Plain), "urn:xmpp:sasl:2", "urn:xmpp:sasl:3"), legacy(auth.Plain)),
		"mechanisms are of somebody else": features(strings.Replace(modern("", auth.Plain), "<mechanism>", "<mechanism xmlns='urn:x'>", 1), legacy(auth.Plain)),
	} {
		for _, w := range routes {
			t.Run("RFC 6120 if "+name+", "+w.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := play(t, w.negotiator(sasl1, trusting(newClient(auth.Plain))), func(a *actor) {
						a.open(list)
						a.begin(sasl1, auth.Plain)
						a.say(sasl1.success(""))
						a.settle(sasl1)
					})
					s.welcomed(t, balcony)
				})
			})
		}
	}
	t.Run("SASL2 was planned, but is not offered", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := play(t, before.negotiator(sasl2, trusting(newClient(auth.ScramSHA256))), func(a *actor) {
				a.open(features(legacy(auth.ScramSHA256)))
			})
			s.turned(t, pipelining.ErrMispredicted)
		})
	})
	t.Run("the client's order counts", func(t *testing.T) {
		for _, w := range []route{stock, wrapped, stepwise} {
			synctest.Test(t, func(t *testing.T) {
				play(t, w.negotiator(sasl2, trusting(newClient(auth.ScramSHA1, auth.ScramSHA256, auth.Plain))), func(a *actor) {
					a.open(features(modern("", auth.Plain, auth.ScramSHA256, auth.ScramSHA1)))
					a.begin(sasl2, auth.ScramSHA1)
				})
			})
		}
	})
}

var iqID = regexp.MustCompile(`<iq id='[^']*'`)

// flights are what a client has sent, each write on its own, with what is random
// left out.
func (s *scene) flights(t testing.TB) []string {
	t.Helper()
	var list []string
	for _, w := range s.Link.Writes(xmpptest.Client) {
		list = append(list, iqID.ReplaceAllString(string(w), "<iq id='$${id}'"))
	}
	return list
}

const (
	clientHeader = `<?xml version='1.0'?><stream:stream from='juliet@im.example.com' to='im.example.com' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`
	clientAgent  = `<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>Balcony</software><device>Juliet&#39;s phone</device></user-agent>`
	clientRide   = `<ride xmlns='urn:example:ride'><tag>balcony</tag></ride>`
	clientBind   = `<iq id='${id}' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>balcony</resource></bind></iq>`
)

// TestFlights is what clients that send ahead put into one write each.
func TestFlights(t *testing.T) {
	const plain = `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGp1bGlldAByMG0zMG15cjBtMzA=</auth>`
	silent := func(t *testing.T, s *scene, flights ...string) {
		t.Helper()
		if !assert.Equal(t, flights, s.flights(t)) {
			return
		}
		assert.Equal(t, strings.Join(flights, ""), iqID.ReplaceAllString(s.Heard, "<iq id='$${id}'"), "nothing else, not even white space")
	}
	t.Run("header and auth, with bind behind", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := stage{origin: balcony}.play(t, before.of(sasl1, pipelining.Full, trusting(newClient(auth.Plain))), func(*actor) {})
			silent(t, s, clientHeader+plain+clientHeader+clientBind)
		})
		synctest.Test(t, func(t *testing.T) {
			s := stage{origin: balcony}.play(t, before.of(sasl1, pipelining.Paced, trusting(newClient(auth.Plain))), func(*actor) { time.Sleep(time.Second) })
			silent(t, s, clientHeader+plain, clientHeader+clientBind)
		})
	})
	for _, d := range dialects {
		for _, mode := range []pipelining.Mode{pipelining.Paced, pipelining.Full} {
			t.Run("SA-12 header and SCRAM, "+d.name+" "+mode.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var first, last string
					s := stage{origin: balcony}.play(t, before.of(d, mode, trusting(newClient(auth.ScramSHA256))), func(a *actor) {
						a.open(d.offer(auth.ScramSHA256))
						first = a.begin(d, auth.ScramSHA256)
						time.Sleep(time.Second)
						x := scramFor(t, auth.ScramSHA256, first)
						a.say(d.challenge(x.challenge()))
						last = a.response(d)
						time.Sleep(time.Second)
					})
					assert.Regexp(t, `^n,,n=juliet,r=.{16,}$`, first)
					switch {
					case d == sasl2:
						silent(t, s,
							clientHeader+`<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-256'><initial-response>`+encoded(first)+`</initial-response>`+clientAgent+`</authenticate>`,
							`<response xmlns='urn:xmpp:sasl:2'>`+encoded(last)+`</response>`)
					case mode == pipelining.Full:
						silent(t, s,
							clientHeader+`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>`+encoded(first)+`</auth>`,
							`<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>`+encoded(last)+`</response>`+clientHeader+clientBind)
					default:
						silent(t, s,
							clientHeader+`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>`+encoded(first)+`</auth>`,
							`<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>`+encoded(last)+`</response>`, clientHeader+clientBind)
					}
				})
			})
		}
	}
	for _, mode := range []pipelining.Mode{pipelining.Paced, pipelining.Full} {
		t.Run("SA-12 FA-18 header and token, with what rides along, "+mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := trusting(newClient(auth.ScramSHA256))
				c.Tokens = given(t, plainToken())
				c.Inline = []auth.ClientInline{rideAlong{"balcony"}}
				s := stage{origin: balcony}.play(t, before.of(sasl2, mode, c), func(*actor) { time.Sleep(time.Second) })
				initiator, _ := htScript(secret, nil)
				silent(t, s, clientHeader+`<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-NONE'><initial-response>`+encoded("juliet\x00"+initiator)+
					`</initial-response>`+clientAgent+clientRide+`<fast xmlns='urn:xmpp:fast:0'/></authenticate>`)
			})
		})
	}
	t.Run("SA-12 FA-04 header and PLAIN, and a wish for a token", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := trusting(newClient(auth.Plain))
			c.TokenMechanism = auth.HTSHA256None
			s := play(t, before.of(sasl2, pipelining.Full, c), func(*actor) { time.Sleep(time.Second) })
			silent(t, s, clientHeader+`<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>AGp1bGlldAByMG0zMG15cjBtMzA=</initial-response>`+
				clientAgent+`<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/></authenticate>`)
		})
	})
	for _, w := range routes {
		t.Run("SA-12 nothing behind authenticate, "+w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				play(t, w.negotiator(sasl2, trusting(newClient(auth.Plain))), func(a *actor) {
					a.open(sasl2.offer(auth.Plain))
					a.next("authenticate")
					time.Sleep(4 * time.Second)
					synctest.Wait()
					require.NoError(t, a.SetReadDeadline(time.Now()))
					_, err := a.Read(make([]byte, 1))
					assert.ErrorContains(t, err, "timeout", "the client is silent")
				})
			})
		})
	}
	t.Run("FA-18 from only inside of TLS", func(t *testing.T) {
		for _, w := range []route{stepwise, before} {
			synctest.Test(t, func(t *testing.T) {
				s := stage{open: true}.play(t, w.negotiator(sasl2, newClient(auth.Plain)), func(a *actor) {
					outside := a.header()
					if w.ahead {
						assert.NotContains(t, outside, "juliet")
					}
					a.say(actorHeader, features("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"))
					a.next("starttls")
					a.say("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
					require.NoError(t, a.acceptTLS(serverTLS()))
					assert.Contains(t, a.open(sasl2.offer(auth.Plain)), "from='juliet@im.example.com'")
					a.begin(sasl2, auth.Plain)
					a.say(sasl2.success(""))
					a.settle(sasl2)
				})
				s.welcomed(t, balcony)
				assert.NotContains(t, string(s.Link.Sent(xmpptest.Client)), "authenticate")
			})
		}
	})
}

// TestUserAgent is about what a client says about itself.
func TestUserAgent(t *testing.T) {
	for _, test := range []struct {
		name  string
		agent auth.UserAgent
		want  string
	}{
		{"nothing", auth.UserAgent{}, ""},
		{"the id", auth.UserAgent{ID: agentID}, `<user-agent id='` + agentID + `'></user-agent>`},
		{"the id in capitals", auth.UserAgent{ID: strings.ToUpper(agentID)}, `<user-agent id='` + strings.ToUpper(agentID) + `'></user-agent>`},
		{"a description", auth.UserAgent{Software: "A", Device: "B"}, `<user-agent><software>A</software><device>B</device></user-agent>`},
		{
			"what needs quoting", auth.UserAgent{ID: agentID, Software: "<a b='c'>&\x00", Device: "</device>"},
			`<user-agent id='` + agentID + `'><software>&lt;a b=&#39;c&#39;&gt;&amp;` + "\uFFFD" + `</software><device>&lt;/device&gt;</device></user-agent>`,
		},
	} {
		for _, w := range routes {
			t.Run("SA-10 "+test.name+", "+w.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := trusting(newClient(auth.Plain))
					c.UserAgent = test.agent
					play(t, w.negotiator(sasl2, c), func(a *actor) {
						a.open(sasl2.offer(auth.Plain))
						assert.Equal(t, `<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>AGp1bGlldAByMG0zMG15cjBtMzA=</initial-response>`+test.want+`</authenticate>`, a.next("authenticate"))
					})
				})
			})
		}
	}
	for name, id := range map[string]string{
		"of version 1": "c232ab00-9414-11ec-b3c8-9f6bdeced846",
		"of a variant": "d4565fa7-4d72-4749-73d3-740edbf87770",
		"in braces":    "{" + agentID + "}",
		"with quotes":  agentID[:35] + "'",
		"with more":    agentID + "\n",
		"a name":       "balcony",
	} {
		for _, w := range routes {
			t.Run("SA-10 an id "+name+" is not sent, "+w.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := trusting(newClient(auth.Plain))
					c.UserAgent = auth.UserAgent{ID: id}
					s := play(t, w.negotiator(sasl2, c), func(a *actor) { a.try(actorHeader, sasl2.offer(auth.Plain)) })
					s.turned(t, nil)
					assert.ErrorContains(t, s.Err, "UUID")
					s.keepsSecrets(t)
				})
			})
		}
	}
}

// chat is a mechanism in which a client answers as often as it is asked.
var chat = sasl.Mechanism{
	Name:  "X-CHAT",
	Start: func(*sasl.Negotiator) (bool, []byte, any, error) { return true, []byte("hello"), nil, nil },
	Next: func(_ *sasl.Negotiator, challenge []byte, _ any) (bool, []byte, any, error) {
		return string(challenge) != "bye", append([]byte("re: "), challenge...), nil, nil
	},
}

// TestChallenges is about exchanges of several steps.
func TestChallenges(t *testing.T) {
	for _, d := range dialects {
		for _, w := range routes {
			t.Run("SA-13 each is answered, "+w.name+" "+d.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := trusting(newClient("X-CHAT"))
					c.More = []sasl.Mechanism{chat}
					s := play(t, w.negotiator(d, c), func(a *actor) {
						a.open(d.offer("X-CHAT"))
						assert.Equal(t, "hello", a.begin(d, "X-CHAT"))
						for _, word := range []string{"", "how", "are", "you"} {
							a.say(d.challenge(word))
							assert.Equal(t, "re: "+word, a.response(d))
						}
						a.say(d.success("bye"))
						a.settle(d)
					})
					s.welcomed(t, balcony)
				})
			})
			for name, write := range map[string]func(string) string{
				"in white space": func(s string) string { return d.element("challenge", "\n\t "+encoded(s)+" \r\n") },
				"in CDATA":       func(s string) string { return d.element("challenge", "<![CDATA["+encoded(s)+"]]>") },
				"as references": func(s string) string {
					return d.element("challenge", strings.ReplaceAll(encoded(s), "=", "&#61;"))
				},
				"with a prefix": func(s string) string {
					return "<p:challenge xmlns:p='" + d.ns + "'>" + encoded(s) + "</p:challenge>"
				},
			} {
				t.Run("SA-07 "+name+", "+w.name+" "+d.name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := play(t, w.negotiator(d, trusting(newClient(auth.ScramSHA1))), func(a *actor) {
							a.open(d.offer(auth.ScramSHA1))
							x := scramFor(t, auth.ScramSHA1, a.begin(d, auth.ScramSHA1))
							a.say(write(x.challenge()))
							a.say(d.success(x.final(a.response(d), nil)))
							a.settle(d)
						})
						s.welcomed(t, balcony)
					})
				})
			}
		}
	}
	for name, empty := range map[string]string{"an empty element": "<challenge xmlns='%s'/>", "nothing": "<challenge xmlns='%s'></challenge>", "an equals sign": "<challenge xmlns='%s'>=</challenge>"} {
		for _, d := range dialects {
			t.Run("SA-07 an empty message is "+name+", "+d.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := trusting(newClient("X-CHAT"))
					c.More = []sasl.Mechanism{chat}
					s := play(t, stock.negotiator(d, c), func(a *actor) {
						a.open(d.offer("X-CHAT"))
						a.begin(d, "X-CHAT")
						a.say(strings.ReplaceAll(empty, "%s", d.ns))
						if d == sasl2 && name == "an equals sign" {
							a.next("abort")
							return
						}
						assert.Equal(t, "re: ", a.response(d))
					})
					s.turned(t, nil)
				})
			})
		}
	}
	t.Run("SA-07 EXTERNAL as oneself is empty", func(t *testing.T) {
		for _, d := range dialects {
			for _, identity := range []string{"", "juliet@im.example.com"} {
				synctest.Test(t, func(t *testing.T) {
					c := trusting(newClient(auth.External))
					c.Identity, c.Password = identity, nil
					s := play(t, stock.negotiator(d, c), func(a *actor) {
						a.open(d.offer(auth.External))
						assert.Equal(t, identity, a.begin(d, auth.External))
						a.say(d.success(""))
						a.settle(d)
					})
					s.welcomed(t, balcony)
					switch {
					case identity != "":
					case d == sasl1:
						assert.Contains(t, s.Heard, ">=</auth>")
					default:
						assert.Contains(t, s.Heard, "<initial-response/>")
					}
				})
			}
		}
	})
	t.Run("the client takes the proof as a challenge, too", func(t *testing.T) {
		for _, d := range dialects {
			for _, w := range []route{stock, wrapped, stepwise} {
				synctest.Test(t, func(t *testing.T) {
					s := play(t, w.negotiator(d, trusting(newClient(auth.ScramSHA256))), func(a *actor) {
						a.open(d.offer(auth.ScramSHA256))
						a.say(d.challenge(a.scram(d, auth.ScramSHA256)))
						assert.Empty(t, a.response(d))
						a.say(d.success(""))
						a.settle(d)
					})
					s.welcomed(t, balcony)
				})
			}
		}
	})
}

// permutations returns all orders of a list.
func permutations(list []string) [][]string {
	if len(list) <= 1 {
		return [][]string{list}
	}
	var all [][]string
	for i := range list {
		for _, p := range permutations(slices.Delete(slices.Clone(list), i, i+1)) {
			all = append(all, append([]string{list[i]}, p...))
		}
	}
	return all
}

// TestSuccess is about what is in success, and behind it.
func TestSuccess(t *testing.T) {
	for _, w := range []route{wrapped, stepwise, before} {
		t.Run("SA-16 children in any order, "+w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, order := range permutations([]string{"data", "identifier", "ridden", "token", "unknown"}) {
					c := trusting(newClient("X-CHAT"))
					c.More = []sasl.Mechanism{chat}
					c.Inline = []auth.ClientInline{rideAlong{"balcony"}}
					c.TokenMechanism = auth.HTSHA256None
					s := play(t, w.negotiator(sasl2, c), func(a *actor) {
						a.open(features(modern(offersRide+fast(auth.HTSHA256None), "X-CHAT")))
						a.begin(sasl2, "X-CHAT")
						what := map[string]string{
							"data":       "<additional-data>" + encoded("bye") + "</additional-data>",
							"identifier": "<authorization-identifier>" + balcony.String() + "</authorization-identifier>",
							"ridden":     ridden,
							"token":      token(secret, "2030-01-01T00:00:00Z"),
							"unknown":    "<authorization-identifier xmlns='urn:x'>romeo@im.example.com</authorization-identifier>",
						}
						var success string
						for _, name := range order {
							success += what[name]
						}
						a.say(sasl2.element("success", success), features())
					})
					s.welcomed(t, balcony)
					assert.Equal(t, auth.Secret(secret), cached(t, c).Secret)
				}
			})
		})
	}
	for _, w := range routes {
		t.Run("SA-14 SA-17 a bare JID, and the stream goes on, "+w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var logins []auth.Login
				c := trusting(newClient(auth.Plain))
				c.Observe = func(_ *xmpp.Session, l auth.Login) { logins = append(logins, l) }
				s := play(t, w.negotiator(sasl2, c), func(a *actor) {
					a.open(sasl2.offer(auth.Plain))
					a.begin(sasl2, auth.Plain)
					a.say(sasl2.success(""))
					a.settle(sasl2)
				})
				s.welcomed(t, balcony)
				assert.Equal(t, "s1", s.Session.In().ID, "the stream's id is the same")
				assert.Equal(t, 1, strings.Count(s.Heard, "<stream:stream"), "no restart")
				assert.Equal(t, []auth.Login{{Account: juliet, Mechanism: auth.Plain, Profile: auth.SASL2, UserAgent: c.UserAgent}}, logins)
			})
		})
		t.Run("SA-14 no identifier at all, "+w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := play(t, w.negotiator(sasl2, trusting(newClient(auth.Plain))), func(a *actor) {
					a.open(sasl2.offer(auth.Plain))
					a.begin(sasl2, auth.Plain)
					a.say(succeeds("", ""))
					a.settle(sasl2)
				})
				s.welcomed(t, balcony)
			})
		})
	}
	t.Run("SA-14 who is nobody in particular may become anybody of the domain", func(t *testing.T) {
		for _, w := range []route{wrapped, stepwise, before} {
			for identifier, welcome := range map[string]bool{"guest@im.example.com/1": true, "guest@verona.example/1": false} {
				synctest.Test(t, func(t *testing.T) {
					c := trusting(newClient(auth.External))
					c.Inline = []auth.ClientInline{rideAlong{"x"}}
					s := stage{origin: domain}.play(t, w.negotiator(sasl2, c), func(a *actor) {
						a.open(features(modern(offersRide, auth.External)))
						a.begin(sasl2, auth.External)
						a.say(succeeds("", identifier, ridden), features())
					})
					if welcome {
						s.welcomed(t, jid.MustParse(identifier))
					} else {
						s.turned(t, auth.ErrIdentity)
					}
				})
			}
		}
	})
}

// TestBoundInline is about the session of a client whose resource was bound by its
// login.
func TestBoundInline(t *testing.T) {
	const other = "urn:example:other"
	for name, list := range map[string]string{
		"known":          features("<pipelining xmlns='urn:xmpp:features:pipelining'/>", "<x xmlns='"+other+"'/>"),
		"unknown only":   features("<x xmlns='" + other + "'><y/>text</x>"),
		"empty":          features(),
		"one empty tag":  "<stream:features/>",
		"pretty-printed": "\n<stream:features>\n  <x xmlns='" + other + "'>\n    <y/>\n  </x>\n\t<pipelining xmlns='urn:xmpp:features:pipelining'/>\r\n</stream:features>\n",
		"with old ones":  features(legacy(auth.Plain), modern("", auth.Plain), "<x xmlns='"+other+"'/>", offersToBind),
	} {
		for _, w := range []route{wrapped, stepwise, before} {
			t.Run("SA-17 features are "+name+", "+w.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var logins []auth.Login
					c := trusting(newClient(auth.Plain))
					c.Inline = []auth.ClientInline{rideAlong{"balcony"}}
					c.Observe = func(_ *xmpp.Session, l auth.Login) { logins = append(logins, l) }
					st := stage{then: func(s *xmpp.Session) { converses(t, s) }}
					s := st.play(t, w.negotiator(sasl2, c), func(a *actor) {
						a.open(features(modern(offersRide, auth.Plain), "<gone xmlns='urn:example:gone'/>"))
						a.begin(sasl2, auth.Plain)
						a.say(succeeds("", balcony.String(), ridden), list)
						a.converses()
					})
					s.welcomed(t, balcony)
					_, has := s.Session.Feature(other)
					assert.Equal(t, strings.Contains(list, other), has, "the features behind success")
					assert.Equal(t, strings.Contains(list, pipelining.NS), pipelining.Advertised(s.Session))
					_, has = s.Session.Feature("urn:example:gone")
					assert.False(t, has, "the features before success")
					assert.Equal(t, "s1", s.Session.In().ID)
					assert.Equal(t, domain, s.Session.RemoteAddr())
					assert.Equal(t, []auth.Login{{Account: juliet, Bound: balcony, Mechanism: auth.Plain, Profile: auth.SASL2, UserAgent: c.UserAgent}}, logins)
				})
			})
		}
	}
	t.Run("features are parsed", func(t *testing.T) {
		for _, mode := range []pipelining.Mode{pipelining.Off, pipelining.Full} {
			synctest.Test(t, func(t *testing.T) {
				c := trusting(newClient(auth.Plain))
				c.Inline = []auth.ClientInline{rideAlong{"balcony"}}
				s := play(t, pipelining.Client(pipelining.Plan{Mode: mode, SASL2: true}, pipelining.ClientConfig{
					Authenticator: c, VerifyTLS: anyTLS,
					Features: []xmpp.StreamFeature{{
						Name:      xml.Name{Space: other, Local: "x"},
						Necessary: xmpp.Authn,
						Parse: func(_ context.Context, d *xml.Decoder, start *xml.StartElement) (bool, any, error) {
							return false, start.Attr[1].Value, d.Skip()
						},
					}},
				}), func(a *actor) {
					a.open(features(modern(offersRide, auth.Plain)))
					a.begin(sasl2, auth.Plain)
					a.say(succeeds("", balcony.String(), ridden), features("<x xmlns='"+other+"' a='b'/>"))
				})
				s.welcomed(t, balcony)
				data, _ := s.Session.Feature(other)
				assert.Equal(t, "b", data)
			})
		}
	})
	for _, w := range []route{wrapped, stepwise, before} {
		t.Run("SM-38 no features behind a stream that was resumed, "+w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := trusting(newClient(auth.Plain))
				c.Inline = []auth.ClientInline{resume{}}
				st := stage{then: func(s *xmpp.Session) { converses(t, s) }}
				s := st.play(t, w.negotiator(sasl2, c), func(a *actor) {
					a.open(features(modern("<sm xmlns='urn:xmpp:sm:3'/>", auth.Plain)))
					a.begin(sasl2, auth.Plain)
					a.say(succeeds("", balcony.String(), "<resumed xmlns='urn:xmpp:sm:3' h='1' previd='x'/>"))
					a.converses()
				})
				s.welcomed(t, balcony)
			})
		})
		t.Run("what rides along is refused, "+w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := trusting(newClient(auth.Plain))
				c.Inline = []auth.ClientInline{rideAlong{"x"}}
				s := play(t, w.negotiator(sasl2, c), func(a *actor) {
					a.open(features(modern(offersRide, auth.Plain)))
					a.begin(sasl2, auth.Plain)
					a.say(sasl2.success("", "<refused xmlns='urn:example:ride'/>"))
					a.settle(sasl2)
				})
				s.welcomed(t, balcony)
			})
		})
	}
	for _, w := range []route{stepwise, before} {
		for _, to := range []string{"", " to='juliet@im.example.com'"} {
			t.Run("the resource that was asked for, and a header"+to+", "+w.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := trusting(newClient(auth.Plain))
					c.Inline = []auth.ClientInline{rideAlong{"balcony"}}
					s := stage{origin: balcony}.play(t, w.negotiator(sasl2, c), func(a *actor) {
						a.header()
						a.say(strings.Replace(actorHeader, " id=", to+" id=", 1), features(modern(offersRide, auth.Plain)))
						a.begin(sasl2, auth.Plain)
						a.say(succeeds("", balcony.String(), ridden), features("<pipelining xmlns='urn:xmpp:features:pipelining'/>"))
					})
					s.welcomed(t, balcony)
				})
			})
		}
	}
	t.Run("nothing rides along where nobody reads what follows", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := trusting(newClient(auth.Plain))
			c.Inline = []auth.ClientInline{rideAlong{"x"}}
			link := xmpptest.NewLink(xmpptest.LinkConfig{})
			defer func() { _ = link.Close() }()
			done := make(chan error)
			go func() {
				_, err := xmpp.NewSession(t.Context(), domain, juliet, pipelining.NewConn(link.A), xmpp.Secure, stock.negotiator(sasl2, c))
				done <- err
			}()
			a := &actor{t: t, Conn: link.B}
			a.open(features(modern(offersRide, auth.Plain)))
			assert.NotContains(t, a.next("authenticate"), nsRide)
			a.say(sasl2.success(""))
			a.settle(sasl2)
			require.NoError(t, <-done)
		})
	})
	t.Run("nothing rides along where it would be lost", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := trusting(newClient(auth.Plain))
			c.Inline = []auth.ClientInline{rideAlong{"x"}}
			s := play(t, stock.negotiator(sasl2, c), func(a *actor) {
				a.open(features(modern(offersRide, auth.Plain)))
				assert.NotContains(t, a.next("authenticate"), nsRide)
				a.say(sasl2.success(""))
				a.settle(sasl2)
			})
			s.welcomed(t, balcony)
		})
	})
	t.Run("SA-06 what is not offered is not asked for", func(t *testing.T) {
		for _, offer := range []string{"", "<ride xmlns='urn:example:other'/>", "<rides xmlns='urn:example:ride'/>", fast(auth.HTSHA256None)} {
			for _, w := range []route{wrapped, stepwise} {
				synctest.Test(t, func(t *testing.T) {
					c := trusting(newClient(auth.Plain))
					c.Inline = []auth.ClientInline{rideAlong{"x"}}
					play(t, w.negotiator(sasl2, c), func(a *actor) {
						// Elsewhere than in inline it does not count.
						a.open(features(modern(offer, auth.Plain), offersRide))
						assert.NotContains(t, a.next("authenticate"), nsRide)
					})
				})
			}
		}
	})
}

// resume takes up a stream again, on a client.
type resume struct{}

func (resume) Feature() xml.Name { return xml.Name{Space: "urn:xmpp:sm:3", Local: "sm"} }

func (resume) Request(jid.JID, xml.TokenReader) ([]byte, func(*xml.Decoder, xml.StartElement, jid.JID) (jid.JID, error), error) {
	return []byte("<resume xmlns='urn:xmpp:sm:3' h='1' previd='x'/>"), func(_ *xml.Decoder, start xml.StartElement, address jid.JID) (jid.JID, error) {
		if start.Name.Local != "resumed" {
			return jid.JID{}, nil
		}
		return address, nil
	}, nil
}

// converses asks the server something, and answers it, after a long time.
func converses(t testing.TB, s *xmpp.Session) {
	var wg sync.WaitGroup
	wg.Go(func() { assert.NoError(t, s.Serve(nil)) })
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	r, err := s.SendIQ(ctx, stanza.IQ{Type: stanza.GetIQ, ID: "c1"}.Wrap(xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Space: "urn:xmpp:ping", Local: "ping"}})))
	if assert.NoError(t, err) {
		tok, err := r.Token()
		assert.NoError(t, err)
		assert.Contains(t, tok.(xml.StartElement).Attr, xml.Attr{Name: xml.Name{Local: "from"}, Value: "im.example.com"})
		assert.NoError(t, r.Close())
	}
	wg.Wait()
}

// converses is the other end of that.
func (a *actor) converses() {
	a.t.Helper()
	assert.Contains(a.t, a.until("</iq>"), "urn:xmpp:ping")
	time.Sleep(10 * time.Minute)
	a.say("<iq type='get' id='s1' from='im.example.com'><ping xmlns='urn:xmpp:ping'/></iq>")
	assert.Contains(a.t, a.until("</iq>"), "service-unavailable")
	a.say("<iq type='result' id='c1' from='im.example.com'/>", streamEnd)
	a.until(streamEnd)
}

// TestAgainstServer lets clients meet our own server, in all ways.
func TestAgainstServer(t *testing.T) {
	for name, profile := range map[string]auth.Profile{"RFC 6120": auth.RFC6120, "SASL2": auth.SASL2, "both": auth.RFC6120 | auth.SASL2} {
		for _, mechanism := range append(auth.DefaultMechanisms(), auth.Plain) {
			for how, client := range map[string]func(c *auth.Client) xmpp.Negotiator{
				"stock":        func(c *auth.Client) xmpp.Negotiator { return stock.negotiator(sasl2, c) },
				"wrapped":      func(c *auth.Client) xmpp.Negotiator { return wrapped.negotiator(sasl2, c) },
				"step by step": func(c *auth.Client) xmpp.Negotiator { return ahead(pipelining.Plan{}, c) },
				"paced": func(c *auth.Client) xmpp.Negotiator {
					return ahead(pipelining.Plan{Mode: pipelining.Paced, SASL2: profile&auth.SASL2 != 0}, c)
				},
				"full": func(c *auth.Client) xmpp.Negotiator {
					return ahead(pipelining.Plan{Mode: pipelining.Full, SASL2: profile&auth.SASL2 != 0}, c)
				},
			} {
				t.Run(mechanism+" "+how+", "+name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						var got []auth.Login
						srv := newServer()
						srv.Profiles = profile
						srv.Inline = []auth.Inline{ride{}}
						srv.Observe = func(_ context.Context, _ *xmpp.Session, l auth.Login, err error) {
							assert.NoError(t, err)
							got = append(got, l)
						}
						c := newClient(mechanism)
						c.Inline = []auth.ClientInline{rideAlong{"balcony"}}
						m := mustMeet(t, client(c), negotiator(srv))
						require.Len(t, got, 1)
						assert.Equal(t, mechanism, got[0].Mechanism)
						assert.Equal(t, profile&auth.SASL2 != 0, got[0].Profile == auth.SASL2)
						assert.Equal(t, profile&auth.SASL2 != 0 && how != "stock", m.Client.LocalAddr().Equal(balcony))
					})
				})
			}
		}
	}
}

// TestUnverifiedTLS is about connections that nobody vouches for.
func TestUnverifiedTLS(t *testing.T) {
	insecure := &tls.Config{InsecureSkipVerify: true}
	refuse := func(tls.ConnectionState) error { return assert.AnError }
	both := features(modern(fast(auth.HTSHA256None), auth.Plain), legacy(auth.Plain))
	for _, w := range routes {
		for _, d := range dialects {
			for name, test := range map[string]struct {
				stage
				verify func(tls.ConnectionState) error
			}{
				"no TLS":             {stage: stage{}},
				"not verified":       {stage: stage{tls: insecure}},
				"refused":            {stage: stage{tls: clientTLS()}, verify: refuse},
				"refused unverified": {stage: stage{tls: insecure}, verify: refuse},
			} {
				t.Run("FA-22 "+name+", "+w.name+" "+d.name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						c := newClient(auth.Plain)
						c.VerifyTLS, c.Tokens = test.verify, given(t, plainToken())
						c.Password = func(context.Context) (string, error) {
							assert.Fail(t, "the password was asked for")
							return password, nil
						}
						s := test.play(t, w.negotiator(d, c), func(a *actor) { a.try(actorHeader, both) })
						s.turned(t, nil)
						// Whichever package looks first says so.
						assert.True(t, errors.Is(s.Err, auth.ErrUnverifiedTLS) || errors.Is(s.Err, pipelining.ErrUnverifiedTLS), s.Err)
						if test.verify != nil {
							assert.ErrorIs(t, s.Err, assert.AnError)
						}
						s.keepsSecrets(t)
						assert.Equal(t, auth.Secret(secret), cached(t, c).Secret, "the token is kept")
						assert.NotContains(t, s.Heard, "authenticat")
					})
				})
			}
		}
	}
	t.Run("a certificate that is not trusted", func(t *testing.T) {
		for _, w := range routes {
			synctest.Test(t, func(t *testing.T) {
				s := stage{tls: &tls.Config{ServerName: domain.String()}}.play(t, w.negotiator(sasl2, newClient(auth.Plain)), func(a *actor) {
					a.try(actorHeader, both)
				})
				s.turned(t, nil)
				assert.ErrorAs(t, s.Err, new(*tls.CertificateVerificationError))
			})
		}
	})
	t.Run("within TLS that was not asked for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := xmpptest.Stock(append(trusting(newClient(auth.Plain)).Features(), xmpp.BindResource())...)
			s := stage{open: true}.play(t, n, func(a *actor) { a.try(actorHeader, both) })
			s.turned(t, nil)
			s.keepsSecrets(t)
		})
	})
}
