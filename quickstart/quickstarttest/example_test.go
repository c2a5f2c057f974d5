// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstarttest_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/quickstart"
	"github.com/xmppext/xmppext/quickstart/quickstarttest"
)

// Each rule gets a new cache. One that keeps values in files keeps them in t.TempDir;
// one for a database makes a table, and removes it in t.Cleanup.
func ExampleRun() {
	_ = func(t *testing.T) { // func TestCache(t *testing.T)
		quickstarttest.Run(t, func(testing.TB) quickstart.Cache {
			return new(quickstart.MemoryCache)
		})
	}
}

// What opens a cache is called several times: for each start of the program.
func ExampleRunReopened() {
	_ = func(t *testing.T) { // func TestCacheReopened(t *testing.T)
		quickstarttest.RunReopened(t, func(t testing.TB) func(testing.TB) quickstart.Cache {
			dir := filepath.Join(t.TempDir(), "cache")
			return func(t testing.TB) quickstart.Cache {
				c, err := quickstart.OpenFileCache(dir)
				require.NoError(t, err)
				return c
			}
		})
	}
}
