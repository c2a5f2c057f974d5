// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Package mam keeps archives of messages and serves them (XEP-0313).
//
// # Archives
//
// An [Archive] gives each message a place in one order, which is that in which they
// came, and an id by which clients know it. [Memory] keeps archives in memory, and
// package mamsqlite, a module of its own, in one file, package mampg, another, in
// PostgreSQL; package mamtest tests any other store.
//
// What else a store can do is said by further interfaces: [Pruner], [Batcher],
// [UnreadArchive] and [PreferenceStore].
//
// # What a server does with a message
//
// It removes what pretends to be an id of its own, stores what belongs in the
// archive, and adds the id to the copies of those who may read it:
//
//	content, raw, err := mam.Read(mam.StripStanzaIDs(account)(message))
//	if content.ForAccount() && preferences.Allow(peer, inRoster) {
//		item, err := archive.Append(ctx, account, content.ForArchive(account, raw))
//		// Deliver it through mam.AddStanzaID(account, item.ID).
//	}
//
// # What a server answers
//
// A [Handler] answers queries, and requests for metadata and preferences:
//
//	h := &mam.Handler{Archive: archive, Account: session.RemoteAddr().Bare()}
//	err := session.Serve(mux.New(stanza.NSClient, mam.Handle(h)))
//
// It reads a page, of a limited number of bytes, before it sends the first result: a
// client that is slow, or does not read at all, keeps nobody waiting but itself.
// Nothing is remembered from one page to the next.
//
// What an archive can do is announced at its address: see [Handler.ForFeatures].
//
// # What a room does
//
// A room does the same with its own address, and [Content.ForRoom] and
// [Content.InRoom]. It says who has sent a message with [SetPublisher], and its
// Handler's Access tells who may enter.
//
// # What a client fetches
//
// A [Client] fetches page after page, and believes nobody but the archive that was
// asked. CatchUp goes on from a [Place] that the client has kept:
//
//	client := new(mam.Client)
//	go session.Serve(mux.New(stanza.NSClient, mam.HandleClient(client)))
//	place, err = client.CatchUp(ctx, session, jid.JID{}, mam.Query{}, place, "", store)
//
// A [Gate] holds live messages back meanwhile.
// Supports asks what an archive announces, which is done before a query needs it,
// Metadata for its ends, and Preferences for what is archived.
//
// Mellium reads a stanza of any size. What this package keeps of one is bounded; how
// large it may be is for the connection to say.
//
// # Specifications
//
//   - XEP-0313 1.1.3 (Message Archive Management), with urn:xmpp:mam:2#extended
//   - XEP-0059 1.0 (Result Set Management)
//   - XEP-0359 0.7.0 (Unique and Stable Stanza IDs)
//   - XEP-0441 0.2.0 (Message Archive Management Preferences)
//
// Left out, since a server may or may not do it:
//
//   - to redact a message that is stored (XEP-0313, section 3.2). An item without XML is
//     served as one without a message, with its id, its time and its place.
//   - fields of a query that XEP-0313 does not define, such as a search for text. A
//     client does not ask for the form, which would only tell of those.
//   - to answer queries by what somebody was allowed to see in a room at the time
//     (section 6.1.2): Access decides by the present.
//   - an ad-hoc command for preferences (XEP-0441, section 2.2).
//   - archives of pubsub nodes, which are XEP-0442.
//
// Left to the server that delivers messages and keeps them for those who are away:
// not to append what it rejects or blocks, to append what it delivers once, however
// many resources get it, and to skip offline messages that a client has fetched
// (section 6.1.1).
package mam
