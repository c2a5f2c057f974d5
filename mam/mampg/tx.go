// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mampg

import (
	"context"
	"errors"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// A tx is a transaction that appends. What it knows of archives and contacts is
// written to them when it commits.
type tx struct {
	*conn
	ctx      context.Context
	places   map[key]*pending
	contacts map[contactKey]*contact
	rows     rows
}

// pending is an archive to which something is appended.
type pending struct {
	place
	before  place // as it was
	grown   bool
	lowest  int64 // stamp of what was appended
	leading []led // of what was appended and not yet inserted, those with sorted&2
}

type led struct {
	row   int
	stamp int64
}

func newPending(p place) *pending { return &pending{place: p, before: p, lowest: math.MaxInt64} }

type contactKey struct {
	archive int64
	key     key
}

type contact struct {
	id     int64
	more   int64 // unread ones
	newest int64
}

// scanContact reads a contact's archive, digest and id.
func (t *tx) scanContact(r pgx.Rows) error {
	var k contactKey
	var digest []byte
	c := new(contact)
	err := r.Scan(&k.archive, &digest, &c.id)
	copy(k.key[:], digest)
	t.contacts[k] = c
	return err
}

// meetAll creates the contacts that are missing.
func (t *tx) meetAll(jobs []*job) error {
	var (
		archives []int64
		digests  [][]byte
		names    []string
	)
	for _, j := range jobs {
		for n := range j.letters {
			l := &j.letters[n]
			p := t.places[l.archive]
			if p == nil {
				return errors.New("an archive was removed by somebody else")
			}
			for _, who := range []*party{&l.with, &l.of} {
				k := contactKey{p.id, who.key}
				if _, ok := t.contacts[k]; !ok {
					t.contacts[k] = nil
					archives, digests, names = append(archives, p.id), append(digests, who.key[:]), append(names, who.name)
				}
			}
		}
	}
	if len(names) == 0 {
		return nil
	}
	return t.run(t.ctx, do(meetSQL, archives, digests, names).row(t.scanContact))
}

// Statements are of a size that neither side has to keep much of.
const (
	maxRows     = 1000
	maxRowBytes = 4 << 20
)

// add adds a message at the end of its archive.
func (t *tx) add(l *letter) error {
	if t.rows.full(len(l.xml)) {
		if err := t.run(t.ctx, t.insert()...); err != nil {
			return err
		}
	}
	p := t.places[l.archive]
	with, of := t.contacts[contactKey{p.id, l.with.key}], t.contacts[contactKey{p.id, l.of.key}]
	stamp := l.Stamp.UnixMicro()
	sorted := t.sort(p, stamp)
	p.last++
	p.grown = true
	l.position = p.last
	if l.GroupChat {
		p.groupchats++
	}
	if l.Unread {
		of.more++
		of.newest = p.last
	}
	t.rows.add(l, p.id, with.id, of.id, stamp, sorted)
	return nil
}

// sort returns what the column sorted is for a message at the end of an archive,
// and updates those of others that are not yet inserted.
func (t *tx) sort(p *pending, stamp int64) (sorted int16) {
	sorted = 2
	if p.empty() || stamp >= p.high {
		sorted, p.high = 3, stamp
	}
	p.tip = stamp
	p.lowest = min(p.lowest, stamp)
	// Each message is updated once at most, whatever comes.
	for len(p.leading) > 0 {
		last := p.leading[len(p.leading)-1]
		if last.stamp <= stamp {
			break
		}
		t.rows.sorted[last.row] -= 2
		p.leading = p.leading[:len(p.leading)-1]
	}
	p.leading = append(p.leading, led{len(t.rows.sorted), stamp})
	return sorted
}

// insert returns the steps that insert what was added, which is forgotten.
func (t *tx) insert() []step {
	if len(t.rows.archive) == 0 {
		return nil
	}
	steps := t.overtake()
	for _, p := range t.places {
		p.before, p.lowest, p.leading = p.place, math.MaxInt64, nil
	}
	steps = append(steps, do(insertSQL, t.rows.args()...))
	t.rows = rows{}
	return steps
}

// overtake returns the steps that update the messages that are outdone.
func (t *tx) overtake() (steps []step) {
	for _, p := range t.places {
		// Of those that no later one outdoes, the newest is the latest.
		if p.before.empty() || p.lowest >= p.before.tip {
			continue
		}
		for _, was := range []int16{2, 3} {
			steps = append(steps, do(overtakeSQL, p.id, was, p.lowest))
		}
	}
	return steps
}

// commit writes all that is known here alone, and commits.
func (t *tx) commit() error {
	steps := t.insert()
	if len(steps) == 0 {
		return t.run(t.ctx, rollback)
	}
	var id, last, high, tip, groupchats []int64
	for _, p := range t.places {
		if !p.grown {
			continue
		}
		id, last, high, tip, groupchats = append(id, p.id), append(last, p.last), append(high, p.high), append(tip, p.tip), append(groupchats, p.groupchats)
	}
	steps = append(steps, do(growSQL, id, last, high, tip, groupchats))
	var who, more, newest []int64
	for _, c := range t.contacts {
		if c != nil && c.more > 0 {
			who, more, newest = append(who, c.id), append(more, c.more), append(newest, c.newest)
		}
	}
	if len(who) > 0 {
		steps = append(steps, do(countSQL, who, more, newest))
	}
	return t.conn.commit(t.ctx, steps...)
}

// rows are the columns of messages.
type rows struct {
	archive, position, stamp, contact, conversation, stanzaKey []int64
	uid                                                        []pgtype.UUID
	sorted                                                     []int16
	groupchat, unread                                          []bool
	resource                                                   []string
	stanza, xml                                                [][]byte
	bytes                                                      int
}

func (r *rows) full(more int) bool {
	return len(r.archive) >= maxRows || len(r.archive) > 0 && r.bytes+more > maxRowBytes
}

func (r *rows) add(l *letter, archive, with, of, stamp int64, sorted int16) {
	r.archive = append(r.archive, archive)
	r.position = append(r.position, l.position)
	r.stamp = append(r.stamp, stamp)
	r.contact = append(r.contact, with)
	r.conversation = append(r.conversation, of)
	r.stanzaKey = append(r.stanzaKey, stanzaKey(l.StanzaID))
	r.uid = append(r.uid, l.uid)
	r.sorted = append(r.sorted, sorted)
	r.groupchat = append(r.groupchat, l.GroupChat)
	r.unread = append(r.unread, l.Unread)
	r.resource = append(r.resource, l.With.Resourcepart())
	r.stanza = append(r.stanza, []byte(l.StanzaID))
	r.xml = append(r.xml, l.xml)
	r.bytes += len(l.xml) + len(l.StanzaID)
}

func (r *rows) args() []any {
	return []any{r.archive, r.position, r.stamp, r.contact, r.conversation, r.stanzaKey, r.uid, r.sorted, r.groupchat, r.unread, r.resource, r.stanza, r.xml}
}
