// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfrtest

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mucfr"
)

// received is a stanza as a client reads it.
type received struct {
	XMLName xml.Name
	From    jid.JID  `xml:"from,attr"`
	To      jid.JID  `xml:"to,attr"`
	Type    string   `xml:"type,attr"`
	Body    *string  `xml:"body"`
	Subject *string  `xml:"subject"`
	Show    string   `xml:"show"`
	Delay   *delayed `xml:"urn:xmpp:delay delay"`
	User    *struct {
		Item struct {
			Affiliation string `xml:"affiliation,attr"`
			Role        string `xml:"role,attr"`
			Nick        string `xml:"nick,attr"`
			JID         string `xml:"jid,attr"`
		} `xml:"item"`
		Status []struct {
			Code int `xml:"code,attr"`
		} `xml:"status"`
	} `xml:"http://jabber.org/protocol/muc#user x"`
	Mark []struct {
		Session string `xml:"session,attr"`
		ID      string `xml:"id,attr"`
		Type    string `xml:"type,attr"`
	} `xml:"urn:xmpp:presence-session:0 presence-session"`
}

type delayed struct {
	From  string `xml:"from,attr"`
	Stamp string `xml:"stamp,attr"`
}

func (s *received) has(code int) bool {
	if s.User == nil {
		return false
	}
	for _, status := range s.User.Status {
		if status.Code == code {
			return true
		}
	}
	return false
}

// other is what a client knows of an occupant.
type other struct {
	affiliation, role, show string
	address                 string // empty if it was not shown
	who                     string // the account that it has taken it for since it came
}

// A viewer is a client that follows a room, written from the specification alone.
type viewer struct {
	*follower // nil if that is not what is to be tested

	jid  jid.JID
	nick string
	last mucfr.Element

	inside  bool
	wants   bool // ids
	pending bool // has asked to resume
	others  map[string]other

	link     int  // how many more stanzas arrive; negative if all do
	lost     int  // how many do not before
	early    bool // what comes now is from before the answer
	replaced bool // another program of the same address does not want ids
	messages

	mark   mucfr.Element // the last one that the room has made for it
	marked int           // when
	plain  bool          // as the room should have it, it gets no ids
	sight  bool          // it is known whether
	saw    bool          // what it got last was for somebody who may see addresses
}

// begin begins to wait for an answer.
func (v *viewer) begin(ask *mucfr.Element, said int) {
	v.wants = ask != nil
	v.pending = v.wants && ask.Type == mucfr.Resume
	v.messages.begin(v.pending, v.follower == nil || v.sure, said)
	if !v.pending {
		v.others, v.last = make(map[string]other), mucfr.Element{}
	}
	if v.follower != nil {
		v.settled, v.listens, v.resumes, v.quit = false, false, v.pending, false
	}
}

// receive takes a stanza in. Who says which account has a nickname.
func (v *viewer) receive(s *received, who func(nick string) string, said int) error {
	if len(s.Mark) > 1 {
		return fmt.Errorf("%d annotations", len(s.Mark))
	}
	if len(s.Mark) == 1 && s.Mark[0].Type == "" && v.wants {
		v.last = mucfr.Element{Session: s.Mark[0].Session, ID: s.Mark[0].ID, Type: mucfr.Resume}
	}
	nick := s.From.Resourcepart()
	if s.XMLName.Local == "message" {
		if len(s.Mark) == 0 && v.wants {
			return fmt.Errorf("a message without an annotation")
		}
		err := v.message(s, said)
		v.repeats = v.repeats || v.follower != nil && v.occupancy.LastPresence
		return err
	}
	reset := s.Type == "unavailable" && nick == ""
	switch {
	case reset && !v.pending:
		return fmt.Errorf("a reset that nobody has asked for")
	case reset && len(s.Mark) > 0:
		return fmt.Errorf("an annotated reset")
	case reset:
		// What it was asked to resume at is nothing any more that it could resume at.
		v.others, v.pending, v.last, v.reset = make(map[string]other), false, mucfr.Element{}, true
		return nil
	case len(s.Mark) == 0 && v.wants || s.User == nil:
		return fmt.Errorf("a presence without an annotation or without an item")
	}
	v.pending = false
	if v.follower != nil {
		// It knows for itself who is there.
		v.inside = v.inside && !(s.has(mucfr.StatusSelf) && s.Type == "unavailable" && !s.has(mucfr.StatusRenamed)) ||
			s.has(mucfr.StatusSelf) && s.Type == ""
		return nil
	}
	if s.Type == "unavailable" {
		return v.unavailable(s, nick)
	}
	account := who(nick)
	if known, ok := v.others[nick]; ok {
		if known.who != account {
			return fmt.Errorf("%q was %s and is now %s, without having left", nick, known.who, account)
		}
	}
	v.others[nick] = other{s.User.Item.Affiliation, s.User.Item.Role, s.Show, s.User.Item.JID, account}
	if s.has(mucfr.StatusSelf) {
		v.inside, v.nick = true, nick
	}
	return nil
}

func (v *viewer) unavailable(s *received, nick string) error {
	known, ok := v.others[nick]
	delete(v.others, nick)
	if next := s.User.Item.Nick; s.has(mucfr.StatusRenamed) && next != "" {
		if _, taken := v.others[next]; ok && taken && next != nick {
			return fmt.Errorf("%q is renamed to %q, who is there", nick, next)
		}
		if ok {
			v.others[next] = known
		}
		return nil
	}
	if s.User.Item.Role != "none" {
		return fmt.Errorf("%q has gone with role %q", nick, s.User.Item.Role)
	}
	if s.has(mucfr.StatusSelf) {
		v.inside = false
	}
	return nil
}

// agrees compares what the client knows with what there is, when it should be the
// same.
func (v *viewer) agrees(r *mucfr.Room, subject string, said int) error {
	if v.subject != subject {
		return fmt.Errorf("the subject is %q to it and %q to the room", v.subject, subject)
	}
	if v.follower != nil {
		if err := agrees(v.occupancy, r, subject); err != nil {
			return err
		}
		return v.messages.complete(said)
	}
	if len(v.others) != r.Len() {
		return fmt.Errorf("it knows %d occupants of %d: %v", len(v.others), r.Len(), v.names())
	}
	for o := range r.Occupants() {
		got, ok := v.others[o.Nick]
		want := other{o.Affiliation.String(), o.Role.String(), show(o.Payload), shown(o), o.JIDs[0].Bare().String()}
		if got.address == "" {
			want.address = "" // It may not see it, or might not when it was told.
		}
		if !ok || got != want {
			return fmt.Errorf("%q is %v to it and %v to the room", o.Nick, got, want)
		}
	}
	return v.messages.complete(said)
}

func (v *viewer) names() []string {
	var names []string
	for name := range v.others {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// shown returns the address of an occupant that is shown.
func shown(o mucfr.Occupant) string { return o.JIDs[len(o.JIDs)-1].String() }

// show returns what is in the show element of a payload.
func show(p mucfr.Payload) string {
	_, s, _ := strings.Cut(p.String(), "<show>")
	s, _, _ = strings.Cut(s, "</show>")
	return s
}

// agrees compares what an Occupancy knows with what there is, when it should be the
// same.
func agrees(v *mucfr.Occupancy, r *mucfr.Room, subject string) error {
	if !v.Inside() {
		return fmt.Errorf("its Occupancy is not inside")
	}
	if v.Subject() != subject {
		return fmt.Errorf("the subject is %q to its Occupancy and %q to the room", v.Subject(), subject)
	}
	n := 0
	for range v.Occupants() {
		n++
	}
	if n != r.Len() {
		return fmt.Errorf("its Occupancy knows %d occupants of %d", n, r.Len())
	}
	for want := range r.Occupants() {
		got, ok := v.Occupant(want.Nick)
		if !ok || got.Affiliation != want.Affiliation || got.Role != want.Role || show(got.Payload) != show(want.Payload) {
			return fmt.Errorf("%q is %v to its Occupancy and %v to the room", want.Nick, got, want)
		}
		if len(got.JIDs) > 0 && shown(got) != shown(want) {
			return fmt.Errorf("%q is %s to its Occupancy and %s to the room", want.Nick, shown(got), shown(want))
		}
	}
	return nil
}
