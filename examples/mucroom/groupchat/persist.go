// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mucfr"
)

// Open returns a service for a domain, with the rooms that are stored.
//
// Who was inside when they were stored is told to enter again, see Attached. The error is that of the store or the records, or that of a room
// that cannot be understood.
func Open(ctx context.Context, domain jid.JID, opts Options) (*Service, error) {
	opts.MaxRooms = cmp.Or(opts.MaxRooms, DefaultMaxRooms)
	opts.MaxOccupants = cmp.Or(opts.MaxOccupants, DefaultMaxOccupants)
	opts.Grace = cmp.Or(opts.Grace, DefaultGrace)
	s := &Service{domain: domain.Domain(), opts: opts, rooms: make(map[string]*room)}
	if !s.stores() {
		return s, nil
	}
	all, err := opts.Records.All(ctx)
	if err != nil {
		return nil, fmt.Errorf("groupchat: loading rooms: %w", err)
	}
	for _, one := range all {
		if one.Room.Domainpart() != s.domain.Domainpart() || one.Room.Localpart() == "" {
			continue // another service's
		}
		r, err := s.load(ctx, one)
		if err != nil {
			return nil, fmt.Errorf("groupchat: loading %s: %w", one.Room, err)
		}
		s.rooms[one.Room.Localpart()] = r
		r.suspend()
	}
	return s, nil
}

// load returns a room that is stored. If what it remembers cannot be understood it
// has forgotten everything, which costs its clients no more than time.
func (s *Service) load(ctx context.Context, one Record) (*room, error) {
	opts := mucfr.Options{Config: one.Config.room(), Limits: s.opts.Limits}
	memory, err := mucfr.OpenRoom(ctx, one.Room, opts, s.opts.Store)
	if errors.Is(err, mucfr.ErrCorrupt) {
		s.log("loading a room", err)
		if err = s.opts.Store.Delete(ctx, one.Room); err == nil {
			memory, err = mucfr.OpenRoom(ctx, one.Room, opts, s.opts.Store)
		}
	}
	if err != nil {
		return nil, err
	}
	r := &room{Room: memory, config: one.Config, affiliations: one.Affiliations}
	if memory.Config() != one.Config.room() {
		// The record is newer: it was stored when it changed.
		memory.Configure(one.Config.room())
	}
	return r, nil
}

// stores reports whether rooms are stored.
func (s *Service) stores() bool { return s.opts.Store != nil && s.opts.Records != nil }

// Save stores what has changed since it was called last. What it does not store is lost
// in a crash, and those who come back after that are told that they may have missed
// messages. The service goes on while it is stored. The error is that of the first room
// that cannot be stored; all others are.
func (s *Service) Save(ctx context.Context) error { return s.save(ctx, false) }

// Close stores everything and ends the service: it handles no more stanzas. The error
// is as that of Save.
func (s *Service) Close(ctx context.Context) error { return s.save(ctx, true) }

func (s *Service) save(ctx context.Context, last bool) (first error) {
	type step struct {
		room   *room
		do     func(context.Context) error
		record bool // it has to be stored again if it fails
	}
	s.saving.Lock()
	defer s.saving.Unlock()

	s.mu.Lock()
	s.closed = s.closed || last
	var steps []step
	for _, r := range s.rooms {
		if r.locked || !s.stores() {
			continue // It is not a room yet.
		}
		if r.dirty {
			r.dirty = false
			steps = append(steps, step{r, s.saveRecord(r), true})
		}
		if last {
			steps = append(steps, step{r, r.Close, false})
		} else {
			steps = append(steps, step{r, r.Save(), false})
		}
	}
	s.mu.Unlock()

	var failed []*room
	for _, one := range steps {
		if err := s.store(ctx, one.room, one.do); err != nil {
			first = cmp.Or(first, err)
			if one.record {
				failed = append(failed, one.room)
			}
		}
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range failed {
		r.dirty = true
	}
	return first
}

// store stores something of a room, unless the room is gone.
func (s *Service) store(ctx context.Context, r *room, do func(context.Context) error) error {
	s.storing.Lock()
	defer s.storing.Unlock()
	if r.gone {
		return nil
	}
	return do(ctx)
}

// saveRecord returns a function that stores what a room is like now.
func (s *Service) saveRecord(r *room) func(context.Context) error {
	one := Record{Room: r.Address(), Config: r.config, Affiliations: maps.Clone(r.affiliations)}
	return func(ctx context.Context) error {
		if err := s.opts.Records.Put(ctx, one); err != nil {
			return fmt.Errorf("groupchat: storing %s: %w", one.Room, err)
		}
		return nil
	}
}
