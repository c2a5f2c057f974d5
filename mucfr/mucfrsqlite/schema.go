// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfrsqlite

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"

	"modernc.org/sqlite"
)

//go:embed schema.sql
var schema string

const (
	// version is that of the schema. A new file has version 0.
	version = 1

	// application marks a file as one of ours: "XMFR".
	application = 0x584d4652
)

// codeBusy is SQLITE_BUSY. The package that has a name for it is a hundred times larger
// than this one.
const codeBusy = 5

// hasCode reports whether an error is one of SQLite with a code, extended or not.
func hasCode(err error, code int) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == code
}

// setUp makes a file ready for use, whatever it is.
func setUp(ctx context.Context, db *sql.DB) error {
	c, err := connect(ctx, db)
	if err != nil {
		return err
	}
	defer c.Close()
	var is int
	if err := patiently(ctx, func() error { is, err = c.version(); return err }); err != nil {
		return err
	}
	// Not before it is known whose file it is.
	if err := patiently(ctx, c.journal); err != nil || is == version {
		return err
	}
	return c.transaction(ctx, func() error {
		if is, err := c.version(); err != nil || is == version {
			return err // Another process was faster.
		}
		for _, statement := range []string{
			schema, fmt.Sprintf("PRAGMA application_id = %d", application), fmt.Sprintf("PRAGMA user_version = %d", version),
		} {
			if err := c.exec(statement); err != nil {
				return err
			}
		}
		return nil
	})
}

// journal makes the journal a write-ahead log, by which nobody who reads waits for who
// writes.
func (c *conn) journal() error {
	var mode string
	if err := c.row("PRAGMA journal_mode = wal", &mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("this file cannot have a write-ahead log, but a journal of mode %s", mode)
	}
	return nil
}

// version returns the version of a file, if it is one of ours or empty.
func (c *conn) version() (is int, err error) {
	var app, tables int
	if err := c.row("SELECT user_version, application_id, (SELECT count(*) FROM sqlite_schema) FROM pragma_user_version, pragma_application_id", &is, &app, &tables); err != nil {
		return 0, err
	}
	switch {
	case app != application && (app != 0 || is != 0 || tables != 0):
		return 0, errors.New("this file is another program's database")
	case is > version:
		return 0, fmt.Errorf("this file has schema version %d, and this program knows no later one than %d", is, version)
	}
	return is, nil
}
