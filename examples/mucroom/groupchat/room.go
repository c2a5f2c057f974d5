// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat

import (
	"context"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/mucfr"
)

// A room is what a mucfr.Room remembers, and what decides who may do what in it.
type room struct {
	*mucfr.Room
	config       Config
	affiliations map[string]muc.Affiliation // by bare JID
	locked       bool                       // until its owner has said what it is like
	away         map[string]bool            // clients, by full JID, that have to enter again
	dirty        bool                       // its record is not stored
	gone         bool                       // it is not to be stored any more; guarded by storing
}

// at returns the address of an occupant.
func (r *room) at(nick string) jid.JID {
	full, _ := r.Address().WithResource(nick) // It was checked when it was chosen.
	return full
}

// affiliation returns that of the account of an address.
func (r *room) affiliation(j jid.JID) muc.Affiliation { return r.affiliations[j.Bare().String()] }

// role returns the role that somebody with an affiliation begins with.
func (r *room) role(a muc.Affiliation) muc.Role {
	switch {
	case a == muc.AffiliationOwner || a == muc.AffiliationAdmin:
		return muc.RoleModerator
	case a == muc.AffiliationMember || !r.config.Moderated:
		return muc.RoleParticipant
	}
	return muc.RoleVisitor
}

// all returns all occupants of an account, who may have several nicknames.
func (r *room) all(bare jid.JID) (all []mucfr.Occupant) {
	for o := range r.Occupants() {
		if o.JIDs[0].Bare().Equal(bare) {
			all = append(all, o)
		}
	}
	return all
}

// create makes a room whose owner is an account. It is locked.
func (s *Service) create(address, owner jid.JID) (*room, *stanza.Error) {
	if len(s.rooms) >= s.opts.MaxRooms {
		return nil, &errTooMany
	}
	r := &room{
		config:       DefaultConfig(),
		affiliations: map[string]muc.Affiliation{owner.Bare().String(): muc.AffiliationOwner},
		locked:       true,
		dirty:        true,
	}
	memory, err := s.newMemory(address.Bare(), r.config)
	if err != nil {
		s.log("making a room", err)
		return nil, &errInternal
	}
	r.Room = memory
	s.rooms[address.Localpart()] = r
	return r, nil
}

// newMemory returns the memory of a room that is new.
func (s *Service) newMemory(address jid.JID, c Config) (*mucfr.Room, error) {
	opts := mucfr.Options{Config: c.room(), Limits: s.opts.Limits}
	if !s.stores() {
		return mucfr.NewRoom(address, opts), nil
	}
	s.storing.Lock()
	defer s.storing.Unlock()
	ctx, cancel := storeTime(context.Background())
	defer cancel()
	if err := s.opts.Store.Delete(ctx, address); err != nil {
		return nil, err
	}
	return mucfr.OpenRoom(ctx, address, opts, s.opts.Store)
}

// drop forgets a room that is empty, unless it is persistent, or any room if it must.
func (s *Service) drop(r *room, must bool) {
	if !must && (r.Len() > 0 || r.config.Persistent) {
		return
	}
	delete(s.rooms, r.Address().Localpart())
	if !s.stores() {
		return
	}
	s.storing.Lock()
	defer s.storing.Unlock()
	r.gone = true
	ctx, cancel := storeTime(context.Background())
	defer cancel()
	if err := s.opts.Records.Delete(ctx, r.Address()); err != nil {
		s.log("deleting a room", err)
	}
	if err := s.opts.Store.Delete(ctx, r.Address()); err != nil {
		s.log("deleting a room", err)
	}
}
