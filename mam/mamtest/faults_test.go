// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamtest_test

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
	"github.com/xmppext/xmppext/mam/mamtest"
)

// everything matches.
var everything = mam.Query{Max: math.MaxInt32}

// beside returns the id of the item that lies some places from one with an id, or
// what is given.
func beside(a *archive, id string, places int, otherwise string) string {
	n := slices.IndexFunc(a.items, func(i mam.Item) bool { return i.ID == id })
	if n+places < 0 || n+places >= len(a.items) {
		return otherwise
	}
	return a.items[n+places].ID
}

func byStamp(items []mam.Item) []mam.Item {
	items = slices.Clone(items)
	slices.SortStableFunc(items, func(x, y mam.Item) int { return x.Stamp.Compare(y.Stamp) })
	return items
}

// numbered returns items with new positions, so that a query takes their order.
func numbered(items []mam.Item) []mam.Item {
	for n := range items {
		items[n].Position = int64(n + 1)
	}
	return items
}

// filtered answers a query whose other party is found in another way.
func filtered(match func(with, address jid.JID) bool) func(*archive, mam.Query, *[]mam.Item, *mam.Page) {
	return func(a *archive, q mam.Query, items *[]mam.Item, page *mam.Page) {
		with := q.With
		if with.Equal(jid.JID{}) {
			return
		}
		q.With = jid.JID{}
		left := slices.DeleteFunc(slices.Clone(a.items), func(i mam.Item) bool { return !match(with, i.With) })
		*items, *page = mamtest.Answer(left, q)
	}
}

func lower(j jid.JID) string { return strings.ToLower(j.String()) }

func TestArchiveRules(t *testing.T) {
	check := func(r mamtest.Runner, newStore func() mam.Archive) {
		mamtest.Check(r, func(testing.TB) mam.Archive { return newStore() })
	}
	good := []fault[mam.Archive]{
		{name: "memory", store: func() mam.Archive { return new(mam.Memory) }},
		{name: "naive", store: func() mam.Archive { return &naive{db: new(database)} }},
		// Who does not know need not say.
		{name: "ignorant", store: func() mam.Archive {
			return &naive{db: new(database), answer: func(_ *archive, q mam.Query, _ *[]mam.Item, p *mam.Page) {
				if p.First = -1; !q.Count {
					p.Count = -1
				}
			}}
		}},
		{name: "a plain archive", store: func() mam.Archive { return struct{ mam.Archive }{new(mam.Memory)} }},
	}
	var faults []fault[mam.Archive]
	add := func(name string, s naive, breaks ...string) {
		faults = append(faults, fault[mam.Archive]{name: name, breaks: breaks, store: func() mam.Archive {
			s := s
			s.db = new(database)
			return &s
		}})
	}

	// What is kept.
	add("nothing is an error", naive{answer: func(a *archive, _ mam.Query, _ *[]mam.Item, p *mam.Page) {
		if len(a.items) == 0 {
			p.Complete = false
		}
	}}, "MA-17 nothing stored")
	add("without resource", naive{in: func(m *mam.Message) { m.With = m.With.Bare() }}, "MA-01 all of a message", "MA-18 the other party")
	add("without stanza id", naive{in: func(m *mam.Message) { m.StanzaID = "" }}, "MA-01 all of a message", "D-04 stanza ids")
	add("without type", naive{in: func(m *mam.Message) { m.GroupChat = false }}, "MA-01 all of a message", "MA-24 without group chat")
	add("any conversation is bare", naive{in: func(m *mam.Message) { m.Conversation = m.With.Bare() }}, "MA-01 all of a message", "D-04 private messages in a room")
	add("appended without XML", naive{appended: func(i *mam.Item) { i.XML = nil }}, "MA-01 all of a message", "MA-01 XML byte by byte")
	add("a fixed time", naive{in: func(m *mam.Message) { m.Stamp = time.Unix(1, 0).UTC() }}, "MA-12 the present time")
	add("to the second", naive{in: func(m *mam.Message) { m.Stamp = m.Stamp.Truncate(time.Second) }}, "MA-12 times to the microsecond", "MA-20 span of time")
	add("local time", naive{out: func(i *mam.Item) { i.Stamp = i.Stamp.In(time.FixedZone("", 3600)) }}, "MA-12 the present time", "MA-12 times to the microsecond")
	add("the epoch is no time", naive{out: func(i *mam.Item) {
		if i.Stamp.UnixMicro() == 0 {
			i.Stamp = time.Time{}
		}
	}}, "MA-12 times to the microsecond")
	add("spans below a microsecond", naive{answer: func(_ *archive, q mam.Query, items *[]mam.Item, _ *mam.Page) {
		*items = slices.DeleteFunc(*items, func(i mam.Item) bool { return i.Stamp.Before(q.Start) })
	}}, "MA-12 times to the microsecond", "D-24 any query")
	add("trimmed", naive{out: func(i *mam.Item) { i.XML = bytes.TrimSpace(i.XML) }}, "MA-01 XML byte by byte")
	add("text", naive{out: func(i *mam.Item) { i.XML = bytes.ToValidUTF8(i.XML, []byte("?")) }}, "MA-01 XML byte by byte")
	add("short", naive{out: func(i *mam.Item) { i.XML = i.XML[:min(len(i.XML), 1<<16)] }}, "MA-01 XML byte by byte")
	add("nothing without XML", naive{answer: func(_ *archive, _ mam.Query, items *[]mam.Item, _ *mam.Page) {
		*items = slices.DeleteFunc(*items, func(i mam.Item) bool { return len(i.XML) == 0 })
	}}, "MA-04 a message that was redacted", "MA-01 XML byte by byte")
	add("ids are counted", naive{id: func(name string, _ []mam.Item, at int64) string {
		return fmt.Sprintf("%x-%016d", name, at)
	}}, "SI-01 ids")
	add("ids of an archive", naive{id: func(_ string, _ []mam.Item, at int64) string { return fmt.Sprintf("%x", (at*7919)%104729+1<<60) }}, "SI-01 ids", "AA-10 ids of another archive")
	add("ids are times", naive{id: func(_ string, _ []mam.Item, at int64) string {
		return fmt.Sprintf("%016x-%016x", at, time.Now().UnixNano())
	}}, "SI-01 ids")
	add("ids with quotes", naive{id: func(name string, _ []mam.Item, at int64) string {
		return fmt.Sprintf("'%x%d", name, time.Now().UnixNano()*7919%104729)
	}}, "SI-01 ids")
	add("one archive", naive{file: func(jid.JID) string { return "" }}, "D-24 positions count from one", "MA-05 archives do not mix", "D-24 many archives", "MA-03 one archive", "PR-01 preferences of one archive")
	add("archives by domain", naive{file: func(j jid.JID) string { return j.Domainpart() }}, "MA-05 archives do not mix", "D-24 many archives", "MA-03 one archive", "PR-01 preferences of one archive")
	add("archives by pattern", naive{file: func(j jid.JID) string { return strings.ReplaceAll(j.Bare().String(), "%", "_") }}, "MA-05 archives do not mix", "PR-01 preferences of one archive")
	add("archives in short columns", naive{file: func(j jid.JID) string { return j.String()[:min(len(j.String()), 255)] }}, "MA-05 archives do not mix", "PR-01 preferences of one archive")
	add("a gap", naive{appended: func(i *mam.Item) { i.Position += i.Position / 3 }, out: func(i *mam.Item) { i.Position += i.Position / 3 }}, "D-24 positions count from one", "D-24 many writers")
	add("positions are early", naive{early: true}, "D-24 many writers")
	add("deaf", naive{deaf: true}, "a context that has ended", "pruning with a context that has ended", "reading with a context that has ended", "preferences with a context that has ended", "all or none")
	add("yield's error is ignored", naive{goesOn: true}, "an error of yield")
	add("yield's error is wrapped", naive{wraps: true}, "an error of yield")
	add("torn between items", naive{torn: true}, "D-24 one instant")

	// What matches.
	add("by time", naive{answer: func(a *archive, q mam.Query, items *[]mam.Item, p *mam.Page) {
		*items, *p = mamtest.Answer(numbered(byStamp(a.items)), q)
		for n, i := range *items {
			at := slices.IndexFunc(a.items, func(x mam.Item) bool { return x.ID == i.ID })
			(*items)[n] = a.items[at]
		}
	}}, "MA-02 AA-14 AA-19 order of arrival", "RS-13 appended while paging", "D-24 any query")
	add("ends by time", naive{ends: func(a *archive) (mam.Item, mam.Item) {
		items := byStamp(a.items)
		items[0].XML, items[len(items)-1].XML = nil, nil
		return items[0], items[len(items)-1]
	}}, "MA-02 AA-14 AA-19 order of arrival", "MA-35 ends")
	add("ends with XML", naive{ends: func(a *archive) (mam.Item, mam.Item) { return a.items[0], a.items[len(a.items)-1] }}, "MA-35 ends")
	add("with by prefix", naive{answer: filtered(func(with, j jid.JID) bool {
		return with.Equal(j) || with.Resourcepart() == "" && strings.HasPrefix(j.String(), with.String())
	})}, "MA-18 the other party")
	add("with by pattern", naive{answer: filtered(func(with, j jid.JID) bool {
		return with.Equal(j) || with.Resourcepart() == "" && (strings.HasPrefix(with.String(), "juliet_@") && j.Localpart() != "" && strings.HasPrefix(j.String(), "juliet") && j.Domainpart() == "capulet.example" && len(j.Localpart()) == 7 || with.Equal(j.Bare()))
	})}, "MA-18 the other party")
	add("with is exact", naive{answer: filtered(func(with, j jid.JID) bool { return with.Equal(j) })}, "MA-18 the other party", "D-24 any query")
	add("with is bare", naive{answer: filtered(func(with, j jid.JID) bool { return with.Bare().Equal(j.Bare()) })}, "MA-18 the other party")
	add("with is a domain", naive{answer: filtered(func(with, j jid.JID) bool {
		return with.Equal(j) || with.Equal(j.Bare()) || with.Equal(j.Domain())
	})}, "MA-18 the other party")
	add("with in lower case", naive{answer: filtered(func(with, j jid.JID) bool { return lower(with) == lower(j) || with.Equal(j.Bare()) })}, "MA-18 the other party")
	add("oneself is everybody", naive{ask: func(_ *archive, q *mam.Query) {
		if q.With.String() == "romeo@montague.example" {
			q.With = jid.JID{}
		}
	}}, "MA-18 one's own address")
	add("the end is outside", naive{ask: func(_ *archive, q *mam.Query) {
		if !q.End.IsZero() {
			q.End = q.End.Add(-time.Microsecond)
		}
	}}, "MA-20 span of time")
	add("the start is outside", naive{ask: func(_ *archive, q *mam.Query) {
		if !q.Start.IsZero() {
			q.Start = q.Start.Add(time.Microsecond)
		}
	}}, "MA-20 span of time")
	add("after-id is inside", naive{ask: func(a *archive, q *mam.Query) { q.AfterID = beside(a, q.AfterID, -1, "") }}, "MA-21 between ids")
	add("before-id is inside", naive{ask: func(a *archive, q *mam.Query) {
		if q.BeforeID != "" {
			q.BeforeID = beside(a, q.BeforeID, 1, "")
		}
	}}, "MA-21 between ids")
	add("ids are all", naive{ask: func(_ *archive, q *mam.Query) {
		if len(q.IDs) > 0 {
			*q = mam.Query{IDs: q.IDs, Max: q.Max, Count: q.Count, From: q.From, Flip: q.Flip}
		}
	}}, "MA-21 all filters at once")
	add("ids in their own order", naive{answer: func(a *archive, q mam.Query, items *[]mam.Item, _ *mam.Page) {
		if len(q.IDs) > 0 {
			slices.SortFunc(*items, func(x, y mam.Item) int { return cmp.Compare(slices.Index(q.IDs, x.ID), slices.Index(q.IDs, y.ID)) })
		}
	}}, "MA-22 ids of items")
	add("ids more than once", naive{answer: func(a *archive, q mam.Query, items *[]mam.Item, p *mam.Page) {
		if len(q.IDs) > 0 {
			p.Count = int64(len(q.IDs))
		}
	}}, "MA-22 ids of items")
	add("too many ids", naive{most: 999}, "MA-22 many ids")
	add("ids are not looked up", naive{known: func(*archive, mam.Query, string) bool { return true }}, "MA-23 ids that are not there", "AA-10 ids of another archive", "RS-06 ids that were pruned", "MA-03 never again")
	add("ids are looked up late", naive{late: true}, "MA-23 ids that are not there")
	add("one of the ids is enough", naive{known: func(a *archive, q mam.Query, id string) bool {
		return slices.ContainsFunc(a.items, func(i mam.Item) bool { return i.ID == id || slices.Contains(q.IDs, i.ID) })
	}}, "MA-23 ids that are not there")
	add("ids without case or space", naive{known: func(a *archive, _ mam.Query, id string) bool {
		return slices.ContainsFunc(a.items, func(i mam.Item) bool { return strings.EqualFold(i.ID, strings.TrimSpace(id)) })
	}}, "MA-23 ids that are not there")
	add("a cursor must match", naive{known: func(a *archive, q mam.Query, id string) bool {
		all := everything
		if id == q.From.After || id == q.From.Before {
			all.With, all.IDs = q.With, q.IDs
		}
		items, _ := mamtest.Answer(a.items, all)
		return slices.ContainsFunc(items, func(i mam.Item) bool { return i.ID == id })
	}}, "MA-23 ids outside of what matches")
	add("nothing but group chat", naive{answer: func(_ *archive, q mam.Query, items *[]mam.Item, _ *mam.Page) {
		*items = slices.DeleteFunc(*items, func(i mam.Item) bool { return i.GroupChat && !q.WithoutGroupChat })
	}}, "MA-24 without group chat")

	// What is on a page.
	add("the cursor is inside", naive{ask: func(a *archive, q *mam.Query) { q.From.After = beside(a, q.From.After, -1, "") }}, "RS-05 a cursor at every item", "MA-13 all pages", "RS-13 appended while paging")
	add("the first before", naive{answer: func(a *archive, q mam.Query, items *[]mam.Item, p *mam.Page) {
		if q.From.Before != "" {
			q.BeforeID, q.From = q.From.Before, mam.Cursor{}
			*items, *p = mamtest.Answer(a.items, q)
		}
	}}, "RS-05 a cursor at every item", "MA-13 all pages")
	add("the newest first", naive{answer: func(_ *archive, q mam.Query, items *[]mam.Item, _ *mam.Page) {
		if q.From.Last {
			slices.Reverse(*items)
		}
	}}, "MA-33 the last page")
	add("the last page is the first", naive{ask: func(_ *archive, q *mam.Query) { q.From.Last = false }}, "MA-33 the last page")
	add("always complete", naive{answer: func(_ *archive, _ mam.Query, _ *[]mam.Item, p *mam.Page) { p.Complete = true }}, "MA-31 complete", "MA-13 all pages")
	add("never complete", naive{answer: func(_ *archive, _ mam.Query, _ *[]mam.Item, p *mam.Page) { p.Complete = false }}, "MA-31 complete", "MA-17 nothing stored")
	add("complete if not full", naive{answer: func(_ *archive, q mam.Query, items *[]mam.Item, p *mam.Page) { p.Complete = len(*items) < q.Max }}, "MA-31 complete")
	add("complete if the archive is", naive{answer: func(a *archive, _ mam.Query, items *[]mam.Item, p *mam.Page) {
		n := len(*items)
		p.Complete = p.Complete && (n == 0 || (*items)[n-1].ID == a.items[len(a.items)-1].ID)
	}}, "MA-31 complete")
	add("flipped before it is cut", naive{ask: func(_ *archive, q *mam.Query) {
		if q.Flip && q.From == (mam.Cursor{}) {
			q.From.Last = true
		}
	}}, "MA-34 a flipped page")
	add("not flipped", naive{ask: func(_ *archive, q *mam.Query) { q.Flip = false }}, "MA-34 a flipped page")
	add("the count of the page", naive{answer: func(_ *archive, _ mam.Query, items *[]mam.Item, p *mam.Page) { p.Count = int64(len(*items)) }}, "RS-04 count and index")
	add("the count of the archive", naive{answer: func(a *archive, _ mam.Query, _ *[]mam.Item, p *mam.Page) { p.Count = int64(len(a.items)) }}, "RS-04 count and index")
	add("never counted", naive{answer: func(_ *archive, _ mam.Query, _ *[]mam.Item, p *mam.Page) { p.Count = -1 }}, "RS-04 count and index")
	add("the index of one", naive{answer: func(_ *archive, _ mam.Query, _ *[]mam.Item, p *mam.Page) { p.First++ }}, "RS-04 count and index", "MA-17 nothing stored")
	add("no maximum", naive{ask: func(_ *archive, q *mam.Query) {
		if q.Max == 0 {
			q.Max = 100
		}
	}}, "RS-09 nothing but the count")
	add("overflow", naive{ask: func(_ *archive, q *mam.Query) { q.Max = max(int(int32(q.Max)+1)-1, 0) }}, "RS-01 as many as there are")
	add("no index", naive{ask: func(_ *archive, q *mam.Query) { q.From.Index = 0 }}, "RS-10 a page by its index")
	add("an index into the archive", naive{ask: func(a *archive, q *mam.Query) {
		if n := q.From.Index; n > 0 && n <= int64(len(a.items)) {
			q.From = mam.Cursor{After: a.items[n-1].ID}
		}
	}}, "RS-10 a page by its index", "D-24 any query")

	// Pruning.
	add("the newest is pruned", naive{prune: func(a *archive, before time.Time, keep int64) (int64, bool) {
		n := int64(len(a.items)) - keep
		if keep < 0 || n <= 0 || !before.IsZero() {
			return 0, false
		}
		a.items = a.items[:keep]
		return n, true
	}}, "MA-03 all but some", "RS-13 pruned while paging", "RS-04 counted after pruning")
	add("nothing to keep", naive{prune: func(a *archive, before time.Time, keep int64) (int64, bool) { return 0, keep == 0 }}, "MA-03 all but some", "MA-03 never again")
	add("all that is old is pruned", naive{prune: func(a *archive, before time.Time, keep int64) (int64, bool) {
		n := len(a.items)
		a.items = slices.DeleteFunc(slices.Clone(a.items), func(i mam.Item) bool { return i.Stamp.Before(before) })
		return int64(n - len(a.items)), keep < 0
	}}, "MA-03 by time")
	add("by time, then by number", naive{prune: func(a *archive, before time.Time, keep int64) (n int64, _ bool) {
		for len(a.items) > 0 && a.items[0].Stamp.Before(before) {
			a.items, n = a.items[1:], n+1
		}
		for keep >= 0 && int64(len(a.items)) > keep {
			a.items, n = a.items[1:], n+1
		}
		return n, true
	}}, "MA-03 by time or by number")
	add("positions are used again", naive{reuse: true}, "MA-03 never again")
	add("ids are used again", naive{id: func(name string, items []mam.Item, _ int64) string {
		return fmt.Sprintf("%x%d", name, len(items)*7919%104729)
	}}, "MA-03 never again")
	add("what was pruned counts", naive{answer: func(a *archive, _ mam.Query, _ *[]mam.Item, p *mam.Page) {
		if len(a.items) > 0 {
			p.Count += a.items[0].Position - 1
		}
	}}, "RS-04 counted after pruning", "D-24 any query after pruning")
	add("positions for an index", naive{answer: func(a *archive, _ mam.Query, items *[]mam.Item, p *mam.Page) {
		if len(*items) > 0 {
			p.First = (*items)[0].Position - 1
		}
	}}, "RS-04 counted after pruning", "RS-13 pruned while paging")
	add("pruned without a word", naive{prune: func(a *archive, _ time.Time, keep int64) (int64, bool) {
		if keep == 10 && len(a.items) > 10 {
			a.items = a.items[len(a.items)-10:]
		}
		return 0, keep == 10
	}}, "D-24 pruned while others write")

	// Many at once.
	add("the last first", naive{oneByOne: true, reversed: true}, "many messages at once")
	add("one by one", naive{oneByOne: true}, "seen at once")
	add("some of many", naive{halfway: true}, "all or none")
	add("none is an error", naive{empty: true}, "no messages at once")

	// What was read.
	add("all is unread", naive{in: func(m *mam.Message) { m.Unread = true }}, "D-04 nothing unread", "D-04 what is counted", "D-04 one's own messages", "D-04 read without anything unread")
	add("unread by resource", naive{in: func(m *mam.Message) { m.Conversation = m.With }}, "D-04 what is counted")
	add("what was read is unread again", naive{back: true}, "D-04 never backwards", "D-04 counted again")
	add("read anywhere", naive{anywhere: true}, "D-04 items that are not there", "D-04 private messages in a room")
	add("the id of what was read is not known", naive{row: func(_ *archive, u *mam.Unread) { u.ReadID = "" }}, "D-04 read up to an item", "D-04 read without anything unread", "D-04 conversations do not mix")
	add("one too many", naive{row: func(_ *archive, u *mam.Unread) {
		if u.ReadID != "" {
			u.Count++
		}
	}}, "D-04 read up to an item", "D-04 counted again", "D-04 read while others write")
	add("the oldest stanza", naive{stanza: func(items []mam.Item, where jid.JID, id string) int {
		return slices.IndexFunc(items, func(i mam.Item) bool { return id != "" && i.StanzaID == id && conversation(i).Equal(where) })
	}}, "D-04 stanza ids")
	add("a stanza of anybody", naive{stanza: func(items []mam.Item, _ jid.JID, id string) int {
		return slices.IndexFunc(items, func(i mam.Item) bool { return id != "" && i.StanzaID == id })
	}}, "D-04 items that are not there")
	add("a stanza without id", naive{stanza: func(items []mam.Item, where jid.JID, id string) int {
		return slices.IndexFunc(items, func(i mam.Item) bool { return i.StanzaID == id && conversation(i).Equal(where) })
	}}, "D-04 items that are not there")
	add("stanzas without case or space", naive{stanza: func(items []mam.Item, where jid.JID, id string) int {
		return slices.IndexFunc(items, func(i mam.Item) bool {
			return id != "" && strings.EqualFold(strings.TrimSpace(i.StanzaID), strings.TrimSpace(id)) && conversation(i).Equal(where)
		})
	}}, "D-04 odd stanza ids")
	add("conversations in lower case", naive{in: func(m *mam.Message) {
		if m.Conversation.Equal(jid.JID{}) {
			m.Conversation = m.With.Bare()
		}
		m.Conversation = jid.MustParse(lower(m.Conversation))
	}}, "D-04 conversations do not mix")
	add("no limit", naive{rows: func(u []mam.Unread, _ int) []mam.Unread { return u }}, "D-05 no more than asked for")
	add("the oldest unread", naive{rows: func(u []mam.Unread, n int) []mam.Unread {
		slices.Reverse(u)
		return u[:min(len(u), n)]
	}}, "D-05 no more than asked for", "D-04 what is counted")
	add("read up to what was pruned", naive{row: func(a *archive, u *mam.Unread) {
		u.ReadID = a.ids[u.Conversation.String()]
	}}, "D-04 what was pruned")
	add("unread although pruned", naive{row: func(a *archive, u *mam.Unread) {
		if len(a.items) > 0 && a.items[0].Position > 1 {
			u.Count++
		}
	}}, "D-04 what was pruned", "D-04 counted again")
	add("not unread if many", naive{forgets: true}, "D-04 counted again after many at once")

	// What is preferred.
	add("always", naive{prefers: func(p mam.Preferences) mam.Preferences {
		p.Default = cmp.Or(p.Default, mam.Always)
		return clone(p)
	}}, "PR-01 no preferences", "PR-05 preferences are replaced")
	add("lists stay", naive{prefer: func(old, p mam.Preferences) mam.Preferences {
		if p = clone(p); p.Always == nil {
			p.Always = old.Always
		}
		return p
	}}, "PR-05 preferences are replaced")
	add("lists of bare addresses", naive{prefer: func(_, p mam.Preferences) mam.Preferences {
		p = clone(p)
		for n, j := range p.Never {
			p.Never[n] = j.Bare()
		}
		return p
	}}, "PR-07 any address", "PR-05 long lists")
	add("short lists", naive{total: 1999}, "PR-05 long lists")
	add("what was set is stored", naive{prefer: func(_, p mam.Preferences) mam.Preferences { return p }}, "PR-01 preferences of one's own")
	add("what is stored is returned", naive{prefers: func(p mam.Preferences) mam.Preferences { return p }}, "PR-01 preferences of one's own")

	expectFaults(t, check, good, faults)
}

func TestReopenedRules(t *testing.T) {
	type opened struct {
		s      mam.Archive
		reopen func() mam.Archive
	}
	check := func(r mamtest.Runner, newStore func() opened) {
		mamtest.CheckReopened(r, func(testing.TB) (mam.Archive, func() mam.Archive) {
			o := newStore()
			return o.s, o.reopen
		})
	}
	// after returns a store of which something happens to the archives when it is
	// opened again.
	after := func(happens func(*archive)) func() opened {
		return func() opened {
			s := &naive{db: new(database)}
			return opened{s, func() mam.Archive {
				for _, a := range s.db.archives {
					happens(a)
				}
				return s
			}}
		}
	}
	expectFaults(t, check, []fault[opened]{
		{name: "naive", store: after(func(*archive) {})},
		{name: "a plain archive", store: func() opened {
			s := struct{ mam.Archive }{new(mam.Memory)}
			return opened{s, func() mam.Archive { return s }}
		}},
	}, []fault[opened]{
		{
			name: "forgetful",
			breaks: []string{
				"MA-30 what is stored is stored for good", "MA-03 what was pruned is gone for good",
				"D-04 what was read is read for good", "PR-01 preferences are set for good",
			},
			store: after(func(a *archive) { *a = archive{read: make(map[string]int64), ids: make(map[string]string)} }),
		},
		{
			name:   "positions go on behind what is left",
			breaks: []string{"MA-03 what was pruned is gone for good"},
			store: after(func(a *archive) {
				if len(a.items) == 0 {
					a.last = 0
				}
			}),
		},
		{
			name:   "the last is not stored yet",
			breaks: []string{"MA-30 what is stored is stored for good"},
			store: after(func(a *archive) {
				if len(a.items) > 0 {
					a.items = a.items[:len(a.items)-1]
				}
			}),
		},
		{
			name:   "what was read is forgotten",
			breaks: []string{"D-04 what was read is read for good"},
			store:  after(func(a *archive) { clear(a.read) }),
		},
	})
}

func TestSharedRules(t *testing.T) {
	type stores [2]mam.Archive
	check := func(r mamtest.Runner, newStores func() stores) {
		mamtest.CheckShared(r, func(testing.TB) (a, b mam.Archive) {
			s := newStores()
			return s[0], s[1]
		})
	}
	expectFaults(t, check, []fault[stores]{
		{name: "memory", store: func() stores {
			m := new(mam.Memory)
			return stores{m, m}
		}},
		{name: "naive", store: func() stores {
			db := new(database)
			return stores{&naive{db: db}, &naive{db: db}}
		}},
	}, []fault[stores]{
		{
			name: "two databases",
			breaks: []string{
				"each sees what the other stored", "D-24 many writers in each", "MA-03 each sees what the other pruned",
				"D-04 each sees what the other has read", "PR-01 each sees what the other prefers",
			},
			store: func() stores { return stores{new(mam.Memory), new(mam.Memory)} },
		},
		{
			name:   "positions are early in one",
			breaks: []string{"D-24 many writers in each"},
			store: func() stores {
				db := new(database)
				return stores{&naive{db: db}, &naive{db: db, early: true}}
			},
		},
		{
			name:   "ids are remembered",
			breaks: []string{"MA-03 each sees what the other pruned"},
			store: func() stores {
				db := new(database)
				return stores{&naive{db: db}, &naive{db: db, known: func(*archive, mam.Query, string) bool { return true }}}
			},
		},
	})
}
