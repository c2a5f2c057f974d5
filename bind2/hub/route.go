// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub

import (
	"slices"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/carbons"
)

// way is where a message goes.
type way struct {
	to        []*Resource // get the message itself
	copies    []*Resource // get a copy
	direction carbons.Direction
	keep      bool  // in the offline queue
	kept      bool  // by another hub, if need be
	refuse    error // why nobody gets it
}

func (w way) none() bool { return len(w.to)+len(w.copies) == 0 && !w.keep }

// route decides where a message for the account goes (RFC 6121, section 8.5). Sender
// is the resource that has sent it, if it is one of the account's.
func (a *account) route(m message, sender *Resource, archived bool) way {
	to, typ := m.content.Message.To, m.content.Message.Type
	if to.Resourcepart() != "" {
		if r := a.find(to); r != nil {
			return a.withCopies(way{to: []*Resource{r}}, m, sender)
		}
		if typ != stanza.ChatMessage {
			if typ == stanza.ErrorMessage || typ == stanza.HeadlineMessage {
				return way{}
			}
			return way{refuse: unavailable("this resource is not there")}
		}
	}
	var reachable, all []*Resource
	for _, r := range a.resources {
		if r.reachable() {
			reachable = append(reachable, r)
		}
		if r.reachable() || archived && r.waiting() {
			all = append(all, r)
		}
	}
	switch typ {
	case stanza.ErrorMessage:
		return way{}
	case stanza.GroupChatMessage:
		return way{refuse: unavailable("there is no room here")}
	case stanza.HeadlineMessage:
		if len(reachable) == 0 {
			return way{}
		}
		return way{to: all}
	}
	if len(reachable) > 0 {
		return a.withCopies(way{to: all}, m, sender)
	}
	w := way{to: all, keep: archived || m.keepable()}
	if !w.keep && m.content.Body {
		w.refuse = unavailable("nobody is there")
	}
	w = a.withCopies(w, m, sender)
	// Others will get it from the offline queue.
	w.copies = slices.DeleteFunc(w.copies, func(r *Resource) bool { return w.keep && !r.spoken })
	return w
}

// withCopies adds who gets a copy of a message that some of the resources get (XEP-0280,
// section 8).
func (a *account) withCopies(w way, m message, sender *Resource) way {
	w.direction = carbons.Received
	if a.isOwn(m) {
		w.direction = carbons.Sent
	}
	if !a.recent.Eligible(w.direction, m.copies) {
		return w
	}
	for _, r := range a.resources {
		if r != sender && r.carbons && !r.ended() && !slices.Contains(w.to, r) && mayCopy(r, sender, m, w.direction) {
			w.copies = append(w.copies, r)
		}
	}
	return w
}

// mayCopy reports whether a resource may get a copy: of a private message to somebody
// in a room, only if it is there as well, as the same occupant.
func mayCopy(r, sender *Resource, m message, d carbons.Direction) bool {
	if !m.copies.Occupant || d != carbons.Sent {
		return true
	}
	room := m.content.Message.To.Bare().String()
	return sender != nil && sender.rooms[room] != "" && r.rooms[room] == sender.rooms[room]
}

// isOwn reports whether a message is one that the account itself has sent.
func (a *account) isOwn(m message) bool {
	from := m.content.Message.From
	return from.Equal(jid.JID{}) || from.Bare().Equal(a.jid)
}
