// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mampg_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/mam"
	"github.com/xmppext/xmppext/mam/mampg"
)

// A network breaks connections in the middle of a commit.
type network struct {
	mu     sync.Mutex
	mode   mode // of the next commit
	broken int
}

type mode int

const (
	works   mode = iota
	before       // the server never hears of it
	after        // nobody hears what the server did
	forEver      // as after, and there is no new connection
)

func (n *network) set(m mode) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mode = m
}

// next returns what becomes of a commit.
func (n *network) next() mode {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.mode
	if m != works {
		n.broken++
	}
	if m != forEver {
		n.mode = works
	}
	return m
}

func (n *network) dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	gone := n.mode == forEver && n.broken > 0
	n.mu.Unlock()
	if gone {
		return nil, errors.New("no route")
	}
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	return &link{Conn: c, network: n}, err
}

// A link is a connection that can break.
type link struct {
	net.Conn
	network *network
	silent  bool // what the server says is lost
}

func (l *link) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("INSERT INTO")) && bytes.Contains(p, []byte("COMMIT")) {
		switch l.network.next() {
		case before:
			return len(p), l.Close()
		case after, forEver:
			l.silent = true
		}
	}
	return l.Conn.Write(p)
}

func (l *link) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if l.silent && err == nil {
		_ = l.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

// TestCommitBroken checks that a message is stored once if its connection breaks while
// it is committed.
func TestCommitBroken(t *testing.T) {
	ctx := context.Background()
	s := commonServer(t)
	start := func(t *testing.T) (*network, *mampg.Archive, mam.Archive) {
		n, schema := new(network), newSchema()
		other := open(t, s.newPool(t), schema)
		_, err := other.Append(ctx, romeo, message(0))
		require.NoError(t, err)
		pool := s.newPool(t, func(cfg *pgxpool.Config) {
			cfg.ConnConfig.DialFunc = n.dial
			cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol // so that it can be read
		})
		return n, open(t, pool, schema), other
	}
	for name, m := range map[string]mode{"before it arrives": before, "after it was done": after} {
		t.Run(name, func(t *testing.T) {
			n, a, other := start(t)
			for k := range 5 {
				n.set(m)
				i, err := a.Append(ctx, romeo, message(k))
				require.NoError(t, err)
				items, _ := get(t, other, romeo, mam.Query{Max: 100})
				require.Len(t, items, k+2, "once")
				assert.Equal(t, i, items[k+1])
			}
			assert.Equal(t, 5, n.broken, "each was broken")
		})
	}
	t.Run("and the server is gone", func(t *testing.T) {
		n, a, other := start(t)
		n.set(forEver)
		early, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		_, err := a.Append(early, romeo, message(1))
		require.ErrorIs(t, err, mampg.ErrUncertain)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		items, _ := get(t, other, romeo, mam.Query{Max: 100})
		assert.Len(t, items, 2, "it was stored, but nobody could know")

		_, err = a.Append(ctx, romeo, message(1))
		require.Error(t, err)
		assert.NotErrorIs(t, err, mampg.ErrUncertain, "it was not even begun")
		n.set(works)
		_, err = a.Append(ctx, romeo, message(2))
		require.NoError(t, err)
	})
}
