// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
)

// listed is what servers with tokens offer.
var listed = features(modern(fast(auth.HTSHA256None), auth.ScramSHA1, auth.Plain))

// TestTokenGiven is about the token that comes with success.
func TestTokenGiven(t *testing.T) {
	at := time.Date(2030, 3, 12, 14, 36, 15, 0, time.UTC)
	for _, test := range []struct {
		name, success string
		want          auth.Token
	}{
		{"as it is written", token("s3cr3t", "2030-03-12T14:36:15Z"), auth.Token{Secret: "s3cr3t", Mechanism: auth.HTSHA256None, Expires: at}},
		{"with a fraction", token("s3cr3t", "2030-03-12T14:36:15.000Z"), auth.Token{Secret: "s3cr3t", Mechanism: auth.HTSHA256None, Expires: at}},
		{"of another zone", token("s3cr3t", "2030-03-12T16:36:15+02:00"), auth.Token{Secret: "s3cr3t", Mechanism: auth.HTSHA256None, Expires: at}},
		{"with references", token("&lt;&#39;&amp;&gt;", "2030-03-12T14:36:15Z"), auth.Token{Secret: "<'&>", Mechanism: auth.HTSHA256None, Expires: at}},
		{"no token", "", auth.Token{}},
		{"an empty one", token("", "2030-03-12T14:36:15Z"), auth.Token{}},
		{"without expiry", "<token xmlns='urn:xmpp:fast:0' token='s3cr3t'/>", auth.Token{}},
		{"of a bad time", token("s3cr3t", "tomorrow"), auth.Token{}},
		{"of a bad day", token("s3cr3t", "2030-02-30T00:00:00Z"), auth.Token{}},
		{"of another namespace", strings.ReplaceAll(token("s3cr3t", "2030-03-12T14:36:15Z"), "fast:0", "fast:1"), auth.Token{}},
		{"within something else", "<x xmlns='urn:x'>" + token("s3cr3t", "2030-03-12T14:36:15Z") + "</x>", auth.Token{}},
	} {
		for _, w := range routes {
			t.Run("FA-04 "+test.name+", "+w.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := trusting(newClient(auth.Plain))
					c.TokenMechanism = auth.HTSHA256None
					s := play(t, w.negotiator(sasl2, c), func(a *actor) {
						a.open(listed)
						assert.Contains(t, a.next("authenticate"), "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>")
						a.say(sasl2.success("", test.success))
						a.settle(sasl2)
					})
					s.welcomed(t, balcony)
					got := cached(t, c)
					assert.True(t, test.want.Expires.Equal(got.Expires), got.Expires.String())
					got.Expires = test.want.Expires
					assert.Equal(t, test.want, got)
				})
			})
		}
	}
	for _, w := range routes {
		t.Run("FA-04 one that was not asked for, "+w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := trusting(newClient(auth.Plain))
				s := play(t, w.negotiator(sasl2, c), func(a *actor) {
					a.open(features(modern("", auth.Plain)))
					a.begin(sasl2, auth.Plain)
					a.say(sasl2.success("", token("s3cr3t", "2030-03-12T14:36:15Z")))
					a.settle(sasl2)
				})
				s.welcomed(t, balcony)
				assert.Zero(t, cached(t, c))
			})
		})
		t.Run("FA-05 one before the end, "+w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := trusting(newClient(auth.Plain))
				c.TokenMechanism = auth.HTSHA256None
				c.Tasks = []auth.ClientTask{{Name: "T", Begin: begins("", nil)}}
				s := play(t, w.negotiator(sasl2, c), func(a *actor) {
					a.open(listed)
					a.begin(sasl2, auth.Plain)
					a.say(sasl2.element("continue", "<tasks><task>T</task></tasks>"+token("s3cr3t", "2030-03-12T14:36:15Z")))
					a.next("next")
					a.say(sasl2.failure(auth.NotAuthorized, token("s3cr3t", "2030-03-12T14:36:15Z")))
				})
				s.turned(t, nil)
				assert.Zero(t, cached(t, c))
			})
		})
	}
}

// TestTokenUsed logs in with a token.
func TestTokenUsed(t *testing.T) {
	for _, test := range []struct {
		mechanism, kind string
		channel         channel
	}{
		{auth.HTSHA256Exporter, exporter, channel{}},
		{auth.HTSHA256Unique, unique, channel{version: tls.VersionTLS12}},
		{auth.HTSHA256EndPoint, endPoint, channel{key: "P-256"}},
		{auth.HTSHA256EndPoint, endPoint, channel{key: "P-384", version: tls.VersionTLS12}},
		{auth.HTSHA256None, "", channel{}},
	} {
		for _, w := range routes {
			t.Run("FA-07 "+test.mechanism+" "+test.channel.key+", "+w.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newClient()
					c.Password = forbidden(t)
					c.Tokens = given(t, auth.Token{Secret: secret, Mechanism: test.mechanism, Expires: time.Now().Add(time.Hour)})
					s := test.channel.stage().play(t, w.negotiator(sasl2, c), func(a *actor) {
						a.open(features(modern(fast(test.mechanism), auth.ScramSHA256)))
						e := a.next("authenticate")
						initiator, responder := htScript(secret, a.binding(test.kind, test.channel.key))
						assert.Equal(t, "juliet\x00"+initiator, message(t, within(t, e, "initial-response")))
						assert.Equal(t, test.mechanism, attrOf(t, e, "mechanism"))
						assert.Contains(t, e, "<fast xmlns='urn:xmpp:fast:0'/>", "FA-08: no count, as there is no 0-RTT")
						assert.Contains(t, e, " id='"+agentID+"'", "FA-18")
						assert.NotContains(t, e, "request-token")
						a.say(sasl2.success(responder))
						a.settle(sasl2)
					})
					s.welcomed(t, balcony)
					assert.Equal(t, auth.Secret(secret), cached(t, c).Secret)
				})
			})
		}
	}
	for _, w := range routes {
		t.Run("FA-11 a new one comes with success, "+w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := trusting(newClient())
				c.Tokens = given(t, plainToken())
				s := play(t, w.negotiator(sasl2, c), func(a *actor) {
					a.open(listed)
					a.begin(sasl2, auth.HTSHA256None)
					_, responder := htScript(secret, nil)
					a.say(sasl2.success(responder, token("fresh", "2030-01-01T00:00:00Z")))
					a.settle(sasl2)
				})
				s.welcomed(t, balcony)
				assert.Equal(t, auth.Token{Secret: "fresh", Mechanism: auth.HTSHA256None, Expires: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}, cached(t, c))
			})
		})
		t.Run("FA-15 logs out, "+w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { logsOut(t, w, "") })
		})
		t.Run("FA-15 who logs out asks for no other token, "+w.name, func(t *testing.T) {
			for _, tok := range []auth.Token{{}, plainToken()} {
				synctest.Test(t, func(t *testing.T) {
					c := trusting(newClient(auth.Plain))
					c.Tokens, c.Invalidate, c.TokenMechanism = given(t, tok), true, auth.HTSHA256None
					play(t, w.negotiator(sasl2, c), func(a *actor) {
						a.open(listed)
						if !tok.IsZero() {
							a.begin(sasl2, auth.HTSHA256None)
							a.say(sasl2.failure(auth.NotAuthorized))
						}
						assert.NotContains(t, a.next("authenticate"), "urn:xmpp:fast:0")
					})
				})
			}
		})
	}
}

// logsOut logs in with a token for the last time. More is in success.
func logsOut(t *testing.T, w route, more string) {
	c := trusting(newClient())
	c.Tokens, c.Invalidate = given(t, plainToken()), true
	s := play(t, w.negotiator(sasl2, c), func(a *actor) {
		a.open(listed)
		e := a.next("authenticate")
		assert.Contains(t, e, "<fast xmlns='urn:xmpp:fast:0' invalidate='true'/>")
		assert.NotContains(t, e, "request-token")
		_, responder := htScript(secret, nil)
		a.say(sasl2.success(responder, more))
		a.settle(sasl2)
	})
	s.welcomed(t, balcony)
	assert.Zero(t, cached(t, c), "FA-16: it is of no more use, and no other one was asked for")
}

// forbidden returns a function for Client.Password that must not be called.
func forbidden(t testing.TB) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		assert.Fail(t, "the password was asked for")
		return "", errors.New("no")
	}
}

// TestTokenLeft is about tokens that are not used, because they would be of no use.
func TestTokenLeft(t *testing.T) {
	soon := func() auth.Token { tok := plainToken(); tok.Expires = time.Now().Add(time.Hour); return tok }
	for name, test := range map[string]struct {
		token   func() auth.Token
		client  func(c *auth.Client)
		offer   string
		channel channel
		wait    time.Duration
		ahead   bool // also where nothing is known of the server
	}{
		"it has expired":             {token: soon, wait: time.Hour, ahead: true},
		"it is of another mechanism": {token: func() auth.Token { tok := soon(); tok.Mechanism = auth.ScramSHA1; return tok }, ahead: true},
		"it is of no mechanism":      {token: func() auth.Token { tok := soon(); tok.Mechanism = ""; return tok }, ahead: true},
		"there is no exporter": {
			token:   func() auth.Token { tok := soon(); tok.Mechanism = auth.HTSHA256Exporter; return tok },
			channel: channel{version: tls.VersionTLS12}, ahead: true,
			offer: features(modern(fast(auth.HTSHA256Exporter, auth.HTSHA256None), auth.Plain)),
		},
		"there is no hash": {
			token:   func() auth.Token { tok := soon(); tok.Mechanism = auth.HTSHA256EndPoint; return tok },
			channel: channel{key: "Ed25519"}, ahead: true,
			offer: features(modern(fast(auth.HTSHA256EndPoint, auth.HTSHA256None), auth.Plain)),
		},
		"the server has others":      {token: soon, offer: features(modern(fast(auth.HTSHA256EndPoint), auth.Plain))},
		"the server has none":        {token: soon, offer: features(modern("", auth.Plain))},
		"FA-01 it is not for tokens": {token: soon, offer: features(modern("", auth.HTSHA256None, auth.Plain))},
		"the server has no SASL2":    {token: soon, offer: features(legacy(auth.HTSHA256None, auth.Plain))},
		"FA-18 there is no id":       {token: soon, client: func(c *auth.Client) { c.UserAgent.ID = "" }, ahead: true},
		"the cache does not work":    {token: soon, client: func(c *auth.Client) { c.Tokens = broken{} }, ahead: true},
		"it is somebody else's": {token: soon, ahead: true, client: func(c *auth.Client) {
			other := new(auth.MemoryCache)
			_ = other.SetToken(context.Background(), jid.MustParse("romeo@im.example.com"), soon())
			c.Tokens = other
		}},
	} {
		for _, w := range routes {
			if w.ahead && !test.ahead {
				continue
			}
			t.Run(name+", "+w.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newClient(auth.Plain)
					c.Tokens = given(t, test.token())
					if test.client != nil {
						test.client(c)
					}
					time.Sleep(test.wait)
					d, offer := sasl2, test.offer
					if offer == "" {
						offer = listed
					}
					if !strings.Contains(offer, "sasl:2") {
						d = sasl1
					}
					s := test.channel.stage().play(t, w.negotiator(sasl2, c), func(a *actor) {
						a.open(offer)
						a.begin(d, auth.Plain)
						a.say(d.success(""))
						a.settle(d)
					})
					s.welcomed(t, balcony)
				})
			})
		}
	}
}

// broken is a cache that does not work.
type broken struct{}

func (broken) Token(context.Context, jid.JID) (auth.Token, error) {
	return auth.Token{}, errors.New("the disk is full")
}

func (broken) SetToken(context.Context, jid.JID, auth.Token) error {
	return errors.New("the disk is full")
}

// TestTokenRefused falls back to a password.
func TestTokenRefused(t *testing.T) {
	for _, condition := range []string{
		auth.NotAuthorized, auth.CredentialsExpired, auth.InvalidMechanism, auth.MalformedRequest, auth.AccountDisabled,
		auth.TemporaryAuthFailure, "x-unknown",
	} {
		for _, w := range routes {
			t.Run("FA-19 "+condition+", "+w.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					asked := 0
					c := trusting(newClient(auth.ScramSHA1))
					c.Tokens = given(t, plainToken())
					c.Password = func(context.Context) (string, error) { asked++; return password, nil }
					var then auth.Token
					s := play(t, w.negotiator(sasl2, c), func(a *actor) {
						a.open(listed)
						a.begin(sasl2, auth.HTSHA256None)
						assert.Zero(t, asked, "the password was asked for")
						a.say(sasl2.failure(condition))
						e := a.next("authenticate")
						if w.ahead && condition == auth.TemporaryAuthFailure && attrOf(t, e, "mechanism") == auth.HTSHA256None {
							a.say(sasl2.failure(condition)) // What was sent ahead is forgotten.
							e = a.next("authenticate")
						}
						then = cached(t, c)
						assert.Equal(t, auth.ScramSHA1, attrOf(t, e, "mechanism"))
						assert.Contains(t, e, "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>", "FA-04: a new one")
						x := scramFor(t, auth.ScramSHA1, message(t, within(t, e, "initial-response")))
						a.say(sasl2.challenge(x.challenge()))
						a.say(sasl2.success(x.final(a.response(sasl2), nil), token("fresh", "2030-01-01T00:00:00Z")))
						a.settle(sasl2)
					})
					s.welcomed(t, balcony)
					assert.Equal(t, 1, strings.Count(s.Heard, "<stream:stream"), "on the same stream")
					assert.Equal(t, 1, asked)
					assert.Equal(t, condition != auth.TemporaryAuthFailure, then.IsZero(), "the token is forgotten")
					assert.Equal(t, auth.Secret("fresh"), cached(t, c).Secret)
				})
			})
		}
	}
	for _, w := range routes {
		t.Run("FA-19 to RFC 6120, "+w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := trusting(newClient(auth.ScramSHA1))
				c.Tokens = given(t, plainToken())
				s := play(t, w.negotiator(sasl2, c), func(a *actor) {
					a.open(features(modern(fast(auth.HTSHA256None)), legacy(auth.ScramSHA1)))
					a.begin(sasl2, auth.HTSHA256None)
					a.say(sasl2.failure(auth.CredentialsExpired))
					a.say(sasl1.success(a.scram(sasl1, auth.ScramSHA1)))
					a.settle(sasl1)
				})
				s.welcomed(t, balcony)
				assert.Zero(t, cached(t, c))
			})
		})
		t.Run("FA-19 and the cache does not work, "+w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := trusting(newClient(auth.ScramSHA1))
				c.Tokens = stuck{plainToken()}
				s := play(t, w.negotiator(sasl2, c), func(a *actor) {
					a.open(listed)
					for range 2 {
						if e := a.next("authenticate"); attrOf(t, e, "mechanism") == auth.ScramSHA1 {
							x := scramFor(t, auth.ScramSHA1, message(t, within(t, e, "initial-response")))
							a.say(sasl2.challenge(x.challenge()))
							a.say(sasl2.success(x.final(a.response(sasl2), nil)))
							a.settle(sasl2)
							return
						}
						a.say(sasl2.failure(auth.NotAuthorized))
					}
					a.say(sasl2.success(a.scram(sasl2, auth.ScramSHA1)))
					a.settle(sasl2)
				})
				s.welcomed(t, balcony)
			})
		})
		t.Run("AQ-11 one that has been replaced meanwhile, "+w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := trusting(newClient(auth.ScramSHA1))
				c.Tokens = given(t, plainToken())
				play(t, w.negotiator(sasl2, c), func(a *actor) {
					a.open(listed)
					a.begin(sasl2, auth.HTSHA256None)
					// Another session of the same client was faster.
					fresh := plainToken()
					fresh.Secret = "fresh"
					require.NoError(t, c.Tokens.SetToken(t.Context(), juliet, fresh))
					a.say(sasl2.failure(auth.NotAuthorized))
					a.next("authenticate")
				})
				assert.Equal(t, auth.Secret("fresh"), cached(t, c).Secret, "only what was refused is forgotten")
			})
		})
	}
}

// stuck is a cache that keeps what it has.
type stuck struct{ token auth.Token }

func (s stuck) Token(context.Context, jid.JID) (auth.Token, error)  { return s.token, nil }
func (s stuck) SetToken(context.Context, jid.JID, auth.Token) error { return errors.New("read-only") }

// TestTokenProof is about servers that do not know the token.
func TestTokenProof(t *testing.T) {
	initiator, responder := htScript(secret, nil)
	_, otherToken := htScript("other", nil)
	_, otherChannel := htScript(secret, []byte("x"))
	for name, success := range map[string]string{
		"missing":            sasl2.success(""),
		"empty":              sasl2.element("success", "<additional-data/>"),
		"the client's":       sasl2.success(initiator),
		"of another token":   sasl2.success(otherToken),
		"of another channel": sasl2.success(otherChannel),
		"too short":          sasl2.success(responder[:31]),
		"too long":           sasl2.success(responder + "\x00"),
		"not base64":         sasl2.element("success", "<additional-data>"+responder[:1]+"?</additional-data>"),
		"elsewhere":          sasl2.element("success", "<additional-data xmlns='urn:x'>"+encoded(responder)+"</additional-data>"),
		"in a challenge":     sasl2.challenge(otherToken) + sasl2.success(responder),
		"before a task":      sasl2.element("continue", "<tasks><task>T</task></tasks>"),
	} {
		for _, w := range routes {
			t.Run("FA-24 proof is "+name+", "+w.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := trusting(newClient())
					c.Tokens, c.Password = given(t, plainToken()), forbidden(t)
					c.Tasks = []auth.ClientTask{{Name: "T", Begin: begins("", nil)}}
					c.Inline = []auth.ClientInline{rideAlong{"x"}}
					s := play(t, w.negotiator(sasl2, c), func(a *actor) {
						a.open(features(modern(fast(auth.HTSHA256None)+offersRide, auth.ScramSHA1)))
						a.begin(sasl2, auth.HTSHA256None)
						a.try(strings.Replace(success, "</success>", ridden+token("evil", "2030-01-01T00:00:00Z")+"</success>", 1), features(offersToBind))
					})
					s.turned(t, auth.ErrUnproven)
					assert.Equal(t, plainToken().Secret, cached(t, c).Secret, "the token is kept")
				})
			})
		}
	}
}

// TestClientSecrets looks for secrets where people look.
func TestClientSecrets(t *testing.T) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{plainToken(), new(plainTokens), auth.Tokens{Current: plainToken()}, auth.Secret(secret)} {
			text := fmt.Sprintf(verb, v)
			assert.NotContains(t, text, secret, "FA-17")
			assert.NotContains(t, text, fmt.Sprintf("%x", secret), "FA-17")
		}
	}
	for _, w := range routes {
		for name, end := range map[string]string{
			"success": sasl2.success("x"), "failure": sasl2.failure(auth.NotAuthorized), "task": sasl2.element("continue", "<tasks><task>T</task></tasks>"),
		} {
			t.Run("FA-17 AQ-12 "+name+", "+w.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var log bytes.Buffer
					c := trusting(newClient(auth.Plain))
					c.Tokens = stuck{plainToken()}
					c.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
					s := play(t, w.negotiator(sasl2, c), func(a *actor) {
						a.open(listed)
						a.begin(sasl2, auth.HTSHA256None)
						a.say(end)
						if name == "failure" {
							for range 2 {
								if e := a.next("authenticate"); strings.Contains(e, "PLAIN") {
									break
								}
								a.say(end)
							}
							a.say(end)
						}
					})
					require.Error(t, s.Err)
					initiator, _ := htScript(secret, nil)
					for _, text := range []string{log.String(), s.Err.Error(), fmt.Sprintf("%#v", s.Err)} {
						for _, hidden := range []string{secret, password, encoded(password), encoded(secret), encoded(initiator)} {
							assert.NotContains(t, text, hidden)
						}
					}
					if name == "failure" {
						assert.Contains(t, log.String(), "not be stored", "a cache that does not work is to be known of")
					}
				})
			})
		}
	}
}

// plainTokens is a cache with a token in it, to be printed.
type plainTokens struct{ auth.MemoryCache }

// TestTokenAgainstServer logs in at our own server until tokens have been
// replaced a few times.
func TestTokenAgainstServer(t *testing.T) {
	for name, client := range map[string]func(c *auth.Client) xmpp.Negotiator{
		"stock": func(c *auth.Client) xmpp.Negotiator { return stock.negotiator(sasl2, c) },
		"ahead": func(c *auth.Client) xmpp.Negotiator { return ahead(aheadPlan, c) },
	} {
		t.Run("FA-11 FA-12 "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var used []string
				srv, c := newServer(), newClient()
				srv.Observe = func(_ context.Context, _ *xmpp.Session, l auth.Login, err error) { used = append(used, l.Mechanism) }
				c.TokenMechanism = auth.HTSHA256Exporter
				seen := make(map[auth.Secret]bool)
				for range 5 {
					mustMeet(t, client(c), negotiator(srv))
					seen[cached(t, c).Secret] = true
					time.Sleep(auth.DefaultRefresh)
				}
				assert.Len(t, seen, 5, "a token is replaced when it is used a day later")
				time.Sleep(auth.DefaultLife)
				mustMeet(t, client(c), negotiator(srv))
				const ht, scram = auth.HTSHA256Exporter, auth.ScramSHA256Plus
				assert.Equal(t, []string{scram, ht, ht, ht, ht, scram}, used)
			})
		})
	}
}

// TestTokenCrowd lets many sessions of one client log in at once, which replace
// each other's tokens.
func TestTokenCrowd(t *testing.T) {
	for name, client := range map[string]func(c *auth.Client) xmpp.Negotiator{
		"stock": func(c *auth.Client) xmpp.Negotiator { return stock.negotiator(sasl2, c) },
		"ahead": func(c *auth.Client) xmpp.Negotiator { return ahead(aheadPlan, c) },
	} {
		t.Run("AQ-11 "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv, c := newServer(), newClient()
				srv.FAST.Refresh = time.Nanosecond
				c.TokenMechanism = auth.HTSHA256Exporter
				mustMeet(t, client(c), negotiator(srv))
				for range 5 {
					time.Sleep(time.Hour)
					var wg sync.WaitGroup
					for range 8 {
						wg.Go(func() {
							m := meet(t, juliet, client(c), negotiator(srv))
							assert.NoError(t, m.err(), "nobody is locked out")
						})
					}
					wg.Wait()
				}
				assert.NotZero(t, cached(t, c))
			})
		})
	}
}

// TestTokenImproved asks for a token that binds, with one that does not.
func TestTokenImproved(t *testing.T) {
	for _, w := range routes {
		for _, test := range []struct{ have, want string }{
			{auth.HTSHA256None, auth.HTSHA256Exporter}, {auth.HTSHA256Exporter, ""},
		} {
			t.Run("FA-22 "+test.have+", "+w.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newClient()
					tok := plainToken()
					tok.Mechanism = test.have
					c.Tokens, c.TokenMechanism = given(t, tok), auth.HTSHA256Exporter
					s := channel{}.stage().play(t, w.negotiator(sasl2, c), func(a *actor) {
						a.open(features(modern(fast(auth.HTSHA256Exporter, auth.HTSHA256EndPoint, auth.HTSHA256None), auth.ScramSHA256)))
						e := a.next("authenticate")
						assert.Equal(t, test.have, attrOf(t, e, "mechanism"))
						kind := map[string]string{auth.HTSHA256Exporter: exporter, auth.HTSHA256EndPoint: endPoint}[test.have]
						_, responder := htScript(secret, a.binding(kind, "P-256"))
						if test.want == "" {
							assert.NotContains(t, e, "request-token")
							a.say(sasl2.success(responder))
						} else {
							assert.Contains(t, e, "<request-token xmlns='urn:xmpp:fast:0' mechanism='"+test.want+"'/>")
							a.say(sasl2.success(responder, token("fresh", "2030-01-01T00:00:00Z")))
						}
						a.settle(sasl2)
					})
					s.welcomed(t, balcony)
					if test.want != "" {
						assert.Equal(t, test.want, cached(t, c).Mechanism)
					}
				})
			})
		}
	}
}
