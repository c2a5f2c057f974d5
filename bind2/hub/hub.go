// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Package hub gives each account one order of events: of the messages that are
// delivered to it and of the binds of its clients.
//
// So a bind is a cut. A client that binds by XEP-0386 is told where the archive
// ends, and finds each message either before that, in the archive, or gets it behind
// it, live: every one of them once and none twice.
//
// # A server's part
//
// A [Hub] is the store of a bind2.Server. A server makes a [Resource] for each
// connection of a client, negotiates its stream under the Resource's context, and
// serves it:
//
//	h := &hub.Hub{Archive: archive, Offline: new(hub.MemoryOffline), Local: exists}
//	binder := &bind2.Server{Store: h, Carbons: true, CSI: true}
//	...
//	r := h.NewResource()
//	defer r.Close()
//	session, err := xmpp.ReceiveSession(r.Context(ctx), conn, 0, negotiator)
//	if err == nil {
//		err = r.Serve(ctx, session, handler)
//	}
//
// What the client sends is archived, copied to the account's other clients, and
// delivered to the one that it is for. Messages from elsewhere, such as other
// servers, are given to [Hub.Deliver].
//
// # What is done in one turn
//
// An account has one turn at a time. To deliver a message is to append it to the
// archive, to choose who gets it and to put it into their queues. To bind is to read
// the end of the archive and what is unread, to clear the offline messages that the
// archive holds, and to become one of those who get messages. While somebody has the
// turn nobody waits for a socket or for another account's turn: two accounts that
// write to each other never wait for each other.
//
// A client that does not read fills its own queue, and when that is full loses
// its session, but no message: what it has not been sent is in the archive, or goes
// to the offline queue.
//
// # More than one process
//
// Positions in an archive have no gaps. A hub that finds one knows that somebody else
// has appended messages, reads them from the archive, and passes them on to its own
// clients first. It notices at the account's next message or bind.
//
// # Specifications
//
//   - XEP-0386 0.1 and 0.3 (urn:xmpp:bind2:0) and 1.1 (urn:xmpp:bind:0): what a bind does
//   - RFC 6121, section 8.5: where messages go; section 4.7.2.3: priorities
//   - XEP-0280 1.0.1 (Message Carbons), with urn:xmpp:carbons:rules:0
//   - XEP-0160 1.0.1 (Offline Messages), but for what the archive holds
//
// Left out: to route IQs between clients, which mellium's handlers cannot pass on
// without answering them, and presences, which need rosters.
package hub

import (
	"context"
	"log/slog"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/mam"
)

// Defaults of a [Hub].
const (
	// DefaultMaxResources is more than anybody has devices, and few enough that a
	// message is soon put into all their queues.
	DefaultMaxResources = 64

	// DefaultQueueSize and DefaultQueueBytes are what a client can be behind before it
	// loses its session. They let it be away from its network for a minute in a
	// busy room.
	DefaultQueueSize  = 2000
	DefaultQueueBytes = 4 << 20

	// DefaultMaxUnread keeps what a client is told at its bind below the size that
	// servers commonly allow for a stanza. Anybody can write to somebody from many
	// addresses.
	DefaultMaxUnread = 1000

	// DefaultTimeout is how long stores may take in one turn.
	DefaultTimeout = 10 * time.Second
)

// Hub delivers messages and binds resources. The zero value archives nothing and
// keeps nothing for those who are away.
//
// A Hub must not be changed once it is in use. It is safe for concurrent use, by any
// number of accounts. What it knows of an account goes away with the account's last
// resource.
type Hub struct {
	// Archive keeps messages. What is unread is told at binds if it is a
	// mam.UnreadArchive, and preferences are followed if it is a mam.PreferenceStore.
	Archive mam.Archive

	// Offline keeps messages for accounts none of whose resources are available.
	// If it is nil, those that the archive does not hold are refused.
	Offline Offline

	// Local reports whether an address is that of an account of this server. It
	// decides where Resource.Send delivers a message. If it is nil all are that have
	// a localpart and the domain of the sender: what is sent to one that does not exist
	// is archived and kept then, and the sender is not told.
	Local func(account jid.JID) bool

	// Remote sends a message to an address that is not local. A stanza.Error is
	// returned to the sender. If it is nil there is nobody else.
	Remote func(ctx context.Context, to jid.JID, message []byte) error

	// InRoster reports whether somebody is a contact of an account, which decides what
	// is archived if its preferences say so. If it is nil nobody is.
	InRoster func(ctx context.Context, account, contact jid.JID) bool

	// Resourcepart chooses the resourcepart for binds other than by RFC 6120.
	// If it is nil, it is bind2.NewResource of the client's tag.
	Resourcepart func(r bind2.Request) string

	// ClearAll lets a bind by XEP-0386 clear all offline messages, as it is written
	// there. Otherwise those that the archive does not hold are kept, and sent
	// once the client is available.
	ClearAll bool

	// Gate, if not nil, holds messages back from clients that have bound by
	// XEP-0386 until they have read the archive.
	Gate *Gate

	// MaxResources is how many resources an account may have. If it is not positive it
	// is DefaultMaxResources.
	MaxResources int

	// QueueSize and QueueBytes are how much may wait to be sent to a client.
	// If they are not positive they are DefaultQueueSize and DefaultQueueBytes.
	QueueSize, QueueBytes int

	// MaxUnread is how many conversations a client is told at its bind. If it is not
	// positive it is DefaultMaxUnread.
	MaxUnread int

	// Timeout is how long stores may take in one turn. If it is not positive it is
	// DefaultTimeout.
	Timeout time.Duration

	// Observe is called with what happens. It must return soon, and call neither the hub
	// nor a resource: the account waits.
	Observe func(Event)

	// Logger gets what went wrong in stores. If it is nil nothing is logged.
	Logger *slog.Logger

	accounts accounts
}

// Kind is what an [Event] is about.
type Kind string

// What happens in a hub.
const (
	BoundResource   Kind = "bound"   // a resource was bound
	UnboundResource Kind = "unbound" // a resource has gone; Err says why
	Archived        Kind = "archived"
	Queued          Kind = "queued"  // a stanza was put into a resource's queue
	Kept            Kind = "kept"    // a message was put into the offline queue
	Cleared         Kind = "cleared" // N messages were removed from it
	Refused         Kind = "refused" // a message was not taken; Err says why
)

// Event is something that has happened.
type Event struct {
	Kind     Kind
	Account  jid.JID
	Resource jid.JID // the full JID, if it is about a resource
	N        int     // how many messages or stanzas; for Queued, how many are waiting now
	Err      error
}

func (h *Hub) observe(e Event) {
	if h.Observe != nil {
		h.Observe(e)
	}
}

func (h *Hub) log(ctx context.Context, text string, args ...any) {
	if h.Logger != nil {
		h.Logger.ErrorContext(ctx, "hub: "+text, args...)
	}
}

// limit returns the context of one turn. It does not end with ctx: what was begun is
// brought to its end.
func (h *Hub) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	timeout := h.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	return context.WithTimeout(context.WithoutCancel(ctx), timeout)
}

func orDefault(n, otherwise int) int {
	if n <= 0 {
		return otherwise
	}
	return n
}
