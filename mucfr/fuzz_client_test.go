// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/xmppext/xmppext/mucfr"
)

// occSane fails if an Occupancy is not as it may be, whatever has come.
func occSane(t *testing.T, o *mucfr.Occupancy) {
	t.Helper()
	n := 0
	for one := range o.Occupants() {
		n++
		if p := one.Payload.String(); len(p) > mucfr.MaxPresence || payload(t, p) != one.Payload {
			t.Fatalf("%q has a presence that is not one: %q", one.Nick, p)
		}
		if again, ok := o.Occupant(one.Nick); !ok || one.Nick == "" || again.Nick != one.Nick || len(one.JIDs) > 1 {
			t.Fatalf("%+v is %+v", one, again)
		}
	}
	if n > mucfr.MaxOccupants || len(o.Subject()) > mucfr.MaxSubject {
		t.Fatalf("%d occupants, subject %q", n, o.Subject())
	}
	saved := occSaved(t, o)
	if again := occSaved(t, occRestarted(t, o)); again != saved {
		t.Fatalf("%s is %s when it is kept again", saved, again)
	}
}

// occAsks fails if what the client asks for is not possible.
func occAsks(t *testing.T, e mucfr.Element) {
	t.Helper()
	plain := e == (mucfr.Element{})
	resume := e.Type == mucfr.Resume && e.Session != "" && e.ID != "" && len(e.Session) <= mucfr.MaxPoint && len(e.ID) <= mucfr.MaxPoint
	if plain == resume {
		t.Fatalf("it asks for %+v", e)
	}
}

// occCanned are stanzas that a step stands for. Those of other steps are what was sent.
var occCanned = func() (all []string) {
	for _, nick := range []string{"Juliet", "Romeo", "Tybalt", "Ro"} {
		for _, id := range []string{"", "1", "s2/1"} {
			all = append(all, occHere(nick, id), occHere(nick, id, self), occGone(nick, id), occGone(nick, id, self))
		}
		all = append(all, occRename(nick, "Ro", "1"), occRename(nick, "Romeo", "1", self), occPresence(nick, "error", ""))
	}
	all = append(all, occReset, occPresence("", "unavailable", occUser("none", self)), occGone("Romeo", "1", self, mucfr.StatusBanned),
		occPresence("", "unavailable", `<x xmlns="http://jabber.org/protocol/muc#user"><destroy/></x>`),
		occMessage("", occTruncated), occMessage("", occSubject), occMessage("Juliet", occMark("s2/2")))
	return all
}()

// FuzzOccupancy lets a room say whatever it likes, while the client comes and goes. What
// is told, from the first answer that is complete or a reset, is what is known.
func FuzzOccupancy(f *testing.F) {
	for _, s := range []string{
		occHere("Juliet", "1") + occHere("Romeo", "2", self) + occMessage("", occSubject+occMark("3")),
		occReset + occHere("Juliet", "s2/1") + occHere("Romeo", "s2/2", self) + occMessage("", occTruncated),
		occGone("Juliet", "4", mucfr.StatusKicked) + occRename("Tybalt", "Prince", "5") + occHere("Prince", "6"),
		occRename("Romeo", "Ro", "5", self) + occHere("Ro", "6", self) + occGone("Ro", "7", self),
		occHere("Juliet", "") + occHere("Romeo", "", self), occPresence("Romeo", "error", "<error type='auth'><forbidden/></error>"),
		occPresence("", "unavailable", `<x xmlns="http://jabber.org/protocol/muc#user"><destroy jid="a@b"><reason>c</reason></destroy></x>`),
		occPresence("Juliet", "", `<show>a</show><p:a xmlns:p="q" p:b="c"><d>&lt;</d></p:a><a:/>`+occUser("none")) + "<iq/>",
	} {
		f.Add(s, []byte("j\xff\xffl\xffj\xffk\xffn"))
		f.Add(occHere("Juliet", "1")+occHere("Romeo", "2", self)+s+s, []byte("j\xff\xff\xffj\xffj\xff\xff\xffl\xffj"))
	}
	all := []byte("j")
	for i := range occCanned {
		all = append(all, byte(i))
	}
	f.Add("", append(all, all...))
	f.Fuzz(func(t *testing.T, s string, steps []byte) {
		if len(s) > 1<<14 || len(steps) > 1<<8 {
			return
		}
		var (
			o       = mucfr.NewOccupancy(occRoom)
			r       = occTokens(s)
			told    = map[string]bool{} // who is there
			exact   = true
			waiting = false
			base    []string // who was known when it asked
		)
		for _, step := range steps {
			cut := waiting
			switch step {
			case 'j': // There are fewer of occCanned.
				occAsks(t, o.Join(""))
				waiting, base = true, occNicks(o)
			case 'l':
				o.Lost()
				waiting = false
			case 'k':
				o, waiting = occRestarted(t, o), false
			case 'n':
				_ = o.SetNick(s[:min(len(s), int(step))])
				continue
			default:
				before, outside := occSaved(t, o), !o.Inside() && !waiting
				known := map[string]bool{}
				for _, nick := range occNicks(o) {
					known[nick] = true
				}
				in := r
				if int(step) < len(occCanned) {
					in = occTokens(occCanned[step])
				}
				c, err := o.Apply(in)
				if (err != nil || outside) && (occSaved(t, o) != before || !slices.Equal(c.Codes, nil) || c.Kind != mucfr.NoChange) {
					t.Fatalf("%v, and still %+v: %s, before %s", err, c, occSaved(t, o), before)
				}
				if err != nil {
					return
				}
				occTold(told, c)
				switch c.Kind {
				case mucfr.RoomReset:
					if waiting, exact = true, true; len(told) > 0 {
						t.Fatalf("behind a reset %v are left of %+v", told, c)
					}
				case mucfr.RoomJoined, mucfr.RoomLeft, mucfr.RoomRefused:
					waiting = false
				}
				if o.Inside() == waiting && c.Kind != mucfr.RoomLeft && c.Kind != mucfr.RoomRefused && !outside {
					t.Fatalf("inside: %t, waiting: %t, behind %+v", o.Inside(), waiting, c)
				}
				cut = c.Kind == mucfr.RoomRefused || c.Kind == mucfr.RoomLeft && cut
				// If the client has gone before the answer, what was said until then is undone:
				// it knows those that it knew when it asked, without itself.
				occTold(known, c)
				if now := occNicks(o); waiting && c.Kind != mucfr.RoomReset && !slices.Equal(now, slices.Sorted(maps.Keys(known))) {
					if c.Kind != mucfr.NoChange && c.Kind != mucfr.OccupantLeft {
						t.Fatalf("%q are known, behind %+v of %v", now, c, known)
					}
					for _, nick := range now {
						if !slices.Contains(base, nick) {
							t.Fatalf("%q is known, and was not when it asked: %q", nick, base)
						}
					}
					if len(now) < len(base)-1 {
						t.Fatalf("%q are left of %q", now, base)
					}
					cut = true
				}
			}
			exact = exact && !cut
			if got, want := occNicks(o), slices.Sorted(maps.Keys(told)); exact && !slices.Equal(got, want) {
				t.Fatalf("%q are known, and %q were told", got, want)
			}
			occSane(t, o)
		}
	})
}

// occTold notes who is there by what is told.
func occTold(told map[string]bool, c mucfr.Change) {
	switch c.Kind {
	case mucfr.OccupantEntered, mucfr.OccupantChanged, mucfr.RoomJoined:
		told[c.Nick] = true
	case mucfr.OccupantLeft, mucfr.OccupantRenamed, mucfr.RoomLeft:
		delete(told, c.Nick)
	}
	for _, nick := range c.Gone {
		delete(told, nick)
	}
}

// FuzzOccupancyJSON takes anything for what was kept: it is refused as a whole, or can be
// used and kept again.
func FuzzOccupancyJSON(f *testing.F) {
	o := mucfr.NewOccupancy(occRoom)
	f.Add([]byte(`{}`))
	f.Add([]byte(occSaved(f, new(mucfr.Occupancy))))
	f.Add([]byte(occSaved(f, o)))
	o.Join("")
	for _, s := range []string{
		occPresence("Juliet", "", `<show>a</show><a xmlns="b"/>`+strings.Replace(occUser("moderator"), "<item", `<item jid="a@b/c"`, 1)+occMark("1")),
		occHere("Romeo", "1", self), occMessage("", occSubject+occMark("2")),
	} {
		if _, err := o.Apply(occTokens(s)); err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(occSaved(f, o)))
	}
	f.Add([]byte(`{"version":1,"room":"a@b","nick":"c","session":"d","id":"e","presence":"f","missing":true,"occupants":[{"nick":"é","affiliation":"owner","role":"none"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		o := occInside(t)
		before := occSaved(t, o)
		if err := json.Unmarshal(b, o); err != nil {
			if occSaved(t, o) != before || !o.Inside() {
				t.Fatalf("%v, and still %s: %s", err, occSaved(t, o), b)
			}
			return
		}
		if o.Inside() {
			t.Fatalf("inside after %s", b)
		}
		occSane(t, o)
		occAsks(t, o.Join(""))
		if _, err := o.Apply(occTokens(occHere("Romeo", "1", self))); err != nil {
			t.Fatal(err)
		}
		occSane(t, o)
	})
}
