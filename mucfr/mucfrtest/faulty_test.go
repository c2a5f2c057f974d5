// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfrtest_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mucfr"
)

// broken is what may be wrong with a store.
type broken struct {
	key     func(key string) string                           // under which an entry is
	room    func(room jid.JID) string                         // under which entries are
	keep    func(old, value []byte) []byte                    // what becomes of a value
	take    func(entries []mucfr.Entry) []mucfr.Entry         // what is saved of entries
	load    func(entries []mucfr.Entry) []mucfr.Entry         // what is loaded of them
	begin   func(old contents, by []mucfr.Entry) contents     // what they are saved to
	deletes func(room, of string) bool                        // what Delete removes
	fails   func(old contents, by []mucfr.Entry) (bool, bool) // whether Save does, and still stores what was before
	absent  error                                             // of what is not there
	lends   bool                                              // keeps the bytes of the caller
	exposes bool                                              // returns the bytes that it keeps
	deaf    bool                                              // the context does not matter
	late    bool                                              // the context is asked when all is done
	partial bool                                              // it is asked between entries, and what was done stays so
	steady  bool                                              // it is asked between entries, as it should be
	forever bool                                              // what was deleted stays so
	softly  bool                                              // what was deleted is so in memory
	log     func(old bool) bool                               // whether an entry is written
	whole   func()                                            // called between reading and writing all rooms
	torn    func()                                            // called between writing the halves of a Save
	dirty   func()                                            // called between reading the halves of a room
}

// contents are the entries of a room.
type contents map[string][]byte

// disk is what survives a store.
type disk struct {
	mu    sync.Mutex
	rooms map[string]contents
}

func (d *disk) copy() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	rooms := make(map[string]contents)
	for name, c := range d.rooms {
		rooms[name] = maps.Clone(c)
	}
	return &disk{rooms: rooms}
}

// faulty is a store with faults, if there are any.
type faulty struct {
	broken
	disk *disk

	tombs map[string]bool // rooms that are only gone here; the disk's mutex guards it
}

func (s *faulty) name(room jid.JID) string {
	if s.room != nil {
		return s.room(room)
	}
	return room.Bare().String()
}

// begun returns the error of a context that has ended, unless that is found out later.
func (s *faulty) begun(ctx context.Context) error {
	if s.deaf || s.late {
		return nil
	}
	return ctx.Err()
}

// ended returns it if that is when it is found out.
func (s *faulty) ended(ctx context.Context) error {
	if s.late {
		return ctx.Err()
	}
	return nil
}

func (s *faulty) Load(ctx context.Context, room jid.JID) ([]mucfr.Entry, error) {
	if err := s.begun(ctx); err != nil {
		return nil, err
	}
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	name := s.name(room)
	kept := s.disk.rooms[name]
	if len(kept) == 0 || s.tombs[name] {
		return nil, errors.Join(s.absent, s.ended(ctx))
	}
	keys := slices.Sorted(maps.Keys(kept))
	var entries []mucfr.Entry
	for i, key := range keys {
		if s.dirty != nil && i == len(keys)/2 {
			s.disk.mu.Unlock()
			s.dirty()
			s.disk.mu.Lock()
		}
		value := s.disk.rooms[name][key]
		if !s.exposes {
			value = slices.Clone(value)
		}
		if value != nil { // It may have gone meanwhile.
			entries = append(entries, mucfr.Entry{Key: key, Value: value})
		}
	}
	if s.load != nil {
		entries = s.load(entries)
	}
	return entries, s.ended(ctx)
}

func (s *faulty) Save(ctx context.Context, room jid.JID, entries []mucfr.Entry) error {
	if err := s.begun(ctx); err != nil {
		return err
	}
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	if s.disk.rooms == nil {
		s.disk.rooms = make(map[string]contents)
	}
	name, rooms := s.name(room), s.disk.rooms
	if s.take != nil {
		entries = s.take(entries)
	}
	if s.whole != nil {
		rooms = maps.Clone(rooms)
		s.disk.mu.Unlock()
		s.whole()
		s.disk.mu.Lock()
	}
	after := maps.Clone(rooms[name])
	if s.begin != nil {
		after = s.begin(after, entries)
	}
	if after == nil {
		after = make(contents)
	}
	if s.fails != nil {
		if fails, stores := s.fails(after, entries); fails {
			if stores {
				s.disk.rooms[name] = after
			}
			return errors.New("too large")
		}
	}
	for i, e := range entries {
		if (s.partial || s.steady) && ctx.Err() != nil {
			if s.partial {
				s.disk.rooms[name] = after
			}
			return ctx.Err()
		}
		if s.torn != nil && i == len(entries)/2 {
			s.disk.rooms[name] = maps.Clone(after)
			s.disk.mu.Unlock()
			s.torn()
			s.disk.mu.Lock()
		}
		if err := s.put(after, e); err != nil {
			return err
		}
	}
	rooms[name], s.disk.rooms = after, rooms
	if !s.forever {
		delete(s.tombs, name)
	}
	return s.ended(ctx)
}

// put changes one entry.
func (s *faulty) put(c contents, e mucfr.Entry) error {
	key := e.Key
	if s.key != nil {
		key = s.key(key)
	}
	old, exists := c[key]
	if s.log != nil && !s.log(exists) {
		return nil
	}
	value := e.Value
	if !s.lends {
		value = slices.Clone(value)
	}
	if s.keep != nil {
		value = s.keep(old, value)
	}
	if value == nil {
		delete(c, key)
		if !exists {
			return s.absent
		}
		return nil
	}
	c[key] = value
	return nil
}

func (s *faulty) Delete(ctx context.Context, room jid.JID) error {
	if err := s.begun(ctx); err != nil {
		return err
	}
	deletes := s.deletes
	if deletes == nil {
		deletes = func(room, of string) bool { return room == of }
	}
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	of, found := s.name(room), false
	for name := range s.disk.rooms {
		if !deletes(name, of) {
			continue
		}
		found = true
		if s.tombs == nil {
			s.tombs = make(map[string]bool)
		}
		s.tombs[name] = s.softly || s.forever
		if !s.softly {
			delete(s.disk.rooms, name)
		}
	}
	if !found && s.absent != nil {
		return s.absent
	}
	return s.ended(ctx)
}

// closing is a store that writes when it is closed.
type closing struct {
	faulty
	to *disk
}

func (s *closing) Close() error {
	s.to.mu.Lock()
	defer s.to.mu.Unlock()
	s.to.rooms = s.disk.rooms
	return nil
}

// A crossing is where each of a crowd waits for the next one.
type crossing struct {
	mu    sync.Mutex
	first chan struct{}
}

// wait does not wait for long: there may be no other one.
func (c *crossing) wait() {
	c.mu.Lock()
	if c.first != nil {
		close(c.first)
		c.first = nil
		c.mu.Unlock()
		return
	}
	met := make(chan struct{})
	c.first = met
	c.mu.Unlock()
	select {
	case <-met:
	case <-time.After(20 * time.Millisecond):
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first == met {
		c.first = nil
	}
}
