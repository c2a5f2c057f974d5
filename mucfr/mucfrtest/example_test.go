// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfrtest_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/mucfr"
	"github.com/xmppext/xmppext/mucfr/mucfrtest"
)

// Each rule gets a new store. One that keeps rooms in files keeps them in t.TempDir;
// one for a database makes a table, and removes it in t.Cleanup.
func ExampleRun() {
	_ = func(t *testing.T) { // func TestStore(t *testing.T)
		mucfrtest.Run(t, func(testing.TB) mucfr.Store {
			return new(mucfr.Memory)
		})
	}
}

// What opens a store is called several times: for each start of the program.
func ExampleRunReopened() {
	open := func(string) (mucfr.Store, error) { return new(mucfr.Memory), nil } // such as mucfrsqlite.Open
	_ = func(t *testing.T) {                                                    // func TestStoreReopened(t *testing.T)
		mucfrtest.RunReopened(t, func(t testing.TB) func(testing.TB) mucfr.Store {
			path := filepath.Join(t.TempDir(), "rooms.db")
			return func(t testing.TB) mucfr.Store {
				s, err := open(path)
				require.NoError(t, err)
				return s
			}
		})
	}
}
