// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstarttest

import (
	"testing"

	"github.com/xmppext/xmppext/quickstart"
)

// Runner runs a rule in place of a subtest.
type Runner = func(name string, test func(t testing.TB))

// CheckCache is Run with another runner.
func CheckCache(r Runner, newCache func(t testing.TB) quickstart.Cache) { checkCache(r, newCache) }

// CheckReopened is RunReopened with another runner.
func CheckReopened(r Runner, newCache func(t testing.TB) func(t testing.TB) quickstart.Cache) {
	checkReopened(r, newCache)
}

// CheckShared is RunShared with another runner.
func CheckShared(r Runner, newCaches func(t testing.TB) (a, b quickstart.Cache)) {
	checkShared(r, newCaches)
}
