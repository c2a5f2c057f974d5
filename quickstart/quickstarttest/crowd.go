// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstarttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/quickstart"
)

const (
	crowd  = 8  // goroutines that use a cache at once
	rounds = 10 // times that each of them does so
)

var crowdRules = []rule[quickstart.Cache]{
	{
		name: "several sessions at once",
		says: "Sessions of several accounts may use the cache at once, and each has its own values.",
		check: func(ctx context.Context, t testing.TB, c quickstart.Cache) {
			var keys [crowd]quickstart.Key
			for i := range keys {
				keys[i] = plan(t, fmt.Sprintf("romeo%d@example.net", i))
			}
			for round := range rounds {
				require.NoError(t, atOnce(func(i int) error {
					value := fmt.Appendf(nil, "%d of %d", round, i)
					if err := c.Put(ctx, keys[i], value); err != nil {
						return err
					}
					got, err := c.Get(ctx, keys[i])
					if err == nil && !bytes.Equal(got, value) {
						err = fmt.Errorf("%s has %s, want %s", show(keys[i]), short(got), short(value))
					}
					return err
				}))
				for i, k := range keys {
					assertValue(ctx, t, c, k, fmt.Appendf(nil, "%d of %d", round, i))
				}
			}
		},
	},
	{
		name: "one value at once",
		says: "Of several that put the same value at once one is the last, and nobody ever sees a mix.",
		check: func(ctx context.Context, t testing.TB, c quickstart.Cache) {
			checkOneValue(ctx, t, c)
		},
	},
	{
		name: "deleted at once",
		says: "A value that is deleted while others put it is there as a whole, or not at all.",
		check: func(ctx context.Context, t testing.TB, c quickstart.Cache) {
			k := plan(t, "romeo@example.net")
			require.NoError(t, atOnce(func(i int) error {
				for range rounds {
					if i%2 == 0 {
						if err := c.Delete(ctx, k.Account); err != nil {
							return err
						}
					} else if err := c.Put(ctx, k, uniform(i, 0)); err != nil {
						return err
					}
					if got, err := c.Get(ctx, k); err != nil || got != nil && !isUniform(got) {
						return errors.Join(err, fmt.Errorf("a value is %s", short(got)))
					}
				}
				return nil
			}))
			require.NoError(t, c.Delete(ctx, k.Account))
			assertValue(ctx, t, c, k, nil)
		},
	},
}

// checkOneValue has a crowd put and get one value, through one cache or several that
// have the same values.
func checkOneValue(ctx context.Context, t testing.TB, caches ...quickstart.Cache) {
	k := plan(t, "romeo@example.net")
	put(ctx, t, caches[0], k, uniform(0, 0))
	for round := range rounds {
		require.NoError(t, atOnce(func(i int) error {
			c := caches[i%len(caches)]
			if err := c.Put(ctx, k, uniform(i, round)); err != nil {
				return err
			}
			got, err := c.Get(ctx, k)
			if err == nil && !isUniform(got) {
				err = fmt.Errorf("a value is %s: nobody has put that", short(got))
			}
			return err
		}))
		last, err := caches[0].Get(ctx, k)
		require.NoError(t, err)
		require.True(t, isUniform(last) && last[1] == byte(round), "the last value is %s, want one of round %d", short(last), round)
		for _, c := range caches {
			assertValue(ctx, t, c, k, last)
		}
	}
}

// uniform returns a value that says in every byte whose it is. Its length does too.
func uniform(i, round int) []byte {
	value := bytes.Repeat([]byte{byte('a' + i)}, 1000*(i+1))
	value[1] = byte(round)
	return value
}

func isUniform(value []byte) bool {
	if len(value) < 1000 || value[0] < 'a' {
		return false
	}
	return bytes.Equal(value, uniform(int(value[0]-'a'), int(value[1])))
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
