// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/pipelining"
)

// A searcher collects all that may be shown to somebody, and looks for secrets
// in it.
type searcher struct {
	mu      sync.Mutex
	shown   bytes.Buffer
	secrets map[string][]byte
}

// Write takes what is logged.
func (s *searcher) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown.Write(p)
}

// logger returns a logger for everything, whose handler is one of slog's.
func (s *searcher) logger(json bool) *slog.Logger {
	opts := &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}
	if json {
		return slog.New(slog.NewJSONHandler(s, opts))
	}
	return slog.New(slog.NewTextHandler(s, opts))
}

// show takes values as fmt shows them.
func (s *searcher) show(values ...any) {
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%s", "%x", "%X", "%d"} {
			fmt.Fprintf(s, verb+"\n", v)
		}
	}
}

func (s *searcher) secret(name string, b []byte) {
	if len(b) == 0 {
		return
	}
	if s.secrets == nil {
		s.secrets = make(map[string][]byte)
	}
	s.secrets[name] = b
}

// disguises are how a secret may be written.
func disguises(b []byte) map[string]string {
	some := b[:min(len(b), 8)]
	return map[string]string{
		"as it is": string(b), "quoted": strings.Trim(fmt.Sprintf("%q", b), `"`),
		"in hex": hex.EncodeToString(b), "in HEX": strings.ToUpper(hex.EncodeToString(b)),
		"in base64": base64.RawStdEncoding.EncodeToString(b), "in base64 for URLs": base64.RawURLEncoding.EncodeToString(b),
		"as numbers": strings.Trim(fmt.Sprint(some), "[]"), "in Go": strings.Trim(fmt.Sprintf("%#v", some), "[]byte{}"),
	}
}

func (s *searcher) search(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NotEmpty(t, s.secrets)
	shown := s.shown.String()
	for name, secret := range s.secrets {
		for how, text := range disguises(secret) {
			if i := strings.Index(shown, text); i >= 0 {
				t.Errorf("AQ-12 %s is shown, %s: …%s…", name, how, shown[max(0, i-100):min(len(shown), i+len(text)+100)])
			}
		}
	}
}

// keysSecrets are what follows from juliet's password.
func (s *searcher) keysSecrets(t *testing.T, a *auth.Accounts, password string) {
	t.Helper()
	s.secret("the password", []byte(password))
	s.secret("PLAIN", []byte("\x00juliet\x00"+password))
	for mechanism, h := range map[string]func() hash.Hash{auth.ScramSHA256: sha256.New, auth.ScramSHA1: sha1.New} {
		k, err := a.Keys(t.Context(), juliet, mechanism)
		require.NoError(t, err)
		d := keysOf(t, h, password, k.Salt, k.Iterations)
		require.Equal(t, k.StoredKey, d.StoredKey)
		s.secret("StoredKey of "+mechanism, k.StoredKey)
		s.secret("ServerKey of "+mechanism, k.ServerKey)
		s.secret("SaltedPassword of "+mechanism, d.salted)
		s.secret("ClientKey of "+mechanism, mac(h, d.salted, "Client Key"))
		s.show(k, &k, []auth.Keys{k}, map[string]auth.Keys{"k": k}, struct{ K auth.Keys }{k})
		slog.New(slog.NewJSONHandler(s, nil)).Info("keys", "k", k, "p", &k)
		slog.New(slog.NewTextHandler(s, nil)).Info("keys", "k", k, "p", &k)
	}
}

// tokenSecrets are what a store and a cache have.
func (s *searcher) tokenSecrets(t *testing.T, name string, store auth.TokenStore, cache auth.TokenCache) {
	t.Helper()
	k := tokensOf(t, store)
	mine, err := cache.Token(t.Context(), juliet)
	require.NoError(t, err)
	for which, token := range map[string]auth.Token{"current": k.Current, "new": k.New, "cached": mine} {
		s.secret(name+": "+which+" token", []byte(token.Secret))
		if !token.IsZero() {
			s.secret(name+": proof with "+which+" token", mac(sha256.New, []byte(token.Secret), "Initiator"))
		}
		s.show(token, &token, []auth.Token{token}, token.Secret)
		for _, json := range []bool{false, true} {
			s.logger(json).Info("token", "t", token, "p", &token, "s", token.Secret)
		}
	}
	s.show(k, &k, store, cache)
	for _, json := range []bool{false, true} {
		s.logger(json).Info("tokens", "t", k, "p", &k, "store", store, "cache", cache)
	}
}

// TestSecrets logs in and fails to, and looks for secrets in all that is shown.
func TestSecrets(t *testing.T) {
	for _, json := range []bool{false, true} {
		name := "text"
		if json {
			name = "JSON"
		}
		inBubble(t, "FA-17, AQ-12 client and server, logs in "+name, func(t *testing.T) {
			var s searcher
			a := &auth.Accounts{Iterations: iterations}
			require.NoError(t, a.SetPassword(juliet, password))
			s.keysSecrets(t, a, password)
			srv := newServer()
			srv.Credentials, srv.Logger = a, s.logger(json)
			srv.Secret = "not to be seen at all, ever"
			s.secret("Server.Secret", []byte(srv.Secret))
			srv.FAST.Refresh = time.Minute
			var tries []any
			srv.Observe = func(_ context.Context, _ *xmpp.Session, l auth.Login, err error) { tries = append(tries, l, err) }

			plans := []pipelining.Plan{{}, {Mode: pipelining.Full}, {Mode: pipelining.Full, SASL2: true}}
			mechanisms := []string{auth.ScramSHA256Plus, auth.ScramSHA1Plus, auth.ScramSHA256, auth.ScramSHA1, auth.Plain}
			if json {
				mechanisms = mechanisms[4:] // The other handler has seen to the rest.
			}
			for _, mechanism := range mechanisms {
				for _, plan := range plans {
					for _, pass := range []string{password, "not the right one", ""} {
						c := newClient(mechanism)
						c.Logger, c.Password = s.logger(json), auth.Password(pass)
						c.Observe = func(_ *xmpp.Session, l auth.Login) { tries = append(tries, l) }
						s.secret("a wrong password", []byte("not the right one"))
						store, cache := new(auth.MemoryTokens), new(auth.MemoryCache)
						srv.FAST.Store, c.Tokens, c.TokenMechanism = store, cache, auth.HTSHA256EndPoint
						for range 2 { // with the password, and with the token
							m := meet(t, juliet, ahead(plan, c), negotiator(srv))
							assert.Equal(t, pass == password, m.err() == nil, "%s %v %q: %v", mechanism, plan, pass, m.err())
							s.show(m.ClientErr, m.ServerErr)
							s.tokenSecrets(t, mechanism, store, cache)
							time.Sleep(2 * time.Minute)
						}
						// A token that the server does not know any more.
						store.Revoke(juliet)
						m := meet(t, juliet, ahead(plan, c), negotiator(srv))
						s.show(m.ClientErr, m.ServerErr, c, srv, a, srv.FAST, *srv.FAST)
						s.tokenSecrets(t, mechanism, store, cache)
						s.logger(json).Info("parts", "server", srv, "client", c, "accounts", a, "fast", srv.FAST)
					}
				}
			}
			s.show(tries...)
			require.Contains(t, s.shown.String(), "auth: login refused")
			s.search(t)
		})
	}
	inBubble(t, "AQ-12 what clients send by mistake", func(t *testing.T) {
		const secret = "0penSesame-0penSesame"
		var s searcher
		s.secret("the secret", []byte(secret))
		s.secret("the secret, twice", []byte(base64Of(secret)))
		for _, say := range []string{
			auth6120(secret, "="),
			authenticate2(secret, ""),
			auth6120(auth.Plain, secret),
			auth6120(auth.Plain, base64Of(secret)),
			auth6120(auth.Plain, base64Of("\x00juliet\x00"+secret+"\x00"+secret)),
			auth6120(auth.Plain, base64Of("\x00\x00"+secret)),
			auth6120(auth.Plain, base64Of(secret+"\x00juliet\x00"+password)), // as an identity
			auth6120(auth.ScramSHA256, base64Of("n,a="+secret+",n=juliet,r=abc")),
			auth6120(auth.ScramSHA256, base64Of("n,,n=juliet,r="+secret)) + way6120.response(base64Of(secret)),
			auth6120(auth.ScramSHA256, base64Of(secret)),
			auth6120(auth.ScramSHA256, base64Of("p="+secret+",,n=juliet,r=abc")),
			way6120.response(base64Of(secret)),
			authenticate2(auth.HTSHA256None, base64Of("juliet\x00"+secret), agent, useToken),
			authenticate2(auth.Plain, plain("juliet", secret), "<user-agent id='"+secret+"'/>"),
			authenticate2(auth.Plain, plain("juliet", secret), useTokenWith("count='"+secret+"'")),
			authenticate2(auth.Plain, plain("juliet", secret), "<x xmlns='"+secret+"' y='"+secret+"'>"+secret+"</x>"),
			"<iq id='" + secret + "' type='set'><query>" + secret + "</query></iq>",
			secret,
			"<x xmlns='urn:example:x'>" + secret + "</x>",
		} {
			for _, stock := range []bool{false, true} {
				srv := newServer()
				srv.Logger = s.logger(stock)
				o := receiver{auth: srv, stock: stock}.visit(t, func(c *rawClient) {
					c.open("")
					c.say(say)
				})
				require.Error(t, o.Err)
				s.show(o.Err, o.Tries)
				_, _ = fmt.Fprintln(&s, o.Heard)
			}
		}
		s.search(t)
	})
	t.Run("AQ-12 errors of what makes keys", func(t *testing.T) {
		var s searcher
		a := new(auth.Accounts)
		for name, password := range map[string]string{
			"one that SASLprep forbids": "control \u0007 characters", "emoji": "\U0001F600\U0001F600\U0001F600", "no UTF-8": "\xff\xfe\xfd\xfc", "a null": "open\x00sesame",
		} {
			s.secret(name, []byte(password))
			for _, mechanism := range []string{auth.ScramSHA256, "GSSAPI"} {
				for _, iterations := range []int{0, 1, 1 << 30} {
					k, err := auth.NewKeys(password, mechanism, iterations)
					s.show(k, err)
					s.show(a.SetKeys(juliet, mechanism, k), a.SetKeys(domain, mechanism, k))
				}
			}
			s.show(a.SetPassword(juliet, password), a.SetPassword(domain, password), a)
		}
		s.search(t)
	})
	t.Run("AQ-12 the searcher finds what is shown", func(t *testing.T) {
		for how, text := range disguises([]byte(password)) {
			var s searcher
			s.secret("the password", []byte(password))
			_, _ = fmt.Fprintf(&s, "before %s behind", text)
			found := false
			for _, d := range disguises([]byte(password)) {
				found = found || strings.Contains(s.shown.String(), d)
			}
			assert.True(t, found, how)
		}
	})
}
