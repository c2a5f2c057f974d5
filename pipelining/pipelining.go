// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Package pipelining lets both ends of an XMPP stream send ahead, so that a
// login that takes seven or eight round trips takes two.
//
// Several commands may travel in one segment: a client need not wait for the
// features that it already knows, and a server need not wait to be asked before
// it answers what is already there.
// The rules are those of RFC 6120; only the waiting goes away.
//
// # Servers
//
// A server puts [NewNegotiator] in place of mellium's, and lists one more feature:
//
//	n := pipelining.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
//		return xmpp.StreamConfig{Features: []xmpp.StreamFeature{
//			pipelining.StreamFeature(),
//			xmpp.StartTLS(tlsConfig),
//			pipelining.SASLServer(check, sasl.Plain),
//			xmpp.BindResource(),
//		}}
//	}, pipelining.Config{})
//	session, err := xmpp.ReceiveSession(ctx, pipelining.NewConn(conn), 0, n)
//
// It also takes conn as it is, at the cost of one decoder that is thrown away.
// Any other [xmpp.Negotiator] can be wrapped by [Negotiator].
// Clients that go step by step notice nothing.
// For clients that send ahead, each of their flights is answered by one write.
//
// For direct TLS put a [Conn] below TLS as well, so that the records of one
// answer leave together:
//
//	conn := tls.Server(pipelining.NewConn(tcp), tlsConfig)
//
// # Clients
//
// [Client] is a Negotiator that sends ahead as far as its [Plan] says:
//
//	n := pipelining.Client(pipelining.Plan{Mode: pipelining.Full, Mechanism: "PLAIN"}, pipelining.ClientConfig{
//		Password:   "secret",
//		Mechanisms: []sasl.Mechanism{sasl.ScramSha256, sasl.Plain},
//	})
//	session, err := xmpp.NewSession(ctx, account.Domain(), account, conn, 0, n)
//
// A plan is a guess about the server.
// A wrong one costs time, never safety: see [ErrMispredicted].
//
// # Specification
//
// XEP-0305 (XMPP Quickstart), version 0.3, Deferred; section 4 (pipelining).
// Section 2's caching and section 5's reconnection are not this package's.
// HTTP bindings and WebSocket are not covered: their framing needs other rules.
package pipelining

import (
	"context"
	"encoding/xml"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
)

// NS is the namespace of the stream feature that announces pipelining.
const NS = "urn:xmpp:features:pipelining"

// Namespaces of RFC 6120 that mellium keeps to itself.
const (
	nsTLS   = "urn:ietf:params:xml:ns:xmpp-tls"
	nsSASL  = "urn:ietf:params:xml:ns:xmpp-sasl"
	nsSASL2 = "urn:xmpp:sasl:2"
	nsBind  = "urn:ietf:params:xml:ns:xmpp-bind"
)

// StreamFeature announces on a server that its clients may send ahead; on a
// client it records whether the server says so (see [Advertised]).
//
// It is listed at every stage of a negotiation.
// It is informational: it is never required, changes no session state and costs
// no round trip.
// The server's negotiator must be one of this package, or what a client sends
// ahead is lost.
// One value may serve any number of sessions.
//
// A stock negotiator on a client takes a features list whose only known entry
// is informational to be the end of the negotiation, bound or not.
// [Negotiator] and [Client] report this as [ErrNotBound].
func StreamFeature() xmpp.StreamFeature {
	name := xml.Name{Space: NS, Local: "pipelining"}
	var start, end xml.Token = xml.StartElement{Name: name}, xml.EndElement{Name: name}
	return xmpp.StreamFeature{
		Name: name,
		List: func(_ context.Context, e xmlstream.TokenWriter, _ xml.StartElement) (bool, error) {
			if err := e.EncodeToken(start); err != nil {
				return false, err
			}
			return false, e.EncodeToken(end)
		},
		Parse: func(_ context.Context, d *xml.Decoder, _ *xml.StartElement) (bool, any, error) {
			return false, true, d.Skip()
		},
	}
}

// Advertised reports whether the features that the server sent last on s
// contain pipelining.
//
// It asks for what was sent, known to the client's own feature list or not.
func Advertised(s *xmpp.Session) bool {
	_, ok := s.Feature(NS)
	return ok
}
