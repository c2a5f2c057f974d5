// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/internal/xmpptest"
)

const (
	// life and refresh are of the tokens of these tests.
	life    = 10 * time.Hour
	refresh = time.Hour

	// stamp is how times are written (XEP-0082).
	stamp = "2006-01-02T15:04:05Z"
)

// fastReceiver is a server with tokens as in these tests.
func fastReceiver() (receiver, *auth.FAST) {
	srv := newServer()
	srv.FAST.Life, srv.FAST.Refresh = life, refresh
	return receiver{auth: srv}, srv.FAST
}

// useTokenWith is the fast element with attributes.
func useTokenWith(attrs string) string { return "<fast xmlns='urn:xmpp:fast:0' " + attrs + "/>" }

// refused2 is the one answer to a token that is no good.
var refused2 = failed2("not-authorized")

// succeeded reports whether the answer to a token is success.
func succeeded(answer string) bool { return strings.HasPrefix(answer, "<success ") }

// tokensOf is what a store has of juliet's client.
func tokensOf(t testing.TB, store auth.TokenStore) auth.Tokens {
	t.Helper()
	var k auth.Tokens
	require.NoError(t, store.Update(t.Context(), juliet, agentID, func(now *auth.Tokens) bool {
		k = *now
		return false
	}))
	return k
}

// putTokens puts tokens into a store.
func putTokens(t testing.TB, store auth.TokenStore, k auth.Tokens) {
	t.Helper()
	require.NoError(t, store.Update(t.Context(), juliet, agentID, func(now *auth.Tokens) bool {
		*now = k
		return true
	}))
}

func TestServerTokenRotation(t *testing.T) {
	inBubble(t, "FA-11, FA-12, FA-13 golden", func(t *testing.T) {
		r, _ := fastReceiver()
		r.auth.Inline = []auth.Inline{ride{}}
		var (
			said  xmpptest.Transcript
			token string
		)
		visit := func(name, say string) {
			o := r.visit(t, func(c *rawClient) {
				c.say(openingFrom(juliet.String()), say)
				c.until("</stream:features>")
				if success := c.success(); strings.Contains(success, "<token") {
					token = tokenIn(t, success)
				}
			})
			require.NoError(t, o.Err)
			said = append(append(said, xmpptest.Line{Kind: xmpptest.Stage, Text: name}), o.Said...)
		}
		fast := func() string {
			text, _ := ht("juliet", token, nil)
			return authenticate2(auth.HTSHA256None, text, agent, askRide, useToken)
		}
		visit("a token is asked for", authenticate2(auth.Plain, plain("juliet", password), agent, askRide, requestToken(auth.HTSHA256None)))
		first := token
		visit("it is used", fast())
		require.Equal(t, first, token)
		time.Sleep(2 * refresh)
		visit("it is used when it is due", fast())
		require.NotEqual(t, first, token)
		visit("the new one is used", fast())
		assert.Equal(t, refused2, r.useToken(t, first), "FA-13 the old one is gone")
		xmpptest.Compare(t, "testdata/server-fast.txt", said.SplitElements())
	})
	inBubble(t, "FA-11 a token that is not due is not replaced", func(t *testing.T) {
		r, fast := fastReceiver()
		token := r.getToken(t, auth.HTSHA256None)
		for range 3 {
			answer := r.useToken(t, token)
			require.True(t, succeeded(answer), answer)
			assert.NotContains(t, answer, "token")
			time.Sleep(refresh/3 - time.Minute)
		}
		assert.Zero(t, tokensOf(t, fast.Store).New)
		time.Sleep(4 * time.Minute)
		assert.NotEqual(t, token, tokenIn(t, r.useToken(t, token)), "now it is")
	})
	inBubble(t, "FA-11 when it is due by default", func(t *testing.T) {
		for _, test := range []struct{ life, due time.Duration }{
			{0, auth.DefaultRefresh}, {-1, auth.DefaultRefresh}, {6 * time.Hour, 3 * time.Hour}, {auth.DefaultLife, 24 * time.Hour},
		} {
			r, fast := fastReceiver()
			fast.Life, fast.Refresh = test.life, 0
			issued := time.Now()
			token := r.getToken(t, auth.HTSHA256None)
			time.Sleep(test.due - time.Minute - time.Since(issued))
			assert.NotContains(t, r.useToken(t, token), "token")
			time.Sleep(test.due - time.Since(issued))
			assert.Contains(t, r.useToken(t, token), "token")
		}
		assert.Equal(t, 21*24*time.Hour, auth.DefaultLife)
	})
	inBubble(t, "FA-12 the old one stays good until the new one is used", func(t *testing.T) {
		r, _ := fastReceiver()
		old := r.getToken(t, auth.HTSHA256None)
		time.Sleep(refresh)
		var fresh string
		for range 3 {
			now := tokenIn(t, r.useToken(t, old))
			assert.NotContains(t, r.useToken(t, old), "token=", "the client may still be storing it")
			time.Sleep(time.Minute)
			require.NotEqual(t, fresh, now, "FA-06 each is new")
			if fresh != "" {
				assert.Equal(t, refused2, r.useToken(t, fresh), "FA-14 one that was never used is gone with the next")
			}
			fresh = now
		}
		require.True(t, succeeded(r.useToken(t, fresh)))
		assert.Equal(t, refused2, r.useToken(t, old), "FA-13")
		assert.True(t, succeeded(r.useToken(t, fresh)))
	})
	inBubble(t, "FA-12 the connection is lost before success", func(t *testing.T) {
		r, _ := fastReceiver()
		old := r.getToken(t, auth.HTSHA256None)
		time.Sleep(refresh)
		o := r.visit(t, func(c *rawClient) {
			text, _ := ht("juliet", old, nil)
			c.say(openingFrom(juliet.String()), authenticate2(auth.HTSHA256None, text, agent, useToken))
			c.until("<success")
			_ = c.Close()
		})
		require.Error(t, o.Err)
		assert.True(t, succeeded(r.useToken(t, old)))
	})
	inBubble(t, "FA-14 with a password, too", func(t *testing.T) {
		r, _ := fastReceiver()
		first := r.getToken(t, auth.HTSHA256None)
		second := r.getToken(t, auth.HTSHA256None)
		assert.Equal(t, refused2, r.useToken(t, first))
		require.True(t, succeeded(r.useToken(t, second)))
		third := r.getToken(t, auth.HTSHA256None)
		assert.True(t, succeeded(r.useToken(t, second)), "FA-12 it has been used, and the next has not")
		require.True(t, succeeded(r.useToken(t, third)))
		assert.Equal(t, refused2, r.useToken(t, second))
	})
	inBubble(t, "a token that is asked for with a token", func(t *testing.T) {
		r, _ := fastReceiver()
		token := r.getToken(t, auth.HTSHA256None)
		fresh := tokenIn(t, r.useToken(t, token, agent, useToken, requestToken(auth.HTSHA256None)))
		assert.NotEqual(t, token, fresh)
		assert.True(t, succeeded(r.useToken(t, fresh)))
	})
	inBubble(t, "AQ-11 two connections at once, both rotated", func(t *testing.T) {
		r, _ := fastReceiver()
		token := r.getToken(t, auth.HTSHA256None)
		require.True(t, succeeded(r.useToken(t, token)))
		time.Sleep(refresh)
		var (
			clients [2]*rawClient
			ends    [2]func() *outcome
			fresh   [2]string
		)
		for i := range clients {
			clients[i], ends[i] = r.start(t)
			clients[i].open(juliet.String())
		}
		text, _ := ht("juliet", token, nil)
		for _, c := range clients {
			c.say(authenticate2(auth.HTSHA256None, text, agent, useToken, requestToken(auth.HTSHA256None))) // Neither waits for the other.
		}
		for i, c := range clients {
			fresh[i] = tokenIn(t, c.success())
			c.bind()
		}
		for _, end := range ends {
			require.NoError(t, end().Err)
		}
		require.NotEqual(t, fresh[0], fresh[1])
		last := string(tokensOf(t, r.auth.FAST.Store).New.Secret)
		lost := fresh[0]
		if lost == last {
			lost = fresh[1]
		}
		require.Contains(t, fresh, last)

		// Who has got the one that was overwritten goes on with the password.
		o := r.visit(t, func(c *rawClient) {
			text, _ := ht("juliet", lost, nil)
			c.say(openingFrom(juliet.String()), authenticate2(auth.HTSHA256None, text, agent, useToken))
			c.until("</stream:features>")
			assert.Equal(t, refused2, c.until("</failure>"))
			c.say(authenticate2(auth.Plain, plain("juliet", password), agent))
			c.success()
			c.bind()
		})
		require.NoError(t, o.Err)
		assert.True(t, succeeded(r.useToken(t, token)), "nobody is locked out")
	})
	inBubble(t, "AQ-11 two connections at once, when it is due", func(t *testing.T) {
		r, _ := fastReceiver()
		token := r.getToken(t, auth.HTSHA256None)
		time.Sleep(refresh)
		fresh := tokenIn(t, r.useToken(t, token))
		assert.NotContains(t, r.useToken(t, token), "token=", "one of them is enough, and good for both")
		assert.True(t, succeeded(r.useToken(t, fresh)))
	})
	inBubble(t, "AQ-11 many connections at once", func(t *testing.T) {
		r, fast := fastReceiver()
		token := r.getToken(t, auth.HTSHA256None)
		time.Sleep(refresh)
		text, _ := ht("juliet", token, nil)
		var (
			clients []*rawClient
			ends    []func() *outcome
			fresh   []string
		)
		for range 20 {
			c, end := r.start(t)
			c.say(openingFrom(juliet.String()), authenticate2(auth.HTSHA256None, text, agent, useToken, requestToken(auth.HTSHA256None)))
			clients, ends = append(clients, c), append(ends, end)
		}
		for i, c := range clients {
			c.until("</stream:features>")
			fresh = append(fresh, tokenIn(t, c.success()))
			c.bind()
			require.NoError(t, ends[i]().Err)
		}
		k := tokensOf(t, fast.Store)
		assert.Equal(t, token, string(k.Current.Secret))
		n := 0
		for _, f := range fresh {
			if f == string(k.New.Secret) {
				n++
			} else {
				assert.Equal(t, refused2, r.useToken(t, f))
			}
		}
		assert.Equal(t, 1, n, "one of them is left")
		assert.True(t, succeeded(r.useToken(t, string(k.New.Secret))))
		assert.Equal(t, refused2, r.useToken(t, token))
	})
}

func TestServerTokenIssue(t *testing.T) {
	inBubble(t, "FA-06 new, unique, and what it says", func(t *testing.T) {
		r, fast := fastReceiver()
		seen := make(map[string]bool)
		for range 20 {
			success := r.logIn(t, authenticate2(auth.Plain, plain("juliet", password), agent, requestToken(auth.HTSHA256None)))
			token := tokenIn(t, success)
			require.False(t, seen[token])
			seen[token] = true
			secret, err := base64.RawURLEncoding.DecodeString(token)
			require.NoError(t, err)
			assert.Len(t, secret, 32)
			assert.Contains(t, success, `<token xmlns="urn:xmpp:fast:0" expiry="`+time.Now().Add(life).UTC().Format(stamp)+`" token="`)
			k := tokensOf(t, fast.Store)
			assert.Equal(t, auth.Tokens{New: auth.Token{
				Secret: auth.Secret(token), Mechanism: auth.HTSHA256None, Issued: time.Now(), Expires: time.Now().Add(life),
			}}, k)
		}
	})
	request := func(mechanism string) []string { return []string{agent, requestToken(mechanism)} }
	for name, more := range map[string][]string{
		"FA-05 nobody has asked":               {agent},
		"FA-07 no id":                          {requestToken(auth.HTSHA256None)},
		"FA-07 no id in a user-agent":          {"<user-agent><software>x</software></user-agent>", requestToken(auth.HTSHA256None)},
		"FA-04 a mechanism that is not there":  request("HT-SHA-512-NONE"),
		"FA-04 one that is not possible":       request(auth.HTSHA256Exporter),
		"FA-04 one that is not for tokens":     request(auth.ScramSHA256),
		"FA-04 one in lower case":              request("ht-sha-256-none"),
		"FA-04 an empty one":                   request(""),
		"FA-04 none":                           {agent, "<request-token xmlns='urn:xmpp:fast:0'/>"},
		"FA-04 by another name":                {agent, "<request-token mechanism='HT-SHA-256-NONE'/>"},
		"FA-16 to be invalidated, without one": {agent, useTokenWith("invalidate='true'")},
	} {
		inBubble(t, name+": no token", func(t *testing.T) {
			r, fast := fastReceiver()
			assert.Equal(t, "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>juliet@im.example.com</authorization-identifier></success>",
				r.logIn(t, authenticate2(auth.Plain, plain("juliet", password), more...)))
			assert.Zero(t, tokensOf(t, fast.Store))
		})
	}
	inBubble(t, "FA-05 no token for who has failed", func(t *testing.T) {
		r, fast := fastReceiver()
		assert.Equal(t, refused2, r.logIn(t, authenticate2(auth.Plain, plain("juliet", "wrong"), agent, requestToken(auth.HTSHA256None))))
		assert.Zero(t, tokensOf(t, fast.Store))
	})
	inBubble(t, "the store fails", func(t *testing.T) {
		r, fast := fastReceiver()
		token := r.getToken(t, auth.HTSHA256None)
		failing := &failingTokens{TokenStore: fast.Store}
		fast.Store = failing
		assert.Equal(t, failed2("temporary-auth-failure"), r.useToken(t, token), "when a token is used")
		assert.NotContains(t, r.logIn(t, authenticate2(auth.Plain, plain("juliet", password), agent, requestToken(auth.HTSHA256None))), "token",
			"when one is issued")
		failing.works = 1
		assert.Equal(t, failed2("temporary-auth-failure"), r.useToken(t, token, agent, useTokenWith("invalidate='1'")), "when one is removed")
		failing.works = 1
		assert.True(t, succeeded(r.useToken(t, token)))
	})
	inBubble(t, "the store asks again", func(t *testing.T) {
		r, fast := fastReceiver()
		token := r.getToken(t, auth.HTSHA256None)
		store := fast.Store
		// What was stored first is out of date.
		fast.Store = outdated{store, tokensOf(t, store)}
		putTokens(t, store, auth.Tokens{})
		assert.Equal(t, refused2, r.useToken(t, token))

		putTokens(t, store, auth.Tokens{New: auth.Token{Secret: "other", Mechanism: auth.HTSHA256None, Expires: time.Now().Add(life), Issued: time.Now()}})
		assert.Equal(t, refused2, r.useToken(t, token))
		_, answer := ht("juliet", "other", nil)
		fast.Store = outdated{store, auth.Tokens{}}
		assert.Contains(t, r.useToken(t, "other"), answer)
	})
}

// failingTokens fails once it has worked some times.
type failingTokens struct {
	auth.TokenStore
	works int
}

func (f *failingTokens) Update(ctx context.Context, account jid.JID, client string, change func(*auth.Tokens) bool) error {
	if f.works == 0 {
		return errHook
	}
	f.works--
	return f.TokenStore.Update(ctx, account, client, change)
}

// outdated calls change with something that turns out to be old.
type outdated struct {
	auth.TokenStore
	old auth.Tokens
}

func (s outdated) Update(ctx context.Context, account jid.JID, client string, change func(*auth.Tokens) bool) error {
	old := s.old
	change(&old)
	return s.TokenStore.Update(ctx, account, client, change)
}

func TestServerTokenUse(t *testing.T) {
	for name, more := range map[string][]string{
		"FA-07 no fast":                   {agent},
		"FA-07 fast in another namespace": {agent, "<fast/>"},
		"FA-18 no user-agent":             {useToken},
		"FA-18 no id":                     {"<user-agent><software>x</software></user-agent>", useToken},
		"FA-18 an empty id":               {"<user-agent id=''/>", useToken},
		"FA-08 count 0":                   {agent, useTokenWith("count='0'")},
		"FA-08 a negative count":          {agent, useTokenWith("count='-1'")},
		"FA-08 a signed count":            {agent, useTokenWith("count='+1'")},
		"FA-08 an empty count":            {agent, useTokenWith("count=''")},
		"FA-08 a broken count":            {agent, useTokenWith("count='1.5'")},
		"FA-08 a count with a space":      {agent, useTokenWith("count=' 1'")},
		"FA-08 a count in words":          {agent, useTokenWith("count='1e3'")},
		"FA-08 a huge count":              {agent, useTokenWith("count='9223372036854775808'")},
		"FA-15 invalidate in words":       {agent, useTokenWith("invalidate='yes'")},
		"FA-15 invalidate in capitals":    {agent, useTokenWith("invalidate='TRUE'")},
	} {
		inBubble(t, name, func(t *testing.T) {
			r, fast := fastReceiver()
			token := r.getToken(t, auth.HTSHA256None)
			before := tokensOf(t, fast.Store)
			assert.Equal(t, failed2("malformed-request"), r.useToken(t, token, more...))
			assert.Equal(t, before, tokensOf(t, fast.Store))
			assert.True(t, succeeded(r.useToken(t, token)), "the token is as good as before")
		})
	}
	inBubble(t, "FA-09, AQ-10 counts", func(t *testing.T) {
		r, _ := fastReceiver()
		token := r.getToken(t, auth.HTSHA256None)
		for _, test := range []struct {
			count string
			good  bool
		}{
			{"", true},                    // Nothing was sent in 0-RTT.
			{"count='1'", true},           // while the token is new
			{"count='1'", false},          // again
			{"count='2'", true},           // while it is the current one
			{"count='2'", false},          // again
			{"count='1'", false},          // an older one
			{"", true},                    // as before
			{"count='2'", false},          // which changes nothing
			{"count='9'", true},           // some are lost
			{"count='3'", false},          //
			{"count='0010'", true},        // the same number as 10
			{"count='10'", false},         //
			{"count='2147483648'", true},  // more than 32 bits
			{"count='2147483648'", false}, //
			{"count='9223372036854775807'", true},
			{"count='9223372036854775807'", false},
		} {
			answer := r.useToken(t, token, agent, useTokenWith(test.count))
			if test.good {
				require.True(t, succeeded(answer), test.count)
			} else {
				require.Equal(t, refused2, answer, test.count)
			}
		}
		time.Sleep(refresh)
		fresh := tokenIn(t, r.useToken(t, token))
		assert.True(t, succeeded(r.useToken(t, fresh, agent, useTokenWith("count='1'"))), "FA-08 counting begins anew")
	})
	for _, invalidate := range []string{"1", "true"} {
		inBubble(t, "FA-15, FA-16 invalidate "+invalidate, func(t *testing.T) {
			r, fast := fastReceiver()
			token := r.getToken(t, auth.HTSHA256None)
			require.True(t, succeeded(r.useToken(t, token)))
			time.Sleep(refresh)
			fresh := tokenIn(t, r.useToken(t, token))
			answer := r.useToken(t, token, agent, useTokenWith("invalidate='"+invalidate+"'"))
			require.True(t, succeeded(answer))
			assert.NotContains(t, answer, "<token", "though it is due")
			assert.Zero(t, tokensOf(t, fast.Store))
			assert.Equal(t, refused2, r.useToken(t, token))
			assert.Equal(t, refused2, r.useToken(t, fresh), "nor does it live on in the one that was to replace it")
		})
	}
	for _, keeps := range []string{"", "0", "false"} {
		inBubble(t, "FA-15 invalidate "+keeps, func(t *testing.T) {
			r, _ := fastReceiver()
			token := r.getToken(t, auth.HTSHA256None)
			require.True(t, succeeded(r.useToken(t, token, agent, useTokenWith("invalidate='"+keeps+"'"))))
			assert.True(t, succeeded(r.useToken(t, token)))
		})
	}
	inBubble(t, "FA-15 who does not know the token cannot end it", func(t *testing.T) {
		r, _ := fastReceiver()
		token := r.getToken(t, auth.HTSHA256None)
		assert.Equal(t, refused2, r.useToken(t, "wrong", agent, useTokenWith("invalidate='1'")))
		assert.True(t, succeeded(r.useToken(t, token)))
		answer := r.logIn(t, authenticate2(auth.Plain, plain("juliet", password), agent, useTokenWith("invalidate='1'")))
		require.True(t, succeeded(answer))
		assert.True(t, succeeded(r.useToken(t, token)), "nor is it used by logging in otherwise")
	})
	inBubble(t, "FA-16 a new token if it is asked for", func(t *testing.T) {
		r, _ := fastReceiver()
		token := r.getToken(t, auth.HTSHA256None)
		fresh := tokenIn(t, r.useToken(t, token, agent, useTokenWith("invalidate='1'"), requestToken(auth.HTSHA256None)))
		assert.Equal(t, refused2, r.useToken(t, token))
		assert.True(t, succeeded(r.useToken(t, fresh)))
	})
	inBubble(t, "FA-10, AQ-10 another mechanism", func(t *testing.T) {
		r, _ := fastReceiver()
		r.tls = serverTLS()
		kinds := map[string]string{auth.HTSHA256Exporter: "tls-exporter", auth.HTSHA256EndPoint: "tls-server-end-point", auth.HTSHA256None: ""}
		for asked := range kinds {
			token := r.getToken(t, asked)
			for used, kind := range kinds {
				o := r.visit(t, func(c *rawClient) {
					c.open(juliet.String())
					text, _ := ht("juliet", token, bindingOf(t, c, kind))
					c.say(authenticate2(used, text, agent, useToken))
					if used == asked {
						c.until("</success>")
						return
					}
					assert.Equal(t, refused2, c.until("</failure>"), "%s with a token for %s", used, asked)
				})
				require.Len(t, o.Tries, 1)
			}
		}
	})
	inBubble(t, "FA-01 the proof is bound to the channel", func(t *testing.T) {
		r, _ := fastReceiver()
		r.tls = serverTLS()
		for mechanism, kind := range map[string]string{auth.HTSHA256Exporter: "tls-exporter", auth.HTSHA256EndPoint: "tls-server-end-point"} {
			token := r.getToken(t, mechanism)
			for name, binding := range map[string][]byte{"nothing": nil, "something else": []byte("0123456789abcdef0123456789abcdef")} {
				r.visit(t, func(c *rawClient) {
					c.open(juliet.String())
					text, _ := ht("juliet", token, binding)
					c.say(authenticate2(mechanism, text, agent, useToken))
					assert.Equal(t, refused2, c.until("</failure>"), name)
					text, _ = ht("juliet", token, append([]byte("x"), bindingOf(t, c, kind)...))
					c.say(authenticate2(mechanism, text, agent, useToken))
					assert.Equal(t, refused2, c.until("</failure>"))
				})
			}
		}
	})
	inBubble(t, "FA-23 what is checked of each token", func(t *testing.T) {
		now := time.Now()
		ok := auth.Token{Secret: "secret", Mechanism: auth.HTSHA256None, Issued: now, Expires: now.Add(time.Minute), Count: 5}
		with := func(change func(*auth.Token)) auth.Token {
			t := ok
			change(&t)
			return t
		}
		bad := map[string]auth.Token{
			"none":           {},
			"another secret": with(func(t *auth.Token) { t.Secret = "Secret" }),
			"expired":        with(func(t *auth.Token) { t.Expires = now }),
			"long expired":   with(func(t *auth.Token) { t.Expires = time.Time{} }),
			"mechanism":      with(func(t *auth.Token) { t.Mechanism = auth.HTSHA256EndPoint }),
			"no mechanism":   with(func(t *auth.Token) { t.Mechanism = "" }),
			"count":          with(func(t *auth.Token) { t.Count = 6 }),
		}
		for current, c := range bad {
			for fresh, n := range bad {
				r, fast := fastReceiver()
				k := auth.Tokens{Current: c, New: n}
				putTokens(t, fast.Store, k)
				assert.Equal(t, refused2, r.useToken(t, "secret", agent, useTokenWith("count='6'")), "%s and %s", current, fresh)
				assert.Equal(t, k, tokensOf(t, fast.Store))

				k.Current = ok
				putTokens(t, fast.Store, k)
				assert.True(t, succeeded(r.useToken(t, "secret", agent, useTokenWith("count='6'"))), "good and %s", fresh)
				k.Current.Count = 6
				if n.Expires.Before(k.Current.Expires) {
					k.New = auth.Token{} // FA-13
				}
				assert.Equal(t, k, tokensOf(t, fast.Store))

				k.Current, k.New = c, ok
				putTokens(t, fast.Store, k)
				assert.True(t, succeeded(r.useToken(t, "secret", agent, useTokenWith("count='6'"))), "%s and good", current)
				used := ok
				used.Count = 6
				assert.Equal(t, auth.Tokens{Current: used}, tokensOf(t, fast.Store))
			}
		}
	})
	inBubble(t, "AQ-10 after it has expired", func(t *testing.T) {
		r, _ := fastReceiver()
		token := r.getToken(t, auth.HTSHA256None)
		time.Sleep(life - time.Second)
		require.Contains(t, r.useToken(t, token), "<token")
		time.Sleep(time.Second)
		assert.Equal(t, refused2, r.useToken(t, token))
	})
	inBubble(t, "a token is one client's", func(t *testing.T) {
		r, _ := fastReceiver()
		token := r.getToken(t, auth.HTSHA256None)
		other := strings.Replace(agent, agentID, "11111111-2222-4333-8444-555555555555", 1)
		assert.Equal(t, refused2, r.useToken(t, token, other, useToken))
		assert.True(t, succeeded(r.useToken(t, token, strings.Replace(agent, agentID, strings.ToUpper(agentID), 1), useToken)))
		text, _ := ht("romeo", token, nil)
		assert.Equal(t, refused2, r.logIn(t, authenticate2(auth.HTSHA256None, text, agent, useToken)))
	})
	inBubble(t, "SA-09 from another account", func(t *testing.T) {
		r, _ := fastReceiver()
		token := r.getToken(t, auth.HTSHA256None)
		o := r.visit(t, func(c *rawClient) {
			c.open("romeo@im.example.com")
			text, _ := ht("juliet", token, nil)
			c.say(authenticate2(auth.HTSHA256None, text, agent, useToken))
			assert.Contains(t, c.until("</failure>"), "<invalid-authzid ")
			text, _ = ht("juliet", "wrong", nil)
			c.say(authenticate2(auth.HTSHA256None, text, agent, useToken))
			assert.Equal(t, refused2, c.until("</failure>"))
		})
		require.Error(t, o.Err)
	})
	inBubble(t, "SA-27 from nobody", func(t *testing.T) {
		r, _ := fastReceiver()
		token := r.getToken(t, auth.HTSHA256None)
		o := r.visit(t, func(c *rawClient) {
			c.open("")
			text, _ := ht("JULIET", token, nil)
			c.say(authenticate2(auth.HTSHA256None, text, agent, useToken))
			c.success()
			c.bind()
		})
		require.NoError(t, o.Err)
		assert.Equal(t, juliet, o.Session.RemoteAddr())
	})
	inBubble(t, "the proof comes with a response", func(t *testing.T) {
		r, _ := fastReceiver()
		token := r.getToken(t, auth.HTSHA256None)
		o := r.visit(t, func(c *rawClient) {
			c.open(juliet.String())
			c.say("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-NONE'>" + agent + useToken + "</authenticate>")
			c.until("<challenge xmlns='urn:xmpp:sasl:2'/>")
			text, answer := ht("juliet", token, nil)
			c.say(way2.response(text))
			assert.Contains(t, c.success(), "<additional-data>"+answer+"</additional-data>")
			c.bind()
		})
		require.NoError(t, o.Err)
	})
	proof := string(mac(newScram(auth.ScramSHA256, "", "").hash(), []byte("secret"), "Initiator"))
	for name, message := range map[string]string{
		"nothing":         "",
		"no null":         "juliet" + proof[:16],
		"no name":         "\x00" + proof,
		"no proof":        "juliet\x00",
		"half a proof":    "juliet\x00" + proof[:16],
		"too long":        "juliet\x00" + proof + "x",
		"two nulls":       "juliet\x00\x00" + proof,
		"no UTF-8":        "juli\xff\x00" + proof,
		"a name too many": "juliet\x00romeo\x00" + proof,
	} {
		inBubble(t, "a message of HT with "+name, func(t *testing.T) {
			r, _ := fastReceiver()
			assert.Equal(t, failed2("malformed-request"), r.logIn(t, authenticate2(auth.HTSHA256None, base64Of(message), agent, useToken)))
		})
	}
	inBubble(t, "FAST.Mechanisms", func(t *testing.T) {
		r, fast := fastReceiver()
		token := r.getToken(t, auth.HTSHA256None)
		fast.Mechanisms = []string{auth.HTSHA256EndPoint}
		assert.NotContains(t, r.features(t, ""), "fast")
		assert.Equal(t, failed2("invalid-mechanism"), r.useToken(t, token))
		r.tls = serverTLS()
		assert.Contains(t, r.features(t, ""), `<fast xmlns="urn:xmpp:fast:0"><mechanism>HT-SHA-256-ENDP</mechanism></fast>`)
		assert.Equal(t, failed2("invalid-mechanism"), r.useToken(t, token))
	})
}

func TestServerTokenTrust(t *testing.T) {
	inBubble(t, "FA-20 no task with a token", func(t *testing.T) {
		asked := 0
		srv := withTasks(onePin)
		tasks := srv.Tasks
		srv.Tasks = func(ctx context.Context, s *xmpp.Session, account jid.JID, done []string) ([]auth.Task, error) {
			asked++
			return tasks(ctx, s, account, done)
		}
		r := receiver{auth: srv}
		var token string
		o := r.visit(t, func(c *rawClient) {
			c.open("")
			c.say(authenticate2(auth.Plain, plain("juliet", password), agent, requestToken(auth.HTSHA256None)))
			c.until("</continue>")
			c.say(next("PIN", pin("1234")))
			token = tokenIn(t, c.success())
			c.bind()
		})
		require.NoError(t, o.Err)
		require.Equal(t, 2, asked)
		assert.True(t, succeeded(r.useToken(t, token)))
		assert.Equal(t, 2, asked)
	})
	inBubble(t, "FA-20 a token that is not trusted", func(t *testing.T) {
		r, fast := fastReceiver()
		token := r.getToken(t, auth.HTSHA256None)
		var asked []string
		trusted := false
		fast.Trust = func(_ context.Context, account jid.JID, client string) bool {
			asked = append(asked, account.String()+" "+client)
			return trusted
		}
		assert.Equal(t, refused2, r.useToken(t, "wrong"))
		assert.Empty(t, asked, "nobody learns of it who has no token")
		var asks []string
		r.auth.Inline = []auth.Inline{ride{asked: &asks}}
		o := r.visit(t, func(c *rawClient) {
			c.open(juliet.String())
			text, _ := ht("juliet", token, nil)
			c.say(authenticate2(auth.HTSHA256None, text, agent, askRide, useToken))
			assert.Equal(t, failed2("credentials-expired"), c.until("</failure>"))
			assert.Empty(t, asks)
			s := newScram(auth.ScramSHA256, "juliet", password)
			c.scram(way2.with(agent, askRide), s)
			c.success()
		})
		require.NoError(t, o.Err)
		assert.Equal(t, []string{"juliet@im.example.com " + agentID}, asked)
		assert.Equal(t, []error{auth.Failure{Condition: auth.CredentialsExpired}, nil}, o.results())
		trusted = true
		assert.True(t, succeeded(r.useToken(t, token)), "trust may return")
	})
	inBubble(t, "an account that is revoked", func(t *testing.T) {
		r, fast := fastReceiver()
		token := r.getToken(t, auth.HTSHA256None)
		fast.Store.(*auth.MemoryTokens).Revoke(juliet)
		assert.Equal(t, refused2, r.useToken(t, token))
	})
	inBubble(t, "tokens without a store", func(t *testing.T) {
		srv := newServer()
		srv.FAST = &auth.FAST{}
		r := receiver{auth: srv}
		assert.NotContains(t, r.features(t, ""), "fast")
		assert.Equal(t, failed2("invalid-mechanism"), r.useToken(t, "secret"))
		assert.True(t, succeeded(r.logIn(t, authenticate2(auth.Plain, plain("juliet", password), agent, requestToken(auth.HTSHA256None)))))
	})
}
