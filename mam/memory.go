// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam

import (
	"cmp"
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"mellium.im/xmpp/jid"
)

// Limits of a [Memory] that sets none.
const (
	// DefaultMaxItems is how many messages an archive in memory keeps.
	// A busy account comes to about as many in a season.
	DefaultMaxItems = 10_000

	// DefaultMaxBytes is how many bytes of messages an archive in memory keeps.
	// It is reached before [DefaultMaxItems] only if they are larger than messages
	// that people type, of which some hundred bytes are text.
	DefaultMaxBytes = 16 << 20
)

// maxAddresses is how many addresses the lists of preferences may have in all.
// It is more than there are in a roster.
const maxAddresses = 10_000

// Memory is an [Archive] in memory: all is lost once the process has ended.
// It is a [Pruner], a [Batcher], an [UnreadArchive] and a [PreferenceStore] too.
// The zero value is empty and ready to use.
//
// What an archive takes is bounded by MaxItems and MaxBytes; the oldest items are
// pruned when one of them is exceeded. How many archives there are is up to who
// calls Append: a few bytes of each are kept even when it is empty again, because
// positions are never used twice.
//
// A page costs what it returns, whatever the size of the archive, unless Start,
// End or WithoutGroupChat is set: then items are looked through until the page is
// full and it is known whether it is complete, or all of them if they are to be
// counted.
//
// Archives are bare: the resource of an address is left out of account.
// All methods may be called by several goroutines at once, and by yield; nobody
// waits for yield. The errors are those of the context, and those of this package.
// A Memory must not be copied after first use.
type Memory struct {
	// MaxItems is how many items an archive has at most.
	// If it is less than one it is [DefaultMaxItems].
	// It must not change while the store is in use.
	MaxItems int

	// MaxBytes is how many bytes the messages of an archive have at most, with their
	// stanza ids and addresses. A message that alone has more is refused with
	// [ErrTooLarge].
	// If it is less than one it is [DefaultMaxBytes].
	// It must not change while the store is in use.
	MaxBytes int

	mu          sync.Mutex // held for short: never while items are looked through
	archives    map[string]*account
	preferences map[string]Preferences
}

// Append adds a message at the end of an archive.
func (m *Memory) Append(ctx context.Context, archive jid.JID, msg Message) (Item, error) {
	items, err := m.AppendAll(ctx, []Entry{{Archive: archive, Message: msg}})
	if err != nil {
		return Item{}, err
	}
	return items[0], nil
}

// AppendAll appends messages, each to its archive.
func (m *Memory) AppendAll(ctx context.Context, messages []Entry) ([]Item, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var (
		maxItems = cmp.Or(max(m.MaxItems, 0), DefaultMaxItems)
		maxBytes = cmp.Or(max(m.MaxBytes, 0), DefaultMaxBytes)
		items    = make([]Item, len(messages))
		names    = make([]string, len(messages))
	)
	for i, e := range messages {
		names[i] = e.Archive.Bare().String()
		items[i] = Item{ID: rand.Text(), Message: e.Message}
		if items[i].Conversation.Equal(jid.JID{}) {
			items[i].Conversation = items[i].With.Bare()
		}
		if items[i].size() > maxBytes {
			return nil, ErrTooLarge
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range items {
		if items[i].Stamp.IsZero() {
			items[i].Stamp = time.Now()
		}
		items[i].Stamp = toMicrosecond(items[i].Stamp)
		a := m.archives[names[i]]
		if a == nil {
			if m.archives == nil {
				m.archives = make(map[string]*account)
			}
			a = newAccount()
			m.archives[names[i]] = a
		}
		items[i].Position = a.next()
		a.add(items[i])
		for len(a.items.live) > maxItems || a.bytes > maxBytes {
			a.dropFirst()
		}
	}
	return items, nil
}

// Query calls yield with each item of one page.
// It is free to call the archive.
func (m *Memory) Query(ctx context.Context, archive jid.JID, q Query, yield func(Item) error) (Page, error) {
	if err := ctx.Err(); err != nil {
		return Page{}, err
	}
	v, err := m.view(archive, q)
	if err != nil {
		return Page{}, err
	}
	page, positions := v.page(q)
	for i := range positions.len() {
		if q.Flip {
			i = positions.len() - 1 - i
		}
		if err := ctx.Err(); err != nil {
			return Page{}, err
		}
		if err := yield(v.item(positions.at(i)).Item); err != nil {
			return Page{}, err
		}
	}
	return page, nil
}

// view returns what a query sees of an archive.
func (m *Memory) view(archive jid.JID, q Query) (view, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.archives[archive.Bare().String()]
	if a == nil {
		a = new(account)
	}
	return a.view(q)
}

// Ends returns the first and the last item of an archive, without their XML.
func (m *Memory) Ends(ctx context.Context, archive jid.JID) (first, last Item, err error) {
	if err := ctx.Err(); err != nil {
		return Item{}, Item{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.archives[archive.Bare().String()]
	if a == nil || len(a.items.live) == 0 {
		return Item{}, Item{}, nil
	}
	first, last = a.items.live[0].Item, a.items.live[len(a.items.live)-1].Item
	first.XML, last.XML = nil, nil
	return first, last, nil
}

// Prune removes the oldest items of an archive.
func (m *Memory) Prune(ctx context.Context, archive jid.JID, before time.Time, keep int64) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	before = toMicrosecond(before)
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.archives[archive.Bare().String()]
	if a == nil {
		return 0, nil
	}
	var n int64
	for len(a.items.live) > 0 && (a.items.live[0].Stamp.Before(before) || keep >= 0 && int64(len(a.items.live)) > keep) {
		a.dropFirst()
		n++
	}
	return n, nil
}

// Read notes that a conversation was read up to the item with an id.
func (m *Memory) Read(ctx context.Context, archive, conversation jid.JID, id string) (bool, error) {
	return m.read(ctx, archive, conversation, func(a *account) (int64, bool) {
		position, ok := a.ids[id]
		return position, ok && a.item(position).Conversation.Equal(conversation)
	})
}

// ReadStanza is Read for the newest item of the conversation with a stanza id.
// No item has the empty one.
func (m *Memory) ReadStanza(ctx context.Context, archive, conversation jid.JID, stanzaID string) (bool, error) {
	return m.read(ctx, archive, conversation, func(a *account) (int64, bool) {
		position, ok := a.stanzas[stanzaKey{conversation.String(), stanzaID}]
		return position, ok
	})
}

func (m *Memory) read(ctx context.Context, archive, conversation jid.JID, find func(*account) (int64, bool)) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.archives[archive.Bare().String()]
	if a == nil {
		return false, ErrNotFound
	}
	position, ok := find(a)
	if !ok {
		return false, ErrNotFound
	}
	return a.read(conversation.String(), position), nil
}

// Unread returns the conversations that have unread messages.
func (m *Memory) Unread(ctx context.Context, archive jid.JID, limit int) ([]Unread, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	unread := m.unread(archive)
	slices.SortFunc(unread, func(x, y Unread) int { return cmp.Compare(y.Last, x.Last) })
	return unread[:min(len(unread), max(limit, 0))], nil
}

func (m *Memory) unread(archive jid.JID) []Unread {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.archives[archive.Bare().String()]
	if a == nil {
		return nil
	}
	return a.allUnread()
}

// Preferences returns those of an archive, or the zero value if there are none.
func (m *Memory) Preferences(ctx context.Context, archive jid.JID) (Preferences, error) {
	if err := ctx.Err(); err != nil {
		return Preferences{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.preferences[archive.Bare().String()].clone(), nil
}

// SetPreferences replaces the preferences of an archive.
// It is [ErrTooLarge] if there are more than 10,000 addresses in the lists.
func (m *Memory) SetPreferences(ctx context.Context, archive jid.JID, p Preferences) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(p.Always)+len(p.Never) > maxAddresses {
		return ErrTooLarge
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.preferences == nil {
		m.preferences = make(map[string]Preferences)
	}
	m.preferences[archive.Bare().String()] = p.clone()
	return nil
}

func (p Preferences) clone() Preferences {
	p.Always, p.Never = slices.Clone(p.Always), slices.Clone(p.Never)
	return p
}

// size is what counts for MaxBytes: all that others choose.
func (i Item) size() int { return len(i.XML) + len(i.StanzaID) + len(i.With.String()) }

// toMicrosecond returns a time as it is kept.
func toMicrosecond(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
