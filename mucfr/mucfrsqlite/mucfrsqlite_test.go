// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfrsqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mucfr"
	"github.com/xmppext/xmppext/mucfr/mucfrsqlite"
	"github.com/xmppext/xmppext/mucfr/mucfrtest"
)

var coven = jid.MustParse("coven@chat.example")

// open opens a store that is closed at the end of the test.
func open(t testing.TB, path string) *mucfrsqlite.Store {
	t.Helper()
	s, err := mucfrsqlite.Open(context.Background(), path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// newFile returns the path of a file that is not there yet.
func newFile(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "rooms.db")
}

func TestStore(t *testing.T) {
	mucfrtest.Run(t, func(t testing.TB) mucfr.Store { return open(t, newFile(t)) })
}

func TestStoreReopened(t *testing.T) {
	mucfrtest.RunReopened(t, func(t testing.TB) func(testing.TB) mucfr.Store {
		path := newFile(t)
		return func(t testing.TB) mucfr.Store { return open(t, path) }
	})
}
