// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamsqlite_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/mam/mamsqlite"
)

// TestPlans checks that no statement reads what it does not return: none scans a
// table or a whole index, and none sorts.
func TestPlans(t *testing.T) {
	path := filepath.Join(t.TempDir(), "archive.db")
	open(t, path)
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer db.Close()

	plan := func(t *testing.T, statement string) string {
		t.Helper()
		args := make([]any, strings.Count(statement, "?"))
		rows, err := db.Query("EXPLAIN QUERY PLAN "+statement, args...)
		require.NoError(t, err, statement)
		defer rows.Close()
		var lines []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			require.NoError(t, rows.Scan(&id, &parent, &unused, &detail))
			lines = append(lines, detail)
		}
		require.NoError(t, rows.Err())
		return strings.Join(lines, "\n")
	}
	costly := func(plan string) bool {
		for line := range strings.Lines(plan) {
			// What a subquery returns is walked through once, however it was found.
			if strings.HasPrefix(line, "SCAN") && !strings.HasPrefix(line, "SCAN (subquery") && !strings.HasPrefix(line, "SCAN CONSTANT ROW") ||
				strings.Contains(line, "TEMP B-TREE") {
				return true
			}
		}
		return false
	}

	statements := mamsqlite.Statements()
	require.Len(t, statements, 19+3*4*5)
	for name, statement := range statements {
		t.Run(name, func(t *testing.T) {
			p := plan(t, statement)
			assert.False(t, costly(p), "%s\n%s", statement, p)
			if name == "bare walk" || name == "full walk" || name == "bare look" || name == "full look backwards" {
				assert.Contains(t, p, "COVERING INDEX", "messages themselves are not read to be counted")
			}
			t.Log(p)
		})
	}
	t.Run("the check can fail", func(t *testing.T) {
		for _, statement := range []string{
			"SELECT key FROM message",
			"SELECT xml FROM message WHERE stamp > ?",
			"SELECT key FROM message WHERE uid > ? ORDER BY stamp",
			"SELECT count(*) FROM message",
		} {
			assert.True(t, costly(plan(t, statement)), statement)
		}
	})
}
