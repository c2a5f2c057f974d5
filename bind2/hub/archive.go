// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub

import (
	"context"
	"errors"
	"fmt"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/carbons"
	"github.com/xmppext/xmppext/mam"
)

// catchUpPage is how many messages are read at once of those that somebody else has
// appended.
const catchUpPage = 100

// see notes that the account's resources have been told of an item, and so of all that
// are before it.
func (a *account) see(item mam.Item) {
	a.seen.known, a.seen.position, a.seen.id = len(a.resources) > 0, item.Position, item.ID
}

// tell notes that the resources are being told of an item.
func (a *account) tell(item mam.Item) {
	a.see(item)
	for _, r := range a.resources {
		if r.live == 0 {
			r.live = item.Position
		}
	}
}

// wanted reports whether a message is to be archived.
func (h *Hub) wanted(ctx context.Context, a *account, c mam.Content) (bool, error) {
	if h.Archive == nil || !c.ForAccount() {
		return false, nil
	}
	store, ok := h.Archive.(mam.PreferenceStore)
	if !ok {
		return true, nil
	}
	p, err := store.Preferences(ctx, a.jid)
	if err != nil {
		h.log(ctx, "the archive failed", "account", a.jid, "err", err)
		return false, fmt.Errorf("hub: preferences: %w", err)
	}
	return p.Allow(c.ForArchive(a.jid, nil).With, func(contact jid.JID) bool {
		return h.InRoster != nil && h.InRoster(ctx, a.jid, contact)
	}), nil
}

// archive appends a message. The account's resources have been told of all that was
// there before.
func (h *Hub) archive(ctx context.Context, a *account, m message) (mam.Item, error) {
	item, err := h.Archive.Append(ctx, a.jid, m.content.ForArchive(a.jid, m.xml))
	if err != nil {
		if !errors.Is(err, mam.ErrTooLarge) {
			h.log(ctx, "the archive failed", "account", a.jid, "err", err)
		}
		return item, fmt.Errorf("hub: archiving a message: %w", err)
	}
	h.observe(Event{Kind: Archived, Account: a.jid, N: 1})
	if a.seen.known && item.Position > a.seen.position+1 {
		before := item
		before.Position--
		if err := h.catchUp(ctx, a, before); err != nil {
			h.log(ctx, "messages were missed", "account", a.jid, "err", err)
		}
	}
	a.tell(item)
	return item, nil
}

// errEnough ends a query.
var errEnough = errors.New("hub: enough")

// catchUp hands the account's resources what somebody else has appended to the archive
// since they were told of it, up to the position of last. If that cannot be read,
// they go.
func (h *Hub) catchUp(ctx context.Context, a *account, last mam.Item) error {
	for a.seen.known && a.seen.position < last.Position {
		position := a.seen.position
		var items []mam.Item
		_, err := h.Archive.Query(ctx, a.jid, mam.Query{Max: catchUpPage, From: mam.Cursor{After: a.seen.id}}, func(item mam.Item) error {
			if item.Position > last.Position {
				return errEnough
			}
			item.XML = append([]byte(nil), item.XML...)
			items = append(items, item)
			return nil
		})
		if errors.Is(err, errEnough) {
			err = nil
		}
		for _, item := range items {
			if err == nil && item.Position != a.seen.position+1 && a.seen.position > 0 {
				err = mam.ErrNotFound // It was pruned.
			}
			if err == nil {
				err = h.replay(ctx, a, item)
			}
		}
		if err == nil && a.seen.position == position {
			if position == 0 {
				return nil // The archive was empty at the bind because all was pruned.
			}
			err = mam.ErrNotFound
		}
		if err != nil {
			for len(a.resources) > 0 {
				h.drop(ctx, a, a.resources[0], ErrLost)
			}
			return fmt.Errorf("%w: %w", ErrLost, err)
		}
	}
	return nil
}

// replay hands the account's resources a message that somebody else has archived.
func (h *Hub) replay(ctx context.Context, a *account, item mam.Item) error {
	a.tell(item)
	if len(item.XML) == 0 {
		return nil // It was redacted.
	}
	m, err := read(a.jid, jid.JID{}, message{xml: item.XML}.tokens())
	if err != nil {
		return err
	}
	to := m.content.Message.To
	if a.isOwn(m) && !to.Equal(jid.JID{}) && !to.Bare().Equal(a.jid) {
		h.copy(ctx, a, carbons.Sent, m, m.with(a.jid, item.ID, noStamp), a.sentCopies(m, a.find(m.content.Message.From)), nil)
		return nil
	}
	sender := a.find(m.content.Message.From)
	w := a.route(m, sender, true)
	if to.Resourcepart() != "" && a.find(to) == nil {
		w = a.withCopies(way{}, m, sender) // It was for a resource that is elsewhere.
	}
	w.keep, w.kept = false, true // Who has appended it sees to that.
	return h.hand(ctx, a, m, w, item)
}

// read notes that the account has read a message (XEP-0333).
func (h *Hub) read(ctx context.Context, a *account, c mam.Content) {
	u, ok := h.Archive.(mam.UnreadArchive)
	if !ok || c.Displayed == "" || c.Message.Type == stanza.ErrorMessage || c.Message.Type == stanza.GroupChatMessage {
		return
	}
	conversation := c.Message.To.Bare()
	if c.Private {
		conversation = c.Message.To
	}
	if _, err := u.ReadStanza(ctx, a.jid, conversation, c.Displayed); err != nil && !errors.Is(err, mam.ErrNotFound) {
		h.log(ctx, "the archive failed", "account", a.jid, "err", err)
	}
}
