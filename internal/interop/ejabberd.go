// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package interop

import (
	"regexp"
	"testing"
)

var ejabberdSoftware = software{
	name:      "ejabberd",
	env:       "XMPPEXT_EJABBERD",
	peer:      "ejabberd",
	prepare:   writeEjabberd,
	configure: writeEjabberdConfig,
	started:   regexp.MustCompile(ejabberdStarted),
	version:   regexp.MustCompile(ejabberdStarted + `, version (\S+)`),

	// ejabberd ends.
	taken: regexp.MustCompile(`Failed to open socket at .*: address already in use`),
}

// Ejabberd starts an ejabberd server, 24.12 or newer, and stops it at the end of
// the test.
//
// Over TLS it offers PLAIN and SCRAM with SHA-1, SHA-256 and SHA-512, all of
// SCRAM also with channel binding. To a client that says who it is in its stream
// header it offers the same with SASL2 and Bind 2, and the module auth_fast adds
// FAST. Nothing limits rates. What it stores can be in SQLite.
//
// It skips the test if XMPPEXT_EJABBERD is not set, and fails it if the server
// does not start.
func Ejabberd(t testing.TB, cfg Config) *Server {
	t.Helper()
	return ejabberdSoftware.run(t, cfg, freePorts)
}
