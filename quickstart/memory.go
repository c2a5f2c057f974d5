// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"bytes"
	"container/list"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"mellium.im/xmpp/jid"
)

const (
	// DefaultMaxValues is how many values a [MemoryCache] or a [FileCache] keeps.
	// An account has fewer than ten, but for what Capabilities keeps, so that is more
	// accounts than a person has.
	DefaultMaxValues = 1000

	// DefaultMaxBytes is how many bytes of keys and values a [MemoryCache] or a
	// [FileCache] keeps. The largest values are rosters, of a hundred bytes for each
	// contact and half of this at most, and what entities can do and TLS sessions: a few
	// kilobytes each.
	DefaultMaxBytes = 1 << 20
)

// ErrTooLarge means that a value is longer than a [Cache] takes.
// What was there before is unchanged.
var ErrTooLarge = errors.New("quickstart: the value is too large for the cache")

// MemoryCache is a [Cache] in memory, for programs that run for long: what it
// keeps is gone with the process. The zero value is empty and ready to use.
//
// With one value too many, those that were used longest ago are dropped.
//
// Accounts are bare: the resource of an address is left out of account.
// All methods may be called by several goroutines at once. Their errors are that of
// the context, and [ErrTooLarge].
// MemoryCache must not be copied after first use.
type MemoryCache struct {
	// MaxValues is how many values are kept.
	// If it is less than one it is [DefaultMaxValues].
	// It must not change while the cache is in use.
	MaxValues int

	// MaxBytes is how many bytes all keys and values together may have.
	// If it is less than one it is [DefaultMaxBytes].
	// It must not change while the cache is in use.
	MaxBytes int

	mu     sync.Mutex
	values map[cacheID]*list.Element
	recent list.List // of cacheEntry, the last used first
	bytes  int
}

// cacheID is a Key as caches compare it.
type cacheID struct{ account, trust, name string }

func (k Key) id() cacheID { return cacheID{accountID(k.Account), k.Trust, k.Name} }

// accountID returns what two addresses of the same account have in common.
func accountID(account jid.JID) string { return account.Bare().String() }

// cacheEntry is a value of a MemoryCache. That is inside a function, which nothing
// that prints a cache looks into.
type cacheEntry struct {
	id    cacheID
	value func() []byte
	bytes int // of key and value
}

// Get returns a copy of a value, or nil if there is none.
func (m *MemoryCache) Get(ctx context.Context, k Key) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("quickstart: memory cache: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.values[k.id()]
	if !ok {
		return nil, nil
	}
	m.recent.MoveToFront(e)
	return bytes.Clone(e.Value.(cacheEntry).value()), nil
}

// Put replaces a value by a copy of value.
// The error is [ErrTooLarge] if key and value alone have more than MaxBytes.
func (m *MemoryCache) Put(ctx context.Context, k Key, value []byte) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("quickstart: memory cache: %w", err)
	}
	id := k.id()
	size := len(id.account) + len(id.trust) + len(id.name) + len(value)
	if size > cacheLimit(m.MaxBytes, DefaultMaxBytes) {
		return ErrTooLarge
	}
	value = append([]byte{}, value...) // An empty value is not nil.

	m.mu.Lock()
	defer m.mu.Unlock()
	if old, ok := m.values[id]; ok {
		m.remove(old)
	}
	for m.recent.Len() >= cacheLimit(m.MaxValues, DefaultMaxValues) || m.bytes+size > cacheLimit(m.MaxBytes, DefaultMaxBytes) {
		m.remove(m.recent.Back())
	}
	if m.values == nil {
		m.values = make(map[cacheID]*list.Element)
	}
	m.values[id] = m.recent.PushFront(cacheEntry{id, func() []byte { return value }, size})
	m.bytes += size
	return nil
}

// Delete removes values of an account, as [Cache] describes it.
func (m *MemoryCache) Delete(ctx context.Context, account jid.JID, names ...string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("quickstart: memory cache: %w", err)
	}
	of := accountID(account)
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, e := range m.values {
		if id.account == of && (len(names) == 0 || slices.Contains(names, id.name)) {
			m.remove(e)
		}
	}
	return nil
}

func (m *MemoryCache) remove(e *list.Element) {
	gone := m.recent.Remove(e).(cacheEntry)
	delete(m.values, gone.id)
	m.bytes -= gone.bytes
}

// cacheLimit returns a limit that was set, or else its default.
func cacheLimit(set, byDefault int) int {
	if set < 1 {
		return byDefault
	}
	return set
}
