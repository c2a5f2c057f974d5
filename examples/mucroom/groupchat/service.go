// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat

import (
	"context"
	"encoding/xml"
	"log/slog"
	"sync"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/mucfr"
)

// Options configure a [Service]. Fields that are zero are the defaults.
type Options struct {
	// Send is called with what is to be sent, in this order. It must not block, nor call
	// the service. If it is nil nothing is sent.
	Send func(...Stanza)

	// Store keeps what rooms remember, and Records what they are like, for the service
	// that is opened next. If either is nil all rooms are gone with the service.
	Store   mucfr.Store
	Records Records

	// Limits bound what a room remembers.
	Limits mucfr.Limits

	// Grace is how long who was inside may take to enter again when the service was not
	// there all the time, or DefaultGrace.
	Grace time.Duration

	// MaxOccupants is how many occupants a room may have, whatever its owner says, or
	// DefaultMaxOccupants.
	MaxOccupants int

	// MaxRooms is how many rooms there may be, or DefaultMaxRooms.
	MaxRooms int

	// Logger gets what went wrong with the store. If it is nil nothing is logged.
	Logger *slog.Logger
}

// Service is a domain with chat rooms. It is safe for concurrent use.
type Service struct {
	domain jid.JID
	opts   Options

	// Held around everything but what Save does on a disk.
	mu     sync.Mutex
	rooms  map[string]*room // by localpart
	pace   pace
	asked  asked
	due    time.Time // when who is away has to be back; zero if nobody has to
	closed bool

	// Held around each use of the store and the records, and taken with mu held if both
	// are: what is stored of a room is stored in the order in which it happened, and
	// not after the room is gone.
	storing sync.Mutex
	saving  sync.Mutex // held around Save
}

// Handle does what a stanza asks for: a child of the component's stream, by its start
// and by what is in it. It reads what it needs.
//
// A stanza that cannot be understood is refused or ignored, and never an error.
func (s *Service) Handle(start xml.StartElement, children xml.TokenReader) {
	q, ok := newRequest(start, children)
	if !ok {
		return // Nobody is there to be told.
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	local := q.to.Localpart()
	switch {
	case q.to.Domainpart() != s.domain.Domainpart():
		s.refuse(q, errNotFound)
	case q.name == "iq":
		s.iq(q, s.rooms[local])
	case local == "":
		if q.name == "message" {
			s.refuse(q, errUnavailable)
		}
	case q.name == "message":
		s.message(q, s.rooms[local])
	case q.name == "presence":
		s.presence(q, s.rooms[local])
	}
	if r := s.rooms[local]; r != nil {
		s.drop(r, false)
	}
}

// send hands over stanzas of the service's own.
func (s *Service) send(all ...Stanza) {
	if s.opts.Send != nil {
		s.opts.Send(all...)
	}
}

// say hands over what a room says, but for what is for those who are away.
func (s *Service) say(r *room, all []mucfr.Stanza) {
	to := make([]Stanza, 0, len(all))
	for _, one := range all {
		if !r.isAway(one.To) {
			to = append(to, one)
		}
	}
	s.send(to...)
}

// refuse answers with an error, unless that is what it would answer.
func (s *Service) refuse(q request, e stanza.Error) {
	if q.kind == "error" || q.name == "iq" && q.kind == "result" {
		return
	}
	s.send(q.reply("error", errorXML(q.name, e)))
}

// log logs what went wrong.
func (s *Service) log(text string, err error) {
	if s.opts.Logger != nil {
		s.opts.Logger.Error(text, "err", err)
	}
}

// storeTime returns a context for a use of the store.
func storeTime(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, storeTimeout)
}

// storeTimeout is how long a store may take for one room. Rooms stand still meanwhile.
const storeTimeout = 5 * time.Second
