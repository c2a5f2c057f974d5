// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub

import (
	"bytes"
	"context"
	"encoding/xml"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/carbons"
)

var noStamp time.Time

// Send takes a message that the resource's client sends. It archives it, copies it to
// the account's other resources, and then delivers it, or gives it to Hub.Remote.
// Whatever it says it is from, it is from the resource.
//
// A stanza.Error is what the client is to be told.
func (r *Resource) Send(ctx context.Context, reader xml.TokenReader) error {
	own := r.JID()
	if own.Equal(jid.JID{}) {
		return ErrUnbound
	}
	account := own.Bare()
	m, err := read(account, own, reader)
	if err != nil {
		return refusal(err)
	}
	to := m.content.Message.To
	if to.Equal(jid.JID{}) || to.Bare().Equal(account) {
		return r.toSelf(ctx, m)
	}
	if err := r.sent(ctx, m); err != nil {
		return refusal(err)
	}
	// The account has it: whoever it is for gets it, whatever becomes of the client.
	ctx, cancel := r.hub.limit(ctx)
	defer cancel()
	switch {
	case r.hub.local(account, to):
		return r.hub.Deliver(ctx, to.Bare(), m.tokens())
	case r.hub.Remote != nil:
		return r.hub.Remote(ctx, to, m.xml)
	case to.Domain().Equal(account.Domain()):
		return unavailable("nobody has this address")
	}
	return stanza.Error{Type: stanza.Cancel, Condition: stanza.RemoteServerNotFound}
}

// toSelf delivers a message to the sender's own account, which is archived once.
func (r *Resource) toSelf(ctx context.Context, m message) error {
	a, err := r.enter(ctx)
	if err != nil {
		return err
	}
	defer a.leave()
	ctx, cancel := r.hub.limit(ctx)
	defer cancel()
	r.hub.read(ctx, a, m.content)
	return r.hub.deliver(ctx, a, m, r)
}

// sent does what a message to somebody else does to the sender's own account.
func (r *Resource) sent(ctx context.Context, m message) error {
	a, err := r.enter(ctx)
	if err != nil {
		return err
	}
	defer a.leave()
	ctx, cancel := r.hub.limit(ctx)
	defer cancel()
	archived, err := r.hub.wanted(ctx, a, m.content)
	if err != nil {
		return err
	}
	live := m.xml
	if archived {
		item, err := r.hub.archive(ctx, a, m)
		if err != nil {
			return err
		}
		live = m.with(a.jid, item.ID, noStamp)
	}
	r.hub.read(ctx, a, m.content)
	r.hub.copy(ctx, a, carbons.Sent, m, live, a.sentCopies(m, r), nil)
	return nil
}

// sentCopies returns who gets a copy of what the account has sent.
func (a *account) sentCopies(m message, sender *Resource) []*Resource {
	var to []*Resource
	if a.recent.Eligible(carbons.Sent, m.copies) {
		for _, r := range a.resources {
			if r != sender && r.carbons && !r.ended() && mayCopy(r, sender, m, carbons.Sent) {
				to = append(to, r)
			}
		}
	}
	return to
}

func (h *Hub) local(account, to jid.JID) bool {
	if h.Local != nil {
		return h.Local(to.Bare())
	}
	return to.Localpart() != "" && to.Domain().Equal(account.Domain())
}

// Push puts any other stanza, whole and in the namespace jabber:client, into the queue
// of the resource with a full JID. It is a stanza.Error if there is none.
func (h *Hub) Push(ctx context.Context, to jid.JID, xml []byte) error {
	a, err := h.enter(ctx, to.Bare())
	if err != nil {
		return err
	}
	defer a.leave()
	r := a.find(to)
	hold := !bytes.HasPrefix(xml, []byte("<iq"))
	if r == nil || !h.push(ctx, a, r, queued{xml: xml, hold: hold}) {
		return unavailable("this resource is not there")
	}
	return nil
}
