// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mampg_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/xmppext/xmppext/mam"
	"github.com/xmppext/xmppext/mam/mampg"
	"github.com/xmppext/xmppext/mam/mamtest"
)

func TestArchive(t *testing.T) { mamtest.Run(t, newArchive) }

func TestArchiveAtRandom(t *testing.T) {
	mamtest.RunRandom(t, newArchive(t).(*mampg.Archive))
}

// TestArchiveModes checks that nothing depends on how a pool sends statements: with
// some of the modes, a connection keeps nothing between transactions.
func TestArchiveModes(t *testing.T) {
	in := func(t testing.TB, mode pgx.QueryExecMode) *mampg.Archive {
		pool := commonServer(t).newPool(t, func(cfg *pgxpool.Config) { cfg.ConnConfig.DefaultQueryExecMode = mode })
		return open(t, pool, newSchema())
	}
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		t.Run(mode.String(), func(t *testing.T) {
			mamtest.Run(t, func(t testing.TB) mam.Archive { return in(t, mode) })
		})
	}
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec} {
		t.Run(mode.String(), func(t *testing.T) { mamtest.RunRandom(t, in(t, mode)) })
	}
}

// TestArchiveOneConnection checks that nobody waits for ever in a small pool.
func TestArchiveOneConnection(t *testing.T) {
	mamtest.Run(t, func(t testing.TB) mam.Archive {
		pool := commonServer(t).newPool(t, func(cfg *pgxpool.Config) { cfg.MaxConns = 1 })
		return open(t, pool, newSchema(), mampg.Writers(1))
	})
}

func TestArchiveReopened(t *testing.T) {
	mamtest.RunReopened(t, func(t testing.TB) (mam.Archive, func() mam.Archive) {
		s, schema := commonServer(t), newSchema()
		pool := s.newPool(t)
		return open(t, pool, schema), func() mam.Archive {
			pool.Close()
			pool = s.newPool(t)
			return open(t, pool, schema)
		}
	})
}

func TestArchiveShared(t *testing.T) {
	mamtest.RunShared(t, func(t testing.TB) (mam.Archive, mam.Archive) {
		s, schema := commonServer(t), newSchema()
		return open(t, s.newPool(t), schema), open(t, s.newPool(t), schema)
	})
}
