// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamtest

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

// A model is an archive as its definition has it, without any thought of time.
type model struct{ items []mam.Item }

// query returns the page that a query asks for. Everything is known of it.
func (m model) query(q mam.Query) ([]mam.Item, mam.Page) {
	var (
		matching      []mam.Item
		first, last   = m.position(q.AfterID) + 1, m.position(q.BeforeID) - 1
		after, before = m.position(q.From.After), m.position(q.From.Before)
	)
	for _, i := range m.items {
		if i.Position >= first && (q.BeforeID == "" || i.Position <= last) && matches(q, i) {
			matching = append(matching, i)
		}
	}
	var (
		count      = len(matching)
		start, end = 0, count
		backwards  = q.From.Before != "" || q.From.Last
	)
	for n, i := range matching {
		if q.From.After != "" && i.Position <= after {
			start = n + 1
		}
		if q.From.Before != "" && i.Position >= before {
			end = min(end, n)
		}
	}
	if q.From.Index > 0 && q.From.After == "" && !backwards {
		start = int(min(q.From.Index, int64(count)))
	}
	page := mam.Page{Complete: true, Count: int64(count), First: -1}
	for end-start > q.Max {
		page.Complete = false
		if backwards {
			start++
		} else {
			end--
		}
	}
	if start < end {
		page.First = int64(start)
	}
	items := slices.Clone(matching[start:end])
	if q.Flip {
		slices.Reverse(items)
	}
	return items, page
}

// matches reports whether an item does, wherever it lies.
func matches(q mam.Query, i mam.Item) bool {
	return (q.With.Equal(jid.JID{}) || q.With.Equal(i.With) || q.With.Equal(i.With.Bare())) &&
		(q.Start.IsZero() || !i.Stamp.Before(kept(q.Start))) &&
		(q.End.IsZero() || !i.Stamp.After(kept(q.End))) &&
		(len(q.IDs) == 0 || slices.Contains(q.IDs, i.ID)) &&
		!(q.WithoutGroupChat && i.GroupChat)
}

// position returns that of an item, or 0 if there is none.
func (m model) position(id string) int64 {
	if id == "" {
		return 0
	}
	for _, i := range m.items {
		if i.ID == id {
			return i.Position
		}
	}
	return 0
}

// assertQueries asserts that an archive answers random queries as the model does.
func (m model) assertQueries(ctx context.Context, t testing.TB, s mam.Archive, archive jid.JID, lots *rand.Rand, n int) bool {
	t.Helper()
	for range n {
		q := m.random(lots)
		want, known := m.query(q)
		if !assertPage(ctx, t, s, archive, q, want, known) {
			return false
		}
	}
	first, last, err := s.Ends(ctx, archive)
	if !assert.NoError(t, err) || len(m.items) == 0 {
		return err == nil && assert.Equal(t, [2]mam.Item{}, [2]mam.Item{first, last}, "the ends of nothing")
	}
	return assert.Equal(t, []string{m.items[0].ID, m.items[len(m.items)-1].ID}, []string{first.ID, last.ID}, "ends")
}

// random returns a query whose ids the model has.
func (m model) random(lots *rand.Rand) mam.Query {
	id := func() string {
		if len(m.items) == 0 {
			return ""
		}
		return m.items[lots.IntN(len(m.items))].ID
	}
	one := func(of int) bool { return lots.IntN(of) == 0 }
	q := mam.Query{Max: lots.IntN(12), Flip: one(3), Count: one(2), WithoutGroupChat: one(5)}
	if one(8) {
		q.Max = 100
	}
	if one(2) {
		q.With = partners[lots.IntN(len(partners))]
	}
	if one(5) {
		q.Start = moment(lots)
	}
	if one(5) {
		q.End = moment(lots)
	}
	if one(4) {
		q.AfterID = id()
	}
	if one(4) {
		q.BeforeID = id()
	}
	if one(6) && len(m.items) > 0 {
		for range 1 + lots.IntN(20) {
			q.IDs = append(q.IDs, id())
		}
	}
	switch lots.IntN(6) {
	case 0:
		q.From.After = id()
	case 1:
		q.From.Before = id()
	case 2:
		q.From.Last = true
	case 3:
		q.From.Index = int64(lots.IntN(20))
	}
	return q
}

// moment returns one of not too many, not always in whole microseconds.
func moment(lots *rand.Rand) time.Time {
	return noon.Add(time.Duration(lots.IntN(40)) * 700 * time.Nanosecond)
}

func randomMessages(lots *rand.Rand, n int) []mam.Message {
	messages := make([]mam.Message, n)
	for k := range messages {
		m := from(partners[lots.IntN(len(partners))])
		m.Stamp = moment(lots)
		m.GroupChat, m.Unread = lots.IntN(4) == 0, lots.IntN(2) == 0
		m.XML = []byte("<message xmlns='jabber:client'><body>" + strconv.Itoa(lots.IntN(1000)) + "</body></message>")
		if lots.IntN(3) > 0 {
			m.StanzaID = "s" + strconv.Itoa(lots.IntN(8))
		}
		if m.With.Bare().Equal(room) && lots.IntN(2) == 0 {
			m.Conversation = m.With
		}
		messages[k] = m
	}
	return messages
}
