// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/stream"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/pipelining"
)

// everyWay runs a test for each way in which a client can be negotiated, and for
// each dialect.
func everyWay(t *testing.T, name string, test func(t *testing.T, w route, d dialect)) {
	t.Helper()
	for _, w := range routes {
		for _, d := range dialects {
			t.Run(name+", "+w.name+" "+d.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { test(t, w, d) })
			})
		}
	}
}

// TestFailure is about what a server refuses with.
func TestFailure(t *testing.T) {
	condition := func(name string) string { return "<" + name + " xmlns='" + auth.NSSASL + "'/>" }
	for _, test := range []struct {
		name, inner string
		want        auth.Failure
	}{
		{"a condition", condition("not-authorized"), auth.Failure{Condition: auth.NotAuthorized}},
		{"an unknown one", condition("x"), auth.Failure{Condition: "x"}},
		{"with text", condition("account-disabled") + "<text xml:lang='en'>Call us.</text>", auth.Failure{Condition: auth.AccountDisabled, Text: "Call us."}},
		{"text first", "<text>\"Call\"\nus.</text>" + condition("account-disabled"), auth.Failure{Condition: auth.AccountDisabled, Text: "\"Call\"\nus."}},
		{"an element of somebody else", "<x xmlns='urn:x'><y/></x>" + condition("not-authorized") + "<not-authorized xmlns='urn:x'/>", auth.Failure{Condition: auth.NotAuthorized}},
		{"two", condition("aborted") + condition("not-authorized"), auth.Failure{Condition: auth.Aborted}},
		{"in lines", "\n  " + condition("not-authorized") + "\n", auth.Failure{Condition: auth.NotAuthorized}},
		{"nothing", "", auth.Failure{Condition: "undefined-condition"}},
		{"text alone", "<text>No.</text>", auth.Failure{Condition: "undefined-condition", Text: "No."}},
	} {
		everyWay(t, "SA-18 "+test.name, func(t *testing.T, w route, d dialect) {
			asked := 0
			c := trusting(newClient(auth.ScramSHA256, auth.ScramSHA1, auth.Plain))
			c.Password = func(context.Context) (string, error) { asked++; return password, nil }
			s := play(t, w.negotiator(d, c), func(a *actor) {
				a.open(d.offer(auth.ScramSHA256, auth.ScramSHA1, auth.Plain))
				x := scramFor(t, auth.ScramSHA256, a.begin(d, auth.ScramSHA256))
				a.say(d.challenge(x.challenge()))
				a.response(d)
				a.say(d.element("failure", test.inner))
			})
			s.turned(t, nil)
			var f auth.Failure
			require.ErrorAs(t, s.Err, &f)
			assert.Equal(t, test.want, f)
			assert.ErrorContains(t, s.Err, test.want.Condition)
			assert.NotErrorIs(t, s.Err, pipelining.ErrMispredicted, "no other plan would help")
			assert.Equal(t, 1, strings.Count(s.Heard, "<"+d.begin+" "), "a password that is wrong is not tried again")
			assert.Equal(t, 1, asked)
		})
	}
	everyWay(t, "SA-23 the server aborts", func(t *testing.T, w route, d dialect) {
		s := play(t, w.negotiator(d, trusting(newClient(auth.ScramSHA256, auth.Plain))), func(a *actor) {
			a.open(d.offer(auth.ScramSHA256, auth.Plain))
			a.begin(d, auth.ScramSHA256)
			a.say(d.failure(auth.Aborted))
		})
		s.turned(t, nil)
		var f auth.Failure
		require.ErrorAs(t, s.Err, &f)
		assert.Equal(t, auth.Failure{Condition: auth.Aborted}, f)
	})
}

// TestNextMechanism goes on with another mechanism on the same stream.
func TestNextMechanism(t *testing.T) {
	all := []string{auth.ScramSHA256, auth.ScramSHA1, "X-CHAT"}
	client := func(mechanisms ...string) *auth.Client {
		c := trusting(newClient(mechanisms...))
		c.More = []sasl.Mechanism{chat}
		return c
	}
	for _, condition := range []string{auth.InvalidMechanism, auth.MechanismTooWeak} {
		everyWay(t, condition, func(t *testing.T, w route, d dialect) {
			s := play(t, w.negotiator(d, client(all...)), func(a *actor) {
				a.open(d.offer(all...))
				a.begin(d, auth.ScramSHA256)
				require.Equal(t, auth.ScramSHA1, attrOf(t, a.refuse(d, auth.ScramSHA256, condition), "mechanism"))
				require.Equal(t, "X-CHAT", attrOf(t, a.refuse(d, auth.ScramSHA1, condition), "mechanism"))
				a.say(d.success("bye"))
				a.settle(d)
			})
			s.welcomed(t, balcony)
		})
		everyWay(t, condition+" of all", func(t *testing.T, w route, d dialect) {
			s := play(t, w.negotiator(d, client(auth.ScramSHA256)), func(a *actor) {
				a.open(d.offer(all...))
				a.begin(d, auth.ScramSHA256)
				assert.Empty(t, a.refuse(d, auth.ScramSHA256, condition))
			})
			s.turned(t, auth.ErrNoMechanism)
		})
	}
	for _, w := range []route{stock, wrapped, stepwise} {
		t.Run("of the other profile, "+w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := play(t, w.negotiator(sasl2, client(all...)), func(a *actor) {
					a.open(features(modern("", auth.ScramSHA256), legacy(auth.ScramSHA1)))
					a.begin(sasl2, auth.ScramSHA256)
					a.say(sasl2.failure(auth.InvalidMechanism))
					a.say(sasl1.success(a.scram(sasl1, auth.ScramSHA1)))
					a.settle(sasl1)
				})
				s.welcomed(t, balcony)
			})
		})
	}
	t.Run("too late, if bind was sent ahead", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := play(t, before.negotiator(sasl1, client(auth.Plain, auth.ScramSHA1)), func(a *actor) {
				a.open(sasl1.offer(auth.ScramSHA1))
				a.begin(sasl1, auth.Plain)
				a.say(sasl1.failure(auth.InvalidMechanism))
			})
			s.turned(t, pipelining.ErrMispredicted)
			assert.ErrorAs(t, s.Err, new(auth.Failure))
		})
	})
	everyWay(t, "AQ-01 the server has none of them", func(t *testing.T, w route, d dialect) {
		if w.ahead {
			return
		}
		for _, offer := range []string{d.offer(), d.offer(auth.Plain), d.offer("scram-sha-256", strings.Repeat("A", 10<<10), " SCRAM-SHA-256", "SCRAM-SHA-256\n")} {
			s := play(t, w.negotiator(d, trusting(newClient())), func(a *actor) { a.open(offer) })
			s.turned(t, auth.ErrNoMechanism)
			s.keepsSecrets(t)
		}
	})
}

// TestPassword is about where the password comes from.
func TestPassword(t *testing.T) {
	asking := errors.New("nobody is at home")
	for name, test := range map[string]struct {
		password func(context.Context) (string, error)
		is       error
	}{
		"it cannot be had":   {func(context.Context) (string, error) { return password, asking }, asking},
		"it is empty":        {auth.Password(""), auth.ErrNoPassword},
		"there is no source": {nil, auth.ErrNoPassword},
	} {
		for _, mechanism := range []string{auth.ScramSHA256, auth.Plain} {
			everyWay(t, name+" for "+mechanism, func(t *testing.T, w route, d dialect) {
				c := trusting(newClient(mechanism))
				c.Password = test.password
				s := play(t, w.negotiator(d, c), func(a *actor) { a.try(actorHeader, d.offer(mechanism)) })
				s.turned(t, test.is)
				s.keepsSecrets(t)
				assert.NotContains(t, s.Heard, "<"+d.begin)
			})
		}
	}
	everyWay(t, "it would be taken for two", func(t *testing.T, w route, d dialect) {
		c := trusting(newClient(auth.Plain))
		c.Password = auth.Password("a\x00b")
		s := play(t, w.negotiator(d, c), func(a *actor) { a.try(actorHeader, d.offer(auth.Plain)) })
		s.turned(t, nil)
		assert.NotContains(t, s.Heard, "<"+d.begin)
	})
	everyWay(t, "EXTERNAL needs none", func(t *testing.T, w route, d dialect) {
		c := trusting(newClient(auth.External))
		c.Password = forbidden(t)
		s := play(t, w.negotiator(d, c), func(a *actor) {
			a.open(d.offer(auth.External))
			a.begin(d, auth.External)
			a.say(d.success(""))
			a.settle(d)
		})
		s.welcomed(t, balcony)
	})
}

// TestIdentity is about servers that take the client for somebody else.
func TestIdentity(t *testing.T) {
	for _, w := range routes {
		for _, identifier := range []string{
			"romeo@im.example.com", "romeo@im.example.com/balcony", "juliet@verona.example", "juliet@verona.example/balcony",
			"im.example.com", "juliet@", "@", "/", " ", "juliet @im.example.com", "juliet@im.example.com/" + strings.Repeat("x", 1024),
		} {
			t.Run(fmt.Sprintf("AB-12 %.30s, %s", identifier, w.name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := trusting(newClient(auth.Plain))
					c.Inline = []auth.ClientInline{rideAlong{"x"}}
					c.TokenMechanism = auth.HTSHA256None
					c.Observe = func(*xmpp.Session, auth.Login) { assert.Fail(t, "nobody is logged in") }
					s := play(t, w.negotiator(sasl2, c), func(a *actor) {
						a.open(features(modern(offersRide+fast(auth.HTSHA256None), auth.Plain)))
						a.begin(sasl2, auth.Plain)
						a.try(succeeds("", identifier, ridden, token("evil", "2030-01-01T00:00:00Z")), features(offersToBind))
					})
					s.turned(t, auth.ErrIdentity)
					assert.NotErrorIs(t, s.Err, pipelining.ErrMispredicted)
					assert.Zero(t, cached(t, c), "the token is somebody else's")
				})
			})
		}
		t.Run("AB-12 the account in other letters, "+w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := play(t, w.negotiator(sasl2, trusting(newClient(auth.Plain))), func(a *actor) {
					a.open(sasl2.offer(auth.Plain))
					a.begin(sasl2, auth.Plain)
					a.say(succeeds("", " JULIET@IM.Example.COM\n"))
					a.settle(sasl2)
				})
				s.welcomed(t, balcony)
			})
		})
		for name, success := range map[string]string{
			"AB-14 a full JID that nobody asked for": succeeds("", "juliet@im.example.com/evil"),
			"AB-14 bound though nobody asked":        succeeds("", "juliet@im.example.com/evil", ridden, "<bound xmlns='urn:xmpp:bind:0'/>"),
		} {
			t.Run(name+", "+w.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := play(t, w.negotiator(sasl2, trusting(newClient(auth.Plain))), func(a *actor) {
						a.open(features(modern(offersRide, auth.Plain)))
						a.begin(sasl2, auth.Plain)
						a.say(success, features(offersToBind))
					})
					assert.Zero(t, s.Session.State()&xmpp.Ready)
					assert.NotEqual(t, "evil", s.Session.LocalAddr().Resourcepart())
				})
			})
		}
	}
	for _, w := range []route{wrapped, stepwise, before} {
		for _, identifier := range []string{"", "juliet@im.example.com"} {
			t.Run("AB-12 bound as "+identifier+", "+w.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := trusting(newClient(auth.Plain))
					c.Inline = []auth.ClientInline{rideAlong{"x"}}
					s := play(t, w.negotiator(sasl2, c), func(a *actor) {
						a.open(features(modern(offersRide, auth.Plain)))
						a.begin(sasl2, auth.Plain)
						a.say(succeeds("", identifier, ridden), features())
					})
					s.turned(t, auth.ErrIdentity)
				})
			})
		}
	}
}

// TestProof is about servers that do not know the password.
func TestProof(t *testing.T) {
	good := func(nonce string) string { return "r=" + nonce + "more,s=c2FsdA==,i=4096" }
	is := func(s string) func(string) string { return func(string) string { return s } }
	zeros := "v=" + encoded(strings.Repeat("\x00", 32))
	for name, test := range map[string]struct {
		challenge func(nonce string) string // nil: none
		proof     string
		abort     bool // before the client has sent what could be attacked offline
	}{
		"forged":              {challenge: good, proof: zeros},
		"missing":             {challenge: good},
		"empty":               {challenge: good, proof: "v="},
		"no signature":        {challenge: good, proof: "x"},
		"an error":            {challenge: good, proof: "e=other-error"},
		"an error and proof":  {challenge: good, proof: "e=other-error," + zeros},
		"not asked for":       {},
		"not asked for, but":  {proof: zeros},
		"a challenge":         {proof: good("x")},
		"of another nonce":    {challenge: is("r=other,s=c2FsdA==,i=4096"), abort: true},
		"of the nonce alone":  {challenge: func(n string) string { return "r=" + n + ",s=c2FsdA==,i=4096" }, abort: true},
		"of too few rounds":   {challenge: func(n string) string { return "r=" + n + "more,s=c2FsdA==,i=4095" }, abort: true},
		"of no rounds":        {challenge: func(n string) string { return "r=" + n + "more,s=c2FsdA==,i=0" }, abort: true},
		"of negative rounds":  {challenge: func(n string) string { return "r=" + n + "more,s=c2FsdA==,i=-4096" }, abort: true},
		"of endless rounds":   {challenge: func(n string) string { return "r=" + n + "more,s=c2FsdA==,i=2000000000" }, abort: true},
		"of countless rounds": {challenge: func(n string) string { return "r=" + n + "more,s=c2FsdA==,i=99999999999999999999" }, abort: true},
		"of bad salt":         {challenge: func(n string) string { return "r=" + n + "more,s=c2FsdA=,i=4096" }, abort: true},
		"of a reserved field": {challenge: func(n string) string { return "m=x," + good(n) }, abort: true},
		"of another order":    {challenge: func(n string) string { return "s=c2FsdA==,r=" + n + "more,i=4096" }, abort: true},
		"of an error":         {challenge: is("e=unknown-user"), abort: true},
		"of nothing":          {challenge: is(""), abort: true},
		"of commas":           {challenge: is(",,,"), abort: true},
	} {
		everyWay(t, "SA-15 proof is "+name, func(t *testing.T, w route, d dialect) {
			c := trusting(newClient(auth.ScramSHA256))
			c.Inline = []auth.ClientInline{rideAlong{"x"}}
			c.TokenMechanism = auth.HTSHA256None
			s := play(t, w.negotiator(d, c), func(a *actor) {
				a.open(strings.Replace(d.offer(auth.ScramSHA256), "</authentication>", "<inline>"+offersRide+fast(auth.HTSHA256None)+"</inline></authentication>", 1))
				x := scramFor(t, auth.ScramSHA256, a.begin(d, auth.ScramSHA256))
				if test.challenge != nil {
					a.say(d.challenge(test.challenge(x.nonce())))
				}
				if test.abort {
					assert.Equal(t, "<abort xmlns='"+d.ns+"'/>", a.next("abort"), "SA-23")
				}
				if d == sasl1 {
					a.try(d.success(test.proof), actorHeader, features(offersToBind))
					return
				}
				a.try(succeeds(test.proof, "juliet@im.example.com/x", ridden, token("evil", "2030-01-01T00:00:00Z")), features())
			})
			s.turned(t, auth.ErrUnproven)
			assert.NotErrorIs(t, s.Err, pipelining.ErrMispredicted)
			assert.Zero(t, cached(t, c))
		})
	}
	for name, text := range map[string]string{
		"a line feed": "cj1y\nPTEy", "two letters": "cj", "padding first": "=AAA", "padding": "====", "spaces": "c j 1 y", "an element": "cj1y<x/>",
		"URL letters": "_-__", "loose bits": "cj1yPTF=", "a megabyte": strings.Repeat("AAAA", 1<<18), "too much": strings.Repeat("AAAA", 8<<10),
	} {
		everyWay(t, "AQ-17 a message is "+name, func(t *testing.T, w route, d dialect) {
			s := play(t, w.negotiator(d, trusting(newClient(auth.ScramSHA256))), func(a *actor) {
				a.open(d.offer(auth.ScramSHA256))
				a.begin(d, auth.ScramSHA256)
				a.try(d.element("challenge", text), d.success(""))
			})
			s.turned(t, nil)
			assert.NotContains(t, s.Heard, "<response")
			if len(text) < 1<<20 {
				assert.ErrorIs(t, s.Err, auth.ErrUnproven)
				assert.True(t, strings.HasSuffix(s.Heard, "<abort xmlns='"+d.ns+"'/>"), s.Heard)
			}
		})
	}
}

// TestOutOfOrder is about servers that say what is not due.
func TestOutOfOrder(t *testing.T) {
	for name, say := range map[string]func(d dialect) string{
		"features":          func(dialect) string { return features(offersToBind) },
		"a stanza":          func(dialect) string { return "<message><body>hi</body></message>" },
		"bound":             func(dialect) string { return "<ridden xmlns='" + nsRide + "'/>" },
		"success of nobody": func(dialect) string { return "<success xmlns='urn:x'/>" },
		"success of a stanza": func(dialect) string {
			return "<success/>"
		},
		"success of the other profile": func(d dialect) string {
			if d == sasl1 {
				return sasl2.success("")
			}
			return sasl1.success("")
		},
		"continue of a task that is not known": func(d dialect) string { return d.element("continue", "<tasks><task>T</task></tasks>") },
		"continue without a task":              func(d dialect) string { return d.element("continue", "") },
		"task data":                            func(d dialect) string { return d.element("task-data", "") },
		"a response":                           func(d dialect) string { return d.element("response", "") },
		"an abort":                             func(d dialect) string { return d.element("abort", "") },
		"what the client says":                 func(d dialect) string { return d.element(d.begin, "") },
		"a challenge":                          func(d dialect) string { return d.challenge("x") },
		"the end of the stream":                func(dialect) string { return streamEnd },
		"proceed":                              func(dialect) string { return "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" },
		"a comment":                            func(dialect) string { return "<!-- x -->" },
		"a header":                             func(dialect) string { return actorHeader },
		"text":                                 func(dialect) string { return "hello" },
		"no XML":                               func(dialect) string { return "<<" },
		"an end tag":                           func(dialect) string { return "</success>" },
	} {
		everyWay(t, name+" in place of success", func(t *testing.T, w route, d dialect) {
			s := play(t, w.negotiator(d, trusting(newClient(auth.Plain))), func(a *actor) {
				a.open(d.offer(auth.Plain))
				a.begin(d, auth.Plain)
				a.try(say(d), d.success(""), features(offersToBind))
			})
			s.turned(t, nil)
		})
	}
	everyWay(t, "challenges without end", func(t *testing.T, w route, d dialect) {
		c := trusting(newClient("X-CHAT"))
		c.More = []sasl.Mechanism{chat}
		n := 0
		s := play(t, w.negotiator(d, c), func(a *actor) {
			a.open(d.offer("X-CHAT"))
			a.begin(d, "X-CHAT")
			for n < 1000 {
				a.say(d.challenge("more"))
				if n++; strings.HasPrefix(a.until(">"), "<abort") {
					break
				}
				a.until("</response>")
			}
			a.try(d.success("bye"))
		})
		s.turned(t, nil)
		assert.Less(t, n, 100)
	})
	everyWay(t, "a challenge behind the end of the mechanism", func(t *testing.T, w route, d dialect) {
		s := play(t, w.negotiator(d, trusting(newClient(auth.ScramSHA256))), func(a *actor) {
			a.open(d.offer(auth.ScramSHA256))
			proof := a.scram(d, auth.ScramSHA256)
			a.say(d.challenge(proof))
			a.until("<response")
			a.until(">")
			a.try(d.challenge(proof), d.success(proof), features(offersToBind))
		})
		s.turned(t, nil)
		assert.True(t, strings.HasSuffix(s.Heard, "<abort xmlns='"+d.ns+"'/>"), s.Heard)
	})
}

// TestTooMuch is about servers that do not come to an end.
func TestTooMuch(t *testing.T) {
	const size, count = 1100 << 10, 20 << 10
	for name, big := range map[string]string{
		"text": strings.Repeat("x", size), "tags": strings.Repeat("<x/>", count), "depth": strings.Repeat("<x>", count),
		"attributes": "<x a='" + strings.Repeat("x", size) + "'/>", "references": strings.Repeat("&amp;", size),
	} {
		for _, w := range []route{stock, before} {
			for _, d := range dialects {
				begun := strings.TrimSuffix(strings.TrimSuffix(d.offer(), "</stream:features>"), "</"+d.feature+">")
				for stage, say := range map[string]string{
					"features": begun + big,
					"failure":  d.offer(auth.Plain) + strings.TrimSuffix(d.element("failure", " "), "</failure>") + big,
					"success":  d.offer(auth.Plain) + strings.TrimSuffix(d.element("success", " "), "</success>") + big,
				} {
					t.Run(name+" in "+stage+", "+w.name+" "+d.name, func(t *testing.T) {
						conn := newReel(actorHeader + say + "<x/>")
						s, err := xmpp.NewSession(t.Context(), domain, juliet, conn, xmpp.Secure, w.negotiator(d, trusting(newClient(auth.Plain))))
						require.Error(t, err)
						assert.NotErrorIs(t, err, io.ErrUnexpectedEOF, "it was about to go on")
						assert.Zero(t, s.State()&(xmpp.Authn|xmpp.Ready))
						if w.ahead {
							assert.NotZero(t, conn.in.Len(), "it is noticed before everything was read")
						} else {
							assert.ErrorContains(t, err, "too large") // Encoding/xml takes in a text or a tag as a whole.
						}
					})
				}
			}
		}
	}
}

// TestStreamError ends a login at each of its stages.
func TestStreamError(t *testing.T) {
	streamError := func(condition string) string {
		return "<stream:error><" + condition + " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>" + streamEnd
	}
	for condition, is := range map[string]stream.Error{"policy-violation": stream.PolicyViolation, "host-unknown": stream.HostUnknown, "system-shutdown": stream.SystemShutdown} {
		for _, stage := range []string{"in place of features", "behind features", "in place of success", "behind success"} {
			everyWay(t, condition+" "+stage, func(t *testing.T, w route, d dialect) {
				s := play(t, w.negotiator(d, trusting(newClient(auth.ScramSHA256))), func(a *actor) {
					a.header()
					a.say(actorHeader)
					if stage == "in place of features" {
						a.try(streamError(condition))
						return
					}
					a.say(d.offer(auth.ScramSHA256))
					if stage == "behind features" {
						a.try(streamError(condition))
						return
					}
					proof := a.scram(d, auth.ScramSHA256)
					if stage == "in place of success" {
						a.try(streamError(condition))
						return
					}
					a.say(d.success(proof))
					if d == sasl1 {
						a.header()
						a.say(actorHeader)
					}
					a.try(streamError(condition))
				})
				require.ErrorIs(t, s.Err, is)
				assert.Zero(t, s.Session.State()&xmpp.Ready)
				assert.Empty(t, s.Session.LocalAddr().Resourcepart())
			})
		}
	}
}

// TestEnd lets the connection end behind each byte of what the server says.
func TestEnd(t *testing.T) {
	_, responder := htScript(secret, nil)
	for name, test := range map[string]struct {
		d         dialect
		mechanism string
		say       string
	}{
		"PLAIN of RFC 6120": {sasl1, auth.Plain, actorHeader + sasl1.offer(auth.Plain) + sasl1.success("") + actorHeader + features(offersToBind) + "<iq"},
		"several steps of RFC 6120": {
			sasl1, "X-CHAT",
			actorHeader + sasl1.offer("X-CHAT") + sasl1.challenge("how") + sasl1.challenge("are") + sasl1.success("bye") + actorHeader + features(offersToBind),
		},
		"failure": {sasl1, auth.Plain, actorHeader + sasl1.offer(auth.Plain) + sasl1.failure(auth.NotAuthorized, "<text>No.</text>")},
		"PLAIN":   {sasl2, auth.Plain, "<?xml version='1.0'?>\n" + actorHeader + sasl2.offer(auth.Plain) + sasl2.success("") + features(offersToBind)},
		"several steps and tasks": {
			sasl2, "X-CHAT",
			actorHeader + sasl2.offer("X-CHAT") + sasl2.challenge("how") + sasl2.element("continue", "<additional-data>"+encoded("bye")+"</additional-data><tasks><task>T</task></tasks>") +
				sasl2.element("task-data", "<x xmlns='urn:x'/>") + sasl2.success("") + features(offersToBind),
		},
		"a token, and bound": {
			sasl2, auth.HTSHA256None,
			actorHeader + features(modern(fast(auth.HTSHA256None)+offersRide, auth.Plain)) + succeeds(responder, balcony.String(), ridden, token("x", "2030-01-01T00:00:00Z")) +
				strings.TrimSuffix(features("<x xmlns='urn:x'/>"), ">"),
		},
	} {
		for _, w := range routes {
			t.Run(name+", "+w.name, func(t *testing.T) {
				for n := range len(test.say) + 1 {
					c := trusting(newClient(test.mechanism, auth.Plain))
					c.More = []sasl.Mechanism{chat}
					c.Inline = []auth.ClientInline{rideAlong{"balcony"}}
					c.Tasks = []auth.ClientTask{{Name: "T", Begin: begins("", func(xml.TokenReader) (xml.TokenReader, error) { return nil, nil })}}
					if test.mechanism == auth.HTSHA256None {
						c.Tokens = given(t, plainToken())
					}
					if test.mechanism == auth.HTSHA256None && w.name == stock.name {
						c.Mechanisms = []string{} // Nothing rides along: it goes on to bind.
					}
					conn := newReel(test.say[:n])
					s, err := xmpp.NewSession(t.Context(), domain, juliet, conn, xmpp.Secure, w.negotiator(test.d, c))
					require.Error(t, err, test.say[:n])
					require.Zero(t, s.State()&xmpp.Ready, test.say[:n])
					if !strings.Contains(test.say[:n], "</success>") && !strings.Contains(test.say[:n], "<success xmlns='"+auth.NSSASL+"'/>") {
						require.Zero(t, s.State()&xmpp.Authn, test.say[:n])
						require.Empty(t, s.LocalAddr().Resourcepart(), test.say[:n])
					}
				}
			})
		}
	}
}

// notes is the step of a task, which notes what the server says and says something
// else.
func notes(list *[]string, replies ...string) func(xml.TokenReader) (xml.TokenReader, error) {
	return func(r xml.TokenReader) (xml.TokenReader, error) {
		var b strings.Builder
	read:
		for {
			tok, err := r.Token()
			switch tok := tok.(type) {
			case xml.StartElement:
				b.WriteString("{" + tok.Name.Space + "}" + tok.Name.Local + " ")
			case xml.CharData:
				b.Write(tok)
			}
			if err != nil {
				break read
			}
		}
		*list = append(*list, b.String())
		reply := replies[0]
		replies = replies[1:]
		if reply == "" {
			return nil, nil
		}
		return tokensIn(reply), nil
	}
}

// TestTasks is about what a server asks for beyond a mechanism.
func TestTasks(t *testing.T) {
	ask := func(proof string, names ...string) string {
		var b strings.Builder
		for _, name := range names {
			b.WriteString("<task>" + name + "</task>")
		}
		if proof != "" {
			proof = "<additional-data>" + encoded(proof) + "</additional-data>"
		}
		return sasl2.element("continue", proof+"<tasks>"+b.String()+"</tasks><text>This account requires 2FA</text>")
	}
	failing := errors.New("the battery is empty")
	for _, w := range routes {
		run := func(name string, tasks []auth.ClientTask, act func(t *testing.T, a *actor, proof string), check func(t *testing.T, s *scene)) {
			t.Run(name+", "+w.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := trusting(newClient(auth.ScramSHA1))
					c.Tasks = tasks
					s := play(t, w.negotiator(sasl2, c), func(a *actor) {
						a.open(sasl2.offer(auth.ScramSHA1))
						act(t, a, a.scram(sasl2, auth.ScramSHA1))
					})
					check(t, s)
				})
			})
		}
		welcome := func(t *testing.T, s *scene) { s.welcomed(t, balcony) }
		abort := func(is error) func(t *testing.T, s *scene) {
			return func(t *testing.T, s *scene) {
				s.turned(t, is)
				assert.NotErrorIs(t, s.Err, pipelining.ErrMispredicted)
				assert.True(t, strings.HasSuffix(s.Heard, "<abort xmlns='urn:xmpp:sasl:2'/>"), s.Heard)
			}
		}
		run("SA-21 one step", []auth.ClientTask{{Name: "TOTP", Begin: begins("<code xmlns='urn:example:totp'>123456</code>", nil)}},
			func(t *testing.T, a *actor, proof string) {
				a.say(ask(proof, "HOTP", "TOTP"))
				assert.Equal(t, `<next xmlns='urn:xmpp:sasl:2' task='TOTP'><code xmlns="urn:example:totp">123456</code></next>`, a.next("next"))
				a.say(sasl2.success("whatever the task says"))
				a.settle(sasl2)
			}, welcome)
		var heard []string
		run("SA-21 several steps", []auth.ClientTask{{Name: "T", Begin: begins("", notes(&heard, "<a xmlns='urn:t'/>", ""))}},
			func(t *testing.T, a *actor, proof string) {
				heard = nil
				a.say(ask(proof, "T"))
				assert.Equal(t, `<next xmlns='urn:xmpp:sasl:2' task='T'></next>`, a.next("next"))
				a.say(sasl2.element("task-data", "<q xmlns='urn:t'>1</q>"))
				assert.Equal(t, `<task-data xmlns='urn:xmpp:sasl:2'><a xmlns="urn:t"></a></task-data>`, a.next("task-data"))
				a.say(sasl2.element("task-data", ""))
				assert.Equal(t, `<task-data xmlns='urn:xmpp:sasl:2'></task-data>`, a.next("task-data"))
				a.say(sasl2.success(""))
				a.settle(sasl2)
				assert.Equal(t, []string{"{urn:t}q 1", ""}, heard)
			}, welcome)
		run("SA-20 two tasks, in the client's order", []auth.ClientTask{{Name: "B", Begin: begins("", nil)}, {Name: "A", Begin: begins("", nil)}},
			func(t *testing.T, a *actor, proof string) {
				a.say(ask(proof, "A", "B"))
				assert.Contains(t, a.next("next"), "task='B'")
				a.say(ask("", "A"))
				assert.Contains(t, a.next("next"), "task='A'")
				a.say(sasl2.success(""))
				a.settle(sasl2)
			}, welcome)
		run("SA-20 a name that needs quoting", []auth.ClientTask{{Name: "<'&>", Begin: begins("", nil)}},
			func(t *testing.T, a *actor, proof string) {
				a.say(ask(proof, "&lt;'&amp;>"))
				assert.Contains(t, a.next("next"), "task='&lt;&#39;&amp;&gt;'")
			}, func(t *testing.T, s *scene) { s.turned(t, nil) })
		run("SA-22 fails", []auth.ClientTask{{Name: "T", Begin: begins("", nil)}},
			func(t *testing.T, a *actor, proof string) {
				a.say(ask(proof, "T"))
				a.next("next")
				a.say(sasl2.failure(auth.NotAuthorized, "<text>Wrong code.</text>"))
			}, func(t *testing.T, s *scene) {
				s.turned(t, nil)
				var f auth.Failure
				require.ErrorAs(t, s.Err, &f)
				assert.Equal(t, "Wrong code.", f.Text)
			})
		run("SA-23 only unknown ones", []auth.ClientTask{{Name: "T", Begin: begins("", nil)}},
			func(t *testing.T, a *actor, proof string) {
				a.say(ask(proof, "HOTP", "t"))
				a.next("abort")
			}, func(t *testing.T, s *scene) {
				abort(auth.ErrTask)(t, s)
				assert.ErrorContains(t, s.Err, "HOTP")
			})
		run("SA-23 none at all", []auth.ClientTask{{Name: "T", Begin: begins("", nil)}},
			func(t *testing.T, a *actor, proof string) { a.try(ask(proof)) }, abort(auth.ErrTask))
		run("SA-23 cannot be begun", []auth.ClientTask{{Name: "T", Begin: func(context.Context) (xml.TokenReader, func(xml.TokenReader) (xml.TokenReader, error), error) {
			return nil, nil, failing
		}}}, func(t *testing.T, a *actor, proof string) { a.try(ask(proof, "T")) }, abort(failing))
		run("SA-23 cannot go on", []auth.ClientTask{{Name: "T", Begin: begins("", func(xml.TokenReader) (xml.TokenReader, error) { return nil, failing })}},
			func(t *testing.T, a *actor, proof string) {
				a.say(ask(proof, "T"))
				a.next("next")
				a.try(sasl2.element("task-data", ""))
			}, abort(failing))
		run("SA-23 cannot be written", []auth.ClientTask{{Name: "T", Begin: func(context.Context) (xml.TokenReader, func(xml.TokenReader) (xml.TokenReader, error), error) {
			return xmlstream.ReaderFunc(func() (xml.Token, error) { return nil, failing }), nil, nil
		}}}, func(t *testing.T, a *actor, proof string) { a.try(ask(proof, "T")) }, abort(failing))
		for name, proof := range map[string]string{"no": "", "a wrong": "v=" + encoded(strings.Repeat("\x00", 20))} {
			run("SA-15 continue with "+name+" proof", []auth.ClientTask{{Name: "T", Begin: func(context.Context) (xml.TokenReader, func(xml.TokenReader) (xml.TokenReader, error), error) {
				assert.Fail(t, "the task has begun")
				return nil, nil, nil
			}}}, func(t *testing.T, a *actor, _ string) { a.try(ask(proof, "T"), sasl2.success("")) }, abort(auth.ErrUnproven))
		}
		run("task data of a task of one step", []auth.ClientTask{{Name: "T", Begin: begins("", nil)}},
			func(t *testing.T, a *actor, proof string) {
				a.say(ask(proof, "T"))
				a.next("next")
				a.try(sasl2.element("task-data", ""), sasl2.success(""))
			}, func(t *testing.T, s *scene) { s.turned(t, nil) })
		run("a challenge within a task", []auth.ClientTask{{Name: "T", Begin: begins("", nil)}},
			func(t *testing.T, a *actor, proof string) {
				a.say(ask(proof, "T"))
				a.next("next")
				a.try(sasl2.challenge("x"), sasl2.success(""))
			}, abort(nil))
		run("tasks without end", []auth.ClientTask{{Name: "T", Begin: begins("", nil)}},
			func(t *testing.T, a *actor, proof string) {
				for n := 0; ; n++ {
					require.Less(t, n, 100)
					a.say(ask(proof, "T"))
					proof = ""
					if strings.HasPrefix(a.until(">"), "<abort") {
						return
					}
					a.until("</next>")
				}
			}, abort(nil))
		run("a task without end", []auth.ClientTask{{Name: "T", Begin: begins("", func(xml.TokenReader) (xml.TokenReader, error) { return nil, nil })}},
			func(t *testing.T, a *actor, proof string) {
				a.say(ask(proof, "T"))
				a.next("next")
				for n := 0; ; n++ {
					require.Less(t, n, 100)
					a.say(sasl2.element("task-data", ""))
					if strings.HasPrefix(a.until(">"), "<abort") {
						return
					}
					a.until("</task-data>")
				}
			}, abort(nil))
	}
}
