// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfrtest

import (
	"testing"

	"github.com/xmppext/xmppext/mucfr"
)

// Runner runs a rule in place of a subtest.
type Runner = func(name string, test func(t testing.TB))

// CheckStore is Run with another runner.
func CheckStore(r Runner, newStore func(t testing.TB) mucfr.Store) { checkStore(r, newStore) }

// CheckReopened is RunReopened with another runner.
func CheckReopened(r Runner, newStore func(t testing.TB) func(t testing.TB) mucfr.Store) {
	checkReopened(r, newStore)
}
