// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfrsqlite_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"

	"github.com/xmppext/xmppext/mucfr"
	"github.com/xmppext/xmppext/mucfr/mucfrsqlite"
)

func Example() {
	dir, err := os.MkdirTemp("", "rooms")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	ctx := context.Background()
	store, err := mucfrsqlite.Open(ctx, filepath.Join(dir, "rooms.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	address := jid.MustParse("coven@chat.shakespeare.lit")
	room, err := mucfr.OpenRoom(ctx, address, mucfr.Options{}, store)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := room.Join(mucfr.Join{JID: jid.MustParse("hag66@shakespeare.lit/pda"), Nick: "thirdwitch", Role: muc.RoleParticipant}); err != nil {
		log.Fatal(err)
	}
	if err := room.Close(ctx); err != nil {
		log.Fatal(err)
	}

	// Later, maybe in another process:
	room, err = mucfr.OpenRoom(ctx, address, mucfr.Options{}, store)
	if err != nil {
		log.Fatal(err)
	}
	for o := range room.Occupants() {
		fmt.Println(o.Nick, o.JIDs)
	}
	// Output: thirdwitch [hag66@shakespeare.lit/pda]
}
