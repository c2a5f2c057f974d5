// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/quickstart"
	"github.com/xmppext/xmppext/quickstart/quickstarttest"
)

var _ quickstart.Cache = (*quickstart.MemoryCache)(nil)

func TestMemoryCache(t *testing.T) {
	quickstarttest.Run(t, func(testing.TB) quickstart.Cache { return new(quickstart.MemoryCache) })
}

// cacheKey returns the key of a value of an account with a name that has few bytes.
func cacheKey(name string) quickstart.Key {
	return quickstart.Key{Account: jid.MustParse("a@b"), Name: name}
}

// cacheHas returns which of the named values a cache has. It uses them in that order.
func cacheHas(t *testing.T, c quickstart.Cache, names ...string) (has []string) {
	t.Helper()
	for _, name := range names {
		value, err := c.Get(t.Context(), cacheKey(name))
		require.NoError(t, err)
		if value != nil {
			has = append(has, name)
		}
	}
	return has
}

func TestMemoryCacheBounds(t *testing.T) {
	put := func(c quickstart.Cache, name string, length int) error {
		return c.Put(t.Context(), cacheKey(name), make([]byte, length))
	}
	t.Run("the value that was used longest ago makes room", func(t *testing.T) {
		c := &quickstart.MemoryCache{MaxValues: 3}
		for _, name := range []string{"1", "2", "3"} {
			require.NoError(t, put(c, name, 1))
		}
		assert.Equal(t, []string{"1"}, cacheHas(t, c, "1"))
		require.NoError(t, put(c, "2", 1))
		require.NoError(t, put(c, "4", 1))
		assert.Equal(t, []string{"1", "2", "4"}, cacheHas(t, c, "1", "2", "3", "4"))
		require.NoError(t, put(c, "5", 1))
		assert.Equal(t, []string{"2", "4", "5"}, cacheHas(t, c, "1", "2", "3", "4", "5"))
	})
	t.Run("bytes of keys and values count", func(t *testing.T) {
		c := &quickstart.MemoryCache{MaxBytes: 30}
		require.NoError(t, put(c, "1", 6)) // a@b, 1 and the value are ten bytes.
		require.NoError(t, put(c, "2", 6))
		require.NoError(t, put(c, "3", 6))
		assert.Equal(t, []string{"1", "2", "3"}, cacheHas(t, c, "1", "2", "3"))
		require.NoError(t, put(c, "2", 7), "it replaces the one with its name, and the oldest one makes room")
		assert.Equal(t, []string{"2", "3"}, cacheHas(t, c, "1", "2", "3"))
		require.NoError(t, put(c, "2", 6))
		require.NoError(t, put(c, "4", 6))
		assert.Equal(t, []string{"2", "3", "4"}, cacheHas(t, c, "2", "3", "4"))
		require.NoError(t, put(c, "5", 26), "all of the room")
		assert.Equal(t, []string{"5"}, cacheHas(t, c, "2", "3", "4", "5"))
		require.ErrorIs(t, put(c, "5", 27), quickstart.ErrTooLarge)
		require.ErrorIs(t, put(c, "6", 27), quickstart.ErrTooLarge)
		require.ErrorIs(t, put(c, strings.Repeat("n", 28), 0), quickstart.ErrTooLarge)
		require.ErrorIs(t, c.Put(t.Context(), quickstart.Key{Trust: strings.Repeat("n", 31)}, nil), quickstart.ErrTooLarge)
		assert.Equal(t, []string{"5"}, cacheHas(t, c, "5", "6"), "what is too large makes no room")
	})
	t.Run("what was deleted leaves its room", func(t *testing.T) {
		c := &quickstart.MemoryCache{MaxBytes: 30}
		for range 10 {
			require.NoError(t, put(c, "1", 6))
			require.NoError(t, put(c, "2", 6))
			require.NoError(t, put(c, "3", 6))
			require.Equal(t, []string{"1", "2", "3"}, cacheHas(t, c, "1", "2", "3"))
			require.NoError(t, c.Delete(t.Context(), jid.MustParse("a@b"), "2", "3"))
		}
	})
	t.Run("the defaults", func(t *testing.T) {
		c := new(quickstart.MemoryCache)
		for i := range quickstart.DefaultMaxValues {
			require.NoError(t, put(c, fmt.Sprint(i), 1))
		}
		assert.Equal(t, []string{"0"}, cacheHas(t, c, "0"))
		require.NoError(t, put(c, "more", 1))
		assert.Equal(t, []string{"0", "more"}, cacheHas(t, c, "0", "1", "more"))
		require.NoError(t, put(c, "large", quickstart.DefaultMaxBytes-8))
		assert.Equal(t, []string{"large"}, cacheHas(t, c, "0", "2", "more", "large"))
		require.ErrorIs(t, put(c, "large", quickstart.DefaultMaxBytes-7), quickstart.ErrTooLarge)
	})
}
