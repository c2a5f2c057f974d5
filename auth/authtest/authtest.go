// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Package authtest checks that stores do what package auth expects of them.
//
// Whoever keeps accounts or tokens in a database of their own calls it from a
// test:
//
//		func TestTokens(t *testing.T) {
//			authtest.RunTokens(t, func(t testing.TB) auth.TokenStore {
//				return mystore.New(emptyDatabase(t))
//			})
//		}
//
//	  - [RunCredentials] is for an [auth.Credentials],
//	  - [RunTokens] for an [auth.TokenStore], and [RunSharedTokens] for one whose
//	    database several processes use,
//	  - [RunTokenCache] for an [auth.TokenCache].
//
// Each rule is a subtest with a new store. A failure ends with the rule that was
// broken, in a sentence, and its name says which requirement of XEP-0484 is behind
// it if there is one.
// Run the tests with the race detector: stores are called by several goroutines.
//
// # What a store needs to be able to keep
//
// Secrets are opaque: they are kept byte by byte. They may have any character that
// XML allows, quotes and line feeds among them, and 1024 bytes.
// The localpart of an account may have 1023 bytes.
// The id of a client is a UUID in lower case. A store may refuse any other text,
// or else it is as opaque as a secret.
// Counts go up to 2⁶³−1. Times may lose what is below a second, and their zone.
//
// No account ever has tokens for more than 16 clients, and tokens expire within a
// day, but none while a test runs.
// A rule takes a minute at most: then its context ends.
package authtest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"
)

// patience is how long a rule may take, so that a store that waits for itself
// fails with an error instead of with the whole test binary.
const patience = time.Minute

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

// parse returns an address, bare or full.
func parse(t testing.TB, address string) jid.JID {
	t.Helper()
	j, err := jid.Parse(address)
	require.NoError(t, err)
	return j
}

// ended returns a context that has ended.
func ended(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

// alikeAccounts are accounts that a database may take for one another: by its
// collation, its patterns or the length of a column.
var alikeAccounts = [][]string{
	{"romeo@example.net", "juliet@example.net", "romeo@example.org", "romeo@example.ne", "romeo@net.example"},
	{"romeo%@example.net", "romeo_@example.net", "romeo*@example.net", "romeox@example.net", `romeo\@example.net`},
	{"muller@example.net", "müller@example.net", "mueller@example.net"},
	{"strasse@example.net", "straße@example.net"},
	{"books@books.example", "books@bücher.example", "books@bucher.example"},
	{"x;--@example.net", "x);--@example.net", "null@example.net", "$1@example.net", "?@example.net"},
	{"1@example.net", "01@example.net", "1e0@example.net", "1.0@example.net"},
	{"日本@example.net", "日本語@example.net", "本日@example.net"},
	{strings.Repeat("a", 1022) + "b@example.net", strings.Repeat("a", 1022) + "c@example.net"},
}

// alikeClients are ids of clients.
var alikeClients = []string{
	"d4565fa7-4d72-4749-b3d3-740edbf87770",
	"d4565fa7-4d72-4749-b3d3-740edbf87771",
	"e4565fa7-4d72-4749-b3d3-740edbf87770",
	"d4565fa7-4d72-4749-b3d3-000000000000",
	"00000000-0000-4000-8000-000000000000",
	"00000000-0000-4000-8000-000000000001",
	"10000000-0000-4000-8000-000000000000",
	"ffffffff-ffff-4fff-bfff-ffffffffffff",
}

// alikeTexts are texts of any kind. None has more than 1024 bytes.
var alikeTexts = [][]string{
	{"phone", "phone ", " phone", "phone\t", "phone\n", "Phone", "phones"},
	{"'", `"`, "`", `\`, `\'`, "''", `\\`},
	{"'; DROP TABLE tokens; --", "' OR '1'='1", "x') ON CONFLICT DO NOTHING; --", "/* */", "--"},
	{"%", "_", "*", "?", ".*", "$1", ":1", "@p1", "%s", "{}"},
	{"null", "NULL", "nil", "true", "<nil>"},
	{"1", "01", "1.0", "1e0", "0x1", "+1", "-1"},
	{"ä", "a\u0308", "a", "ae", "Ä"},
	{"ss", "ß", "SS", "ẞ"},
	{"i", "I", "ı", "İ"},
	{"🙂", "🙃", "?", "\ufffd", "日本語"},
	{"phone\u200b", "phone\u00ad", "phone\u2060", "phone"},
	{"../tokens", "..", "./phone", "a/b", "a%2Fb", "a\\b"},
	{"<client id='1'/>", "&amp;", "&", "]]>"},
	{strings.Repeat("x", 1023) + "y", strings.Repeat("x", 1023) + "z", strings.Repeat("x", 1022), "x"},
	{strings.Repeat("ü", 511) + "ä", strings.Repeat("ü", 511) + "ö"},
}
