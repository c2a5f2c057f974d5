// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/carbons"
	"github.com/xmppext/xmppext/mam"
)

// Deliver delivers a message that an account has received: it archives the message
// if it is to be archived, and puts it into the queues of the account's resources
// that get it, or into the offline queue.
//
// The account's bare JID, or one of its resources, is whom the message is to, and it
// says whom it is from: who calls Deliver has seen to that, and that the account
// exists. What is in the message stays as it is, but for ids that pretend to be by
// the account.
//
// A stanza.Error is what the sender is to be told; the message was not taken then,
// as with any other error. Once the turn of the account has come, the message is taken
// even if ctx ends.
func (h *Hub) Deliver(ctx context.Context, account jid.JID, r xml.TokenReader) error {
	account = account.Bare()
	m, err := read(account, jid.JID{}, r)
	if err != nil {
		return refusal(err)
	}
	if to := m.content.Message.To; !to.Equal(jid.JID{}) && !to.Bare().Equal(account) {
		return fmt.Errorf("hub: a message to %s is not for %s", to, account)
	}
	a, err := h.enter(ctx, account)
	if err != nil {
		return err
	}
	defer a.leave()
	ctx, cancel := h.limit(ctx)
	defer cancel()
	return h.deliver(ctx, a, m, nil)
}

// refusal returns what an error of what is in a message is to its sender.
func refusal(err error) error {
	if errors.Is(err, mam.ErrTooLarge) {
		return stanza.Error{Type: stanza.Modify, Condition: stanza.PolicyViolation, Text: map[string]string{"en": "the message is too large"}}
	}
	return err
}

// deliver delivers a message, in the turn of its account. Sender is the account's
// resource that has sent it, if any.
func (h *Hub) deliver(ctx context.Context, a *account, m message, sender *Resource) error {
	archived, err := h.wanted(ctx, a, m.content)
	if err != nil {
		return err
	}
	way := a.route(m, sender, archived)
	if way.refuse != nil {
		h.observe(Event{Kind: Refused, Account: a.jid, Err: way.refuse})
		return way.refuse
	}
	if way.none() {
		return nil
	}
	item := mam.Item{Message: mam.Message{Stamp: time.Now()}}
	if archived {
		if item, err = h.archive(ctx, a, m); err != nil {
			return refusal(err)
		}
	}
	return h.hand(ctx, a, m, way, item)
}

// hand puts a message, which may be archived as item, into queues.
func (h *Hub) hand(ctx context.Context, a *account, m message, way way, item mam.Item) error {
	kept := OfflineMessage{Position: item.Position, ID: item.ID, Stamp: item.Stamp, XML: m.xml}
	live := m.with(a.jid, item.ID, time.Time{})
	if way.keep {
		if err := h.keep(ctx, a, kept); err != nil && item.ID == "" {
			return err // Nobody has got it.
		}
	}
	if item.ID != "" {
		for _, r := range a.resources {
			if r.cut && !slices.Contains(way.to, r) && !slices.Contains(way.copies, r) {
				r.miss(item.Position)
			}
		}
	}
	var held *share
	if !way.keep && !way.kept && m.keepable() {
		held = &share{message: kept}
	}
	delivered := 0
	for _, r := range way.to {
		if h.push(ctx, a, r, queued{xml: live, hold: true, share: held}) {
			delivered++
		}
	}
	if held != nil && delivered == 0 && len(way.to) > 0 {
		if err := h.keep(ctx, a, kept); err != nil && item.ID == "" {
			return err
		}
		held = nil
	}
	h.copy(ctx, a, way.direction, m, live, way.copies, held)
	return nil
}

// copy puts copies of a message into queues.
func (h *Hub) copy(ctx context.Context, a *account, d carbons.Direction, m message, xml []byte, to []*Resource, held *share) {
	for _, r := range to {
		b := carbons.Append(make([]byte, 0, len(xml)+320), d, r.jid, m.content.Message.Type, xml)
		h.push(ctx, a, r, queued{xml: b, hold: true, share: held})
	}
}

// push puts a stanza into a resource's queue, which loses its session if there is no
// room.
func (h *Hub) push(ctx context.Context, a *account, r *Resource, s queued) bool {
	n, ok := r.queue.push(s)
	if !ok {
		h.drop(ctx, a, r, ErrSlow)
		return false
	}
	if s.share != nil {
		s.share.queues++
	}
	h.observe(Event{Kind: Queued, Account: a.jid, Resource: r.jid, N: n})
	return true
}

// keep puts a message into the offline queue, if it is one for that.
func (h *Hub) keep(ctx context.Context, a *account, m OfflineMessage) error {
	if h.Offline == nil {
		return unavailable("nobody is there")
	}
	err := h.Offline.Add(ctx, a.jid, m)
	switch {
	case err == nil:
		h.observe(Event{Kind: Kept, Account: a.jid, N: 1})
		return nil
	case errors.Is(err, ErrOfflineFull):
		err = stanza.Error{Type: stanza.Wait, Condition: stanza.ServiceUnavailable, Text: map[string]string{"en": "too many messages wait for the account"}}
	default:
		h.log(ctx, "the offline queue failed", "account", a.jid, "err", err)
		err = fmt.Errorf("hub: keeping a message: %w", err)
	}
	h.observe(Event{Kind: Refused, Account: a.jid, Err: err})
	return err
}

// flush puts what was kept into the queue of a resource that has become available.
func (h *Hub) flush(ctx context.Context, a *account, r *Resource) {
	if h.Offline == nil {
		return
	}
	ctx, cancel := h.limit(ctx)
	defer cancel()
	messages, err := h.Offline.Take(ctx, a.jid, 0)
	if err != nil {
		h.log(ctx, "the offline queue failed", "account", a.jid, "err", err)
		return
	}
	if err := h.place(ctx, a, r, messages); err != nil {
		h.log(ctx, "messages were missed", "account", a.jid, "err", err)
	}
	for _, o := range messages {
		if r.cut && r.knows(o.Position) {
			continue
		}
		b := message{xml: o.XML}.with(a.jid, o.ID, o.Stamp)
		n, ok := r.queue.push(queued{xml: b, free: true, share: &share{message: o, queues: 1}})
		if !ok {
			_ = h.keep(ctx, a, o) // The resource is being closed. What fails is logged.
			continue
		}
		h.observe(Event{Kind: Queued, Account: a.jid, Resource: r.jid, N: n})
	}
}

// place finds out on which side of a cut messages of the offline queue lie. If the
// archive was empty then, it may have been pruned, or those that are in it now have been
// appended since, by somebody else: they are handed to the resources.
func (h *Hub) place(ctx context.Context, a *account, r *Resource, messages []OfflineMessage) error {
	if h.Archive == nil || !r.cut || r.first > 0 || r.live > 0 {
		return nil
	}
	var last mam.Item
	for _, o := range messages {
		last.Position = max(last.Position, o.Position)
	}
	return h.catchUp(ctx, a, last)
}
