// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamsqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"mellium.im/xmpp/jid"
)

// A conn is a connection that somebody has for themselves.
//
// Contexts stay outside of it: the driver interrupts a connection whose context
// ends, and gives it up, with the archive if it is in memory.
type conn struct{ *sql.Conn }

func (c *conn) exec(query string, args ...any) error {
	_, err := c.ExecContext(context.Background(), query, args...)
	return err
}

// row reads one row, and reports whether there was one.
func (c *conn) row(query string, args []any, dest ...any) (bool, error) {
	err := c.QueryRowContext(context.Background(), query, args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// each calls f for each row, after it was read into dest.
func (c *conn) each(ctx context.Context, query string, args, dest []any, f func() error) error {
	rows, err := c.QueryContext(context.Background(), query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		if err := f(); err != nil {
			return err
		}
	}
	return rows.Err()
}

// read runs f in a transaction that sees the archive at one instant.
func (a *Archive) read(ctx context.Context, f func(*conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	sc, err := a.readers.Conn(ctx)
	if err != nil {
		select {
		case <-a.closing:
			return ErrClosed
		default:
			return err
		}
	}
	defer sc.Close()
	c := &conn{sc}
	if err := c.exec("BEGIN"); err != nil {
		return err
	}
	defer c.rollback()
	return f(c)
}

// rollback ends a transaction. A connection that stays in one is given up.
func (c *conn) rollback() {
	if err := c.exec("ROLLBACK"); err != nil {
		_ = c.Raw(func(any) error { return driver.ErrBadConn })
	}
}

// A place is what the table says of an archive.
type place struct {
	id, first, last, high, tip, groupchats int64
}

const (
	placeSQL   = "SELECT id, first, last, high, tip, groupchats FROM archive WHERE jid = ?"
	contactSQL = "SELECT id FROM contact WHERE archive = ? AND jid = ?"
	readSQL    = "SELECT read_key FROM contact WHERE id = ?"
)

func (c *conn) place(archive string) (p place, ok bool, err error) {
	ok, err = c.row(placeSQL, []any{archive}, &p.id, &p.first, &p.last, &p.high, &p.tip, &p.groupchats)
	return p, ok, err
}

// contact returns the id of an address, or 0.
func (c *conn) contact(archive int64, address string) (id int64, err error) {
	_, err = c.row(contactSQL, []any{archive, address}, &id)
	return id, err
}

// Keys have the archive in front of the position.
const (
	positionBits = 36
	maxPosition  = 1<<positionBits - 1
	maxArchive   = 1<<(63-positionBits) - 1
)

func (p place) key(position int64) int64 { return p.id<<positionBits | position }

func position(key int64) int64 { return key & maxPosition }

// nameOf returns the name of an archive.
func nameOf(archive jid.JID) string { return archive.Bare().String() }

// address returns the JID that a string once was. It was normalized then.
func address(bare, resource string) (jid.JID, error) {
	if bare == "" {
		return jid.JID{}, nil
	}
	if resource != "" {
		bare += "/" + resource
	}
	j, err := jid.ParseUnsafe(bare)
	return j.JID, err
}
