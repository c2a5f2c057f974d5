// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mampg

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

// Append adds a message at the end of an archive.
// It is [mam.ErrTooLarge] if it has more bytes than [MaxBytes].
func (a *Archive) Append(ctx context.Context, archive jid.JID, m mam.Message) (mam.Item, error) {
	items, err := a.AppendAll(ctx, []mam.Entry{{Archive: archive, Message: m}})
	if err != nil {
		return mam.Item{}, err
	}
	return items[0], nil
}

// AppendAll appends messages, each to its archive.
// It is [mam.ErrTooLarge] if one of them has more bytes than [MaxBytes].
func (a *Archive) AppendAll(ctx context.Context, messages []mam.Entry) ([]mam.Item, error) {
	for _, e := range messages {
		if len(e.Message.XML)+len(e.Message.StanzaID) > a.maxBytes {
			return nil, mam.ErrTooLarge
		}
	}
	if len(messages) == 0 {
		return nil, wrap("append", ctx.Err())
	}
	letters := make([]letter, len(messages))
	for n, e := range messages {
		letters[n] = newLetter(e)
	}
	if err := a.append(ctx, letters); err != nil {
		return nil, wrap("append", err)
	}
	items := make([]mam.Item, len(letters))
	for n, l := range letters {
		items[n] = mam.Item{Position: l.position, ID: hex.EncodeToString(l.uid.Bytes[:]), Message: l.Message}
	}
	return items, nil
}

// A letter is a message on its way into an archive.
type letter struct {
	mam.Message
	xml      []byte // nil if it is empty
	archive  key
	name     string // of the archive
	with, of party
	uid      pgtype.UUID
	position int64 // once it is stored
}

// A party is a contact by its address, in some archive.
type party struct {
	key  key
	name string
}

func newLetter(e mam.Entry) letter {
	l := letter{Message: e.Message, name: nameOf(e.Archive), uid: pgtype.UUID{Valid: true}}
	if l.Conversation.Equal(jid.JID{}) {
		l.Conversation = l.With.Bare()
	}
	if l.Stamp.IsZero() {
		l.Stamp = time.Now()
	}
	l.Stamp = toMicrosecond(l.Stamp)
	if len(l.XML) > 0 {
		l.xml = l.XML
	}
	l.archive = keyOf(l.name)
	l.with = newParty(l.With.Bare())
	l.of = newParty(l.Conversation)
	_, _ = rand.Read(l.uid.Bytes[:]) // it never fails
	return l
}

func newParty(j jid.JID) party {
	name := j.String()
	return party{keyOf(name), name}
}

// stanzaKey returns what a stanza id is found by. Who makes two that have the same
// makes both slower to find, no more.
func stanzaKey(id string) int64 {
	if id == "" {
		return 0
	}
	sum := sha256.Sum256([]byte(id))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// A place is what the table says of an archive.
type place struct {
	key                                    key
	id, first, last, high, tip, groupchats int64
}

func (p *place) empty() bool { return p.first > p.last }

// Rows are locked in the order of their keys, so that nobody waits for one who waits
// for them. Rows that a subquery has found are updated by their uid: there is one index
// that they can be found by.
const (
	lockSQL    = "SELECT digest, id, first, last, high, tip, groupchats FROM ~.archive WHERE digest = ANY($1::bytea[]) ORDER BY digest FOR NO KEY UPDATE"
	foundSQL   = "INSERT INTO ~.archive (digest, jid) SELECT * FROM unnest($1::bytea[], $2::text[]) ON CONFLICT (digest) DO NOTHING"
	contactSQL = `SELECT c.archive, c.digest, c.id FROM unnest($1::bytea[], $2::bytea[]) AS k (archive, digest)
	JOIN ~.archive a ON a.digest = k.archive JOIN ~.contact c ON c.archive = a.id AND c.digest = k.digest`
	meetSQL   = "INSERT INTO ~.contact (archive, digest, jid) SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::text[]) RETURNING archive, digest, id"
	insertSQL = `INSERT INTO ~.message (archive, position, stamp, contact, conversation, stanza_key, uid, sorted, groupchat, unread, resource, stanza, xml)
	SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::uuid[], $8::smallint[], $9::boolean[], $10::boolean[], $11::text[], $12::bytea[], $13::bytea[])`
	overtakeSQL = `UPDATE ~.message SET sorted = sorted - 2 WHERE uid = ANY (ARRAY(
		SELECT uid FROM ~.message WHERE archive = $1 AND sorted = $2 AND stamp > $3 ORDER BY archive, sorted, stamp))`
	growSQL = `UPDATE ~.archive a SET last = u.last, high = u.high, tip = u.tip, groupchats = u.groupchats
	FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS u (id, last, high, tip, groupchats) WHERE a.id = u.id`
	countSQL = `UPDATE ~.contact c SET unread = c.unread + u.more, newest = u.newest
	FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS u (id, more, newest) WHERE c.id = u.id`
)

// lock locks archives, whose keys are in order.
func lock(keys [][]byte, found func(place)) step {
	return do(lockSQL, keys).row(func(r pgx.Rows) error {
		var p place
		var k []byte
		err := r.Scan(&k, &p.id, &p.first, &p.last, &p.high, &p.tip, &p.groupchats)
		copy(p.key[:], k)
		found(p)
		return err
	})
}

// store stores jobs in one transaction.
func (c *conn) store(q *queue, g *group) error {
	names := make(map[key]string)
	parties := make(map[[2]key]bool) // archive, contact
	for _, j := range g.jobs {
		for _, l := range j.letters {
			names[l.archive] = l.name
			parties[[2]key{l.archive, l.with.key}], parties[[2]key{l.archive, l.of.key}] = true, true
		}
	}
	of := make([][]byte, 0, len(parties))
	who := make([][]byte, 0, len(parties))
	for pair := range parties {
		of, who = append(of, pair[0][:]), append(who, pair[1][:])
	}
	keys := slices.SortedFunc(maps.Keys(names), func(a, b key) int { return bytes.Compare(a[:], b[:]) })
	digests := make([][]byte, len(keys))
	for n := range keys {
		digests[n] = keys[n][:]
	}

	t := &tx{conn: c, ctx: g.ctx}
	for created := false; ; created = true {
		t.places, t.contacts = make(map[key]*pending), make(map[contactKey]*contact)
		steps := append(beginWrite[:len(beginWrite):len(beginWrite)], lock(digests, func(p place) { t.places[p.key] = newPending(p) }))
		if err := c.run(g.ctx, append(steps, do(contactSQL, of, who).row(t.scanContact))...); err != nil {
			return err
		}
		if created || len(t.places) == len(keys) {
			break
		}
		// Nobody locks an archive while creating another: they could not do both in one
		// order.
		if err := c.run(g.ctx, rollback); err != nil {
			return err
		}
		var missing [][]byte
		var jids []string
		for n, k := range keys {
			if t.places[k] == nil {
				missing, jids = append(missing, digests[n]), append(jids, names[k])
			}
		}
		if err := c.run(g.ctx, do(foundSQL, missing, jids)); err != nil {
			return err
		}
	}
	q.take(g)
	if err := t.meetAll(g.jobs); err != nil {
		return err
	}
	for _, j := range g.jobs {
		for n := range j.letters {
			if err := t.add(&j.letters[n]); err != nil {
				return err
			}
		}
	}
	return t.commit()
}
