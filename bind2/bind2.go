// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Package bind2 binds a resource so that a client neither misses a message nor gets
// one twice (XEP-0386): what it is told about its archive, what is unread, and from
// when on messages come live all belong to one instant.
//
// There are two flavours of it, which have little more than the name in common,
// and beside them the way that everybody knows. This package has all three, over one
// [Store]:
//
//	          namespace          asked for           the client learns
//	Inline    urn:xmpp:bind:0    within SASL2        the ends of the archive
//	Early     urn:xmpp:bind2:0   as stream feature   the archive's end, what is unread
//	Legacy    RFC 6120           as stream feature   nothing
//
// [Inline] saves the round trips that the others take behind the login. [Early] and
// [Legacy] can be sent ahead, together with the last message of the login. A client
// takes the first of them that it is offered.
//
// # Servers
//
// A [Server] joins a Store to the stream. It is one of the Inline of an
// auth.Server, and its [Server.Features] take the place of [xmpp.BindResource]:
//
//	binds := &bind2.Server{Store: store, Carbons: true, CSI: true}
//	logins := &auth.Server{Credentials: accounts, Inline: []auth.Inline{binds}}
//	n := pipelining.NewNegotiator(func(s *xmpp.Session, _ *xmpp.StreamConfig) xmpp.StreamConfig {
//		features := append(logins.Features(s), binds.Features(s)...)
//		return xmpp.StreamConfig{Features: append(features, pipelining.StreamFeature())}
//	}, pipelining.Config{})
//
// Clients of Early count on sending ahead, so a server that offers it should be
// negotiated by pipelining.NewNegotiator, and list pipelining.StreamFeature.
//
// Whose resource is bound is decided by the session's remote address. It must be
// the account that has authenticated, which package auth and package pipelining see
// to. With xmpp.SASLServer in a stock negotiator it is whatever the client claims.
//
// A client that binds once more is disconnected if the handler of its session has
// the option [RefuseLate]. Otherwise nothing comes of it.
//
// # Clients
//
// A [Client] asks for what it is to have from the first message on, and is told the
// state of the account in return:
//
//	binds := &bind2.Client{Tag: "Example", Observe: func(p bind2.Protocol, b bind2.Bound) { ... }}
//	logins := &auth.Client{Password: auth.Password("secret"), Inline: []auth.ClientInline{binds.Inline()}}
//	n := pipelining.Client(plan, pipelining.ClientConfig{
//		Authenticator: logins,
//		Binder:        binds.Binder(),
//		Features:      binds.Prefer(xmpp.BindResource()),
//	})
//
// In a stock negotiator [Client.Prefer] is all that it takes, for Early and Legacy.
//
// A client that binds by Inline or Early must fetch what it has missed from the
// archive (XEP-0313): the server sends it no offline messages any more. A client
// without an archive must use neither.
//
// # Requests that the server should not wait for
//
// Whatever else belongs to the instant of a bind can ride along with Inline, such as
// stream management: see [Feature] and [ClientFeature].
//
// # Specification
//
// XEP-0386 (Bind 2), version 1.1.0 for urn:xmpp:bind:0, and versions 0.1 and 0.3 for
// urn:xmpp:bind2:0, which say the same but that a server need not know what is unread.
// RFC 6120, section 7.
//
// What the specification leaves open is decided so: a bind of Early that fails ends
// the stream, as there is no answer that says so; one of Inline leaves the login
// without a resource, and another way to bind is offered behind it. A
// tag that is no resourcepart, or too long, is left out. A tag may have slashes:
// what is behind the last one is the server's.
//
// Left out: TLS 0-RTT, which crypto/tls does not have for TCP.
package bind2

import "encoding/xml"

// The namespaces of both flavours. They are also the names under which features
// know them.
const (
	NS       = "urn:xmpp:bind2:0"
	NSInline = "urn:xmpp:bind:0"
)

// Namespaces of what is bound along and with.
const (
	nsBind    = "urn:ietf:params:xml:ns:xmpp-bind"
	nsStanzas = "urn:ietf:params:xml:ns:xmpp-stanzas"
	nsStreams = "urn:ietf:params:xml:ns:xmpp-streams"
	nsCarbons = "urn:xmpp:carbons:2"
	nsCSI     = "urn:xmpp:csi:0"
	nsMAM     = "urn:xmpp:mam:2"
)

// The elements that ask for a bind.
var (
	earlyName  = xml.Name{Space: NS, Local: "bind"}
	inlineName = xml.Name{Space: NSInline, Local: "bind"}
	legacyName = xml.Name{Space: nsBind, Local: "bind"}
)

// String returns a name for people.
func (p Protocol) String() string {
	switch p {
	case Legacy:
		return "RFC 6120"
	case Early:
		return NS
	case Inline:
		return NSInline
	}
	return "none"
}
