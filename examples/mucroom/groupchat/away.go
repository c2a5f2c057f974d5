// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat

import (
	"time"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mucfr"
)

// When a service has not been there all the time, its clients have to enter again. Until
// they do they are away: their rooms count them as inside, but nothing is sent to them,
// and they are refused what those are refused who are outside. So nobody hears of those
// who come back, and each of them resumes at what it was sent last, whatever was lost
// behind that. Who is not back in time leaves.

// Attached says that the service has a connection to its server, and that all before it
// are lost. Everybody who may be inside is told to enter again (by mucfr.StatusError), for
// which there is as much time as [Options].Grace says. The first that is called of a
// service is this.
func (s *Service) Attached() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.rooms {
		r.away = nil
		s.dismiss(r, mucfr.StatusError)
	}
	s.due = time.Now().Add(s.opts.Grace)
}

// Lost says that the connection is lost, and that stanzas may be that were sent. Nothing
// is sent any more until there is another one.
func (s *Service) Lost() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.rooms {
		r.suspend()
	}
	s.due = time.Time{}
}

// Shutdown tells everybody who is inside that the service ends (by mucfr.StatusShutdown).
// Stanzas are not handled any more.
func (s *Service) Shutdown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	for _, r := range s.rooms {
		if r.locked {
			s.destroy(r, mucfr.Destroyed{}) // It is not stored, so nobody could unlock it.
		} else {
			s.dismiss(r, mucfr.StatusShutdown)
		}
	}
	s.closed = true
}

// Expire takes everybody out who was told to enter again and has not done so in time. It
// has to be called every now and then.
func (s *Service) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.due.IsZero() || time.Now().Before(s.due) {
		return
	}
	s.due = time.Time{}
	for _, r := range s.rooms {
		var late []jid.JID
		for o := range r.Occupants() {
			for _, full := range o.JIDs {
				if r.isAway(full) {
					late = append(late, full)
				}
			}
		}
		for _, full := range late {
			s.leave(full, r, mucfr.Payload{}, mucfr.StatusKicked, mucfr.StatusError)
		}
		r.away = nil
		s.drop(r, false)
	}
}

// dismiss makes everybody go away, and tells who is not yet. What says so is not annotated,
// although XEP-0311 wants all presences to be: a client would resume behind it, and miss
// what was lost before.
func (s *Service) dismiss(r *room, code int) {
	for o := range r.Occupants() {
		for _, full := range r.clients(o) {
			s.send(packet{
				name: "presence", kind: "unavailable", from: r.at(o.Nick), to: full,
				body: goneXML(o.Affiliation, mucfr.StatusSelf, code),
			})
		}
	}
	r.suspend()
}

// suspend makes everybody go away.
func (r *room) suspend() {
	r.away = make(map[string]bool)
	for o := range r.Occupants() {
		for _, full := range o.JIDs {
			r.away[full.String()] = true
		}
	}
}

// isAway reports whether a client is away.
func (r *room) isAway(full jid.JID) bool { return len(r.away) > 0 && r.away[full.String()] }

// Client returns the occupant that a client is, unless it is away.
func (r *room) Client(full jid.JID) (mucfr.Occupant, bool) {
	if r.isAway(full) {
		return mucfr.Occupant{}, false
	}
	return r.Room.Client(full)
}

// clients returns those of an occupant that are not away.
func (r *room) clients(o mucfr.Occupant) (all []jid.JID) {
	for _, full := range o.JIDs {
		if !r.isAway(full) {
			all = append(all, full)
		}
	}
	return all
}
