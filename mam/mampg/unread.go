// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mampg

import (
	"context"
	"encoding/hex"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

// Read notes that a conversation was read up to the item with an id.
func (a *Archive) Read(ctx context.Context, archive, conversation jid.JID, id string) (bool, error) {
	uid := uidOf(id)
	if !uid.Valid {
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
	return a.markRead(ctx, archive, conversation, byStanzaSQL, stanzaKey(stanzaID), []byte(stanzaID))
}

const (
	whereSQL    = "SELECT c.id, c.read, m.position FROM ~.contact c JOIN ~.message m ON m.conversation = c.id WHERE c.archive = " + idSQL + " AND c.digest = $2 AND "
	byIDSQL     = whereSQL + "m.uid = $3"
	byStanzaSQL = whereSQL + "m.stanza_key = $3 AND m.stanza = $4 ORDER BY m.position DESC LIMIT 1"
	readSQL     = `, news AS (
	UPDATE ~.contact c SET read = t.position, unread = c.unread -
		(SELECT count(*) FROM ~.message m WHERE m.conversation = t.id AND m.unread AND m.position > t.read AND m.position <= t.position)
	FROM target t WHERE c.id = t.id AND t.position > t.read RETURNING 1)
SELECT EXISTS (SELECT 1 FROM target), EXISTS (SELECT 1 FROM news)`
)

// markRead notes that a conversation was read up to the message that a statement
// finds.
func (a *Archive) markRead(ctx context.Context, archive, conversation jid.JID, query string, args ...any) (news bool, err error) {
	var there bool
	name, who := keyOf(nameOf(archive)), keyOf(conversation.String())
	args = append([]any{name[:], who[:]}, args...)
	err = a.with(ctx, func(c *conn) error {
		// What is behind the lock sees what was committed before it.
		if err := c.run(ctx, append(beginWrite[:len(beginWrite):len(beginWrite)], lock([][]byte{name[:]}, func(place) {}))...); err != nil {
			return err
		}
		return c.commit(ctx, do("WITH target AS ("+query+")"+readSQL, args...).scan(&there, &news))
	})
	if err == nil && !there {
		err = mam.ErrNotFound
	}
	return news && err == nil, wrap("read", err)
}

const unreadSQL = `SELECT c.jid, c.unread, c.newest, (SELECT m.uid FROM ~.message m WHERE m.archive = c.archive AND m.position = c.read)
	FROM ~.contact c WHERE c.archive = ` + idSQL + ` AND c.unread > 0 ORDER BY c.archive DESC, c.newest DESC LIMIT $2`

// Unread returns the conversations that have unread messages.
func (a *Archive) Unread(ctx context.Context, archive jid.JID, limit int) ([]mam.Unread, error) {
	var list []mam.Unread
	name := keyOf(nameOf(archive))
	err := a.with(ctx, func(c *conn) error {
		list = nil
		return c.read(ctx, do(unreadSQL, name[:], max(limit, 0)).row(func(r pgx.Rows) (err error) {
			var (
				jid string
				uid pgtype.UUID
				u   mam.Unread
			)
			if err := r.Scan(&jid, &u.Count, &u.Last, &uid); err != nil {
				return err
			}
			if uid.Valid {
				u.ReadID = hex.EncodeToString(uid.Bytes[:])
			}
			u.Conversation, err = address(jid, "")
			list = append(list, u)
			return err
		}))
	})
	if err != nil {
		return nil, wrap("unread", err)
	}
	return list, nil
}
