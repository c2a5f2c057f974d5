// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mampg

import (
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/xmppext/xmppext/mam"
)

// page yields the items of a page, and returns what is known of it.
func (v *view) page(q mam.Query) (mam.Page, error) {
	limit := max(int64(q.Max), 0)
	switch {
	case v.named:
		start, _ := slices.BinarySearch(v.list, v.within.first)
		end, _ := slices.BinarySearch(v.list, v.within.last+1)
		page, first, last := cut(q, limit, int64(len(v.list)), int64(start), int64(max(start, end)))
		return page, v.sendList(v.list[first:last], q.Flip)
	case v.filter.isZero():
		n := v.among.len()
		start := min(max(v.within.first-v.among.first, 0), n)
		page, first, last := cut(q, limit, n, start, start+v.within.len())
		if first == last {
			return page, nil
		}
		_, err := v.send(span{v.among.first + first, v.among.first + last - 1}, q.Flip, last-first)
		return page, err
	}
	return v.search(q, limit)
}

// isZero reports whether all in a span match.
func (f filter) isZero() bool { return f.contact == 0 && !f.timed && !f.direct }

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
func (v *view) search(q mam.Query, limit int64) (mam.Page, error) {
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
		of, err = v.send(within, q.Flip, limit)
	} else if of, err = v.look(within, !q.Flip, limit); err == nil && of.n > 0 {
		_, err = v.send(of.span, q.Flip, of.n)
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
func (w *walked) add(position, limit int64) bool {
	if w.n == limit {
		w.more = true
		return false
	}
	if w.n++; w.n == 1 {
		w.span = span{position, position}
	}
	w.first, w.last = min(w.first, position), max(w.last, position)
	return true
}

// all is the limit of a walk through all that match.
const all = 1<<63 - 1

// more returns a limit that shows whether there are more.
func more(limit int64) int64 { return min(limit, all-1) + 1 }

// look looks for those that match in a span, from one end of it.
func (v *view) look(in span, backwards bool, limit int64) (w walked, err error) {
	if in.empty() {
		return w, nil
	}
	sql, args := v.selecting("m.position", in, backwards, more(limit))
	err = v.run(v.ctx, do(sql, args...).row(func(r pgx.Rows) error {
		var position int64
		err := r.Scan(&position)
		w.add(position, limit)
		return err
	}))
	return w, err
}

// walk counts those that match in a span, from its beginning, until there are
// enough. It returns the last of them too.
func (v *view) walk(in span, limit int64) (w walked, err error) {
	if w.last = in.first - 1; in.empty() {
		return w, nil
	}
	sql, args := v.selecting("m.position", in, false, limit)
	err = v.run(v.ctx, do("SELECT count(*), coalesce(max(position), $1) FROM ("+sql+") s", args...).scan(&w.n, &w.last))
	if w.n == 0 {
		w.last = in.first - 1
	}
	return w, err
}

// selecting returns a statement that reads those that match in a span, in one direction
// or the other. Each condition is one of the index that has the order: a message's
// contact says what its archive is.
func (v *view) selecting(columns string, in span, backwards bool, limit int64) (string, []any) {
	var sql strings.Builder
	var args []any
	arg := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	sql.WriteString("SELECT " + columns + " FROM ~.message m WHERE ")
	order := "m.archive, m.position"
	f := v.filter
	switch {
	case f.resource != "":
		order = "m.contact, m.resource, m.position"
		sql.WriteString("m.contact = " + arg(f.contact) + " AND m.resource = " + arg(f.resource) + " AND m.resource <> ''")
	case f.contact != 0:
		order = "m.contact, m.position"
		sql.WriteString("m.contact = " + arg(f.contact))
	default:
		sql.WriteString("m.archive = " + arg(v.archive))
	}
	sql.WriteString(" AND m.position BETWEEN " + arg(in.first) + " AND " + arg(in.last))
	if f.timed {
		sql.WriteString(" AND m.stamp BETWEEN " + arg(f.start) + " AND " + arg(f.end))
	}
	if f.direct {
		sql.WriteString(" AND NOT m.groupchat")
	}
	if backwards {
		order = strings.ReplaceAll(order, ",", " DESC,") + " DESC"
	}
	sql.WriteString(" ORDER BY " + order + " LIMIT " + arg(limit))
	return sql.String(), args
}

const listSQL = itemSQL + " FROM ~.message m WHERE m.archive = $1 AND m.position = $2"

// sendList yields items by their positions.
func (v *view) sendList(positions []int64, flip bool) error {
	if flip {
		slices.Reverse(positions)
	}
	for some := range slices.Chunk(positions, maxStep) {
		steps := make([]step, len(some))
		for n, position := range some {
			steps[n] = do(listSQL, v.archive, position).row(v.out.read)
		}
		if err := v.run(v.ctx, steps...); err != nil {
			return err
		}
	}
	return nil
}

// maxStep is how many items are read at a time. If yield ends a query, what is left
// of them is read past.
const maxStep = 256

// send yields items that match in a span, from one end of it.
func (v *view) send(of span, backwards bool, limit int64) (w walked, err error) {
	for !of.empty() && !w.more {
		step, got := min(more(limit)-w.n, maxStep), int64(0)
		sql, args := v.selecting(itemSQL[len("SELECT "):], of, backwards, step)
		err = v.run(v.ctx, do(sql, args...).row(func(r pgx.Rows) error {
			i, err := v.out.row.scan(r)
			if err != nil {
				return err
			}
			if got++; backwards {
				of.last = i.Position - 1
			} else {
				of.first = i.Position + 1
			}
			if w.add(i.Position, limit) {
				return v.out.add(i)
			}
			return nil
		}))
		if err != nil || got < step {
			return w, err
		}
	}
	return w, nil
}
