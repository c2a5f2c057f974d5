// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hubtest

import (
	"testing"

	"github.com/xmppext/xmppext/mam"
)

// Runner runs a rule in place of a subtest.
type Runner = func(name string, test func(t testing.TB))

// Check is Seam with another runner.
func Check(t testing.TB, r Runner, newArchives func(t testing.TB, n int) []mam.Archive, o Options) {
	seam(t, r, newArchives, o)
}
