// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mampg_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
	"github.com/xmppext/xmppext/mam/mampg"
)

func TestTooLarge(t *testing.T) {
	a := open(t, commonServer(t).newPool(t), newSchema(), mampg.MaxBytes(100))
	_, err := a.Append(context.Background(), romeo, mam.Message{XML: make([]byte, 100)})
	require.NoError(t, err)
	_, err = a.Append(context.Background(), romeo, mam.Message{XML: make([]byte, 101)})
	require.Equal(t, mam.ErrTooLarge, err)
	err = a.SetPreferences(context.Background(), romeo, mam.Preferences{Always: make([]jid.JID, 10_001)})
	require.Equal(t, mam.ErrTooLarge, err)
}

// holding locks an archive, as another process may, until it is released.
func holding(t *testing.T, pool *pgxpool.Pool, schema string) (release func()) {
	t.Helper()
	tx, err := pool.Begin(context.Background())
	require.NoError(t, err)
	_, err = tx.Exec(context.Background(), "SELECT FROM "+quoted(schema)+".archive FOR UPDATE")
	require.NoError(t, err)
	return func() {
		t.Helper()
		require.NoError(t, tx.Rollback(context.Background()))
	}
}

// waitForLock waits until somebody waits for a lock.
func waitForLock(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		var n int
		err := pool.QueryRow(context.Background(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").Scan(&n)
		require.NoError(t, err)
		if n > 0 {
			return
		}
	}
	t.Fatal("nobody waits for the lock")
}

// TestGroup checks that messages that are stored together do not share their fate.
func TestGroup(t *testing.T) {
	ctx := context.Background()
	s, schema := commonServer(t), newSchema()
	pool := s.newPool(t)
	a := open(t, s.newPool(t), schema)
	first, err := a.Append(ctx, romeo, message(0))
	require.NoError(t, err)
	execute(t, pool, "ALTER TABLE "+quoted(schema)+".message ADD CONSTRAINT refuse CHECK (stanza <> 'bad')")

	// They pile up behind another process.
	release := holding(t, pool, schema)
	var wg sync.WaitGroup
	for n := range 50 {
		wg.Go(func() {
			m := message(n)
			if n%10 == 0 {
				m.StanzaID = "bad"
			}
			_, err := a.Append(ctx, romeo, m)
			if n%10 == 0 {
				assert.ErrorContains(t, err, "mampg: append: ")
				assert.NotErrorIs(t, err, mampg.ErrUncertain)
			} else {
				assert.NoError(t, err)
			}
		})
	}
	waitForLock(t, pool)
	items, _ := get(t, a, romeo, mam.Query{Max: 10})
	assert.Len(t, items, 1, "who reads does not wait for who writes")
	release()
	wg.Wait()

	items, page := get(t, a, romeo, mam.Query{Max: 100})
	assert.Equal(t, mam.Page{Complete: true, Count: 46}, page)
	assert.Equal(t, first.ID, items[0].ID)
	for n, i := range items {
		assert.EqualValues(t, n+1, i.Position)
	}
	_, err = a.AppendAll(ctx, []mam.Entry{{Archive: romeo, Message: message(1)}, {Archive: romeo, Message: mam.Message{StanzaID: "bad"}}})
	require.Error(t, err)
	_, last, err := a.Ends(ctx, romeo)
	require.NoError(t, err)
	assert.EqualValues(t, 46, last.Position, "all or none")
}

// TestContext checks that contexts end all that waits for another process.
func TestContext(t *testing.T) {
	ctx := context.Background()
	s, schema := commonServer(t), newSchema()
	pool := s.newPool(t)
	a := open(t, s.newPool(t), schema, mampg.Writers(1))
	item, err := a.Append(ctx, romeo, message(1))
	require.NoError(t, err)
	_, err = a.Append(ctx, juliet, message(1))
	require.NoError(t, err)
	release := holding(t, pool, schema)
	early, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	ended := func(name string, f func() error) {
		wg.Go(func() {
			err := f()
			assert.ErrorIs(t, err, context.Canceled, name)
			assert.ErrorContains(t, err, "mampg: ", name)
		})
	}
	for n := range 3 {
		ended("Append", func() error {
			m := message(n)
			m.StanzaID = "early"
			_, err := a.Append(early, romeo, m)
			assert.NotErrorIs(t, err, mampg.ErrUncertain, "nothing was begun")
			return err
		})
	}
	ended("Read", func() error { _, err := a.Read(early, romeo, juliet.Bare(), item.ID); return err })
	ended("Prune", func() error { _, err := a.Prune(early, romeo, time.Time{}, 0); return err })
	late := make(chan error, 1)
	go func() {
		_, err := a.Append(ctx, romeo, message(9))
		late <- err
	}()
	waitForLock(t, pool)
	cancel()
	wg.Wait()
	release()
	require.NoError(t, <-late, "others go on")
	items, _ := get(t, a, romeo, mam.Query{Max: 10})
	assert.Len(t, items, 2, "who gave up waiting has stored nothing, and pruned nothing")
}

// TestSlowPages checks that those who take long to read large pages leave
// connections for others.
func TestSlowPages(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	pool := commonServer(t).newPool(t, func(cfg *pgxpool.Config) { cfg.MaxConns = 4 })
	a := open(t, pool, newSchema(), mampg.Writers(1))
	for n := range 40 {
		m := message(n)
		m.XML = make([]byte, 10_000)
		_, err := a.Append(ctx, romeo, m)
		require.NoError(t, err)
	}
	var reading sync.WaitGroup
	proceed, begun := make(chan struct{}), make(chan struct{}, 100)
	for range 8 {
		reading.Go(func() {
			var last int64
			page, err := a.Query(ctx, romeo, mam.Query{Max: 30, Count: true, Start: noon}, func(i mam.Item) error {
				if last == 0 {
					begun <- struct{}{}
					<-proceed
				} else {
					assert.Equal(t, last+1, i.Position)
				}
				assert.Len(t, i.XML, 10_000)
				last = i.Position
				return nil
			})
			assert.NoError(t, err)
			assert.EqualValues(t, 30, last)
			assert.False(t, page.Complete)
		})
	}
	<-begun
	<-begun // no more than these keep a connection
	for n := range 20 {
		_, err := a.Append(ctx, romeo, message(100+n))
		require.NoError(t, err)
		_, _, err = a.Ends(ctx, romeo)
		require.NoError(t, err)
		_, page := get(t, a, romeo, mam.Query{Max: 5})
		require.EqualValues(t, 41+n, page.Count)
	}
	early, stop := context.WithTimeout(ctx, 20*time.Millisecond)
	defer stop()
	_, err := a.Query(early, romeo, mam.Query{Max: 100}, func(mam.Item) error { return nil })
	require.ErrorIs(t, err, context.DeadlineExceeded, "one who waits for a place")
	close(proceed)
	reading.Wait()
}

// TestYield checks that a connection comes back whatever yield does.
func TestYield(t *testing.T) {
	ctx := context.Background()
	pool := commonServer(t).newPool(t, func(cfg *pgxpool.Config) { cfg.MaxConns = 2 })
	a := open(t, pool, newSchema(), mampg.Writers(1))
	for n := range 40 {
		m := message(n)
		m.XML = make([]byte, 10_000)
		_, err := a.Append(ctx, romeo, m)
		require.NoError(t, err)
	}
	stop := errors.New("enough")
	for _, limit := range []int{3, 40} {
		for at := range 40 {
			n := 0
			_, err := a.Query(ctx, romeo, mam.Query{Max: limit}, func(mam.Item) error {
				if n++; n == min(at, limit-1)+1 {
					return stop
				}
				return nil
			})
			require.Equal(t, stop, err)
		}
		assert.Panics(t, func() {
			_, _ = a.Query(ctx, romeo, mam.Query{Max: limit}, func(mam.Item) error { panic("yield") })
		})
		early, cancel := context.WithCancel(ctx)
		_, err := a.Query(early, romeo, mam.Query{Max: limit}, func(mam.Item) error { cancel(); return nil })
		require.ErrorIs(t, err, context.Canceled)
	}
	for range 10 {
		items, _ := get(t, a, romeo, mam.Query{Max: 100})
		assert.Len(t, items, 40)
	}
}

// TestForgotten checks that nothing is left of contacts whose messages were pruned.
func TestForgotten(t *testing.T) {
	ctx := context.Background()
	s, schema := commonServer(t), newSchema()
	pool := s.newPool(t)
	a := open(t, pool, schema)
	var entries []mam.Entry
	for n := range 2500 {
		m := message(n)
		if n%100 == 0 {
			m.With, m.Unread = romeo, true
		}
		entries = append(entries, mam.Entry{Archive: romeo, Message: m})
	}
	_, err := a.AppendAll(ctx, entries)
	require.NoError(t, err)
	n, err := a.Prune(ctx, romeo, time.Time{}, 10)
	require.NoError(t, err)
	assert.EqualValues(t, 2490, n)
	var contacts, messages int
	require.NoError(t, pool.QueryRow(ctx, "SELECT (SELECT count(*) FROM "+quoted(schema)+".contact), (SELECT count(*) FROM "+quoted(schema)+".message)").Scan(&contacts, &messages))
	assert.Equal(t, []int{1, 10}, []int{contacts, messages})
	unread, err := a.Unread(ctx, romeo, 10)
	require.NoError(t, err)
	assert.Empty(t, unread)
}
