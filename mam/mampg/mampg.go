// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Package mampg keeps message archives in PostgreSQL.
//
//	pool, err := pgxpool.New(ctx, "postgres:///xmpp")
//	if err != nil {
//		return err
//	}
//	defer pool.Close()
//	archive, err := mampg.New(ctx, pool)
//
// Any number of processes may use the same archives at once.
//
// # Appending
//
// Whoever writes to an archive locks its row until that is committed. So positions
// have no gap, and who reads one can read all below it.
//
// What is appended at the same time is stored by one transaction, and what comes
// meanwhile by the next one: the disk and the network are waited for once, however
// many callers there are. It makes no caller wait for others to come. [Writers] says
// how many such transactions a process runs at a time.
//
// [Archive.Append] returns when the message is committed, which is as durable
// as synchronous_commit makes it.
//
// # Failures
//
// A transaction that the server gave up for the sake of another is run again, a few
// times. If the connection breaks while it is committed, nobody can know at first
// whether it was: Append then locks the archive anew and looks for the ids that it
// has drawn, so that nothing is stored twice. If that does not succeed within a few
// seconds, the error is [ErrUncertain].
//
// If a process or its machine dies, the archives that it was about to write are free
// as soon as the server has noticed: at once, or after ten seconds if nothing has said
// so.
//
// # Asking
//
// A page costs what it returns, whatever the size of the archive: for no filter, With,
// WithoutGroupChat, AfterID, BeforeID and IDs, and for Start and End as far as the
// times of messages are in the order of the archive. Messages out of this order are
// read past where they lie between the first and the last one that match. Of two
// filters one is looked up and the other read past, except that a time is always
// looked up.
// The number of items and the index of a page are known without a filter, and for
// Start and End in the same case as above. Else Cursor.Index costs as much as there
// are items before the page, and so does Count for all that match.
//
// # Connections
//
// A query reads in one transaction. Pages of up to 128 KiB are read before the first
// item is yielded, and keep no connection. A larger one is read as it is yielded, and
// keeps a connection for as long as that takes. There may be so many of these at a
// time that the others still have the connections that they need: MaxConns of the
// pool, less [Writers] and one. Further ones wait until another has ended, which is
// the one thing that anybody waits for. Give the pool four connections or more.
//
// Neither prepared statements nor any other state of a session is needed, so that a
// pool may use any mode of pgx.QueryExecMode, and a pooler that gives a connection to
// others after each transaction.
package mampg

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

// ErrUncertain means that it is not known whether something was stored: the
// connection broke, or the context ended, while it was.
var ErrUncertain = errors.New("mampg: it is not known whether this was stored")

// Archive is a [mam.Archive] in PostgreSQL.
// It is a [mam.Pruner], a [mam.Batcher], a [mam.UnreadArchive] and a
// [mam.PreferenceStore] too.
//
// Archives are bare: the resource of an address is left out of account.
// All methods may be called by several goroutines at once.
//
// They end when their context does, but for a commit that has begun: its outcome is
// waited for a few seconds longer. If a method that writes returns the context's error,
// nothing was stored, unless it is also [ErrUncertain].
//
// It has nothing to close. Whoever closes the pool should wait for the calls first.
type Archive struct {
	pool     *pgxpool.Pool
	conns    int    // of the pool, at most
	schema   string // quoted
	maxBytes int
	queues   []queue
	slow     chan struct{} // a place for each page that keeps a connection
}

var (
	_ mam.Pruner          = (*Archive)(nil)
	_ mam.Batcher         = (*Archive)(nil)
	_ mam.UnreadArchive   = (*Archive)(nil)
	_ mam.PreferenceStore = (*Archive)(nil)
)

type config struct {
	schema   string
	maxBytes int
	writers  int
}

// Option changes how a database is used.
type Option func(*config)

// Schema sets the schema that the tables are in, "mam" if it is not used. It is
// created if need be. One schema has nothing to do with another.
func Schema(name string) Option { return func(c *config) { c.schema = name } }

// MaxBytes sets how many bytes a message may have before it is [mam.ErrTooLarge],
// 16 MiB if it is not used.
func MaxBytes(n int) Option { return func(c *config) { c.maxBytes = min(n, maxMaxBytes) } }

// maxMaxBytes keeps a statement below the gigabyte that PostgreSQL takes, even if
// it is sent as text.
const maxMaxBytes = 128 << 20

// Writers sets how many transactions append at a time, 2 if it is not used. Each
// archive belongs to one of them.
func Writers(n int) Option { return func(c *config) { c.writers = max(n, 1) } }

// New returns the archives that a pool's database has. It creates their tables, or
// brings them up to date, unless they are so already; then it needs no right to do so.
// It is an error if a later version of this package has made them.
//
// The pool is closed by its owner.
func New(ctx context.Context, pool *pgxpool.Pool, options ...Option) (*Archive, error) {
	cfg := config{schema: "mam", maxBytes: 16 << 20, writers: 2}
	for _, o := range options {
		o(&cfg)
	}
	conns := int(pool.Config().MaxConns)
	a := &Archive{
		pool:     pool,
		conns:    conns,
		schema:   pgx.Identifier{cfg.schema}.Sanitize(),
		maxBytes: cfg.maxBytes,
		queues:   make([]queue, cfg.writers),
		slow:     make(chan struct{}, max(1, conns-cfg.writers-1)),
	}
	if err := a.setUp(ctx, cfg.schema); err != nil {
		return nil, wrap("set up", err)
	}
	return a, nil
}

// sql returns a statement with the name of the schema in it.
func (a *Archive) sql(statement string) string {
	return strings.ReplaceAll(statement, "~", a.schema)
}

// wrap says whose error it is.
func wrap(doing string, err error) error {
	switch {
	case err == nil || errors.Is(err, mam.ErrNotFound) || errors.Is(err, mam.ErrTooLarge):
		return err
	case errors.Is(err, ErrUncertain):
		return err // it says so itself
	}
	return fmt.Errorf("mampg: %s: %w", doing, err)
}

// A key is what an address is found by. An address may be too long for an index.
type key [sha256.Size]byte

func keyOf(address string) key { return sha256.Sum256([]byte(address)) }

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

// toMicrosecond returns a time as it is kept.
func toMicrosecond(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
