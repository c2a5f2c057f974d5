// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamsqlite

import (
	"context"
	"encoding/hex"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

// Read notes that a conversation was read up to the item with an id.
func (a *Archive) Read(ctx context.Context, archive, conversation jid.JID, id string) (bool, error) {
	uid, err := hex.DecodeString(id)
	if err != nil || hex.EncodeToString(uid) != id {
		return false, mam.ErrNotFound
	}
	return a.markRead(ctx, archive, conversation, byIDSQL, uid)
}

// ReadStanza is Read for the newest item of the conversation with a stanza id.
// No item has the empty one.
func (a *Archive) ReadStanza(ctx context.Context, archive, conversation jid.JID, stanzaID string) (bool, error) {
	if stanzaID == "" {
		return false, mam.ErrNotFound
	}
	return a.markRead(ctx, archive, conversation, byStanzaSQL, stanzaID)
}

const (
	byIDSQL     = "SELECT key FROM message INDEXED BY message_uid WHERE conversation = ? AND uid = ?"
	byStanzaSQL = "SELECT key FROM message INDEXED BY message_stanza WHERE conversation = ? AND stanza = ? ORDER BY key DESC LIMIT 1"
	betweenSQL  = "SELECT count(*) FROM message INDEXED BY message_unread WHERE conversation = ? AND unread = 1 AND key BETWEEN ? AND ?"
)

// markRead notes that a conversation was read up to the message that a statement
// finds.
func (a *Archive) markRead(ctx context.Context, archive, conversation jid.JID, query string, id any) (news bool, err error) {
	var absent bool
	err = a.write(ctx, func(t *tx) (err error) {
		news, absent = false, true
		if err := t.flush(); err != nil {
			return err
		}
		p, ok, err := t.place(nameOf(archive))
		if err != nil || !ok {
			return err
		}
		c, err := t.contact(p.id, conversation.String())
		if err != nil || c == 0 {
			return err
		}
		var key, read, n int64
		if ok, err = t.row(query, []any{c, id}, &key); err != nil || !ok {
			return err
		}
		absent = false
		if _, err := t.row(readSQL, []any{c}, &read); err != nil || key <= read {
			return err
		}
		news = true
		if _, err := t.row(betweenSQL, []any{c, read + 1, key}, &n); err != nil {
			return err
		}
		return t.exec("UPDATE contact SET read_key = ?, unread = unread - ? WHERE id = ?", key, n, c)
	})
	if err == nil && absent {
		err = mam.ErrNotFound
	}
	return news && err == nil, wrap("read", err)
}

const unreadSQL = "SELECT c.jid, c.unread, c.newest, m.uid FROM contact c INDEXED BY contact_unread LEFT JOIN message m ON m.key = c.read_key " +
	"WHERE c.archive = ? AND c.unread > 0 ORDER BY c.newest DESC LIMIT +?"

// Unread returns the conversations that have unread messages.
func (a *Archive) Unread(ctx context.Context, archive jid.JID, limit int) ([]mam.Unread, error) {
	var list []mam.Unread
	err := a.read(ctx, func(c *conn) error {
		p, ok, err := c.place(nameOf(archive))
		if err != nil || !ok {
			return err
		}
		var (
			name   string
			newest int64
			uid    []byte
			u      mam.Unread
		)
		return c.each(ctx, unreadSQL, []any{p.id, max(limit, 0)}, []any{&name, &u.Count, &newest, &uid}, func() (err error) {
			u.Conversation, err = address(name, "")
			u.ReadID, u.Last = hex.EncodeToString(uid), position(newest)
			list = append(list, u)
			return err
		})
	})
	if err != nil {
		return nil, wrap("unread", err)
	}
	return list, nil
}
