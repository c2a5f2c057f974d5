// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr

import (
	"context"
	"maps"
	"slices"
	"sync"

	"mellium.im/xmpp/jid"
)

// Store keeps what rooms remember, so that a service that restarts does not lose it.
// It is safe for concurrent use, by any number of rooms, and who loads a room while it
// is saved gets all of that or nothing. Package mucfrtest tests whether a store is one.
//
// A room's address is bare: a resource does not matter. If a context has ended, its
// error is returned, and nothing has changed.
type Store interface {
	// Load returns all entries of a room, in any order, and none if there is no such room.
	// They are the caller's.
	Load(ctx context.Context, room jid.JID) ([]Entry, error)

	// Save replaces the entries of those keys, or deletes those without a value: all or,
	// if there is an error, none. The keys differ. The entries stay the caller's.
	Save(ctx context.Context, room jid.JID, entries []Entry) error

	// Delete deletes all entries of a room. That there are none is no error.
	Delete(ctx context.Context, room jid.JID) error
}

// Entry is a part of what a room remembers.
type Entry struct {
	Key   string // UTF-8 without control characters, of 1 to 4096 bytes
	Value []byte // nil to delete it; an empty one is a value
}

// Memory is a [Store] that forgets everything when the process ends. The zero value
// is ready for use.
type Memory struct {
	mu    sync.Mutex
	rooms map[string]map[string][]byte
}

// Load returns the entries of a room.
func (m *Memory) Load(ctx context.Context, room jid.JID) ([]Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	kept := m.rooms[room.Bare().String()]
	entries := make([]Entry, 0, len(kept))
	for _, key := range slices.Sorted(maps.Keys(kept)) {
		entries = append(entries, Entry{key, slices.Clone(kept[key])})
	}
	return entries, nil
}

// Save replaces entries.
func (m *Memory) Save(ctx context.Context, room jid.JID, entries []Entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	name := room.Bare().String()
	if m.rooms == nil {
		m.rooms = make(map[string]map[string][]byte)
	}
	if m.rooms[name] == nil {
		m.rooms[name] = make(map[string][]byte)
	}
	for _, e := range entries {
		if e.Value == nil {
			delete(m.rooms[name], e.Key)
		} else {
			m.rooms[name][e.Key] = slices.Clone(e.Value)
		}
	}
	return nil
}

// Delete deletes a room.
func (m *Memory) Delete(ctx context.Context, room jid.JID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.rooms, room.Bare().String())
	return nil
}
