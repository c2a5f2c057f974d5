// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mampg

import (
	"context"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"mellium.im/xmpp/jid"
)

// maxPruned is how many messages are pruned before others may write.
const maxPruned = 1000

// Prune removes the oldest items of an archive.
// If it fails, it returns how many it has surely removed nonetheless.
//
// VACUUM, which PostgreSQL does by itself, makes their space usable again.
func (a *Archive) Prune(ctx context.Context, archive jid.JID, before time.Time, keep int64) (int64, error) {
	r := retention{before: math.MinInt64, keep: keep}
	if !before.IsZero() {
		r.before = toMicrosecond(before).UnixMicro()
	}
	name := keyOf(nameOf(archive))
	var total int64
	for {
		var n int64
		err := a.with(ctx, func(c *conn) (err error) {
			n, err = c.prune(ctx, name[:], r)
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

const (
	oldestSQL = `SELECT m.position, m.stamp, m.contact, m.conversation, m.groupchat, m.unread FROM ~.message m
	WHERE m.archive = ` + idSQL + ` ORDER BY m.archive, m.position LIMIT $2`
	deleteSQL = "DELETE FROM ~.message WHERE archive = $1 AND position BETWEEN $2 AND $3"
	// Whether a contact has messages left is looked up in the indexes that have all.
	leaveSQL = `DELETE FROM ~.contact c WHERE c.id = ANY($1::bigint[])
	AND NOT EXISTS (SELECT 1 FROM ~.message m WHERE m.contact = c.id) AND NOT EXISTS (SELECT 1 FROM ~.message m WHERE m.conversation = c.id)`
	uncountSQL = `UPDATE ~.contact c SET unread = c.unread -
	(SELECT count(*) FROM unnest($2::bigint[], $3::bigint[]) AS u (id, position) WHERE u.id = c.id AND u.position > c.read)
	WHERE c.id = ANY($1::bigint[])`
	// What only those had outdone that are no longer there is up to the first one
	// that nothing outdoes: it and all behind it are right.
	resortSQL = `UPDATE ~.message SET sorted = sorted + 1 WHERE uid = ANY (ARRAY(
		SELECT uid FROM (
			SELECT uid, stamp, max(stamp) OVER (ORDER BY archive, position) AS high FROM ~.message
			WHERE archive = $1 AND position >= $2 AND position < coalesce(
				(SELECT position FROM ~.message WHERE archive = $1 AND position >= $2 AND sorted IN (1, 3) ORDER BY archive, position LIMIT 1), $3)
		) s WHERE stamp >= high))`
	shrinkSQL = `UPDATE ~.archive SET first = $2, groupchats = groupchats - $3, high = coalesce(greatest(
		(SELECT stamp FROM ~.message WHERE archive = $1 AND sorted = 1 ORDER BY archive DESC, sorted DESC, stamp DESC LIMIT 1),
		(SELECT stamp FROM ~.message WHERE archive = $1 AND sorted = 3 ORDER BY archive DESC, sorted DESC, stamp DESC LIMIT 1)), 0)
	WHERE id = $1`
)

// prune removes some of the items, and returns how many.
func (c *conn) prune(ctx context.Context, name []byte, r retention) (int64, error) {
	var (
		p          place
		last       int64
		groupchats int64
		over       bool
		met        = map[int64]bool{} // contacts
		of, at     []int64            // unread messages, contact and position
	)
	steps := append(beginWrite[:len(beginWrite):len(beginWrite)], lock([][]byte{name}, func(found place) { p = found }))
	err := c.run(ctx, append(steps, do(oldestSQL, name, maxPruned).row(func(rows pgx.Rows) error {
		var position, stamp, with, conversation int64
		var groupchat, unread bool
		if err := rows.Scan(&position, &stamp, &with, &conversation, &groupchat, &unread); err != nil {
			return err
		}
		over = over || !(stamp < r.before || r.keep >= 0 && p.last-position+1 > r.keep)
		if over {
			return nil
		}
		last = position
		if groupchat {
			groupchats++
		}
		met[with], met[conversation] = true, true
		if unread {
			of, at = append(of, conversation), append(at, position)
		}
		return nil
	}))...)
	if err != nil {
		return 0, err
	}
	if last == 0 {
		return 0, c.run(ctx, rollback)
	}
	contacts := slices.Sorted(maps.Keys(met))
	err = c.commit(ctx,
		do(deleteSQL, p.id, p.first, last),
		do(leaveSQL, contacts),
		do(uncountSQL, contacts, of, at),
		do(resortSQL, p.id, last+1, p.last+1),
		do(shrinkSQL, p.id, last+1, groupchats),
	)
	if err != nil {
		return 0, err
	}
	return last - p.first + 1, nil
}
