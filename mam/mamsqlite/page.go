// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamsqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"slices"
	"time"

	"github.com/xmppext/xmppext/mam"
)

// page yields the items of a page, and returns what is known of it.
func (v *view) page(q mam.Query, yield func(mam.Item) error) (mam.Page, error) {
	limit := max(int64(q.Max), 0)
	switch {
	case v.named:
		start, _ := slices.BinarySearch(v.list, v.within.first)
		end, _ := slices.BinarySearch(v.list, v.within.last+1)
		page, first, last := cut(q, limit, int64(len(v.list)), int64(start), int64(max(start, end)))
		return page, v.sendList(v.list[first:last], q.Flip, yield)
	case v.filter == filter{}:
		n := v.among.len()
		start := min(max(v.within.first-v.among.first, 0), n)
		page, first, last := cut(q, limit, n, start, start+v.within.len())
		if first == last {
			return page, nil
		}
		_, err := v.send(span{v.among.first + first, v.among.first + last - 1}, q.Flip, last-first, yield)
		return page, err
	}
	return v.search(q, limit, yield)
}

// cut returns the page of the items from start to before end, among n that match.
func cut(q mam.Query, limit, n, start, end int64) (page mam.Page, first, last int64) {
	if indexed(q) {
		start = min(q.From.Index, end)
	}
	page = mam.Page{Complete: end-start <= limit, Count: n, First: -1}
	switch {
	case page.Complete:
	case backwards(q):
		start = end - limit
	default:
		end = start + limit
	}
	if start < end {
		page.First = start
	}
	return page, start, end
}

// search yields a page that is found by reading an index.
func (v *view) search(q mam.Query, limit int64, yield func(mam.Item) error) (mam.Page, error) {
	page := mam.Page{Count: -1, First: -1}
	within := v.within
	if indexed(q) {
		before, err := v.walk(within, q.From.Index)
		if err != nil {
			return page, err
		}
		if within.first = before.last + 1; before.n < q.From.Index {
			within, page.Count = nothing, before.n
		}
	}
	var of walked
	var err error
	if q.Flip == backwards(q) {
		of, err = v.send(within, q.Flip, limit, yield)
	} else if of, err = v.look(within, !q.Flip, limit); err == nil && of.n > 0 {
		_, err = v.send(of.span, q.Flip, of.n, yield)
	}
	if err != nil {
		return page, err
	}
	page.Complete = !of.more

	// What is known because the page is the first or the last one.
	switch at := q.From; {
	case at.Before != "" || at.After != "":
	case at.Last && page.Complete:
		page.Count, page.First = of.n, 0
	case at.Last:
	case page.Complete && page.Count < 0:
		page.Count, page.First = max(at.Index, 0)+of.n, max(at.Index, 0)
	default:
		page.First = max(at.Index, 0)
	}
	if q.Count && page.Count < 0 {
		all, err := v.walk(v.among, all)
		if err != nil {
			return page, err
		}
		page.Count = all.n
	}
	switch {
	case of.n == 0:
		page.First = -1
	case page.First >= 0:
	case q.From == mam.Cursor{Last: true} && page.Count >= 0:
		page.First = page.Count - of.n
	case q.Count:
		before, err := v.walk(span{v.among.first, of.first - 1}, all)
		if err != nil {
			return page, err
		}
		page.First = before.n
	}
	return page, nil
}

// indexed reports whether a page is given by the number of items before it.
func indexed(q mam.Query) bool {
	return q.From.Index > 0 && q.From == mam.Cursor{Index: q.From.Index}
}

// backwards reports whether a page is the last one of those before something.
func backwards(q mam.Query) bool { return q.From.Before != "" || q.From.Last }

// walked is where one has come from one end of a span.
type walked struct {
	n    int64
	span      // first and last of those that match
	more bool // there are more of them, beyond
}

// add adds one that matches, if there are fewer than limit, and reports that.
func (w *walked) add(key, limit int64) bool {
	if w.n == limit {
		w.more = true
		return false
	}
	if w.n++; w.n == 1 {
		w.span = span{key, key}
	}
	w.first, w.last = min(w.first, key), max(w.last, key)
	return true
}

// look looks for those that match in a span, from one end of it.
func (v *view) look(in span, backwards bool, limit int64) (w walked, err error) {
	if in.empty() {
		return w, nil
	}
	var key int64
	err = v.each(v.ctx, lookSQL(v.filter, backwards), append(v.filter.args(in), more(limit)), []any{&key}, func() error {
		w.add(key, limit)
		return nil
	})
	return w, err
}

// more returns a limit that shows whether there are more.
func more(limit int64) int64 { return min(limit, all-1) + 1 }

// The plus keeps SQLite from compiling the statement a second time, for the value
// that it has this time.
func lookSQL(f filter, backwards bool) string {
	return "SELECT m.key " + f.from("", backwards) + " LIMIT +?"
}

func walkSQL(f filter) string {
	return "SELECT count(*), coalesce(max(key), 0) FROM (" + lookSQL(f, false) + ")"
}

// all is the limit of a walk through all that match.
const all = 1<<63 - 1

// maxStep is how many are counted before a context is looked at.
const maxStep = 1 << 16

// walk counts those that match in a span, from its beginning, until there are
// enough. It returns the last of them too.
func (v *view) walk(in span, limit int64) (w walked, err error) {
	query := walkSQL(v.filter)
	w.last = in.first - 1
	for w.n < limit && w.last < in.last {
		if err := v.ctx.Err(); err != nil {
			return w, err
		}
		var n, last int64
		step := min(limit-w.n, maxStep)
		if _, err := v.row(query, append(v.filter.args(span{w.last + 1, in.last}), step), &n, &last); err != nil {
			return w, err
		}
		w.n, w.last = w.n+n, max(w.last, last)
		if n < step {
			break
		}
	}
	return w, nil
}

// A message has the addresses of its contacts beside it.
const (
	rowSQL = "SELECT m.key, m.uid, m.stamp, w.jid, m.resource, c.jid, m.stanza, m.groupchat, m.unread, "
	joins  = " CROSS JOIN contact w ON w.id = m.contact CROSS JOIN contact c ON c.id = m.conversation"
)

var (
	endSQL  = rowSQL + "NULL " + filter{}.from(joins, false)
	itemSQL = rowSQL + "m.xml " + filter{}.from(joins, false)
)

func sendSQL(f filter, backwards bool) string {
	return rowSQL + "m.xml " + f.from(joins, backwards) + " LIMIT +?"
}

// sendList yields items by their keys.
func (v *view) sendList(keys []int64, flip bool, yield func(mam.Item) error) error {
	if flip {
		slices.Reverse(keys)
	}
	for _, key := range keys {
		if err := v.items(v.ctx, itemSQL, []any{key, key}, yield); err != nil {
			return err
		}
	}
	return nil
}

// send yields items that match in a span, from one end of it.
func (v *view) send(of span, backwards bool, limit int64, yield func(mam.Item) error) (w walked, err error) {
	if of.empty() {
		return w, nil
	}
	key := func(p int64) int64 { return of.first&^maxPosition | p }
	err = v.items(v.ctx, sendSQL(v.filter, backwards), append(v.filter.args(of), more(limit)), func(i mam.Item) error {
		if !w.add(key(i.Position), limit) {
			return nil
		}
		return yield(i)
	})
	return w, err
}

// items yields the items that a statement reads.
func (c *conn) items(ctx context.Context, query string, args []any, yield func(mam.Item) error) error {
	var (
		key, stamp         int64
		uid, xml           sql.RawBytes
		with, resource, of string
		i                  mam.Item
		stanza             string
		groupchat, unread  bool
		dest               = []any{&key, &uid, &stamp, &with, &resource, &of, &stanza, &groupchat, &unread, &xml}
	)
	return c.each(ctx, query, args, dest, func() (err error) {
		i = mam.Item{Position: position(key), ID: hex.EncodeToString(uid), Message: mam.Message{
			Stamp: time.UnixMicro(stamp).UTC(), XML: xml, StanzaID: stanza, GroupChat: groupchat, Unread: unread,
		}}
		if i.With, err = address(with, resource); err != nil {
			return err
		}
		if i.Conversation, err = address(of, ""); err != nil {
			return err
		}
		return yield(i)
	})
}
