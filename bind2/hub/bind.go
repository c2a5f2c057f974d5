// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub

import (
	"context"
	"errors"
	"fmt"
	"math"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/mam"
)

var _ bind2.Store = (*Hub)(nil)

// maxNames is how often a resourcepart is chosen anew because it is in use.
const maxNames = 10

// Bind binds the resource whose context it is called under, at one instant. See
// bind2.Store.
func (h *Hub) Bind(ctx context.Context, request bind2.Request) (bind2.Bound, error) {
	r, ok := ctx.Value(contextKey{}).(*Resource)
	if !ok || r.hub != h {
		return bind2.Bound{}, ErrNoResource
	}
	request.Account = request.Account.Bare()
	a, err := h.enter(ctx, request.Account)
	if err != nil {
		return bind2.Bound{}, err
	}
	defer a.leave()
	ctx, cancel := h.limit(ctx)
	defer cancel()
	return h.bind(ctx, a, r, request)
}

// bind does all that can fail before it changes anything that others can see.
func (h *Hub) bind(ctx context.Context, a *account, r *Resource, request bind2.Request) (bind2.Bound, error) {
	r.mu.Lock() // Close waits, or has been.
	defer r.mu.Unlock()
	if r.account != nil {
		return bind2.Bound{}, ErrBound
	}
	if cause := r.queue.cause(); cause != nil {
		return bind2.Bound{}, cause
	}
	name, replaced, err := h.choose(a, request)
	if err != nil {
		return bind2.Bound{}, err
	}
	b := bind2.Bound{JID: name}
	cut := request.Protocol != bind2.Legacy
	first, last, err := h.snapshot(ctx, a, &b, cut)
	if err != nil {
		return bind2.Bound{}, err
	}
	if err := h.clear(ctx, a, cut, first); err != nil {
		return bind2.Bound{}, err
	}

	for _, old := range replaced {
		h.drop(ctx, a, old, ErrReplaced)
	}
	r.jid, r.client, r.cut, r.carbons = name, request.Client, cut, request.Carbons
	r.first = first.Position
	r.inactive.Store(request.Inactive)
	if cut && h.Gate != nil {
		r.queue.gate(*h.Gate)
	}
	r.account = a
	a.add(r)
	if h.Archive != nil {
		a.see(last)
	}
	h.observe(Event{Kind: BoundResource, Account: a.jid, Resource: name})
	return b, nil
}

// choose chooses a full JID, and says whom it replaces.
func (h *Hub) choose(a *account, request bind2.Request) (jid.JID, []*Resource, error) {
	var (
		none     jid.JID
		replaced []*Resource
		name     jid.JID
		err      error
	)
	for _, old := range a.resources {
		if request.Client != "" && old.client == request.Client {
			replaced = append(replaced, old)
		}
	}
	inUse := func(j jid.JID) *Resource {
		for _, old := range a.resources {
			if old.jid.Equal(j) {
				return old
			}
		}
		return nil
	}
	if request.Protocol == bind2.Legacy && request.Resource != "" {
		if name, err = a.jid.WithResource(request.Resource); err != nil {
			return none, nil, stanza.Error{Type: stanza.Modify, Condition: stanza.BadRequest}
		}
		if old := inUse(name); old != nil {
			replaced = append(replaced, old)
		}
	} else {
		name, err = h.generate(a, request, func(j jid.JID) bool {
			old := inUse(j)
			return old != nil && !contains(replaced, old)
		})
		if err != nil {
			return none, nil, err
		}
	}
	if len(a.resources)-len(replaced) >= orDefault(h.MaxResources, DefaultMaxResources) {
		return none, nil, stanza.Error{Type: stanza.Wait, Condition: stanza.ResourceConstraint}
	}
	return name, replaced, nil
}

// generate chooses a full JID that is not in use.
func (h *Hub) generate(a *account, request bind2.Request, inUse func(jid.JID) bool) (jid.JID, error) {
	for n := range maxNames {
		part := bind2.NewResource(request.Tag)
		if h.Resourcepart != nil && n == 0 {
			part = h.Resourcepart(request)
		}
		name, err := a.jid.WithResource(part)
		if err != nil || part == "" {
			return jid.JID{}, fmt.Errorf("hub: %q is no resourcepart: %w", part, err)
		}
		if !inUse(name) {
			return name, nil
		}
	}
	return jid.JID{}, errors.New("hub: no resourcepart that is not in use")
}

func contains(list []*Resource, r *Resource) bool {
	for _, other := range list {
		if other == r {
			return true
		}
	}
	return false
}

// snapshot reads the state of the archive into b. The account's resources have been
// told of all that is in it.
func (h *Hub) snapshot(ctx context.Context, a *account, b *bind2.Bound, cut bool) (first, last mam.Item, err error) {
	if h.Archive == nil {
		return first, last, nil
	}
	if first, last, err = h.Archive.Ends(ctx, a.jid); err != nil {
		return first, last, fmt.Errorf("hub: the ends of the archive: %w", err)
	}
	if err := h.catchUp(ctx, a, last); err != nil {
		return first, last, err
	}
	if !cut {
		return first, last, nil
	}
	b.Archived = true
	if last.Position > 0 {
		b.First = bind2.Entry{ID: first.ID, Time: first.Stamp}
		b.Last = bind2.Entry{ID: last.ID, Time: last.Stamp}
	}
	if u, ok := h.Archive.(mam.UnreadArchive); ok {
		unread, err := u.Unread(ctx, a.jid, orDefault(h.MaxUnread, DefaultMaxUnread))
		if err != nil {
			return first, last, fmt.Errorf("hub: what is unread: %w", err)
		}
		b.Unreads = make([]bind2.Unread, len(unread))
		for i, c := range unread {
			b.Unreads[i] = bind2.Unread{JID: c.Conversation, ReadID: c.ReadID, Count: c.Count}
		}
	}
	return first, last, nil
}

// clear removes what the client finds in the archive from the offline queue.
func (h *Hub) clear(ctx context.Context, a *account, cut bool, first mam.Item) error {
	if !cut || h.Offline == nil {
		return nil
	}
	from := first.Position
	switch {
	case h.ClearAll:
		from = 0
	case from == 0:
		from = math.MaxInt64 // There is nothing in the archive.
	}
	cleared, err := h.Offline.Take(ctx, a.jid, from)
	if err != nil {
		return fmt.Errorf("hub: clearing offline messages: %w", err)
	}
	if len(cleared) > 0 {
		h.observe(Event{Kind: Cleared, Account: a.jid, N: len(cleared)})
	}
	return nil
}
