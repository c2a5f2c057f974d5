// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr_test

import (
	"context"
	"encoding/json"
	"fmt"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	mstanza "mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/mucfr"
)

// A client enters a room, loses its session, and comes back. In between it keeps what it
// knows in a file, or a database.
func ExampleClient_Join() {
	ctx := context.Background()
	service := newClientService()
	room := mucfr.NewOccupancy(jid.MustParse("grove@chat.example/Romeo"))
	var kept []byte
	for range 2 {
		// A Client is for one session.
		sessions := romeoCalls()
		client := &mucfr.Client{Changed: func(o *mucfr.Occupancy, c mucfr.Change) {
			switch c.Kind {
			case mucfr.RoomReset:
				fmt.Println("the room begins anew")
			case mucfr.HistoryTruncated:
				fmt.Println("messages are missing")
			case mucfr.RoomJoined:
				fmt.Println("inside as", c.Nick, "- told what has changed only:", c.Resumed)
			}
		}}
		sessions.Serve(client.Handler(mux.New(mstanza.NSClient)), service)
		if err := client.Join(ctx, sessions.Client, room, mucfr.JoinOptions{}); err != nil {
			fmt.Println(err) // A stanza.Error, for instance, if the nickname is taken.
			return
		}
		for o := range room.Occupants() {
			fmt.Println(o.Nick, "is a", o.Role)
		}

		// The session is lost.
		_ = sessions.Close()
		room.Lost()
		var err error
		if kept, err = json.Marshal(room); err != nil {
			fmt.Println(err)
			return
		}
		room = new(mucfr.Occupancy)
		if err := json.Unmarshal(kept, room); err != nil {
			fmt.Println(err)
			return
		}
	}
	// Output:
	// inside as Romeo - told what has changed only: false
	// Romeo is a participant
	// inside as Romeo - told what has changed only: true
	// Romeo is a participant
}

// romeoCalls returns both ends of a session of Romeo's.
func romeoCalls() *xmpptest.Pair {
	p, err := xmpptest.TryPair(context.Background(), xmpptest.PairConfig{
		Location: jid.MustParse("montague.example"), Client: jid.MustParse("romeo@montague.example"),
	})
	if err != nil {
		panic(err)
	}
	return p
}
