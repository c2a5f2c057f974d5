// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Package mucfr lets clients rejoin a chat room for the price of what has changed
// (XEP-0311).
//
// # What a room does
//
// A [Room] is told what happens in a chat room, and says what is to be sent to whom:
//
//	room := mucfr.NewRoom(jid.MustParse("coven@chat.shakespeare.lit"), mucfr.Options{})
//	p, err := mucfr.ReadPresence(tokens)
//	…
//	stanzas, err := room.Join(mucfr.Join{JID: from, Nick: "thirdwitch", Role: muc.RoleParticipant, Presence: p})
//	for _, s := range stanzas {
//		send(s.To, s)
//	}
//
// It numbers all that happens, and annotates what it sends with ids, of which only it
// knows the numbers, for clients that have asked for that. A client that comes back with
// one of them gets what it has missed: who has gone, who has come or changed, and what
// was said. If that cannot be told, or is more than the whole, it gets a presence that
// resets it and then the whole state; and it is told if there are messages that it
// does not get.
//
// Who may enter, speak or be thrown out is for the service to decide.
// What it may see is up to the room: real addresses are shown to whom they may be shown
// when a stanza is made, never to whom they might have been before.
//
// [OpenRoom] keeps a room in a [Store], so that also a service that was restarted
// understands the ids of its clients.
//
// # What an occupant does
//
// An [Occupancy] follows a room by what comes from there, and knows what to ask for
// when it enters again. A [Client] does so for all rooms of a session.
//
// # Specifications
//
//   - XEP-0311 0.1 (MUC Fast Reconnect), which is deferred: it may change or
//     not, and no other service or client was known that has it when this was written
//   - XEP-0045 1.35 (Multi-User Chat), as far as a room's state goes
//
// The specification leaves open what a client shows that was cut off while it was
// entering. Ids of this package say for presences, departures and messages apart how
// far they go, so that any stanza is a good place to resume at.
//
// Left out: rooms that hide the presence of some roles (muc#roomconfig_presencebroadcast).
package mucfr
