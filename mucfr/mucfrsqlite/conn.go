// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfrsqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"slices"
	"strings"
	"time"

	"github.com/xmppext/xmppext/mucfr"
)

// A conn is a connection that somebody has for themselves.
//
// Contexts stay outside of it: the driver interrupts a connection whose context ends,
// and whether that was before or after a commit cannot be told.
type conn struct{ *sql.Conn }

func (c *conn) exec(query string, args ...any) error {
	_, err := c.ExecContext(context.Background(), query, args...)
	return err
}

// row reads one row.
func (c *conn) row(query string, dest ...any) error {
	return c.QueryRowContext(context.Background(), query).Scan(dest...)
}

// patiently runs f again while another process keeps it from what it needs, until the
// context ends or that takes longer than busy.
func patiently(ctx context.Context, f func() error) error {
	for deadline := time.Now().Add(busy); ; {
		err := f()
		if !hasCode(err, codeBusy) || time.Now().After(deadline) {
			return err
		}
		// SQLite has waited in most cases, but not in all.
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// connect returns a connection to db, which is to be closed.
func connect(ctx context.Context, db *sql.DB) (*conn, error) {
	var c *sql.Conn
	err := patiently(ctx, func() (err error) {
		c, err = db.Conn(ctx)
		return err
	})
	return &conn{c}, err
}

// transaction runs f in a transaction that writes, and undoes it if there is an error.
func (c *conn) transaction(ctx context.Context, f func() error) error {
	if err := patiently(ctx, func() error { return c.exec("BEGIN IMMEDIATE") }); err != nil {
		return err
	}
	err := f()
	if err == nil {
		// This is the last moment at which it can be undone.
		err = ctx.Err()
	}
	if err == nil {
		err = c.exec("COMMIT")
	}
	if err == nil {
		return nil
	}
	if c.exec("ROLLBACK") != nil {
		// SQLite may have done so already, for instance if there is no space left. If not,
		// the connection must not be used by anybody else.
		_ = c.Raw(func(any) error { return driver.ErrBadConn })
	}
	return err
}

// load returns all entries of a room. One statement sees the room at one instant.
func (c *conn) load(ctx context.Context, room string) ([]mucfr.Entry, error) {
	rows, err := c.QueryContext(context.Background(), "SELECT key, value FROM entry WHERE room = ? ORDER BY key", room)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var entries []mucfr.Entry
	for rows.Next() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var e mucfr.Entry
		if err := rows.Scan(&e.Key, &e.Value); err != nil {
			return nil, err
		}
		if e.Value == nil {
			e.Value = []byte{} // as the driver returns it if it is empty
		}
		entries = append(entries, e)
	}
	return entries, rows.Err()
}

// save replaces and deletes entries.
func (c *conn) save(ctx context.Context, room string, entries []mucfr.Entry) error {
	put, gone := make([]any, 0, 3*len(entries)), []any(nil)
	for _, e := range entries {
		if e.Value == nil {
			gone = append(gone, e.Key)
		} else {
			put = append(put, room, e.Key, e.Value)
		}
	}
	for args := range slices.Chunk(put, 3*maxShared) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.exec("REPLACE INTO entry (room, key, value) VALUES (?, ?, ?)"+strings.Repeat(", (?, ?, ?)", len(args)/3-1), args...); err != nil {
			return err
		}
	}
	for keys := range slices.Chunk(gone, maxShared) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.exec("DELETE FROM entry WHERE room = ? AND key IN (?"+strings.Repeat(", ?", len(keys)-1)+")", append([]any{room}, keys...)...); err != nil {
			return err
		}
	}
	return nil
}

// maxShared is how many entries share a statement. The driver compiles each statement
// anew, prepared or not, but takes longer to find a parameter the more there are: with
// 16 entries it takes two thirds of the processor's time that it takes with one, and
// with 32 it is no better.
const maxShared = 16
