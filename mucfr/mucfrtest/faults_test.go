// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfrtest_test

import (
	"errors"
	"path"
	"slices"
	"strings"
	"testing"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mucfr"
	"github.com/xmppext/xmppext/mucfr/mucfrtest"
)

// large is about what a value has that a store cannot keep.
func large(by []mucfr.Entry) bool {
	return slices.ContainsFunc(by, func(e mucfr.Entry) bool { return len(e.Value) > 2<<20 })
}

func TestRules(t *testing.T) {
	check := func(r mucfrtest.Runner, newStore func() mucfr.Store) {
		mucfrtest.CheckStore(r, func(testing.TB) mucfr.Store { return newStore() })
	}
	with := func(b broken) func() mucfr.Store {
		return func() mucfr.Store { return &faulty{broken: b, disk: new(disk)} }
	}
	keyed := func(key func(string) string) func() mucfr.Store { return with(broken{key: key}) }
	keeping := func(keep func(old, value []byte) []byte) func() mucfr.Store { return with(broken{keep: keep}) }
	taking := func(take func(entries []mucfr.Entry) []mucfr.Entry) func() mucfr.Store {
		return with(broken{take: take})
	}
	without := func(prefix string) func() mucfr.Store {
		return taking(func(entries []mucfr.Entry) []mucfr.Entry {
			return slices.DeleteFunc(slices.Clone(entries), func(e mucfr.Entry) bool { return strings.HasPrefix(e.Key, prefix) })
		})
	}
	absent := errors.New("no rows")
	type f = fault[mucfr.Store]
	expectFaults(t, check, []f{
		{name: "in memory", store: func() mucfr.Store { return new(mucfr.Memory) }},
		{name: "faultless", store: with(broken{})},
		{name: "watches the context", store: with(broken{steady: true})},
		{name: "refuses large values", store: with(broken{fails: func(_ contents, by []mucfr.Entry) (bool, bool) { return large(by), false }})},
	}, []f{
		{name: "an error of what is absent", breaks: []string{"nothing saved", "nil deletes", "delete what is not there", "a room that was deleted"}, store: with(broken{absent: absent})},
		{name: "text", breaks: []string{"values are opaque", "large values"}, store: keeping(func(_, value []byte) []byte {
			if value == nil {
				return nil
			}
			return []byte(strings.ToValidUTF8(string(value), "\ufffd"))
		})},
		{name: "trimmed", breaks: []string{"values are opaque"}, store: keeping(func(_, value []byte) []byte {
			if value == nil {
				return nil
			}
			return append([]byte{}, strings.TrimSpace(string(value))...)
		})},
		{name: "C strings", breaks: []string{"values are opaque"}, store: keeping(func(_, value []byte) []byte {
			before, _, cut := strings.Cut(string(value), "\x00")
			if !cut {
				return value
			}
			return []byte(before)
		})},
		{name: "empty is deleted", breaks: []string{"an empty value is a value"}, store: keeping(func(_, value []byte) []byte {
			if len(value) == 0 {
				return nil
			}
			return value
		})},
		{name: "empty becomes nil", breaks: []string{"an empty value is a value"}, store: with(broken{load: func(entries []mucfr.Entry) []mucfr.Entry {
			for i, e := range entries {
				if len(e.Value) == 0 {
					entries[i].Value = nil
				}
			}
			return entries
		}})},
		{name: "nil is empty", breaks: []string{"nil deletes", "many entries", "a room that was closed"}, store: keeping(func(_, value []byte) []byte { return append([]byte{}, value...) })},
		{name: "nil is no change", breaks: []string{"nil deletes"}, store: taking(func(entries []mucfr.Entry) []mucfr.Entry {
			return slices.DeleteFunc(slices.Clone(entries), func(e mucfr.Entry) bool { return e.Value == nil })
		})},
		{name: "deletes by a pattern", breaks: []string{"nil deletes"}, store: with(broken{begin: func(old contents, by []mucfr.Entry) contents {
			for _, e := range by {
				for key := range old {
					if ok, _ := path.Match(e.Key, key); ok && e.Value == nil {
						delete(old, key)
					}
				}
			}
			return old
		}})},
		{name: "small values only", breaks: []string{"large values"}, store: keeping(func(_, value []byte) []byte { return value[:min(len(value), 1<<18)] })},
		{name: "values are cut", breaks: []string{"values that are too large"}, store: keeping(func(_, value []byte) []byte { return value[:min(len(value), 2<<20)] })},
		{name: "the others of a save that fails", breaks: []string{"values that are too large"}, store: with(broken{fails: func(old contents, by []mucfr.Entry) (bool, bool) {
			if !large(by) {
				return false, false
			}
			for _, e := range by {
				if e.Value == nil {
					delete(old, e.Key)
				}
			}
			return true, true
		}})},
		{name: "written over the old value", breaks: []string{"a new value replaces the old one"}, store: keeping(func(old, value []byte) []byte {
			if value == nil {
				return nil
			}
			return append(value, old[min(len(old), len(value)):]...)
		})},
		{name: "the first value", breaks: []string{"a new value replaces the old one", "a room that was lost"}, store: keeping(func(old, value []byte) []byte {
			if old != nil && value != nil {
				return old
			}
			return value
		})},
		{name: "rows are added", breaks: []string{"many entries"}, store: with(broken{load: func(entries []mucfr.Entry) []mucfr.Entry {
			if len(entries) > 1 {
				entries = append(entries, entries[0])
			}
			return entries
		}})},
		{name: "a save is the room", breaks: []string{"a save is about its own keys", "nothing to save"}, store: with(broken{begin: func(contents, []mucfr.Entry) contents { return nil }})},
		{name: "an error of nothing", breaks: []string{"nothing to save"}, store: with(broken{fails: func(_ contents, by []mucfr.Entry) (bool, bool) { return len(by) == 0, false }})},
		{name: "the caller's bytes", breaks: []string{"entries are the caller's"}, store: with(broken{lends: true})},
		{name: "its own bytes", breaks: []string{"entries are the caller's"}, store: with(broken{exposes: true})},
		{name: "sorts the caller's entries", breaks: []string{"entries are the caller's"}, store: taking(func(entries []mucfr.Entry) []mucfr.Entry {
			slices.SortFunc(entries, func(a, b mucfr.Entry) int { return strings.Compare(a.Key, b.Key) })
			return entries
		})},
		{name: "so many parameters", breaks: []string{"many entries"}, store: taking(func(entries []mucfr.Entry) []mucfr.Entry { return entries[:min(len(entries), 16_383)] })},
		{name: "a page of them", breaks: []string{"many entries"}, store: with(broken{load: func(entries []mucfr.Entry) []mucfr.Entry { return entries[:min(len(entries), 10_000)] }})},

		{name: "deletes all rooms", breaks: []string{"delete a room", "delete what is not there"}, store: with(broken{deletes: func(string, string) bool { return true }})},
		{name: "deletes nothing", breaks: []string{"delete a room", "a room that was deleted"}, store: with(broken{deletes: func(string, string) bool { return false }})},
		{name: "deletes for ever", breaks: []string{"save after delete"}, store: with(broken{forever: true})},
		{name: "deletes rooms by a pattern", breaks: []string{"rooms do not mix"}, store: with(broken{deletes: func(room, of string) bool {
			ok, _ := path.Match(of, room)
			return ok || room == of
		}})},

		{name: "any case", breaks: []string{"keys do not mix", "a room that was closed"}, store: keyed(strings.ToLower)},
		{name: "normalized", breaks: []string{"keys do not mix"}, store: keyed(func(key string) string { return strings.ReplaceAll(key, "a\u0308", "\u00e4") })},
		{name: "paths", breaks: []string{"keys do not mix"}, store: keyed(path.Clean)},
		{name: "trimmed keys", breaks: []string{"keys do not mix"}, store: keyed(strings.TrimSpace)},
		{name: "short keys", breaks: []string{"keys do not mix"}, store: keyed(func(key string) string { return key[:min(len(key), 4000)] })},
		{name: "quoted keys", breaks: []string{"keys do not mix"}, store: keyed(func(key string) string { return strings.ReplaceAll(key, "'", "''") })},
		{name: "ASCII", breaks: []string{"keys do not mix"}, store: keyed(func(key string) string { return strings.Map(func(r rune) rune { return min(r, 127) }, key) })},
		{name: "UTF-16 without surrogates", breaks: []string{"keys do not mix"}, store: keyed(func(key string) string { return strings.Map(func(r rune) rune { return min(r, 0xfffd) }, key) })},
		{name: "one room", breaks: []string{"nothing saved", "rooms do not mix", "several rooms at once"}, store: with(broken{room: func(jid.JID) string { return "" }})},
		{name: "localparts", breaks: []string{"rooms do not mix", "rooms and keys do not mix"}, store: with(broken{room: func(room jid.JID) string { return room.Localpart() }})},
		{name: "short room names", breaks: []string{"rooms do not mix"}, store: with(broken{room: func(room jid.JID) string {
			name := room.Bare().String()
			return name[:min(len(name), 1000)]
		}})},
		{name: "full JIDs", breaks: []string{"rooms are bare"}, store: with(broken{room: jid.JID.String})},

		{name: "deaf", breaks: []string{"a context that has ended"}, store: with(broken{deaf: true})},
		{name: "the error comes late", breaks: []string{"a context that has ended"}, store: with(broken{late: true})},
		{name: "a part is saved", breaks: []string{"a context that ends meanwhile"}, store: with(broken{partial: true})},
		{name: "the error comes late, meanwhile", breaks: []string{"a context that ends meanwhile"}, store: with(broken{late: true})},
		{name: "one file, read and written", breaks: []string{"several rooms at once"}, store: with(broken{whole: new(crossing).wait})},
		{name: "saved in two parts", breaks: []string{"a save is seen as a whole"}, store: with(broken{torn: new(crossing).wait})},
		{name: "loaded in two parts", breaks: []string{"a save is seen as a whole"}, store: with(broken{dirty: new(crossing).wait})},

		{name: "forgets who has left", breaks: []string{"a room that was closed", "a room that was lost"}, store: without("departure/")},
		{name: "forgets who was there", breaks: []string{"a room that was closed", "a room that was lost"}, store: without("occupant/")},
		{name: "forgets messages", breaks: []string{"a room that was closed", "a room that was lost"}, store: without("message/")},
	})
}

func TestReopenedRules(t *testing.T) {
	check := func(r mucfrtest.Runner, newDisk func() func() mucfr.Store) {
		mucfrtest.CheckReopened(r, func(testing.TB) func(testing.TB) mucfr.Store {
			open := newDisk()
			return func(testing.TB) mucfr.Store { return open() }
		})
	}
	with := func(b broken) func() func() mucfr.Store {
		return func() func() mucfr.Store {
			d := new(disk)
			return func() mucfr.Store { return &faulty{broken: b, disk: d} }
		}
	}
	type f = fault[func() mucfr.Store]
	expectFaults(t, check, []f{
		{name: "faultless", store: with(broken{})},
		{name: "written when it is closed", store: func() func() mucfr.Store {
			d := new(disk)
			return func() mucfr.Store { return &closing{faulty: faulty{disk: d.copy()}, to: d} }
		}},
	}, []f{
		{name: "in memory", breaks: []string{"entries survive", "replaced values do not come back", "deleted entries do not come back", "rooms survive"}, store: func() func() mucfr.Store {
			return func() mucfr.Store { return new(mucfr.Memory) }
		}},
		{name: "new entries only", breaks: []string{"replaced values do not come back", "rooms survive"}, store: with(broken{log: func(old bool) bool { return !old }})},
		{name: "deletes in memory", breaks: []string{"deleted entries do not come back"}, store: with(broken{softly: true})},
		{name: "names of files", breaks: []string{"entries survive"}, store: with(broken{key: path.Clean})},
	})
}
