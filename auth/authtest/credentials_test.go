// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package authtest_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/auth/authtest"
)

func TestCredentialRules(t *testing.T) {
	check := func(r authtest.Runner, newStore func() *people) {
		authtest.CheckCredentials(r, func(testing.TB) (auth.Credentials, func(jid.JID, string) error) {
			p := newStore()
			return p, p.set
		})
	}
	expectFaults(t, check, []fault[*people]{
		{name: "keys", store: func() *people { return &people{} }},
		{name: "SHA-256 only", store: func() *people { return &people{without: "SCRAM-SHA-1"} }},
		{name: "SHA-1 and bare JIDs only", store: func() *people { return &people{without: "SCRAM-SHA-256", key: bareOnly} }},
	}, []fault[*people]{
		{
			name:   "nil error",
			breaks: []string{"an unknown account", "no keys for a mechanism"},
			store:  func() *people { return &people{unknown: func() error { return nil }} },
		},
		{
			name:   "another error",
			breaks: []string{"an unknown account", "no keys for a mechanism"},
			store: func() *people {
				return &people{unknown: func() error { return errors.New("sql: no rows in result set") }}
			},
		},
		{
			name:   "keys for any mechanism",
			breaks: []string{"no keys for a mechanism"},
			store: func() *people {
				return &people{mechanism: func(name string) string { return strings.Replace(name, "X-OTHER", "SCRAM-SHA-256", 1) }}
			},
		},
		{
			name:   "keys of the other mechanism",
			breaks: []string{"keys of the password"},
			store:  func() *people { return &people{mechanism: func(string) string { return "SCRAM-SHA-256" }} },
		},
		{
			name:   "server key in place of the stored key",
			breaks: []string{"keys of the password"},
			store: func() *people {
				return &people{file: func(k *auth.Keys) { k.StoredKey = k.ServerKey }}
			},
		},
		{
			name:   "stored key in place of the server key",
			breaks: []string{"keys of the password"},
			store: func() *people {
				return &people{file: func(k *auth.Keys) { k.ServerKey = k.StoredKey }}
			},
		},
		{
			name:   "no salt",
			breaks: []string{"keys of the password"},
			store: func() *people {
				return &people{file: func(k *auth.Keys) { k.Salt = nil }}
			},
		},
		{
			name:   "forgetful",
			breaks: []string{"keys of the password"},
			store:  func() *people { return &people{without: "SCRAM"} },
		},
		{
			name:   "cheap",
			breaks: []string{"iterations that clients accept"},
			store: func() *people {
				return &people{derive: func(password, mechanism string) auth.Keys {
					return derive(password, mechanism, rand.Text(), 4095)
				}}
			},
		},
		{
			name:   "no SASLprep",
			breaks: []string{"a password that SASLprep changes"},
			store: func() *people {
				return &people{derive: func(password, mechanism string) auth.Keys {
					return derive(password, mechanism, rand.Text(), 4096)
				}}
			},
		},
		{
			name:   "one salt",
			breaks: []string{"a salt for every account"},
			store: func() *people {
				return &people{derive: func(password, mechanism string) auth.Keys {
					return derive(password, mechanism, "salt", 4096)
				}}
			},
		},
		{
			name:   "a new salt each time",
			breaks: []string{"the same keys each time"},
			store:  func() *people { return &people{fresh: true} },
		},
		{
			name:   "the first password stays",
			breaks: []string{"a new password"},
			store:  func() *people { return &people{first: []string{"SCRAM-SHA-256", "SCRAM-SHA-1"}} },
		},
		{
			name:   "the first password stays for one mechanism",
			breaks: []string{"a new password"},
			store:  func() *people { return &people{first: []string{"SCRAM-SHA-1"}} },
		},
		{
			name:   "one domain",
			breaks: []string{"accounts do not mix"},
			store:  func() *people { return &people{key: localpart} },
		},
		{
			name:   "collation",
			breaks: []string{"accounts do not mix"},
			store:  func() *people { return &people{key: collated} },
		},
		{
			name:   "narrow column",
			breaks: []string{"accounts do not mix"},
			store:  func() *people { return &people{key: narrow} },
		},
		{
			name:   "full JIDs",
			breaks: []string{"bare accounts"},
			store:  func() *people { return &people{key: full} },
		},
		{
			name:   "shared slices",
			breaks: []string{"keys belong to the caller"},
			store:  func() *people { return &people{shared: true} },
		},
		{
			name:   "key by key",
			breaks: []string{"several sessions at once"},
			store:  func() *people { return &people{torn: true} },
		},
		{
			name:   "deaf",
			breaks: []string{"a context that has ended"},
			store:  func() *people { return &people{ended: func(error) error { return nil }} },
		},
		{
			name:   "a failure is an unknown account",
			breaks: []string{"a context that has ended"},
			store: func() *people {
				return &people{ended: func(err error) error { return fmt.Errorf("%w: %w", auth.ErrUnknownAccount, err) }}
			},
		},
	})
}

// people are accounts in memory, with faults if asked for.
type people struct {
	key       func(jid.JID) (string, error)              // what an account is filed under
	mechanism func(string) string                        // what a mechanism is filed under
	unknown   func() error                               // instead of ErrUnknownAccount
	ended     func(error) error                          // for the error of the context
	derive    func(password, mechanism string) auth.Keys // instead of auth.NewKeys
	file      func(*auth.Keys)                           // what becomes of keys
	without   string                                     // the prefix of mechanisms without keys
	first     []string                                   // the mechanisms whose keys are never replaced
	fresh     bool                                       // new keys each time
	shared    bool                                       // the caller gets the store's own slices
	torn      bool                                       // the keys are replaced one after the other

	mu        sync.Mutex
	keys      map[string]auth.Keys
	passwords map[string]string
	asked     atomic.Int32
}

func (p *people) id(account jid.JID, mechanism string) (string, error) {
	key := p.key
	if key == nil {
		key = bare
	}
	name, err := key(account)
	return name + " " + mechanism, err
}

func (p *people) make(password, mechanism string) (auth.Keys, error) {
	if p.derive != nil {
		return p.derive(password, mechanism), nil
	}
	k, err := auth.NewKeys(password, mechanism, 4096)
	if p.file != nil {
		p.file(&k)
	}
	return k, err
}

func (p *people) set(account jid.JID, password string) error {
	made := make(map[string]auth.Keys)
	for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-1"} {
		id, err := p.id(account, mechanism)
		if err != nil {
			return err
		}
		if p.without != "" && strings.HasPrefix(mechanism, p.without) {
			continue
		}
		if made[id], err = p.make(password, mechanism); err != nil {
			return err
		}
		p.mu.Lock()
		for _, kept := range p.first {
			if old, ok := p.keys[id]; ok && kept == mechanism {
				made[id] = old
			}
		}
		p.mu.Unlock()
	}
	for id, k := range made {
		p.put(id, k, password)
	}
	return nil
}

func (p *people) put(id string, k auth.Keys, password string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys == nil {
		p.keys, p.passwords = make(map[string]auth.Keys), make(map[string]string)
	}
	if old, ok := p.keys[id]; ok && p.torn {
		old.ServerKey = k.ServerKey
		p.keys[id] = old
		for asked, patience := p.asked.Load(), time.Now().Add(time.Second); p.asked.Load() < asked+16 && time.Now().Before(patience); {
			p.mu.Unlock()
			runtime.Gosched()
			p.mu.Lock()
		}
	}
	p.keys[id], p.passwords[id] = k, password
}

func (p *people) Keys(ctx context.Context, account jid.JID, mechanism string) (auth.Keys, error) {
	p.asked.Add(1)
	if err := ctx.Err(); err != nil {
		if p.ended != nil {
			err = p.ended(err)
		}
		if err != nil {
			return auth.Keys{}, err
		}
	}
	if p.mechanism != nil {
		mechanism = p.mechanism(mechanism)
	}
	id, err := p.id(account, mechanism)
	if err != nil {
		return auth.Keys{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	k, ok := p.keys[id]
	switch {
	case !ok && p.unknown != nil:
		return auth.Keys{}, p.unknown()
	case !ok:
		return auth.Keys{}, fmt.Errorf("people: %w", auth.ErrUnknownAccount)
	case p.fresh:
		return p.make(p.passwords[id], mechanism)
	case p.shared:
		return k, nil
	}
	k.Salt, k.StoredKey, k.ServerKey = bytes.Clone(k.Salt), bytes.Clone(k.StoredKey), bytes.Clone(k.ServerKey)
	return k, nil
}

// derive makes keys without SASLprep.
func derive(password, mechanism, salt string, iterations int) auth.Keys {
	h := sha256.New
	if mechanism == "SCRAM-SHA-1" {
		h = sha1.New
	}
	mac := func(key []byte, text string) []byte {
		m := hmac.New(h, key)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	salted, err := pbkdf2.Key(h, password, []byte(salt), iterations, h().Size())
	if err != nil {
		panic(err)
	}
	stored := h()
	stored.Write(mac(salted, "Client Key"))
	return auth.Keys{Salt: []byte(salt), Iterations: iterations, StoredKey: stored.Sum(nil), ServerKey: mac(salted, "Server Key")}
}

// These are ways to file an account; only the first two are good.
func bare(account jid.JID) (string, error) { return account.Bare().String(), nil }

func bareOnly(account jid.JID) (string, error) {
	if account.Resourcepart() != "" {
		return "", errors.New("a full JID")
	}
	return account.String(), nil
}

func full(account jid.JID) (string, error)      { return account.String(), nil }
func localpart(account jid.JID) (string, error) { return account.Localpart(), nil }

func collated(account jid.JID) (string, error) { return collate(account.Bare().String()), nil }

func narrow(account jid.JID) (string, error) {
	name := account.Bare().String()
	return name[:min(len(name), 255)], nil
}

// collate makes texts equal that differ in case, accents and spaces at the end.
func collate(text string) string {
	return strings.TrimRight(strings.NewReplacer("ä", "a", "ü", "u", "ß", "ss").Replace(strings.ToLower(text)), " ")
}
