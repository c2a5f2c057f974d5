// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
	"github.com/xmppext/xmppext/mam/mamtest"
)

var (
	_ mam.Pruner          = (*mam.Memory)(nil)
	_ mam.Batcher         = (*mam.Memory)(nil)
	_ mam.UnreadArchive   = (*mam.Memory)(nil)
	_ mam.PreferenceStore = (*mam.Memory)(nil)
)

var (
	memoryRomeo  = jid.MustParse("romeo@montague.example")
	memoryJuliet = jid.MustParse("juliet@capulet.example/balcony")
)

func TestMemory(t *testing.T) {
	mamtest.Run(t, func(testing.TB) mam.Archive { return new(mam.Memory) })
}

func TestMemoryShared(t *testing.T) {
	mamtest.RunShared(t, func(testing.TB) (a, b mam.Archive) {
		m := new(mam.Memory)
		return m, m
	})
}

func BenchmarkMemory(b *testing.B) {
	mamtest.Benchmark(b, func(testing.TB) mam.Archive {
		return &mam.Memory{MaxItems: 1 << 20, MaxBytes: 1 << 30}
	}, 1000, 100_000)
}

// fillMemory appends messages of one size.
func fillMemory(t *testing.T, m *mam.Memory, n, size int) []mam.Item {
	t.Helper()
	items := make([]mam.Item, n)
	for k := range items {
		i, err := m.Append(t.Context(), memoryRomeo, mam.Message{
			With: memoryJuliet, XML: []byte(strings.Repeat("x", size)), StanzaID: fmt.Sprint(k), Unread: true,
		})
		require.NoError(t, err)
		items[k] = i
	}
	return items
}

// memoryKeeps returns the positions of what an archive has.
func memoryKeeps(t *testing.T, m *mam.Memory) []int64 {
	t.Helper()
	var positions []int64
	_, err := m.Query(t.Context(), memoryRomeo, mam.Query{Max: 1 << 20}, func(i mam.Item) error {
		positions = append(positions, i.Position)
		return nil
	})
	require.NoError(t, err)
	return positions
}

func TestMemoryIsBounded(t *testing.T) {
	t.Run("items", func(t *testing.T) {
		m := &mam.Memory{MaxItems: 3}
		items := fillMemory(t, m, 5, 10)
		assert.Equal(t, []int64{3, 4, 5}, memoryKeeps(t, m))
		_, err := m.Query(t.Context(), memoryRomeo, mam.Query{AfterID: items[1].ID}, nil)
		assert.ErrorIs(t, err, mam.ErrNotFound)
		unread, err := m.Unread(t.Context(), memoryRomeo, 10)
		require.NoError(t, err)
		require.Len(t, unread, 1)
		assert.EqualValues(t, 3, unread[0].Count)
	})
	t.Run("bytes", func(t *testing.T) {
		m := &mam.Memory{MaxBytes: 200}
		fillMemory(t, m, 5, 40) // 71 bytes each, with stanza id and address
		assert.Equal(t, []int64{4, 5}, memoryKeeps(t, m))
		fillMemory(t, m, 1, 99)
		assert.Equal(t, []int64{6}, memoryKeeps(t, m))
	})
	t.Run("a batch", func(t *testing.T) {
		m := &mam.Memory{MaxItems: 3}
		items, err := m.AppendAll(t.Context(), make([]mam.Entry, 5))
		require.NoError(t, err)
		assert.Len(t, items, 5)
		first, last, err := m.Ends(t.Context(), jid.JID{})
		require.NoError(t, err)
		assert.Equal(t, []int64{3, 5}, []int64{first.Position, last.Position})
	})
	t.Run("too large", func(t *testing.T) {
		m := &mam.Memory{MaxBytes: 100}
		small, large := mam.Message{With: memoryJuliet}, mam.Message{With: memoryJuliet, XML: make([]byte, 101)}
		_, err := m.Append(t.Context(), memoryRomeo, large)
		assert.ErrorIs(t, err, mam.ErrTooLarge)
		_, err = m.AppendAll(t.Context(), []mam.Entry{{Archive: memoryRomeo, Message: small}, {Archive: memoryRomeo, Message: large}})
		assert.ErrorIs(t, err, mam.ErrTooLarge)
		assert.Empty(t, memoryKeeps(t, m), "all are stored or none")
		err = m.SetPreferences(t.Context(), memoryRomeo, mam.Preferences{Never: make([]jid.JID, 10_001)})
		assert.ErrorIs(t, err, mam.ErrTooLarge)
	})
	t.Run("by default", func(t *testing.T) {
		m := new(mam.Memory)
		fillMemory(t, m, mam.DefaultMaxItems+10, 0)
		assert.Len(t, memoryKeeps(t, m), mam.DefaultMaxItems)
	})
}

// TestMemoryGivesBack looks at what is left in memory of messages that were pruned.
func TestMemoryGivesBack(t *testing.T) {
	used := func() uint64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	m := new(mam.Memory)
	before := used()
	for n := range 2000 {
		// Nobody writes twice, so that each message has all to itself.
		with, err := jid.New(fmt.Sprintf("%01000d", n), "capulet.example", "balcony")
		require.NoError(t, err)
		_, err = m.Append(t.Context(), memoryRomeo, mam.Message{With: with, StanzaID: fmt.Sprint(n), Unread: true})
		require.NoError(t, err)
		_, err = m.ReadStanza(t.Context(), memoryRomeo, with.Bare(), fmt.Sprint(n))
		require.NoError(t, err)
	}
	full := used() - before
	require.Greater(t, full, uint64(4<<20))
	_, err := m.Prune(t.Context(), memoryRomeo, time.Time{}, 10)
	require.NoError(t, err)
	assert.Less(t, used(), before+full/10, "bytes in use when all but ten messages were pruned")
	runtime.KeepAlive(m)
}

func TestMemoryBareArchives(t *testing.T) {
	m := new(mam.Memory)
	full, err := memoryRomeo.WithResource("orchard")
	require.NoError(t, err)
	_, err = m.Append(t.Context(), full, mam.Message{With: memoryJuliet})
	require.NoError(t, err)
	assert.Equal(t, []int64{1}, memoryKeeps(t, m))
}

// TestMemoryYield has yield wait for others, and call the archive itself.
func TestMemoryYield(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(mam.Memory)
		items := fillMemory(t, m, 3, 10)
		n := 0
		page, err := m.Query(t.Context(), memoryRomeo, mam.Query{Max: 10, Count: true}, func(i mam.Item) error {
			done := make(chan struct{})
			go func() {
				defer close(done)
				fillMemory(t, m, 100, 10)
				_, err := m.Prune(t.Context(), memoryRomeo, time.Time{}, 1)
				assert.NoError(t, err)
			}()
			<-done
			assert.Len(t, memoryKeeps(t, m), 1)
			assert.Equal(t, items[n].ID, i.ID)
			n++
			return nil
		})
		require.NoError(t, err)
		assert.Equal(t, 3, n)
		assert.Equal(t, mam.Page{Complete: true, Count: 3, First: 0}, page)
	})
}

// TestMemoryKnows asks for pages of which a store need not know all.
func TestMemoryKnows(t *testing.T) {
	m := new(mam.Memory)
	items := fillMemory(t, m, 10, 10)
	for name, q := range map[string]mam.Query{
		"everything": {},
		"with":       {With: memoryJuliet.Bare()},
		"with full":  {With: memoryJuliet},
		"ids":        {IDs: []string{items[0].ID, items[1].ID, items[2].ID, items[3].ID, items[4].ID, items[5].ID, items[6].ID, items[7].ID, items[8].ID, items[9].ID}},
		"counted":    {WithoutGroupChat: true, Count: true},
	} {
		t.Run(name, func(t *testing.T) {
			q.Max, q.From = 3, mam.Cursor{After: items[3].ID}
			page, err := m.Query(t.Context(), memoryRomeo, q, func(mam.Item) error { return nil })
			require.NoError(t, err)
			assert.Equal(t, mam.Page{Count: 10, First: 4}, page)
		})
	}
}
