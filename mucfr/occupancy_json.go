// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"

	"mellium.im/xmpp/jid"
)

// savedVersion is that of what MarshalJSON writes.
const savedVersion = 1

// A savedOccupancy is an Occupancy as JSON.
type savedOccupancy struct {
	Version      int             `json:"version"`
	Room         string          `json:"room"`
	Nick         string          `json:"nick"`
	Session      string          `json:"session,omitempty"`
	ID           string          `json:"id,omitempty"`
	Presence     string          `json:"presence,omitempty"` // the id of the last one
	LastPresence bool            `json:"last_presence,omitempty"`
	Supported    bool            `json:"supported,omitempty"`
	Reflects     bool            `json:"reflects,omitempty"`
	Missing      bool            `json:"missing,omitempty"`
	Subject      string          `json:"subject,omitempty"`
	Occupants    []savedOccupant `json:"occupants,omitempty"`
}

type savedOccupant struct {
	Nick        string `json:"nick"`
	JID         string `json:"jid,omitempty"`
	Affiliation string `json:"affiliation"`
	Role        string `json:"role"`
	Payload     string `json:"payload,omitempty"`
}

// MarshalJSON returns all that is needed to resume, also for another program of the same
// account. It says where somebody was, and with whom.
func (o *Occupancy) MarshalJSON() ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := savedOccupancy{
		Version: savedVersion, Room: o.room.String(), Nick: o.want,
		Session: o.last.Session, ID: o.last.ID, Presence: o.lastPresence.ID, LastPresence: o.LastPresence,
		Supported: o.supported, Reflects: o.givesIDs(), Missing: o.missing, Subject: o.subject,
	}
	all := o.crowd
	if o.before != nil {
		all, s.Missing = *o.before, false // The answer may be cut off.
	}
	for _, one := range all.sorted() {
		saved := savedOccupant{
			Nick: one.Nick, Affiliation: one.Affiliation.String(), Role: one.Role.String(), Payload: one.Payload.xml,
		}
		if len(one.JIDs) > 0 {
			saved.JID = one.JIDs[0].String()
		}
		s.Occupants = append(s.Occupants, saved)
	}
	return json.Marshal(s)
}

// UnmarshalJSON takes what MarshalJSON has returned, in place of all that was known. The
// client is not inside then, whether it was or not.
// The error is [ErrCorrupt]. Nothing has changed then.
func (o *Occupancy) UnmarshalJSON(b []byte) error {
	var s savedOccupancy
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	n, err := s.occupancy()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.LastPresence = s.LastPresence
	o.room, o.nick, o.want, o.state = n.room, n.nick, n.want, outside
	o.crowd, o.before, o.undone, o.missing = n.crowd, nil, nil, n.missing
	o.subject, o.codes, o.supported, o.reflects = n.subject, nil, n.supported, n.reflects
	o.last, o.lastPresence = n.last, n.lastPresence
	o.joins, o.asked, o.latest, o.resumed, o.base, o.plain = 0, "", Element{}, "", nil, isPlain
	return nil
}

// occupancy returns what was saved.
func (s *savedOccupancy) occupancy() (*Occupancy, error) {
	if s.Version != savedVersion {
		return nil, fmt.Errorf("version %d is not known", s.Version)
	}
	var room jid.JID // As that of the zero Occupancy.
	if s.Room != "" {
		var err error
		if room, err = jid.Parse(s.Room); err != nil {
			return nil, fmt.Errorf("the room: %w", err)
		}
	} else if s.ID != "" || s.Session != "" || s.Subject != "" || len(s.Occupants) > 0 {
		return nil, errors.New("there is no room")
	}
	if room.Resourcepart() != "" {
		return nil, errors.New("the room is an occupant")
	}
	o := NewOccupancy(room)
	at, err := room.WithResource(s.Nick)
	if err != nil {
		return nil, fmt.Errorf("the nickname: %w", err)
	}
	o.nick, o.want = at.Resourcepart(), at.Resourcepart()
	if len(s.Session) > MaxPoint || len(s.ID) > MaxPoint || len(s.Presence) > MaxPoint || len(s.Subject) > MaxSubject {
		return nil, errors.New("something is too long")
	}
	if s.Session != "" && s.ID != "" {
		o.last = Element{Session: s.Session, ID: s.ID}
		if s.Presence != "" {
			o.lastPresence = Element{Session: s.Session, ID: s.Presence}
		}
	}
	o.supported, o.reflects, o.missing, o.subject = s.Supported, s.Reflects, s.Missing, s.Subject
	if len(s.Occupants) > MaxOccupants {
		return nil, errors.New("there are too many occupants")
	}
	for _, saved := range s.Occupants {
		one, err := saved.occupant(room)
		if err != nil {
			return nil, fmt.Errorf("an occupant: %w", err)
		}
		if known, _ := o.put(one, 0); known {
			return nil, errors.New("an occupant is there twice")
		}
	}
	return o, nil
}

func (s *savedOccupant) occupant(room jid.JID) (Occupant, error) {
	var one Occupant
	at, err := room.WithResource(s.Nick)
	if err != nil {
		return one, err
	}
	if one.Nick = at.Resourcepart(); one.Nick == "" {
		return one, errors.New("there is no nickname")
	}
	if s.JID != "" {
		j, err := jid.Parse(s.JID)
		if err != nil {
			return one, err
		}
		one.JIDs = []jid.JID{j}
	}
	if err := one.Affiliation.UnmarshalXMLAttr(xml.Attr{Value: s.Affiliation}); err != nil {
		return one, err
	}
	if err := one.Role.UnmarshalXMLAttr(xml.Attr{Value: s.Role}); err != nil {
		return one, err
	}
	p, err := ReadPayload(xml.NewDecoder(strings.NewReader(s.Payload)))
	if err != nil || len(p.xml) > MaxPresence {
		return one, fmt.Errorf("the presence of %q is not one that was kept", one.Nick)
	}
	one.Payload = p
	return one, nil
}
