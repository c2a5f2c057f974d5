// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hubtest

import (
	"slices"

	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/mam"
)

// A conversation is what the archive up to some position makes of it.
type conversation struct {
	positions map[string]int // of its messages, by their ids
	incoming  []int          // positions, in order
	read      int            // position
}

// checkUnread checks what binds told to be unread: it counts in the archive up to the
// cut of each.
func (w *world) checkUnread(l *ledger) {
	if _, ok := w.archives[0].(mam.UnreadArchive); !ok || len(w.hubs) > 1 {
		return
	}
	binds := make(map[int][]*session)
	for _, s := range l.sessions {
		if s.cut {
			at := l.byID[s.bound.Last.ID]
			binds[at] = append(binds[at], s)
		}
	}
	all := make(map[string]*conversation)
	for at := 0; ; at++ {
		for _, s := range binds[at] {
			w.compareUnread(l, s, all)
		}
		if at == len(l.entries) {
			return
		}
		m := l.entries[at].m
		name := m.with(l.jid).String()
		c := all[name]
		if c == nil {
			c = &conversation{positions: make(map[string]int)}
			all[name] = c
		}
		c.positions[m.key] = at + 1
		switch own := m.from.Bare().Equal(l.jid); {
		case !own && m.body:
			c.incoming = append(c.incoming, at+1)
		case own && m.displayed != "":
			c.read = max(c.read, c.positions[m.displayed])
		}
	}
}

// compareUnread compares what a bind told with what the archive makes of it.
func (w *world) compareUnread(l *ledger, s *session, all map[string]*conversation) {
	if s.bound.Unreads == nil {
		w.found.add(ruleUnread, "%s was told nothing", s)
	}
	told := make(map[string]bind2.Unread)
	for _, u := range s.bound.Unreads {
		told[u.JID.String()] = u
	}
	if len(told) < len(s.bound.Unreads) {
		w.found.add(ruleUnread, "%s was told of one conversation twice: %v", s, s.bound.Unreads)
	}
	for name, c := range all {
		n, _ := slices.BinarySearch(c.incoming, c.read+1)
		count := int64(len(c.incoming) - n)
		u := told[name]
		delete(told, name)
		var id string
		if c.read > 0 && count > 0 {
			id = l.entries[c.read-1].ID
		}
		if u.Count != count || u.ReadID != id {
			w.found.add(ruleUnread, "%s was told of %d behind %q with %s, and should have been of %d behind %q", s, u.Count, u.ReadID, name, count, id)
		}
	}
	for name, u := range told {
		w.found.add(ruleUnread, "%s was told of %d with %s", s, u.Count, name)
	}
}
