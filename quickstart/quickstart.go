// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Package quickstart logs clients in, remembers how, and does it in one or two flights
// behind that of TLS the next time (XEP-0305).
//
// A [Dialer] takes the place of xmpp.DialClientSession. The zero value is ready to use:
//
//	var dialer quickstart.Dialer
//	session, err := dialer.Dial(ctx, account, quickstart.Password(password))
//
// The first login goes step by step, and the Dialer learns what the server can do.
// Later ones send ahead what worked, by way of packages pipelining, auth and bind2;
// take up the session of TLS again; and log in with a token where the server gives them
// out, so that the password is not needed. None of that needs the server to have heard
// of XEP-0305.
//
// With a Cache that outlives the process, such as a [FileCache], so does what is
// remembered:
//
//	cache, err := quickstart.OpenFileCache(dir)
//	dialer := &quickstart.Dialer{Cache: cache}
//
// # What a session begins with
//
// With Dialer.Roster a session has the account's roster, of which the server sends no
// more than what has changed since the last time; with Dialer.Discover it knows what the
// server can do, and asks once for each hash that the server tells. They are asked for
// together with what Dialer.Opening returns, in one write that nobody waits for, and if
// the login allows it in the login's own flight:
//
//	dialer := &quickstart.Dialer{Cache: cache, Roster: true, Opening: quickstart.Available}
//	session, err := dialer.Dial(ctx, account, quickstart.Password(password))
//	go session.Serve(handler)
//	err = session.Roster.Wait(ctx)
//
// [Session.Serve] takes in the answers. [Capabilities] does for contacts what Discover
// does for the server.
//
// A [Keeper] dials again when a session has ended, without being one of many that do so
// at once.
//
// # What is remembered is never a permission
//
// What may be sent is decided by the Dialer's own fields, not by what was learned: a
// cache that somebody has tampered with costs a connection, and nothing more.
// What was learned only makes the Dialer stricter. A server that had better mechanisms
// before is not given a password by worse ones ([ErrDowngrade]), and a session of TLS
// that is taken up again is with a peer whose certificate is verified anew.
//
// # If the server has changed
//
// If the server does not answer as it did before, the login begins again, once, step by
// step and on a new connection. For some time nothing is sent ahead then, longer each
// time that it happens.
//
// # Specifications
//
//   - XEP-0305 0.3 (XMPP Quickstart, Deferred), sections 2 and 4
//   - XEP-0368 1.1.0 (SRV records for XMPP over TLS)
//   - RFC 8305 (Happy Eyeballs), as far as it is about connections
//   - RFC 6120, section 3.3 (reconnection)
//   - RFC 6121, sections 2.1.6, 2.2 and 2.6 (rosters; XEP-0237 1.3 before)
//   - XEP-0115 1.6.0 (Entity Capabilities), without the legacy format
//
// Left out so far: the resumption of streams (XEP-0198).
// TLS 0-RTT is not to be had from crypto/tls.
package quickstart
