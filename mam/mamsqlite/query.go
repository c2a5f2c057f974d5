// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamsqlite

import (
	"context"
	"encoding/hex"
	"slices"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

// Query calls yield with each item of one page.
func (a *Archive) Query(ctx context.Context, archive jid.JID, q mam.Query, yield func(mam.Item) error) (mam.Page, error) {
	var page mam.Page
	var theirs error
	err := a.read(ctx, func(c *conn) (err error) {
		v := view{conn: c, ctx: ctx}
		if err := v.open(archive, q); err != nil {
			return err
		}
		page, err = v.page(q, func(i mam.Item) error {
			theirs = yield(i)
			return theirs
		})
		return err
	})
	switch {
	case theirs != nil:
		return mam.Page{}, theirs
	case err != nil:
		return mam.Page{}, wrap("query", err)
	}
	return page, nil
}

// Ends returns the first and the last item of an archive, without their XML.
func (a *Archive) Ends(ctx context.Context, archive jid.JID) (first, last mam.Item, err error) {
	err = a.read(ctx, func(c *conn) error {
		p, ok, err := c.place(nameOf(archive))
		if err != nil || !ok || p.first > p.last {
			return err
		}
		for _, end := range []struct {
			position int64
			item     *mam.Item
		}{{p.first, &first}, {p.last, &last}} {
			key := p.key(end.position)
			err := c.items(ctx, endSQL, []any{key, key}, func(i mam.Item) error {
				*end.item = i
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return first, last, wrap("ends", err)
}

// A span is some keys, first and last. It is empty if the first is behind the last.
type span struct{ first, last int64 }

var nothing = span{1, 0}

func (s span) empty() bool { return s.first > s.last }

func (s span) len() int64 { return max(s.last-s.first+1, 0) }

func (s span) and(o span) span { return span{max(s.first, o.first), min(s.last, o.last)} }

// A filter says which items in a span match. The zero value is all.
type filter struct {
	contact    int64 // or 0
	resource   string
	timed      bool
	start, end int64 // if timed
	direct     bool  // not of type groupchat
}

// A view is what a query sees of an archive.
type view struct {
	*conn
	ctx    context.Context
	among  span // what matches is there
	filter filter
	within span // what Cursor leaves of it

	named bool    // IDs were given:
	list  []int64 // the keys of those that match, in order
}

// open finds what a query names.
func (v *view) open(archive jid.JID, q mam.Query) error {
	p, ok, err := v.place(nameOf(archive))
	if err != nil {
		return err
	}
	v.among = nothing
	if ok && p.first <= p.last {
		v.among = span{p.key(p.first), p.key(p.last)}
	}
	held := v.among

	for _, id := range []struct {
		id    string
		bound func(key int64) span
		of    *span
	}{
		{q.AfterID, func(key int64) span { return span{key + 1, held.last} }, &v.among},
		{q.BeforeID, func(key int64) span { return span{held.first, key - 1} }, &v.among},
	} {
		if id.id == "" {
			continue
		}
		i, err := v.find(p, id.id)
		if err != nil {
			return err
		}
		*id.of = id.of.and(id.bound(i.key))
	}
	cursor := held
	if q.From.After != "" {
		i, err := v.find(p, q.From.After)
		if err != nil {
			return err
		}
		cursor.first = i.key + 1
	}
	if q.From.Before != "" {
		i, err := v.find(p, q.From.Before)
		if err != nil {
			return err
		}
		cursor.last = i.key - 1
	}
	found := make([]found, 0, len(q.IDs))
	for _, id := range q.IDs {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		i, err := v.find(p, id)
		if err != nil {
			return err
		}
		found = append(found, i)
	}

	if err := v.narrow(p, q); err != nil {
		return err
	}
	v.within = v.among.and(cursor)
	if len(q.IDs) > 0 {
		v.named = true
		for _, i := range found {
			if v.among.first <= i.key && i.key <= v.among.last && v.filter.matches(i) {
				v.list = append(v.list, i.key)
			}
		}
		slices.Sort(v.list)
		v.list = slices.Compact(v.list)
	}
	return nil
}

// narrow sets the filter, or where the archive knows better, the span.
func (v *view) narrow(p place, q mam.Query) error {
	if v.among.empty() {
		return nil
	}
	if !q.With.Equal(jid.JID{}) {
		id, err := v.contact(p.id, q.With.Bare().String())
		if err != nil {
			return err
		}
		if id == 0 {
			v.among = nothing
			return nil
		}
		v.filter.contact, v.filter.resource = id, q.With.Resourcepart()
	}
	if q.WithoutGroupChat {
		switch p.groupchats {
		case 0:
		case p.last - p.first + 1:
			v.among = nothing
			return nil
		default:
			v.filter.direct = true
		}
	}
	if q.Start.IsZero() && q.End.IsZero() {
		return nil
	}
	return v.time(p, q.Start, q.End)
}

// The ends of what a span of time has are found in the index of those messages that
// no earlier one outdoes, or no later one.
const (
	startSQL    = "SELECT key FROM message INDEXED BY message_stamp WHERE archive = ? AND sorted = ? AND stamp >= ? ORDER BY stamp, key LIMIT 1"
	stopSQL     = "SELECT key FROM message INDEXED BY message_stamp WHERE archive = ? AND sorted = ? AND stamp <= ? ORDER BY stamp DESC, key DESC LIMIT 1"
	unsortedSQL = "SELECT key FROM message INDEXED BY message_unsorted WHERE archive = ? AND sorted <> 3 AND key BETWEEN ? AND ? LIMIT 1"
)

func (v *view) time(p place, start, end time.Time) error {
	v.filter.start, v.filter.end = -1<<63, 1<<63-1
	if !start.IsZero() {
		v.filter.start = toMicrosecond(start).UnixMicro()
		first := int64(1<<63 - 1)
		for _, sorted := range []int{1, 3} {
			var key int64
			ok, err := v.row(startSQL, []any{p.id, sorted, v.filter.start}, &key)
			if err != nil {
				return err
			}
			if ok {
				first = min(first, key)
			}
		}
		v.among.first = max(v.among.first, first)
	}
	if !end.IsZero() {
		v.filter.end = toMicrosecond(end).UnixMicro()
		last := int64(0)
		for _, sorted := range []int{2, 3} {
			var key int64
			ok, err := v.row(stopSQL, []any{p.id, sorted, v.filter.end}, &key)
			if err != nil {
				return err
			}
			if ok {
				last = max(last, key)
			}
		}
		v.among.last = min(v.among.last, last)
	}
	if v.among.empty() {
		return nil
	}
	// All in between match if they are in order.
	var key int64
	ok, err := v.row(unsortedSQL, []any{p.id, v.among.first, v.among.last}, &key)
	v.filter.timed = ok
	return err
}

// found is what a filter needs to know of a message.
type found struct {
	key, stamp, contact int64
	resource            string
	groupchat           bool
}

const findSQL = "SELECT key, archive, stamp, contact, resource, groupchat FROM message WHERE uid = ?"

// find looks for the message with an id.
func (c *conn) find(p place, id string) (f found, err error) {
	uid, err := hex.DecodeString(id)
	if err != nil || len(uid) != idBytes || hex.EncodeToString(uid) != id {
		return f, mam.ErrNotFound
	}
	var archive int64
	ok, err := c.row(findSQL, []any{uid}, &f.key, &archive, &f.stamp, &f.contact, &f.resource, &f.groupchat)
	if err == nil && (!ok || archive != p.id) {
		err = mam.ErrNotFound
	}
	return f, err
}

func (f filter) matches(m found) bool {
	return (f.contact == 0 || f.contact == m.contact) &&
		(f.resource == "" || f.resource == m.resource) &&
		(!f.timed || f.start <= m.stamp && m.stamp <= f.end) &&
		(!f.direct || !m.groupchat)
}

// from returns the end of a statement that reads those that match in a span, in
// one direction or the other. What is joined is found by the message.
func (f filter) from(joined string, backwards bool) string {
	index, where := "NOT INDEXED", ""
	switch {
	case f.resource != "":
		index, where = "INDEXED BY message_resource", "m.contact = ? AND m.resource = ? AND m.resource <> '' AND "
	case f.contact != 0:
		index, where = "INDEXED BY message_contact", "m.contact = ? AND "
	}
	if f.timed {
		where += "m.stamp BETWEEN ? AND ? AND "
	}
	if f.direct {
		where += "m.groupchat = 0 AND "
	}
	order := ""
	if backwards {
		order = " DESC"
	}
	return "FROM message m " + index + joined + " WHERE " + where + "m.key BETWEEN ? AND ? ORDER BY m.key" + order
}

// args are those for the statement that from returns.
func (f filter) args(s span) []any {
	var args []any
	if f.contact != 0 {
		args = append(args, f.contact)
	}
	if f.resource != "" {
		args = append(args, f.resource)
	}
	if f.timed {
		args = append(args, f.start, f.end)
	}
	return append(args, s.first, s.last)
}
