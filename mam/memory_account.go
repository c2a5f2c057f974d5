// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam

import (
	"slices"
	"sort"
	"time"

	"mellium.im/xmpp/jid"
)

// An account is one archive of a [Memory].
type account struct {
	items  trail[record]
	pruned int64            // position of the last item that is no longer there
	bytes  int              // of the messages
	ids    map[string]int64 // position by id
	with   map[string]*trail[int64]

	stanzas       map[stanzaKey]int64 // position of the newest
	conversations map[string]*conversation
	unread        map[string]*conversation // those with something unread
}

// A record is an item of an account.
type record struct {
	Item
	latest time.Time // the latest of its own time and those of all before it
}

type stanzaKey struct{ conversation, id string }

// A conversation is there while something of it is unread, or the item that it was
// read up to is in the archive. So there are no more of them than items.
type conversation struct {
	address jid.JID
	read    int64 // position, or 0
	unread  trail[int64]
}

func newAccount() *account {
	return &account{
		ids:           make(map[string]int64),
		with:          make(map[string]*trail[int64]),
		stanzas:       make(map[stanzaKey]int64),
		conversations: make(map[string]*conversation),
		unread:        make(map[string]*conversation),
	}
}

func (a *account) next() int64 { return a.pruned + int64(len(a.items.live)) + 1 }

// item returns the item at a position, which must be there.
func (a *account) item(position int64) record { return a.items.live[position-a.pruned-1] }

func (a *account) add(i Item) {
	r := record{Item: i, latest: i.Stamp}
	if n := len(a.items.live); n > 0 && a.items.live[n-1].latest.After(i.Stamp) {
		r.latest = a.items.live[n-1].latest
	}
	a.items.add(r)
	a.bytes += i.size()
	a.ids[i.ID] = i.Position
	for _, name := range parties(i.With) {
		list := a.with[name]
		if list == nil {
			list = new(trail[int64])
			a.with[name] = list
		}
		list.add(i.Position)
	}
	name := i.Conversation.String()
	if i.StanzaID != "" {
		a.stanzas[stanzaKey{name, i.StanzaID}] = i.Position
	}
	if i.Unread {
		c := a.conversation(name, i.Conversation)
		c.unread.add(i.Position)
		a.unread[name] = c
	}
}

// dropFirst removes the oldest item.
func (a *account) dropFirst() {
	i := a.items.live[0].Item
	a.items.drop(1)
	a.pruned = i.Position
	a.bytes -= i.size()
	delete(a.ids, i.ID)
	for _, name := range parties(i.With) {
		list := a.with[name]
		if list.drop(1); len(list.live) == 0 {
			delete(a.with, name)
		}
	}
	name := i.Conversation.String()
	if at := (stanzaKey{name, i.StanzaID}); a.stanzas[at] == i.Position {
		delete(a.stanzas, at)
	}
	c := a.conversations[name]
	if c == nil {
		return
	}
	if c.read == i.Position {
		c.read = 0
	}
	if len(c.unread.live) > 0 && c.unread.live[0] == i.Position {
		c.unread.drop(1)
	}
	a.tidy(name, c)
}

// read notes that a conversation was read up to a position, and reports whether
// that was news.
func (a *account) read(name string, position int64) bool {
	c := a.conversation(name, a.item(position).Conversation)
	if position <= c.read {
		return false
	}
	c.read = position
	c.unread.drop(from(c.unread.live, position+1))
	a.tidy(name, c)
	return true
}

func (a *account) conversation(name string, address jid.JID) *conversation {
	c := a.conversations[name]
	if c == nil {
		c = &conversation{address: address}
		a.conversations[name] = c
	}
	return c
}

// tidy removes a conversation from where it no longer belongs.
func (a *account) tidy(name string, c *conversation) {
	if len(c.unread.live) > 0 {
		return
	}
	delete(a.unread, name)
	if c.read == 0 {
		delete(a.conversations, name)
	}
}

func (a *account) allUnread() []Unread {
	all := make([]Unread, 0, len(a.unread))
	for _, c := range a.unread {
		n := len(c.unread.live)
		u := Unread{Conversation: c.address, Count: int64(n), Last: c.unread.live[n-1]}
		if c.read > 0 {
			u.ReadID = a.item(c.read).ID
		}
		all = append(all, u)
	}
	return all
}

// parties returns the names by which an item with somebody is found.
func parties(with jid.JID) []string {
	if with.Resourcepart() == "" {
		return []string{with.String()}
	}
	return []string{with.Bare().String(), with.String()}
}

// A trail grows at one end and is cut off at the other. What was once in it never
// changes, so that a copy of live can be read while the trail goes on.
type trail[T any] struct {
	live []T
	dead int // how many are still in memory before them, at most
}

func (l *trail[T]) add(v T) { l.live = append(l.live, v) }

// drop removes the first n. Memory is given back when there is more to gain than
// to copy.
func (l *trail[T]) drop(n int) {
	l.live, l.dead = l.live[n:], l.dead+n
	if l.dead > len(l.live) {
		l.live, l.dead = append([]T(nil), l.live...), 0
	}
}

// from returns where the first of the positions is that is not below another.
func from(positions []int64, position int64) int {
	i, _ := slices.BinarySearch(positions, position)
	return i
}

// view returns what a query sees of the archive.
func (a *account) view(q Query) (view, error) {
	v := view{items: a.items.live, pruned: a.pruned, first: a.pruned + 1, end: a.next()}
	for _, at := range []struct {
		id       string
		position *int64
	}{{q.AfterID, &v.first}, {q.BeforeID, &v.end}, {q.From.After, &v.after}, {q.From.Before, &v.before}} {
		if at.id == "" {
			continue
		}
		position, ok := a.ids[at.id]
		if !ok {
			return view{}, ErrNotFound
		}
		*at.position = position
	}
	if q.AfterID != "" {
		v.first++
	}
	v.end = max(v.first, v.end)

	v.among = run{v.first, v.end}
	withAny := q.With.Equal(jid.JID{})
	if !withAny {
		var positions list
		if l := a.with[q.With.String()]; l != nil {
			positions = l.live
		}
		v.among = positions.between(v.first, v.end)
	}
	if len(q.IDs) > 0 {
		named := make(list, 0, len(q.IDs))
		for _, id := range q.IDs {
			position, ok := a.ids[id]
			if !ok {
				return view{}, ErrNotFound
			}
			named = append(named, position)
		}
		slices.Sort(named)
		named = slices.Compact(named).between(v.first, v.end).(list)
		if !withAny {
			named = slices.DeleteFunc(named, func(position int64) bool { return !same(q.With, a.item(position).With) })
		}
		v.among = named
	}
	return v, nil
}

// A view is what a query sees of an archive: at one instant, and read by it alone.
type view struct {
	items      []record
	pruned     int64
	first, end int64     // positions of what AfterID and BeforeID leave, end excluded
	among      positions // what may match, in order

	after, before int64 // positions that the page lies next to, or 0
}

func (v view) item(position int64) record { return v.items[position-v.pruned-1] }

// page returns a page, and the positions of its items.
func (v view) page(q Query) (Page, positions) {
	all := v.among
	if !q.Start.IsZero() || !q.End.IsZero() || q.WithoutGroupChat {
		match := v.filter(q)
		if !q.Start.IsZero() {
			// Those before are not in the span, nor is any before them.
			start := toMicrosecond(q.Start)
			late := sort.Search(len(v.items), func(i int) bool { return !v.items[i].latest.Before(start) })
			all = all.slice(all.from(v.pruned+int64(late)+1), all.len())
		}
		if !q.Count && q.From.Index <= 0 {
			return v.search(q, all, match)
		}
		var found list
		for i := range all.len() {
			if position := all.at(i); match(v.item(position)) {
				found = append(found, position)
			}
		}
		all = found
	}

	start, end := v.bounds(q, all)
	page := Page{Complete: true, Count: int64(all.len()), First: -1}
	if limit := max(q.Max, 0); end-start > limit {
		page.Complete = false
		if backwards(q) {
			start = end - limit
		} else {
			end = start + limit
		}
	}
	if start < end {
		page.First = int64(start)
	}
	return page, all.slice(start, end)
}

// bounds returns where the page lies in all that match if it is as long as can be.
func (v view) bounds(q Query, all positions) (start, end int) {
	c := q.From
	start, end = 0, all.len()
	if c.After != "" {
		start = all.from(v.after + 1)
	}
	if c.Before != "" {
		end = max(start, all.from(v.before))
	}
	if c.Index > 0 && c == (Cursor{Index: c.Index}) {
		start = int(min(c.Index, int64(end)))
	}
	return start, end
}

// search looks for the items of a page, and for one more.
func (v view) search(q Query, all positions, match func(record) bool) (Page, positions) {
	page := Page{Complete: true, Count: -1, First: -1}
	var found list
	start, end := v.bounds(q, all)
	for i := start; i < end; i++ {
		at := i
		if backwards(q) {
			at = end - 1 - (i - start)
		}
		position := all.at(at)
		if !match(v.item(position)) {
			continue
		}
		if len(found) >= q.Max {
			page.Complete = false
			break
		}
		found = append(found, position)
	}
	if backwards(q) {
		slices.Reverse(found)
	}
	if len(found) > 0 && q.From == (Cursor{}) {
		page.First = 0
	}
	return page, found
}

// filter returns what tells whether an item among those that may match does so.
func (v view) filter(q Query) func(record) bool {
	start, end := toMicrosecond(q.Start), toMicrosecond(q.End)
	return func(r record) bool {
		return (q.Start.IsZero() || !r.Stamp.Before(start)) &&
			(q.End.IsZero() || !r.Stamp.After(end)) &&
			!(q.WithoutGroupChat && r.GroupChat)
	}
}

// backwards reports whether a page is the last one of those before something.
func backwards(q Query) bool { return q.From.Before != "" || q.From.Last }

// positions are those of some items, in order.
type positions interface {
	len() int
	at(i int) int64
	from(position int64) int // where the first one is that is not below another
	slice(start, end int) positions
}

// A list is positions one by one.
type list []int64

func (l list) len() int                       { return len(l) }
func (l list) at(i int) int64                 { return l[i] }
func (l list) from(position int64) int        { return from(l, position) }
func (l list) slice(start, end int) positions { return l[start:end] }

func (l list) between(first, end int64) positions { return l[l.from(first):l.from(end)] }

// A run is all positions from the first to before the end.
type run struct{ first, end int64 }

func (r run) len() int                       { return int(r.end - r.first) }
func (r run) at(i int) int64                 { return r.first + int64(i) }
func (r run) from(position int64) int        { return int(min(max(position, r.first), r.end) - r.first) }
func (r run) slice(start, end int) positions { return run{r.at(start), r.at(end)} }
