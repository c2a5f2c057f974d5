// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hubtest

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/carbons"
	"github.com/xmppext/xmppext/mam"
)

// page is how many items of an archive are read at once.
const page = 1000

// A ledger is what became of an account.
type ledger struct {
	*person
	entries []entry        // the archive; the one at position n is at n-1
	byKey   map[string]int // position, by the message's id
	byID    map[string]int // position, by the archive's id
	offline map[string]bool
	seen    map[string]bool // by some session
}

// An entry is an item of an archive.
type entry struct {
	mam.Item
	m *message
}

// check compares what everybody got with what the archives hold.
func (w *world) check(ctx context.Context, t testing.TB) {
	messages := make(map[string]*message)
	for _, m := range w.last {
		messages[m.key] = m
		if m.err != nil {
			w.found.add(ruleProgress, "the message %s was not delivered: %v", m.key, m.err)
		}
	}
	for _, sent := range w.sent {
		for _, m := range sent {
			messages[m.key] = m
		}
	}
	for _, p := range w.people {
		l := w.ledger(ctx, t, p, messages)
		for _, s := range p.sessions {
			w.checkSession(l, s)
		}
		w.checkUnread(l)
		for _, m := range messages {
			w.checkMessage(l, m)
		}
	}
}

// ledger reads what became of an account.
func (w *world) ledger(ctx context.Context, t testing.TB, p *person, messages map[string]*message) *ledger {
	l := &ledger{
		person: p, byKey: make(map[string]int), byID: make(map[string]int),
		offline: make(map[string]bool), seen: make(map[string]bool),
	}
	q := mam.Query{Max: page}
	for complete := false; !complete; {
		got, err := w.archives[0].Query(ctx, p.jid, q, func(i mam.Item) error {
			i.XML = nil
			l.entries = append(l.entries, entry{Item: i})
			return nil
		})
		require.NoError(t, err)
		if complete = got.Complete; !complete {
			q.From.After = l.entries[len(l.entries)-1].ID
		}
	}
	for n := range l.entries {
		e := &l.entries[n]
		require.EqualValues(t, n+1, e.Position, "the archive must keep all messages of the run")
		if e.m = messages[e.StanzaID]; e.m == nil || l.byKey[e.StanzaID] != 0 {
			w.found.add(ruleStored, "%s has %q at %d, which it should not", p.jid, e.StanzaID, e.Position)
			e.m = &message{key: e.StanzaID}
		}
		l.byKey[e.StanzaID], l.byID[e.ID] = n+1, n+1
	}
	left, err := w.offline.Take(ctx, p.jid, 0)
	require.NoError(t, err)
	for _, m := range left {
		a, err := parse(p.jid, m.XML)
		require.NoError(t, err)
		l.offline[a.message.ID] = true
	}
	return l
}

// checkMessage checks what became of one message to the account, or from it.
func (w *world) checkMessage(l *ledger, m *message) {
	var (
		sent     = m.from.Bare().Equal(l.jid)
		received = m.to.Bare().Equal(l.jid)
		archived = l.byKey[m.key] != 0
	)
	switch {
	case archived && (!sent && !received || !l.wants(m)):
		w.found.add(ruleStored, "%s has archived %s", l.jid, m.key)
	case !archived && m.err == nil && (sent || received) && l.wants(m):
		w.found.add(ruleStored, "%s has not archived %s", l.jid, m.key)
	case archived && m.err != nil && !sent:
		w.found.add(ruleStored, "%s has archived %s, which was refused: %v", l.jid, m.key, m.err)
	}
	if !received || m.err != nil || !m.keepable() || l.seen[m.key] || l.offline[m.key] {
		return
	}
	if !archived {
		w.found.add(ruleLost, "%s to %s is nowhere", m.key, m.to)
	} else if l.at == legacy {
		w.found.add(ruleOffline, "nobody got %s to %s", m.key, m.to)
	}
}

// checkSession checks what a session got.
func (w *world) checkSession(l *ledger, s *session) {
	if s.jid.Resourcepart() == "" || !s.jid.Bare().Equal(l.jid) {
		w.found.add(ruleBind, "%s was bound for %s", s.jid, l.jid)
	}
	cut := w.checkEnds(l, s)
	var (
		positions = make(map[int]bool) // of what it got
		others    = make(map[string]bool)
		last      int
	)
	for _, a := range s.got {
		key := a.message.ID
		l.seen[key] = true
		at := l.byKey[key]
		w.checkArrival(l, s, a, at)
		if at != 0 && s.cut {
			if at <= cut || positions[at] {
				w.found.add(ruleTwice, "%s got %s at %d, cut at %d", s, key, at, cut)
			}
			positions[at] = true
		} else {
			kind := fmt.Sprintf("%s %t", key, a.direction != 0)
			if others[kind] && (at == 0 || len(w.hubs) == 1) {
				w.found.add(ruleTwice, "%s got %s", s, key)
			}
			others[kind] = true
		}
		if at == 0 || a.delayed {
			continue
		}
		if at < last {
			w.found.add(ruleOrder, "%s got %s at %d behind %d", s, key, at, last)
		}
		last = max(last, at)
	}
	if !s.cut || s.end == meanwhile {
		return
	}
	if s.stayed {
		for n, m := range w.last {
			if n/len(w.people)%len(w.hubs) == s.hub {
				last = max(last, l.byKey[m.key])
			}
		}
	}
	for at := cut + 1; at <= last; at++ {
		if !positions[at] && s.due(l.entries[at-1].m) {
			w.found.add(ruleMissed, "%s missed %s at %d, from %s to %s, between its cut at %d and %d",
				s, l.entries[at-1].m.key, at, l.entries[at-1].m.from, l.entries[at-1].m.to, cut, last)
		}
	}
}

// String tells what a session was.
func (s *session) String() string {
	return fmt.Sprintf("%s (protocol %d, copies %t, presences %v, hub %d, ended %s)",
		s.jid, s.plan.request.Protocol, s.carbons, s.plan.says, s.hub, s.end)
}

// due reports whether an archived message must come to the session live.
func (s *session) due(m *message) bool {
	switch {
	case m.own == s:
		return false
	case m.to.Equal(s.jid), s.carbons && !m.private:
		return true
	}
	return m.to.Equal(s.jid.Bare()) && !s.plan.unreachable()
}

// checkArrival checks one message that a session got. It is in the archive at a
// position, or not, which is 0.
func (w *world) checkArrival(l *ledger, s *session, a arrival, at int) {
	key := a.message.ID
	switch {
	case at == 0 && len(a.ids) > 0, at != 0 && len(a.ids) != 1:
		w.found.add(ruleID, "%s got %s with the ids %v", s, key, a.ids)
	case at != 0 && (a.ids[0].id != l.entries[at-1].ID || a.ids[0].by != l.jid.String()):
		w.found.add(ruleID, "%s got %s with the id %v in place of %s", s, key, a.ids[0], l.entries[at-1].ID)
	}
	m := w.message(l, key, at)
	if m == nil {
		return
	}
	var (
		sent     = m.from.Bare().Equal(l.jid)
		received = m.to.Bare().Equal(l.jid)
	)
	switch {
	case a.direction == 0 && !received,
		a.direction == carbons.Received && !received,
		a.direction == carbons.Sent && !sent:
		w.found.add(ruleForm, "%s got %s from %s to %s", s, key, m.from, m.to)
	case a.direction != 0 && (m.own == s || m.private || !s.carbons),
		m.own == s && !received:
		w.found.add(ruleCopies, "%s got %s", s, key)
	}
}

// message returns the message with an id, if it is known.
func (w *world) message(l *ledger, key string, at int) *message {
	if at != 0 {
		return l.entries[at-1].m
	}
	var who, n int
	if _, err := fmt.Sscanf(key, "m%d-%d", &who, &n); err != nil || who >= len(w.sent) || n >= len(w.sent[who]) {
		return nil
	}
	return w.sent[who][n]
}

// checkEnds checks what a bind told of the archive's ends, and returns the position
// of the last item.
func (w *world) checkEnds(l *ledger, s *session) int {
	if !s.cut {
		return 0
	}
	b, cut := s.bound, 0
	if !b.Archived {
		w.found.add(ruleEnds, "%s was not told of the archive", s)
	}
	if b.Last.ID != "" {
		if cut = l.byID[b.Last.ID]; cut == 0 {
			w.found.add(ruleEnds, "%s was told of %q, which is not there", s, b.Last.ID)
			return math.MaxInt32
		}
		first, last := l.entries[0], l.entries[cut-1]
		if b.First.ID != first.ID || !b.First.Time.Equal(first.Stamp) || !b.Last.Time.Equal(last.Stamp) {
			w.found.add(ruleEnds, "%s was told of %v and %v", s, b.First, b.Last)
		}
	}
	if int64(cut) < s.least || int64(cut) > s.most {
		w.found.add(ruleEnds, "%s was cut at %d, which is not from %d to %d", s, cut, s.least, s.most)
	}
	return cut
}

// with returns the bare JID of the other party.
func (m *message) with(account jid.JID) jid.JID {
	if m.from.Bare().Equal(account) {
		return m.to.Bare()
	}
	return m.from.Bare()
}
