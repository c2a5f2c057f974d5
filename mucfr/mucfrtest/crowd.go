// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfrtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mucfr"
)

const (
	crowd  = 8  // goroutines that use a store at once
	rounds = 10 // times that each of them does so
)

var crowdRules = []rule[mucfr.Store]{
	{
		name: "several rooms at once",
		says: "Several rooms may use the store at once, and each has its own entries.",
		check: func(ctx context.Context, t testing.TB, s mucfr.Store) {
			var (
				room [crowd]jid.JID
				want [crowd]contents
			)
			for i := range room {
				room[i] = address(t, fmt.Sprintf("coven%d@chat.example", i))
			}
			for round := range rounds {
				require.NoError(t, atOnce(func(i int) error {
					if round%4 == 3 && i%2 == 0 {
						want[i] = nil
						return s.Delete(ctx, room[i])
					}
					entries := []mucfr.Entry{
						entry("room", fmt.Sprintf("%d of %d", round, i)), entry(fmt.Sprint("message/", round), fmt.Sprint(i)), gone(fmt.Sprint("message/", round-3)),
					}
					want[i] = want[i].with(entries)
					if err := s.Save(ctx, room[i], entries); err != nil {
						return err
					}
					loaded, err := s.Load(ctx, room[i])
					if err == nil {
						err = compare(loaded, want[i])
					}
					return err
				}))
				for i := range room {
					assertContents(ctx, t, s, room[i], want[i])
				}
			}
		},
	},
	{
		name: "a save is seen as a whole",
		says: "Who loads a room while it is saved or deleted has all entries of one Save, and none of others, or there are none.",
		check: func(ctx context.Context, t testing.TB, s mucfr.Store) {
			room := coven(t)
			var saving atomic.Int32
			saving.Store(crowd / 2)
			require.NoError(t, atOnce(func(i int) error {
				saves := i%2 == 0
				if saves {
					defer saving.Add(-1)
				}
				// The others look as long as something is saved.
				for round := 0; round < rounds || !saves && saving.Load() > 0; round++ {
					var err error
					switch {
					case i == 0 && round%3 == 2:
						err = s.Delete(ctx, room)
					case saves:
						err = s.Save(ctx, room, uniform(fmt.Sprintf("%d of %d", round, i)).entries())
					}
					if err != nil {
						return err
					}
					loaded, err := s.Load(ctx, room)
					if err == nil && len(loaded) > 0 {
						err = compare(loaded, uniform(string(loaded[0].Value)))
					}
					if err != nil {
						return err
					}
				}
				return nil
			}))
		},
	},
}

// uniform returns contents that all have one value.
func uniform(value string) contents {
	const entries = 20
	c := make(contents)
	for i := range entries {
		c[fmt.Sprint("message/", i)] = value
	}
	return c
}

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
