// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mampg

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

//go:embed schema.sql
var schema string

// migrations take the tables from each version to the next; an empty schema has
// version 0. A released one never changes.
var migrations = []string{schema}

// setUp makes a schema ready for use, whatever is in it.
func (a *Archive) setUp(ctx context.Context, name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("the name of a schema has between 1 and %d bytes", maxName)
	}
	conn, err := a.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()

	var encoding string
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_encoding')").Scan(&encoding); err != nil {
		return err
	}
	if encoding != "UTF8" {
		return fmt.Errorf("the encoding of this database is %s, not UTF8", encoding)
	}
	version, err := a.version(ctx, conn.Conn(), name)
	if err != nil || version == len(migrations) {
		return err
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	if err := a.migrate(ctx, tx, name); err != nil {
		_ = tx.Rollback(context.WithoutCancel(ctx)) // else the connection is closed, which does the same
		return err
	}
	return tx.Commit(ctx)
}

// maxName is the length of a name in PostgreSQL, which cuts off what is beyond.
const maxName = 63

type rowQuerier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// existsTableSQL reads the catalogue itself: functions that look for names remember
// for a while that there was none.
const existsTableSQL = "SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = 'schema_version')"

// version returns the version of the tables, or 0 if there are none.
func (a *Archive) version(ctx context.Context, q rowQuerier, name string) (version int, err error) {
	var exists bool
	err = q.QueryRow(ctx, existsTableSQL, name).Scan(&exists)
	if err != nil || !exists {
		return 0, err
	}
	err = q.QueryRow(ctx, a.sql("SELECT version FROM ~.schema_version")).Scan(&version)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return 0, errors.New("the table schema_version is empty")
	case err != nil:
		return 0, err
	case version > len(migrations):
		return 0, fmt.Errorf("the tables have schema version %d, and this program knows no later one than %d", version, len(migrations))
	}
	return version, nil
}

// migrate runs the migrations that a schema has not seen.
func (a *Archive) migrate(ctx context.Context, tx pgx.Tx, name string) error {
	// Processes that start at once take turns.
	sum := sha256.Sum256([]byte("xmppext mampg " + name))
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(binary.BigEndian.Uint64(sum[:8]))); err != nil {
		return err
	}
	version, err := a.version(ctx, tx, name)
	if err != nil || version == len(migrations) {
		return err
	}
	var exists bool
	if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)", name).Scan(&exists); err != nil {
		return err
	}
	if !exists {
		if _, err := tx.Exec(ctx, "CREATE SCHEMA "+a.schema); err != nil {
			return err
		}
	}
	if version == 0 {
		if _, err := tx.Exec(ctx, a.sql("CREATE TABLE ~.schema_version AS SELECT 0 AS version")); err != nil {
			return err
		}
	}
	// Only until the transaction ends, so that a pooler does not mind.
	if _, err := tx.Exec(ctx, "SELECT set_config('search_path', $1, true)", a.schema); err != nil {
		return err
	}
	for ; version < len(migrations); version++ {
		// Several statements at once are for the simple protocol.
		if _, err := tx.Conn().PgConn().Exec(ctx, migrations[version]).ReadAll(); err != nil {
			return fmt.Errorf("migration from version %d: %w", version, err)
		}
	}
	_, err = tx.Exec(ctx, a.sql("UPDATE ~.schema_version SET version = $1"), version)
	return err
}
