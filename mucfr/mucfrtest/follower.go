// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfrtest

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"maps"
	"slices"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mucfr"
)

// A follower is a program that follows a room by an Occupancy. Who is there it knows twice:
// from that, and from what has changed.
type follower struct {
	occupancy *mucfr.Occupancy
	present   map[string]string // by nickname: the account, as far as it is sure
	settled   bool              // the answer is complete
	resumes   bool              // it has asked to, so that who is listed is the same as before
	sure      bool              // it knows that the room says which presence it answers
	misled    bool              // the room has taken back what it has said, and an answer that was cut off with it
	listens   bool              // it was reset, so that all that comes is about who is there
	due       bool              // what comes now is the answer to the first of two joins
	quit      bool              // it has been told to go for good, and does not listen any more
	kept      *kept
}

// kept is what a program has of itself when it is started again.
type kept struct {
	occupancy  []byte
	messages   messages
	sure       bool
	sight, saw bool
}

func newFollower(at jid.JID, lastPresence bool) *follower {
	o := mucfr.NewOccupancy(at)
	o.LastPresence = lastPresence
	return &follower{occupancy: o, present: make(map[string]string)}
}

// keep keeps what there is.
func (v *viewer) keep() error {
	b, err := v.occupancy.MarshalJSON()
	v.kept = &kept{b, v.messages.clone(), v.sure, v.sight, v.saw}
	return err
}

// start starts the program again, with what it has kept.
func (v *viewer) start() error {
	if v.kept == nil {
		return nil
	}
	v.occupancy = new(mucfr.Occupancy)
	if err := v.occupancy.UnmarshalJSON(v.kept.occupancy); err != nil {
		return err
	}
	v.messages, v.sure = v.kept.messages.clone(), v.kept.sure
	v.sight, v.saw = v.kept.sight, v.kept.saw
	v.ask()
	return nil
}

// ask asks who is there.
func (f *follower) ask() {
	f.present, f.misled = make(map[string]string), false
	for o := range f.occupancy.Occupants() {
		f.present[o.Nick] = ""
	}
}

// apply takes a stanza in.
func (v *viewer) apply(b []byte, early, reflects bool, account func(nick string) string) error {
	c, err := v.occupancy.Apply(xml.NewDecoder(bytes.NewReader(b)))
	if err != nil {
		return err
	}
	if err := v.follower.change(c, early, account); err != nil {
		return err
	}
	if early && c.Kind == mucfr.SubjectChanged && !bytes.Contains(b, []byte(mucfr.NS)) {
		v.sure = false // That looks like an answer of a room that has no ids.
	}
	v.sure = v.sure || reflects && !early && c.Kind == mucfr.RoomJoined
	v.quit = v.quit || c.Kind == mucfr.RoomLeft && (c.Destroyed != nil || slices.Contains(c.Codes, mucfr.StatusBanned))
	if c.Kind == mucfr.RoomJoined && !early || v.settled {
		var names []string
		for o := range v.occupancy.Occupants() {
			names = append(names, o.Nick)
		}
		if got := slices.Sorted(maps.Keys(v.present)); !slices.Equal(got, names) {
			return fmt.Errorf("by what has changed there are %q, and there are %q", got, names)
		}
	}
	return nil
}

// change does what a program does that only knows what has changed.
func (f *follower) change(c mucfr.Change, early bool, account func(nick string) string) error {
	sure := f.settled && !early
	_, known := f.present[c.Nick]
	for _, nick := range c.Gone {
		delete(f.present, nick)
	}
	switch c.Kind {
	case mucfr.OccupantEntered:
		if sure && known {
			return fmt.Errorf("%q has entered who was there", c.Nick)
		}
		f.present[c.Nick] = account(c.Nick)
	case mucfr.OccupantChanged:
		if was := f.present[c.Nick]; !early && (f.resumes || f.settled) && was != "" && was != account(c.Nick) {
			return fmt.Errorf("%q was %s and is now %s", c.Nick, was, account(c.Nick))
		}
		if sure && !known {
			return fmt.Errorf("%q has changed who was not there", c.Nick)
		}
		f.present[c.Nick] = account(c.Nick)
	case mucfr.OccupantLeft, mucfr.OccupantRenamed, mucfr.RoomLeft:
		if sure && !known && c.Kind != mucfr.RoomLeft {
			return fmt.Errorf("%q has gone who was not there", c.Nick)
		}
		if _, taken := f.present[c.Next]; taken && known && !early && c.Kind == mucfr.OccupantRenamed {
			return fmt.Errorf("%q is renamed to %q, who is there", c.Nick, c.Next)
		}
		delete(f.present, c.Nick)
		f.settled = f.settled && c.Kind != mucfr.RoomLeft
	case mucfr.RoomReset:
		if len(f.present) > 0 {
			return fmt.Errorf("after a reset there are %v", f.present)
		}
		f.settled, f.listens = false, true
	case mucfr.RoomJoined:
		if early && f.sure && !f.listens && !f.due {
			return fmt.Errorf("it takes what is from before for the answer")
		}
		f.present[c.Nick] = account(c.Nick)
		if f.misled && !early {
			f.ask()
		}
	case mucfr.SubjectChanged:
		f.settled = !early
	}
	return nil
}
