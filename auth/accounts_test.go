// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/auth/authtest"
)

var _ auth.Credentials = (*auth.Accounts)(nil)

func TestAccounts(t *testing.T) {
	t.Run("passwords", func(t *testing.T) {
		authtest.RunCredentials(t, func(testing.TB) (auth.Credentials, func(jid.JID, string) error) {
			a := &auth.Accounts{Iterations: iterations}
			return a, a.SetPassword
		})
	})
	t.Run("keys", func(t *testing.T) {
		authtest.RunCredentials(t, func(testing.TB) (auth.Credentials, func(jid.JID, string) error) {
			a := new(auth.Accounts)
			return a, func(account jid.JID, password string) error {
				k, err := auth.NewKeys(password, auth.ScramSHA256Plus, iterations)
				if err != nil {
					return err
				}
				return a.SetKeys(account, auth.ScramSHA256Plus, k)
			}
		})
	})
}

func TestAccountsIterations(t *testing.T) {
	var a auth.Accounts
	for _, test := range []struct{ set, want int }{{0, auth.DefaultIterations}, {5000, 5000}} {
		a.Iterations = test.set
		require.NoError(t, a.SetPassword(juliet, password))
		for _, mechanism := range []string{auth.ScramSHA256, auth.ScramSHA1} {
			k, err := a.Keys(t.Context(), juliet, mechanism)
			require.NoError(t, err)
			assert.Equal(t, test.want, k.Iterations, mechanism)
		}
	}
}

func TestAccountsRefusePasswords(t *testing.T) {
	for _, test := range []struct {
		name       string
		account    jid.JID
		password   string
		iterations int
	}{
		{"no account", jid.JID{}, password, iterations},
		{"only a domain", domain, password, iterations},
		{"no password", juliet, "", iterations},
		{"RFC 4013: nothing is left of the password", juliet, "\u00ad\u200b\ufe0f", iterations},
		{"too few iterations", juliet, password, 4095},
		{"too many iterations", juliet, password, 1 << 30},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := auth.Accounts{Iterations: iterations}
			require.NoError(t, a.SetPassword(juliet, password))
			before, err := a.Keys(t.Context(), juliet, auth.ScramSHA1)
			require.NoError(t, err)

			a.Iterations = test.iterations
			require.Error(t, a.SetPassword(test.account, test.password))
			after, err := a.Keys(t.Context(), juliet, auth.ScramSHA1)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(before.StoredKey, after.StoredKey), "the old password is gone")
		})
	}
}

func TestAccountsRefuseKeys(t *testing.T) {
	good, err := auth.NewKeys(password, auth.ScramSHA256, iterations)
	require.NoError(t, err)
	for _, test := range []struct {
		name      string
		account   jid.JID
		mechanism string
		change    func(*auth.Keys)
	}{
		{"no account", jid.JID{}, auth.ScramSHA256, func(*auth.Keys) {}},
		{"only a domain", domain, auth.ScramSHA256, func(*auth.Keys) {}},
		{"no mechanism", juliet, "", func(*auth.Keys) {}},
		{"a mechanism without keys", juliet, auth.Plain, func(*auth.Keys) {}},
		{"a suffix only", juliet, "-PLUS", func(*auth.Keys) {}},
		{"another hash", juliet, auth.ScramSHA1, func(*auth.Keys) {}},
		{"no keys", juliet, auth.ScramSHA256, func(k *auth.Keys) { *k = auth.Keys{} }},
		{"no salt", juliet, auth.ScramSHA256, func(k *auth.Keys) { k.Salt = nil }},
		{"no iterations", juliet, auth.ScramSHA256, func(k *auth.Keys) { k.Iterations = 0 }},
		{"too few iterations", juliet, auth.ScramSHA256, func(k *auth.Keys) { k.Iterations = 4095 }},
		{"too many iterations", juliet, auth.ScramSHA256, func(k *auth.Keys) { k.Iterations = 1 << 30 }},
		{"a short stored key", juliet, auth.ScramSHA256, func(k *auth.Keys) { k.StoredKey = k.StoredKey[1:] }},
		{"a long server key", juliet, auth.ScramSHA256, func(k *auth.Keys) { k.ServerKey = append(slices.Clip(k.ServerKey), 0) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			var a auth.Accounts
			k := good
			test.change(&k)
			require.Error(t, a.SetKeys(test.account, test.mechanism, k))
			_, err := a.Keys(t.Context(), test.account, test.mechanism)
			require.ErrorIs(t, err, auth.ErrUnknownAccount)
		})
	}
}

func TestAccountsSetKeys(t *testing.T) {
	a := auth.Accounts{Iterations: iterations}
	require.NoError(t, a.SetPassword(juliet, password))
	other, err := a.Keys(t.Context(), juliet, auth.ScramSHA1)
	require.NoError(t, err)

	want, err := auth.NewKeys(password, auth.ScramSHA256, iterations)
	require.NoError(t, err)
	given := auth.Keys{
		Salt: bytes.Clone(want.Salt), Iterations: want.Iterations,
		StoredKey: bytes.Clone(want.StoredKey), ServerKey: bytes.Clone(want.ServerKey),
	}
	require.NoError(t, a.SetKeys(balcony, auth.ScramSHA256Plus, given))
	clear(given.Salt)
	clear(given.StoredKey)
	clear(given.ServerKey)

	got, err := a.Keys(t.Context(), juliet, auth.ScramSHA256)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(want.Salt, got.Salt), "the salt is still the caller's")
	assert.True(t, bytes.Equal(want.StoredKey, got.StoredKey), "the stored key is still the caller's")
	assert.True(t, bytes.Equal(want.ServerKey, got.ServerKey), "the server key is still the caller's")
	got, err = a.Keys(t.Context(), juliet, auth.ScramSHA1)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(other.StoredKey, got.StoredKey), "the keys of another mechanism have changed")
}

func TestAccountsRemove(t *testing.T) {
	a := auth.Accounts{Iterations: iterations}
	a.Remove(juliet) // There is none.
	romeo := jid.MustParse("romeo@im.example.com")
	require.NoError(t, a.SetPassword(juliet, password))
	require.NoError(t, a.SetPassword(romeo, password))
	a.Remove(balcony)
	for _, mechanism := range []string{auth.ScramSHA256, auth.ScramSHA1} {
		_, err := a.Keys(t.Context(), juliet, mechanism)
		require.ErrorIs(t, err, auth.ErrUnknownAccount, mechanism)
		_, err = a.Keys(t.Context(), romeo, mechanism)
		require.NoError(t, err, mechanism)
	}
}

func TestAccountsShowNothing(t *testing.T) {
	var holder struct {
		Exported auth.Accounts
		hidden   auth.Accounts
	}
	var secrets []string
	for _, a := range []*auth.Accounts{&holder.Exported, &holder.hidden} {
		a.Iterations = iterations
		require.NoError(t, a.SetPassword(juliet, password))
		k, err := a.Keys(t.Context(), juliet, auth.ScramSHA256)
		require.NoError(t, err)
		secrets = append(secrets, string(k.StoredKey), string(k.ServerKey))
	}
	assertHidden(t, secrets, &holder, &holder.Exported)
}

// assertHidden asserts that secrets, of which eight bytes are enough, are not seen
// in values, be it by fmt with any verb or by a logger.
func assertHidden(t *testing.T, secrets []string, values ...any) {
	t.Helper()
	var seen strings.Builder
	for _, v := range values {
		for _, verb := range "vTtbcdoOqxXUeEfFgGspw" {
			for _, flag := range []string{"", "+", "#", " "} {
				fmt.Fprintf(&seen, "%"+flag+string(verb)+"\n", v)
			}
		}
		slog.New(slog.NewTextHandler(&seen, nil)).Info("seen", "value", v)
		slog.New(slog.NewJSONHandler(&seen, nil)).Info("seen", "value", v)
		if text, err := json.Marshal(v); err == nil {
			seen.Write(text)
		}
	}
	for _, secret := range secrets {
		b := []byte(secret[:8])
		for _, verb := range []string{"s", "x", "X", "# x", "d", "o", "b", "#v"} {
			form := strings.Trim(fmt.Sprintf("%"+verb, b), "[]")
			form = strings.TrimSuffix(strings.TrimPrefix(form, "[]byte{"), "}")
			assert.False(t, strings.Contains(seen.String(), form), "a secret is seen, in the form of %%%s", verb)
		}
	}
}
