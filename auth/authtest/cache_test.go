// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package authtest_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/auth/authtest"
)

func TestTokenCacheRules(t *testing.T) {
	check := func(r authtest.Runner, newCache func() auth.TokenCache) {
		authtest.CheckTokenCache(r, func(testing.TB) auth.TokenCache { return newCache() })
	}
	// keeping returns a cache that keeps something else than what it should.
	keeping := func(f func(old auth.Token, t *auth.Token)) func() auth.TokenCache {
		return func() auth.TokenCache { return &cache{keep: f} }
	}
	absent := errors.New("no such file")
	expectFaults(t, check, []fault[auth.TokenCache]{
		{name: "in memory", store: func() auth.TokenCache { return new(auth.MemoryCache) }},
		{name: "faultless", store: func() auth.TokenCache { return new(cache) }},
		{name: "refuses full JIDs", store: func() auth.TokenCache { return &cache{key: bareOnly} }},
		{name: "whole seconds, and no time of issue", store: keeping(func(_ auth.Token, t *auth.Token) {
			t.Issued, t.Expires = time.Now(), time.Unix(t.Expires.Unix(), 0)
		})},
	}, []fault[auth.TokenCache]{
		{
			name:   "an error of what is not there",
			breaks: []string{"nothing stored", "FA-19 a discarded token"},
			store:  func() auth.TokenCache { return &cache{absent: absent} },
		},
		{name: "one mechanism", breaks: []string{"all of a token"}, store: keeping(func(_ auth.Token, t *auth.Token) { t.Mechanism = "HT-SHA-256-EXPR" })},
		{name: "no expiry", breaks: []string{"all of a token"}, store: keeping(func(_ auth.Token, t *auth.Token) { t.Expires = time.Time{} })},
		{name: "no count", breaks: []string{"all of a token"}, store: keeping(func(_ auth.Token, t *auth.Token) { t.Count = 0 })},
		{name: "a count with a fraction", breaks: []string{"all of a token"}, store: keeping(func(_ auth.Token, t *auth.Token) { t.Count = uint64(float64(t.Count)) })},
		{name: "the hands of the clock", breaks: []string{"times in any zone"}, store: keeping(func(_ auth.Token, t *auth.Token) { t.Expires = hands(t.Expires) })},
		{name: "trimmed secrets", breaks: []string{"secrets are opaque"}, store: keeping(func(_ auth.Token, t *auth.Token) {
			t.Secret = auth.Secret(strings.TrimSpace(string(t.Secret)))
		})},
		{name: "the old count", breaks: []string{"FA-08 a new token replaces the old one"}, store: keeping(func(old auth.Token, t *auth.Token) {
			t.Count = max(t.Count, old.Count)
		})},
		{name: "the later expiry", breaks: []string{"FA-08 a new token replaces the old one"}, store: keeping(func(old auth.Token, t *auth.Token) {
			if old.Expires.After(t.Expires) {
				t.Expires = old.Expires
			}
		})},
		{name: "nothing is replaced by nothing", breaks: []string{"FA-19 a discarded token"}, store: keeping(func(old auth.Token, t *auth.Token) {
			if t.IsZero() {
				*t = old
			}
		})},
		{
			name:   "one account",
			breaks: []string{"accounts do not mix"},
			store: func() auth.TokenCache {
				return &cache{key: func(jid.JID) (string, error) { return "", nil }}
			},
		},
		{
			name:   "one domain",
			breaks: []string{"accounts do not mix"},
			store:  func() auth.TokenCache { return &cache{key: localpart} },
		},
		{
			name:   "names of files that are too long",
			breaks: []string{"accounts do not mix"},
			store:  func() auth.TokenCache { return &cache{key: narrow} },
		},
		{
			name:   "full JIDs",
			breaks: []string{"bare accounts"},
			store:  func() auth.TokenCache { return &cache{key: full} },
		},
		{
			name:   "one file, read and written",
			breaks: []string{"several sessions at once"},
			store:  func() auth.TokenCache { return &cache{between: authtest.NewCrossing().Wait} },
		},
		{
			name:   "deaf",
			breaks: []string{"a context that has ended"},
			store:  func() auth.TokenCache { return &cache{deaf: true} },
		},
		{
			name:   "the error comes late",
			breaks: []string{"a context that has ended"},
			store:  func() auth.TokenCache { return &cache{late: true} },
		},
	})
}

// cache is a cache in memory, with faults if asked for.
type cache struct {
	key     func(jid.JID) (string, error)       // what an account is filed under
	keep    func(old auth.Token, t *auth.Token) // what becomes of a token
	absent  error                               // of an account without a token
	between func()                              // called between reading and writing, when others may do the same
	deaf    bool                                // the context does not matter
	late    bool                                // the context is asked when all is done

	mu     sync.Mutex
	tokens map[string]auth.Token
}

func (c *cache) name(ctx context.Context, account jid.JID) (string, error) {
	if err := ctx.Err(); err != nil && !c.deaf && !c.late {
		return "", err
	}
	if c.key == nil {
		return bare(account)
	}
	return c.key(account)
}

func (c *cache) Token(ctx context.Context, account jid.JID) (auth.Token, error) {
	name, err := c.name(ctx, account)
	if err != nil {
		return auth.Token{}, err
	}
	if c.late && ctx.Err() != nil {
		return auth.Token{}, ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.tokens[name]
	if !ok {
		return auth.Token{}, c.absent
	}
	return t, nil
}

func (c *cache) SetToken(ctx context.Context, account jid.JID, t auth.Token) error {
	name, err := c.name(ctx, account)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	tokens := maps.Clone(c.tokens)
	if tokens == nil {
		tokens = make(map[string]auth.Token)
	}
	old := tokens[name]
	if t.IsZero() && old.IsZero() {
		return c.absent
	}
	if c.keep != nil {
		c.keep(old, &t)
	}
	if c.between != nil {
		c.mu.Unlock()
		c.between()
		c.mu.Lock()
	}
	tokens[name] = t
	if t.IsZero() {
		delete(tokens, name)
	}
	c.tokens = tokens
	if c.late {
		return ctx.Err()
	}
	return nil
}
