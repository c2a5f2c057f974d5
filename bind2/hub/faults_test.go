// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/bind2/hub"
	"github.com/xmppext/xmppext/mam"
)

// A lottery lets stores fail by lot: before or after they have done something.
type lottery struct {
	lots *rand.Rand
	of   int // one in so many fails, or none
}

func (l *lottery) fails() bool { return l.of > 0 && l.lots.IntN(l.of) == 0 }

type faultyArchive struct {
	mam.Memory
	*lottery
	log map[string][]mam.Item // all that was ever appended, by account
}

func (f *faultyArchive) Append(ctx context.Context, archive jid.JID, m mam.Message) (mam.Item, error) {
	if f.fails() {
		return mam.Item{}, errBroken
	}
	item, err := f.Memory.Append(ctx, archive, m)
	f.log[archive.String()] = append(f.log[archive.String()], item)
	if err == nil && f.fails() {
		return mam.Item{}, errBroken
	}
	return item, err
}

func (f *faultyArchive) Ends(ctx context.Context, archive jid.JID) (first, last mam.Item, err error) {
	if f.fails() {
		return first, last, errBroken
	}
	return f.Memory.Ends(ctx, archive)
}

func (f *faultyArchive) Unread(ctx context.Context, archive jid.JID, limit int) ([]mam.Unread, error) {
	if f.fails() {
		return nil, errBroken
	}
	return f.Memory.Unread(ctx, archive, limit)
}

func (f *faultyArchive) Preferences(ctx context.Context, archive jid.JID) (mam.Preferences, error) {
	if f.fails() {
		return mam.Preferences{}, errBroken
	}
	return f.Memory.Preferences(ctx, archive)
}

func (f *faultyArchive) Query(ctx context.Context, archive jid.JID, q mam.Query, yield func(mam.Item) error) (mam.Page, error) {
	if f.fails() {
		return mam.Page{}, errBroken
	}
	return f.Memory.Query(ctx, archive, q, func(item mam.Item) error {
		if f.fails() {
			return errBroken
		}
		return yield(item)
	})
}

type faultyOffline struct {
	hub.MemoryOffline
	*lottery
}

func (f *faultyOffline) Add(ctx context.Context, account jid.JID, m hub.OfflineMessage) error {
	if f.fails() {
		return errBroken
	}
	return f.MemoryOffline.Add(ctx, account, m)
}

func (f *faultyOffline) Take(ctx context.Context, account jid.JID, from int64) ([]hub.OfflineMessage, error) {
	if f.fails() {
		return nil, errBroken
	}
	return f.MemoryOffline.Take(ctx, account, from)
}

// A guest is a session in a faultyHouse.
type guest struct {
	r     *hub.Resource
	cut   int // the last position at the bind
	first int // the first that was not pruned
	got   []arrival
}

// A faultyHouse is one hub or two, over the same stores, which fail.
type faultyHouse struct {
	t       *testing.T
	lots    *rand.Rand
	archive *faultyArchive
	hubs    []*hub.Hub
	prunes  bool
	guests  map[string][]*guest // by account
	n       int
	taken   map[string]jid.JID // who has taken a message without an error, by body
}

var tenants = []jid.JID{romeo, benvolio}

// TestFaults is that whatever stores fail, a client that binds by a cut finds each
// message of its account in the archive before the cut, or gets it live, once and in order.
func TestFaults(t *testing.T) {
	for seed := range uint64(200) {
		t.Run(fmt.Sprint("B2-12, D-02: seed ", seed), func(t *testing.T) {
			lots := rand.New(rand.NewPCG(seed, 1))
			luck := &lottery{lots: lots}
			h := &faultyHouse{
				t: t, lots: lots, archive: &faultyArchive{lottery: luck, log: make(map[string][]mam.Item)}, guests: make(map[string][]*guest),
				taken: make(map[string]jid.JID),
			}
			offline := &faultyOffline{lottery: luck}
			for range 1 + lots.IntN(2) {
				h.hubs = append(h.hubs, &hub.Hub{
					Archive: h.archive, Offline: offline, QueueSize: 12,
					Remote: func(context.Context, jid.JID, []byte) error { return nil },
				})
			}
			if h.prunes = seed%2 == 0; h.prunes {
				for _, account := range tenants {
					_, err := h.archive.Append(t.Context(), account, mam.Message{With: juliet, XML: []byte(`<message xmlns="jabber:client"/>`)})
					require.NoError(t, err)
				}
			}
			luck.of = 8
			for range 120 {
				h.step()
			}
			luck.of = 0
			for _, account := range tenants {
				for i := range 2 * len(h.hubs) {
					h.deliver(i%len(h.hubs), account)
				}
				h.check(account)
			}
		})
	}
}

func (h *faultyHouse) body() string {
	h.n++
	return fmt.Sprint("m", h.n)
}

func (h *faultyHouse) note(account jid.JID, body string, err error) {
	if err == nil {
		h.taken[body] = account
	}
}

// address is that of an account, or one of its resources.
func (h *faultyHouse) address(account jid.JID) jid.JID {
	if g := h.guest(account); g != nil && h.lots.IntN(3) == 0 {
		return g.r.JID()
	}
	return account
}

func (h *faultyHouse) guest(account jid.JID) *guest {
	all := h.guests[account.String()]
	if len(all) == 0 {
		return nil
	}
	return all[h.lots.IntN(len(all))]
}

func (h *faultyHouse) deliver(at int, account jid.JID) {
	body := h.body()
	h.note(account, body, h.hubs[at].Deliver(h.t.Context(), account, chat(account, body)))
}

// step is one thing that happens.
func (h *faultyHouse) step() {
	account := tenants[h.lots.IntN(len(tenants))]
	g := h.guest(account)
	switch lot := h.lots.IntN(22); {
	case lot < 7:
		at := h.lots.IntN(len(h.hubs))
		to, body := h.address(account), h.body()
		h.note(account, body, h.hubs[at].Deliver(h.t.Context(), account, chat(to, body)))
	case lot < 10:
		h.bind(account)
	case g == nil:
	case lot < 13:
		to := []jid.JID{juliet, h.address(tenants[0]), h.address(tenants[1])}[h.lots.IntN(3)]
		body := h.body()
		err := send(h.t, g.r, fmt.Sprintf(`type="chat" to="%s"`, to), "<body>"+body+"</body>")
		if to.Bare().Equal(account) || to.Equal(juliet) { // Otherwise one account may have it.
			h.note(account, body, err)
		}
	case lot < 14 && h.prunes:
		_, err := h.archive.Prune(h.t.Context(), account, time.Time{}, 1+h.lots.Int64N(4)) // The end of an empty archive is not known.
		require.NoError(h.t, err)
	case lot < 16:
		_ = g.r.SetPresence(h.t.Context(), true, 0)
	case lot < 17:
		g.got = append(g.got, arrived(h.t, g.r)...)
		require.NoError(h.t, g.r.Close())
	default:
		g.got = append(g.got, arrived(h.t, g.r)...)
	}
}

func (h *faultyHouse) bind(account jid.JID) {
	at := h.hubs[h.lots.IntN(len(h.hubs))]
	g := &guest{r: at.NewResource()}
	h.t.Cleanup(func() { assert.NoError(h.t, g.r.Close()) })
	b, err := at.Bind(g.r.Context(h.t.Context()), bind2.Request{Account: account, Protocol: bind2.Early, Carbons: true})
	if err != nil {
		require.True(h.t, errors.Is(err, errBroken) || errors.Is(err, hub.ErrLost), err)
		require.Equal(h.t, jid.JID{}, g.r.JID())
		return
	}
	first, _, err := h.archive.Memory.Ends(h.t.Context(), account)
	require.NoError(h.t, err)
	g.first = int(first.Position)
	log := h.archive.log[account.String()]
	if g.cut = len(log); b.Last.ID != "" {
		require.Equal(h.t, log[g.cut-1].ID, b.Last.ID)
	}
	h.guests[account.String()] = append(h.guests[account.String()], g)
}

// check compares what the clients of an account got with its archive.
func (h *faultyHouse) check(account jid.JID) {
	var (
		items  []arrival
		places = make(map[string]int) // by id
		bodies = make(map[string]int)
	)
	for i, item := range h.archive.log[account.String()] {
		require.EqualValues(h.t, i+1, item.Position)
		a := parse(h.t, item.XML)
		items = append(items, a)
		places[item.ID] = i + 1
		bodies[a.Body]++
	}
	for body, n := range bodies {
		require.Equal(h.t, 1, n, "%q is archived once", body)
	}
	for body, by := range h.taken {
		require.True(h.t, !by.Equal(account) || bodies[body] == 1, "%s is archived", body)
	}
	for _, g := range h.guests[account.String()] {
		own := g.r.JID().String()
		g.got = append(g.got, arrived(h.t, g.r)...)
		_, gone := g.r.Take(stopped(h.t))
		at := g.cut
		for _, a := range g.got {
			m := a.inner()
			require.Len(h.t, m.IDs, 1)
			place, ok := places[m.IDs[0].ID]
			require.True(h.t, ok, "%s is in the archive", m.Body)
			require.Equal(h.t, items[place-1].Body, m.Body)
			if place < g.first {
				require.Len(h.t, m.Delays, 1, "%s got %s, which it could not fetch, from the offline queue", own, m.Body)
				continue
			}
			require.Greater(h.t, place, at, "%s got %s once and in order", own, m.Body)
			for ; at < place-1; at++ {
				require.Equal(h.t, own, items[at].From, "%s has not got %s", own, items[at].Body)
			}
			at = place
		}
		if errors.Is(gone, context.Canceled) {
			for ; at <= len(items)-len(h.hubs); at++ { // Another hub may have had the last word.
				require.Equal(h.t, own, items[at].From, "%s has not got %s in the end", own, items[at].Body)
			}
		}
	}
}

func parse(t testing.TB, b []byte) arrival {
	t.Helper()
	var a arrival
	require.NoError(t, xml.Unmarshal(b, &a), "%s", b)
	return a
}

func stopped(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
