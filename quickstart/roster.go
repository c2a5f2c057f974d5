// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"mellium.im/xmpp/jid"
)

// Subscriptions of a [RosterItem] (RFC 6121, section 2.1.2.5).
const (
	SubscriptionNone   = "none"
	SubscriptionTo     = "to"
	SubscriptionFrom   = "from"
	SubscriptionBoth   = "both"
	SubscriptionRemove = "remove" // in a push only
)

// Errors of what a session asks for by itself.
var (
	// ErrNoAnswer means that a session has ended before the server has answered.
	ErrNoAnswer = errors.New("quickstart: the session has ended before the server has answered")

	// ErrRoster means that a server's roster is not to be had: it is no roster, or more
	// than a client should take. See [MaxRosterItems].
	ErrRoster = errors.New("quickstart: the server's answer is no roster that can be used")
)

// RosterItem is a contact (RFC 6121, section 2.1.2).
type RosterItem struct {
	JID jid.JID

	// Name is what the user calls the contact, or empty.
	Name string

	// Subscription is whose presence is seen by whom: one of SubscriptionNone, To, From
	// and Both. In a push it is SubscriptionRemove if the contact is gone. What a server
	// says besides is taken for SubscriptionNone.
	Subscription string

	// Ask is set if the contact was asked for its presence and has not answered.
	Ask bool

	// Approved is set if the contact may see the user's presence as soon as it asks.
	Approved bool

	// Groups are in the order of the server, each of them once.
	Groups []string
}

func (i RosterItem) clone() RosterItem {
	i.Groups = slices.Clone(i.Groups)
	return i
}

// size is how many bytes of an item are the server's.
func (i RosterItem) size() int {
	n := len(i.JID.String()) + len(i.Name) + len(i.Subscription)
	for _, g := range i.Groups {
		n += len(g)
	}
	return n
}

// Roster is the roster of an account, as the session knows it: what was kept of an
// earlier one at first, then what the server has answered, and from then on with each
// change. It follows while [Session.Serve] runs, and stays as it is when that has ended.
//
// If the server has roster versions (XEP-0237, now RFC 6121, section 2.6), it is asked
// for what has changed since the version that was kept, and sends no more than that.
//
// Its methods may be called by several goroutines at once.
type Roster struct {
	account jid.JID
	keep    func(kept rosterState)
	pushed  func(account jid.JID, item RosterItem)

	answered chan struct{}
	once     sync.Once // closes answered
	err      error     // before answered is closed

	changing sync.Mutex // held for each change until it is kept

	mu    sync.Mutex
	state rosterState
	size  int // of all items

	// since is the version that was asked by, or empty if all was asked for, and based is
	// set once the server has answered. The version of a change that comes before, or
	// behind an error, may be that of changes which the roster does not have. Based is
	// for the goroutine that serves only.
	since string
	based bool

	// unsure is set if something was not understood or is missing, so that no version is
	// that of the items before the server has sent all of them.
	unsure bool
}

// rosterState is what belongs together of a roster. Its items are by JID.
type rosterState struct {
	version string
	items   map[string]RosterItem
}

// newRoster returns a roster that is asked for anew. Keep is called with each state
// whose version and items belong together; it must not change it.
func newRoster(account jid.JID, kept rosterState, keep func(rosterState), pushed func(jid.JID, RosterItem)) *Roster {
	if kept.items == nil {
		kept.items = make(map[string]RosterItem)
	}
	r := &Roster{account: account.Bare(), state: kept, keep: keep, pushed: pushed, answered: make(chan struct{})}
	for _, item := range kept.items {
		r.size += item.size()
	}
	return r
}

// Items returns the contacts, ordered by their addresses. Before the server has
// answered they are those that were kept.
func (r *Roster) Items() []RosterItem {
	r.mu.Lock()
	defer r.mu.Unlock()
	items := make([]RosterItem, 0, len(r.state.items))
	for _, key := range slices.Sorted(maps.Keys(r.state.items)) {
		items = append(items, r.state.items[key].clone())
	}
	return items
}

// Item returns the contact with a bare or full JID, as it is on the roster.
func (r *Roster) Item(contact jid.JID) (item RosterItem, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	item, ok = r.state.items[contact.String()]
	return item.clone(), ok
}

// Version returns the server's name for the state of the roster, or nothing if it has
// not said any. It can be compared for equality and nothing else.
func (r *Roster) Version() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.version
}

// Wait returns when the server has answered. What it has changed since the version that
// was kept may still come, as if it were changed now: there is no end of that.
//
// The error is [ErrRoster], the server's [mellium.im/xmpp/stanza.Error], [ErrNoAnswer],
// or that of ctx. Without Session.Serve there is no answer.
func (r *Roster) Wait(ctx context.Context) error {
	select {
	case <-r.answered:
		return r.err
	default:
	}
	select {
	case <-r.answered:
		return r.err
	case <-ctx.Done():
		return fmt.Errorf("quickstart: waiting for the roster: %w", ctx.Err())
	}
}

// finish ends all waits. Only the first call counts.
func (r *Roster) finish(err error) {
	r.once.Do(func() {
		r.err = err
		close(r.answered)
	})
}

// ask returns the version to ask by, as an attribute, for a server that has roster
// versions or not. If it has not, the one that was kept is good for nothing any more.
//
// An empty roster is asked for as a whole, which costs nothing as long as it is empty:
// Prosody 13 calls it version 1, and the one with the first contact, too.
func (r *Roster) ask(versions bool) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !versions:
		r.state.version = ""
		return ""
	case len(r.state.items) == 0:
		return " ver=''"
	}
	r.since = r.state.version
	return " ver='" + escaped(r.since) + "'"
}

// replace takes in all that the server has, which is not to be kept if it was not
// understood as a whole. Nil means that nothing has changed.
func (r *Roster) replace(full *rosterAnswer) {
	if full != nil {
		r.change(func() {
			r.state = rosterState{version: full.version, items: make(map[string]RosterItem, len(full.items))}
			r.size, r.unsure = 0, full.partial
			for _, item := range full.items {
				r.set(item)
			}
		})
	} else if r.since == "" {
		r.lose() // It says nothing about what there is.
	}
	r.based = true
	r.finish(nil)
}

// push takes in one change, and returns false if the roster would be too large with it.
func (r *Roster) push(version string, item RosterItem) (ok bool) {
	r.change(func() {
		if ok = item.Subscription == SubscriptionRemove || r.fits(item); ok {
			r.set(item)
			r.state.version = version
		}
		r.unsure = r.unsure || !ok || !r.based
	})
	if ok && r.pushed != nil {
		r.pushed(r.account, item.clone())
	}
	return ok
}

// lose notes that a change was not understood.
func (r *Roster) lose() { r.change(func() { r.unsure = true }) }

// change changes the state, and keeps it. Without a version there is nothing to ask by
// the next time, but something to show until there is an answer.
func (r *Roster) change(f func()) {
	r.changing.Lock()
	defer r.changing.Unlock()
	r.mu.Lock()
	f()
	if r.unsure {
		r.state.version = ""
	}
	now := r.state
	r.mu.Unlock()
	if r.keep != nil {
		r.keep(now) // Nobody else changes the items meanwhile.
	}
}

// fits reports whether there is room for an item.
func (r *Roster) fits(item RosterItem) bool {
	old, there := r.state.items[item.JID.String()]
	return (there || len(r.state.items) < MaxRosterItems) && r.size-old.size()+item.size() <= maxRosterBytes
}

func (r *Roster) set(item RosterItem) {
	key := item.JID.String()
	if old, there := r.state.items[key]; there {
		r.size -= old.size()
		delete(r.state.items, key)
	}
	if item.Subscription != SubscriptionRemove {
		r.size += item.size()
		r.state.items[key] = item
	}
}
