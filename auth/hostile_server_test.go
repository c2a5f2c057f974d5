// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
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
	"github.com/xmppext/xmppext/pipelining"
)

// TestServerHostile is about what may not be sent in the profile of RFC 6120, and
// about the two profiles next to each other.
func TestServerHostile(t *testing.T) {
	first := auth6120(auth.ScramSHA256, base64Of(newScram(auth.ScramSHA256, "juliet", password).first()))
	good := auth6120(auth.Plain, plain("juliet", password))
	malformed := failed6120("malformed-request")
	for _, test := range []struct {
		name, say, answer string // the answer ends with a stream error if it has no <
		stock             string // if it is another one
	}{
		{"auth in place of a response", first + good, malformed, ""},
		{"challenge in place of a response", first + "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>AAEC</challenge>", malformed, ""},
		{"authenticate in place of a response", first + authenticate2(auth.Plain, plain("juliet", password)), "policy-violation", ""},
		{"SASL2's response", first + way2.response("AAEC"), "policy-violation", ""},
		{"SASL2's abort", first + way2.abort(), "policy-violation", ""},
		{"an iq in place of a response", first + askBind, "policy-violation", ""},
		{"AP-06, AP-12 a header in place of a response", first + opening + askBind, "not-authorized", "-"},
		{"AP-17 the end in place of a response", first + closing + good, closing, "-"},
		{"a response with elements", first + way6120.response("<x>AAEC</x>"), failed6120("incorrect-encoding"), ""},
		{"a response with elements and text", first + way6120.response("AA<x/>EC"), failed6120("incorrect-encoding"), ""},
		{"a response to nothing", way6120.response("AAEC"), malformed, ""},
		{"abort of nothing", way6120.abort(), failed6120("aborted"), ""},
		{"what servers say", "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", malformed, ""},
		{"mechanisms", "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>", malformed, ""},
		{"authenticate in the wrong namespace", "<authenticate xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>", malformed, ""},
		{"auth in the wrong namespace", "<auth xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'>" + plain("juliet", password) + "</auth>", failed2("malformed-request"), ""},
		{"SASL2's response to nothing", way2.response("AAEC"), failed2("malformed-request"), ""},
		{"SASL2's abort of nothing", way2.abort(), failed2("aborted"), ""},
		{"next to nothing", next("PIN", pin("1234")), failed2("malformed-request"), ""},
		{"task-data to nothing", taskData(pin("1234")), failed2("malformed-request"), ""},
		{"an initial response by another name", strings.ReplaceAll(authenticate2(auth.Plain, plain("juliet", password)), "initial-response", "response"), `<challenge xmlns='urn:xmpp:sasl:2'/>`, ""},
		{"an initial response in another namespace", strings.Replace(authenticate2(auth.Plain, plain("juliet", password)), "<initial-response", "<initial-response xmlns='urn:example:x'", 1), `<challenge xmlns='urn:xmpp:sasl:2'/>`, ""},
		{"an initial response too deep", strings.NewReplacer("<initial-response>", "<x><initial-response>", "</initial-response>", "</initial-response></x>").Replace(authenticate2(auth.Plain, plain("juliet", password))), `<challenge xmlns='urn:xmpp:sasl:2'/>`, ""},
	} {
		for _, stock := range []bool{false, true} {
			inBubble(t, test.name+stocked(stock), func(t *testing.T) {
				r := receiver{stock: stock}
				o := r.visit(t, func(c *rawClient) {
					c.open(juliet.String())
					c.say(test.say)
				})
				require.Error(t, o.Err)
				assert.Zero(t, o.Session.State()&(xmpp.Authn|xmpp.Ready))
				_, said, _ := strings.Cut(o.Heard, "</stream:features>")
				if _, tail, found := strings.Cut(said, "</challenge>"); found {
					said = tail
				}
				switch {
				case stock && test.stock == "-":
					assert.Empty(t, said, "mellium says nothing")
					assert.False(t, o.Left)
				case strings.HasPrefix(test.answer, "<"):
					assert.Equal(t, test.answer, said)
				default:
					assert.Equal(t, r.ends(test.answer), said)
					assert.False(t, o.Left)
					assert.Less(t, o.Took, 2*time.Second)
				}
			})
		}
	}
	for _, test := range []struct {
		name, say, answer string
		tries             int
	}{
		{"AP-06 header and bind behind a failure", auth6120(auth.Plain, plain("juliet", "wrong")) + opening + askBind, failed6120("not-authorized") + "not-authorized", 1},
		{"AP-06 header and bind behind a failure of SASL2", authenticate2(auth.Plain, plain("juliet", "wrong"), agent, askRide) + opening + askBind, failed2("not-authorized") + "not-authorized", 1},
		{"AP-06 header and bind behind an unknown mechanism", auth6120("GSSAPI", "=") + opening + askBind, failed6120("invalid-mechanism") + "not-authorized", 1},
		{"AP-06 an iq behind a failure", authenticate2(auth.Plain, plain("juliet", "wrong")) + askBind, failed2("not-authorized") + "not-authorized", 1},
		{"AP-08 a good auth behind a failure", auth6120(auth.Plain, plain("juliet", "wrong")) + good + closing, failed6120("not-authorized") + success6120, 2},
		{"AP-08 auth again behind success", good + good, success6120, 1},
		{"AP-14 an iq", askBind, "not-authorized", 0},
		{"AP-14 a ping", "<iq id='p' type='get'><ping xmlns='urn:xmpp:ping'/></iq>", "not-authorized", 0},
		{"AP-14 a message", "<message to='romeo@im.example.com'><body>hi</body></message>", "not-authorized", 0},
		{"AP-14 presence", "<presence/>", "not-authorized", 0},
		{"a stranger", "<stranger xmlns='urn:example:stranger'/>", "policy-violation", 0},
		{"a stranger behind a failure", auth6120(auth.Plain, plain("juliet", "wrong")) + "<stranger xmlns='urn:example:stranger'/>", failed6120("not-authorized") + "policy-violation", 1},
		{"auth in no namespace", "<auth mechanism='PLAIN'>" + plain("juliet", password) + "</auth>", "policy-violation", 0},
		{"too much text", authenticate2(auth.Plain, "", "<x>"+strings.Repeat("x", 32<<10)+"</x><x>"+strings.Repeat("&lt;", 33<<10)+"</x>"), "policy-violation", 0},
		{"too many elements", authenticate2(auth.Plain, plain("juliet", password), strings.Repeat("<x/>", 600)), "policy-violation", 0},
		{"too deep", authenticate2(auth.Plain, plain("juliet", password), strings.Repeat("<x>", 600)+strings.Repeat("</x>", 600)), "policy-violation", 0},
		{"a large attribute", authenticate2(auth.Plain, plain("juliet", password), "<x y='"+strings.Repeat("y", 65<<10)+"'/>"), "policy-violation", 0},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			r := receiver{cfg: pipelining.Config{MaxBytes: -1}} // These limits are the package's own.
			o := r.visit(t, func(c *rawClient) {
				c.open(juliet.String())
				c.say(test.say)
			})
			require.Error(t, o.Err)
			_, said, _ := strings.Cut(o.Heard, "</stream:features>")
			if i := strings.LastIndexByte(test.answer, '>'); !strings.HasSuffix(test.answer, ">") {
				assert.Equal(t, test.answer[:i+1]+r.ends(test.answer[i+1:]), said)
			} else {
				assert.True(t, strings.HasPrefix(said, test.answer), said)
			}
			assert.False(t, o.Left)
			assert.Len(t, o.Tries, test.tries)
			assert.NotContains(t, o.Heard, "<iq")
		})
	}
	inBubble(t, "AP-10 much behind auth", func(t *testing.T) {
		r := receiver{}
		o := r.visit(t, func(c *rawClient) {
			c.open("")
			c.say(authenticate2(auth.ScramSHA256, base64Of(newScram(auth.ScramSHA256, "juliet", password).first()), "<x>", strings.Repeat("x", 1<<20), "</x>"))
		})
		assert.True(t, strings.HasSuffix(o.Heard, "</stream:features>"+r.ends("policy-violation")), o.Heard)
	})
	for _, w := range ways {
		inBubble(t, "AP-11 byte by byte, "+w.name, func(t *testing.T) {
			r := receiver{link: xmpptest.LinkConfig{Chunk: 1}}
			o := r.visit(t, func(c *rawClient) {
				c.open("")
				s := newScram(auth.ScramSHA256, "juliet", password)
				c.scram(w, s)
				if w.profile == auth.RFC6120 {
					c.until("</success>")
					c.open("")
				} else {
					c.success()
				}
				c.bind()
			})
			require.NoError(t, o.Err)
		})
		inBubble(t, "AP-11 a client that stalls, "+w.name, func(t *testing.T) {
			r := receiver{cfg: pipelining.Config{Timeout: patience / 2}}
			o := r.visit(t, func(c *rawClient) {
				c.open("")
				c.say(w.begin(auth.ScramSHA256, base64Of(newScram(auth.ScramSHA256, "juliet", password).first())))
			})
			require.ErrorIs(t, o.Err, context.DeadlineExceeded)
			assert.True(t, strings.HasSuffix(o.Heard, "</challenge>"+r.ends("connection-timeout")), o.Heard)
		})
		for _, stock := range []bool{false, true} {
			inBubble(t, "failures in "+w.other().name+" and success in "+w.name+stocked(stock), func(t *testing.T) {
				o := receiver{stock: stock}.visit(t, func(c *rawClient) {
					c.open(juliet.String())
					c.say(w.other().begin(auth.Plain, plain("juliet", "wrong")))
					assert.Equal(t, w.other().failed("not-authorized"), c.until("</failure>"))
					s := newScram(auth.ScramSHA1, "juliet", "wrong")
					c.scram(w.other(), s)
					assert.Equal(t, w.other().failed("not-authorized"), c.until("</failure>"))
					s = newScram(auth.ScramSHA256, "juliet", password)
					c.scram(w, s)
					if w.profile == auth.RFC6120 {
						c.until("</success>")
						c.open(juliet.String())
					} else {
						c.success()
					}
					c.bind()
				})
				require.NoError(t, o.Err)
				assert.Len(t, o.Tries, 3)
				assert.Equal(t, w.profile, o.Tries[2].Profile)
			})
		}
	}
	for name, to := range map[string]string{"to nobody": "", "to another domain": " to='verona.example'", "to an account of the domain": " to='romeo@im.example.com'"} {
		inBubble(t, "a stream "+name, func(t *testing.T) {
			header := strings.Replace(opening, " to='im.example.com'", to, 1)
			for _, mechanism := range []string{auth.Plain, auth.ScramSHA256, auth.HTSHA256None} {
				o := receiver{}.visit(t, func(c *rawClient) {
					c.say(header)
					c.until("</stream:features>")
					switch mechanism {
					case auth.Plain:
						c.say(authenticate2(mechanism, plain("juliet", password)))
					case auth.ScramSHA256:
						c.scram(way2, newScram(mechanism, "juliet", password))
					default:
						text, _ := ht("juliet", "secret", nil)
						c.say(authenticate2(mechanism, text, agent, useToken))
					}
					if name == "to an account of the domain" && mechanism != auth.HTSHA256None {
						c.until("<success") // The account is the domain's.
						return
					}
					c.until("<failure")
				})
				require.Error(t, o.Err)
			}
		})
	}
}

// TestServerMaxTries is about clients that do not give up.
func TestServerMaxTries(t *testing.T) {
	tries := []string{
		auth6120(auth.Plain, plain("juliet", "wrong")),
		authenticate2(auth.Plain, plain("juliet", "wrong")),
		auth6120("GSSAPI", "="),
		way2.abort(),
		auth6120(auth.Plain, "no base64"),
		authenticate2(auth.HTSHA256None, ""),
	}
	for name, test := range map[string]struct{ max, want int }{"by default": {0, 5}, "one": {1, 1}, "three": {3, 3}} {
		for _, stock := range []bool{false, true} {
			inBubble(t, name+stocked(stock), func(t *testing.T) {
				r := receiver{auth: newServer(), stock: stock}
				r.auth.MaxTries = test.max
				o := r.visit(t, func(c *rawClient) {
					c.open(juliet.String())
					for i := range test.want {
						c.say(tries[i])
						c.until("</failure>")
					}
					if c.t.Failed() {
						return
					}
					_, _ = c.Write([]byte(auth6120(auth.Plain, plain("juliet", password)))) // It may be over already.
				})
				require.ErrorIs(t, o.Err, auth.ErrTooManyTries)
				require.ErrorIs(t, o.Err, stream.PolicyViolation)
				assert.True(t, strings.HasSuffix(o.Heard, "</failure>"+r.ends("policy-violation")), o.Heard)
				assert.Len(t, o.Tries, test.want)
				assert.Zero(t, o.Session.State()&xmpp.Authn)
			})
		}
	}
	inBubble(t, "success with the last", func(t *testing.T) {
		o := receiver{}.visit(t, func(c *rawClient) {
			c.open("")
			for i := range 4 {
				c.say(tries[i])
				c.until("</failure>")
			}
			c.say(authenticate2(auth.Plain, plain("juliet", password)))
			c.success()
			c.bind()
		})
		require.NoError(t, o.Err)
	})
	inBubble(t, "tasks that fail count", func(t *testing.T) {
		r := receiver{auth: withTasks(onePin)}
		r.auth.MaxTries = 1
		o := r.visit(t, func(c *rawClient) {
			c.open("")
			c.say(authenticate2(auth.Plain, plain("juliet", password)))
			c.until("</continue>")
			c.say(next("PIN", pin("4321")))
			c.until("</failure>")
		})
		require.ErrorIs(t, o.Err, auth.ErrTooManyTries)
	})
}

// TestServerBrokenParts is about what a server's own parts do wrong.
func TestServerBrokenParts(t *testing.T) {
	type keys func(context.Context, jid.JID, string) (auth.Keys, error)
	ok := keysOf(t, newScram(auth.ScramSHA256, "", "").hash(), password, []byte("salt"), iterations).Keys
	with := func(change func(*auth.Keys)) keys {
		return func(context.Context, jid.JID, string) (auth.Keys, error) {
			k := ok
			change(&k)
			return k, nil
		}
	}
	for name, f := range map[string]keys{
		"an error":           func(context.Context, jid.JID, string) (auth.Keys, error) { return auth.Keys{}, errHook },
		"nothing, no error":  func(context.Context, jid.JID, string) (auth.Keys, error) { return auth.Keys{}, nil },
		"no salt":            with(func(k *auth.Keys) { k.Salt = nil }),
		"no iterations":      with(func(k *auth.Keys) { k.Iterations = 0 }),
		"minus iterations":   with(func(k *auth.Keys) { k.Iterations = -1 }),
		"a short stored key": with(func(k *auth.Keys) { k.StoredKey = k.StoredKey[:20] }),
		"no server key":      with(func(k *auth.Keys) { k.ServerKey = nil }),
	} {
		for _, w := range ways {
			inBubble(t, "a store that returns "+name+", "+w.name, func(t *testing.T) {
				srv := newServer()
				srv.Credentials = credentialsFunc(f)
				for _, say := range []string{
					w.begin(auth.Plain, plain("juliet", password)), w.begin(auth.ScramSHA256, base64Of("n,,n=juliet,r=abc")),
				} {
					o := receiver{auth: srv}.visit(t, func(c *rawClient) {
						c.open("")
						c.say(say)
						assert.Equal(t, w.failed("temporary-auth-failure"), c.until("</failure>"))
					})
					require.Error(t, o.Err)
				}
			})
		}
	}
	for name, step := range map[string]func(n *sasl.Negotiator) (bool, error){
		"lets everybody in": func(*sasl.Negotiator) (bool, error) { return false, nil },
		"does not take no for no": func(n *sasl.Negotiator) (bool, error) {
			n.Permissions(credentials("juliet", "romeo@im.example.com"))
			return false, nil
		},
		"does not take no for no twice": func(n *sasl.Negotiator) (bool, error) { n.Permissions(credentials("juliet", "@@")); return false, nil },
		"names nobody":                  func(n *sasl.Negotiator) (bool, error) { return false, ifNot(n.Permissions(credentials("", ""))) },
		"names what is no account":      func(n *sasl.Negotiator) (bool, error) { return false, ifNot(n.Permissions(credentials("a b", ""))) },
		"fails later": func(n *sasl.Negotiator) (bool, error) {
			n.Permissions(credentials("juliet", ""))
			return false, errHook
		},
	} {
		for _, w := range ways {
			inBubble(t, "a mechanism of one's own that "+name+", "+w.name, func(t *testing.T) {
				srv := &auth.Server{Mechanisms: []string{"OWN"}, More: []sasl.Mechanism{{
					Name: "OWN",
					Next: func(n *sasl.Negotiator, _ []byte, _ any) (bool, []byte, any, error) {
						more, err := step(n)
						return more, nil, nil, err
					},
				}}}
				o := receiver{auth: srv}.visit(t, func(c *rawClient) {
					c.open("")
					c.say(w.begin("OWN", "AAEC"))
					c.until("</failure>")
				})
				require.Error(t, o.Err)
				assert.NotContains(t, o.Heard, "<success")
				assert.Zero(t, o.Session.State()&xmpp.Authn)
			})
		}
	}
	inBubble(t, "a mechanism of one's own that never ends", func(t *testing.T) {
		srv := newRecorder(new([]string), nil, slices.Repeat([]string{"more"}, 100)...)
		for _, w := range ways {
			o := receiver{auth: srv}.visit(t, func(c *rawClient) {
				c.open("")
				c.say(w.begin("RECORD", "AAEC"))
				for range 16 {
					c.until("</challenge>")
					c.say(w.response("AAEC"))
				}
				assert.Equal(t, w.failed("malformed-request"), c.until("</failure>"))
			})
			require.Error(t, o.Err)
		}
	})
}

type credentialsFunc func(context.Context, jid.JID, string) (auth.Keys, error)

func (f credentialsFunc) Keys(ctx context.Context, account jid.JID, mechanism string) (auth.Keys, error) {
	return f(ctx, account, mechanism)
}

func credentials(user, identity string) sasl.Option {
	return sasl.Credentials(func() ([]byte, []byte, []byte) { return []byte(user), nil, []byte(identity) })
}

func ifNot(ok bool) error {
	if ok {
		return nil
	}
	return sasl.ErrAuthn
}

// differing are an account and others that do not exist, or could not.
var differing = []struct{ name, user, password string }{
	{"the password is wrong", "juliet", "wrong"},
	{"there is no account", "nobody", password},
	{"there is no account, in capitals", "NOBODY", password},
	{"the account has no keys for it", "elder", password},
	{"the account has no keys at all", "empty", password},
	{"no localpart: a space", "ju liet", password},
	{"no localpart: at", "juliet@im.example.com", password},
	{"no localpart: a quote", "\"juliet\"", password},
	{"no localpart: too long", strings.Repeat("x", 1100), password},
	{"no localpart: only marks", "\u0301", password},
	{"no localpart: a control character", "\u0007", password},
	{"no localpart: nothing is left of it", "\u00ad", password},
	{"markup", "<juliet/>&", password},
	{"commas and equals signs", "a,b=c=2C", password},
}

// sparse knows juliet, and of others less or nothing. Calls are the names and
// mechanisms that it was asked for.
type sparse struct {
	calls *[]string
}

func (s sparse) Keys(ctx context.Context, account jid.JID, mechanism string) (auth.Keys, error) {
	if s.calls != nil {
		*s.calls = append(*s.calls, mechanism)
	}
	k, err := accounts().Keys(ctx, juliet, mechanism)
	switch account.Localpart() {
	case "juliet":
		return k, err
	case "elder": // SCRAM-SHA-256 only
		if mechanism == auth.ScramSHA256 {
			return k, err
		}
	}
	return auth.Keys{}, fmt.Errorf("no such row: %w", auth.ErrUnknownAccount)
}

var challengeParts = regexp.MustCompile(`^r=([^,]*),s=([A-Za-z0-9+/=]*),i=([0-9]+)$`)

// TestServerAlike compares all that a server says to clients that fail for other
// reasons.
func TestServerAlike(t *testing.T) {
	// masked is what was heard, with the nonces and salts of challenges masked.
	masked := func(t *testing.T, heard string) string {
		_, heard, _ = strings.Cut(heard, "</stream:features>")
		return regexp.MustCompile(`(<challenge[^>]*>)([^<]*)<`).ReplaceAllStringFunc(heard, func(s string) string {
			start, text, _ := strings.Cut(s, ">")
			data, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(text, "<"))
			require.NoError(t, err)
			m := challengeParts.FindStringSubmatch(string(data))
			require.NotNil(t, m, string(data))
			return fmt.Sprintf("%s>r=<%d>,s=<%d>,i=%s<", start, len(m[1]), len(m[2]), m[3])
		})
	}
	escape := strings.NewReplacer("=", "=3D", ",", "=2C")
	for _, stock := range []bool{false, true} {
		for _, w := range ways {
			for _, mechanism := range []string{auth.ScramSHA256, auth.ScramSHA1, auth.Plain} {
				t.Run(w.name+" "+mechanism+stocked(stock), func(t *testing.T) {
					var want string
					for _, d := range differing {
						if d.user == "elder" && mechanism != auth.ScramSHA1 {
							d.password = "wrong"
						}
						inBubble(t, "SA-29 "+d.name, func(t *testing.T) {
							srv := newServer()
							srv.Credentials = sparse{}
							o := receiver{auth: srv, stock: stock}.visit(t, func(c *rawClient) {
								c.open("")
								if mechanism == auth.Plain {
									c.say(w.begin(mechanism, plain(d.user, d.password)))
								} else {
									c.scram(w, newScram(mechanism, escape.Replace(d.user), d.password))
								}
								c.until("</failure>")
								c.say(closing)
							})
							got := masked(t, o.Heard)
							if want == "" {
								want = got
								assert.Contains(t, got, w.failed("not-authorized"))
							}
							assert.Equal(t, want, got)
							require.Len(t, o.Tries, 1)
							assert.Equal(t, auth.Failure{Condition: auth.NotAuthorized}, o.Tries[0].Err)
						})
					}
				})
			}
		}
	}
	inBubble(t, "SA-29 an empty name", func(t *testing.T) {
		for _, w := range ways {
			o := receiver{}.visit(t, func(c *rawClient) {
				c.open("")
				c.scram(w, newScram(auth.ScramSHA256, "", password))
				assert.Equal(t, w.failed("not-authorized"), c.until("</failure>"))
				c.say(w.begin(auth.Plain, plain("", password)))
				assert.Equal(t, w.failed("malformed-request"), c.until("</failure>"), "RFC 4616, section 2")
				c.say(w.begin(auth.Plain, plain("juliet", "")))
				assert.Equal(t, w.failed("malformed-request"), c.until("</failure>"))
			})
			require.Error(t, o.Err)
		}
	})
	inBubble(t, "SA-29 a store is asked the same", func(t *testing.T) {
		for _, mechanism := range []string{auth.Plain, auth.ScramSHA1, auth.ScramSHA256} {
			var want []string
			for _, user := range []string{"juliet", "nobody", "elder", "empty"} {
				var calls []string
				srv := newServer()
				srv.Credentials = sparse{&calls}
				receiver{auth: srv}.visit(t, func(c *rawClient) {
					c.open("")
					if mechanism == auth.Plain {
						c.say(way2.begin(mechanism, plain(user, "wrong")))
					} else {
						c.scram(way2, newScram(mechanism, user, "wrong"))
					}
					c.until("</failure>")
				})
				if want == nil {
					want = calls
				}
				assert.Equal(t, want, calls, "%s, %s: how long it takes should say nothing", mechanism, user)
			}
		}
	})
	inBubble(t, "AQ-10 tokens", func(t *testing.T) {
		now := time.Now()
		ok := auth.Token{Secret: "secret", Mechanism: auth.HTSHA256None, Issued: now, Expires: now.Add(time.Hour), Count: 5}
		for _, stock := range []bool{false, true} {
			var want string
			for _, test := range []struct {
				name          string
				user, id, key string
				count         string
				kept          func(*auth.Token)
			}{
				{"a wrong token", "juliet", agentID, "wrong", "", nil},
				{"no account", "nobody", agentID, "secret", "", nil},
				{"no account, no name either", "ju liet", agentID, "secret", "", nil},
				{"no account, a domain", "\"", agentID, "secret", "", nil},
				{"an unknown client", "juliet", "11111111-2222-4333-8444-555555555555", "secret", "", nil},
				{"expired", "juliet", agentID, "secret", "", func(t *auth.Token) { t.Expires = now }},
				{"another mechanism", "juliet", agentID, "secret", "", func(t *auth.Token) { t.Mechanism = auth.HTSHA256EndPoint }},
				{"a used counter", "juliet", agentID, "secret", " count='5'", nil},
				{"a smaller counter", "juliet", agentID, "secret", " count='1'", nil},
				{"no token", "juliet", agentID, "secret", "", func(t *auth.Token) { *t = auth.Token{} }},
			} {
				for _, slot := range []string{"current", "new", "both"} {
					r, fast := fastReceiver()
					r.stock = stock
					k := ok
					if test.kept != nil {
						test.kept(&k)
					}
					asked := 0
					store := fast.Store
					if slot != "new" {
						putTokens(t, store, auth.Tokens{Current: k})
					}
					if slot != "current" {
						both := tokensOf(t, store)
						both.New = k
						putTokens(t, store, both)
					}
					before := tokensOf(t, store)
					fast.Store = countingTokens{store, &asked}
					o := r.visit(t, func(c *rawClient) {
						c.open("")
						text, _ := ht(test.user, test.key, nil)
						c.say(authenticate2(auth.HTSHA256None, text, "<user-agent id='"+test.id+"'/>", "<fast xmlns='urn:xmpp:fast:0'"+test.count+"/>"))
						c.until("</failure>")
						c.say(closing)
					})
					_, got, _ := strings.Cut(o.Heard, "</stream:features>")
					if want == "" {
						want = got
						assert.Contains(t, got, refused2)
					}
					assert.Equal(t, want, got, test.name)
					assert.Equal(t, []error{auth.Failure{Condition: auth.NotAuthorized}}, o.results())
					assert.Equal(t, 1, asked, "the store is asked the same")
					assert.Equal(t, before, tokensOf(t, store))
				}
			}
		}
	})
}

// countingTokens counts updates.
type countingTokens struct {
	auth.TokenStore
	n *int
}

func (c countingTokens) Update(ctx context.Context, account jid.JID, client string, change func(*auth.Tokens) bool) error {
	*c.n++
	return c.TokenStore.Update(ctx, account, client, change)
}

// TestServerSalts is about the salts of accounts that do not exist.
func TestServerSalts(t *testing.T) {
	salt := func(t *testing.T, srv *auth.Server, mechanism, user string) (string, int) {
		t.Helper()
		var challenge string
		receiver{auth: srv}.visit(t, func(c *rawClient) {
			c.open("")
			c.say(authenticate2(mechanism, base64Of(newScram(mechanism, user, "").first())))
			challenge = c.message("challenge")
			c.say(way2.abort())
			c.until("</failure>")
		})
		m := challengeParts.FindStringSubmatch(challenge)
		require.NotNil(t, m, challenge)
		i, err := strconv.Atoi(m[3])
		require.NoError(t, err)
		return m[2], i
	}
	const secret auth.Secret = "0123456789abcdef0123456789abcdef"
	users := []string{"nobody", "nobody2", "mercutio", "elder", "empty", "ju liet", "", "x"}
	mechanisms := []string{auth.ScramSHA256, auth.ScramSHA1}
	inBubble(t, "SA-29 stable, and like others", func(t *testing.T) {
		srv := newServer()
		srv.Credentials = sparse{}
		seen := make(map[string]string)
		for _, mechanism := range mechanisms {
			real, iterations := salt(t, srv, mechanism, "juliet")
			for _, user := range users {
				first, i := salt(t, srv, mechanism, user)
				second, _ := salt(t, srv, mechanism, user)
				assert.Equal(t, first, second, user)
				assert.Len(t, first, len(real), user)
				assert.Equal(t, iterations, i, user)
				if user == "elder" && mechanism == auth.ScramSHA256 {
					continue // It has juliet's.
				}
				if who, ok := seen[first]; ok {
					t.Errorf("%s has the salt of %s, which tells that neither exists", user+" "+mechanism, who)
				}
				seen[first] = user + " " + mechanism
			}
		}
	})
	inBubble(t, "SA-29 one account has one salt, however it is spelled", func(t *testing.T) {
		srv := newServer()
		for _, mechanism := range mechanisms {
			for want, spellings := range map[string][]string{
				"juliet":            {"JULIET", "Juliet", "\uff4auliet", "\uff2auliet"},
				"nobody":            {"NOBODY", "Nobody", "\uff4eobody", "\uff2eobody"},
				"stra\u00dfe\u00e9": {"Stra\u00dfe\u00e9", "stra\u00dfee\u0301", "STRA\u00dfEE\u0301"},
			} {
				first, _ := salt(t, srv, mechanism, want)
				for _, s := range spellings {
					got, _ := salt(t, srv, mechanism, s)
					assert.Equal(t, first, got, "%s and %s", want, s)
				}
			}
		}
	})
	inBubble(t, "SA-29 the same for servers with the same secret", func(t *testing.T) {
		one, two, other, none := newServer(), newServer(), newServer(), newServer()
		one.Secret, two.Secret, other.Secret = secret, secret, secret[:31]
		for _, mechanism := range mechanisms {
			for _, user := range users {
				a, _ := salt(t, one, mechanism, user)
				b, _ := salt(t, two, mechanism, user)
				c, _ := salt(t, other, mechanism, user)
				d, _ := salt(t, none, mechanism, user)
				e, _ := salt(t, newServer(), mechanism, user)
				assert.Equal(t, a, b, user)
				assert.Len(t, slices.Compact(slices.Sorted(slices.Values([]string{a, c, d, e}))), 4, "they depend on it")
			}
		}
	})
	inBubble(t, "SA-29 other domains have other salts", func(t *testing.T) {
		srv := newServer()
		var salts []string
		for _, to := range []string{"im.example.com", "verona.example"} {
			receiver{auth: srv}.visit(t, func(c *rawClient) {
				c.say(strings.Replace(opening, "im.example.com", to, 1))
				c.until("</stream:features>")
				c.say(authenticate2(auth.ScramSHA256, base64Of("n,,n=nobody,r=abc")))
				salts = append(salts, challengeParts.FindStringSubmatch(c.message("challenge"))[2])
			})
		}
		assert.NotEqual(t, salts[0], salts[1])
	})
	inBubble(t, "SA-29 iterations are what Server.Iterations says", func(t *testing.T) {
		srv := newServer()
		srv.Iterations = 0
		_, i := salt(t, srv, auth.ScramSHA256, "nobody")
		assert.Equal(t, auth.DefaultIterations, i)
		srv = newServer()
		srv.Iterations = 12345
		_, i = salt(t, srv, auth.ScramSHA256, "nobody")
		assert.Equal(t, 12345, i)
	})
	inBubble(t, "SA-29 -PLUS has the salt of what it is without", func(t *testing.T) {
		srv := newServer()
		for _, user := range []string{"juliet", "nobody"} {
			plain, _ := salt(t, srv, auth.ScramSHA256, user)
			receiver{auth: srv, tls: serverTLS()}.visit(t, func(c *rawClient) {
				c.open("")
				c.say(authenticate2(auth.ScramSHA256Plus, base64Of("p=tls-exporter,,n="+user+",r=abc")))
				assert.Equal(t, plain, challengeParts.FindStringSubmatch(c.message("challenge"))[2])
			})
		}
	})
}

// FuzzServerAnswers lets anybody without a password say anything behind a stream
// header: nobody gets in, and what the server says is XML.
func FuzzServerAnswers(f *testing.F) {
	tries := []string{auth6120(auth.Plain, plain("juliet", "wrong")), authenticate2(auth.Plain, plain("nobody", "wrong"), agent, askRide)}
	token, _ := ht("juliet", "wrong", nil)
	for _, seed := range []string{
		tries[0] + tries[1],
		tries[0] + opening + askBind,
		auth6120(auth.ScramSHA256, base64Of(newScram(auth.ScramSHA256, "juliet", "").first())) + way6120.response(base64Of("c=biws,r=abc,p=AAEC")),
		authenticate2(auth.ScramSHA1, base64Of("n,,n=juliet,r=abc"), agent, requestToken(auth.HTSHA256None)) + way2.response(base64Of("c=biws,r=abc,p=AAEC")),
		authenticate2(auth.ScramSHA1, base64Of("y,a=juliet@im.example.com,n=juliet,r=abc")) + way2.abort() + "\n" + tries[1],
		authenticate2(auth.HTSHA256None, token, agent, useTokenWith("count='1' invalidate='true'")),
		"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'/>" + way2.response(plain("juliet", "wrong")),
		"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='RECORD'/>" + way6120.response("=") + way6120.response("AAEC"),
		next("PIN", pin("1234")) + taskData("") + closing,
		"<stream:error><conflict xmlns='" + nsStreams + "'/></stream:error>",
		"<iq><x/></iq>", "<!-- -->", " ", "",
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	srv := newServer()
	srv.Inline = []auth.Inline{ride{}}
	f.Fuzz(func(t *testing.T, say string, stock bool) {
		link := xmpptest.NewLink(xmpptest.LinkConfig{})
		defer link.Close()
		_, err := link.A.Write([]byte(openingFrom(juliet.String()) + say))
		require.NoError(t, err)
		require.NoError(t, link.CloseWrite(xmpptest.Client))
		s, err := receiver{auth: srv, stock: stock}.receive(t.Context(), link.B)
		require.Error(t, err, "a client that says no more is gone")
		require.Zero(t, s.State()&(xmpp.Authn|xmpp.Ready))

		d := xml.NewDecoder(bytes.NewReader(link.Sent(xmpptest.Server)))
		for err = nil; err == nil; {
			_, err = d.Token()
		}
		if errors.Is(err, io.EOF) {
			return
		}
		var syntax *xml.SyntaxError
		require.ErrorAs(t, err, &syntax)
		require.Equal(t, "unexpected EOF", syntax.Msg, "the stream need not be at its end, but must be XML")
	})
}
