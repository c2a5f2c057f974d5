// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamsqlite

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

// Append adds a message at the end of an archive.
// It is [mam.ErrTooLarge] if it has more bytes than [MaxBytes].
func (a *Archive) Append(ctx context.Context, archive jid.JID, m mam.Message) (mam.Item, error) {
	items, err := a.appendAll(ctx, []mam.Entry{{Archive: archive, Message: m}})
	if err != nil {
		return mam.Item{}, wrap("append", err)
	}
	return items[0], nil
}

// AppendAll appends messages, each to its archive.
// It is [mam.ErrTooLarge] if one of them has more bytes than [MaxBytes].
func (a *Archive) AppendAll(ctx context.Context, messages []mam.Entry) ([]mam.Item, error) {
	items, err := a.appendAll(ctx, messages)
	return items, wrap("append", err)
}

func (a *Archive) appendAll(ctx context.Context, messages []mam.Entry) ([]mam.Item, error) {
	for _, e := range messages {
		if len(e.Message.XML)+len(e.Message.StanzaID) > a.maxBytes {
			return nil, mam.ErrTooLarge
		}
	}
	items := make([]mam.Item, len(messages))
	err := a.write(ctx, func(t *tx) error {
		for i, e := range messages {
			var err error
			if items[i], err = t.append(e.Archive, e.Message); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return items, nil
}

// A tx is a transaction that writes. What it knows of archives and contacts is
// written to them by flush.
type tx struct {
	*conn
	places   map[string]*place
	contacts map[contactKey]*contact
	rows     []any // of messages
}

type contactKey struct {
	archive int64
	address string
}

type contact struct {
	id     int64
	unread int64 // how many more
	newest int64
}

// idBytes is the length of an id. It is random, and long enough that no two are alike.
const idBytes = 16

// append adds a message at the end of an archive.
func (t *tx) append(archive jid.JID, m mam.Message) (mam.Item, error) {
	if m.Conversation.Equal(jid.JID{}) {
		m.Conversation = m.With.Bare()
	}
	if m.Stamp.IsZero() {
		m.Stamp = time.Now()
	}
	m.Stamp = toMicrosecond(m.Stamp)

	p, err := t.open(nameOf(archive))
	if err != nil {
		return mam.Item{}, err
	}
	if p.last == maxPosition {
		return mam.Item{}, errors.New("the archive is full")
	}
	bare := m.With.Bare().String()
	with, err := t.meet(p.id, bare)
	if err != nil {
		return mam.Item{}, err
	}
	of := with
	if name := m.Conversation.String(); name != bare {
		if of, err = t.meet(p.id, name); err != nil {
			return mam.Item{}, err
		}
	}
	sorted, err := t.sort(p, m.Stamp.UnixMicro())
	if err != nil {
		return mam.Item{}, err
	}

	p.last++
	key := p.key(p.last)
	if m.GroupChat {
		p.groupchats++
	}
	if m.Unread {
		of.unread++
		of.newest = key
	}
	uid := make([]byte, idBytes)
	_, _ = rand.Read(uid) // it never fails
	var xml []byte
	if len(m.XML) > 0 {
		xml = m.XML
	}
	t.rows = append(t.rows, key, p.id, uid, m.Stamp.UnixMicro(), with.id, m.With.Resourcepart(), of.id,
		m.StanzaID, m.GroupChat, m.Unread, sorted, xml)
	if len(t.rows) == maxRows*columns {
		err = t.insert()
	}
	return mam.Item{Position: p.last, ID: hex.EncodeToString(uid), Message: m}, err
}

// sort returns what the column sorted is for a message at the end of an archive,
// and updates those of others.
func (t *tx) sort(p *place, stamp int64) (int, error) {
	empty, tip := p.first > p.last, p.tip
	p.tip = stamp
	if empty || stamp >= p.high {
		p.high = stamp
		return 3, nil
	}
	// Of those that no later one outdoes, the newest is the latest.
	if stamp >= tip {
		return 2, nil
	}
	// Each message is updated once at most, whatever comes.
	if err := t.insert(); err != nil {
		return 0, err
	}
	for _, was := range []int{2, 3} {
		if err := t.exec(overtakeSQL, was-2, p.id, was, stamp); err != nil {
			return 0, err
		}
	}
	return 2, nil
}

const overtakeSQL = "UPDATE message INDEXED BY message_stamp SET sorted = ? WHERE archive = ? AND sorted = ? AND stamp > ?"

// open returns an archive, which is created if need be.
func (t *tx) open(archive string) (*place, error) {
	if p := t.places[archive]; p != nil {
		return p, nil
	}
	p, ok, err := t.place(archive)
	if err != nil {
		return nil, err
	}
	if !ok {
		p = place{first: 1}
		if p.id, err = t.add("INSERT INTO archive (jid) VALUES (?)", archive); err != nil {
			return nil, err
		}
		if p.id > maxArchive {
			return nil, errors.New("there are too many archives")
		}
	}
	if t.places == nil {
		t.places = make(map[string]*place)
	}
	t.places[archive] = &p
	return &p, nil
}

// meet returns a contact, who is created if need be.
func (t *tx) meet(archive int64, address string) (*contact, error) {
	k := contactKey{archive, address}
	if c := t.contacts[k]; c != nil {
		return c, nil
	}
	id, err := t.contact(archive, address)
	if err == nil && id == 0 {
		id, err = t.add("INSERT INTO contact (archive, jid) VALUES (?, ?)", archive, address)
	}
	if err != nil {
		return nil, err
	}
	c := &contact{id: id}
	if t.contacts == nil {
		t.contacts = make(map[contactKey]*contact)
	}
	t.contacts[k] = c
	return c, nil
}

// add inserts a row and returns its id.
func (t *tx) add(query string, args ...any) (int64, error) {
	r, err := t.ExecContext(context.Background(), query, args...)
	if err != nil {
		return 0, err
	}
	return r.LastInsertId()
}

// The driver compiles each statement anew, which takes longer than to insert a
// row. So rows share one.
const (
	columns = 12
	maxRows = 16
)

// insertSQL returns the statement for some rows.
func insertSQL(rows int) string {
	row := "(?" + strings.Repeat(", ?", columns-1) + ")"
	return "INSERT INTO message (key, archive, uid, stamp, contact, resource, conversation, stanza, groupchat, unread, sorted, xml) VALUES " +
		row + strings.Repeat(", "+row, rows-1)
}

var inserts = func() (list [maxRows + 1]string) {
	for n := range maxRows {
		list[n+1] = insertSQL(n + 1)
	}
	return list
}()

// insert writes the messages that were appended.
func (t *tx) insert() error {
	if len(t.rows) == 0 {
		return nil
	}
	err := t.exec(inserts[len(t.rows)/columns], t.rows...)
	clear(t.rows)
	t.rows = t.rows[:0]
	return err
}

// flush writes all that is known here alone, and forgets it.
func (t *tx) flush() error {
	if err := t.insert(); err != nil {
		return err
	}
	for _, p := range t.places {
		if err := t.update(*p); err != nil {
			return err
		}
	}
	for _, c := range t.contacts {
		if c.unread == 0 {
			continue
		}
		if err := t.exec("UPDATE contact SET unread = unread + ?, newest = ? WHERE id = ?", c.unread, c.newest, c.id); err != nil {
			return err
		}
	}
	t.places, t.contacts = nil, nil
	return nil
}

func (t *tx) update(p place) error {
	return t.exec("UPDATE archive SET first = ?, last = ?, high = ?, tip = ?, groupchats = ? WHERE id = ?",
		p.first, p.last, p.high, p.tip, p.groupchats, p.id)
}

// toMicrosecond returns a time as it is kept.
func toMicrosecond(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
