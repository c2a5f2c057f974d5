// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package authtest_test

import (
	"cmp"
	"context"
	"encoding/json"
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

func TestTokenRules(t *testing.T) {
	check := func(r authtest.Runner, newStore func() auth.TokenStore) {
		authtest.CheckTokens(r, func(testing.TB) auth.TokenStore { return newStore() })
	}
	// keeping returns a store that keeps something else than what it should.
	keeping := func(f func(old, t auth.Tokens) auth.Tokens) func() auth.TokenStore {
		return func() auth.TokenStore { return &tokens{keep: f} }
	}
	// each is keeping for both tokens.
	each := func(f func(t *auth.Token)) func() auth.TokenStore {
		return keeping(func(_, t auth.Tokens) auth.Tokens {
			f(&t.Current)
			f(&t.New)
			return t
		})
	}
	expectFaults(t, check, []fault[auth.TokenStore]{
		{name: "in memory", store: func() auth.TokenStore { return new(auth.MemoryTokens) }},
		{name: "one after the other", store: func() auth.TokenStore { return new(tokens) }},
		{name: "optimistic", store: func() auth.TokenStore { return &tokens{order: optimistic} }},
		{name: "refuses full JIDs", store: func() auth.TokenStore { return &tokens{key: bareOnly} }},
		{name: "takes UUIDs only", store: func() auth.TokenStore {
			return &tokens{client: func(id string) (string, error) {
				if len(id) != 36 {
					return "", errors.New("invalid input syntax for type uuid")
				}
				return id, nil
			}}
		}},
		{name: "whole seconds", store: each(func(t *auth.Token) {
			t.Issued, t.Expires = time.Unix(t.Issued.Unix(), 0), time.Unix(t.Expires.Unix(), 0)
		})},
		{name: "JSON", store: keeping(func(_, t auth.Tokens) auth.Tokens {
			var kept auth.Tokens
			b, err := json.Marshal(t)
			if err == nil {
				err = json.Unmarshal(b, &kept)
			}
			if err != nil {
				panic(err)
			}
			return kept
		})},
	}, []fault[auth.TokenStore]{
		{
			name:   "no change of what is not there",
			breaks: []string{"nothing stored"},
			store:  func() auth.TokenStore { return &tokens{known: true} },
		},
		{name: "one secret", breaks: []string{"FA-23 all of a token"}, store: keeping(func(_, t auth.Tokens) auth.Tokens {
			t.Current.Secret = t.New.Secret
			return t
		})},
		{name: "no mechanism", breaks: []string{"FA-23 all of a token"}, store: each(func(t *auth.Token) { t.Mechanism = "" })},
		{name: "one mechanism", breaks: []string{"FA-23 all of a token"}, store: keeping(func(_, t auth.Tokens) auth.Tokens {
			t.New.Mechanism = t.Current.Mechanism
			return t
		})},
		{name: "no expiry", breaks: []string{"FA-23 all of a token"}, store: each(func(t *auth.Token) { t.Expires = time.Time{} })},
		{name: "one expiry", breaks: []string{"FA-23 all of a token"}, store: keeping(func(_, t auth.Tokens) auth.Tokens {
			t.Current.Expires = t.New.Expires
			return t
		})},
		{name: "no time of issue", breaks: []string{"FA-23 all of a token"}, store: each(func(t *auth.Token) { t.Issued = time.Time{} })},
		{name: "the hands of the clock", breaks: []string{"times in any zone"}, store: each(func(t *auth.Token) {
			t.Issued, t.Expires = hands(t.Issued), hands(t.Expires)
		})},
		{name: "trimmed secrets", breaks: []string{"secrets are opaque"}, store: each(func(t *auth.Token) {
			t.Secret = auth.Secret(strings.TrimSpace(string(t.Secret)))
		})},
		{name: "narrow secrets", breaks: []string{"secrets are opaque"}, store: each(func(t *auth.Token) {
			t.Secret = t.Secret[:min(len(t.Secret), 255)]
		})},
		{name: "no count", breaks: []string{"FA-09 the highest count", "FA-23 all of a token"}, store: each(func(t *auth.Token) { t.Count = 0 })},
		{name: "a count of 32 bits", breaks: []string{"FA-09 the highest count"}, store: each(func(t *auth.Token) { t.Count = uint64(uint32(t.Count)) })},
		{name: "a count with a fraction", breaks: []string{"FA-09 the highest count"}, store: each(func(t *auth.Token) { t.Count = uint64(float64(t.Count)) })},
		{name: "one slot", breaks: []string{"FA-12 the current token stays"}, store: keeping(func(_, t auth.Tokens) auth.Tokens {
			if !t.New.IsZero() {
				t.Current = auth.Token{}
			}
			return t
		})},
		{name: "not without a current token", breaks: []string{"FA-12 a new token only"}, store: keeping(func(_, t auth.Tokens) auth.Tokens {
			if t.Current.IsZero() {
				return auth.Tokens{}
			}
			return t
		})},
		{name: "nothing is replaced by nothing", breaks: []string{"FA-13 a new token becomes current", "FA-16 invalidated tokens"}, store: keeping(func(old, t auth.Tokens) auth.Tokens {
			return auth.Tokens{Current: cmp.Or(t.Current, old.Current), New: cmp.Or(t.New, old.New)}
		})},
		{name: "the new token stays", breaks: []string{"FA-14 a newer token replaces a new one"}, store: keeping(func(old, t auth.Tokens) auth.Tokens {
			if !t.New.IsZero() {
				t.New = cmp.Or(old.New, t.New)
			}
			return t
		})},
		{name: "the last token stays", breaks: []string{"FA-16 invalidated tokens"}, store: keeping(func(old, t auth.Tokens) auth.Tokens {
			if t.Current.IsZero() && t.New.IsZero() {
				return old
			}
			return t
		})},
		{
			name:   "stores although change returned false",
			breaks: []string{"nothing changed"},
			store:  func() auth.TokenStore { return &tokens{always: true} },
		},
		{
			name:   "aliases",
			breaks: []string{"nothing changed", "only while change runs"},
			store:  func() auth.TokenStore { return new(aliases) },
		},
		{
			name:   "one client",
			breaks: []string{"clients do not mix", "clients at once", "ids that are no UUIDs"},
			store:  func() auth.TokenStore { return &tokens{client: func(string) (string, error) { return "", nil }} },
		},
		{
			name:   "UUIDs of 64 bits",
			breaks: []string{"clients do not mix"},
			store: func() auth.TokenStore {
				return &tokens{client: func(id string) (string, error) { return id[:min(len(id), 18)], nil }}
			},
		},
		{
			name:   "collation of clients",
			breaks: []string{"ids that are no UUIDs"},
			store: func() auth.TokenStore {
				return &tokens{client: func(id string) (string, error) { return collate(id), nil }}
			},
		},
		{
			name:   "narrow clients",
			breaks: []string{"ids that are no UUIDs"},
			store: func() auth.TokenStore {
				return &tokens{client: func(id string) (string, error) { return id[:min(len(id), 1000)], nil }}
			},
		},
		{
			name:   "clients without an account",
			breaks: []string{"accounts do not mix"},
			store:  func() auth.TokenStore { return &tokens{key: func(jid.JID) (string, error) { return "", nil }} },
		},
		{
			name:   "one domain",
			breaks: []string{"accounts do not mix"},
			store:  func() auth.TokenStore { return &tokens{key: localpart} },
		},
		{
			name:   "collation of accounts",
			breaks: []string{"accounts do not mix"},
			store:  func() auth.TokenStore { return &tokens{key: collated} },
		},
		{
			name:   "narrow accounts",
			breaks: []string{"accounts do not mix"},
			store:  func() auth.TokenStore { return &tokens{key: narrow} },
		},
		{
			name:   "one text for account and client",
			breaks: []string{"ids that are no UUIDs"},
			store:  func() auth.TokenStore { return &tokens{glue: true} },
		},
		{
			name:   "full JIDs",
			breaks: []string{"bare accounts"},
			store:  func() auth.TokenStore { return &tokens{key: full} },
		},
		{
			name:   "lost updates",
			breaks: []string{"FA-09 one of many attempts", "no update is lost"},
			store:  func() auth.TokenStore { return &tokens{order: none} },
		},
		{
			name:   "refuses who is not alone",
			breaks: []string{"FA-09 one of many attempts", "no update is lost"},
			store:  func() auth.TokenStore { return &tokens{order: refusing} },
		},
		{
			name:   "tries again with what it changed",
			breaks: []string{"no update is lost"},
			store:  func() auth.TokenStore { return &tokens{order: hasty} },
		},
		{
			name:   "lost clients",
			breaks: []string{"clients at once"},
			store:  func() auth.TokenStore { return &tokens{order: wholesale} },
		},
		{
			name:   "deaf",
			breaks: []string{"a context that has ended"},
			store:  func() auth.TokenStore { return &tokens{deaf: true} },
		},
		{
			name:   "the error comes late",
			breaks: []string{"an error changes nothing"},
			store:  func() auth.TokenStore { return &tokens{late: true} },
		},
		{
			name:   "no error",
			breaks: []string{"an error changes nothing"},
			store:  func() auth.TokenStore { return &tokens{silent: true} },
		},
	})
}

func TestSharedTokenRules(t *testing.T) {
	type stores [2]auth.TokenStore
	check := func(r authtest.Runner, newStores func() stores) {
		authtest.CheckSharedTokens(r, func(testing.TB) (auth.TokenStore, auth.TokenStore) {
			s := newStores()
			return s[0], s[1]
		})
	}
	expectFaults(t, check, []fault[stores]{
		{name: "one store", store: func() stores {
			s := new(auth.MemoryTokens)
			return stores{s, s}
		}},
		{name: "optimistic", store: func() stores {
			db := new(table)
			return stores{&tokens{db: db, order: optimistic}, &tokens{db: db, order: optimistic}}
		}},
	}, []fault[stores]{
		{
			name:   "two databases",
			breaks: []string{"each sees what the other stored"},
			store:  func() stores { return stores{new(tokens), new(tokens)} },
		},
		{
			name:   "a cache in each",
			breaks: []string{"each sees what the other stored"},
			store: func() stores {
				db := new(table)
				return stores{&tokens{db: db, cache: new(table)}, &tokens{db: db, cache: new(table)}}
			},
		},
		{
			name:   "a lock in each",
			breaks: []string{"FA-09 one of many attempts at both", "no update is lost at either"},
			store: func() stores {
				db := new(table)
				return stores{&tokens{db: db}, &tokens{db: db}}
			},
		},
	})
}

// tokens are a store with a table, and with faults if asked for.
type tokens struct {
	db     *table                               // if nil, one of its own
	cache  *table                               // read before the table
	order  order                                // how updates are kept apart
	key    func(jid.JID) (string, error)        // what an account is filed under
	client func(string) (string, error)         // what a client is filed under
	keep   func(old, t auth.Tokens) auth.Tokens // what becomes of tokens
	glue   bool                                 // account and client are filed as one text
	known  bool                                 // change is called only if there is something
	always bool                                 // stored whatever change says
	deaf   bool                                 // the context does not matter
	late   bool                                 // the context is asked when all is done
	silent bool                                 // the context is asked before storing, without an error

	once   sync.Once
	serial sync.Mutex
}

// order is how updates are kept apart.
type order int

const (
	serial     order = iota // by a lock
	optimistic              // by trying again
	hasty                   // by trying again, with what the last try left
	refusing                // by an error
	none                    // not at all
	wholesale               // by a lock for each client, but all are stored together
)

func (s *tokens) Update(ctx context.Context, account jid.JID, client string, change func(*auth.Tokens) bool) error {
	s.once.Do(func() { s.db = cmp.Or(s.db, new(table)) })
	if err := ctx.Err(); err != nil && !s.deaf {
		return err
	}
	file := bare
	if s.key != nil {
		file = s.key
	}
	name, err := file(account)
	if err != nil {
		return err
	}
	if s.client != nil {
		if client, err = s.client(client); err != nil {
			return err
		}
	}
	at := [2]string{name, client}
	if s.glue {
		at = [2]string{name + "-" + client}
	}
	switch s.order {
	case serial:
		s.serial.Lock()
		defer s.serial.Unlock()
	case refusing:
		if !s.serial.TryLock() {
			return errors.New("database is locked")
		}
		defer s.serial.Unlock()
	}

	for t, again := (auth.Tokens{}), false; ; again = true {
		was := s.db.all()
		old := was[at]
		if s.cache != nil {
			if cached, ok := s.cache.all()[at]; ok {
				old = cached
			}
		}
		if !again || s.order != hasty {
			t = old
		}
		if s.known && old == (auth.Tokens{}) {
			return nil
		}
		next := t
		if !change(&next) && !s.always {
			return nil
		}
		t = next
		if s.silent && ctx.Err() != nil {
			return nil
		}
		if s.keep != nil {
			next = s.keep(old, next)
		}
		switch s.order {
		case optimistic, hasty:
			if !s.db.swap(at, old, next) {
				continue
			}
		case wholesale:
			was[at] = next
			s.db.replace(was)
		default:
			s.db.put(at, next)
		}
		if s.cache != nil {
			s.cache.put(at, next)
		}
		if s.late {
			return ctx.Err()
		}
		return nil
	}
}

// A table has tokens by account and client.
type table struct {
	mu   sync.Mutex
	rows map[[2]string]auth.Tokens
}

// all returns a copy.
func (db *table) all() map[[2]string]auth.Tokens {
	db.mu.Lock()
	defer db.mu.Unlock()
	rows := make(map[[2]string]auth.Tokens)
	maps.Copy(rows, db.rows)
	return rows
}

func (db *table) replace(rows map[[2]string]auth.Tokens) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.rows = rows
}

func (db *table) put(at [2]string, t auth.Tokens) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.write(at, t)
}

// swap stores tokens if nobody else has done so.
func (db *table) swap(at [2]string, old, t auth.Tokens) bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.rows[at] != old {
		return false
	}
	db.write(at, t)
	return true
}

func (db *table) write(at [2]string, t auth.Tokens) {
	if db.rows == nil {
		db.rows = make(map[[2]string]auth.Tokens)
	}
	db.rows[at] = t
}

// aliases hand out what is stored.
type aliases struct {
	mu   sync.Mutex
	rows map[[2]string]*auth.Tokens
}

func (s *aliases) Update(ctx context.Context, account jid.JID, client string, change func(*auth.Tokens) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := [2]string{account.Bare().String(), client}
	if s.rows[at] == nil {
		if s.rows == nil {
			s.rows = make(map[[2]string]*auth.Tokens)
		}
		s.rows[at] = new(auth.Tokens)
	}
	change(s.rows[at])
	return ctx.Err()
}

// hands is what is left of a time without its zone.
func hands(at time.Time) time.Time {
	return time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), 0, time.UTC)
}
