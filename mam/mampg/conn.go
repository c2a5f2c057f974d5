// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mampg

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A conn is a connection that somebody has for themselves.
type conn struct {
	*pgxpool.Conn
	a *Archive
}

// A step is a statement, and what is called for each row, if anything. The statement
// has ~ for the schema.
type step struct {
	sql  string
	args []any
	each func(pgx.Rows) error
}

func do(sql string, args ...any) step { return step{sql: sql, args: args} }

func (s step) row(each func(pgx.Rows) error) step {
	s.each = each
	return s
}

// scan is a step whose row, if there is one, is read into dest.
func (s step) scan(dest ...any) step {
	return s.row(func(r pgx.Rows) error { return r.Scan(dest...) })
}

// run sends all the steps at once, and then reads what they return. An error of each
// ends it.
func (c *conn) run(ctx context.Context, steps ...step) (err error) {
	var batch pgx.Batch
	for _, s := range steps {
		batch.Queue(c.a.sql(s.sql), s.args...)
	}
	results := c.SendBatch(ctx, &batch)
	defer func() {
		if e := results.Close(); err == nil {
			err = e
		}
	}()
	for _, s := range steps {
		rows, err := results.Query()
		if err != nil {
			return err
		}
		for rows.Next() {
			if s.each == nil {
				continue
			}
			if err := s.each(rows); err != nil {
				rows.Close()
				return err
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
	}
	return nil
}

// settings say how statements are planned, until the transaction ends. Each has an
// index whose order is the one that it wants, and walks it from where it begins.
// A planner that took an archive for smaller than it is would read all of it instead,
// and sort. So plans do not depend on the arguments either, and need not be made for
// each of them. Costs of what is off would seem to be worth compiling.
const settings = `SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
	set_config('enable_sort', 'off', true), set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
	set_config('enable_material', 'off', true), set_config('jit', 'off', true), set_config('plan_cache_mode', 'force_generic_plan', true)`

// guard frees the archives that were locked by a process that the server has not
// heard of since.
const guard = "SELECT set_config('idle_in_transaction_session_timeout', '10s', true)"

var (
	beginRead  = []step{do("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"), do(settings)}
	beginWrite = []step{do("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"), do(settings), do(guard)}
	commit     = do("COMMIT")
	rollback   = do("ROLLBACK")
)

// maxAttempts is how often something is tried that may succeed the next time, not
// counting that each connection of the pool may turn out to be broken.
const maxAttempts = 5

// with runs f with a connection, which is in no transaction before and after.
// It is run again if it failed for no fault of its own.
func (a *Archive) with(ctx context.Context, f func(*conn) error) error {
	for attempt := 1; ; attempt++ {
		again, err := a.once(ctx, f)
		if !again || attempt == maxAttempts+a.conns {
			return ended(ctx, err)
		}
	}
}

// once runs f, and reports whether there is reason to do so again.
func (a *Archive) once(ctx context.Context, f func(*conn) error) (again bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	pc, err := a.pool.Acquire(ctx)
	if err != nil {
		return false, err
	}
	defer pc.Release() // it closes the connection unless it is idle
	c := &conn{pc, a}
	if err = f(c); err == nil {
		return false, nil
	}
	lost := pc.Conn().IsClosed()
	if !lost && pc.Conn().PgConn().TxStatus() != 'I' {
		_ = c.run(ctx, rollback)
	}
	var last final
	switch {
	case errors.As(err, &last):
		return false, last.error
	case ctx.Err() != nil || errors.Is(err, ErrUncertain):
		return false, err
	}
	return lost || contended(err), err
}

// A final error is one after which nothing is tried again.
type final struct{ error }

// ended makes an error that has the context for its reason say so.
func ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		return errors.Join(ctx.Err(), err)
	}
	return err
}

// grace is how long a commit may take after its context has ended. Who breaks it off
// learns neither whether it was done nor whether it will be.
const grace = 2 * time.Second

// commit runs the steps and commits. If it is not known whether it did, the error
// is ErrUncertain. So it comes after something else has found that the connection
// works: what pgconn says of an error does not tell whether anything was sent.
func (c *conn) commit(ctx context.Context, steps ...step) error {
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })()
	err := c.run(late, append(steps, commit)...)
	if err == nil || definite(err) {
		return err
	}
	return uncertain{err}
}

type uncertain struct{ error }

func (u uncertain) Is(target error) bool { return target == ErrUncertain }

func (u uncertain) Unwrap() error { return u.error }

func (u uncertain) Error() string { return ErrUncertain.Error() + ": " + u.error.Error() }

// definite reports whether the server has refused a statement, and goes on.
func definite(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.SeverityUnlocalized != "FATAL" && e.SeverityUnlocalized != "PANIC"
}

// contended reports whether the server gave up a transaction for the sake of
// another.
func contended(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "40001" || e.Code == "40P01") // serialization_failure, deadlock_detected
}

// pause waits, and reports whether it did until the end.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
