// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2

import (
	"context"
	"time"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
)

// Protocol is a way to bind a resource.
type Protocol uint8

// The three ways to bind a resource.
const (
	Legacy Protocol = iota + 1 // RFC 6120, section 7
	Early                      // urn:xmpp:bind2:0, a stream feature (XEP-0386 0.1 to 0.3)
	Inline                     // urn:xmpp:bind:0, within SASL2 (XEP-0386 1.1)
)

// Store binds resources. It is safe for concurrent use.
type Store interface {
	// Bind binds a resource of an account, and all that r asks for, at one instant:
	// each message for the account lies either before that instant, and so at or
	// before Bound.Last in the archive, or behind it, and goes to the resource too.
	// Nothing is sent to the client before the answer to its bind.
	//
	// If it fails nothing has changed. A [mellium.im/xmpp/stanza.Error] says why to the
	// client; resource-constraint means that the account has too many resources.
	// Any other error is the server's own.
	Bind(ctx context.Context, r Request) (Bound, error)
}

// Request is what a client asks for.
type Request struct {
	// Session is the stream, which is not Ready yet.
	Session *xmpp.Session

	// Account is the bare JID of the account that has authenticated on it.
	Account jid.JID

	// Protocol is how the client asks.
	Protocol Protocol

	// Resource is the resourcepart that the client would like to have, or empty.
	// It comes with Legacy only, and may be in use.
	Resource string

	// Tag is what the client calls itself, or empty: a valid resourcepart of no more
	// than [MaxTag] bytes. It comes with Inline only. See [NewResource].
	Tag string

	// Client is the id of the installation that binds, a UUID of version 4, or empty.
	// It comes with Inline only. Nobody else may learn it.
	// What it has bound before is replaced.
	Client string

	// Carbons is set if the resource is to get copies of messages (XEP-0280). With
	// Early it always is.
	Carbons bool

	// Inactive is set if nobody looks at the client (XEP-0352).
	Inactive bool
}

// Bound is the state of an account at the instant of a bind.
type Bound struct {
	// JID is the full JID that was bound.
	JID jid.JID

	// Archived is set if messages of the account are archived. First and Last
	// are then the ends of the archive; they are zero if it is empty.
	Archived    bool
	First, Last Entry

	// Unreads are the conversations with unread messages, the one with the newest first:
	// a client reads no more than [MaxUnreads] of them. If it is nil, what is unread is
	// not known; if it is empty but not nil, nothing is.
	Unreads []Unread
}

// Entry is a message in an archive.
type Entry struct {
	// ID is the id by which the archive knows it.
	ID string

	// Time is when it was received. A client does not learn it with Early.
	Time time.Time
}

// Unread is a conversation with unread messages.
type Unread struct {
	// JID is whom it is with: a bare JID, or of somebody in a room the full one.
	JID jid.JID

	// ReadID is the id of the last message in it that was read, or empty.
	ReadID string

	// Count is how many messages behind that are unread. It is positive.
	Count int64
}
