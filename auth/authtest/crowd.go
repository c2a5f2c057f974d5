// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package authtest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/auth"
)

// crowd is how many goroutines use a store at once.
const crowd = 8 // as many as there are alikeClients

// atOnce calls f from a crowd, and returns the errors.
func atOnce(f func(i int) error) error {
	var (
		all   sync.WaitGroup
		errs  [crowd]error
		start = make(chan struct{})
	)
	for i := range crowd {
		all.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	all.Wait()
	return errors.Join(errs[:]...)
}

// A crossing is where the first two of a crowd meet, unless they are kept apart.
type crossing struct {
	arrived atomic.Int32
	met     chan struct{}
}

func newCrossing() *crossing { return &crossing{met: make(chan struct{})} }

// wait has the first wait for the second, but not for long: a store may keep it
// waiting for the first.
func (c *crossing) wait() {
	switch c.arrived.Add(1) {
	case 1:
		select {
		case <-c.met:
		case <-time.After(20 * time.Millisecond):
		}
	case 2:
		close(c.met)
	}
}

// checkReplays makes many attempts to log in with the same count, like somebody
// who replays early data.
func checkReplays(ctx context.Context, t testing.TB, stores ...auth.TokenStore) {
	d := phone(t)
	write(ctx, t, stores[0], d, auth.Tokens{Current: issue("current", 1)})
	for count := uint64(1); count <= 5; count++ {
		var (
			meet = newCrossing()
			won  atomic.Int32
		)
		require.NoError(t, atOnce(func(i int) error {
			first := false
			err := stores[i%len(stores)].Update(ctx, d.account, d.client, func(have *auth.Tokens) bool {
				meet.wait()
				first = have.Current.Count < count
				have.Current.Count = max(have.Current.Count, count)
				return first
			})
			if first && err == nil {
				won.Add(1)
			}
			return err
		}))
		require.Equal(t, 1, int(won.Load()), "attempts that were the first with the count %d", count)
		require.Equal(t, count, read(ctx, t, stores[0], d).Current.Count)
	}
}

// rounds is how many updates each of a crowd makes.
const rounds = 5

// crossings returns a crossing for each round.
func crossings() (all [rounds]*crossing) {
	for i := range all {
		all[i] = newCrossing()
	}
	return all
}

// checkCounting counts the updates in what is stored.
func checkCounting(ctx context.Context, t testing.TB, stores ...auth.TokenStore) {
	d := phone(t)
	meet := crossings()
	// At first there is nothing, not even something to lock.
	require.NoError(t, atOnce(func(i int) error {
		for _, m := range meet {
			err := stores[i%len(stores)].Update(ctx, d.account, d.client, func(have *auth.Tokens) bool {
				m.wait()
				if have.Current.IsZero() {
					have.Current = issue("current", 1)
				}
				have.Current.Count++
				return true
			})
			if err != nil {
				return err
			}
		}
		return nil
	}))
	require.Equal(t, crowd*rounds, int(read(ctx, t, stores[0], d).Current.Count), "updates that were kept")
}

func checkManyClients(ctx context.Context, t testing.TB, s auth.TokenStore) {
	romeo := parse(t, "romeo@example.net")
	client := func(i int) string { return alikeClients[i] }
	meet := crossings()
	require.NoError(t, atOnce(func(i int) error {
		for _, m := range meet {
			err := s.Update(ctx, romeo, client(i), func(have *auth.Tokens) bool {
				m.wait()
				count := have.Current.Count
				have.Current = issue(client(i), 1)
				have.Current.Count = count + 1
				return true
			})
			if err != nil {
				return err
			}
		}
		return nil
	}))
	for i := range crowd {
		got := read(ctx, t, s, device{romeo, client(i)})
		assert.Equal(t, client(i), string(got.Current.Secret))
		assert.Equal(t, rounds, int(got.Current.Count), "updates that were kept of %s", client(i))
	}
}
