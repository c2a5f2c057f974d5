// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Package mucfrsqlite keeps what rooms remember in one SQLite file.
//
//	store, err := mucfrsqlite.Open(ctx, "rooms.db")
//	if err != nil {
//		return err
//	}
//	defer store.Close()
//	room, err := mucfr.OpenRoom(ctx, address, mucfr.Options{}, store)
//
// The driver is written in Go, so nothing of C needs to be built.
//
// # What may be lost
//
// What was saved outlives the process. Most saves do not wait for the disk: PRAGMA
// synchronous is NORMAL. If the machine loses power, the last ones, of about the last
// thousand pages, may be undone, the latest ones first and each as a whole; the file is
// never damaged by it. A room is made for that, see [mucfr.OpenRoom]: it then tells those
// who come back that they may have missed messages.
//
// It can only do so if what it notes when it is opened is not undone. So the first Save
// of a room after a Load waits for the disk, and with it all that was saved before.
//
// # Processes
//
// Several processes of one machine may open the same file, for different rooms. They
// take turns at writing: who has waited for five seconds, or until the context ended,
// gets an error, and nothing was saved. Who reads waits for nobody.
// SQLite does not work on network file systems.
package mucfrsqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"mellium.im/xmpp/jid"
	_ "modernc.org/sqlite" // the driver

	"github.com/xmppext/xmppext/mucfr"
)

// ErrClosed is what a store that was closed answers.
var ErrClosed = errors.New("mucfrsqlite: the store is closed")

// Store is a [mucfr.Store] in a SQLite file. All methods may be called by several
// goroutines at once.
//
// Rooms are bare: the resource of an address is left out of account.
// If a method returns the error of its context, nothing has changed.
type Store struct {
	writer, readers *sql.DB
	close           func() error

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup // methods; mu guards that nobody joins after closed

	// loaded are the rooms that were loaded and not saved yet. A room is saved when it is
	// opened, so there are as many as are being opened.
	loaded map[string]struct{}
}

var _ mucfr.Store = (*Store)(nil)

const (
	// maxReaders is how many rooms are loaded at a time. It takes the processor, not
	// the disk, so more would gain nothing on most machines.
	maxReaders = 4

	// busy is for how long one waits for another process that is writing. A Save takes
	// milliseconds, so that it has as good as died.
	busy = 5 * time.Second

	// nap is how long SQLite waits by itself, without a look at the context.
	nap = 10 * time.Millisecond
)

// Open opens the file at path, which is created if need be, for its owner alone. A
// database of another program, or of a later version of this one, is an error.
func Open(ctx context.Context, path string) (*Store, error) {
	s := &Store{loaded: make(map[string]struct{})}
	s.close = sync.OnceValue(s.shut)
	if err := s.connect(ctx, path); err != nil {
		return nil, fmt.Errorf("mucfrsqlite: open %s: %w", path, errors.Join(err, s.shutFiles()))
	}
	return s, nil
}

func (s *Store) connect(ctx context.Context, path string) error {
	path, err := create(path)
	if err != nil {
		return err
	}
	patience := fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds())
	if s.writer, err = sql.Open("sqlite", dsn(path, fmt.Sprintf("busy_timeout(%d)", nap.Milliseconds()), "synchronous(NORMAL)", "secure_delete(FAST)")); err != nil {
		return err
	}
	s.writer.SetMaxOpenConns(1)
	if err := setUp(ctx, s.writer); err != nil {
		return err
	}
	if s.readers, err = sql.Open("sqlite", dsn(path, patience, "query_only(1)")); err != nil {
		return err
	}
	s.readers.SetMaxOpenConns(maxReaders)
	s.readers.SetMaxIdleConns(maxReaders)
	return nil
}

// create makes a file if there is none, and returns its full name, which nobody takes
// for something else. It does not touch one that is there: to close it would take away
// the locks that this process has on it.
func create(path string) (string, error) {
	if path == "" {
		return "", errors.New("it has no name")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return path, nil
	}
	if err != nil {
		return "", err
	}
	return path, f.Close()
}

// dsn returns the name of a file that the driver understands.
func dsn(path string, pragmas ...string) string {
	return "file:" + strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path) + "?" + url.Values{"_pragma": pragmas}.Encode()
}

// Close closes the file, when the methods that are running have ended. All that is called
// later is [ErrClosed].
func (s *Store) Close() error { return s.close() }

func (s *Store) shut() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.running.Wait()
	if err := s.shutFiles(); err != nil {
		return fmt.Errorf("mucfrsqlite: close: %w", err)
	}
	return nil
}

func (s *Store) shutFiles() error {
	var err error
	for _, db := range []*sql.DB{s.writer, s.readers} {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
	}
	return err
}

// do runs f for a method, with a connection to db.
func (s *Store) do(ctx context.Context, doing string, db *sql.DB, f func(*conn) error) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.running.Add(1)
	s.mu.Unlock()
	defer s.running.Done()

	c, err := connect(ctx, db)
	if err == nil {
		err = errors.Join(f(c), c.Close())
	}
	if err != nil {
		return fmt.Errorf("mucfrsqlite: %s: %w", doing, err)
	}
	return nil
}

// Load returns all entries of a room, in the order of their keys.
func (s *Store) Load(ctx context.Context, room jid.JID) ([]mucfr.Entry, error) {
	name := nameOf(room)
	var entries []mucfr.Entry
	err := s.do(ctx, "load", s.readers, func(c *conn) (err error) {
		entries, err = c.load(ctx, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded[name] = struct{}{}
	return entries, nil
}

// Save replaces and deletes entries, all or, if there is an error, none. It waits for
// the disk if it is the first one after a Load of the room.
func (s *Store) Save(ctx context.Context, room jid.JID, entries []mucfr.Entry) error {
	name := nameOf(room)
	s.mu.Lock()
	_, first := s.loaded[name]
	s.mu.Unlock()
	err := s.do(ctx, "save", s.writer, func(c *conn) error {
		if first {
			if err := c.exec("PRAGMA synchronous = FULL"); err != nil {
				return err
			}
			defer func() { _ = c.exec("PRAGMA synchronous = NORMAL") }() // It only costs time if it fails.
		}
		return c.transaction(ctx, func() error { return c.save(ctx, name, entries) })
	})
	if err == nil && first {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.loaded, name)
	}
	return err
}

// Delete deletes all entries of a room.
func (s *Store) Delete(ctx context.Context, room jid.JID) error {
	return s.do(ctx, "delete", s.writer, func(c *conn) error {
		return c.transaction(ctx, func() error { return c.exec("DELETE FROM entry WHERE room = ?", nameOf(room)) })
	})
}

// nameOf returns the name of a room.
func nameOf(room jid.JID) string { return room.Bare().String() }
