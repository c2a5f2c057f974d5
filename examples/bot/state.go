// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
	"github.com/xmppext/xmppext/mucfr"
)

// state is what the bot knows from one session, and one run, to the next. How to log in
// is in a cache of its own.
type state struct {
	file string
	room *mucfr.Occupancy // the zero value if there is none

	mu    sync.Mutex // for the file, too
	place mam.Place  // how far the archive was read; only follow changes it
}

// stored is how the state is stored.
type stored struct {
	Place mam.Place
	Room  *mucfr.Occupancy
}

// open reads the state from a file, if there is one. If it is about another room that is
// forgotten.
func open(file string, room jid.JID) (*state, error) {
	s := &state{file: file, room: new(mucfr.Occupancy)}
	if room.Resourcepart() != "" {
		s.room = mucfr.NewOccupancy(room)
	} else if !room.Equal(jid.JID{}) {
		return nil, errors.New("-room must be room@domain/nick")
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	kept := stored{Room: new(mucfr.Occupancy)}
	if err := json.Unmarshal(b, &kept); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	s.place = kept.Place
	if nick := room.Resourcepart(); nick != "" && kept.Room.Address().Bare().Equal(room.Bare()) {
		s.room = kept.Room
		return s, s.room.SetNick(nick)
	}
	return s, nil
}

// move notes how far the archive was read, and writes the state.
func (s *state) move(place mam.Place) error {
	s.mu.Lock()
	s.place = place
	s.mu.Unlock()
	return s.save()
}

// save writes the state, all of it or nothing.
func (s *state) save() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := json.Marshal(stored{s.place, s.room})
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.file+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(s.file+".new", s.file)
}
