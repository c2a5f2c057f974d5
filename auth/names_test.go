// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/auth"
)

// TestNamesBeyondSASLprep has user names that addresses allow and SASLprep, which
// is of 2005, does not know: the password is prepared all the same.
func TestNamesBeyondSASLprep(t *testing.T) {
	for _, user := range []string{"\u0242", "juliet\u1c80"} {
		for _, identity := range []string{"", user + "@im.example.com"} {
			srv := serverOf(t, names{user: user, password: "IX"})
			for _, name := range append(scrams[:2:2], auth.Plain) {
				g := new(gate)
				require.NoError(t, letTalk(bareClient(t, name, names{user, "I\u00adX", identity}), bareServer(t, srv, name, g)).err(), name)
				assert.Equal(t, identity, g.asked[0].identity)
			}
		}
	}
}

// TestUnknownAccountsLookAlike asserts that the challenges for accounts that do not
// exist differ in nothing from those for others.
func TestUnknownAccountsLookAlike(t *testing.T) {
	srv := newServer()
	t.Run("however a name is written", func(t *testing.T) {
		for _, spelled := range [][]string{
			{"juliet", "Juliet", "JULIET", "ｊｕｌｉｅｔ"}, // exists
			{"romeo", "Romeo", "ROMEO", "ｒｏｍｅｏ"},
			{"rom\u00e9o", "rome\u0301o", "ROM\u00c9O"},
		} {
			salts := make(map[string]bool)
			for _, user := range spelled {
				salt, _ := challengeTo(t, srv, auth.ScramSHA256, user)
				salts[salt] = true
			}
			assert.Len(t, salts, 1, "%q are one account, and have one salt", spelled)
		}
	})
	t.Run("each account and each mechanism has a salt of its own", func(t *testing.T) {
		salts := make(map[string]bool)
		for _, user := range []string{"juliet", "romeo", "nurse"} {
			for _, mechanism := range scrams {
				salt, _ := challengeTo(t, srv, mechanism, user)
				salts[salt] = true
			}
		}
		assert.Len(t, salts, 6)
	})
}
