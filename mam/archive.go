// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam

import (
	"context"
	"errors"
	"time"

	"mellium.im/xmpp/jid"
)

// Errors of an [Archive].
var (
	// ErrNotFound means that a query names an id that the archive does not hold: it
	// never did, or the item has been pruned, or it is another archive's.
	ErrNotFound = errors.New("mam: no item with this id")

	// ErrTooLarge means that a message or a list of preferences is larger than an
	// archive takes.
	ErrTooLarge = errors.New("mam: too large")
)

// Archive keeps messages, in any number of archives, each of which has the bare
// JID of an account or of a room for its name. An archive that nothing was ever
// put into is an empty one.
//
// The order of an archive is that in which its messages were appended, whatever
// their times say. It is counted by positions, which begin at 1 and have no gaps.
//
// An archive's name is taken without its resource.
//
// An Archive is safe for concurrent use. Its methods return an error and change
// nothing if ctx has ended before. Package mamtest tests whether a store is one,
// and says what it must be able to take.
type Archive interface {
	// Append adds a message at the end of an archive, and returns it as it is stored:
	// with the next position, a random id that no item has ever had, and if the
	// message's Stamp is zero, the present time.
	//
	// When Append returns without an error, the message is stored until it is pruned,
	// which a store may do by its own limits.
	// Who reads a position can read all that are below it.
	Append(ctx context.Context, archive jid.JID, m Message) (Item, error)

	// Query calls yield with each item of one page, in the order of the archive, or
	// if q.Flip is set, in the reverse, and returns what is known of the page.
	//
	// All of it is taken from the archive as it is at one instant. Items are read
	// as yield takes them, and are good until it returns, XML included. However long
	// yield takes, nobody else waits for it; it must not call the archive.
	// An error of yield ends the query and is returned as it is.
	// It is ErrNotFound, before yield is called, if an id in q is not there.
	Query(ctx context.Context, archive jid.JID, q Query, yield func(Item) error) (Page, error)

	// Ends returns the first and the last item of an archive, without their XML, or
	// zero items if it is empty.
	Ends(ctx context.Context, archive jid.JID) (first, last Item, err error)
}

// Message is what is put into an archive.
type Message struct {
	// With is the other party: for an account, who the message is from or to if not
	// the account itself; for a room, who queries may ask for: the occupant JID that
	// it is from, or that of the person.
	// It keeps its resource if it has one.
	With jid.JID

	// Stamp is when the message was received. It is kept in UTC, and cut to the
	// microsecond, as are the times that it is compared with.
	Stamp time.Time

	// XML is the whole message element, in the namespace jabber:client. It must
	// not be changed once it was handed over. It may be empty, of a message that
	// was redacted.
	XML []byte

	// StanzaID is the id attribute of the message, by which chat markers refer to
	// it (XEP-0333). It may be empty.
	StanzaID string

	// GroupChat is set if the message is of type groupchat.
	GroupChat bool

	// Conversation is what the message belongs to for people who read it: if it is
	// the zero JID, With without its resource. For a private message of somebody in a
	// room it is With as it is.
	Conversation jid.JID

	// Unread is set if the message makes its conversation unread: it is incoming,
	// and to be read by people.
	Unread bool
}

// Item is a message in an archive.
type Item struct {
	// Position is the place of the item in its archive. It is not shown to clients.
	Position int64

	// ID is the item's unique id, which clients know it by (XEP-0359): at least 16
	// characters of printable ASCII that need no quoting in XML, and tell nothing.
	ID string

	// Message is what was stored, with its Conversation resolved.
	Message
}

// Query asks for one page of the items that match. The zero value asks for the
// first page of everything.
type Query struct {
	// With, if not zero, is the other party. A bare JID stands for all its
	// resources, a full JID for itself.
	With jid.JID

	// Start and End, if not zero, are the first and the last moment.
	Start, End time.Time

	// AfterID and BeforeID, if not empty, are ids of items that lie outside of what
	// matches, next to it.
	AfterID, BeforeID string

	// IDs, if there are any, are the ids of the items themselves. An item is
	// returned once however often it is named.
	IDs []string

	// WithoutGroupChat leaves out messages of type groupchat.
	WithoutGroupChat bool

	// Max is how many items are returned at most; if it is not positive, none are, and
	// the page lies where it would begin. Whoever calls Query bounds it.
	Max int

	// From says where the page lies among the items that match.
	From Cursor

	// Flip returns the items of the page in reverse order. The page is the same.
	Flip bool

	// Count asks for the numbers in Page, even if they take time.
	Count bool
}

// Cursor is where a page lies. The zero value is the beginning. At most one of its
// fields is set.
type Cursor struct {
	// After, if not empty, is the id of the item that the page lies behind.
	After string

	// Before, if not empty, is the id of the item that the page lies before: it is
	// the last of the items before it.
	Before string

	// Last is set for the last page.
	Last bool

	// Index is how many of the items that match lie before the page.
	Index int64
}

// Page is what is known of a page.
type Page struct {
	// Complete is set if nothing that matches lies beyond the page: behind it, or
	// with Cursor.Before or Cursor.Last, before it.
	Complete bool

	// Count is the number of all items that match, and First the number of those
	// before the page. They are -1 if they are not known, which they may be without
	// Query.Count. First is also -1 if the page is empty.
	Count, First int64

	// Unstable is set if the same query may have another answer later although
	// nothing was appended or pruned.
	Unstable bool
}

// Pruner is an [Archive] that can forget.
type Pruner interface {
	Archive

	// Prune removes items from the beginning of an archive, up to the first one that
	// was not received before a time and is among the last keep, or if keep is negative,
	// that was not received before that time.
	// It returns how many, also beside an error. Their positions and ids are never
	// used again.
	Prune(ctx context.Context, archive jid.JID, before time.Time, keep int64) (int64, error)
}

// Batcher is an [Archive] that can append many messages for the price of a few.
type Batcher interface {
	Archive

	// AppendAll appends messages, each to its archive, in the order in which they
	// are given. Either all are stored or none, and who sees one of them sees all
	// that are in the same archive. If ctx ends meanwhile, all may be stored although
	// it returns an error.
	AppendAll(ctx context.Context, messages []Entry) ([]Item, error)
}

// Entry is a message and the archive that it belongs to.
type Entry struct {
	Archive jid.JID
	Message Message
}

// Unread is what is unread of one conversation.
type Unread struct {
	// Conversation is that of the messages.
	Conversation jid.JID

	// ReadID is the id of the last item of the archive that was read of the
	// conversation, or empty if none was, or it has been pruned.
	ReadID string

	// Count is how many unread messages the archive holds behind it. It is positive.
	Count int64

	// Last is the position of the newest of them.
	Last int64
}

// UnreadArchive is an [Archive] that knows what was read.
//
// It counts when messages are appended, read and pruned, so that to ask costs as
// much as there are conversations with something unread, whatever the size of the
// archive.
type UnreadArchive interface {
	Archive

	// Read notes that a conversation was read up to the item with an id, and
	// reports whether that was news: an item that is not behind the last one that
	// was read changes nothing.
	// It is ErrNotFound if the conversation has no such item.
	Read(ctx context.Context, archive, conversation jid.JID, id string) (bool, error)

	// ReadStanza is Read for the newest item of the conversation whose StanzaID it
	// is, which is how chat markers name a message (XEP-0333). No item has an empty
	// one.
	ReadStanza(ctx context.Context, archive, conversation jid.JID, stanzaID string) (bool, error)

	// Unread returns the conversations that have unread messages, the one with the
	// newest first, and no more than limit of them, which is positive.
	Unread(ctx context.Context, archive jid.JID, limit int) ([]Unread, error)
}

// Default is what is archived of the messages of those who are in no list.
type Default string

// The three defaults.
const (
	Always Default = "always"
	Never  Default = "never"
	Roster Default = "roster" // those of contacts in the roster
)

// Preferences are what somebody wants to be archived (XEP-0441).
type Preferences struct {
	Default Default

	// Always and Never are lists of those whose messages are archived, and are not.
	// A bare JID stands for all its resources, a full JID for itself.
	Always, Never []jid.JID
}

// PreferenceStore is an [Archive] that also keeps preferences.
type PreferenceStore interface {
	Archive

	// Preferences returns those of an archive, or the zero value if there are none.
	Preferences(ctx context.Context, archive jid.JID) (Preferences, error)

	// SetPreferences replaces them.
	SetPreferences(ctx context.Context, archive jid.JID, p Preferences) error
}
