// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr

import (
	"slices"

	"mellium.im/xmpp/stanza"
)

// Change is what a stanza has changed in an [Occupancy].
type Change struct {
	Kind ChangeKind

	// Nick is the nickname of the occupant that it is about, or if it is about the
	// client, its own.
	Nick string

	// Next is the other nickname that somebody has from now on.
	Next string

	// Codes are the status codes in a presence (XEP-0045, section 15.6), and Reason is
	// what is said about it.
	Codes  []int
	Reason string

	// Destroyed is set if the room is no more.
	Destroyed *Destroyed

	// Resumed is set if the client has entered and was told what has changed only.
	Resumed bool

	// Gone are nicknames of those that were known, or were said to have entered by an
	// answer that was cut off, and are not in the room, or not as far as is known.
	Gone []string

	// Err is why the room does not let the client in. It is a [stanza.Error].
	Err error
}

// ChangeKind says what has changed.
type ChangeKind uint8

// Kinds of changes.
const (
	// NoChange is what most messages are, as well as all that is not from the room, or
	// comes while the client is not in it.
	NoChange ChangeKind = iota

	// OccupantEntered is somebody who was not there before: another person than whoever
	// had that nickname. OccupantChanged is another presence of the same one, or if the room
	// lists all without a reset, of whoever has that nickname. The presence of the client
	// itself is the one or the other, too, but for the one by which it is inside (RoomJoined).
	OccupantEntered
	OccupantChanged

	// OccupantLeft is somebody who has gone, by what Codes say.
	OccupantLeft

	// OccupantRenamed is somebody, maybe the client itself, who is there no more by the
	// nickname Nick and will be by Next: an OccupantEntered is to follow.
	OccupantRenamed

	// SubjectChanged is also how the answer to a join ends.
	SubjectChanged

	// RoomReset means that the room answers with its whole state: all that was known is
	// forgotten (XEP-0311, section 4.2).
	RoomReset

	// RoomJoined means that the client is inside and knows all occupants. Where an answer
	// was cut off, and the room has crashed since, only the Occupancy does.
	RoomJoined

	// HistoryTruncated means that the room does not send all messages that the client has
	// missed (XEP-0311, section 4.3). It comes no more than once for each join.
	HistoryTruncated

	// RoomRefused means that the room does not let the client in.
	RoomRefused

	// RoomLeft means that the client is not inside any more, by what Codes and Destroyed
	// say: without them it has left by itself. With StatusShutdown or StatusError nobody
	// has thrown it out, and it may enter again. If a join is not answered yet that may be
	// about what was before, and the answer still comes.
	RoomLeft
)

var changeKinds = [...]string{
	NoChange: "no change", OccupantEntered: "occupant entered", OccupantChanged: "occupant changed",
	OccupantLeft: "occupant left", OccupantRenamed: "occupant renamed", SubjectChanged: "subject changed",
	RoomReset: "room reset", RoomJoined: "room joined", HistoryTruncated: "history truncated",
	RoomRefused: "room refused", RoomLeft: "room left",
}

// String returns the kind in words.
func (k ChangeKind) String() string {
	if int(k) < len(changeKinds) {
		return changeKinds[k]
	}
	return "unknown change"
}

// apply takes a stanza in.
func (o *Occupancy) apply(h *heard) Change {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.state == outside || !o.hears(h) {
		return Change{}
	}
	if h.has {
		o.plain = notPlain
	}
	switch {
	case !h.presence:
		return o.message(h)
	case h.typ == "":
		return o.available(h)
	case h.typ == string(stanza.UnavailablePresence):
		return o.unavailable(h)
	case h.typ == string(stanza.ErrorPresence):
		return o.refused(h)
	}
	return Change{}
}

// note keeps where to resume. While the room answers that stays where it was: what comes
// may be from before the answer, as to a client that the room thinks is still there,
// and then says nothing about what is missing. Behind a reset a stanza says how far the
// whole state has come.
func (o *Occupancy) note(h *heard) {
	e, ok := h.annotation()
	if !ok || o.state == inside && !o.supported {
		return
	}
	if o.before != nil {
		if h.presence && len(e.Session) <= MaxPoint && len(e.ID) <= MaxPoint {
			o.latest = e
		}
		return
	}
	if len(e.Session) > MaxPoint || len(e.ID) > MaxPoint {
		o.forget()
		return
	}
	if e.Session != o.last.Session {
		o.lastPresence = Element{}
	}
	o.last = e
	if h.presence {
		o.lastPresence = e
	}
}

func (o *Occupancy) message(h *heard) Change {
	if h.has && h.element.Type == Truncated && h.nick() == "" && !o.truncated {
		o.truncated = true
		return Change{Kind: HistoryTruncated}
	}
	subject := h.subject != nil && !h.body && !h.thread
	if subject && o.state == inside && !o.reflects {
		o.answered()
	}
	o.note(h)
	if !subject {
		return Change{}
	}
	o.subject = h.subject.String()
	if o.plain == plainSelf {
		o.plain = plainAnswer
	}
	if o.state == inside && o.asked == "" {
		o.resumed = "" // The answer is at its end.
	}
	return Change{Kind: SubjectChanged, Nick: h.nick()}
}

func (o *Occupancy) available(h *heard) Change {
	if h.nick() == "" {
		o.note(h) // Rooms have presences of their own: they say nothing about occupants.
		return Change{}
	}
	self := slices.Contains(h.codes, StatusSelf)
	known, missing := o.put(h.occupant(), o.joins)
	o.missing = o.missing || missing
	if e, ok := h.annotation(); ok && e.Session != o.resumed {
		o.mixed = true
	}
	if self && o.precedes(h) {
		self = false
		o.plain = max(o.plain, plainSelf)
	}
	if self {
		o.nick, o.want, o.codes = h.nick(), h.nick(), h.codes
	}
	if self && o.state == asking {
		return o.joined(h)
	}
	if self && o.answers(h) {
		o.answered() // The last one was from before.
		o.reflects = true
	}
	o.note(h)
	c := Change{Kind: OccupantEntered, Nick: h.nick(), Codes: slices.Clone(h.codes), Reason: h.reason.String()}
	if known {
		c.Kind = OccupantChanged
	}
	return c
}

// joined takes the presence that ends what an answer says about occupants. If it is not
// of the session in which the client has asked to resume, the room has listed all.
func (o *Occupancy) joined(h *heard) Change {
	c := Change{Kind: RoomJoined, Nick: o.nick, Codes: slices.Clone(h.codes), Reason: h.reason.String()}
	_, o.supported = h.annotation()
	switch o.state = inside; {
	case o.answers(h):
		o.answered()
		o.reflects = true
	case o.asked == "":
		o.answered()
	case o.before == nil && h.id == "":
		o.answered() // It is behind a reset.
		o.reflects = false
	}
	if c.Resumed = o.supported && !o.mixed; !c.Resumed {
		c.Gone = o.clear(false)
		o.forget()
	}
	c.Gone = o.gone(c.Gone)
	o.note(h)
	return c
}

// precedes reports whether the client's own presence is surely not the one that is
// waited for: the room says which one that is.
func (o *Occupancy) precedes(h *heard) bool {
	return o.state == asking && o.before != nil && o.reflects && o.asked != "" && !o.answers(h)
}

// answered notes that the answer has come, or all that it says about occupants. The last
// presence may be among what it has said.
func (o *Occupancy) answered() {
	if o.before != nil && o.latest.Session != "" {
		o.last, o.lastPresence = o.latest, o.latest
	}
	o.before, o.base, o.asked, o.latest = nil, nil, "", Element{}
}

// answers reports whether a presence says that it answers the join.
func (o *Occupancy) answers(h *heard) bool { return o.asked != "" && h.id == o.asked }

func (o *Occupancy) unavailable(h *heard) Change {
	c := Change{
		Nick: h.nick(), Codes: slices.Clone(h.codes), Reason: h.reason.String(), Destroyed: h.destroyed,
	}
	if h.destroyed != nil {
		h.destroyed.Reason = c.Reason
	}
	self := slices.Contains(h.codes, StatusSelf)
	if c.Nick == "" {
		switch {
		case self || h.final():
			return o.left(h, c)
		case o.resumed != "":
			return o.reset()
		}
		return Change{} // Nobody has asked for it.
	}
	// While the answer may still come, it may be somebody else who had the nickname.
	self = self || o.state == inside && c.Nick == o.nick && (o.before == nil || !o.supported)
	known := o.remove(c.Nick)
	next := h.next(o.room)
	switch {
	case next != "" && o.occupants[next] == nil && !slices.Contains(o.undone, next):
		c.Kind, c.Next = OccupantRenamed, next
		if self && o.state == inside {
			o.nick, o.want = next, next
		}
	case self && (o.state == inside || h.final()):
		return o.left(h, c)
	case self && o.base != nil:
		// The room does not talk to it from here to the answer.
		o.again()
		o.remove(c.Nick)
		if !known {
			return Change{}
		}
		c.Kind = OccupantLeft
		return c
	case known:
		c.Kind = OccupantLeft
	default:
		c = Change{}
	}
	o.note(h)
	return c
}

// reset takes the presence that is before a whole state.
func (o *Occupancy) reset() Change {
	o.forget()
	o.state, o.before, o.missing, o.mixed = asking, nil, false, true
	if o.asked == "" || !o.reflects {
		o.resumed, o.base = "", nil // If not, the answer to another join may be on its way.
	}
	o.subject = ""
	return Change{Kind: RoomReset, Gone: o.gone(o.clear(true))}
}

// left takes the presence by which the client is out. It is a good place to resume at,
// unless the room is no more.
func (o *Occupancy) left(h *heard, c Change) Change {
	c.Kind = RoomLeft
	if c.Nick == "" {
		c.Nick = o.nick
	}
	o.note(h)
	if o.base != nil && o.asked != "" && !h.final() {
		o.again() // What has gone was there before, and the answer is still to come.
	} else {
		o.leave()
	}
	o.remove(c.Nick)
	if h.destroyed != nil {
		o.forget()
		o.subject = ""
		c.Gone = o.gone(o.clear(true))
	}
	return c
}

// refused takes an error. If it answers the join, what is known is kept for the next one.
func (o *Occupancy) refused(h *heard) Change {
	early := o.state == inside && o.before != nil && o.answers(h) // What has let it in was from before.
	if !early && (o.state != asking || o.asked != "" && h.id != "" && h.id != o.asked) {
		return Change{}
	}
	o.leave()
	return Change{Kind: RoomRefused, Nick: o.want, Err: h.err()}
}
