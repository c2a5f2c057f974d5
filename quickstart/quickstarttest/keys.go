// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstarttest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/quickstart"
)

// alikeAccounts are accounts that a cache may take for one another: by the collation
// of a database, its patterns, or the names of files.
var alikeAccounts = [][]string{
	{"romeo@example.net", "juliet@example.net", "romeo@example.org", "romeo@example.ne", "rome@example.net", "example.net", "romeo@net.example"},
	{"romeo%@example.net", "romeo_@example.net", "romeo*@example.net", "romeox@example.net", `romeo\@example.net`},
	{"muller@example.net", "müller@example.net", "strasse@example.net", "straße@example.net", "日本@example.net", "日本語@example.net"},
	{"..@example.net", ".@example.net", "romeo.@example.net", "con@example.net", "romeo%2f@example.net"},
	{"1@example.net", "01@example.net", "null@example.net", "x;--@example.net"},
	{
		strings.Repeat("a", 1022) + "b@example.net", strings.Repeat("a", 1022) + "c@example.net",
		strings.Repeat("a", 1023) + "@" + longDomain("b"), strings.Repeat("a", 1023) + "@" + longDomain("c"),
	},
}

// longDomain returns a domain of 1023 bytes.
func longDomain(end string) string { return strings.Repeat("a.", 511) + end }

// alikeTexts are names of trust configurations and of values.
var alikeTexts = [][]string{
	{"", "plan", "plan ", " plan", "Plan", "plans", "pla", "plan.", "plan:", "PLAN"},
	{"dns/example.net", "dns/example.org", "dns", "dns/", "dns//example.net", "dns/example.net/", "example.net", "dns\\example.net"},
	{"..", ".", "../plan", "./plan", "plan/..", "/plan", "/", "~", "%2e%2e", "plan.new", "CON", "NUL:"},
	{"'", `"`, "`", "' OR '1'='1", "%", "_", "*", "?", "{}", "null", "0", "00"},
	{strings.Repeat("x", 1099) + "y", strings.Repeat("x", 1099) + "z", strings.Repeat("x", 1099), "x"},
}

// wideTexts are names of trust configurations.
var wideTexts = []string{"ä", "a\u0308", "a", "ß", "ss", "SS", "日本語", "🙂", "\ufffd", "?"}

var keyRules = []rule[quickstart.Cache]{
	{
		name: "accounts do not mix",
		says: "Whatever their names look like, two accounts have nothing in common, nor has one with what all share.",
		check: func(ctx context.Context, t testing.TB, c quickstart.Cache) {
			for _, alike := range alikeAccounts {
				keys := []quickstart.Key{{Name: "plan"}}
				for _, name := range alike {
					keys = append(keys, quickstart.Key{Account: parse(t, name), Name: "plan"})
				}
				expectApart(ctx, t, c, keys)
			}
		},
	},
	{
		name: "trust configurations do not mix",
		says: "What was learned under one configuration is not there under another.",
		check: func(ctx context.Context, t testing.TB, c quickstart.Cache) {
			romeo := parse(t, "romeo@example.net")
			for _, alike := range append([][]string{wideTexts}, alikeTexts...) {
				var keys []quickstart.Key
				for _, trust := range alike {
					keys = append(keys, quickstart.Key{Account: romeo, Trust: trust, Name: "tickets"})
				}
				expectApart(ctx, t, c, keys)
			}
		},
	},
	{
		name: "names do not mix",
		says: "Values with two names have nothing in common, whatever is in the names.",
		check: func(ctx context.Context, t testing.TB, c quickstart.Cache) {
			for _, account := range []jid.JID{parse(t, "romeo@example.net"), {}} {
				for _, alike := range alikeTexts {
					var keys []quickstart.Key
					for _, name := range alike {
						keys = append(keys, quickstart.Key{Account: account, Name: name})
					}
					expectApart(ctx, t, c, keys)
				}
			}
		},
	},
	{
		name: "parts of keys do not mix",
		says: "Where a part of the key ends is part of the key.",
		check: func(ctx context.Context, t testing.TB, c quickstart.Cache) {
			domain := parse(t, "example.net")
			for _, alike := range [][]quickstart.Key{
				{{Trust: "ab", Name: "c"}, {Trust: "a", Name: "bc"}, {Trust: "abc"}, {Name: "abc"}, {Trust: "c", Name: "ab"}},
				{{Trust: "a/b", Name: "c"}, {Trust: "a", Name: "b/c"}, {Trust: "a/b/c"}, {Name: "a/b/c"}, {Name: "/a/b/c"}},
				{{Account: domain}, {Trust: "example.net"}, {Name: "example.net"}},
				{{Account: domain, Trust: "x", Name: "y"}, {Trust: "example.netx", Name: "y"}, {Trust: "example.net/x", Name: "y"}, {Account: domain, Name: "x/y"}},
				{{Trust: "a b", Name: "c"}, {Trust: "a", Name: "b c"}, {Trust: "a:b", Name: "c"}, {Trust: "a", Name: "b:c"}, {Trust: "a|b", Name: "c"}, {Trust: "a", Name: "b|c"}},
			} {
				expectApart(ctx, t, c, alike)
			}
		},
	},
	{
		name: "bare accounts",
		says: "A resource makes no other account: what it has is that of the bare one, or it is refused.",
		check: func(ctx context.Context, t testing.TB, c quickstart.Cache) {
			bare, full := plan(t, "romeo@example.net"), plan(t, "romeo@example.net/orchard")
			want := []byte("value")
			put(ctx, t, c, bare, want)
			if got, err := c.Get(ctx, full); err == nil && string(got) != string(want) {
				t.Errorf("the full JID has %s, want %s", short(got), short(want))
			}
			if c.Put(ctx, full, []byte("another")) == nil {
				want = []byte("another")
			}
			assertValue(ctx, t, c, bare, want)
			if c.Delete(ctx, full.Account) == nil {
				want = nil
			}
			assertValue(ctx, t, c, bare, want)
		},
	},
}

// expectApart asserts that what happens to the value of one key is nothing to the
// others.
func expectApart(ctx context.Context, t testing.TB, c quickstart.Cache, keys []quickstart.Key) {
	t.Helper()
	value := func(round, i int) []byte { return fmt.Appendf(nil, "value %d of %d", round, i) }
	for i, k := range keys {
		put(ctx, t, c, k, value(0, i))
	}
	for i, k := range keys {
		assertValue(ctx, t, c, k, value(0, i))
	}
	for i, k := range keys {
		put(ctx, t, c, k, value(1, i))
		if next := i + 1; next < len(keys) {
			assertValue(ctx, t, c, keys[next], value(0, next))
		}
	}
	for i, k := range keys {
		assertValue(ctx, t, c, k, value(1, i))
	}
}
