// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat

import (
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/mucfr"
)

// rank orders affiliations.
func rank(a muc.Affiliation) int {
	switch a {
	case muc.AffiliationOwner:
		return 3
	case muc.AffiliationAdmin:
		return 2
	case muc.AffiliationMember:
		return 1
	case muc.AffiliationOutcast:
		return -1
	}
	return 0
}

// A change is one that may be made: to the affiliation of an account, or to the role of
// an occupant.
type change struct {
	bare        jid.JID // zero if it is a role
	affiliation muc.Affiliation

	nick string
	role muc.Role

	why mucfr.Why
}

// roleChange checks that somebody may change the role of an occupant (XEP-0045,
// section 5.1).
func (r *room) roleChange(by jid.JID, item adminItem) (c change, e *stanza.Error) {
	role, err := roleOf(item.Role)
	if err != nil {
		return c, &errBadRequest
	}
	actor, _ := r.Client(by)
	o, ok := r.Occupant(item.Nick)
	const admin = 2
	mine, its := rank(r.affiliation(by)), rank(o.Affiliation)
	switch {
	case actor.Role != muc.RoleModerator:
		return c, &errForbidden
	case !ok:
		return c, &errNotFound
	case role == o.Role:
	case its > mine:
		return c, &errNotAllowed
	case role == muc.RoleNone:
		if o.Role == muc.RoleModerator && mine < admin {
			return c, &errNotAllowed
		}
	case o.Role == muc.RoleModerator && its >= admin:
		return c, &errNotAllowed // It is one by its affiliation.
	case role == muc.RoleModerator || o.Role == muc.RoleModerator:
		if mine < admin {
			return c, &errForbidden
		}
	case role == muc.RoleVisitor && its >= mine:
		return c, &errNotAllowed
	}
	return change{nick: item.Nick, role: role}, nil
}

// affiliationChange checks that somebody may change the affiliation of an account, as
// it is after other changes, and makes the change there (XEP-0045, section 5.2).
func (r *room) affiliationChange(by jid.JID, item adminItem, after map[string]muc.Affiliation) (c change, e *stanza.Error) {
	a, err := affiliationOf(item.Affiliation)
	if err != nil {
		return c, &errBadRequest
	}
	bare, err := jid.Parse(item.JID)
	if o, ok := r.Occupant(item.Nick); item.JID == "" && ok {
		bare, err = o.JIDs[0], nil
	}
	if bare = bare.Bare(); err != nil || bare.Domainpart() == "" {
		return c, &errMalformed
	}
	const admin, owner = 2, 3
	mine, was := rank(after[by.Bare().String()]), after[bare.String()]
	switch {
	case mine < admin:
		return c, &errForbidden
	case a == was:
	case a == muc.AffiliationOutcast && bare.Equal(by.Bare()):
		return c, &errConflict
	case mine < owner && rank(was) >= admin:
		return c, &errNotAllowed
	case mine < owner && rank(a) >= admin:
		return c, &errForbidden
	case was == muc.AffiliationOwner && owners(after) == 1:
		return c, &errConflict
	}
	if a == muc.AffiliationNone {
		delete(after, bare.String())
	} else {
		after[bare.String()] = a
	}
	return change{bare: bare, affiliation: a}, nil
}

// owners returns how many there are.
func owners(all map[string]muc.Affiliation) (n int) {
	for _, a := range all {
		if a == muc.AffiliationOwner {
			n++
		}
	}
	return n
}

// change makes a change, and tells all.
func (s *Service) change(r *room, c change) {
	if c.bare.Equal(jid.JID{}) {
		s.setRole(r, c)
		return
	}
	if c.affiliation == muc.AffiliationNone {
		delete(r.affiliations, c.bare.String())
	} else {
		r.affiliations[c.bare.String()] = c.affiliation
	}
	r.dirty = true
	for _, o := range r.all(c.bare) {
		s.setAffiliation(r, o, c)
	}
}

func (s *Service) setRole(r *room, c change) {
	o, ok := r.Occupant(c.nick)
	if !ok || o.Role == c.role {
		return
	}
	var to []mucfr.Stanza
	var err error
	if c.role == muc.RoleNone {
		c.why.Codes = []int{mucfr.StatusKicked}
		to, err = r.Remove(o.Nick, o.Affiliation, c.why)
	} else {
		to, err = r.Set(o.Nick, o.Affiliation, c.role, c.why)
	}
	if err == nil {
		s.say(r, to)
	}
}

func (s *Service) setAffiliation(r *room, o mucfr.Occupant, c change) {
	if o.Affiliation == c.affiliation {
		return
	}
	var to []mucfr.Stanza
	var err error
	switch {
	case c.affiliation == muc.AffiliationOutcast:
		c.why.Codes = []int{mucfr.StatusBanned}
		to, err = r.Remove(o.Nick, c.affiliation, c.why)
	case c.affiliation == muc.AffiliationNone && r.config.MembersOnly:
		c.why.Codes = []int{mucfr.StatusAffiliation}
		to, err = r.Remove(o.Nick, c.affiliation, c.why)
	default:
		role := o.Role
		if rank(o.Affiliation) >= rank(muc.AffiliationAdmin) || role == muc.RoleVisitor ||
			rank(c.affiliation) >= rank(muc.AffiliationAdmin) {
			role = r.role(c.affiliation)
		}
		to, err = r.Set(o.Nick, c.affiliation, role, c.why)
	}
	if err == nil {
		s.say(r, to)
	}
}
