// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/auth"
)

// TestRehashed logs in to an account whose password is stored in a better way by now,
// and not any more in the one that is remembered, at a server that still lists both.
func TestRehashed(t *testing.T) {
	for name, build := range kinds {
		inBubble(t, name, func(t *testing.T) {
			h := build().offering(auth.ScramSHA1)
			h.logins.FAST = nil
			w := newWorld(t, h.serve)
			d := newDialer(w)
			mustDial(t, d)

			keys, err := auth.NewKeys(password, auth.ScramSHA256, iterations)
			require.NoError(t, err)
			better := new(auth.Accounts)
			require.NoError(t, better.SetKeys(juliet, auth.ScramSHA256, keys))
			w.put(homeAddress, h.renovated(func(h *house) {
				h.logins.Credentials = better
				h.offering(auth.ScramSHA256, auth.ScramSHA1)
			}).serve)
			assert.Equal(t, auth.ScramSHA256, mustDial(t, d).Report.Mechanism, "the password is good")
			r := mustDial(t, d).Report
			assert.Equal(t, auth.ScramSHA256, r.Mechanism)
			assert.Equal(t, 1, r.Attempts, "it is remembered")
		})
	}
}
