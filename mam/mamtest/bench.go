// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamtest

import (
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

// pageSize is how many items the pages of benchmarks have.
const pageSize = 50

// Benchmark measures what is done most: to append, to read a page of archives of
// some sizes, and to ask what is unread.
//
// Pages should take as long in a large archive as in a small one.
func Benchmark(b *testing.B, newArchive func(t testing.TB) mam.Archive, sizes ...int) {
	b.Run("Append", func(b *testing.B) {
		s := newArchive(b)
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			if _, err := s.Append(b.Context(), romeo, letter(n)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("AppendParallel", func(b *testing.B) {
		s := newArchive(b)
		var n atomic.Int64
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := s.Append(b.Context(), romeo, letter(int(n.Add(1)))); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	b.Run("AppendAll100", func(b *testing.B) {
		s, ok := newArchive(b).(mam.Batcher)
		if !ok {
			b.Skip("The store cannot do this, and need not.")
		}
		b.ReportAllocs()
		for n := 0; b.Loop(); n += 100 {
			if _, err := s.AppendAll(b.Context(), batchOf(n, 100)); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, size := range sizes {
		b.Run("items="+strconv.Itoa(size), func(b *testing.B) { benchmarkPages(b, newArchive(b), size) })
	}
}

func benchmarkPages(b *testing.B, s mam.Archive, size int) {
	for n := 0; n < size; n += 1000 {
		batch := batchOf(n, min(1000, size-n))
		if s, ok := s.(mam.Batcher); ok {
			_, err := s.AppendAll(b.Context(), batch)
			require.NoError(b, err)
			continue
		}
		for _, e := range batch {
			_, err := s.Append(b.Context(), e.Archive, e.Message)
			require.NoError(b, err)
		}
	}
	middle, page, err := ask(b.Context(), s, romeo, mam.Query{Max: 1, From: mam.Cursor{Index: int64(size / 2)}, Count: true})
	require.NoError(b, err)
	require.Len(b, middle, 1)
	require.EqualValues(b, size, page.Count, "the store keeps as many items")

	for _, c := range []struct {
		name string
		q    mam.Query
	}{
		{"First", mam.Query{}},
		{"Middle", mam.Query{From: mam.Cursor{After: middle[0].ID}}},
		{"Last", mam.Query{From: mam.Cursor{Last: true}}},
		{"Counted", mam.Query{From: mam.Cursor{After: middle[0].ID}, Count: true}},
		{"With", mam.Query{From: mam.Cursor{After: middle[0].ID}, With: middle[0].With.Bare()}},
		{"WithFull", mam.Query{From: mam.Cursor{Before: middle[0].ID}, With: middle[0].With}},
		{"Since", mam.Query{Start: middle[0].Stamp}},
	} {
		b.Run(c.name, func(b *testing.B) {
			q := c.q
			q.Max = pageSize
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				if _, err := s.Query(b.Context(), romeo, q, func(mam.Item) error { n++; return nil }); err != nil {
					b.Fatal(err)
				}
				if n == 0 {
					b.Fatal("an empty page")
				}
			}
		})
	}
	if s, ok := s.(mam.UnreadArchive); ok {
		b.Run("Unread", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if unread, err := s.Unread(b.Context(), romeo, pageSize); err != nil || len(unread) == 0 {
					b.Fatal(len(unread), err)
				}
			}
		})
	}
}

// contacts are whom benchmarks exchange messages with.
var contacts = func() []jid.JID {
	all := make([]jid.JID, 20)
	for n := range all {
		all[n] = jid.MustParse("friend" + strconv.Itoa(n) + "@capulet.example/phone")
	}
	return all
}()

// letter returns the nth message, of a usual size. Each has a time and a stanza id of
// its own.
func letter(n int) mam.Message {
	m := incoming(contacts[n%len(contacts)])
	m.Stamp = noon.Add(time.Duration(n) * time.Minute)
	m.StanzaID = "4d6ac9f2-7b0e-4f0c-8a2e-" + strconv.Itoa(n)
	m.XML = hark
	return m
}

var hark = []byte("<message xmlns='jabber:client' type='chat'><body>" + strings.Repeat("Hark! ", 60) + "</body></message>")

func batchOf(first, n int) []mam.Entry {
	batch := make([]mam.Entry, n)
	for k := range batch {
		batch[k] = mam.Entry{Archive: romeo, Message: letter(first + k)}
	}
	return batch
}
