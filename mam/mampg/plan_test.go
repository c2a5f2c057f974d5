// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mampg_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

// A recorder remembers statements, with the last arguments of each.
type recorder struct {
	mu   sync.Mutex
	args map[string][]any
}

func (r *recorder) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (r *recorder) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (r *recorder) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range data.Batch.QueuedQueries {
		r.args[q.SQL] = q.Arguments
	}
	return ctx
}

func (r *recorder) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (r *recorder) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// take returns the statements that were recorded since, and how they were planned.
func (r *recorder) take() (statements map[string][]any, settings string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	statements = r.args
	r.args = map[string][]any{}
	for sql := range statements {
		if strings.Contains(sql, "enable_seqscan") {
			settings = sql
		}
		if strings.Contains(sql, "set_config") || strings.HasPrefix(sql, "BEGIN") || sql == "COMMIT" || sql == "ROLLBACK" {
			delete(statements, sql)
		}
	}
	return statements, settings
}

// A node is a part of a plan, and what it did.
type node struct {
	Type     string  `json:"Node Type"`
	Relation string  `json:"Relation Name"`
	Index    string  `json:"Index Name"`
	Rows     float64 `json:"Actual Rows"`
	Loops    float64 `json:"Actual Loops"`
	Removed  float64 `json:"Rows Removed by Filter"`
	Plans    []node  `json:"Plans"`
}

// A cost is what a plan has read.
type cost struct {
	rows    float64 // of tables
	sorted  float64
	scanned []string // tables that were read from one end to the other
}

func (n node) cost(c *cost) {
	if n.Relation != "" && n.Type != "ModifyTable" {
		c.rows += (n.Rows + n.Removed) * n.Loops
	}
	if n.Relation != "" && strings.HasPrefix(n.Type, "Seq Scan") {
		c.scanned = append(c.scanned, n.Relation)
	}
	if strings.Contains(n.Type, "Sort") || strings.Contains(n.Type, "Bitmap") {
		c.sorted = max(c.sorted, n.Rows*n.Loops)
	}
	for _, p := range n.Plans {
		p.cost(c)
	}
}

// explain runs a statement, for nothing, and returns what it reads.
func explain(t *testing.T, pool *pgxpool.Pool, mode, settings, sql string, args []any) (cost, string) {
	t.Helper()
	ctx := context.Background()
	tx, err := pool.Begin(ctx)
	require.NoError(t, err)
	defer func() {
		assert.NoError(t, tx.Rollback(ctx))
		execute(t, pool, "DEALLOCATE p")
	}()
	run := func(sql string, args ...any) {
		t.Helper()
		_, err := tx.Exec(ctx, sql, args...)
		require.NoError(t, err, sql)
	}
	if settings != "" {
		run(settings)
	}
	run("SELECT set_config('plan_cache_mode', $1, true)", mode)
	run("PREPARE p AS " + sql)
	places := make([]string, len(args))
	for n := range places {
		places[n] = fmt.Sprintf("$%d", n+1)
	}
	call := "EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE p"
	if len(args) > 0 {
		call += "(" + strings.Join(places, ", ") + ")"
	}
	var text string
	require.NoError(t, tx.QueryRow(ctx, call, append([]any{pgx.QueryExecModeSimpleProtocol}, args...)...).Scan(&text), sql)
	var plans []struct{ Plan node }
	require.NoError(t, json.Unmarshal([]byte(text), &plans))
	require.Len(t, plans, 1)
	var c cost
	plans[0].Plan.cost(&c)
	return c, text
}

const large = 50_000

// TestPlans checks that no statement reads what it does not return: none scans a
// table or a whole archive, and none sorts one, whatever the planner makes of the
// arguments, or does not know of the tables.
func TestPlans(t *testing.T) {
	ctx := context.Background()
	s, schema := commonServer(t), newSchema()
	rec := &recorder{args: map[string][]any{}}
	pool := s.newPool(t, func(cfg *pgxpool.Config) { cfg.ConnConfig.Tracer = rec })
	admin := s.newPool(t, func(cfg *pgxpool.Config) {
		cfg.MaxConns, cfg.ConnConfig.DefaultQueryExecMode = 1, pgx.QueryExecModeSimpleProtocol
	})
	a := open(t, pool, schema)
	for _, table := range []string{"archive", "contact", "message"} {
		execute(t, admin, "ALTER TABLE "+quoted(schema)+"."+table+" SET (autovacuum_enabled = off)")
	}

	// One archive is large, others are not. One contact is in most of it.
	fill := func(archive jid.JID, n int) {
		for first := 0; first < n; first += 1000 {
			var entries []mam.Entry
			for k := first; k < min(first+1000, n); k++ {
				m := message(k)
				m.StanzaID = fmt.Sprint(k)
				m.GroupChat, m.Unread = k%10 == 0, k%2 == 0
				if k%100 == 0 {
					m.With = jid.MustParse(fmt.Sprintf("friend%d@capulet.example/phone", k/100%20))
				}
				if k%1000 == 999 {
					m.Stamp = m.Stamp.Add(-time.Minute) // out of order
				}
				entries = append(entries, mam.Entry{Archive: archive, Message: m})
			}
			_, err := a.AppendAll(ctx, entries)
			require.NoError(t, err)
		}
	}
	for n := range 20 {
		fill(jid.MustParse(fmt.Sprintf("small%d@montague.example", n)), 50)
	}
	execute(t, admin, "ANALYZE "+quoted(schema)+".archive, "+quoted(schema)+".contact, "+quoted(schema)+".message")
	fill(romeo, large)
	middle, _ := get(t, a, romeo, mam.Query{Max: 1, From: mam.Cursor{Index: large / 2}})
	require.Len(t, middle, 1)
	id := middle[0].ID
	friend := jid.MustParse("friend7@capulet.example/phone")
	rec.take()

	queries := map[string]mam.Query{}
	for with, j := range map[string]jid.JID{"any": {}, "bare": juliet.Bare(), "full": juliet, "few": friend.Bare(), "few full": friend} {
		for cursor, from := range map[string]mam.Cursor{"first": {}, "last": {Last: true}, "after": {After: id}, "before": {Before: id}} {
			for _, timed := range []bool{false, true} {
				for _, direct := range []bool{false, true} {
					q := mam.Query{With: j, From: from, WithoutGroupChat: direct, Max: 50}
					name := with + ", " + cursor
					if timed {
						q.Start, q.End = middle[0].Stamp.Add(-time.Hour), middle[0].Stamp.Add(time.Hour)
						name += ", timed"
					}
					if direct {
						name += ", direct"
					}
					queries[name] = q
					q.Flip = true
					queries[name+", flipped"] = q
				}
			}
		}
	}
	queries["ids"] = mam.Query{IDs: []string{id, id}, AfterID: "", Max: 50}
	queries["between"] = mam.Query{AfterID: id, BeforeID: id, Max: 50}
	queries["counted"] = mam.Query{With: friend, Count: true, Max: 50, From: mam.Cursor{After: id}}
	calls := map[string]func() error{
		"ends":   func() error { _, _, err := a.Ends(ctx, romeo); return err },
		"unread": func() error { _, err := a.Unread(ctx, romeo, 100); return err },
		"read":   func() error { _, err := a.Read(ctx, romeo, friend.Bare(), id); return ignore(err, mam.ErrNotFound) },
		"read stanza": func() error {
			_, err := a.ReadStanza(ctx, romeo, juliet.Bare(), fmt.Sprint(large-3))
			return err
		},
		"prune":           func() error { _, err := a.Prune(ctx, romeo, time.Time{}, large-10); return err },
		"preferences":     func() error { _, err := a.Preferences(ctx, romeo); return err },
		"set preferences": func() error { return a.SetPreferences(ctx, romeo, mam.Preferences{}) },
		"append":          func() error { _, err := a.Append(ctx, romeo, message(large)); return err },
		"append late":     func() error { _, err := a.Append(ctx, romeo, message(large-5)); return err },
	}
	for name, q := range queries {
		calls["query: "+name] = func() error {
			_, err := a.Query(ctx, romeo, q, func(mam.Item) error { return nil })
			return err
		}
	}

	check := func(t *testing.T) {
		seen := map[string]bool{}
		for name, call := range calls {
			require.NoError(t, call(), name)
			statements, settings := rec.take()
			require.NotEmpty(t, settings)
			require.NotEmpty(t, statements)
			for sql, args := range statements {
				if strings.HasPrefix(sql, "INSERT") {
					continue
				}
				seen[sql] = true
				for _, mode := range []string{"force_generic_plan", "force_custom_plan"} {
					c, plan := explain(t, admin, mode, settings, sql, args)
					limit := 2500.0 // pages have 50, and batches of pruning 1000
					assert.Empty(t, c.scanned, "%s: %s\n%s", name, sql, plan)
					assert.LessOrEqual(t, c.rows, limit, "%s: %s\n%s", name, sql, plan)
					assert.LessOrEqual(t, c.sorted, 1000.0, "%s: %s\n%s", name, sql, plan)
					if t.Failed() {
						return
					}
				}
			}
		}
		assert.Greater(t, len(seen), 50, "so many different statements")
	}
	t.Run("with statistics of a small table", check)
	execute(t, admin, "ANALYZE "+quoted(schema)+".archive, "+quoted(schema)+".contact, "+quoted(schema)+".message")
	t.Run("with statistics", check)
	execute(t, admin, "VACUUM "+quoted(schema)+".message")
	t.Run("after a vacuum", check)

	t.Run("the check can fail", func(t *testing.T) {
		table := quoted(schema) + ".message"
		c, _ := explain(t, admin, "auto", "", "SELECT position FROM "+table+" WHERE xml IS NULL", nil)
		assert.Equal(t, []string{"message"}, c.scanned)
		c, _ = explain(t, admin, "auto", "", "SELECT position FROM "+table+" WHERE archive > 0 ORDER BY stamp LIMIT 10", nil)
		assert.Greater(t, c.rows, 2500.0)
		c, _ = explain(t, admin, "auto", "", "SELECT position, row_number() OVER (ORDER BY stamp) FROM "+table, nil)
		assert.Greater(t, c.sorted, 2500.0)
	})
}

func ignore(err error, targets ...error) error {
	if slices.Contains(targets, err) {
		return nil
	}
	return err
}
