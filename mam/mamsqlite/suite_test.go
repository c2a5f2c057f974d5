// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamsqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/xmppext/xmppext/mam"
	"github.com/xmppext/xmppext/mam/mamsqlite"
	"github.com/xmppext/xmppext/mam/mamtest"
)

// The rules are about what is stored. That it is on disk is tested by TestCrash, so
// the suite need not wait for it.

func TestArchive(t *testing.T) {
	mamtest.Run(t, func(t testing.TB) mam.Archive {
		return open(t, filepath.Join(t.TempDir(), "archive.db"), mamsqlite.Relaxed())
	})
}

func TestArchiveInMemory(t *testing.T) {
	if slow {
		t.Skip("It is the same as in a file but for the connections, and slow with -race: run the tests without.")
	}
	mamtest.Run(t, func(t testing.TB) mam.Archive { return open(t, mamsqlite.Memory) })
}

func TestArchiveAtRandom(t *testing.T) {
	rounds := 4
	if slow {
		rounds = 1
	}
	for range rounds {
		mamtest.RunRandom(t, open(t, mamsqlite.Memory))
	}
}

func TestArchiveReopened(t *testing.T) {
	mamtest.RunReopened(t, func(t testing.TB) (mam.Archive, func() mam.Archive) {
		path := filepath.Join(t.TempDir(), "archive.db")
		a := open(t, path, mamsqlite.Relaxed())
		return a, func() mam.Archive {
			if err := a.Close(); err != nil {
				t.Error(err)
			}
			a = open(t, path, mamsqlite.Relaxed())
			return a
		}
	})
}

func TestArchiveShared(t *testing.T) {
	mamtest.RunShared(t, func(t testing.TB) (mam.Archive, mam.Archive) {
		path := filepath.Join(t.TempDir(), "archive.db")
		return open(t, path, mamsqlite.Relaxed()), open(t, path, mamsqlite.Relaxed())
	})
}
