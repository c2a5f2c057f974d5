// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mampg_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
	"github.com/xmppext/xmppext/mam/mampg"
)

var (
	romeo  = jid.MustParse("romeo@montague.example")
	juliet = jid.MustParse("juliet@capulet.example/balcony")
	noon   = time.Date(2026, 7, 16, 12, 0, 0, 0, time.UTC)
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		if err := child(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	if err := cleanUp(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// open returns the archives of a schema.
func open(t testing.TB, pool *pgxpool.Pool, schema string, options ...mampg.Option) *mampg.Archive {
	t.Helper()
	a, err := mampg.New(context.Background(), pool, append(options, mampg.Schema(schema))...)
	require.NoError(t, err)
	return a
}

// newArchive returns an empty archive.
func newArchive(t testing.TB) mam.Archive {
	return open(t, commonServer(t).newPool(t), newSchema())
}

// message returns the nth message.
func message(n int) mam.Message {
	return mam.Message{With: juliet, Stamp: noon.Add(time.Duration(n) * time.Second), XML: fmt.Appendf(nil, "<message xmlns='jabber:client'><body>%d</body></message>", n)}
}

// get returns what a query yields.
func get(t testing.TB, a mam.Archive, archive jid.JID, q mam.Query) ([]mam.Item, mam.Page) {
	t.Helper()
	var items []mam.Item
	page, err := a.Query(context.Background(), archive, q, func(i mam.Item) error {
		i.XML = bytes.Clone(i.XML)
		items = append(items, i)
		return nil
	})
	require.NoError(t, err, "%+v", q)
	return items, page
}
