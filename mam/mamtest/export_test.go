// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamtest

import (
	"testing"

	"github.com/xmppext/xmppext/mam"
)

// Runner runs a rule in place of a subtest.
type Runner = func(name string, test func(t testing.TB))

// Check is Run with another runner.
func Check(r Runner, newArchive func(t testing.TB) mam.Archive) { check(r, newArchive) }

// CheckReopened is RunReopened with another runner.
func CheckReopened(r Runner, newArchive func(t testing.TB) (mam.Archive, func() mam.Archive)) {
	checkReopened(r, newArchive)
}

// CheckShared is RunShared with another runner.
func CheckShared(r Runner, newArchives func(t testing.TB) (a, b mam.Archive)) {
	checkShared(r, newArchives)
}

// Answer returns the page of some items that a query asks for.
func Answer(items []mam.Item, q mam.Query) ([]mam.Item, mam.Page) { return model{items}.query(q) }
