// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package interop_test

import (
	"path/filepath"
	"testing"
)

// inConsole returns the command of a visitor that is a client for the console. One of
// them, profanity, does not ping itself: it pings only those who have announced that they
// answer.
func inConsole(client string) func(*testing.T, string) []string {
	return func(_ *testing.T, launcher string) []string {
		return []string{launcher, filepath.Join("clients", "console-rooms.py"), client}
	}
}
