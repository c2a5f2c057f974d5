// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat

import "time"

// Limits of what others can make the service keep. What a room remembers is bounded by
// [Options].Limits.
const (
	// DefaultMaxRooms is how many rooms there may be: enough for a small server. Each of
	// them may remember some megabytes (see mucfr.Limits).
	DefaultMaxRooms = 1000

	// DefaultMaxOccupants is how many occupants a room may have: each message is sent to
	// each of them.
	DefaultMaxOccupants = 1000

	// MaxClients is how many clients of an account may share a nickname, one for each
	// device that somebody might have.
	MaxClients = 10

	// MaxAffiliations is how many members, bans and the like a room has.
	MaxAffiliations = 2000

	// MaxItems is how many affiliations and roles can be changed at once.
	MaxItems = 100

	// MaxText is how many bytes a name, a password or a reason has. It is what an
	// address takes at most.
	MaxText = 3071

	// maxAsked is how many requests between occupants may wait for their answers.
	maxAsked = 1000
)

// Joins of an account. Who logs in may enter a hundred rooms at once, and everybody who
// comes back after a lost connection does so again.
const (
	JoinBurst  = 200
	JoinsEvery = 10 // in a second, after that
)

// DefaultGrace is enough for clients that wait longer each time that they try to enter
// again, and for phones that sleep most of the time. Meanwhile those are shown as inside
// who will not come back.
const DefaultGrace = 5 * time.Minute
