// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package carbons

import (
	"context"
	"sync"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// Registry knows which resources get copies. It is for servers that keep no other
// record of their sessions.
//
// The zero value is ready for use. A Registry is safe for concurrent use.
type Registry struct {
	mu sync.RWMutex
	on map[string]struct{}
}

// Set turns copies for a resource on or off. It has to be turned off when the session
// ends: whoever binds the resource next has not asked for copies.
// A JID that is not full is never on.
func (r *Registry) Set(resource jid.JID, on bool) {
	if !full(resource) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !on {
		delete(r.on, resource.String())
		return
	}
	if r.on == nil {
		r.on = make(map[string]struct{})
	}
	r.on[resource.String()] = struct{}{}
}

// Switch is Set in the form that a [Handler] calls.
func (r *Registry) Switch(_ context.Context, resource jid.JID, on bool) error {
	if !full(resource) {
		return stanza.Error{Type: stanza.Cancel, Condition: stanza.NotAllowed}
	}
	r.Set(resource, on)
	return nil
}

// Enabled reports whether copies are on for a resource.
func (r *Registry) Enabled(resource jid.JID) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, ok := r.on[resource.String()]
	return ok
}

// Copies returns those of an account's resources that get a copy of a message that is
// eligible: copies are on for them, and they are not among the ones that have had it,
// because it was delivered to them or they have sent it. Each is returned once.
//
// Of a sent message that is for an [Content.Occupant] of a room, give it the resources
// only that are in the room.
func (r *Registry) Copies(resources, had []jid.JID) []jid.JID {
	var copies []jid.JID
	for _, resource := range resources {
		if r.Enabled(resource) && !contains(had, resource) && !contains(copies, resource) {
			copies = append(copies, resource)
		}
	}
	return copies
}

func contains(list []jid.JID, j jid.JID) bool {
	for _, other := range list {
		if other.Equal(j) {
			return true
		}
	}
	return false
}
