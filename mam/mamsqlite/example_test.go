// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamsqlite_test

import (
	"context"
	"fmt"
	"log"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
	"github.com/xmppext/xmppext/mam/mamsqlite"
)

func Example() {
	ctx := context.Background()
	archive, err := mamsqlite.Open(ctx, mamsqlite.Memory) // or a file
	if err != nil {
		log.Fatal(err)
	}
	defer archive.Close()

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
	// Output:
	// 1 true
	// true 1
}
