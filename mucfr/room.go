// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr

import (
	"container/list"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"
)

// Errors of a [Room]'s methods. Nothing has changed then.
var (
	// ErrConflict means that a nickname is somebody else's.
	ErrConflict = errors.New("mucfr: the nickname is taken")

	// ErrInside means that a client is in the room by another nickname. It has to be
	// renamed, or to leave, first.
	ErrInside = errors.New("mucfr: the client is in the room by another nickname")

	// ErrNotInside means that nobody of that address or nickname is in the room.
	ErrNotInside = errors.New("mucfr: there is no such occupant")

	// ErrRole means that somebody without a role is to enter.
	ErrRole = errors.New("mucfr: an occupant has a role")

	// ErrAddress means that something is no full JID, or no nickname.
	ErrAddress = errors.New("mucfr: not an address")
)

// Config is what a room is like. The zero value is a room that is semi-anonymous.
type Config struct {
	// NonAnonymous shows everybody's real address to all, and not just to moderators.
	NonAnonymous bool

	// Logged says that what is said can be read elsewhere, by others.
	Logged bool

	// History is how many messages somebody gets who enters without asking for a number.
	// If it is zero it is DefaultHistory; if it is negative there are none.
	History int
}

// DefaultHistory is enough to see what is being talked about.
const DefaultHistory = 20

// Options configure a [Room].
type Options struct {
	Config Config
	Limits Limits

	// AnnotateAll annotates messages and presences for all, and not only for clients that
	// have asked for it. XEP-0311 may be read as wanting that for messages.
	AnnotateAll bool
}

// Room is a chat room's memory: who is in it, what was said, and what has changed
// since when. A service tells it what happens, and it says what to send to whom.
//
// Its methods must not be called at the same time. What they return must be sent, to
// each client in the order in which it was returned. So a service keeps a lock, or
// a goroutine, for each room, in which it calls a method and puts what that returns
// into the queues of its clients.
//
// A client that something was lost to on its way must not get what comes behind that: it
// would resume there. It has to enter again first. To tell it so, by [StatusError] for
// instance, is for the service, as what a Room returns is annotated.
//
// A Room believes what it is told: whether somebody may do something is for the
// service to decide, and so is how many occupants there may be, and clients of each.
type Room struct {
	address jid.JID // bare
	opts    Options

	session string
	runs    []run // the last one is this one

	head     uint64 // number of the last event
	occupant map[string]*occupant
	inside   map[string]*client // by full JID
	byJoined map[uint64]*occupant
	order    list.List // of occupants, as they have changed
	gone     departures
	visits   visits
	history  messages
	subject  subject

	saver *saver // nil if nothing is stored
}

// An occupant is somebody in the room.
type occupant struct {
	nick        string
	bare        jid.JID
	affiliation muc.Affiliation
	role        muc.Role
	payload     Payload

	joined  uint64 // the event by which it has come, which tells it from others
	named   uint64 // the event by which it has got the nickname
	changed uint64 // the event by which it has become what it is
	clients []*client
	elem    *list.Element
	parts   [2]*part // of its presence, without and with the real address
}

// A client is one of those by which an occupant is in the room.
type client struct {
	jid      jid.JID
	to       string
	occupant *occupant
	annotate bool
}

// real is the occupant's address as it is shown.
func (o *occupant) real() jid.JID { return o.clients[len(o.clients)-1].jid }

// NewRoom returns an empty room. The address is a bare JID.
func NewRoom(address jid.JID, opts Options) *Room {
	r := &Room{
		address: address.Bare(), opts: opts,
		occupant: make(map[string]*occupant), inside: make(map[string]*client), byJoined: make(map[uint64]*occupant),
	}
	r.opts.Limits = opts.Limits.withDefaults()
	r.renew()
	r.begin()
	return r
}

// sessionBytes makes sessions that nobody guesses and none is like another one.
const sessionBytes = 12

// begin begins a session: nothing that was known of the room before helps.
func (r *Room) begin() {
	r.session = base64.RawURLEncoding.EncodeToString(random(sessionBytes))
	r.runs = nil
	r.begun()
	r.visits.renew(r.head)
	r.touch(keyRoom)
}

// renew forgets what was said, here or in another room of the address, so that whoever has
// not come since knows nothing of it.
func (r *Room) renew() {
	r.head++
	r.history, r.subject = messages{lost: r.head}, subject{}
}

// begun begins a run.
func (r *Room) begun() {
	if n := len(r.runs); n > 0 {
		r.runs[n-1].end = r.head
	}
	one, _ := newRun(random(keySize)) // The key has the right size.
	r.runs = append(r.runs, one)
	r.runs = r.runs[max(0, len(r.runs)-maxRuns):]
}

// Address returns the room's bare JID.
func (r *Room) Address() jid.JID { return r.address }

// Session returns what tells the room from another one that had its address before.
func (r *Room) Session() string { return r.session }

// Config returns what the room is like.
func (r *Room) Config() Config { return r.opts.Config }

// Occupant is somebody in a room.
type Occupant struct {
	Nick        string
	JIDs        []jid.JID // full, one for each client; the last one is what others are shown
	Affiliation muc.Affiliation
	Role        muc.Role
	Payload     Payload // of the last presence
}

func (o *occupant) public() Occupant {
	p := Occupant{Nick: o.nick, Affiliation: o.affiliation, Role: o.role, Payload: o.payload}
	for _, c := range o.clients {
		p.JIDs = append(p.JIDs, c.jid)
	}
	return p
}

// Len returns the number of occupants.
func (r *Room) Len() int { return len(r.occupant) }

// Occupant returns the occupant of a nickname.
func (r *Room) Occupant(nick string) (o Occupant, ok bool) {
	if o, ok := r.occupant[nick]; ok {
		return o.public(), true
	}
	return Occupant{}, false
}

// Client returns the occupant that a client is, by its full JID.
func (r *Room) Client(full jid.JID) (o Occupant, ok bool) {
	if c, ok := r.inside[full.String()]; ok {
		return c.occupant.public(), true
	}
	return Occupant{}, false
}

// Occupants returns all occupants, those that have changed last at the end.
// The room must not be changed before it has ended.
func (r *Room) Occupants() iter.Seq[Occupant] {
	return func(yield func(Occupant) bool) {
		for e := r.order.Front(); e != nil; e = e.Next() {
			if !yield(e.Value.(*occupant).public()) {
				return
			}
		}
	}
}

// next begins an event.
func (r *Room) next() uint64 {
	r.head++
	r.touch(keyRoom)
	r.forgetOld(time.Now())
	return r.head
}

// real reports whether somebody with a role sees real addresses.
func (r *Room) real(role muc.Role) bool {
	return r.opts.Config.NonAnonymous || role == muc.RoleModerator
}

// sees is real as an index.
func (r *Room) sees(c *client) int { return sight(r.real(c.occupant.role)) }

// place checks a nickname, and returns the address of an occupant who has it.
func (r *Room) place(nick string) (jid.JID, error) {
	at, err := r.address.WithResource(nick)
	if err != nil {
		return jid.JID{}, fmt.Errorf("%w: the nickname: %w", ErrAddress, err)
	}
	if strings.Trim(nick, " ") == "" || at.Resourcepart() != nick {
		return jid.JID{}, fmt.Errorf("%w: a nickname is a resourcepart as RFC 7622 prepares it, and not just spaces", ErrAddress)
	}
	return at, nil
}

// add makes somebody an occupant.
func (r *Room) add(o *occupant) {
	o.elem = r.order.PushBack(o)
	r.occupant[o.nick], r.byJoined[o.joined] = o, o
	r.touch(keyOccupant + o.nick)
}

// remove takes an occupant out.
func (r *Room) remove(o *occupant) {
	r.order.Remove(o.elem)
	delete(r.occupant, o.nick)
	delete(r.byJoined, o.joined)
	r.touch(keyOccupant + o.nick)
}

// enter makes a client one by which an occupant is in the room.
func (r *Room) enter(o *occupant, full jid.JID) *client {
	c := &client{jid: full, to: string(appendEscaped(nil, full.String())), occupant: o}
	r.inside[full.String()] = c
	o.clients = append(o.clients, c)
	return c
}

// exit takes a client out.
func (r *Room) exit(c *client, number uint64) {
	delete(r.inside, c.jid.String())
	o := c.occupant
	o.clients = slices.DeleteFunc(o.clients, func(other *client) bool { return other == c })
	r.visits.exit(o.bare, r.real(o.role), number)
	r.touch(keyVisit + o.bare.String())
}

// become gives an occupant another affiliation and role by an event.
func (r *Room) become(o *occupant, a muc.Affiliation, role muc.Role, number uint64) {
	r.visits.all[o.bare.String()].turn(r.real(o.role), r.real(role), len(o.clients), number)
	r.touch(keyVisit + o.bare.String())
	o.affiliation, o.role = a, role
	r.changed(o, number)
}

// changed notes that an occupant has become another one by an event.
func (r *Room) changed(o *occupant, number uint64) {
	o.changed, o.parts = number, [2]*part{}
	r.order.MoveToBack(o.elem)
	r.touch(keyOccupant + o.nick)
}
