// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Package mucfrtest checks that stores do what package mucfr expects of them.
//
// Whoever keeps rooms in a place of their own, such as a database, calls it from a
// test:
//
//		func TestStore(t *testing.T) {
//			mucfrtest.Run(t, func(t testing.TB) mucfr.Store {
//				return mystore.New(t.TempDir())
//			})
//		}
//
//	  - [Run] is for every store,
//	  - [RunReopened] for one that is still there when the program is started again,
//	  - [Model] for a room with a store, at random.
//
// Each rule is a subtest with a new store. A failure ends with the rule that was
// broken, in a sentence.
// Run the tests with the race detector: stores are called by several goroutines.
//
// # What a store needs to be able to keep
//
// Keys are UTF-8 without control characters, and have from one to 4096 bytes. Values
// are opaque, and have up to 1 MiB; an empty one is a value, too. A room has up to
// 20000 entries, which may all come by one Save.
// Localpart and domain of a room may have 1023 bytes each.
//
// A Save is seen as a whole by all that load the room meanwhile.
// A rule takes two minutes at most: then its context ends.
package mucfrtest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mucfr"
)

// patience is how long a rule may take, so that a store that waits for itself fails
// with an error instead of with the whole test binary. The longest rule is that of many
// entries, which takes a few seconds with the race detector and a database in Go.
const patience = 2 * time.Minute

// A rule is one of those that a store, or what opens stores, must keep to.
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
func run[S any](run runner, rules []rule[S], newStore func(t testing.TB) S) {
	for _, r := range rules {
		run(r.name, func(t testing.TB) {
			defer func() {
				if t.Failed() {
					t.Log("The rule: " + r.says)
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			r.check(ctx, t, newStore(t))
		})
	}
}

// Run checks a store. NewStore returns an empty one.
func Run(t *testing.T, newStore func(t testing.TB) mucfr.Store) {
	checkStore(subtests(t), newStore)
}

func checkStore(r runner, newStore func(t testing.TB) mucfr.Store) {
	run(r, slices.Concat(saveRules, deleteRules, keyRules, failureRules, crowdRules, reunionRules), newStore)
}

// contents are the entries of a room.
type contents map[string]string

// with returns the contents after entries were saved.
func (c contents) with(entries []mucfr.Entry) contents {
	after := maps.Clone(c)
	if after == nil {
		after = make(contents)
	}
	for _, e := range entries {
		if e.Value == nil {
			delete(after, e.Key)
		} else {
			after[e.Key] = string(e.Value)
		}
	}
	return after
}

// entries returns entries that save the contents in a new room.
func (c contents) entries() []mucfr.Entry {
	var entries []mucfr.Entry
	for _, key := range slices.Sorted(maps.Keys(c)) {
		entries = append(entries, entry(key, c[key]))
	}
	return entries
}

// entry returns an entry with a value.
func entry(key, value string) mucfr.Entry { return mucfr.Entry{Key: key, Value: []byte(value)} }

// gone returns an entry that deletes.
func gone(key string) mucfr.Entry { return mucfr.Entry{Key: key} }

// address returns the address of a room, bare or full.
func address(t testing.TB, room string) jid.JID {
	t.Helper()
	j, err := jid.Parse(room)
	require.NoError(t, err)
	return j
}

// coven is a room for rules that need but one.
func coven(t testing.TB) jid.JID {
	t.Helper()
	return address(t, "coven@chat.example")
}

// save saves entries that a store must take.
func save(ctx context.Context, t testing.TB, s mucfr.Store, room jid.JID, entries ...mucfr.Entry) {
	t.Helper()
	require.NoError(t, s.Save(ctx, room, entries), "save %s", short(room.String()))
}

// assertContents asserts what a store has of a room.
func assertContents(ctx context.Context, t testing.TB, s mucfr.Store, room jid.JID, want contents) {
	t.Helper()
	entries, err := s.Load(ctx, room)
	require.NoError(t, err, "load %s", short(room.String()))
	if err := compare(entries, want); err != nil {
		t.Errorf("%s: %v", short(room.String()), err)
	}
}

// compare returns what is wrong with loaded entries.
func compare(entries []mucfr.Entry, want contents) error {
	seen := make(map[string]bool)
	for _, e := range entries {
		value, ok := want[e.Key]
		switch {
		case seen[e.Key]:
			return fmt.Errorf("%s is there twice", short(e.Key))
		case !ok:
			return fmt.Errorf("%s is there, but should not be", short(e.Key))
		case e.Value == nil:
			return fmt.Errorf("%s is there with nil, which is no value", short(e.Key))
		case string(e.Value) != value:
			return fmt.Errorf("%s is %s, want %s", short(e.Key), short(string(e.Value)), short(value))
		}
		seen[e.Key] = true
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if !seen[key] {
			return fmt.Errorf("%s is not there", short(key))
		}
	}
	return nil
}

// short returns a text for people, of at most a few dozen bytes.
func short(text string) string {
	const most = 40
	if len(text) > most {
		return fmt.Sprintf("%.*q… (%d bytes)", most, text, len(text))
	}
	return fmt.Sprintf("%q", text)
}

// pattern returns a value of which every part tells which one it is of.
func pattern(length int, seed byte) string {
	value := bytes.Repeat([]byte{seed}, length)
	for i := range value {
		value[i] ^= byte(i * 7)
	}
	return string(value)
}
