// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hubtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/bind2/hub"
	"github.com/xmppext/xmppext/mam"
)

const (
	senders = 16 // that write at the same time

	// An account has many clients, or so few that often only one of them is there,
	// or none.
	many, few = 6, 2

	// queueSize is small, so that it is soon full of those who do not read.
	queueSize = 300
)

// The accounts, each of which has something to it.
const (
	usual     = iota // archives all
	listed           // archives nothing of one contact
	never            // archives nothing
	legacy           // binds by RFC 6120 only
	alsoUsual        // writes to the first one
	accounts
)

// domain is that of the accounts.
const domain = "here.example"

// A world is one run.
type world struct {
	o        Options
	hubs     []Hub
	archives []mam.Archive
	offline  hub.MemoryOffline
	found    findings
	ticks    ticks

	people   []*person
	contacts []jid.JID
	sent     [senders][]*message
	last     []*message // one through each hub, and one more

	settled sync.WaitGroup // of clients, whose sessions end no more
	over    chan struct{}  // closed when the last messages are delivered
}

// A person is one who has an account.
type person struct {
	at      int // its index
	jid     jid.JID
	clients int
	prefs   mam.Preferences

	mu       sync.Mutex
	online   []*session
	sessions []*session // that have ended
	binds    int
}

func newWorld(ctx context.Context, t testing.TB, archives []mam.Archive, o Options) *world {
	w := &world{o: o, archives: archives, over: make(chan struct{})}
	w.offline.MaxMessages, w.offline.MaxBytes = 1<<30, 1<<40
	for _, a := range archives {
		w.hubs = append(w.hubs, o.Wrap(&hub.Hub{
			Archive: a, Offline: &w.offline, QueueSize: queueSize,
			Remote: func(context.Context, jid.JID, []byte) error { return nil },
		}))
	}
	require.Len(t, w.hubs, o.Hubs, "archives")
	for i := range senders {
		w.contacts = append(w.contacts, jid.MustParse(fmt.Sprintf("contact%d@elsewhere.example/home", i)))
	}
	for i := range accounts {
		p := &person{at: i, jid: jid.MustParse(fmt.Sprintf("account%d@%s", i, domain)), clients: many}
		if i == never || i == legacy {
			p.clients = few
		}
		if store, ok := archives[0].(mam.PreferenceStore); ok {
			switch i {
			case listed:
				p.prefs = mam.Preferences{Default: mam.Always, Never: []jid.JID{w.contacts[0].Bare()}}
			case never:
				p.prefs = mam.Preferences{Default: mam.Never}
			}
			if i == listed || i == never {
				require.NoError(t, store.SetPreferences(ctx, p.jid, p.prefs))
			}
		}
		w.people = append(w.people, p)
	}
	return w
}

// run sends all messages.
func (w *world) run(ctx context.Context) {
	w.ticks.wake.L = &w.ticks.mu
	stop := context.AfterFunc(ctx, w.ticks.finish)
	defer stop()
	var all sync.WaitGroup
	for _, p := range w.people {
		for n := range p.clients {
			c := &client{w: w, p: p, lots: w.lots(1 + p.at*many + n), id: installation(p.at, n)}
			w.settled.Add(1)
			all.Go(func() { c.live(ctx) })
		}
	}
	var writers sync.WaitGroup
	for n := range senders {
		s := &sender{w: w, n: n, lots: w.lots(1000 + n)}
		writers.Go(func() { s.write(ctx, w.o.Messages/senders) })
	}
	writers.Wait()
	w.ticks.finish()
	w.settled.Wait()
	w.deliverLast(ctx)
	close(w.over)
	all.Wait()
}

// lots returns what somebody draws lots from.
func (w *world) lots(who int) *rand.Rand { return rand.New(rand.NewPCG(w.o.Seed, uint64(who))) }

// installation returns a UUID for a client.
func installation(account, n int) string {
	return fmt.Sprintf("%08x-0000-4000-8000-%012x", account, n)
}

// deliverLast delivers to each account one message through each hub, and one more
// through the first, so that each hub learns of all that there is.
func (w *world) deliverLast(ctx context.Context) {
	for n := range len(w.hubs) + min(len(w.hubs)-1, 1) {
		for _, p := range w.people {
			m := &message{
				key: fmt.Sprintf("last-%d-%d", n, p.at), from: w.contacts[1], to: p.jid, typ: "chat",
				hub: n % len(w.hubs), body: true,
			}
			m.err = w.hubs[m.hub].Deliver(ctx, p.jid, m.xml())
			w.last = append(w.last, m)
		}
	}
}

// pick returns one of the sessions that are online, or nil.
func (p *person) pick(lots *rand.Rand) *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.online) == 0 {
		return nil
	}
	return p.online[lots.IntN(len(p.online))]
}

func (w *world) summary() string {
	var b strings.Builder
	for _, p := range w.people {
		fmt.Fprintf(&b, "%s: %d binds, %d sessions", p.jid.Localpart(), p.binds, len(p.sessions))
		why := make(map[string]int)
		for _, s := range p.sessions {
			why[s.end.String()]++
		}
		fmt.Fprintf(&b, " %v; ", why)
	}
	return b.String()
}

// ticks count messages. Clients do what they do at some count: that is the only clock.
type ticks struct {
	mu   sync.Mutex
	wake sync.Cond
	n    int
	over bool
}

func (t *ticks) add() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n++; t.n%8 == 0 {
		t.wake.Broadcast()
	}
}

// finish ends all waiting.
func (t *ticks) finish() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	t.wake.Broadcast()
}

// wait waits until some more messages were sent, and reports whether there are to be
// more.
func (t *ticks) wait(n int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for n += t.n; t.n < n && !t.over; {
		t.wake.Wait()
	}
	return !t.over
}
