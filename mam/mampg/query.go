// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mampg

import (
	"context"
	"encoding/hex"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

// Query calls yield with each item of one page.
func (a *Archive) Query(ctx context.Context, archive jid.JID, q mam.Query, yield func(mam.Item) error) (mam.Page, error) {
	var page mam.Page
	out := &sink{ctx: ctx, yield: yield}
	err := a.query(ctx, archive, q, out, &page)
	if err == errLarge {
		// It takes a place first, and begins anew.
		select {
		case a.slow <- struct{}{}:
			defer func() { <-a.slow }()
		case <-ctx.Done():
			return mam.Page{}, wrap("query", ctx.Err())
		}
		out.large = true
		err = a.query(ctx, archive, q, out, &page)
	}
	if err == nil {
		err = out.flush() // without a connection
	}
	switch {
	case out.theirs != nil:
		return mam.Page{}, out.theirs
	case err != nil:
		return mam.Page{}, wrap("query", err)
	}
	return page, nil
}

func (a *Archive) query(ctx context.Context, archive jid.JID, q mam.Query, out *sink, page *mam.Page) error {
	return a.with(ctx, func(c *conn) (err error) {
		out.reset()
		v := view{conn: c, ctx: ctx, out: out}
		if err = v.open(archive, q); err == nil {
			*page, err = v.page(q)
		}
		if err == nil {
			err = c.run(ctx, commit)
		}
		if err != nil && out.begun {
			err = final{err}
		}
		return err
	})
}

// A span is some positions, first and last. It is empty if the first is behind the
// last.
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
	ctx     context.Context
	out     *sink
	archive int64
	among   span // what matches is there
	filter  filter
	within  span // what Cursor leaves of it

	named bool    // IDs were given:
	list  []int64 // the positions of those that match, in order
}

// The ends of what a span of time has are found in the index of those messages that
// no earlier one outdoes, or no later one.
const (
	idSQL         = "(SELECT id FROM ~.archive WHERE digest = $1)"
	placeSQL      = "SELECT id, first, last, high, tip, groupchats FROM ~.archive WHERE digest = $1"
	contactOfSQL  = "SELECT id FROM ~.contact WHERE archive = " + idSQL + " AND digest = $2"
	findSQL       = "SELECT uid, position, stamp, contact, resource, groupchat FROM ~.message WHERE uid = ANY($2::uuid[]) AND archive = " + idSQL
	startOfSQL    = "(SELECT position FROM ~.message WHERE archive = " + idSQL + " AND sorted = %d AND stamp >= $2 ORDER BY archive, sorted, stamp, position LIMIT 1)"
	endOfSQL      = "(SELECT position FROM ~.message WHERE archive = " + idSQL + " AND sorted = %d AND stamp <= $2 ORDER BY archive DESC, sorted DESC, stamp DESC, position DESC LIMIT 1)"
	isUnsortedSQL = "SELECT EXISTS (SELECT 1 FROM ~.message WHERE archive = $1 AND sorted <> 3 AND position BETWEEN $2 AND $3)"
)

var (
	startSQL = "SELECT min(position) FROM (" + sorted(startOfSQL, 1) + " UNION ALL " + sorted(startOfSQL, 3) + ") s"
	endSQL   = "SELECT max(position) FROM (" + sorted(endOfSQL, 2) + " UNION ALL " + sorted(endOfSQL, 3) + ") s"
)

// found is what a filter needs to know of a message.
type found struct {
	position, stamp, contact int64
	resource                 string
	groupchat                bool
}

// open begins a transaction and finds what a query names.
func (v *view) open(archive jid.JID, q mam.Query) error {
	var (
		p         = place{first: 1}
		contact   int64
		since     = pgtype.Int8{Int64: 1, Valid: true}
		until     = pgtype.Int8{Int64: math.MaxInt64, Valid: true}
		name      = keyOf(nameOf(archive))
		items     map[pgtype.UUID]found
		ids, fail = idsOf(q)
	)
	steps := append(beginRead[:len(beginRead):len(beginRead)],
		do(placeSQL, name[:]).scan(&p.id, &p.first, &p.last, &p.high, &p.tip, &p.groupchats))
	if len(ids) > 0 {
		items = make(map[pgtype.UUID]found, len(ids))
		steps = append(steps, do(findSQL, name[:], ids).row(func(r pgx.Rows) error {
			var id pgtype.UUID
			var f found
			err := r.Scan(&id, &f.position, &f.stamp, &f.contact, &f.resource, &f.groupchat)
			items[id] = f
			return err
		}))
	}
	if !q.With.Equal(jid.JID{}) {
		who := keyOf(q.With.Bare().String())
		steps = append(steps, do(contactOfSQL, name[:], who[:]).scan(&contact))
	}
	v.filter = filter{timed: !q.Start.IsZero() || !q.End.IsZero(), start: math.MinInt64, end: math.MaxInt64}
	if !q.Start.IsZero() {
		v.filter.start = toMicrosecond(q.Start).UnixMicro()
		steps = append(steps, do(startSQL, name[:], v.filter.start).scan(&since))
	}
	if !q.End.IsZero() {
		v.filter.end = toMicrosecond(q.End).UnixMicro()
		steps = append(steps, do(endSQL, name[:], v.filter.end).scan(&until))
	}
	if err := v.run(v.ctx, steps...); err != nil {
		return err
	}
	if fail || len(items) < len(ids) {
		return mam.ErrNotFound
	}
	v.archive = p.id
	v.among = nothing
	if !p.empty() {
		v.among = span{p.first, p.last}
	}
	v.bound(q, items)
	if v.filter.timed {
		if !since.Valid || !until.Valid {
			v.among = nothing
		}
		v.among = v.among.and(span{since.Int64, until.Int64})
	}
	if err := v.narrow(p, q, contact); err != nil {
		return err
	}
	v.within = v.within.and(v.among)
	if v.named = len(q.IDs) > 0; v.named {
		for _, id := range q.IDs {
			if i := items[uidOf(id)]; v.among.first <= i.position && i.position <= v.among.last && v.filter.matches(i) {
				v.list = append(v.list, i.position)
			}
		}
		slices.Sort(v.list)
		v.list = slices.Compact(v.list)
	}
	return nil
}

// bound sets what the ids of a query leave.
func (v *view) bound(q mam.Query, items map[pgtype.UUID]found) {
	v.within = v.among
	if q.AfterID != "" {
		v.among.first = max(v.among.first, items[uidOf(q.AfterID)].position+1)
	}
	if q.BeforeID != "" {
		v.among.last = min(v.among.last, items[uidOf(q.BeforeID)].position-1)
	}
	if q.From.After != "" {
		v.within.first = items[uidOf(q.From.After)].position + 1
	}
	if q.From.Before != "" {
		v.within.last = items[uidOf(q.From.Before)].position - 1
	}
}

// narrow sets the filter, or where the archive knows better, the span.
func (v *view) narrow(p place, q mam.Query, contact int64) error {
	if !q.With.Equal(jid.JID{}) {
		if contact == 0 {
			v.among = nothing
		}
		v.filter.contact, v.filter.resource = contact, q.With.Resourcepart()
	}
	if q.WithoutGroupChat {
		switch p.groupchats {
		case 0:
		case p.last - p.first + 1:
			v.among = nothing
		default:
			v.filter.direct = true
		}
	}
	if !v.filter.timed || v.among.empty() {
		return nil
	}
	// All in between match if they are in order.
	return v.run(v.ctx, do(isUnsortedSQL, v.archive, v.among.first, v.among.last).scan(&v.filter.timed))
}

// idsOf returns the ids that a query names, each once, and reports whether one of them
// cannot be any.
func idsOf(q mam.Query) (ids []pgtype.UUID, fail bool) {
	seen := make(map[pgtype.UUID]bool)
	for _, id := range slices.Concat([]string{q.AfterID, q.BeforeID, q.From.After, q.From.Before}, q.IDs) {
		if id == "" {
			continue
		}
		uid := uidOf(id)
		fail = fail || !uid.Valid
		if !seen[uid] {
			seen[uid] = true
			ids = append(ids, uid)
		}
	}
	for _, id := range q.IDs {
		fail = fail || id == ""
	}
	return ids, fail
}

// uidOf returns what an id stands for. It is not valid if it is none of ours.
func uidOf(id string) (uid pgtype.UUID) {
	b, err := hex.DecodeString(id)
	if err != nil || len(b) != len(uid.Bytes) || hex.EncodeToString(b) != id {
		return pgtype.UUID{}
	}
	return pgtype.UUID{Bytes: [16]byte(b), Valid: true}
}

func (f filter) matches(m found) bool {
	return (f.contact == 0 || f.contact == m.contact) &&
		(f.resource == "" || f.resource == m.resource) &&
		(!f.timed || f.start <= m.stamp && m.stamp <= f.end) &&
		(!f.direct || !m.groupchat)
}

const endsSQL = rowSQL + "NULL::bytea FROM ~.archive a JOIN ~.message m ON m.archive = a.id AND m.position = a.first WHERE a.digest = $1 UNION ALL " +
	rowSQL + "NULL::bytea FROM ~.archive a JOIN ~.message m ON m.archive = a.id AND m.position = a.last WHERE a.digest = $1"

// Ends returns the first and the last item of an archive, without their XML.
func (a *Archive) Ends(ctx context.Context, archive jid.JID) (first, last mam.Item, err error) {
	name := keyOf(nameOf(archive))
	err = a.with(ctx, func(c *conn) error {
		first, last = mam.Item{}, mam.Item{}
		return c.read(ctx, do(endsSQL, name[:]).row(func(r pgx.Rows) error {
			i, err := new(row).scan(r)
			if first.ID == "" || i.Position < first.Position {
				first = i
			}
			if i.Position > last.Position {
				last = i
			}
			return err
		}))
	})
	if err != nil {
		return mam.Item{}, mam.Item{}, wrap("ends", err)
	}
	return first, last, nil
}

// read runs a step in a transaction of its own.
func (c *conn) read(ctx context.Context, s step) error {
	return c.run(ctx, append(beginRead[:len(beginRead):len(beginRead)], s, commit)...)
}
