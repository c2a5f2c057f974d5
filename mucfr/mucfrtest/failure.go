// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfrtest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/mucfr"
)

var failureRules = []rule[mucfr.Store]{
	{
		name: "a context that has ended",
		says: "If the context has ended, its error is returned, and nothing changes.",
		check: func(ctx context.Context, t testing.TB, s mucfr.Store) {
			want, absent := contents{"room": "value", "message/1": "value"}, address(t, "heath@chat.example")
			save(ctx, t, s, coven(t), want.entries()...)
			late, cancel := context.WithDeadline(ctx, time.Now().Add(-time.Second))
			defer cancel()
			early, stop := context.WithCancel(ctx)
			stop()
			for ended, is := range map[context.Context]error{early: context.Canceled, late: context.DeadlineExceeded} {
				_, err := s.Load(ended, coven(t))
				require.ErrorIs(t, err, is, "load")
				entries := []mucfr.Entry{entry("room", "another"), gone("message/1"), entry("message/2", "value")}
				require.ErrorIs(t, s.Save(ended, coven(t), entries), is, "save")
				require.ErrorIs(t, s.Save(ended, absent, entries), is, "save")
				require.ErrorIs(t, s.Delete(ended, coven(t)), is, "delete")
				assertContents(ctx, t, s, coven(t), want)
				assertContents(ctx, t, s, absent, nil)
			}
		},
	},
	{
		name: "a context that ends meanwhile",
		says: "If Save or Delete return an error, because their context has ended, nothing has changed; if not, all has.",
		check: func(ctx context.Context, t testing.TB, s mucfr.Store) {
			checkMeanwhile(ctx, t, s)
		},
	},
}

// checkMeanwhile ends contexts at all kinds of moments of a Save and a Delete.
func checkMeanwhile(ctx context.Context, t testing.TB, s mucfr.Store) {
	const entries = 200
	want := make(contents)
	for i := range entries {
		want[fmt.Sprint("message/", i)] = "value"
	}
	save(ctx, t, s, coven(t), want.entries()...)

	round := 0
	// try saves with a context, and reports whether that was stored.
	try := func(ended context.Context, is error) bool {
		round++
		var change []mucfr.Entry
		for i := range 2 * entries {
			e := entry(fmt.Sprint("message/", i), fmt.Sprint("value of ", round))
			if (i+round)%2 == 0 {
				e.Value = nil
			}
			change = append(change, e)
		}
		err := s.Save(ended, coven(t), change)
		if err != nil {
			require.ErrorIs(t, err, is, "save")
		} else {
			want = want.with(change)
		}
		assertContents(ctx, t, s, coven(t), want)
		return err == nil
	}

	// After each time that it is asked for, and then at any time.
	for asked := 1; asked <= 8*entries; asked += 1 + asked/4 {
		if try(newFuse(ctx, asked), context.Canceled) {
			break // It was not asked so often.
		}
	}
	start := time.Now()
	require.True(t, try(ctx, nil))
	const parts = 8
	took := time.Since(start)
	for i := range parts {
		soon, cancel := context.WithTimeout(ctx, took*time.Duration(i)/parts)
		try(soon, context.DeadlineExceeded)
		cancel()
	}

	for asked := 1; asked <= 8*entries; asked += 1 + asked/4 {
		err := s.Delete(newFuse(ctx, asked), coven(t))
		if err == nil {
			break
		}
		require.ErrorIs(t, err, context.Canceled, "delete")
		assertContents(ctx, t, s, coven(t), want)
	}
}

// A fuse is a context that ends when it is asked for the nth time whether it has.
type fuse struct {
	context.Context
	mu   sync.Mutex
	left int
	err  error
	done chan struct{}
}

func newFuse(ctx context.Context, n int) *fuse {
	f := &fuse{Context: ctx, left: n, done: make(chan struct{})}
	context.AfterFunc(ctx, func() { f.burn(n) })
	return f
}

// burn shortens the fuse, and returns the error if it has ended.
func (f *fuse) burn(n int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left -= n; f.left <= 0 && f.err == nil {
		f.err = context.Canceled
		close(f.done)
	}
	return f.err
}

func (f *fuse) Err() error { return f.burn(1) }

func (f *fuse) Done() <-chan struct{} {
	_ = f.burn(1) // Whoever waits asks, too.
	return f.done
}
