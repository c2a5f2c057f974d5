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

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/mam"
)

// TestPaging has some page through an archive while others append to it and prune it.
func TestPaging(t *testing.T) {
	ctx := context.Background()
	s, schema := commonServer(t), newSchema()
	a, b := open(t, s.newPool(t), schema), open(t, s.newPool(t), schema)
	var (
		writing, reading sync.WaitGroup
		done             = make(chan struct{})
		pages, lost      [2]int
	)
	for _, to := range []mam.Batcher{a, b} {
		writing.Go(func() {
			for n := range 100 {
				_, err := to.AppendAll(ctx, []mam.Entry{{Archive: romeo, Message: message(n)}, {Archive: romeo, Message: message(n)}, {Archive: romeo, Message: message(n)}})
				assert.NoError(t, err)
				if n%10 == 9 {
					_, err := to.(mam.Pruner).Prune(ctx, romeo, time.Time{}, 60)
					assert.NoError(t, err)
				}
			}
		})
	}
	for n, q := range []mam.Query{{Max: 7}, {Max: 7, With: juliet}} {
		reading.Go(func() {
			last := int64(0)
			for {
				items, _, err := ask(ctx, a, q)
				switch {
				case errors.Is(err, mam.ErrNotFound):
					// The last item was pruned: what a client missed, it learns by this.
					lost[n]++
					q.From.After = ""
					last = 0
				case !assert.NoError(t, err):
					return
				}
				for _, i := range items {
					if last > 0 {
						assert.Equal(t, last+1, i.Position, "RS-13: the next item is the next")
					}
					last, q.From.After = i.Position, i.ID
				}
				if pages[n]++; len(items) > 0 {
					continue
				}
				select {
				case <-done:
					if err == nil {
						return
					}
				default:
				}
			}
		})
	}
	writing.Wait()
	close(done)
	reading.Wait()
	t.Logf("%v pages, %v began anew", pages, lost)
	items, _ := get(t, a, romeo, mam.Query{Max: 100})
	assert.Len(t, items, 60)
	assert.EqualValues(t, 600, items[len(items)-1].Position)
}

// TestInstant checks that a page that is read while it is yielded is from one instant,
// with its numbers.
func TestInstant(t *testing.T) {
	ctx := context.Background()
	s, schema := commonServer(t), newSchema()
	a, b := open(t, s.newPool(t), schema), open(t, s.newPool(t), schema)
	var entries []mam.Entry
	for n := range 600 {
		m := message(n)
		m.XML = make([]byte, 1000)
		entries = append(entries, mam.Entry{Archive: romeo, Message: m})
	}
	for _, q := range []mam.Query{
		{},
		{With: juliet, Count: true},
		{With: juliet.Bare(), Count: true, Flip: true},
		{Start: noon, Count: true, From: mam.Cursor{Last: true}},
	} {
		items, err := b.AppendAll(ctx, entries)
		require.NoError(t, err)
		_, err = b.Prune(ctx, romeo, time.Time{}, 600)
		require.NoError(t, err)
		q.Max = 1000
		next, n := items[0].Position, int64(1)
		if q.Flip {
			next, n = items[599].Position, -1
		}
		left := 600
		page, err := a.Query(ctx, romeo, q, func(i mam.Item) error {
			if left == 600 {
				_, err := b.AppendAll(ctx, entries[:100])
				require.NoError(t, err)
				_, err = b.Prune(ctx, romeo, time.Time{}, 20)
				require.NoError(t, err)
			}
			assert.Equal(t, next, i.Position)
			assert.Len(t, i.XML, 1000)
			next += n
			left--
			return nil
		})
		require.NoError(t, err)
		assert.Zero(t, left)
		assert.Equal(t, mam.Page{Complete: true, Count: 600}, page, "%+v", q)
	}
}

func ask(ctx context.Context, a mam.Archive, q mam.Query) (items []mam.Item, page mam.Page, err error) {
	page, err = a.Query(ctx, romeo, q, func(i mam.Item) error {
		items = append(items, i)
		return nil
	})
	return items, page, err
}
