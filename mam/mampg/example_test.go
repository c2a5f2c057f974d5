// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mampg_test

import (
	"context"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5/pgxpool"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
	"github.com/xmppext/xmppext/mam/mampg"
)

func Example() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, "postgres://xmpp@db.example/xmpp?pool_max_conns=10")
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	archive, err := mampg.New(ctx, pool)
	if err != nil {
		log.Fatal(err)
	}

	account := jid.MustParse("juliet@capulet.example")
	item, err := archive.Append(ctx, account, mam.Message{
		With: jid.MustParse("romeo@montague.example/orchard"),
		XML:  []byte("<message xmlns='jabber:client'><body>Hark!</body></message>"),
	})
	if err != nil {
		log.Fatal(err)
	}
	page, err := archive.Query(ctx, account, mam.Query{
		With: jid.MustParse("romeo@montague.example"),
		From: mam.Cursor{Last: true},
		Max:  50,
	}, func(i mam.Item) error {
		fmt.Println(i.Position, i.ID == item.ID)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(page.Complete, page.Count)
}
