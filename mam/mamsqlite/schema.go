// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamsqlite

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"modernc.org/sqlite"
)

//go:embed schema.sql
var schema string

// migrations take a file from each version to the next; a new file has version 0.
// A released one never changes.
var migrations = []string{schema}

// application marks a file as one of ours: "XMAM".
const application = 0x584d414d

// Result codes of SQLite. The package that has them for names is a hundred times
// larger than this one.
const (
	codeBusy = 5 // SQLITE_BUSY
)

// hasCode reports whether an error is one of SQLite with a code, extended or not.
func hasCode(err error, code int) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == code
}

// setUp makes a file ready for use, whatever it is.
func setUp(ctx context.Context, db *sql.DB, journal string, patience time.Duration) error {
	sc, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer sc.Close()
	c := &conn{sc}

	// Two processes that meet here are not made to wait by SQLite.
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		var mode string
		_, err = c.row("PRAGMA journal_mode = "+journal, nil, &mode)
		if err == nil && mode != journal {
			return fmt.Errorf("this file cannot have a journal of mode %s, but %s", journal, mode)
		}
		if !hasCode(err, codeBusy) || time.Now().After(deadline) || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return err
	}
	version, err := c.version()
	if err != nil || version == len(migrations) {
		return err
	}
	if err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := c.migrate(); err != nil {
		return errors.Join(err, c.exec("ROLLBACK"))
	}
	return c.exec("COMMIT")
}

// migrate runs the migrations that a file has not seen.
func (c *conn) migrate() error {
	// Another process may have been faster.
	version, err := c.version()
	if err != nil {
		return err
	}
	for ; version < len(migrations); version++ {
		if err := c.exec(migrations[version]); err != nil {
			return fmt.Errorf("migration from version %d: %w", version, err)
		}
	}
	if err := c.exec(fmt.Sprintf("PRAGMA application_id = %d", application)); err != nil {
		return err
	}
	return c.exec(fmt.Sprintf("PRAGMA user_version = %d", len(migrations)))
}

// version returns the version of a file, if it is one of ours or empty.
func (c *conn) version() (int, error) {
	var version, app, tables int
	if _, err := c.row("SELECT user_version, application_id, (SELECT count(*) FROM sqlite_schema) FROM pragma_user_version, pragma_application_id", nil, &version, &app, &tables); err != nil {
		return 0, err
	}
	switch {
	case app != application && (app != 0 || version != 0 || tables != 0):
		return 0, errors.New("this file is another program's database")
	case version > len(migrations):
		return 0, fmt.Errorf("this file has schema version %d, and this program knows no later one than %d", version, len(migrations))
	}
	return version, nil
}
