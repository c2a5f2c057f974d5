// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"

	"mellium.im/xmpp/jid"
)

// What an [Occupancy] keeps at most. A room that sends more is followed as far as this
// goes; if occupants are missing, the client does not resume but enters anew.
const (
	// MaxOccupants is how many occupants are kept. No busy public room has as many.
	MaxOccupants = 1 << 14

	// MaxPresence is how many bytes are kept of what an occupant's presence has in it. It
	// is several times what common clients send. The Payload of one that is larger is empty.
	MaxPresence = 16 << 10

	// MaxPresences is how many bytes are kept of all of them together. It leaves each of
	// MaxOccupants half a kilobyte.
	MaxPresences = 8 << 20

	// MaxPoint is the length of the session and of the id, each, that are kept. Longer
	// ones would make the presence by which a client enters too large for a server.
	MaxPoint = 1 << 10

	// MaxSubject is how many bytes are kept of a subject. The rest is cut off.
	MaxSubject = 16 << 10
)

// Occupancy is what a client knows of a room that it is or was in: who is there, and
// what to ask for when it enters again. It needs no session: [Occupancy.Join] is what to
// send, and [Occupancy.Apply] takes what comes from the room.
//
// It outlives sessions, and as JSON also the program. An Occupancy without a room, as
// its zero value is, ignores everything until it is unmarshaled.
// All methods may be called at the same time. Stanzas have to be applied in the order
// in which they are received.
type Occupancy struct {
	// LastPresence resumes at the last presence that has come from the room, as section
	// 4.2 of XEP-0311 says, and not at the last presence or message, whichever came
	// later. Messages that have come since come again.
	// It must not be changed once the Occupancy is in use.
	LastPresence bool

	mu    sync.Mutex
	room  jid.JID // bare
	nick  string  // the client's own, as the room has said last
	want  string  // the one that it asks for
	state occupancyState

	crowd
	missing   bool // there are more than MaxOccupants
	subject   string
	codes     []int // of its own last presence
	supported bool
	reflects  bool // the room's answers have the id of what they answer

	last         Element // the last annotation
	lastPresence Element // and the last one of a presence

	// All below is about the last join.

	joins     uint64  // how many there were
	asked     string  // the id of the presence, if it is known; empty once that is answered
	latest    Element // the last annotation of a presence since, while before is not nil
	resumed   string  // the session in which it asked to resume; empty once that is answered
	mixed     bool    // the answer is of another session
	plain     plainness
	before    *crowd   // who was known before the answer; nil if that is over, or was a reset
	base      *base    // what the answer is about; nil if that is over
	undone    []string // who had entered by answers that were cut off
	truncated bool     // it was said that messages are missing
}

// A crowd is some occupants.
type crowd struct {
	occupants map[string]*seen
	bytes     int // of their payloads
}

// A base is what was known when the client asked to enter.
type base struct {
	crowd
	last, lastPresence Element
	resumed            string
}

// A seen is an occupant, and the join since which it was listed last. It does not change.
type seen struct {
	Occupant
	joins uint64
}

type occupancyState uint8

const (
	outside occupancyState = iota
	asking                 // from Join until the room has answered
	inside
)

// NewOccupancy returns what is known of a room before it was ever entered: nothing. The
// address is the room's with the nickname to ask for as its resourcepart.
func NewOccupancy(room jid.JID) *Occupancy {
	return &Occupancy{
		room: room.Bare(), nick: room.Resourcepart(), want: room.Resourcepart(),
		crowd: crowd{occupants: make(map[string]*seen)},
	}
}

// Join returns what to put into the presence by which the client enters, beside the
// element x of the namespace http://jabber.org/protocol/muc, and from then on takes what
// comes from the room as the answer. The presence is for [Occupancy.Address].
//
// It asks to resume behind the last stanza that the room has annotated, if there is one
// and nothing has been lost since. A whole state that comes after a reset may be cut off
// anywhere. Any other answer counts from its end on, which is [RoomJoined]: if it is cut
// off, all that it has said about occupants is undone, and comes again.
//
// The id is that of the presence, and differs from those of other joins. It may be empty,
// but then the client may be wrong about where the answer ends, if the room thinks that it
// is still there, or has not answered the join before.
func (o *Occupancy) Join(id string) Element {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.leave()
	if o.missing {
		o.forget()
	}
	e := o.last
	if o.LastPresence {
		e = o.lastPresence
	}
	if e != (Element{}) {
		e.Type = Resume
	}
	o.asked, o.resumed = id, e.Session
	o.truncated = false
	o.await()
	return e
}

// await begins to wait for an answer.
func (o *Occupancy) await() {
	o.joins++
	o.state, o.latest, o.mixed, o.plain, o.missing = asking, Element{}, false, isPlain, false
	o.before = &crowd{maps.Clone(o.occupants), o.bytes}
	o.base = &base{*o.before, o.last, o.lastPresence, o.resumed}
}

// again waits for the answer as if nothing had come since the join. What has come is not
// all that there was before the answer.
func (o *Occupancy) again() {
	o.before, o.last, o.lastPresence, o.resumed = &o.base.crowd, o.base.last, o.base.lastPresence, o.base.resumed
	o.leave()
	o.await()
}

// Lost says that the session has ended, or will not be used any more: the client is not
// in the room until it has entered again. What comes from the room before that is not
// taken, as something may be missing between.
func (o *Occupancy) Lost() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.leave()
}

// leave notes that the client is not inside. An answer that is not complete is undone, as
// the place to resume at is the one before it: a room that is told so says nothing about
// those who have come since and gone again.
func (o *Occupancy) leave() {
	if o.before != nil {
		for nick := range o.occupants {
			if o.before.occupants[nick] == nil {
				o.undone = append(o.undone, nick)
			}
		}
		slices.Sort(o.undone)
		o.undone = slices.Compact(o.undone)
		o.undone = o.undone[:min(len(o.undone), MaxOccupants)]
		o.crowd, o.before, o.missing = *o.before, nil, false
	}
	o.reflects = o.givesIDs()
	o.state, o.base = outside, nil
}

// givesIDs reports whether the room's answers have the id of what they answer, as far as is
// known for the next one. Of a room that is another one now there may be none to wait for.
func (o *Occupancy) givesIDs() bool {
	return o.reflects && !(o.state == asking && o.plain == plainAnswer)
}

// plainness is what shows that a room answers which has no fast reconnects.
type plainness uint8

const (
	isPlain     plainness = iota // nothing has come that is annotated
	plainSelf                    // but the client's own presence
	plainAnswer                  // and then a subject
	notPlain                     // it has
)

// forget makes the next join one that does not resume.
func (o *Occupancy) forget() { o.last, o.lastPresence = Element{}, Element{} }

// SetNick changes the nickname that the next join asks for. It does not change it in the
// room. The error is [ErrAddress].
func (o *Occupancy) SetNick(nick string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	at, err := o.room.WithResource(nick)
	if err != nil {
		return fmt.Errorf("%w: the nickname: %w", ErrAddress, err)
	}
	if nick == "" {
		return fmt.Errorf("%w: there is no nickname", ErrAddress)
	}
	o.want = at.Resourcepart()
	return nil
}

// Address returns where to send the presence by which the client enters: the room's
// address with the nickname that it asks for.
func (o *Occupancy) Address() jid.JID {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.address(o.want)
}

// address returns that of an occupant, or of the room if there is no such nickname.
func (o *Occupancy) address(nick string) jid.JID {
	at, err := o.room.WithResource(nick)
	if err != nil {
		return o.room // No nickname is taken that has an error.
	}
	return at
}

// Nick returns the client's own nickname as the room has said last, or until then the
// one that it asks for.
func (o *Occupancy) Nick() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.nick
}

// Inside reports whether the client is in the room: the room has sent it its own
// presence, and nothing has happened since that takes it out.
func (o *Occupancy) Inside() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.state == inside
}

// Supported reports whether the room has fast reconnects. It is what the last answer to
// a join has shown, and false before.
func (o *Occupancy) Supported() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.supported
}

// Codes returns the status codes of the client's own last presence, such as
// [StatusCreated], as far as they are known in this session.
func (o *Occupancy) Codes() []int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.codes)
}

// Subject returns the room's subject.
func (o *Occupancy) Subject() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.subject
}

// Occupant returns the occupant of a nickname, the client itself included. Of its
// addresses there is the one that the room shows, if it shows one.
func (o *Occupancy) Occupant(nick string) (one Occupant, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s := o.occupants[nick]; s != nil {
		return s.public(), true
	}
	return Occupant{}, false
}

// Occupants returns all occupants, by nickname, as they are when the iteration begins.
// If the client is not inside they are those that it knew when it was, or as far as the
// room's answer has come.
func (o *Occupancy) Occupants() iter.Seq[Occupant] {
	return func(yield func(Occupant) bool) {
		for _, one := range o.all() {
			if !yield(one) {
				return
			}
		}
	}
}

// all returns all occupants by nickname.
func (o *Occupancy) all() []Occupant {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sorted()
}

func (c *crowd) sorted() []Occupant {
	all := make([]Occupant, 0, len(c.occupants))
	for _, nick := range slices.Sorted(maps.Keys(c.occupants)) {
		all = append(all, c.occupants[nick].public())
	}
	return all
}

func (s *seen) public() Occupant {
	one := s.Occupant
	one.JIDs = slices.Clone(one.JIDs)
	return one
}

// put adds an occupant, or replaces it, if there is space.
func (c *crowd) put(one Occupant, joins uint64) (known, missing bool) {
	known = c.remove(one.Nick)
	if len(c.occupants) >= MaxOccupants {
		return known, true
	}
	if c.bytes+len(one.Payload.xml) > MaxPresences {
		one.Payload = Payload{}
	}
	c.bytes += len(one.Payload.xml)
	c.occupants[one.Nick] = &seen{one, joins}
	return known, false
}

// remove takes an occupant out. It reports whether it was known.
func (c *crowd) remove(nick string) bool {
	s := c.occupants[nick]
	if s != nil {
		c.bytes -= len(s.Payload.xml)
		delete(c.occupants, nick)
	}
	return s != nil
}

// clear forgets all occupants, or those that were not listed since the last join, and
// returns their nicknames.
func (o *Occupancy) clear(all bool) (gone []string) {
	for nick, s := range o.occupants {
		if all || s.joins != o.joins {
			gone = append(gone, nick)
			o.remove(nick)
		}
	}
	return gone
}

// gone returns nicknames in order, with those of an answer that was undone, and is over
// by that.
func (o *Occupancy) gone(nicks []string) []string {
	for _, nick := range o.undone {
		if o.occupants[nick] == nil {
			nicks = append(nicks, nick)
		}
	}
	o.undone = nil
	slices.Sort(nicks)
	return slices.Compact(nicks)
}
