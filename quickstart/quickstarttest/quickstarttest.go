// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Package quickstarttest checks that caches do what package quickstart expects of
// them.
//
// Whoever keeps what is remembered between logins in a place of their own, such as a
// database or the keychain of the system, calls it from a test:
//
//		func TestCache(t *testing.T) {
//			quickstarttest.Run(t, func(t testing.TB) quickstart.Cache {
//				return mycache.New(t.TempDir())
//			})
//		}
//
//	  - [Run] is for every cache,
//	  - [RunReopened] for one that is still there when the program is started again,
//	  - [RunShared] for one that several processes may have at once.
//
// Each rule is a subtest with a new cache. A failure ends with the rule that was
// broken, in a sentence.
// Run the tests with the race detector: caches are called by several goroutines.
//
// # What a cache needs to be able to keep
//
// Values are opaque, and have up to 64 KiB. A cache has room for 100 values of 4 KiB
// at once. Empty values may be taken for absent ones.
// Localpart and domain of an account may have 1023 bytes each. The name of a trust
// configuration is UTF-8 without control characters, and that of a value is printable
// ASCII; both have up to 1100 bytes. Any of them may be empty.
//
// A cache may drop values to make room, but none while a test has fewer than that.
// A rule takes a minute at most: then its context ends.
package quickstarttest

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/quickstart"
)

// patience is how long a rule may take, so that a cache that waits for itself fails
// with an error instead of with the whole test binary.
const patience = time.Minute

// A rule is one of those that a cache, or what makes caches, must keep to.
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

// run checks each rule on a cache of its own.
func run[S any](run runner, rules []rule[S], newCache func(t testing.TB) S) {
	for _, r := range rules {
		run(r.name, func(t testing.TB) {
			defer func() {
				if t.Failed() {
					t.Log("The rule: " + r.says)
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			r.check(ctx, t, newCache(t))
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

// plan returns the key of a value of an account.
func plan(t testing.TB, account string) quickstart.Key {
	t.Helper()
	return quickstart.Key{Account: parse(t, account), Trust: "default", Name: "plan"}
}

// put puts a value that a cache must take.
func put(ctx context.Context, t testing.TB, c quickstart.Cache, k quickstart.Key, value []byte) {
	t.Helper()
	require.NoError(t, c.Put(ctx, k, value), "put %s", show(k))
}

// assertValue asserts what a cache has. That a value is absent is nil.
func assertValue(ctx context.Context, t testing.TB, c quickstart.Cache, k quickstart.Key, want []byte) {
	t.Helper()
	got, err := c.Get(ctx, k)
	require.NoError(t, err, "get %s", show(k))
	if want == nil {
		assert.True(t, got == nil, "%s is absent, which is nil, but there is %s", show(k), short(got))
		return
	}
	assert.True(t, bytes.Equal(want, got), "%s is %s, want %s", show(k), short(got), short(want))
}

func show(k quickstart.Key) string {
	return fmt.Sprintf("%s/%s/%s", short([]byte(k.Account.String())), short([]byte(k.Trust)), short([]byte(k.Name)))
}

// short returns a text for people, of at most a few dozen bytes.
func short(b []byte) string {
	const most = 40
	switch {
	case b == nil:
		return "nothing"
	case len(b) > most:
		return fmt.Sprintf("%.*q… (%d bytes)", most, b, len(b))
	}
	return fmt.Sprintf("%q", b)
}

// ended returns a context that has ended.
func ended(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}
