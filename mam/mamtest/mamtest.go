// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Package mamtest checks that a store does what package mam expects of it.
//
// Whoever keeps archives in a database of their own calls it from a test:
//
//		func TestArchive(t *testing.T) {
//			mamtest.Run(t, func(t testing.TB) mam.Archive {
//				return mystore.New(emptyDatabase(t))
//			})
//		}
//
//	  - [Run] is for any [mam.Archive]; what it can do besides is tested as well,
//	  - [RunReopened] for one that outlives its process,
//	  - [RunShared] for one whose database several processes use,
//	  - [Benchmark] measures one, so that stores can be compared.
//
// Each rule is a subtest with a new store. A failure ends with the rule that was
// broken, in a sentence. Its name says which requirement is behind it, if there is
// one in the specifications: MA of XEP-0313, RS of XEP-0059, SI of XEP-0359, PR of
// XEP-0441; D and AA are what this project makes of what they leave open, and of
// what attackers make of it.
// Run the tests with the race detector: stores are called by several goroutines.
//
// Some rules draw lots. They log a seed, and draw the same if the environment
// variable MAMTEST_SEED has it.
//
// # What a store needs to be able to keep
//
// A message may have 256 KiB of XML, which is kept byte by byte, and a stanza id of
// 1024 bytes. Any part of an address may have 1023 bytes. Each list of preferences
// may have 1000 addresses.
// No archive has more than 5000 items.
//
// Stamps are from the years 1 to 9999. What they have below a microsecond is cut
// off, of those in queries too.
//
// A rule takes a minute at most: then its context ends.
package mamtest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

// patience is how long a rule may take, so that a store that waits for itself
// fails with an error instead of with the whole test binary.
const patience = time.Minute

// Run checks an archive. If it is a [mam.Pruner], a [mam.Batcher], a
// [mam.UnreadArchive] or a [mam.PreferenceStore], it is checked as such as well.
//
// NewArchive returns an empty store.
func Run(t *testing.T, newArchive func(t testing.TB) mam.Archive) {
	check(subtests(t), newArchive)
}

func check(r runner, newArchive func(t testing.TB) mam.Archive) {
	run(r, archiveRules, newArchive)
	run(r, prunerRules, newArchive)
	run(r, batcherRules, newArchive)
	run(r, unreadRules, newArchive)
	run(r, preferenceRules, newArchive)
}

// A rule is one of those that a store S must keep to.
type rule[S any] struct {
	name  string
	says  string // for whoever has broken it
	check func(ctx context.Context, t testing.TB, s S)
}

// A runner runs a test as part of another.
type runner func(name string, test func(t testing.TB))

func subtests(t *testing.T) runner {
	return func(name string, test func(t testing.TB)) {
		t.Run(name, func(t *testing.T) { test(t) })
	}
}

// run checks each rule on a store of its own.
func run[S, T any](run runner, rules []rule[S], newStore func(t testing.TB) T) {
	for _, r := range rules {
		run(r.name, func(t testing.TB) {
			defer func() {
				if t.Failed() {
					t.Log("The rule: " + r.says)
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			s, ok := any(newStore(t)).(S)
			if !ok {
				t.Skip("The store cannot do this, and need not.")
			}
			r.check(ctx, t, s)
		})
	}
}

// parse returns an address, bare or full.
func parse(t testing.TB, address string) jid.JID {
	t.Helper()
	j, err := jid.Parse(address)
	require.NoError(t, err)
	return j
}

// The usual names.
var (
	romeo  = jid.MustParse("romeo@montague.example")
	juliet = jid.MustParse("juliet@capulet.example/balcony")
	nurse  = jid.MustParse("nurse@capulet.example/pocket")
	room   = jid.MustParse("garden@chat.example")
)

// noon is the time of messages whose time does not matter.
var noon = time.Date(2026, 7, 16, 12, 0, 0, 0, time.UTC)

// from returns a message of somebody.
func from(with jid.JID) mam.Message {
	return mam.Message{With: with, Stamp: noon, XML: []byte("<message xmlns='jabber:client'><body>Hark!</body></message>")}
}

// at returns a message of some time after noon.
func at(after time.Duration) mam.Message {
	m := from(juliet)
	m.Stamp = noon.Add(after)
	return m
}

// put appends messages, one by one.
func put(ctx context.Context, t testing.TB, s mam.Archive, archive jid.JID, messages ...mam.Message) []mam.Item {
	t.Helper()
	items := make([]mam.Item, 0, len(messages))
	for _, m := range messages {
		i, err := s.Append(ctx, archive, m)
		require.NoError(t, err, "Append")
		require.NotEmpty(t, i.ID, "an id")
		items = append(items, i)
	}
	return items
}

// putSome appends messages of juliet's.
func putSome(ctx context.Context, t testing.TB, s mam.Archive, archive jid.JID, n int) []mam.Item {
	t.Helper()
	return put(ctx, t, s, archive, repeat(from(juliet), n)...)
}

func repeat(m mam.Message, n int) []mam.Message {
	all := make([]mam.Message, n)
	for i := range all {
		all[i] = m
		all[i].Stamp = m.Stamp.Add(time.Duration(i) * time.Second)
	}
	return all
}

// ask returns what a query yields.
func ask(ctx context.Context, s mam.Archive, archive jid.JID, q mam.Query) ([]mam.Item, mam.Page, error) {
	var items []mam.Item
	page, err := s.Query(ctx, archive, q, func(i mam.Item) error {
		i.XML = bytes.Clone(i.XML)
		items = append(items, i)
		return nil
	})
	return items, page, err
}

// get is ask where there is no error.
func get(ctx context.Context, t testing.TB, s mam.Archive, archive jid.JID, q mam.Query) ([]mam.Item, mam.Page) {
	t.Helper()
	items, page, err := ask(ctx, s, archive, q)
	require.NoError(t, err, "Query %+v", q)
	return items, page
}

// all is a query for everything, with what is known of it.
func all() mam.Query { return mam.Query{Max: 10_000, Count: true} }

// everything returns all items of an archive.
func everything(ctx context.Context, t testing.TB, s mam.Archive, archive jid.JID) []mam.Item {
	t.Helper()
	items, page := get(ctx, t, s, archive, all())
	require.True(t, page.Complete, "a page of everything is complete")
	require.EqualValues(t, len(items), page.Count, "the count of everything")
	return items
}

// assertNone asserts that a query is refused for an id that is not there, before
// it has yielded anything.
func assertNone(ctx context.Context, t testing.TB, s mam.Archive, archive jid.JID, q mam.Query) {
	t.Helper()
	items, _, err := ask(ctx, s, archive, q)
	assert.ErrorIs(t, err, mam.ErrNotFound, "query %+v", q)
	assert.Empty(t, items, "query %+v", q)
}

// assertPage asserts that a query has the page that is expected. What the store
// does not know, it need not know unless it was asked for.
func assertPage(ctx context.Context, t testing.TB, s mam.Archive, archive jid.JID, q mam.Query, want []mam.Item, known mam.Page) bool {
	t.Helper()
	items, page, err := ask(ctx, s, archive, q)
	if !assert.NoError(t, err, "query %+v", q) {
		return false
	}
	ok := assert.Equal(t, places(want), places(items), "positions for query %+v", q)
	for n := range min(len(items), len(want)) {
		ok = assertItem(t, want[n], items[n]) && ok
	}
	ok = assert.Equal(t, known.Complete, page.Complete, "complete, for query %+v", q) && ok
	if q.Count || page.Count != -1 {
		ok = assert.Equal(t, known.Count, page.Count, "count, for query %+v", q) && ok
	}
	if len(want) == 0 || page.First != -1 {
		ok = assert.Equal(t, known.First, page.First, "items before the page, for query %+v", q) && ok
	}
	return ok
}

// assertItem asserts that an item is the same as another.
func assertItem(t testing.TB, want, have mam.Item) bool {
	t.Helper()
	ok := assert.Equal(t, want.Position, have.Position, "position")
	ok = assert.Equal(t, want.ID, have.ID, "id of %d", want.Position) && ok
	ok = assertMessage(t, want.Message, have.Message) && ok
	if !assert.True(t, bytes.Equal(want.XML, have.XML), "XML of %d, %d and %d bytes", want.Position, len(want.XML), len(have.XML)) {
		ok = false
	}
	return ok
}

// assertMessage asserts that a message was kept, but for its XML.
func assertMessage(t testing.TB, want, have mam.Message) bool {
	t.Helper()
	ok := assert.Equal(t, want.With.String(), have.With.String(), "the other party")
	ok = assert.Equal(t, kept(want.Stamp), have.Stamp, "stamp") && ok
	ok = assert.Equal(t, want.StanzaID, have.StanzaID, "stanza id") && ok
	ok = assert.Equal(t, want.GroupChat, have.GroupChat, "of type groupchat") && ok
	ok = assert.Equal(t, conversation(want).String(), conversation(have).String(), "conversation") && ok
	ok = assert.Equal(t, want.Unread, have.Unread, "unread") && ok
	return ok
}

// kept returns a time as it is kept.
func kept(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// conversation returns the one that a message belongs to.
func conversation(m mam.Message) jid.JID {
	if m.Conversation.Equal(jid.JID{}) {
		return m.With.Bare()
	}
	return m.Conversation
}

// places returns the positions of items.
func places(items []mam.Item) []int64 {
	positions := make([]int64, 0, len(items))
	for _, i := range items {
		positions = append(positions, i.Position)
	}
	return positions
}

// numbers returns the positions from first to last.
func numbers(first, last int64) []int64 {
	positions := make([]int64, 0, max(last-first+1, 0))
	for n := first; n <= last; n++ {
		positions = append(positions, n)
	}
	return positions
}

// ended returns a context that has ended.
func ended(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

// lots returns a source of random numbers.
func lots(t testing.TB) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("MAMTEST_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, "MAMTEST_SEED")
	}
	t.Logf("MAMTEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

var errStop = errors.New("mamtest: no more of them")

// odd are addresses that a database may take for one another, or for something
// else: by its collation, its patterns, its quotes or the length of a column.
// Those in one line have the same bare JID.
func odd(t testing.TB) [][]jid.JID {
	t.Helper()
	var names [][]jid.JID
	for _, line := range oddNames {
		var full []jid.JID
		for _, name := range line {
			full = append(full, parse(t, name))
		}
		names = append(names, full)
	}
	return names
}
