// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamsqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/mam"
	"github.com/xmppext/xmppext/mam/mamsqlite"
)

// raw opens a file as SQLite does.
func raw(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	return db
}

func execute(t testing.TB, db *sql.DB, statement string) {
	t.Helper()
	_, err := db.Exec(statement)
	require.NoError(t, err, statement)
}

func TestOpen(t *testing.T) {
	refused := func(t *testing.T, path, text string) {
		t.Helper()
		_, err := mamsqlite.Open(context.Background(), path)
		require.Error(t, err)
		assert.True(t, strings.HasPrefix(err.Error(), "mamsqlite: "), err)
		assert.Contains(t, err.Error(), text)
	}
	t.Run("a file of a later version", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "archive.db")
		require.NoError(t, open(t, path).Close())
		db := raw(t, path)
		execute(t, db, "PRAGMA user_version = 99")
		refused(t, path, "schema version 99")
		execute(t, db, "PRAGMA user_version = 1")
		open(t, path)
	})
	t.Run("a file of another program", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "other.db")
		execute(t, raw(t, path), "CREATE TABLE other (x)")
		refused(t, path, "another program")
	})
	t.Run("a file that is no database", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "archive.txt")
		require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("no database ", 100)), 0o600))
		refused(t, path, "not a database")
	})
	t.Run("no directory", func(t *testing.T) {
		_, err := mamsqlite.Open(context.Background(), filepath.Join(t.TempDir(), "none", "archive.db"))
		require.ErrorIs(t, err, os.ErrNotExist)
		refused(t, "", "no name")
	})
	t.Run("an odd name", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a?b=%41 #1&mode=memory.db")
		a := open(t, path)
		_, err := a.Append(context.Background(), romeo, message(1))
		require.NoError(t, err)
		info, err := os.Stat(path)
		require.NoError(t, err)
		if runtime.GOOS != "windows" {
			assert.EqualValues(t, 0o600, info.Mode().Perm(), "others cannot read it")
		}
	})
	t.Run("many at once", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "archive.db")
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				a, err := mamsqlite.Open(context.Background(), path)
				if assert.NoError(t, err) {
					assert.NoError(t, a.Close())
				}
			})
		}
		wg.Wait()
	})
}

func TestClose(t *testing.T) {
	for _, path := range []string{mamsqlite.Memory, filepath.Join(t.TempDir(), "archive.db")} {
		ctx := context.Background()
		a := open(t, path)
		var wg sync.WaitGroup
		var stored sync.Map
		some := make(chan struct{}, 50)
		for range 16 {
			wg.Go(func() {
				for {
					i, err := a.Append(ctx, romeo, message(1))
					if err != nil {
						assert.ErrorIs(t, err, mamsqlite.ErrClosed)
						return
					}
					stored.Store(i.Position, true)
					select {
					case some <- struct{}{}:
					default:
					}
				}
			})
		}
		for range cap(some) {
			<-some
		}
		require.NoError(t, a.Close())
		require.NoError(t, a.Close(), "again")
		wg.Wait()

		_, err := a.Query(ctx, romeo, mam.Query{Max: 1}, func(mam.Item) error { return nil })
		assert.ErrorIs(t, err, mamsqlite.ErrClosed)
		_, err = a.Append(ctx, romeo, message(1))
		assert.ErrorIs(t, err, mamsqlite.ErrClosed)
		if path == mamsqlite.Memory {
			continue
		}
		_, last, err := open(t, path).Ends(ctx, romeo)
		require.NoError(t, err)
		for n := range last.Position {
			_, ok := stored.Load(n + 1)
			assert.True(t, ok, "%d is stored, and who stored it was told so", n+1)
		}
	}
}

// TestGroup checks that messages that are stored together do not share their fate.
func TestGroup(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "archive.db")
	a := open(t, path)
	db := raw(t, path)
	execute(t, db, "CREATE TRIGGER refuse BEFORE INSERT ON message WHEN NEW.stanza = 'bad' BEGIN SELECT RAISE(ABORT, 'refused'); END")

	// They pile up behind another writer.
	execute(t, db, "BEGIN IMMEDIATE")
	var wg sync.WaitGroup
	for n := range 50 {
		wg.Go(func() {
			m := message(n)
			if n%10 == 0 {
				m.StanzaID = "bad"
			}
			_, err := a.Append(ctx, romeo, m)
			if n%10 == 0 {
				assert.ErrorContains(t, err, "mamsqlite: append: ")
			} else {
				assert.NoError(t, err)
			}
		})
	}
	for range 10_000 {
		if a.Waiting() > 20 {
			break // Or the writer has taken them all at once, which is as good.
		}
		runtime.Gosched()
	}
	execute(t, db, "ROLLBACK")
	wg.Wait()

	items, page := get(t, a, romeo, mam.Query{Max: 100})
	assert.Equal(t, mam.Page{Complete: true, Count: 45}, page)
	for n, i := range items {
		assert.EqualValues(t, n+1, i.Position)
	}
	_, err := a.AppendAll(ctx, []mam.Entry{{Archive: romeo, Message: message(1)}, {Archive: romeo, Message: mam.Message{StanzaID: "bad"}}})
	require.Error(t, err)
	_, last, err := a.Ends(ctx, romeo)
	require.NoError(t, err)
	assert.EqualValues(t, 45, last.Position, "all or none")
}

// TestBusy checks what happens while another process writes.
func TestBusy(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "archive.db")
	a := open(t, path, mamsqlite.BusyTimeout(100*time.Millisecond))
	_, err := a.Append(ctx, romeo, message(1))
	require.NoError(t, err)
	db := raw(t, path)
	execute(t, db, "BEGIN IMMEDIATE")

	_, err = a.Append(ctx, romeo, message(2))
	require.ErrorContains(t, err, "mamsqlite: append: ")
	require.ErrorContains(t, err, "locked")

	items, _ := get(t, a, romeo, mam.Query{Max: 10})
	assert.Len(t, items, 1, "reading does not wait")

	// Who gives up waiting has stored nothing.
	early, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	_, err = a.Append(early, romeo, message(3))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	execute(t, db, "ROLLBACK")
	i, err := a.Append(ctx, romeo, message(4))
	require.NoError(t, err)
	assert.EqualValues(t, 2, i.Position)
}

// TestReaders checks that readers wait for one another with their context in view.
func TestReaders(t *testing.T) {
	ctx := context.Background()
	a := open(t, filepath.Join(t.TempDir(), "archive.db"), mamsqlite.Readers(1))
	_, err := a.Append(ctx, romeo, message(1))
	require.NoError(t, err)
	stop := errors.New("enough")
	_, err = a.Query(ctx, romeo, mam.Query{Max: 1}, func(mam.Item) error {
		early, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		defer cancel()
		_, _, err := a.Ends(early, romeo)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = a.Append(ctx, romeo, message(2))
		assert.NoError(t, err, "who writes does not wait for who reads")
		return stop
	})
	require.Equal(t, stop, err)
	assert.Panics(t, func() {
		_, _ = a.Query(ctx, romeo, mam.Query{Max: 1}, func(mam.Item) error { panic("yield") })
	})
	_, last, err := a.Ends(ctx, romeo)
	require.NoError(t, err, "the connection came back")
	assert.EqualValues(t, 2, last.Position)
}

func TestTooLarge(t *testing.T) {
	a := open(t, mamsqlite.Memory, mamsqlite.MaxBytes(100))
	_, err := a.Append(context.Background(), romeo, mam.Message{XML: make([]byte, 100)})
	require.NoError(t, err)
	_, err = a.Append(context.Background(), romeo, mam.Message{XML: make([]byte, 101)})
	require.Equal(t, mam.ErrTooLarge, err)
}

// TestForgotten checks that nothing is left of contacts whose messages were pruned.
func TestForgotten(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "archive.db")
	a := open(t, path)
	var entries []mam.Entry
	for n := range 1200 {
		m := message(n)
		if n%100 == 0 {
			m.With, m.Unread = romeo, true
		}
		entries = append(entries, mam.Entry{Archive: romeo, Message: m})
	}
	_, err := a.AppendAll(ctx, entries)
	require.NoError(t, err)
	_, err = a.Prune(ctx, romeo, time.Time{}, 10)
	require.NoError(t, err)
	var contacts, messages int
	db := raw(t, path)
	require.NoError(t, db.QueryRow("SELECT (SELECT count(*) FROM contact), (SELECT count(*) FROM message)").Scan(&contacts, &messages))
	assert.Equal(t, []int{1, 10}, []int{contacts, messages})
	unread, err := a.Unread(ctx, romeo, 10)
	require.NoError(t, err)
	assert.Empty(t, unread)
}
