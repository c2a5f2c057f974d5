// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"mellium.im/xmpp/jid"
)

// ErrCorrupt means that what a [Store] has of a room was not written by this package,
// or not all of it. Nothing is lost but time if it is deleted: everybody gets the whole
// state, and is told that messages are missing.
var ErrCorrupt = errors.New("mucfr: the stored room cannot be understood")

// Keys of entries.
const (
	keyRoom      = "room"
	keyOccupant  = "occupant/"
	keyDeparture = "departure/"
	keyVisit     = "visit/"
	keyMessage   = "message/"
)

// numbered is how an event is written in a key.
func numbered(n uint64) string { return strconv.FormatUint(n, 16) }

// A saver knows what of a room is not stored yet.
type saver struct {
	store Store
	dirty map[string]struct{}
	last  *batch
	clean bool // nothing will follow
}

// A batch is what is being stored.
type batch struct {
	keys []string
	done atomic.Bool
}

// touch notes that an entry is to be stored.
func (r *Room) touch(key string) {
	if r.saver != nil {
		r.saver.dirty[key] = struct{}{}
	}
}

// touchAll notes that all are.
func (r *Room) touchAll() {
	if r.saver == nil {
		return
	}
	r.touch(keyRoom)
	for nick := range r.occupant {
		r.touch(keyOccupant + nick)
	}
	for _, d := range r.gone.all {
		r.touch(keyDeparture + numbered(d.number))
	}
	for bare := range r.visits.all {
		r.touch(keyVisit + bare)
	}
	for _, m := range r.history.all {
		r.touch(keyMessage + numbered(m.number))
	}
}

// OpenRoom returns a room as it was when it was saved last, or an empty one. Its
// occupants are still inside: it is for the service to find out who is not any more.
// Opts.Config is that of a room that is new; the others have theirs.
//
// A room that was not closed may have lost what came after it was saved last.
// Then ids of that time are not understood, and whoever comes back is told that there
// may be messages that the room does not have.
//
// A room must not be open twice. The error is [ErrCorrupt] or that of the store.
func OpenRoom(ctx context.Context, address jid.JID, opts Options, store Store) (*Room, error) {
	entries, err := store.Load(ctx, address.Bare())
	if err != nil {
		return nil, fmt.Errorf("mucfr: loading %s: %w", address.Bare(), err)
	}
	r := NewRoom(address, opts)
	r.saver = &saver{store: store, dirty: make(map[string]struct{})}
	if len(entries) > 0 {
		if err := r.restore(entries); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrCorrupt, address.Bare(), err)
		}
	}
	r.touch(keyRoom)
	// From here on it is not clean.
	if err := r.Save()(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// Save returns a function that stores what has changed since Save was called last.
// The function may be called while the room changes, but only one at a time, in the
// order in which they were made. If it fails, the next one stores that, too.
// Its error is that of the store.
//
// How often it is called decides how much a crash may cost. It does nothing for a room
// that was not made by [OpenRoom].
func (r *Room) Save() func(context.Context) error {
	s := r.saver
	if s == nil {
		return func(context.Context) error { return nil }
	}
	if s.last != nil && !s.last.done.Load() {
		for _, key := range s.last.keys {
			r.touch(key)
		}
	}
	if len(s.dirty) == 0 {
		return func(context.Context) error { return nil }
	}
	b := &batch{keys: make([]string, 0, len(s.dirty))}
	for key := range s.dirty {
		b.keys = append(b.keys, key)
	}
	slices.Sort(b.keys)
	entries := make([]Entry, len(b.keys))
	for i, key := range b.keys {
		entries[i] = Entry{key, r.entry(key)}
	}
	clear(s.dirty)
	s.last = b
	return func(ctx context.Context) error {
		if err := s.store.Save(ctx, r.address, entries); err != nil {
			return fmt.Errorf("mucfr: saving %s: %w", r.address, err)
		}
		b.done.Store(true)
		return nil
	}
}

// Close stores what has changed, and that nothing will follow. The room must not be
// used any more if it succeeds. The error is that of the store.
func (r *Room) Close(ctx context.Context) error {
	if r.saver == nil {
		return nil
	}
	r.saver.clean = true
	r.touch(keyRoom)
	if err := r.Save()(ctx); err != nil {
		r.saver.clean = false
		return err
	}
	return nil
}

// entry returns the value of an entry, or nil if there is none any more.
func (r *Room) entry(key string) []byte {
	kind, name, _ := strings.Cut(key, "/")
	switch kind + "/" {
	case keyOccupant:
		if o := r.occupant[name]; o != nil {
			return o.encode()
		}
	case keyVisit:
		if v := r.visits.all[name]; v != nil {
			return v.encode()
		}
	case keyDeparture:
		n, _ := strconv.ParseUint(name, 16, 64)
		if all := r.gone.since(n - 1); len(all) > 0 && all[0].number == n {
			return all[0].encode()
		}
	case keyMessage:
		n, _ := strconv.ParseUint(name, 16, 64)
		if all, _ := r.history.since(n - 1); len(all) > 0 && all[0].number == n {
			return all[0].encode()
		}
	default:
		return r.encode()
	}
	return nil
}
