// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package authtest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"hash"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
)

// RunCredentials checks a store of accounts.
//
// NewStore returns a store without accounts, and a function that gives an account
// a password, instead of any other that it had, in the way in which the store's
// users do it.
// A store that is given keys, instead of making them, is given what [auth.NewKeys]
// returns. It may have them for one of SCRAM-SHA-256 and SCRAM-SHA-1 only.
//
// A resource of an account may be refused or left out of account, but must not
// make another account of it.
func RunCredentials(t *testing.T, newStore func(t testing.TB) (store auth.Credentials, setPassword func(account jid.JID, password string) error)) {
	checkCredentials(subtests(t), newStore)
}

func checkCredentials(r runner, newStore func(t testing.TB) (auth.Credentials, func(jid.JID, string) error)) {
	run(r, credentialRules, func(t testing.TB) accounts {
		store, set := newStore(t)
		return accounts{store, set}
	})
}

// accounts are a store with a way to fill it.
type accounts struct {
	auth.Credentials
	set func(account jid.JID, password string) error
}

// hashes are what the mechanisms are named after.
var hashes = map[string]func() hash.Hash{"SCRAM-SHA-256": sha256.New, "SCRAM-SHA-1": sha1.New}

var credentialRules = []rule[accounts]{
	{
		name: "an unknown account",
		says: "The error wraps ErrUnknownAccount if there is no such account.",
		check: func(ctx context.Context, t testing.TB, s accounts) {
			require.NoError(t, s.set(parse(t, "romeo@example.net"), "pencil"))
			for mechanism := range hashes {
				_, err := s.Keys(ctx, parse(t, "juliet@example.net"), mechanism)
				require.ErrorIs(t, err, auth.ErrUnknownAccount, mechanism)
			}
		},
	},
	{
		name: "no keys for a mechanism",
		says: "The error wraps ErrUnknownAccount if the account has no keys for the mechanism.",
		check: func(ctx context.Context, t testing.TB, s accounts) {
			romeo := parse(t, "romeo@example.net")
			require.NoError(t, s.set(romeo, "pencil"))
			_, err := s.Keys(ctx, romeo, "X-OTHER")
			require.ErrorIs(t, err, auth.ErrUnknownAccount)
		},
	},
	{
		name: "keys of the password",
		says: "Keys are made of the password as in RFC 5802, section 3, with the hash of the mechanism.",
		check: func(ctx context.Context, t testing.TB, s accounts) {
			romeo := parse(t, "romeo@example.net")
			require.NoError(t, s.set(romeo, "pencil"))
			assertPassword(ctx, t, s, romeo, "pencil")
		},
	},
	{
		name: "iterations that clients accept",
		says: "There are at least 4096 iterations (RFC 5802, section 5.1), or clients refuse to log in.",
		check: func(ctx context.Context, t testing.TB, s accounts) {
			romeo := parse(t, "romeo@example.net")
			require.NoError(t, s.set(romeo, "pencil"))
			for mechanism, k := range keysOf(ctx, t, s, romeo) {
				assert.GreaterOrEqual(t, k.Iterations, 4096, mechanism)
			}
		},
	},
	{
		name: "a password that SASLprep changes",
		says: "The password is prepared by SASLprep (RFC 4013) before it is hashed, as clients do it.",
		check: func(ctx context.Context, t testing.TB, s accounts) {
			romeo := parse(t, "romeo@example.net")
			require.NoError(t, s.set(romeo, "\u2168\u00ad"), "the last example of RFC 4013, section 3 that is allowed, and a soft hyphen")
			assertPassword(ctx, t, s, romeo, "IX")
		},
	},
	{
		name: "a salt for every account",
		says: "Accounts with the same password have different salts, or they give each other away.",
		check: func(ctx context.Context, t testing.TB, s accounts) {
			romeo, juliet := parse(t, "romeo@example.net"), parse(t, "juliet@example.net")
			require.NoError(t, s.set(romeo, "pencil"))
			require.NoError(t, s.set(juliet, "pencil"))
			hers := keysOf(ctx, t, s, juliet)
			for mechanism, k := range keysOf(ctx, t, s, romeo) {
				assert.NotEmpty(t, k.Salt, mechanism)
				assert.False(t, bytes.Equal(k.Salt, hers[mechanism].Salt), "%s: one salt for both", mechanism)
			}
		},
	},
	{
		name: "the same keys each time",
		says: "Keys are stored: they are the same whenever they are asked for, or it shows which accounts exist.",
		check: func(ctx context.Context, t testing.TB, s accounts) {
			romeo := parse(t, "romeo@example.net")
			require.NoError(t, s.set(romeo, "pencil"))
			assertSameKeys(t, keysOf(ctx, t, s, romeo), keysOf(ctx, t, s, romeo))
		},
	},
	{
		name: "a new password",
		says: "A new password takes the place of the old one, for all mechanisms.",
		check: func(ctx context.Context, t testing.TB, s accounts) {
			romeo := parse(t, "romeo@example.net")
			require.NoError(t, s.set(romeo, "pencil"))
			require.NoError(t, s.set(romeo, "pen"))
			assertPassword(ctx, t, s, romeo, "pen")
		},
	},
	{
		name: "accounts do not mix",
		says: "Whatever their names look like, two accounts have nothing in common.",
		check: func(ctx context.Context, t testing.TB, s accounts) {
			for _, alike := range alikeAccounts {
				var passwords []string
				for i, name := range alike {
					_, err := s.Keys(ctx, parse(t, name), "SCRAM-SHA-256")
					require.ErrorIs(t, err, auth.ErrUnknownAccount, "%s has keys without a password", short(name))
					passwords = append(passwords, "pencil"+string(rune('a'+i)))
					require.NoError(t, s.set(parse(t, name), passwords[i]), short(name))
				}
				for i, name := range alike {
					assertPassword(ctx, t, s, parse(t, name), passwords[i])
				}
			}
		},
	},
	{
		name: "bare accounts",
		says: "A resource makes no other account: Keys and a new password mean the bare one, or are refused.",
		check: func(ctx context.Context, t testing.TB, s accounts) {
			full := parse(t, "romeo@example.net/orchard")
			require.NoError(t, s.set(parse(t, "romeo@example.net"), "pencil"))
			bare := keysOf(ctx, t, s, full.Bare())
			for mechanism, want := range bare {
				if k, err := s.Keys(ctx, full, mechanism); err == nil {
					assertSameKeys(t, map[string]auth.Keys{mechanism: want}, map[string]auth.Keys{mechanism: k})
				}
			}
			if s.set(full, "pen") == nil {
				assertPassword(ctx, t, s, full.Bare(), "pen")
			} else {
				assertSameKeys(t, bare, keysOf(ctx, t, s, full.Bare()))
			}
		},
	},
	{
		name: "keys belong to the caller",
		says: "Whoever changes the keys that it was given has not changed the account.",
		check: func(ctx context.Context, t testing.TB, s accounts) {
			romeo := parse(t, "romeo@example.net")
			require.NoError(t, s.set(romeo, "pencil"))
			for _, k := range keysOf(ctx, t, s, romeo) {
				clear(k.Salt)
				clear(k.StoredKey)
				clear(k.ServerKey)
			}
			assertPassword(ctx, t, s, romeo, "pencil")
		},
	},
	{
		name:  "several sessions at once",
		says:  "Keys may be asked for at any time: while a password changes they are the old or the new ones, and not some of each.",
		check: checkManySessions,
	},
	{
		name: "a context that has ended",
		says: "A context that has ended is an error, but it does not mean that the account is unknown.",
		check: func(ctx context.Context, t testing.TB, s accounts) {
			romeo := parse(t, "romeo@example.net")
			require.NoError(t, s.set(romeo, "pencil"))
			for _, name := range []string{"romeo@example.net", "juliet@example.net"} {
				for mechanism := range hashes {
					_, err := s.Keys(ended(ctx), parse(t, name), mechanism)
					require.Error(t, err, mechanism)
					require.NotErrorIs(t, err, auth.ErrUnknownAccount, mechanism)
				}
			}
		},
	},
}

func checkManySessions(ctx context.Context, t testing.TB, s accounts) {
	romeo := parse(t, "romeo@example.net")
	require.NoError(t, s.set(romeo, "pencil"))
	before := keysOf(ctx, t, s, romeo)

	var (
		changed  atomic.Bool
		sessions sync.WaitGroup
		started  sync.WaitGroup
		mu       sync.Mutex
		errs     []error
		seen     = make(map[string][]auth.Keys) // each once
	)
	for range 4 {
		started.Add(1)
		sessions.Go(func() {
			for i, done := 0, false; !done; i++ {
				done = changed.Load() // One more turn for what is there then.
				for mechanism := range before {
					k, err := s.Keys(ctx, romeo, mechanism)
					mu.Lock()
					if err != nil {
						errs, done = append(errs, err), true
					} else if !slices.ContainsFunc(seen[mechanism], func(other auth.Keys) bool { return sameKeys(k, other) }) {
						seen[mechanism] = append(seen[mechanism], k)
					}
					mu.Unlock()
				}
				if i == 0 {
					started.Done()
				}
			}
		})
	}
	started.Wait()
	err := s.set(romeo, "pen")
	changed.Store(true)
	sessions.Wait()
	require.NoError(t, err)
	require.NoError(t, errors.Join(errs...))
	assertPassword(ctx, t, s, romeo, "pen")
	after := keysOf(ctx, t, s, romeo)
	for mechanism, keys := range seen {
		for _, k := range keys {
			assert.True(t, sameKeys(k, before[mechanism]) || sameKeys(k, after[mechanism]),
				"%s: keys that are neither the old nor the new ones", mechanism)
		}
	}
}

// keysOf returns the keys of an account for those mechanisms that there are some
// for.
func keysOf(ctx context.Context, t testing.TB, s accounts, account jid.JID) map[string]auth.Keys {
	t.Helper()
	found := make(map[string]auth.Keys)
	for mechanism := range hashes {
		k, err := s.Keys(ctx, account, mechanism)
		if errors.Is(err, auth.ErrUnknownAccount) {
			continue
		}
		require.NoError(t, err, mechanism)
		found[mechanism] = k
	}
	require.NotEmpty(t, found, "%s has a password, but keys for no mechanism", short(account.String()))
	return found
}

// assertPassword asserts that an account has a password, which SASLprep does not
// change.
func assertPassword(ctx context.Context, t testing.TB, s accounts, account jid.JID, password string) {
	t.Helper()
	for mechanism, k := range keysOf(ctx, t, s, account) {
		require.Positive(t, k.Iterations, mechanism)
		require.NotEmpty(t, k.Salt, mechanism)
		h := hashes[mechanism]
		salted, err := pbkdf2.Key(h, password, k.Salt, k.Iterations, h().Size())
		require.NoError(t, err, mechanism)
		stored := h()
		stored.Write(mac(h, salted, "Client Key"))
		assert.True(t, bytes.Equal(stored.Sum(nil), k.StoredKey), "%s: the StoredKey of %s is not that of its password", mechanism, short(account.String()))
		assert.True(t, bytes.Equal(mac(h, salted, "Server Key"), k.ServerKey), "%s: the ServerKey of %s is not that of its password", mechanism, short(account.String()))
	}
}

func mac(h func() hash.Hash, key []byte, text string) []byte {
	m := hmac.New(h, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func assertSameKeys(t testing.TB, want, got map[string]auth.Keys) {
	t.Helper()
	assert.Len(t, got, len(want))
	for mechanism, k := range want {
		assert.True(t, sameKeys(k, got[mechanism]), "%s: the keys are not the same", mechanism)
	}
}

func sameKeys(a, b auth.Keys) bool {
	return a.Iterations == b.Iterations && bytes.Equal(a.Salt, b.Salt) &&
		bytes.Equal(a.StoredKey, b.StoredKey) && bytes.Equal(a.ServerKey, b.ServerKey)
}

// short cuts a name for a message.
func short(name string) string {
	if len(name) <= 60 {
		return name
	}
	return name[:20] + "…" + name[len(name)-20:]
}
