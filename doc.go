// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Package xmppext is the root of a set of independent packages that make XMPP
// sessions start fast and lose nothing, on top of mellium.im/xmpp.
//
// The root package itself exports nothing: import the package that you need.
//
//   - [github.com/xmppext/xmppext/pipelining]: a whole login in two flights
//     (XEP-0305 §4, version 0.3, Deferred).
//   - [github.com/xmppext/xmppext/auth]: SASL in both profiles, with stored keys,
//     channel binding and tokens (RFC 6120 §6, XEP-0388, XEP-0440, XEP-0484).
//   - [github.com/xmppext/xmppext/bind2]: a resource, carbons and the state of the
//     archive at one instant (XEP-0386), and with bind2/hub the server behind it.
//   - [github.com/xmppext/xmppext/carbons]: copies of messages for all resources of an
//     account (XEP-0280).
//   - [github.com/xmppext/xmppext/quickstart]: a client that remembers how to log in, and
//     comes back by itself (XEP-0305 §2, XEP-0368).
//   - [github.com/xmppext/xmppext/mam]: archives of messages, and what serves them
//     (XEP-0313, XEP-0059, XEP-0359, XEP-0441).
//   - [github.com/xmppext/xmppext/mucfr]: chat rooms that who comes back enters for the
//     price of what has changed (XEP-0311, version 0.1, Deferred).
package xmppext
