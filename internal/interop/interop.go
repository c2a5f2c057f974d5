// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Package interop starts real XMPP servers and clients for tests.
//
// Our own servers in tests agree with our own clients by construction; whether
// both are right shows only against somebody else's.
//
//	func TestProsody(t *testing.T) {
//		srv := interop.Prosody(t, interop.Config{
//			Users:   map[string]string{"juliet": "r0m30"},
//			Modules: []string{"carbons"},
//		})
//		conn, err := net.Dial("tcp", srv.STARTTLS)
//		…
//	}
//
// Servers are not part of this module. An environment variable names the program
// that starts one, and tests are skipped where it is not set, so that the usual
// run needs neither a network nor foreign software:
//
//	export XMPPEXT_PROSODY=$(bash .ci/peers prosody)
//	export XMPPEXT_EJABBERD=$(bash .ci/peers ejabberd)
//
// Clients are the other way round: they log in at our servers, and read archives
// there. They are run by drivers in the folder clients:
//
//	export XMPPEXT_XMPPJS=$(bash .ci/clients xmppjs)
//	export XMPPEXT_SLIXMPP=$(bash .ci/clients slixmpp)
//	export XMPPEXT_GOXMPP=$(bash .ci/clients goxmpp)
//	export XMPPEXT_PROFANITY=$(bash .ci/clients profanity)
//	export XMPPEXT_MCABBER=$(bash .ci/clients mcabber)
//
// The last two are for the console, and only visit chat rooms.
//
// If the variable is set, then a server that does not start fails the test: a
// broken set-up must not look like a skipped one.
//
// Servers listen on loopback only, on ports that were free, and end with their
// test. They need real time and a real network, so start them outside of
// testing/synctest bubbles.
package interop

import "crypto/x509"

// Server is a running server that trusts nobody and is trusted by nobody else:
// it has its own certificate authority, its own accounts and no connections to
// other servers.
type Server struct {
	// Domain is the virtual host that the users are at.
	Domain string

	// STARTTLS and DirectTLS are the host:port for clients that begin in the clear
	// and for clients that begin with the TLS handshake. Clear text is good for
	// nothing but STARTTLS.
	STARTTLS, DirectTLS string

	// Roots and RootsPEM trust the certificate that the server has for Domain.
	Roots    *x509.CertPool
	RootsPEM []byte

	// Version is how the server calls its own version, such as "13.0.1".
	Version string

	proc *process
}

// Config is what a test wants of its server. The zero value is a server that
// nobody can log in to.
type Config struct {
	// Domain is the virtual host; "interop.example" if empty.
	Domain string

	// Users maps the localparts of the accounts to passwords. Both are written to
	// the server's storage as they are, so localparts must be in their normal form.
	Users map[string]string

	// Modules are loaded in addition to the few that a login needs. For Prosody
	// they are those of the prosody and the prosody-modules packages, for ejabberd
	// those of its own; both without the "mod_" and without options.
	Modules []string

	// Settings is added to the server's configuration, in its own language, where
	// it applies to everything. For Prosody it can override what this package has
	// set; for ejabberd it can only add, to the listeners and modules among others.
	Settings string

	// Sections is added to the end of the configuration, where it applies to the
	// virtual host. For Prosody it can open further sections, such as components;
	// for ejabberd it can override what this package has set.
	Sections string
}
