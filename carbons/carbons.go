// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Package carbons copies the messages of an account to its other resources, and tells
// clients which copies to believe (XEP-0280).
//
// # What a server copies
//
// A [Content] is what decides whether a message is copied. A server looks at each
// message on its way, delivers it, and then appends a copy for each resource that
// has not had it and has asked for copies:
//
//	var content carbons.Content
//	deliver(content.Watch(message))
//	if recent.Eligible(carbons.Received, content) {
//		for _, to := range registry.Copies(resources, had) {
//			send(to, carbons.Append(nil, carbons.Received, to, content.Message.Type, raw))
//		}
//	}
//
// [Recent] knows which errors are about messages that were copied, and [Registry] who
// has asked. [Wrap] is [Append] for tokens.
//
// A copy for a resource that is gone by then is dropped: nobody is told, least of all
// who has sent the message.
//
// # What a server answers
//
// A [Handler] answers a client that turns copies on or off, and announces that it
// can:
//
//	h := &carbons.Handler{Resource: resource, Switch: registry.Switch, Rules: true}
//	err := session.Serve(mux.New(stanza.NSClient, carbons.Handle(h)))
//
// # What a client believes
//
// Anybody can send something that looks like a copy, of a message that nobody wrote.
// [Unwrap] takes copies from the own account only, and a [Client] does so for all
// that a session receives. What a client does with them must not depend on which
// messages the server copies, unless it announces [NSRules].
//
// Package mellium.im/xmpp/carbons asks a server for copies, and marks messages as
// private.
//
// # Specifications
//
//   - XEP-0280 1.0.1 (Message Carbons), with urn:xmpp:carbons:rules:0
//   - XEP-0297 1.0 (Stanza Forwarding), as far as copies need it
//   - XEP-0334 1.0.0 (Message Processing Hints), the hint no-copy
//
// Left out: to find out by itself who is in which room. A message to somebody in a room
// is known by the element that clients and rooms add to it (XEP-0045, section 7.5).
// Left to programs: not to say that somebody has gone when one of several clients
// ends, and to answer a received copy by itself only if no other client does.
package carbons

// Namespaces that a server announces.
const (
	// NS is the namespace of message carbons.
	NS = "urn:xmpp:carbons:2"

	// NSRules says that all rules on which messages are copied hold.
	NSRules = "urn:xmpp:carbons:rules:0"

	nsDelay = "urn:xmpp:delay" // XEP-0203
)

// Direction is how a message went that is copied.
type Direction uint8

const (
	// Received says that the account has received the message.
	Received Direction = iota + 1

	// Sent says that one of the account's resources has sent it.
	Sent
)

// String returns the name of the direction, which is also that of its element.
func (d Direction) String() string {
	switch d {
	case Received:
		return "received"
	case Sent:
		return "sent"
	}
	return "unknown"
}
