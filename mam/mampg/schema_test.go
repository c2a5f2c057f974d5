// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mampg_test

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/mam/mampg"
)

// TestReadme checks that the schema is published as it is.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	schema, err := os.ReadFile("schema.sql")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(readme), "```sql\n")
	require.True(t, ok, "there is a block of SQL")
	block, _, ok := strings.Cut(rest, "```")
	require.True(t, ok)
	assert.Equal(t, string(schema), block)
}

func execute(t testing.TB, pool *pgxpool.Pool, statement string, args ...any) {
	t.Helper()
	_, err := pool.Exec(context.Background(), statement, args...)
	require.NoError(t, err, statement)
}

func quoted(schema string) string { return `"` + schema + `"` }

func TestNew(t *testing.T) {
	ctx := context.Background()
	refused := func(t *testing.T, pool *pgxpool.Pool, schema, text string) {
		t.Helper()
		_, err := mampg.New(ctx, pool, mampg.Schema(schema))
		require.Error(t, err)
		assert.True(t, strings.HasPrefix(err.Error(), "mampg: "), err)
		assert.Contains(t, err.Error(), text)
	}
	t.Run("tables of a later version", func(t *testing.T) {
		pool, schema := commonServer(t).newPool(t), newSchema()
		open(t, pool, schema)
		execute(t, pool, "UPDATE "+quoted(schema)+".schema_version SET version = 99")
		refused(t, pool, schema, "schema version 99")
		execute(t, pool, "UPDATE "+quoted(schema)+".schema_version SET version = 1")
		open(t, pool, schema)
	})
	t.Run("another program's tables", func(t *testing.T) {
		pool, schema := commonServer(t).newPool(t), newSchema()
		execute(t, pool, "CREATE SCHEMA "+quoted(schema)+" CREATE TABLE message (x int)")
		refused(t, pool, schema, "already exists")
		var tables int
		require.NoError(t, pool.QueryRow(ctx, "SELECT count(*) FROM pg_tables WHERE schemaname = $1", schema).Scan(&tables))
		assert.Equal(t, 1, tables, "nothing was created")
	})
	t.Run("another encoding", func(t *testing.T) {
		s := commonServer(t)
		execute(t, s.newPool(t), "CREATE DATABASE bytes ENCODING 'SQL_ASCII' TEMPLATE template0")
		pool := s.newPool(t, func(cfg *pgxpool.Config) { cfg.ConnConfig.Database = "bytes" })
		refused(t, pool, newSchema(), "SQL_ASCII")
		pool.Close()
		execute(t, s.newPool(t), "DROP DATABASE bytes")
	})
	t.Run("a name that cannot be", func(t *testing.T) {
		pool := commonServer(t).newPool(t)
		refused(t, pool, "", "63 bytes")
		refused(t, pool, strings.Repeat("x", 64), "63 bytes")
	})
	t.Run("odd names", func(t *testing.T) {
		pool := commonServer(t).newPool(t)
		for _, schema := range []string{`"; DROP SCHEMA public; --`, "a.b", "$1", "~", strings.Repeat("ä", 31), "Ärger"} {
			a := open(t, pool, schema)
			_, err := a.Append(ctx, romeo, message(1))
			require.NoError(t, err, schema)
			open(t, pool, schema)
		}
	})
	t.Run("many at once", func(t *testing.T) {
		s, schema := commonServer(t), newSchema()
		var wg sync.WaitGroup
		for range 6 {
			pool := s.newPool(t)
			wg.Go(func() {
				a, err := mampg.New(ctx, pool, mampg.Schema(schema))
				if assert.NoError(t, err) {
					_, err := a.Append(ctx, romeo, message(1))
					assert.NoError(t, err)
				}
			})
		}
		wg.Wait()
	})
	t.Run("no right to create", func(t *testing.T) {
		s, schema := commonServer(t), newSchema()
		pool := s.newPool(t)
		execute(t, pool, "DROP ROLE IF EXISTS reader")
		execute(t, pool, "CREATE ROLE reader LOGIN")
		as := s.newPool(t, func(cfg *pgxpool.Config) { cfg.ConnConfig.User = "reader" })
		refused(t, as, schema, "permission denied")
		open(t, pool, schema)
		execute(t, pool, "GRANT USAGE ON SCHEMA "+quoted(schema)+" TO reader")
		execute(t, pool, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "+quoted(schema)+" TO reader")
		_, err := open(t, as, schema).Append(ctx, romeo, message(1))
		require.NoError(t, err)
		execute(t, pool, "DROP OWNED BY reader")
		execute(t, pool, "DROP ROLE reader")
	})
	t.Run("no server", func(t *testing.T) {
		pool, err := pgxpool.New(ctx, "host="+t.TempDir()+" user=nobody dbname=none")
		require.NoError(t, err)
		defer pool.Close()
		refused(t, pool, "mam", "connect")
	})
	t.Run("a context that has ended", func(t *testing.T) {
		pool, err := pgxpool.New(ctx, "host="+t.TempDir()+" user=nobody dbname=none")
		require.NoError(t, err)
		defer pool.Close()
		early, cancel := context.WithCancel(ctx)
		cancel()
		_, err = mampg.New(early, pool)
		assert.ErrorIs(t, err, context.Canceled)
	})
}
