// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamtest_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
	"github.com/xmppext/xmppext/mam/mamtest"
)

// A naive store goes through everything at every call. It has faults if asked for.
type naive struct {
	db *database

	file     func(jid.JID) string                                      // what an archive is filed under
	id       func(archive string, items []mam.Item, at int64) string   // instead of a random one
	in       func(*mam.Message)                                        // before it is stored
	appended func(*mam.Item)                                           // what Append returns
	out      func(*mam.Item)                                           // what is yielded
	known    func(a *archive, q mam.Query, id string) bool             // whether there is such an item
	ask      func(a *archive, q *mam.Query)                            // before it is answered
	answer   func(a *archive, q mam.Query, i *[]mam.Item, p *mam.Page) // after it was answered
	ends     func(a *archive) (first, last mam.Item)
	prune    func(a *archive, before time.Time, keep int64) (int64, bool) // if it does all
	pruned   func(*archive)
	row      func(*archive, *mam.Unread)
	rows     func([]mam.Unread, int) []mam.Unread
	stanza   func(items []mam.Item, conversation jid.JID, id string) int
	prefer   func(old, p mam.Preferences) mam.Preferences
	prefers  func(mam.Preferences) mam.Preferences

	deaf     bool // the context does not matter
	early    bool // positions are given before messages are stored
	torn     bool // each item is looked up by itself
	goesOn   bool // an error of yield does not matter
	wraps    bool // an error of yield is another one
	late     bool // ids are looked up while yielding
	back     bool // what was read can be unread again
	anywhere bool // what is read need not be of the conversation
	oneByOne bool // many messages are appended one after the other
	reversed bool // … the last first
	halfway  bool // … until the context ends
	forgets  bool // … and nobody has not read them
	empty    bool // … and none is an error
	reuse    bool // positions are those after the last one that is left
	most     int  // if positive, how many ids are too many
	total    int  // if positive, how many addresses are too many
}

type database struct {
	mu       sync.Mutex
	archives map[string]*archive
}

type archive struct {
	items       []mam.Item
	last        int64
	read        map[string]int64
	ids         map[string]string // of what was read
	preferences mam.Preferences
}

func (s *naive) open(name jid.JID) (*archive, func()) {
	s.db.mu.Lock()
	return s.find(name), s.db.mu.Unlock
}

func (s *naive) find(name jid.JID) *archive {
	file := name.Bare().String()
	if s.file != nil {
		file = s.file(name)
	}
	a := s.db.archives[file]
	if a == nil {
		if s.db.archives == nil {
			s.db.archives = make(map[string]*archive)
		}
		a = &archive{read: make(map[string]int64), ids: make(map[string]string)}
		s.db.archives[file] = a
	}
	return a
}

func (s *naive) err(ctx context.Context) error {
	if s.deaf {
		return nil
	}
	return ctx.Err()
}

func (s *naive) Append(ctx context.Context, name jid.JID, m mam.Message) (mam.Item, error) {
	if err := s.err(ctx); err != nil {
		return mam.Item{}, err
	}
	a, done := s.open(name)
	i := s.prepare(a, name, m)
	if s.early {
		done()
		for range 1 + i.Position%5 {
			runtime.Gosched()
		}
		a, done = s.open(name)
	}
	defer done()
	s.store(a, i)
	if s.appended != nil {
		s.appended(&i)
	}
	return i, nil
}

// prepare gives a message its position and id.
func (s *naive) prepare(a *archive, name jid.JID, m mam.Message) mam.Item {
	if m.Stamp.IsZero() {
		m.Stamp = time.Now()
	}
	m.Stamp = m.Stamp.UTC().Truncate(time.Microsecond)
	if s.in != nil {
		s.in(&m)
	}
	a.last++
	if s.reuse {
		a.last = int64(len(a.items)) + 1
		if len(a.items) > 0 {
			a.last = a.items[len(a.items)-1].Position + 1
		}
	}
	i := mam.Item{Position: a.last, ID: rand.Text(), Message: m}
	if s.id != nil {
		i.ID = s.id(name.String(), a.items, a.last)
	}
	return i
}

func (s *naive) store(a *archive, i mam.Item) {
	n := len(a.items)
	for n > 0 && a.items[n-1].Position > i.Position {
		n--
	}
	a.items = slices.Insert(a.items, n, i)
}

func (s *naive) Query(ctx context.Context, name jid.JID, q mam.Query, yield func(mam.Item) error) (mam.Page, error) {
	if err := s.err(ctx); err != nil {
		return mam.Page{}, err
	}
	items, page, err := s.answers(name, q)
	for n := range items {
		i := items[n]
		if s.torn {
			again, _, _ := s.answers(name, q)
			if n >= len(again) {
				break
			}
			i = again[n]
		}
		if s.out != nil {
			s.out(&i)
		}
		if err := yield(i); err != nil && !s.goesOn {
			if s.wraps {
				err = errors.Join(err)
			}
			return mam.Page{}, err
		}
	}
	return page, err
}

func (s *naive) answers(name jid.JID, q mam.Query) ([]mam.Item, mam.Page, error) {
	a, done := s.open(name)
	defer done()
	missing := s.most > 0 && len(q.IDs) > s.most
	for _, id := range append([]string{q.AfterID, q.BeforeID, q.From.After, q.From.Before}, q.IDs...) {
		known := slices.ContainsFunc(a.items, func(i mam.Item) bool { return i.ID == id })
		if s.known != nil {
			known = s.known(a, q, id)
		}
		missing = missing || id != "" && !known
	}
	if missing && !s.late {
		return nil, mam.Page{}, mam.ErrNotFound
	}
	if s.ask != nil {
		s.ask(a, &q)
	}
	items, page := mamtest.Answer(a.items, q)
	if s.answer != nil {
		s.answer(a, q, &items, &page)
	}
	if missing {
		return items, page, mam.ErrNotFound
	}
	return items, page, nil
}

func (s *naive) Ends(ctx context.Context, name jid.JID) (first, last mam.Item, err error) {
	if err := s.err(ctx); err != nil {
		return mam.Item{}, mam.Item{}, err
	}
	a, done := s.open(name)
	defer done()
	if len(a.items) == 0 {
		return mam.Item{}, mam.Item{}, nil
	}
	first, last = a.items[0], a.items[len(a.items)-1]
	if s.ends != nil {
		first, last = s.ends(a)
		return first, last, nil
	}
	first.XML, last.XML = nil, nil
	return first, last, nil
}

func (s *naive) Prune(ctx context.Context, name jid.JID, before time.Time, keep int64) (int64, error) {
	if err := s.err(ctx); err != nil {
		return 0, err
	}
	a, done := s.open(name)
	defer done()
	if s.prune != nil {
		if n, ok := s.prune(a, before, keep); ok {
			return n, nil
		}
	}
	var n int64
	for len(a.items) > 0 && (a.items[0].Stamp.Before(before.Truncate(time.Microsecond)) || keep >= 0 && int64(len(a.items)) > keep) {
		a.items = a.items[1:]
		n++
	}
	if s.pruned != nil {
		s.pruned(a)
	}
	return n, nil
}

func (s *naive) AppendAll(ctx context.Context, messages []mam.Entry) ([]mam.Item, error) {
	if len(messages) == 0 && s.empty {
		return nil, errors.New("nothing to append")
	}
	if err := s.err(ctx); err != nil && !s.halfway {
		return nil, err
	}
	items := make([]mam.Item, len(messages))
	if !s.oneByOne {
		s.db.mu.Lock()
		defer s.db.mu.Unlock()
	}
	for n := range messages {
		if s.reversed {
			n = len(messages) - 1 - n
		}
		if s.halfway && n == len(messages)/2 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		e := messages[n]
		if s.forgets {
			e.Message.Unread = false
		}
		if s.oneByOne {
			i, err := s.Append(context.WithoutCancel(ctx), e.Archive, e.Message)
			if err != nil {
				return nil, err
			}
			items[n] = i
			runtime.Gosched()
			continue
		}
		a := s.find(e.Archive)
		items[n] = s.prepare(a, e.Archive, e.Message)
		s.store(a, items[n])
	}
	return items, nil
}

// conversation returns the one that an item belongs to.
func conversation(i mam.Item) jid.JID {
	if i.Conversation.Equal(jid.JID{}) {
		return i.With.Bare()
	}
	return i.Conversation
}

func (s *naive) Read(ctx context.Context, name, where jid.JID, id string) (bool, error) {
	if err := s.err(ctx); err != nil {
		return false, err
	}
	a, done := s.open(name)
	defer done()
	return s.read(a, where, slices.IndexFunc(a.items, func(i mam.Item) bool {
		return i.ID == id && (s.anywhere || conversation(i).Equal(where))
	}))
}

func (s *naive) read(a *archive, where jid.JID, n int) (bool, error) {
	if n < 0 {
		return false, mam.ErrNotFound
	}
	i := a.items[n]
	if i.Position <= a.read[where.String()] && !s.back {
		return false, nil
	}
	a.read[where.String()], a.ids[where.String()] = i.Position, i.ID
	return true, nil
}

func (s *naive) ReadStanza(ctx context.Context, name, where jid.JID, stanzaID string) (bool, error) {
	if err := s.err(ctx); err != nil {
		return false, err
	}
	a, done := s.open(name)
	defer done()
	if s.stanza != nil {
		return s.read(a, where, s.stanza(a.items, where, stanzaID))
	}
	found := -1
	for n, i := range a.items {
		if stanzaID != "" && i.StanzaID == stanzaID && conversation(i).Equal(where) {
			found = n
		}
	}
	return s.read(a, where, found)
}

func (s *naive) Unread(ctx context.Context, name jid.JID, limit int) ([]mam.Unread, error) {
	if err := s.err(ctx); err != nil {
		return nil, err
	}
	a, done := s.open(name)
	defer done()
	rows := make(map[string]mam.Unread)
	for _, i := range a.items {
		where := conversation(i)
		r := rows[where.String()]
		if !i.Unread || i.Position <= a.read[where.String()] {
			continue
		}
		r = mam.Unread{Conversation: where, Count: r.Count + 1, Last: i.Position}
		if slices.ContainsFunc(a.items, func(i mam.Item) bool { return i.ID == a.ids[where.String()] }) {
			r.ReadID = a.ids[where.String()]
		}
		rows[where.String()] = r
	}
	var all []mam.Unread
	for _, r := range rows {
		if s.row != nil {
			s.row(a, &r)
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(x, y mam.Unread) int { return cmp.Compare(y.Last, x.Last) })
	if s.rows != nil {
		return s.rows(all, limit), nil
	}
	return all[:min(len(all), limit)], nil
}

func (s *naive) Preferences(ctx context.Context, name jid.JID) (mam.Preferences, error) {
	if err := s.err(ctx); err != nil {
		return mam.Preferences{}, err
	}
	a, done := s.open(name)
	defer done()
	p := a.preferences
	if s.prefers != nil {
		return s.prefers(p), nil
	}
	return clone(p), nil
}

func clone(p mam.Preferences) mam.Preferences {
	p.Always, p.Never = slices.Clone(p.Always), slices.Clone(p.Never)
	return p
}

func (s *naive) SetPreferences(ctx context.Context, name jid.JID, p mam.Preferences) error {
	if err := s.err(ctx); err != nil {
		return err
	}
	if s.total > 0 && len(p.Always)+len(p.Never) > s.total {
		return mam.ErrTooLarge
	}
	a, done := s.open(name)
	defer done()
	if s.prefer != nil {
		p = s.prefer(a.preferences, p)
	} else {
		p = clone(p)
	}
	a.preferences = p
	return nil
}
