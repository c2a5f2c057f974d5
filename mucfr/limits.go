// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr

import (
	"cmp"
	"container/list"
	"slices"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"
)

// Limits bound what a room remembers. Who comes back after something was forgotten
// gets the whole state. Fields that are zero are the defaults.
type Limits struct {
	// Departures is how many are remembered of those who have left. If it is negative
	// none is.
	Departures int

	// Visitors is how many accounts are remembered that were in the room.
	Visitors int

	// Messages is how many messages are kept, and MessageBytes how many bytes of them.
	Messages, MessageBytes int

	// Age is for how long all that is kept.
	Age time.Duration
}

// Defaults of [Limits]. A room that is full by all of them takes less than three
// megabytes if addresses and nicknames are as long as usual, and about 20 if all are as
// long as they may be.
const (
	DefaultDepartures   = 4096 // a day of a busy room
	DefaultVisitors     = 4096
	DefaultMessages     = 512
	DefaultMessageBytes = 1 << 20
	DefaultAge          = 24 * time.Hour
)

func (l Limits) withDefaults() Limits {
	return Limits{
		Departures:   max(0, cmp.Or(l.Departures, DefaultDepartures)),
		Visitors:     max(0, cmp.Or(l.Visitors, DefaultVisitors)),
		Messages:     max(0, cmp.Or(l.Messages, DefaultMessages)),
		MessageBytes: max(0, cmp.Or(l.MessageBytes, DefaultMessageBytes)),
		Age:          max(0, cmp.Or(l.Age, DefaultAge)),
	}
}

// A departure is somebody who has left, or has another nickname.
type departure struct {
	nick        string
	jid         jid.JID // full
	affiliation muc.Affiliation
	joined      uint64 // as that of the occupant
	named       uint64
	number      uint64 // the event by which it has gone
	renamed     bool
	codes       []int
	time        time.Time
}

// departures are in the order in which they happened.
type departures struct {
	all   []departure
	floor uint64 // the number of the last one that was forgotten
}

// since returns those after an event.
func (d *departures) since(number uint64) []departure {
	i, _ := slices.BinarySearchFunc(d.all, number+1, func(d departure, n uint64) int { return cmp.Compare(d.number, n) })
	return d.all[i:]
}

// A visit is what is known of an account that is or was in the room.
type visit struct {
	bare  jid.JID
	open  [2]int // clients that are inside, without and with sight of real addresses
	last  uint64 // the event by which the last one has left
	real  bool   // it sees real addresses, unless some of its clients do and others do not
	since uint64 // the event from which on all of them did, or none
	time  time.Time
	elem  *list.Element // in closed
}

// visits are those of all accounts.
type visits struct {
	all    map[string]*visit
	closed list.List // those without clients, in the order in which they were left
}

// sight is what somebody sees of addresses as an index.
func sight(real bool) int {
	if real {
		return 1
	}
	return 0
}

// enter notes that a client has come by an event, and what it sees.
func (v *visits) enter(bare jid.JID, real bool, number uint64) {
	if v.all == nil {
		v.all = make(map[string]*visit)
	}
	one := v.all[bare.String()]
	if one == nil {
		one = &visit{bare: bare, real: real, since: number}
		v.all[bare.String()] = one
	}
	if one.elem != nil {
		v.closed.Remove(one.elem)
		one.elem = nil
	}
	if one.real != real || one.open[sight(!real)] > 0 {
		one.real, one.since = real, number
	}
	one.open[sight(real)]++
}

// turn notes that some of the account's clients see something else from an event on.
func (v *visit) turn(was, real bool, clients int, number uint64) {
	if was == real {
		return
	}
	v.open[sight(was)] -= clients
	v.open[sight(real)] += clients
	v.real, v.since = real, number
}

// knows reports whether all clients of the account saw as much at the time of an event.
func (v *visit) knows(real bool, seen uint64) bool {
	return v.real == real && v.open[sight(!real)] == 0 && seen >= v.since
}

// inside reports whether some client is.
func (v *visit) inside() bool { return v.open != [2]int{} }

// exit notes that a client has gone by an event, and what it saw.
func (v *visits) exit(bare jid.JID, real bool, number uint64) {
	one := v.all[bare.String()]
	if one == nil {
		return
	}
	one.open[sight(real)]--
	one.last, one.time = number, time.Now()
	switch {
	case !one.inside():
		one.elem = v.closed.PushBack(one)
	case one.open[sight(real)] == 0:
		// Those who are left have been the only ones since.
		one.real, one.since = !real, number+1
	}
}

// renew forgets what accounts have seen before an event.
func (v *visits) renew(number uint64) {
	for _, one := range v.all {
		one.since = number
	}
}

// A message is one that is kept for those who come later.
type message struct {
	nick    string // empty if it is from the room
	id      string
	payload Payload
	number  uint64
	time    time.Time
}

// messages are in the order in which they were said.
type messages struct {
	all   []message
	bytes int
	floor uint64 // the number of the last one that was forgotten
	lost  uint64 // before this event, some may have been lost
}

// size is about what a message takes.
func (m message) size() int { return len(m.nick) + len(m.id) + len(m.payload.xml) }

// since returns those after an event, and whether there were others that were
// forgotten.
func (m *messages) since(number uint64) (all []message, forgotten bool) {
	i, _ := slices.BinarySearchFunc(m.all, number+1, func(m message, n uint64) int { return cmp.Compare(m.number, n) })
	return m.all[i:], max(m.floor, m.lost) > number
}

// forgetOld forgets what there is too much of.
func (r *Room) forgetOld(now time.Time) {
	l, then := r.opts.Limits, now.Add(-r.opts.Limits.Age)
	for d := &r.gone; len(d.all) > 0 && (len(d.all) > l.Departures || d.all[0].time.Before(then)); d.all = d.all[1:] {
		d.floor = d.all[0].number
		r.touch(keyDeparture + numbered(d.floor))
		d.all[0] = departure{}
	}
	for m := &r.history; len(m.all) > 0 && (len(m.all) > l.Messages || m.bytes > l.MessageBytes || m.all[0].time.Before(then)); m.all = m.all[1:] {
		m.floor = m.all[0].number
		m.bytes -= m.all[0].size()
		r.touch(keyMessage + numbered(m.floor))
		m.all[0] = message{}
	}
	for v := &r.visits; v.closed.Len() > 0; {
		e := v.closed.Front()
		one := e.Value.(*visit)
		if v.closed.Len() <= l.Visitors && !one.time.Before(then) {
			break
		}
		v.closed.Remove(e)
		delete(v.all, one.bare.String())
		r.touch(keyVisit + one.bare.String())
	}
}
