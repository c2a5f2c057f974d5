// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamsqlite

import (
	"context"
	"math"
	"time"

	"mellium.im/xmpp/jid"
)

// maxPruned is how many messages are pruned before others may write.
const maxPruned = 500

// Prune removes the oldest items of an archive.
// If it fails, it returns how many it has removed nonetheless.
//
// The bytes of what was removed are overwritten where that costs no more writing,
// and the file does not become smaller: the space is used again.
func (a *Archive) Prune(ctx context.Context, archive jid.JID, before time.Time, keep int64) (int64, error) {
	r := retention{before: math.MinInt64, keep: keep}
	if !before.IsZero() {
		r.before = toMicrosecond(before).UnixMicro()
	}
	var total int64
	for {
		var n int64
		err := a.write(ctx, func(t *tx) (err error) {
			n, err = t.prune(nameOf(archive), r)
			return err
		})
		if err != nil {
			return total, wrap("prune", err)
		}
		if total += n; n < maxPruned {
			return total, nil
		}
	}
}

// retention says what is pruned.
type retention struct {
	before int64 // stamp
	keep   int64 // or negative
}

const oldestSQL = "SELECT key, stamp, contact, conversation, groupchat, unread FROM message WHERE key BETWEEN ? AND ? ORDER BY key LIMIT +?"

// prune removes some of the items, and returns how many.
func (t *tx) prune(archive string, r retention) (int64, error) {
	if err := t.flush(); err != nil {
		return 0, err
	}
	p, ok, err := t.place(archive)
	if err != nil || !ok || p.first > p.last {
		return 0, err
	}
	var (
		stamp, with, of   int64
		key, last         int64
		groupchat, unread bool
		over              bool
		behind            = map[int64][]int64{} // unread messages, by contact
		old               = p
	)
	dest := []any{&key, &stamp, &with, &of, &groupchat, &unread}
	err = t.each(context.Background(), oldestSQL, []any{p.key(p.first), p.key(p.last), maxPruned}, dest, func() error {
		left := p.last - p.first + 1
		over = over || !(stamp < r.before || r.keep >= 0 && left > r.keep)
		if over {
			return nil
		}
		p.first, last = p.first+1, key
		if groupchat {
			p.groupchats--
		}
		for _, id := range []int64{with, of} {
			if _, ok := behind[id]; !ok {
				behind[id] = nil
			}
		}
		if unread {
			behind[of] = append(behind[of], key)
		}
		return nil
	})
	if err != nil || last == 0 {
		return 0, err
	}
	if err := t.exec("DELETE FROM message WHERE key BETWEEN ? AND ?", old.key(old.first), last); err != nil {
		return 0, err
	}
	for id, keys := range behind {
		if err := t.leave(id, keys); err != nil {
			return 0, err
		}
	}
	if err := t.resort(&p); err != nil {
		return 0, err
	}
	return p.first - old.first, t.update(p)
}

// Whether a contact has messages left is looked up in the indexes that have all.
const leftSQL = `SELECT EXISTS (SELECT 1 FROM message INDEXED BY message_contact WHERE contact = ?1)
	OR EXISTS (SELECT 1 FROM message INDEXED BY message_stanza WHERE conversation = ?1)`

// leave takes unread messages off a contact, and the contact itself if there is
// nothing left of it.
func (t *tx) leave(id int64, keys []int64) error {
	var left bool
	if _, err := t.row(leftSQL, []any{id}, &left); err != nil {
		return err
	}
	if !left {
		return t.exec("DELETE FROM contact WHERE id = ?", id)
	}
	if len(keys) == 0 {
		return nil
	}
	var read int64
	if _, err := t.row(readSQL, []any{id}, &read); err != nil {
		return err
	}
	n := 0
	for _, key := range keys {
		if key > read {
			n++
		}
	}
	return t.exec("UPDATE contact SET unread = unread - ? WHERE id = ?", n, id)
}

const (
	lateSQL    = "SELECT key, stamp, sorted FROM message WHERE key BETWEEN ? AND ? ORDER BY key"
	highestSQL = "SELECT stamp FROM message INDEXED BY message_stamp WHERE archive = ? AND sorted = ? ORDER BY stamp DESC LIMIT 1"
)

// resort updates what depends on messages that are no longer there: those that
// only they had outdone.
func (t *tx) resort(p *place) error {
	if p.first > p.last {
		p.high = 0
		return nil
	}
	type late struct{ key, sorted int64 }
	var (
		free               []late
		key, stamp, sorted int64
		high               = int64(math.MinInt64)
	)
	rows, err := t.QueryContext(context.Background(), lateSQL, p.key(p.first), p.key(p.last))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(&key, &stamp, &sorted); err != nil {
			return err
		}
		if sorted&1 != 0 {
			break // it and all behind it are right
		}
		if stamp >= high {
			high = stamp
			free = append(free, late{key, sorted | 1})
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	rows.Close()
	for _, l := range free {
		if err := t.exec("UPDATE message SET sorted = ? WHERE key = ?", l.sorted, l.key); err != nil {
			return err
		}
	}
	p.high = math.MinInt64
	for _, sorted := range []int{1, 3} {
		var stamp int64
		ok, err := t.row(highestSQL, []any{p.id, sorted}, &stamp)
		if err != nil {
			return err
		}
		if ok {
			p.high = max(p.high, stamp)
		}
	}
	return nil
}
