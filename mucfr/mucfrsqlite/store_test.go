// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfrsqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/xmppext/xmppext/mucfr"
	"github.com/xmppext/xmppext/mucfr/mucfrsqlite"
	"github.com/xmppext/xmppext/mucfr/mucfrtest"
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

// one is an entry to save.
var one = []mucfr.Entry{{Key: "room", Value: []byte("value")}}

func TestOpen(t *testing.T) {
	ctx := context.Background()
	refused := func(t *testing.T, path, text string) {
		t.Helper()
		_, err := mucfrsqlite.Open(ctx, path)
		require.Error(t, err)
		assert.True(t, strings.HasPrefix(err.Error(), "mucfrsqlite: open "), err)
		assert.Contains(t, err.Error(), text)
	}
	t.Run("a file of a later version", func(t *testing.T) {
		path := newFile(t)
		require.NoError(t, open(t, path).Close())
		db := raw(t, path)
		execute(t, db, "PRAGMA user_version = 99")
		refused(t, path, "schema version 99")
		execute(t, db, "PRAGMA user_version = 1")
		open(t, path)
	})
	t.Run("a file of another program", func(t *testing.T) {
		for _, statement := range []string{"CREATE TABLE other (x)", "PRAGMA application_id = 1", "PRAGMA user_version = 1"} {
			path := newFile(t)
			execute(t, raw(t, path), statement)
			before, err := os.ReadFile(path)
			require.NoError(t, err)
			refused(t, path, "another program")
			after, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, before, after, "it is left alone")
		}
	})
	t.Run("a file that is no database", func(t *testing.T) {
		path := newFile(t)
		require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("no database ", 100)), 0o600))
		refused(t, path, "not a database")
	})
	t.Run("no directory", func(t *testing.T) {
		_, err := mucfrsqlite.Open(ctx, filepath.Join(t.TempDir(), "none", "rooms.db"))
		require.ErrorIs(t, err, os.ErrNotExist)
		refused(t, "", "no name")
	})
	t.Run("an odd name", func(t *testing.T) {
		t.Chdir(t.TempDir())
		for _, path := range []string{"a?b=%41 #1&mode=memory.db", ":memory:"} {
			require.NoError(t, open(t, path).Save(ctx, coven, one))
			info, err := os.Stat(path)
			require.NoError(t, err)
			if runtime.GOOS != "windows" {
				assert.EqualValues(t, 0o600, info.Mode().Perm(), "others cannot read it")
			}
			all, err := open(t, path).Load(ctx, coven)
			require.NoError(t, err)
			assert.Equal(t, one, all)
		}
	})
	t.Run("many at once", func(t *testing.T) {
		path := newFile(t)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				s, err := mucfrsqlite.Open(ctx, path)
				if assert.NoError(t, err) {
					assert.NoError(t, s.Save(ctx, coven, one))
					assert.NoError(t, s.Close())
				}
			})
		}
		wg.Wait()
	})
	t.Run("a context that has ended", func(t *testing.T) {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		_, err := mucfrsqlite.Open(ended, newFile(t))
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestClose(t *testing.T) {
	ctx := context.Background()
	path := newFile(t)
	s := open(t, path)
	var wg sync.WaitGroup
	saved := make([]int, 8)
	some := make(chan struct{}, 50)
	for i := range saved {
		wg.Go(func() {
			room, err := coven.WithLocal(string(rune('a' + i)))
			assert.NoError(t, err)
			for saved[i] < 10_000 { // or until it is closed, which is much earlier
				e := mucfr.Entry{Key: fmt.Sprint("message/", saved[i]), Value: []byte("value")}
				if err := s.Save(ctx, room, []mucfr.Entry{e}); err != nil {
					assert.ErrorIs(t, err, mucfrsqlite.ErrClosed)
					return
				}
				saved[i]++
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
	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "again")
	wg.Wait()
	_, err := s.Load(ctx, coven)
	require.ErrorIs(t, err, mucfrsqlite.ErrClosed)
	require.ErrorIs(t, s.Delete(ctx, coven), mucfrsqlite.ErrClosed)
	_, err = os.Stat(path + "-wal")
	require.ErrorIs(t, err, os.ErrNotExist, "all is in the file")

	s = open(t, path)
	for i, n := range saved {
		room, err := coven.WithLocal(string(rune('a' + i)))
		require.NoError(t, err)
		all, err := s.Load(ctx, room)
		require.NoError(t, err)
		assert.Len(t, all, n, "what was told to be saved is, and no more")
	}
}

// TestBusy checks what happens while another process writes.
func TestBusy(t *testing.T) {
	ctx := context.Background()
	path := newFile(t)
	s := open(t, path)
	require.NoError(t, s.Save(ctx, coven, one))
	db := raw(t, path)
	execute(t, db, "BEGIN IMMEDIATE")

	// Who gives up waiting has saved nothing, and is not kept waiting.
	early, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	require.ErrorIs(t, s.Save(early, coven, entries(10, 1)), context.DeadlineExceeded)
	require.ErrorIs(t, s.Delete(early, coven), context.DeadlineExceeded)
	assert.Less(t, time.Since(start), 4*time.Second, "not as long as without a context")
	all, err := s.Load(ctx, coven)
	require.NoError(t, err, "reading does not wait")
	assert.Equal(t, one, all)

	done := make(chan error, 1)
	go func() { done <- s.Save(ctx, coven, entries(10, 1)) }()
	select {
	case err := <-done:
		t.Fatal("it did not wait", err)
	case <-time.After(50 * time.Millisecond):
	}
	execute(t, db, "ROLLBACK")
	require.NoError(t, <-done)
	all, err = s.Load(ctx, coven)
	require.NoError(t, err)
	assert.Len(t, all, 11)
}

// TestFailure checks that a Save that fails in the middle, for whatever reason, changes
// nothing, and that the next one works.
func TestFailure(t *testing.T) {
	ctx := context.Background()
	path := newFile(t)
	s := open(t, path)
	require.NoError(t, s.Save(ctx, coven, entries(100, 0)))
	db := raw(t, path)
	for _, action := range []string{"ABORT", "FAIL", "ROLLBACK"} {
		execute(t, db, "CREATE TRIGGER refuse BEFORE INSERT ON entry WHEN NEW.key = 'bad' BEGIN SELECT RAISE("+action+", 'refused'); END")
		bad := entries(100, 1)
		bad[0].Value, bad[50].Key = nil, "bad"
		err := s.Save(ctx, coven, bad)
		require.ErrorContains(t, err, "mucfrsqlite: save: ")
		require.ErrorContains(t, err, "refused")
		all, err := s.Load(ctx, coven)
		require.NoError(t, err)
		require.ElementsMatch(t, entries(100, 0), all, action)
		execute(t, db, "DROP TRIGGER refuse")
		require.NoError(t, s.Save(ctx, coven, one))
		require.NoError(t, s.Save(ctx, coven, []mucfr.Entry{{Key: "room"}}))
	}
}

// TestFirst checks for which saves the disk is waited for: the first one of a room after
// it was loaded, which is that of OpenRoom.
func TestFirst(t *testing.T) {
	ctx := context.Background()
	path := newFile(t)
	s := open(t, path)
	db := raw(t, path)
	execute(t, db, "CREATE TABLE waited (level)")
	execute(t, db, "CREATE TRIGGER wait AFTER INSERT ON entry WHEN NEW.key = 'room' BEGIN INSERT INTO waited SELECT synchronous FROM pragma_synchronous; END")
	const normal, full = 1, 2
	expect := func(levels ...int) {
		t.Helper()
		rows, err := db.Query("DELETE FROM waited RETURNING level")
		require.NoError(t, err)
		defer rows.Close()
		var got []int
		for rows.Next() {
			var level int
			require.NoError(t, rows.Scan(&level))
			got = append(got, level)
		}
		require.NoError(t, rows.Err())
		assert.Equal(t, levels, got)
	}
	require.NoError(t, s.Save(ctx, coven, one))
	expect(normal)
	for range 2 {
		require.NoError(t, s.Delete(ctx, coven))
		room, err := mucfr.OpenRoom(ctx, coven, mucfr.Options{}, s)
		require.NoError(t, err)
		expect(full)
		require.NoError(t, s.Save(ctx, heath, one))
		require.NoError(t, room.Close(ctx))
		expect(normal, normal)
	}

	_, err := s.Load(ctx, coven)
	require.NoError(t, err)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	require.ErrorIs(t, s.Save(ended, coven, one), context.Canceled)
	require.NoError(t, s.Save(ctx, coven, one))
	require.NoError(t, s.Save(ctx, coven, one))
	expect(full, normal)
}

// TestModel lets rooms live at random. What goes wrong is made shorter before it is
// shown; -rapid.checks says how many rooms there are.
func TestModel(t *testing.T) {
	s := open(t, newFile(t))
	rapid.Check(t, func(t *rapid.T) {
		choose := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") }
		limits := mucfr.Limits{Departures: choose(20), Visitors: 1 + choose(6), Messages: 1 + choose(20)}
		require.NoError(t, s.Delete(context.Background(), coven))
		require.NoError(t, mucfrtest.Model(choose, 60, s, limits))
	})
}
