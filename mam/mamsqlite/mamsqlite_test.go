// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamsqlite_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
	"github.com/xmppext/xmppext/mam/mamsqlite"
)

var (
	romeo  = jid.MustParse("romeo@montague.example")
	juliet = jid.MustParse("juliet@capulet.example/balcony")
	noon   = time.Date(2026, 7, 16, 12, 0, 0, 0, time.UTC)
)

// slow is set if tests that would be the same again are left out.
var slow bool

// open opens an archive that is closed at the end of the test.
func open(t testing.TB, path string, options ...mamsqlite.Option) *mamsqlite.Archive {
	t.Helper()
	a, err := mamsqlite.Open(context.Background(), path, options...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Close()) })
	return a
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
