// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Package groupchat is a small chat room service (XEP-0045) whose clients may come
// back for the price of what has changed (XEP-0311).
//
// A [Service] is given every stanza that is sent to its domain, and says what to send.
// It knows nothing of connections. Whoever attaches it to a server gives it stanzas
// with Handle, and sends what [Options].Send is called with, in that order:
//
//	s, err := groupchat.Open(ctx, jid.MustParse("rooms.example"), groupchat.Options{Send: queue.put})
//	…
//	s.Handle(start, children)
//
// # Who does what
//
// What is in a room, and what has to be said to whom, is told by package mucfr. This
// package decides who may do what: each method of a mucfr.Room is called in one place,
// behind the checks that are due. Enter.go, with what a client may be refused for, is a
// good place to begin.
//
// One lock is around all of the service, and so around each call of a room and the
// hand-over of what it returns. That is what package mucfr asks for, and costs
// nothing as all stanzas come in by one stream, one after the other.
//
// # What there is
//
// Rooms are made by those who enter them and are gone when they are empty, unless they
// are persistent. There are passwords, members, bans, moderation, real addresses
// for moderators or for all, limits, subjects, history, private messages, requests
// between occupants, mediated invitations, and pings to oneself (XEP-0410).
// Left out: registration, reserved nicknames, requests for voice, transcripts, and limits
// on how much somebody says, which servers have for their clients.
package groupchat
