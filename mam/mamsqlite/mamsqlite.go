// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Package mamsqlite keeps message archives in one SQLite file.
//
//	archive, err := mamsqlite.Open(ctx, "archive.db")
//	if err != nil {
//		return err
//	}
//	defer archive.Close()
//
// The driver is written in Go, so nothing of C needs to be built.
//
// # Appending
//
// What is appended at the same time is stored by one transaction, which one
// goroutine runs. So the disk is waited for once, however many callers there are.
// It makes no caller wait for others to come.
// [Archive.Append] returns when the message is on disk, see [Relaxed].
//
// # Asking
//
// A page costs what it returns, whatever the size of the archive: for no filter,
// With, AfterID, BeforeID and IDs, and for Start and End as far as the times of
// messages are in the order of the archive. Messages out of this order are read
// past where they lie between the first and the last one that match; and so are
// those of type groupchat, for WithoutGroupChat, in an archive that has both
// types.
// The number of items and the index of a page are known without a filter, and for
// Start and End in the same case as above.
// Cursor.Index costs as much as there are items before the page if there is
// another filter, and so does Count for all that match; both are read from an index
// alone.
//
// Each query reads in one transaction, and for as long as yield takes. It keeps
// nobody from writing, but the write-ahead log grows meanwhile, since what it
// may yet read cannot be moved out of it. Who passes on what it reads to a slow
// client should read a page first.
//
// # Processes
//
// Several processes of one machine may open the same file. They take turns at
// writing, see [BusyTimeout]. SQLite does not work on network file systems.
package mamsqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/xmppext/xmppext/mam"
)

// ErrClosed is what an archive that was closed answers.
var ErrClosed = errors.New("mamsqlite: the archive is closed")

// Archive is a [mam.Archive] in a SQLite file.
// It is a [mam.Pruner], a [mam.Batcher], a [mam.UnreadArchive] and a
// [mam.PreferenceStore] too.
//
// Archives are bare: the resource of an address is left out of account.
// All methods may be called by several goroutines at once.
//
// A context that ends is an error only of what has not begun yet, or only reads:
// if a method that writes returns the context's error, nothing was stored.
// Prune is an exception, and says so.
type Archive struct {
	writer, readers *sql.DB
	maxBytes        int

	jobs    chan *job
	closing chan struct{}
	stopped chan struct{} // closed when own has returned
	close   func() error
}

var (
	_ mam.Pruner          = (*Archive)(nil)
	_ mam.Batcher         = (*Archive)(nil)
	_ mam.UnreadArchive   = (*Archive)(nil)
	_ mam.PreferenceStore = (*Archive)(nil)
)

type config struct {
	readers  int
	busy     time.Duration
	maxBytes int
	sync     string
}

// Option changes how a file is used.
type Option func(*config)

// Readers sets how many queries are run at a time, 4 if it is not used.
// Others wait for them.
func Readers(n int) Option { return func(c *config) { c.readers = max(n, 1) } }

// BusyTimeout sets how long one waits for another process that is writing, 5 seconds
// if it is not used. Then it is an error, and nothing was stored.
func BusyTimeout(d time.Duration) Option { return func(c *config) { c.busy = max(d, 0) } }

// MaxBytes sets how many bytes a message may have before it is [mam.ErrTooLarge],
// 16 MiB if it is not used.
func MaxBytes(n int) Option { return func(c *config) { c.maxBytes = n } }

// Relaxed does not wait for the disk: PRAGMA synchronous is NORMAL in place of FULL.
// What was stored outlives the process, but if the machine loses power, the
// messages of the last seconds may be missing, with their positions, which are then
// used again. The file is never damaged by it.
func Relaxed() Option { return func(c *config) { c.sync = "NORMAL" } }

// Memory is the path of an archive that is in memory, for tests. It has one
// connection: who writes waits for those who read.
const Memory = ":memory:"

// maxQueue is how many callers wait for the writer. The others wait to be let in.
const maxQueue = 1024

// Open opens the file at path, which is created if need be, for its owner alone.
func Open(ctx context.Context, path string, options ...Option) (*Archive, error) {
	cfg := config{readers: 4, busy: 5 * time.Second, maxBytes: 16 << 20, sync: "FULL"}
	for _, o := range options {
		o(&cfg)
	}
	a := &Archive{
		maxBytes: cfg.maxBytes,
		jobs:     make(chan *job, maxQueue),
		closing:  make(chan struct{}),
		stopped:  make(chan struct{}),
	}
	a.close = sync.OnceValue(a.shut)
	if err := a.connect(ctx, path, cfg); err != nil {
		if a.writer != nil {
			err = errors.Join(err, a.shutFiles())
		}
		return nil, fmt.Errorf("mamsqlite: open %s: %w", path, err)
	}
	go a.own()
	return a, nil
}

func (a *Archive) connect(ctx context.Context, path string, cfg config) error {
	journal := "wal"
	if path == Memory {
		journal = "memory"
	} else if err := create(path); err != nil {
		return err
	}
	var err error
	pragmas := []string{
		fmt.Sprintf("busy_timeout(%d)", cfg.busy.Milliseconds()),
		"synchronous(" + cfg.sync + ")",
		"secure_delete(FAST)",
		"cache_size(-16384)", // KiB
	}
	if a.writer, err = sql.Open("sqlite", dsn(path, pragmas)); err != nil {
		return err
	}
	// A connection is dear, and one to memory is all there is.
	a.writer.SetMaxOpenConns(1)
	a.readers = a.writer
	if err := setUp(ctx, a.writer, journal, cfg.busy); err != nil || path == Memory {
		return err
	}
	pragmas = append(pragmas[:1], "query_only(1)", "cache_size(-4096)")
	if a.readers, err = sql.Open("sqlite", dsn(path, pragmas)); err != nil {
		return err
	}
	a.readers.SetMaxOpenConns(cfg.readers)
	a.readers.SetMaxIdleConns(cfg.readers)
	return nil
}

// create makes a file if there is none. It does not touch one that is there:
// to close it would take away the locks that this process has on it.
func create(path string) error {
	if path == "" {
		return errors.New("it has no name")
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// dsn returns the name of a file that the driver understands.
func dsn(path string, pragmas []string) string {
	return "file:" + strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path) + "?" + url.Values{"_pragma": pragmas}.Encode()
}

// Close stores what waits to be stored and closes the file. Queries that are still
// running end before their connection does. All that is called later is
// [ErrClosed].
func (a *Archive) Close() error { return a.close() }

func (a *Archive) shut() error {
	close(a.closing)
	<-a.stopped
	if err := a.shutFiles(); err != nil {
		return fmt.Errorf("mamsqlite: close: %w", err)
	}
	return nil
}

func (a *Archive) shutFiles() error {
	err := a.writer.Close()
	if a.readers != nil && a.readers != a.writer {
		err = errors.Join(a.readers.Close(), err)
	}
	return err
}

// wrap says whose error it is.
func wrap(doing string, err error) error {
	switch {
	case err == nil || errors.Is(err, mam.ErrNotFound) || errors.Is(err, mam.ErrTooLarge) || errors.Is(err, ErrClosed):
		return err
	}
	return fmt.Errorf("mamsqlite: %s: %w", doing, err)
}
