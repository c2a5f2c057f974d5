// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Package auth authenticates both ends of an XMPP stream, in the profile of SASL
// that everybody has (RFC 6120) and in the one that saves round trips (SASL2,
// XEP-0388), with passwords and with tokens that make a login one round trip
// (FAST, XEP-0484).
//
// # Servers
//
// A server's accounts are stored keys, never passwords, behind the one method of
// [Credentials]; [Accounts] keeps them in memory, and package authtest tests any
// other store.
//
//	server := &auth.Server{
//		Credentials: accounts,
//		Certificate: auth.Leaf(certificate),
//		FAST:        &auth.FAST{Store: new(auth.MemoryTokens)},
//	}
//	n := pipelining.NewNegotiator(func(s *xmpp.Session, _ *xmpp.StreamConfig) xmpp.StreamConfig {
//		return xmpp.StreamConfig{Features: append(server.Features(s),
//			xmpp.StartTLS(tlsConfig), xmpp.BindResource(), pipelining.StreamFeature())}
//	}, pipelining.Config{})
//
// Who has authenticated is the session's remote address from then on, whatever a
// stream header says before or after. A stock negotiator can be used as well, but
// then clients that do not say who they are in their first header are refused
// with [ErrNotPinned].
//
// A client learns nothing from a failure: unknown accounts are led through the
// same exchange as others, all refusals read not-authorized, and secrets are
// compared in constant time. How long the store takes is the store's.
//
// How much a client may send before it is authenticated is for the connection to
// limit, as pipelining.Config does. What is decoded is limited here, too.
//
// # Clients
//
// A [Client] takes the place of [xmpp.SASL] in a negotiator's list of features:
//
//	client := &auth.Client{
//		Password:  auth.Password("secret"),
//		UserAgent: auth.UserAgent{ID: id, Software: "Example"},
//		Tokens:    cache,
//	}
//	n := xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
//		return xmpp.StreamConfig{Features: append(client.Features(),
//			xmpp.StartTLS(tlsConfig), xmpp.BindResource())}
//	})
//
// It is also the Authenticator of pipelining.Client, which sends stream header
// and login in one flight. That is the way to use SASL2 with servers such as
// Prosody and ejabberd, which offer it only to clients whose header says who they
// are.
//
// Of what the server offers, the first of the client's own list is used, SASL2
// before RFC 6120, and a token before a password. A token that is refused is
// forgotten, and the password used on the same stream.
// If channel binding is possible it is used; if a server's lists contradict each
// other, so that somebody may have changed them, the login ends with
// [ErrChannelBinding] (XEP-0440).
//
// # What rides along
//
// With SASL2 a client may bind a resource, resume a stream and more in the login
// itself. The packages that do so implement [Inline] and [ClientInline].
//
// A client must then be able to tell where success ends and what follows begins,
// which mellium's decoder reads ahead of. So what rides along is left out unless
// the session's connection is a pipelining.Conn with a pipelining.Negotiator or
// pipelining.Client above.
//
// # Specifications
//
//   - RFC 6120, section 6; RFC 5802, RFC 7677 (SCRAM), RFC 4616 (PLAIN), RFC 4422
//     (EXTERNAL); RFC 5929 and RFC 9266 (channel bindings)
//   - XEP-0388 1.0.4 (Extensible SASL Profile)
//   - XEP-0440 1.0.0 (SASL Channel-Binding Type Capability)
//   - XEP-0484 0.2.0 (Fast Authentication Streamlining Tokens)
//   - draft-schmaus-kitten-sasl-ht-09 (HT-SHA-256)
//
// Left out: TLS 0-RTT, which crypto/tls does not have for TCP, so that tls-0rtt
// is never announced and clients send no count; to shuffle the list of mechanisms
// for unknown accounts, because the list should also be stable, and is the same for
// all accounts unless Server.Offer says otherwise; security layers other than TLS.
package auth
