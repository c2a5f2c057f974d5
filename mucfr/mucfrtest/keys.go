// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfrtest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mucfr"
)

// longestKey is how many bytes a key may have.
const longestKey = 4096

// alikeKeys are keys that a store may take for one another: by the collation of a
// database, its patterns, or the names of files.
var alikeKeys = [][]string{
	{"room", "rooms", "roo", "Room", "ROOM", " room", "room ", "room/", "/room", "room.", "./room", "../room", "room\\"},
	{"occupant/hag", "occupant/Hag", "occupant/hag ", "occupant/hags", "occupant//hag", "occupant/hag/", "occupant/hag/hag", "occupant", "occupant/", "hag", "visit/hag"},
	{"occupant/..", "occupant/.", "occupant/../room", "..", ".", "/", "~", "%2e%2e", "occupant%2fhag", "CON", "NUL:", "room.new"},
	{"occupant/'", `occupant/"`, "occupant/`", "occupant/' OR '1'='1", "occupant/%", "occupant/_", "occupant/*", "occupant/?", "occupant/{}", "occupant/:1", "occupant/$1", "occupant/?1"},
	{"message/1", "message/01", "message/10", "message/1.0", "message/+1", "message/1e0", "null", "0", "00", "true"},
	{"occupant/ä", "occupant/a\u0308", "occupant/a", "occupant/Ä", "occupant/ae", "occupant/e\u0301\u0323", "occupant/e\u0323\u0301", "occupant/ẹ\u0301"},
	{"occupant/ß", "occupant/ss", "occupant/SS", "occupant/ſs", "occupant/ﬁ", "occupant/fi", "occupant/İ", "occupant/i\u0307", "occupant/ı", "occupant/ς", "occupant/σ"},
	{"occupant/日本語", "occupant/日本", "occupant/🙂", "occupant/👩‍👩‍👧", "occupant/\ufffd", "occupant/?", "occupant/\u200b", "occupant/\u00a0", "occupant/ｈａｇ", "occupant/\U0010fffd"},
	{
		strings.Repeat("x", longestKey-1) + "y", strings.Repeat("x", longestKey-1) + "z", strings.Repeat("x", longestKey-1), strings.Repeat("x", 1024), "x",
		strings.Repeat("🙂", longestKey/4-1) + "🙃", strings.Repeat("🙂", longestKey/4), strings.Repeat("'", longestKey), strings.Repeat("a\u0308", longestKey/3),
	},
}

// alikeRooms are rooms that a store may take for one another.
var alikeRooms = [][]string{
	{"coven@chat.example", "heath@chat.example", "coven@chat.example.org", "cove@chat.example", "chat.example", "coven@example.chat", "coven@other.example"},
	{"coven%@chat.example", "coven_@chat.example", "coven*@chat.example", "covenx@chat.example", `coven\@chat.example`, "coven%2f@chat.example"},
	{"muller@chat.example", "müller@chat.example", "strasse@chat.example", "straße@chat.example", "日本@chat.example", "日本語@chat.example"},
	{"..@chat.example", ".@chat.example", "coven.@chat.example", "con@chat.example"},
	{"1@chat.example", "01@chat.example", "null@chat.example", "x;--@chat.example"},
	{
		strings.Repeat("a", 1022) + "b@chat.example", strings.Repeat("a", 1022) + "c@chat.example",
		strings.Repeat("a", 1023) + "@" + longDomain("b"), strings.Repeat("a", 1023) + "@" + longDomain("c"),
	},
}

// longDomain returns a domain of 1023 bytes.
func longDomain(end string) string { return strings.Repeat("a.", 511) + end }

var keyRules = []rule[mucfr.Store]{
	{
		name: "keys do not mix",
		says: "Two keys have nothing in common, however alike they are, and are kept as they are: no case, form or character of them is changed.",
		check: func(ctx context.Context, t testing.TB, s mucfr.Store) {
			for n, alike := range alikeKeys {
				room := address(t, fmt.Sprintf("coven%d@chat.example", n))
				var want contents
				change := func(entries ...mucfr.Entry) {
					save(ctx, t, s, room, entries...)
					want = want.with(entries)
					assertContents(ctx, t, s, room, want)
				}
				var all []mucfr.Entry
				for i, key := range alike {
					all = append(all, entry(key, fmt.Sprint("value ", i)))
				}
				change(all...)
				for i, key := range alike {
					change(entry(key, fmt.Sprint("another value ", i)))
				}
				for i, key := range alike {
					change(gone(key), entry(alike[(i+1)%len(alike)], fmt.Sprint("the last value ", i)))
				}
			}
		},
	},
	{
		name: "rooms do not mix",
		says: "Whatever their addresses look like, two rooms have nothing in common.",
		check: func(ctx context.Context, t testing.TB, s mucfr.Store) {
			for _, alike := range alikeRooms {
				var rooms []jid.JID
				for _, name := range alike {
					rooms = append(rooms, address(t, name))
				}
				value := func(round, i int) contents { return contents{"room": fmt.Sprintf("value %d of %d", i, round)} }
				for round := range 2 {
					for i, room := range rooms {
						save(ctx, t, s, room, value(round, i).entries()...)
						if next := i + 1; round > 0 && next < len(rooms) {
							assertContents(ctx, t, s, rooms[next], value(round-1, next))
						}
					}
					for i, room := range rooms {
						assertContents(ctx, t, s, room, value(round, i))
					}
				}
				for i, room := range rooms {
					if err := s.Delete(ctx, room); err != nil {
						t.Errorf("delete %s: %v", short(room.String()), err)
					}
					assertContents(ctx, t, s, room, nil)
					for j, other := range rooms[i+1:] {
						assertContents(ctx, t, s, other, value(1, i+1+j))
					}
				}
			}
		},
	},
	{
		name: "rooms and keys do not mix",
		says: "Where the address of a room ends and a key begins is part of what they are.",
		check: func(ctx context.Context, t testing.TB, s mucfr.Store) {
			short, long := address(t, "coven@chat.example"), address(t, "coven@chat.example.org")
			a := contents{".org/room": "1", ".orgroom": "2", "/room": "3", "room": "4", "org": "5", " room": "6"}
			b := contents{"room": "7", "/room": "8", "org": "9"}
			save(ctx, t, s, short, a.entries()...)
			save(ctx, t, s, long, b.entries()...)
			assertContents(ctx, t, s, short, a)
			assertContents(ctx, t, s, long, b)
		},
	},
	{
		name: "rooms are bare",
		says: "An address with a resource is that of the room without.",
		check: func(ctx context.Context, t testing.TB, s mucfr.Store) {
			bare, full := coven(t), address(t, "coven@chat.example/hag")
			save(ctx, t, s, bare, entry("room", "value"))
			assertContents(ctx, t, s, full, contents{"room": "value"})
			save(ctx, t, s, full, entry("message/1", "value"))
			assertContents(ctx, t, s, bare, contents{"room": "value", "message/1": "value"})
			if err := s.Delete(ctx, full); err != nil {
				t.Errorf("delete %s: %v", full, err)
			}
			assertContents(ctx, t, s, bare, nil)
		},
	},
}
