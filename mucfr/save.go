// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	anew  bool // what is stored is to be deleted before
	last  *batch
	clean bool // nothing will follow
}

// maxDirty is how many changed entries are noted. Where a store has failed for so long
// the room is stored anew: much of what has changed is to be deleted, and nothing
// else bounds that.
const maxDirty = 1 << 14

// A batch is what is being stored.
type batch struct {
	keys []string
	anew bool
	done atomic.Bool
}

// touch notes that an entry is to be stored.
func (r *Room) touch(key string) {
	s := r.saver
	if s == nil || s.anew {
		return
	}
	if s.dirty[key] = struct{}{}; len(s.dirty) > maxDirty+2*len(r.occupant) {
		s.anew = true
		clear(s.dirty)
	}
}

// touchAll notes that all are.
func (r *Room) touchAll() {
	for _, key := range r.keys() {
		r.touch(key)
	}
}

// keys returns those of all entries.
func (r *Room) keys() []string {
	all := []string{keyRoom}
	for nick := range r.occupant {
		all = append(all, keyOccupant+nick)
	}
	for _, d := range r.gone.all {
		all = append(all, keyDeparture+numbered(d.number))
	}
	for bare := range r.visits.all {
		all = append(all, keyVisit+bare)
	}
	for _, m := range r.history.all {
		all = append(all, keyMessage+numbered(m.number))
	}
	return all
}

// OpenRoom returns a room as it was when it was saved last, or an empty one. Its
// occupants are still inside: it is for the service to find out who is not any more. As
// something was lost to all of them, unless the service had ended in peace, it may tell
// them to enter again, and let those leave who have not done so after some time.
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
		s.anew = s.anew || s.last.anew
		for _, key := range s.last.keys {
			r.touch(key)
		}
	}
	if len(s.dirty) == 0 && !s.anew {
		return func(context.Context) error { return nil }
	}
	b := &batch{anew: s.anew}
	if s.anew {
		b.keys = r.keys()
	} else {
		b.keys = slices.AppendSeq(make([]string, 0, len(s.dirty)), maps.Keys(s.dirty))
	}
	slices.Sort(b.keys)
	entries := make([]Entry, len(b.keys))
	for i, key := range b.keys {
		entries[i] = Entry{key, r.entry(key)}
	}
	clear(s.dirty)
	s.last, s.anew = b, false
	return func(ctx context.Context) error {
		if b.anew {
			if err := s.store.Delete(ctx, r.address); err != nil {
				return fmt.Errorf("mucfr: saving %s: %w", r.address, err)
			}
		}
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
