// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"strings"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"

	"github.com/xmppext/xmppext/mucfr"
)

// A service tells a room what its clients send, and sends what the room returns. One of
// them loses its connection, and comes back when the service has been started again.
func ExampleRoom() {
	const (
		muc0    = `<x xmlns="http://jabber.org/protocol/muc"/>`
		request = `<presence-session xmlns="urn:xmpp:presence-session:0"/>`
		resume  = `<presence-session xmlns="urn:xmpp:presence-session:0" session="%s" id="%s" type="resume"/>`
	)
	var (
		ctx       = context.Background()
		store     = new(mucfr.Memory) // or a mucfrsqlite.Store
		address   = jid.MustParse("coven@chat.shakespeare.lit")
		desktop   = jid.MustParse("crone1@shakespeare.lit/desktop")
		pda       = jid.MustParse("hag66@shakespeare.lit/pda")
		connected = true        // the pda is
		last      mucfr.Element // what the pda keeps: where it resumes
	)
	// A service puts what the room returns into the queues of its clients, before anybody
	// else calls the room.
	send := func(stanzas []mucfr.Stanza, err error) {
		if err != nil {
			fmt.Println(err) // Such as ErrConflict. The client is told.
		}
		for _, s := range stanzas {
			if s.To.Equal(pda) && connected {
				fmt.Println(summary(s))
				if e, ok := s.Element(); ok {
					last = e
				}
			}
		}
	}
	// Whether somebody may enter, and may speak, is for the service to decide.
	enter := func(room *mucfr.Room, client jid.JID, nick, presence string) {
		p, err := mucfr.ReadPresence(xml.NewDecoder(strings.NewReader(presence)))
		if err != nil {
			fmt.Println(err)
			return
		}
		send(room.Join(mucfr.Join{JID: client, Nick: nick, Role: muc.RoleParticipant, Presence: p}))
	}
	say := func(room *mucfr.Room, client jid.JID, message string) {
		p, err := mucfr.ReadPayload(xml.NewDecoder(strings.NewReader(message)))
		if err != nil {
			fmt.Println(err)
			return
		}
		send(room.Say(client, "", p))
	}

	room, err := mucfr.OpenRoom(ctx, address, mucfr.Options{}, store)
	if err != nil {
		fmt.Println(err)
		return
	}
	enter(room, desktop, "firstwitch", muc0)
	enter(room, pda, "thirdwitch", muc0+request)
	say(room, desktop, "<body>Thrice the brinded cat hath mew'd.</body>")

	connected = false // The pda's server says so, by an error for what it was sent.
	send(room.Leave(pda, mucfr.Payload{}, mucfr.StatusKicked, mucfr.StatusError))
	say(room, desktop, "<body>Harpier cries.</body>")

	// The service ends. Every now and then it has called what Save returns.
	if err := room.Close(ctx); err != nil {
		fmt.Println(err)
		return
	}
	if room, err = mucfr.OpenRoom(ctx, address, mucfr.Options{}, store); err != nil {
		fmt.Println(err)
		return
	}
	for o := range room.Occupants() {
		fmt.Println("still inside:", o.Nick, o.JIDs)
	}

	fmt.Println("resuming")
	connected = true
	enter(room, pda, "thirdwitch", muc0+fmt.Sprintf(resume, last.Session, last.ID))
	// Output:
	// presence of firstwitch
	// presence of thirdwitch
	// subject
	// firstwitch: Thrice the brinded cat hath mew'd.
	// still inside: firstwitch [crone1@shakespeare.lit/desktop]
	// resuming
	// presence of thirdwitch
	// firstwitch: Harpier cries.
	// subject
}

// summary says in words what a stanza is.
func summary(s mucfr.Stanza) string {
	var v struct {
		From jid.JID `xml:"from,attr"`
		Body *string `xml:"body"`
	}
	if err := xml.Unmarshal(s.AppendXML(nil), &v); err != nil {
		return err.Error()
	}
	switch nick := v.From.Resourcepart(); {
	case s.Presence():
		return "presence of " + nick
	case v.Body == nil:
		return "subject"
	default:
		return nick + ": " + *v.Body
	}
}
