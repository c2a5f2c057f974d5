// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package interop

import (
	"regexp"
	"testing"
)

var prosodySoftware = software{
	name:      "Prosody",
	env:       "XMPPEXT_PROSODY",
	peer:      "prosody",
	prepare:   writeProsody,
	configure: writeProsodyConfig,
	started:   regexp.MustCompile(prosodyStarted),
	version:   regexp.MustCompile(`Hello and welcome to Prosody version (\S+)`),

	// Prosody goes on without the port.
	taken: regexp.MustCompile(`Failed to open server port.* in use`),
}

// Prosody starts a Prosody server, 13 or newer, and stops it at the end of the
// test.
//
// Over TLS it offers PLAIN and SCRAM with SHA-1 and SHA-256, both also with
// channel binding. Nothing limits rates. What it stores can be in SQLite.
//
// It skips the test if XMPPEXT_PROSODY is not set, and fails it if the server
// does not start.
func Prosody(t testing.TB, cfg Config) *Server {
	t.Helper()
	return prosodySoftware.run(t, cfg, freePorts)
}
