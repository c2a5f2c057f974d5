// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub_test

import (
	"testing"

	"github.com/xmppext/xmppext/bind2/hub/hubtest"
	"github.com/xmppext/xmppext/mam"
)

// roomy returns n times the same archive, which keeps all messages of a run.
func roomy(_ testing.TB, n int) []mam.Archive {
	archive := &mam.Memory{MaxItems: 1 << 30, MaxBytes: 1 << 40}
	archives := make([]mam.Archive, n)
	for i := range archives {
		archives[i] = archive
	}
	return archives
}

// A run of 100,000 messages is HUBTEST_MESSAGES=100000 go test -race -run 'TestSeam$'.
func TestSeam(t *testing.T) {
	var o hubtest.Options
	if testing.Short() {
		o.Messages = 5000
	}
	hubtest.Seam(t, roomy, o)
}

// Two processes that share what they store.
func TestSeamOfTwoHubs(t *testing.T) {
	hubtest.Seam(t, roomy, hubtest.Options{Hubs: 2, Messages: 8000})
}
