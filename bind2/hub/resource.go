// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// Why a resource has gone.
var (
	// ErrClosed means that the resource was closed by its own server.
	ErrClosed = errors.New("hub: the resource is closed")

	// ErrReplaced means that the same client, or one that wanted the same
	// resourcepart, has bound anew.
	ErrReplaced = errors.New("hub: the resource was replaced by a newer one")

	// ErrSlow means that the client did not read what was sent to it.
	ErrSlow = errors.New("hub: the client does not read its messages")

	// ErrLost means that messages cannot be found that somebody else has put into
	// the archive. The client has to bind anew, and to read the archive.
	ErrLost = errors.New("hub: messages were missed that cannot be read from the archive")
)

// Errors of the use of a [Resource].
var (
	// ErrNoResource means that a bind was not made under the context of a resource.
	ErrNoResource = errors.New("hub: no resource in the context of the bind; negotiate the stream under Resource.Context")

	// ErrUnbound means that a resource was not bound.
	ErrUnbound = errors.New("hub: the resource is not bound")

	// ErrBound means that a resource was bound before.
	ErrBound = errors.New("hub: the resource is bound already")
)

// maxMissed bounds what is known of messages that a client has not got live. The
// offline queue commonly keeps no more.
const maxMissed = 1000

// maxRooms bounds how many rooms a resource is known to be in. With more of them,
// copies of private messages to somebody in one of the others are left out.
const maxRooms = 1000

// Resource is one connection of a client to its account. It is not bound at
// first.
//
// Its methods are safe for concurrent use. It must be closed.
type Resource struct {
	hub *Hub

	// What follows belongs to who has the account's turn, and jid, once it is bound,
	// to everybody.

	jid       jid.JID
	client    string  // the id of the installation, or empty
	cut       bool    // bound by XEP-0386
	first     int64   // the first position in the archive at the bind, or 0
	live      int64   // the first position behind the bind, or 0
	missed    []int64 // positions behind it that were not for the resource, in order
	carbons   bool
	spoken    bool // has sent a presence
	available bool
	priority  int8
	rooms     map[string]string // nicks of the client, by rooms

	inactive atomic.Bool
	queue    queue

	mu      sync.Mutex
	account *account // set while it is bound, and for good
}

type contextKey struct{}

// NewResource returns a resource for a new connection.
func (h *Hub) NewResource() *Resource {
	return &Resource{hub: h, queue: queue{
		wake:     make(chan struct{}, 1),
		gone:     make(chan struct{}),
		maxSize:  orDefault(h.QueueSize, DefaultQueueSize),
		maxBytes: orDefault(h.QueueBytes, DefaultQueueBytes),
	}}
}

// Context returns a context under which r can be bound: by a bind2.Server whose Store
// is the hub.
func (r *Resource) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, contextKey{}, r)
}

// JID returns the full JID that was bound, or the zero JID.
func (r *Resource) JID() jid.JID {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.account == nil {
		return jid.JID{}
	}
	return r.jid
}

// Inactive reports whether the client has said that nobody looks at it (XEP-0352).
func (r *Resource) Inactive() bool { return r.inactive.Load() }

// SetInactive notes whether somebody looks at the client.
func (r *Resource) SetInactive(inactive bool) { r.inactive.Store(inactive) }

// Take waits for stanzas that are to be sent to the client, and returns all that
// there are. They are whole elements in the namespace jabber:client.
//
// To call it again says that those of the last call were sent. Those that were not
// when the resource goes are kept for the account's other clients if nobody else
// has got them.
// Its error is why the resource has gone, such as ErrReplaced, or that of ctx.
// It is called by one goroutine at a time.
func (r *Resource) Take(ctx context.Context) ([][]byte, error) { return r.queue.take(ctx) }

// Gone returns a channel that is closed when the resource has gone. Take says why.
func (r *Resource) Gone() <-chan struct{} { return r.queue.gone }

// SetCarbons switches copies of messages on or off (XEP-0280).
func (r *Resource) SetCarbons(ctx context.Context, on bool) error {
	return r.inTurn(ctx, func(*account) { r.carbons = on })
}

// SetPresence notes a presence that the client has sent to everybody: whether it is
// available, and its priority. When it becomes available, with a priority that is not
// negative, messages that were kept for the account are put into its queue.
func (r *Resource) SetPresence(ctx context.Context, available bool, priority int8) error {
	return r.inTurn(ctx, func(a *account) {
		reachable := r.reachable()
		r.spoken, r.available, r.priority = true, available, priority
		if !reachable && r.reachable() {
			r.hub.flush(ctx, a, r)
		}
		if available {
			r.queue.open()
		} else {
			r.rooms = nil // It has left them all (RFC 6121, section 4.5.2).
		}
	})
}

// SetOccupant notes whether the client is in a room, under the full JID that it has
// there. It is then sent copies of private messages that the account's other clients
// in that room send under the same.
func (r *Resource) SetOccupant(ctx context.Context, occupant jid.JID, present bool) error {
	return r.inTurn(ctx, func(*account) {
		room := occupant.Bare().String()
		switch {
		case !present:
			delete(r.rooms, room)
		case len(r.rooms) < maxRooms || r.rooms[room] != "":
			if r.rooms == nil {
				r.rooms = make(map[string]string)
			}
			r.rooms[room] = occupant.Resourcepart()
		}
	})
}

// Open ends holding messages back, because the client has read the archive. See
// [Gate].
func (r *Resource) Open() { r.queue.open() }

// Close unbinds the resource. What its client has not been sent and nobody else has
// got is kept for the account.
// It waits for the account's turn, for as long as stores may take. To close it again
// does nothing.
func (r *Resource) Close() error {
	r.mu.Lock()
	r.queue.end(ErrClosed)
	a := r.account
	r.mu.Unlock()
	if a == nil {
		return nil
	}
	ctx := context.Background()
	a, err := r.hub.enter(ctx, a.jid)
	if err != nil {
		return err
	}
	defer a.leave()
	r.hub.drop(ctx, a, r, ErrClosed)
	return nil
}

// drop ends a resource, and keeps what it alone was to get. The caller has the turn.
func (h *Hub) drop(ctx context.Context, a *account, r *Resource, cause error) {
	r.queue.end(cause)
	if !a.remove(r) {
		return
	}
	cause = r.queue.cause() // It may have ended before.
	ctx, cancel := h.limit(ctx)
	defer cancel()
	for _, s := range r.queue.unsent() {
		if s.queues--; s.queues == 0 {
			_ = h.keep(ctx, a, s.message) // What fails is logged.
		}
	}
	h.observe(Event{Kind: UnboundResource, Account: a.jid, Resource: r.jid, Err: cause})
}

// inTurn calls do with the turn of the account.
func (r *Resource) inTurn(ctx context.Context, do func(a *account)) error {
	a, err := r.enter(ctx)
	if err != nil {
		return err
	}
	defer a.leave()
	do(a)
	return nil
}

// enter waits for the turn of the resource's account. The resource is still there
// then.
func (r *Resource) enter(ctx context.Context) (*account, error) {
	r.mu.Lock()
	a := r.account
	r.mu.Unlock()
	if a == nil {
		return nil, ErrUnbound
	}
	a, err := r.hub.enter(ctx, a.jid)
	if err != nil {
		return nil, err
	}
	if cause := r.queue.cause(); cause != nil {
		a.leave()
		return nil, cause
	}
	return a, nil
}

func (r *Resource) ended() bool { return r.queue.cause() != nil }

// reachable reports whether messages to the bare JID go to the resource.
func (r *Resource) reachable() bool { return r.available && r.priority >= 0 && !r.ended() }

// waiting reports whether the resource was bound by a cut, and has not said yet
// whether it is available.
func (r *Resource) waiting() bool { return r.cut && !r.spoken && !r.ended() }

// knows reports whether a client that has bound by a cut has found a message in the
// archive, or has got it live.
func (r *Resource) knows(position int64) bool {
	if _, missed := slices.BinarySearch(r.missed, position); missed {
		return false
	}
	return r.first > 0 && position >= r.first || r.live > 0 && position >= r.live
}

// miss notes that a resource does not get what was archived at a position.
func (r *Resource) miss(position int64) {
	if len(r.missed) == maxMissed {
		r.missed = slices.Delete(r.missed, 0, maxMissed/2)
	}
	r.missed = append(r.missed, position)
}

// unavailable is what a sender is told if nobody is there.
func unavailable(text string) stanza.Error {
	return stanza.Error{Type: stanza.Cancel, Condition: stanza.ServiceUnavailable, Text: map[string]string{"en": text}}
}
