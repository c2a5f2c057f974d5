// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth

import (
	"context"
	"sync"
	"time"

	"mellium.im/xmpp/jid"
)

// DefaultMaxClients is how many clients of an account [MemoryTokens] know.
// It is more than somebody has in use, and leaves room for those that are
// installed anew, or forget their id, before their last token has expired.
const DefaultMaxClients = 32

// MemoryTokens are a [TokenStore] in memory: clients need their passwords again
// once the process has ended. The zero value is empty and ready to use.
//
// Tokens of clients whose tokens have all expired are dropped by and by, while
// others are stored; until then they are given to change like any other.
// So what is kept is at most about twice as much as is of use.
//
// Accounts are bare: the resource of an address is left out of account.
// All methods may be called by several goroutines at once.
// MemoryTokens must not be copied after first use.
type MemoryTokens struct {
	// MaxClients is how many clients of one account may have tokens.
	// With one more, the client whose newest token expires first loses its tokens.
	// If it is less than one it is [DefaultMaxClients].
	// It must not change while the store is in use.
	MaxClients int

	mu       sync.Mutex
	accounts map[string]map[string]sealed[Tokens] // by account and client
	untilDue int                                  // how many more are stored before the next sweep
}

// Update changes the tokens of a client, as [TokenStore] describes it.
// It calls change once, and must not be called by change.
// The error is the context's.
func (m *MemoryTokens) Update(ctx context.Context, account jid.JID, client string, change func(*Tokens) bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	name := account.Bare().String()
	m.mu.Lock()
	defer m.mu.Unlock()
	var t Tokens
	if have, ok := m.accounts[name][client]; ok {
		t = have()
	}
	switch {
	case !change(&t):
	case t.Current.IsZero() && t.New.IsZero():
		m.remove(name, client)
	default:
		m.put(name, client, t)
	}
	return nil
}

// Revoke removes the tokens of all clients of an account, as is due when its
// password changes or it is removed itself.
// A login that has passed before may still be about to get a token.
func (m *MemoryTokens) Revoke(account jid.JID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.accounts, account.Bare().String())
}

// RevokeClient removes the tokens of one client of an account.
func (m *MemoryTokens) RevokeClient(account jid.JID, client string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remove(account.Bare().String(), client)
}

func (m *MemoryTokens) remove(name, client string) {
	delete(m.accounts[name], client)
	if len(m.accounts[name]) == 0 {
		delete(m.accounts, name)
	}
}

func (m *MemoryTokens) put(name, client string, t Tokens) {
	if m.untilDue--; m.untilDue < 0 {
		m.sweep(time.Now())
	}
	clients := m.accounts[name]
	if clients == nil {
		clients = make(map[string]sealed[Tokens])
		if m.accounts == nil {
			m.accounts = make(map[string]map[string]sealed[Tokens])
		}
		m.accounts[name] = clients
	}
	limit := m.MaxClients
	if limit < 1 {
		limit = DefaultMaxClients
	}
	if clients[client] == nil {
		for len(clients) >= limit {
			delete(clients, firstToExpire(clients))
		}
	}
	clients[client] = seal(t)
}

// sweep drops the tokens of the clients that have expired ones only.
// The next sweep comes when as many have been stored as were left by this one, so
// that storing takes constant time on average.
func (m *MemoryTokens) sweep(now time.Time) {
	left := 0
	for name, clients := range m.accounts {
		for client, t := range clients {
			if !now.Before(t().expires()) {
				delete(clients, client)
			}
		}
		if len(clients) == 0 {
			delete(m.accounts, name)
		}
		left += len(clients)
	}
	m.untilDue = left
}

// firstToExpire returns the client that has nothing left first.
func firstToExpire(clients map[string]sealed[Tokens]) string {
	var (
		first string
		at    time.Time
		found bool
	)
	for client, t := range clients {
		expires := t().expires()
		// Among equals the order of the map must not decide.
		if c := expires.Compare(at); !found || c < 0 || c == 0 && client < first {
			first, at, found = client, expires, true
		}
	}
	return first
}

// expires returns when the last of the tokens expires.
func (t Tokens) expires() time.Time {
	switch {
	case t.New.IsZero():
		return t.Current.Expires
	case t.Current.IsZero() || t.New.Expires.After(t.Current.Expires):
		return t.New.Expires
	}
	return t.Current.Expires
}

// MemoryCache is a [TokenCache] in memory: a client's next process starts with a
// password again. The zero value is empty and ready to use.
//
// Accounts are bare: the resource of an address is left out of account.
// All methods may be called by several goroutines at once.
// A MemoryCache must not be copied after first use.
type MemoryCache struct {
	mu     sync.Mutex
	tokens map[string]sealed[Token] // by account
}

// Token returns the token of an account, expired or not, or the zero value.
// The error is the context's.
func (m *MemoryCache) Token(ctx context.Context, account jid.JID) (Token, error) {
	if err := ctx.Err(); err != nil {
		return Token{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if t, ok := m.tokens[account.Bare().String()]; ok {
		return t(), nil
	}
	return Token{}, nil
}

// SetToken replaces the token of an account, or removes it if t is no token.
// The error is the context's.
func (m *MemoryCache) SetToken(ctx context.Context, account jid.JID, t Token) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	name := account.Bare().String()
	if t.IsZero() {
		delete(m.tokens, name)
		return nil
	}
	if m.tokens == nil {
		m.tokens = make(map[string]sealed[Token])
	}
	m.tokens[name] = seal(t)
	return nil
}

// A sealed value is out of sight for fmt, which looks into all others, and where
// it may not call their methods.
type sealed[T any] func() T

func seal[T any](v T) sealed[T] { return func() T { return v } }
