// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth

import (
	"context"
	"encoding/xml"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
)

// Inline is what rides along on a SASL2 login, on a server: the resumption of a
// stream, the binding of a resource, and the like (XEP-0388, section 2.3).
//
// Its methods are called by several sessions at once.
// Their types are those of mellium, so that a package can implement it without
// importing this one.
type Inline interface {
	// Name returns the name of the child of authenticate that asks for it.
	Name() xml.Name

	// Offer returns the child of inline that announces it on a session, or nil if
	// that is not to be.
	Offer(ctx context.Context, s *xmpp.Session) xml.TokenReader

	// Negotiate is called when a client that has asked for it is authenticated, with
	// all tasks done, and before it is told so.
	//
	// The account is the session's remote address without its resource.
	// Client is the id of the user-agent element, a UUID of version 4, or empty;
	// it must not be shown to anybody else.
	// Bound is the full JID that another Inline has bound before, or the zero JID;
	// what would bind as well has nothing to do then.
	// D reads on behind start, and need not be read to the end.
	//
	// The response, if not nil, goes into success.
	// Now is the full JID that is bound by it, or the zero JID: the session is
	// then ready, and is offered no other way to bind.
	// What could not be done is not an error but said in the response, or by
	// silence; an error, of type stream.Error or as internal-server-error, ends
	// the stream.
	Negotiate(ctx context.Context, s *xmpp.Session, client string, bound jid.JID, d *xml.Decoder, start xml.StartElement) (response xml.TokenReader, now jid.JID, err error)
}

// ClientInline is what rides along on a SASL2 login, on a client.
//
// Its methods are called by several sessions at once.
// Their types are those of mellium, so that a package can implement it without
// importing this one.
type ClientInline interface {
	// Feature returns the name of the child of inline that announces it.
	Feature() xml.Name

	// Request begins one attempt for origin, the address that the session was
	// created with: its resourcepart, if any, is what the user asks for.
	//
	// Offer reads the child of inline that announces it, or is nil if the login is
	// sent ahead and the offer not known yet.
	// Request is one complete element; if it is empty nothing is asked for.
	//
	// Answer, if not nil, is called with each child of success that has the namespace
	// of Feature; d reads on behind start, and need not be read to the end. Address
	// is the JID that success names, which is a full one if a resource was bound.
	// Now is the full JID of the account that the session has by that, or the zero
	// JID if it has none by that.
	Request(origin jid.JID, offer xml.TokenReader) (request []byte, answer func(d *xml.Decoder, start xml.StartElement, address jid.JID) (now jid.JID, err error), err error)
}
