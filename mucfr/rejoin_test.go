// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"

	"github.com/xmppext/xmppext/mucfr"
)

// crowded returns a room with Romeo, who has just left, and others.
func crowded(t testing.TB, opts mucfr.Options, others int) *room {
	r := newRoom(t, opts)
	for i := range others {
		r.enter(fmt.Sprint("u", i), fmt.Sprint("N", i), participant, optIn)
	}
	r.enter("romeo", "Romeo", participant, optIn)
	r.got("romeo")(r.Leave(full("romeo"), mucfr.Payload{}))
	return r
}

func TestRejoin(t *testing.T) {
	own := "Romeo (participant) 110 *"
	back := func(r *room) []string {
		r.t.Helper()
		return without(r.t, r.again("romeo", "Romeo", participant, ""))
	}
	t.Run("MF-10: only what has changed, in the order in which it did", func(t *testing.T) {
		r := crowded(t, mucfr.Options{}, 6)
		r.unheard(r.Update(full("u3"), payload(t, "<show>away</show>")))
		r.unheard(r.Leave(full("u1"), mucfr.Payload{}))
		r.enter("tybalt", "Tybalt", visitor, "")
		r.unheard(r.Set("N2", muc.AffiliationOwner, moderator, mucfr.Why{}))
		r.unheard(r.Update(full("u3"), payload(t, "<show>xa</show>")))
		assert.Equal(t, []string{"N1 gone (none) *", "Tybalt (visitor) *", "N2 (moderator) *", "N3 xa (participant) *", own}, back(r))
		assert.Equal(t, []string{own}, back(r), "MF-29: from one who is inside, and up to date")
	})
	t.Run("who enters again with the same presence, however its server writes that, has not changed", func(t *testing.T) {
		r := newRoom(t, mucfr.Options{})
		r.enter("juliet", "Juliet", participant, "")
		r.enter("romeo", "Romeo", participant, `<c xmlns="urn:c" a="1" b="2"/>`)
		to, err := r.Join(mucfr.Join{
			JID: full("romeo"), Nick: "Romeo", Role: participant, Presence: presence(t, `<c b="2" a="1" xmlns="urn:c"/>`+enters),
		})
		assert.Empty(t, r.got("juliet")(to, err))
	})
	t.Run("somebody who came and went is not mentioned", func(t *testing.T) {
		r := crowded(t, mucfr.Options{}, 3)
		r.enter("tybalt", "Tybalt", visitor, "")
		r.unheard(r.Leave(full("tybalt"), mucfr.Payload{}))
		assert.Equal(t, []string{own}, back(r))
	})
	t.Run("AM-10, D-31: a nickname that is somebody else's now", func(t *testing.T) {
		r := crowded(t, mucfr.Options{}, 3)
		r.unheard(r.Leave(full("u1"), mucfr.Payload{}))
		r.enter("tybalt", "N1", visitor, "")
		assert.Equal(t, []string{"N1 gone (none) *", "N1 (visitor) *", own}, back(r))
	})
	t.Run("D-31: renamed, twice, and back", func(t *testing.T) {
		r := crowded(t, mucfr.Options{}, 4)
		r.unheard(r.Rename(full("u0"), "A"))
		r.unheard(r.Rename(full("u1"), "B"))
		r.unheard(r.Rename(full("u1"), "C"))
		r.unheard(r.Rename(full("u2"), "D"))
		r.unheard(r.Rename(full("u2"), "N2"))
		assert.Equal(t, []string{
			"N0 gone (participant) as A 303 *", "A (participant) *",
			"N1 gone (none) *", "C (participant) *",
			"N2 (participant) *", own,
		}, back(r))
	})
	t.Run("D-31: renamed, and then gone", func(t *testing.T) {
		r := crowded(t, mucfr.Options{}, 2)
		r.unheard(r.Rename(full("u0"), "A"))
		r.unheard(r.Leave(full("u0"), mucfr.Payload{}))
		assert.Equal(t, []string{"N0 gone (none) *", own}, back(r))
	})
	t.Run("renamed to somebody who has left: nobody is taken for another one", func(t *testing.T) {
		r := crowded(t, mucfr.Options{}, 4)
		r.unheard(r.Rename(full("u0"), "A"))
		r.unheard(r.Leave(full("u1"), mucfr.Payload{}))
		r.unheard(r.Rename(full("u0"), "N1"))
		assert.Equal(t, []string{"N0 gone (none) *", "N1 gone (none) *", "N1 (participant) *", own}, back(r))
	})
	t.Run("D-31: kicks and bans keep their codes", func(t *testing.T) {
		r := crowded(t, mucfr.Options{}, 3)
		r.unheard(r.Remove("N0", muc.AffiliationOutcast, mucfr.Why{Codes: []int{301}}))
		assert.Equal(t, []string{"N0 gone (none) 301 *", own}, back(r))
	})
	t.Run("D-30: one's own old nickname", func(t *testing.T) {
		thrownOut := func() *room {
			r := newRoom(t, mucfr.Options{})
			r.enter("juliet", "Juliet", participant, optIn)
			r.enter("romeo", "Romeo", participant, optIn)
			_, err := r.Remove("Romeo", muc.AffiliationNone, mucfr.Why{Codes: []int{mucfr.StatusError}}) // It does not hear of it.
			require.NoError(t, err)
			return r
		}
		assert.Equal(t, []string{"Romeo gone (none) 333 *", "Montague (participant) 110 *"},
			without(t, thrownOut().again("romeo", "Montague", participant, "")), "if it is not taken again")
		assert.Equal(t, []string{own}, back(thrownOut()))
	})
	t.Run("MF-11, MF-15: the whole state if it is less", func(t *testing.T) {
		r := crowded(t, mucfr.Options{}, 4)
		for i := range 3 {
			r.unheard(r.Leave(full(fmt.Sprint("u", i)), mucfr.Payload{}))
		}
		// One other is left: three changes are more than a reset and that one.
		assert.Equal(t, []string{"room gone", "N3 (participant) *", own}, back(r))

		r = crowded(t, mucfr.Options{}, 4)
		for i := range 2 {
			r.unheard(r.Leave(full(fmt.Sprint("u", i)), mucfr.Payload{}))
		}
		assert.Equal(t, []string{"N0 gone (none) *", "N1 gone (none) *", own}, back(r), "D-34: two others are left")
	})
	t.Run("D-29: cut off while entering, at any stanza", func(t *testing.T) {
		for cut := range 8 {
			r := newRoom(t, mucfr.Options{})
			for i := range 4 {
				r.enter(fmt.Sprint("u", i), fmt.Sprint("N", i), participant, optIn)
			}
			r.say("u0", "hello")
			to, err := r.Join(mucfr.Join{JID: full("romeo"), Nick: "Romeo", Role: participant, Presence: presence(t, enters+optIn)})
			require.NoError(t, err)
			to = slices.DeleteFunc(to, func(s mucfr.Stanza) bool { return !s.To.Equal(full("romeo")) })
			require.Len(t, to, 7) // four others, itself, a message, the subject
			if cut == 0 || cut > len(to) {
				continue // It has no id, or nothing to miss.
			}
			r.got("romeo")(to[:cut], nil)
			r.unheard(r.Leave(full("u0"), mucfr.Payload{})) // Whom it has seen.
			var want []string
			want = append(want, []string{"N1 (participant) *", "N2 (participant) *", "N3 (participant) *"}[min(cut-1, 3):]...)
			want = append(want, "N0 gone (none) *", own)
			if cut < 6 {
				want = append(want, "N0 says hello late *")
			}
			if cut == 1 {
				want = []string{"N1 (participant) *", "N2 (participant) *", "N3 (participant) *", "N0 gone (none) *", own, "N0 says hello late *"}
			}
			assert.Equal(t, want, back(r), "behind %d stanzas", cut)
		}
	})
	t.Run("one of two clients leaves, who are one occupant", func(t *testing.T) {
		r := newRoom(t, mucfr.Options{})
		r.enter("juliet", "Juliet", participant, optIn)
		r.enter("romeo", "Romeo", participant, optIn)
		_, err := r.Join(mucfr.Join{JID: jid.MustParse("romeo@montague.lit/street"), Nick: "Romeo", Role: participant})
		require.NoError(t, err)
		r.got("romeo")(r.Leave(full("romeo"), mucfr.Payload{})) // By which it hears that Romeo has gone.
		assert.Equal(t, []string{"Romeo (participant) *", "Montague (participant) 110 *"}, without(t, r.again("romeo", "Montague", participant, "")))
	})
	t.Run("cut off before its own nickname comes again, which then goes", func(t *testing.T) {
		r := newRoom(t, mucfr.Options{})
		for i := range 3 {
			r.enter(fmt.Sprint("u", i), fmt.Sprint("N", i), participant, optIn)
		}
		r.enter("juliet", "Juliet", participant, optIn)
		r.enter("romeo", "Romeo", participant, optIn)
		r.unheard(r.Remove("Romeo", muc.AffiliationNone, mucfr.Why{}))
		r.unheard(r.Update(full("juliet"), payload(t, "<show>dnd</show>")))
		to, err := r.Join(mucfr.Join{JID: full("romeo"), Nick: "Romeo", Role: participant, Presence: presence(t, enters+resume(r.last[full("romeo").String()]))})
		require.NoError(t, err)
		first := slices.IndexFunc(to, func(s mucfr.Stanza) bool { return s.To.Equal(full("romeo")) })
		require.Equal(t, []string{"Juliet dnd (participant) *"}, words(t, to[first:first+1], full("romeo")))
		r.got("romeo")(to[first:first+1], nil)
		r.unheard(r.Leave(full("romeo"), mucfr.Payload{}))
		assert.Contains(t, r.again("romeo", "Montague", participant, ""), "Romeo gone (none) *", "it still knows one of that name")
	})
	t.Run("D-28: any id of the session will do", func(t *testing.T) {
		r := newRoom(t, mucfr.Options{})
		r.enter("juliet", "Juliet", participant, optIn)
		r.enter("romeo", "Romeo", participant, optIn)
		first := r.last[full("romeo").String()]
		r.say("juliet", "one")
		r.got("romeo")(r.Update(full("juliet"), payload(t, "<show>dnd</show>")))
		r.say("juliet", "two")
		r.last[full("romeo").String()] = first
		assert.Equal(t, []string{"Juliet dnd (participant) *", own, "Juliet says one late *", "Juliet says two late *"}, back(r))
	})
	t.Run("D-32: rights have changed", func(t *testing.T) {
		r := crowded(t, mucfr.Options{}, 2)
		assert.Equal(t, []string{
			"room gone", "N0 (participant u0@montague.lit/lane) *", "N1 (participant u1@montague.lit/lane) *",
			"Romeo (moderator romeo@montague.lit/lane) 110 *",
		}, without(t, r.again("romeo", "Romeo", moderator, "")), "AM-07: a new moderator")
		assert.Equal(t, []string{"room gone", "N0 (participant) *", "N1 (participant) *", own}, back(r), "AM-06: one that is not any more")

		r.got("romeo")(r.Set("Romeo", muc.AffiliationNone, moderator, mucfr.Why{}))
		r.got("romeo")(r.Set("Romeo", muc.AffiliationNone, participant, mucfr.Why{}))
		r.unheard(r.Update(full("u0"), payload(t, "<show>xa</show>")))
		assert.Equal(t, []string{"N0 xa (participant) *", own}, back(r), "it has seen how they changed")

		before := r.last[full("romeo").String()]
		r.got("romeo")(r.Set("Romeo", muc.AffiliationNone, moderator, mucfr.Why{}))
		r.got("romeo")(r.Set("Romeo", muc.AffiliationNone, participant, mucfr.Why{}))
		r.last[full("romeo").String()] = before
		assert.Equal(t, "room gone", back(r)[0], "it does not know that they did")
	})
	t.Run("D-32, AM-07: rights of one of an account's occupants have changed, which another one had", func(t *testing.T) {
		street := jid.MustParse("romeo@montague.lit/street")
		for name, change := range map[string]func(r *room){
			"a role":                  func(r *room) { r.unheard(r.Set("Romeo", muc.AffiliationNone, moderator, mucfr.Why{})) },
			"none before it has left": func(r *room) { r.got("romeo")(r.Leave(full("romeo"), mucfr.Payload{})) },
			"none before both have left": func(r *room) {
				r.got("romeo")(r.Leave(full("romeo"), mucfr.Payload{}))
				r.unheard(r.Leave(street, mucfr.Payload{}))
			},
			"none before both have left, the other one first": func(r *room) {
				r.unheard(r.Leave(street, mucfr.Payload{}))
				r.got("romeo")(r.Leave(full("romeo"), mucfr.Payload{}))
			},
		} {
			r := newRoom(t, mucfr.Options{})
			r.enter("juliet", "Juliet", participant, optIn)
			r.enter("romeo", "Romeo", participant, optIn)
			_, err := r.Join(mucfr.Join{JID: street, Nick: "Montague", Role: moderator})
			require.NoError(t, err)
			r.got("romeo")(r.Update(full("juliet"), payload(t, "<show>dnd</show>")))
			change(r)
			assert.Contains(t, r.again("romeo", "Romeo", moderator, ""), "Juliet dnd (participant juliet@montague.lit/lane) *", name)
		}
	})
	t.Run("D-36: another session", func(t *testing.T) {
		r := crowded(t, mucfr.Options{}, 2)
		r.Configure(mucfr.Config{NonAnonymous: true})
		assert.Equal(t, []string{
			"room gone", "N0 (participant u0@montague.lit/lane) *", "N1 (participant u1@montague.lit/lane) *",
			"Romeo (participant romeo@montague.lit/lane) 110 100 *", "room truncated",
		}, back(r))
	})
	t.Run("MF-12, MF-14: a reset is nothing but that, and comes first", func(t *testing.T) {
		r := crowded(t, mucfr.Options{AnnotateAll: true}, 1)
		to, err := r.Join(mucfr.Join{JID: full("romeo"), Nick: "Romeo", Role: participant, Presence: presence(t, enters+resume(mucfr.Element{}))})
		require.NoError(t, err)
		i := slices.IndexFunc(to, func(s mucfr.Stanza) bool { return s.To.Equal(full("romeo")) })
		assert.Equal(t, `<presence from="orchard@chat.capulet.lit" type="unavailable" to="romeo@montague.lit/lane"></presence>`, string(to[i].AppendXML(nil)))
	})
	t.Run("MF-09: other elements in the muc namespace change nothing", func(t *testing.T) {
		r := crowded(t, mucfr.Options{}, 1)
		assert.Equal(t, own, r.enter("romeo", "Romeo", participant, `<x xmlns="http://jabber.org/protocol/muc"><history maxstanzas="0"/></x>`+resume(r.last[full("romeo").String()]))[0])
	})
}

func TestUnknownIDs(t *testing.T) {
	whole := []string{"room gone", "N0 (participant) *", "N1 (participant) *", "Romeo (participant) 110 *", "room truncated", "room subject *"}
	left := func(t *testing.T) (*room, mucfr.Element) {
		r := crowded(t, mucfr.Options{}, 2)
		return r, r.last[full("romeo").String()]
	}
	for name, change := range map[string]func(r *room, e *mucfr.Element){
		"AM-01: an unknown id":               func(_ *room, e *mucfr.Element) { e.ID = "893oehh" },
		"AM-01: no id":                       func(_ *room, e *mucfr.Element) { e.ID = "" },
		"D-38: nothing but the type":         func(_ *room, e *mucfr.Element) { e.ID, e.Session = "", "" },
		"AM-01: a megabyte":                  func(_ *room, e *mucfr.Element) { e.ID = strings.Repeat("x", 1<<20) },
		"AM-01: a megabyte of session":       func(_ *room, e *mucfr.Element) { e.Session = strings.Repeat("x", 1<<20) },
		"AM-02: the id in another session":   func(_ *room, e *mucfr.Element) { e.Session = "u8e8t2thu" },
		"AM-02: without a session":           func(_ *room, e *mucfr.Element) { e.Session = "" },
		"AM-03: an id that was made up":      func(_ *room, e *mucfr.Element) { e.ID = "AAAAAAAAAAAAAAAAAAAAAA" },
		"AM-03: an id with a character more": func(_ *room, e *mucfr.Element) { e.ID += "A" },
		"AM-03: an id with a character else": func(_ *room, e *mucfr.Element) { e.ID = "!" + e.ID[1:] },
		"AM-01: an id of another room": func(_ *room, e *mucfr.Element) {
			o := crowded(t, mucfr.Options{}, 2)
			e.ID = o.last[full("romeo").String()].ID
		},
		"D-36: an id of the room before": func(r *room, e *mucfr.Element) {
			r.Destroy(mucfr.Destroyed{})
			r.enter("u0", "N0", participant, "")
			r.enter("u1", "N1", participant, "")
		},
		"AM-04: an id that others have got": func(r *room, e *mucfr.Element) {
			r.got("u0")(r.Update(full("u0"), mucfr.Payload{}))
			r.got("u1")(r.Update(full("u1"), mucfr.Payload{}))
			*e = r.last[full("u0").String()]
		},
		"AM-04: somebody who was never there": func(r *room, e *mucfr.Element) { *e = r.last[full("u0").String()] },
	} {
		t.Run(name, func(t *testing.T) {
			r, e := left(t)
			change(r, &e)
			e.Type = mucfr.Resume
			who := "romeo"
			if strings.Contains(name, "never there") {
				who = "mercutio"
			}
			assert.Equal(t, whole, r.enter(who, "Romeo", participant, resume(e)))
		})
	}
	t.Run("AM-04: nothing is shown that others would not be shown", func(t *testing.T) {
		r := crowded(t, mucfr.Options{}, 3)
		r.got("u0")(r.Update(full("u0"), mucfr.Payload{}))
		stolen := r.last[full("u0").String()]
		r.unheard(r.Leave(full("u1"), mucfr.Payload{}))
		r.say("u0", "for those inside")
		got := r.enter("mercutio", "Mercutio", participant, resume(stolen))
		assert.NotContains(t, strings.Join(got, "\n"), "N1")
		plain := newRoom(t, mucfr.Options{})
		assert.Len(t, plain.enter("mercutio", "Mercutio", participant, optIn), 2)
	})
	t.Run("AM-09: the first of two elements counts", func(t *testing.T) {
		r, e := left(t)
		assert.Equal(t, "Romeo (participant) 110 *", r.enter("romeo", "Romeo", participant, resume(e)+resume(mucfr.Element{}))[0])
		assert.Equal(t, "room gone", r.enter("romeo", "Romeo", participant, resume(mucfr.Element{})+resume(e))[0])
	})
	t.Run("MF-07: a type that is not known is none", func(t *testing.T) {
		r, e := left(t)
		got := r.enter("romeo", "Romeo", participant, strings.Replace(resume(e), `"resume"`, `"truncated"`, 1))
		assert.Equal(t, "N0 (participant) *", got[0])
		got = r.enter("romeo", "Romeo", participant, strings.Replace(resume(e), `"resume"`, `"rejoin"`, 1))
		assert.Equal(t, "N0 (participant) *", got[0])
	})
	t.Run("AM-08: what only rooms may say is taken out", func(t *testing.T) {
		r, _ := left(t)
		forged := `<show>xa</show><presence-session xmlns="urn:xmpp:presence-session:0" type="truncated"/><x xmlns="http://jabber.org/protocol/muc#user"><status code="110"/></x><x xmlns="http://jabber.org/protocol/muc"/><x xmlns="vcard-temp:x:update"/>`
		to, err := r.Update(full("u0"), payload(t, forged))
		require.NoError(t, err)
		assert.Equal(t, []string{"N0 xa (participant) *"}, words(t, to, full("u1")))
		assert.Contains(t, read(t, to[0]).Inner, "vcard-temp:x:update")
		to, err = r.Say(full("u0"), "", payload(t, "<body>hi</body>"+forged))
		require.NoError(t, err)
		assert.Equal(t, []string{"N0 xa says hi *"}, words(t, to, full("u1")))
		assert.Equal(t, []string{"N0 xa (participant) *", "N1 (participant) *", "Mercutio (participant) 110 *", "N0 xa says hi late *", "room subject *"},
			func() []string {
				got := r.enter("mercutio", "Mercutio", participant, optIn)
				slices.Sort(got[:2])
				return got
			}(), "MF-30")
	})
}

func TestLimits(t *testing.T) {
	own := "Romeo (participant) 110 *"
	t.Run("AM-12: a storm of people who come and go", func(t *testing.T) {
		r := crowded(t, mucfr.Options{Limits: mucfr.Limits{Departures: 10, Visitors: 20}}, 30)
		before := r.last[full("romeo").String()]
		for i := range 10 {
			r.enter("tybalt", "Tybalt", participant, "")
			r.unheard(r.Leave(full("tybalt"), mucfr.Payload{}))
			if i == 8 {
				r.last[full("romeo").String()] = before
				assert.Equal(t, own, r.again("romeo", "Romeo", participant, "")[0], "ten are remembered, Romeo's own included")
				r.unheard(r.Leave(full("romeo"), mucfr.Payload{}))
			}
		}
		r.last[full("romeo").String()] = before
		got := r.again("romeo", "Romeo", participant, "")
		assert.Equal(t, "room gone", got[0], "one was forgotten")
		assert.Len(t, got, 30+3)
	})
	t.Run("visitors are forgotten", func(t *testing.T) {
		r := crowded(t, mucfr.Options{Limits: mucfr.Limits{Visitors: 2}}, 1)
		for _, who := range []string{"a", "b"} {
			r.enter(who, who, participant, "")
			r.unheard(r.Leave(full(who), mucfr.Payload{}))
		}
		assert.Equal(t, []string{"room gone", "N0 (participant) *", own, "room truncated", "room subject *"}, r.again("romeo", "Romeo", participant, ""))
	})
	t.Run("everything is forgotten after a while", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := crowded(t, mucfr.Options{Limits: mucfr.Limits{Age: time.Hour}}, 2)
			r.unheard(r.Leave(full("u0"), mucfr.Payload{}))
			time.Sleep(time.Hour)
			assert.Equal(t, []string{"N0 gone (none) *", own, "room subject *"}, r.again("romeo", "Romeo", participant, ""))
			r.got("romeo")(r.Leave(full("romeo"), mucfr.Payload{}))
			time.Sleep(time.Hour + 1)
			assert.Equal(t, []string{"room gone", "N1 (participant) *", own, "room truncated", "room subject *"}, r.again("romeo", "Romeo", participant, ""))
		})
	})
	t.Run("bytes of messages", func(t *testing.T) {
		r := crowded(t, mucfr.Options{Limits: mucfr.Limits{MessageBytes: 1000}}, 1)
		r.say("u0", strings.Repeat("x", 600))
		r.say("u0", strings.Repeat("y", 600))
		got := r.again("romeo", "Romeo", participant, "")
		assert.Equal(t, []string{own, "room truncated", "N0 says " + strings.Repeat("y", 600) + " late *", "room subject *"}, got)
	})
}

func TestReadings(t *testing.T) {
	r := newRoom(t, mucfr.Options{})
	assert.Equal(t, orchard, r.Address())
	assert.Empty(t, slices.Collect(r.Occupants()))
	r.enter("juliet", "Juliet", participant, "<show>away</show>")
	r.enter("romeo", "Romeo", moderator, "")
	want := mucfr.Occupant{Nick: "Juliet", JIDs: []jid.JID{full("juliet")}, Role: participant, Payload: payload(t, "<show>away</show>")}
	o, ok := r.Occupant("Juliet")
	require.True(t, ok)
	assert.Equal(t, want, o)
	_, ok = r.Occupant("Tybalt")
	assert.False(t, ok)
	assert.Equal(t, want, slices.Collect(r.Occupants())[0])
	for range r.Occupants() {
		break
	}
	assert.Equal(t, 2, r.Len())
}
