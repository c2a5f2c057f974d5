// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamsqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/xmppext/xmppext/bind2/hub/hubtest"
	"github.com/xmppext/xmppext/mam"
	"github.com/xmppext/xmppext/mam/mamsqlite"
)

// openAll opens one archive n times, as several processes do.
func openAll(t testing.TB, n int) []mam.Archive {
	path := filepath.Join(t.TempDir(), "archive.db")
	archives := make([]mam.Archive, n)
	for i := range archives {
		archives[i] = open(t, path, mamsqlite.Relaxed())
	}
	return archives
}

// messages is how many a seam has. That of one hub is tested with many more in
// bind2/hub.
func messages() int {
	if slow || testing.Short() {
		return 1000
	}
	return 5000
}

func TestSeam(t *testing.T) {
	hubtest.Seam(t, openAll, hubtest.Options{Messages: messages()})
}

func TestSeamOfTwoHubs(t *testing.T) {
	hubtest.Seam(t, openAll, hubtest.Options{Messages: messages(), Hubs: 2})
}
