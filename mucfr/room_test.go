// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"

	"github.com/xmppext/xmppext/mucfr"
)

const (
	moderator   = muc.RoleModerator
	participant = muc.RoleParticipant
	visitor     = muc.RoleVisitor
)

func TestEnter(t *testing.T) {
	t.Run("MF-04: everything is annotated for those who have asked", func(t *testing.T) {
		r := newRoom(t, mucfr.Options{})
		assert.Equal(t, []string{"Juliet (participant) 110 *", "room subject *"}, r.enter("juliet", "Juliet", participant, optIn))
		assert.Equal(t, []string{"Juliet (participant)", "Nurse (participant) 110", "room subject"}, r.enter("nurse", "Nurse", participant, ""),
			"somebody who has not asked")
		to, err := r.Update(full("nurse"), payload(t, "<show>away</show>"))
		assert.Equal(t, []string{"Nurse away (participant) *"}, r.got("juliet")(to, err))
		assert.Equal(t, []string{"Nurse away (participant) 110"}, words(t, to, full("nurse")))
		to, err = r.Leave(full("nurse"), payload(t, "<status>bye</status>"))
		assert.Equal(t, []string{"Nurse gone (none) *"}, r.got("juliet")(to, err))
		assert.Equal(t, []string{"Nurse gone (none) 110"}, words(t, to, full("nurse")))
	})
	t.Run("D-38: who enters plainly is not annotated for any more", func(t *testing.T) {
		r := newRoom(t, mucfr.Options{})
		r.enter("juliet", "Juliet", participant, optIn)
		assert.Equal(t, []string{"Juliet (participant) 110", "room subject"}, r.enter("juliet", "Juliet", participant, ""))
	})
	t.Run("AM-20: each client of an occupant gets what it has asked for", func(t *testing.T) {
		r := newRoom(t, mucfr.Options{})
		r.enter("juliet", "Juliet", participant, optIn)
		other := jid.MustParse("juliet@montague.lit/balcony")
		to, err := r.Join(mucfr.Join{JID: other, Nick: "Juliet", Role: participant, Presence: presence(t, enters)})
		require.NoError(t, err)
		assert.Equal(t, []string{"Juliet (participant) 110 *"}, words(t, to, full("juliet")), "the address that is shown is another one")
		assert.Equal(t, []string{"Juliet (participant) 110", "room subject"}, words(t, to, other))
		to, err = r.Say(other, "m1", payload(t, "<body>hi</body>"))
		require.NoError(t, err)
		assert.Equal(t, []string{"Juliet says hi *"}, words(t, to, full("juliet")))
		assert.Equal(t, []string{"Juliet says hi"}, words(t, to, other))
		assert.Equal(t, "m1", read(t, to[0]).ID, "MF-32: the id is the sender's")
		o, ok := r.Client(other)
		require.True(t, ok)
		assert.Equal(t, []jid.JID{full("juliet"), other}, o.JIDs)
		to, err = r.Leave(other, mucfr.Payload{})
		require.NoError(t, err)
		assert.Equal(t, []string{"Juliet gone (none) 110"}, words(t, to, other))
		assert.Equal(t, []string{"Juliet (participant) 110 *"}, words(t, to, full("juliet")), "it has not gone")
		assert.Equal(t, 1, r.Len())
	})
	t.Run("AnnotateAll", func(t *testing.T) {
		r := newRoom(t, mucfr.Options{AnnotateAll: true})
		assert.Equal(t, []string{"Nurse (participant) 110 *", "room subject *"}, r.enter("nurse", "Nurse", participant, ""))
	})
	t.Run("MF-21: others, itself, history, the subject", func(t *testing.T) {
		r := newRoom(t, mucfr.Options{})
		r.enter("juliet", "Juliet", participant, optIn)
		r.got("juliet")(r.Say(full("juliet"), "s", payload(t, "<subject>The balcony</subject>")))
		r.say("juliet", "Ay me!")
		assert.Equal(t, []string{"Juliet (participant) *", "Romeo (participant) 110 *", "Juliet says Ay me! late *", "Juliet subject The balcony late *"},
			r.enter("romeo", "Romeo", participant, optIn))
	})
	t.Run("the presence that answers has the id of what it answers", func(t *testing.T) {
		r := newRoom(t, mucfr.Options{})
		r.enter("juliet", "Juliet", participant, optIn)
		for range 2 {
			to, err := r.Join(mucfr.Join{JID: full("romeo"), Nick: "Romeo", Role: participant, ID: "x<'1", Presence: presence(t, enters+optIn)})
			require.NoError(t, err)
			for _, s := range to {
				if own := read(t, s); own.From.Resourcepart() == "Romeo" && s.To.Equal(full("romeo")) {
					assert.Equal(t, "x<'1", own.ID)
				} else {
					assert.Empty(t, own.ID)
				}
			}
		}
	})
	t.Run("MF-22: codes of one's own presence, also on resume", func(t *testing.T) {
		r := newRoom(t, mucfr.Options{Config: mucfr.Config{NonAnonymous: true, Logged: true}})
		to, err := r.Join(mucfr.Join{JID: full("romeo"), Nick: "Romeo", Role: moderator, Presence: presence(t, enters+optIn), Codes: []int{mucfr.StatusCreated, mucfr.StatusNick}})
		assert.Equal(t, "Romeo (moderator romeo@montague.lit/lane) 110 201 210 100 170 *", r.got("romeo")(to, err)[0])
		assert.Equal(t, "Romeo (moderator romeo@montague.lit/lane) 110 100 170 *", r.again("romeo", "Romeo", moderator, "")[0])
	})
	t.Run("MF-27: addresses are for moderators, in a semi-anonymous room", func(t *testing.T) {
		r := newRoom(t, mucfr.Options{})
		r.enter("juliet", "Juliet", participant, optIn)
		assert.Equal(t, "Juliet (participant juliet@montague.lit/lane) *", r.enter("romeo", "Romeo", moderator, optIn)[0])
		assert.Equal(t, "Juliet (participant) *", r.enter("nurse", "Nurse", visitor, optIn)[0])
		to, err := r.Set("Nurse", muc.AffiliationNone, participant, mucfr.Why{Actor: "Romeo", Reason: "she may"})
		assert.Equal(t, []string{"Nurse (participant nurse@montague.lit/lane) *"}, r.got("romeo")(to, err))
		assert.Equal(t, []string{"Nurse (participant) *"}, words(t, to, full("juliet")))
		assert.Equal(t, []string{"Nurse (participant) 110 *"}, words(t, to, full("nurse")))
		assert.Contains(t, read(t, to[0]).Inner, `<actor nick="Romeo"/><reason>she may</reason>`)
	})
	t.Run("MF-28: a new nickname is a departure and an arrival", func(t *testing.T) {
		r := newRoom(t, mucfr.Options{})
		r.enter("juliet", "Juliet", participant, optIn)
		r.enter("romeo", "Romeo", participant, optIn)
		to, err := r.Rename(full("romeo"), "Montague", mucfr.StatusNick)
		assert.Equal(t, []string{"Romeo gone (participant) as Montague 303 *", "Montague (participant) *"}, r.got("juliet")(to, err))
		assert.Equal(t, []string{"Romeo gone (participant) as Montague 110 303 *", "Montague (participant) 110 210 *"}, words(t, to, full("romeo")))
		_, err = r.Rename(full("romeo"), "Juliet")
		require.ErrorIs(t, err, mucfr.ErrConflict)
		to, err = r.Rename(full("romeo"), "Montague")
		require.NoError(t, err)
		assert.Empty(t, to, "it is the same one")
	})
	t.Run("MF-13: kicks, bans and other departures", func(t *testing.T) {
		for _, codes := range [][]int{{307}, {301}, {321}, {322}, {332}, {333, 307}} {
			r := newRoom(t, mucfr.Options{})
			r.enter("juliet", "Juliet", participant, optIn)
			r.enter("romeo", "Romeo", participant, optIn)
			to, err := r.Remove("Romeo", muc.AffiliationOutcast, mucfr.Why{Actor: "Juliet", Codes: codes})
			want := ""
			for _, code := range codes {
				want += " " + strconv.Itoa(code)
			}
			assert.Equal(t, []string{"Romeo gone (none)" + want + " *"}, r.got("juliet")(to, err))
			assert.Equal(t, []string{"Romeo gone (none) 110" + want + " *"}, words(t, to, full("romeo")))
			assert.Equal(t, "outcast", read(t, to[0]).User.Item.Affiliation, "MF-26")
			_, ok := r.Client(full("romeo"))
			assert.False(t, ok)
		}
	})
	t.Run("who may not enter like that", func(t *testing.T) {
		r := newRoom(t, mucfr.Options{})
		r.enter("juliet", "Juliet", participant, optIn)
		for name, c := range map[string]struct {
			join mucfr.Join
			want error
		}{
			"somebody else has the nickname":     {mucfr.Join{JID: full("romeo"), Nick: "Juliet", Role: participant}, mucfr.ErrConflict},
			"the client is in by another one":    {mucfr.Join{JID: full("juliet"), Nick: "Capulet", Role: participant}, mucfr.ErrInside},
			"no role":                            {mucfr.Join{JID: full("romeo"), Nick: "Romeo"}, mucfr.ErrRole},
			"no nickname":                        {mucfr.Join{JID: full("romeo"), Role: participant}, mucfr.ErrAddress},
			"a nickname that is not one":         {mucfr.Join{JID: full("romeo"), Nick: "\x00", Role: participant}, mucfr.ErrAddress},
			"a nickname that is not prepared":    {mucfr.Join{JID: full("romeo"), Nick: "Romeo\u00a0", Role: participant}, mucfr.ErrAddress},
			"a nickname that nobody sees":        {mucfr.Join{JID: full("romeo"), Nick: "  ", Role: participant}, mucfr.ErrAddress},
			"no client":                          {mucfr.Join{JID: jid.MustParse("montague.lit"), Nick: "Romeo", Role: participant}, mucfr.ErrAddress},
			"an account":                         {mucfr.Join{JID: jid.MustParse("romeo@montague.lit"), Nick: "Romeo", Role: participant}, mucfr.ErrAddress},
			"a domain that is read as another":   {mucfr.Join{JID: jid.MustParse("romeo@montague.lit../lane"), Nick: "Romeo", Role: participant}, mucfr.ErrAddress},
			"a domain that is not read again":    {mucfr.Join{JID: jid.MustParse("romeo@a\u2135b/lane"), Nick: "Romeo", Role: participant}, mucfr.ErrAddress},
			"the zero value of a Join is no one": {mucfr.Join{}, mucfr.ErrAddress},
		} {
			t.Run(name, func(t *testing.T) {
				to, err := r.Join(c.join)
				require.ErrorIs(t, err, c.want)
				assert.Empty(t, to)
				assert.Equal(t, 1, r.Len())
			})
		}
	})
	t.Run("who is not inside does nothing", func(t *testing.T) {
		r := newRoom(t, mucfr.Options{})
		for name, do := range map[string]func() ([]mucfr.Stanza, error){
			"Update": func() ([]mucfr.Stanza, error) { return r.Update(full("romeo"), mucfr.Payload{}) },
			"Leave":  func() ([]mucfr.Stanza, error) { return r.Leave(full("romeo"), mucfr.Payload{}) },
			"Rename": func() ([]mucfr.Stanza, error) { return r.Rename(full("romeo"), "Romeo") },
			"Say":    func() ([]mucfr.Stanza, error) { return r.Say(full("romeo"), "", mucfr.Payload{}) },
			"Remove": func() ([]mucfr.Stanza, error) { return r.Remove("Romeo", muc.AffiliationNone, mucfr.Why{}) },
			"Set":    func() ([]mucfr.Stanza, error) { return r.Set("Romeo", muc.AffiliationNone, visitor, mucfr.Why{}) },
		} {
			to, err := do()
			require.ErrorIs(t, err, mucfr.ErrNotInside, "MF-31: %s", name)
			assert.Empty(t, to)
		}
	})
	t.Run("a room that is no more", func(t *testing.T) {
		r := newRoom(t, mucfr.Options{})
		r.enter("juliet", "Juliet", participant, optIn)
		before := r.Session()
		to := r.Destroy(mucfr.Destroyed{Alternate: jid.MustParse("garden@chat.capulet.lit"), Reason: "the nurse calls"})
		assert.Equal(t, []string{"Juliet gone (none) 110 *"}, words(t, to, full("juliet")))
		assert.Contains(t, read(t, to[0]).Inner, `<destroy jid="garden@chat.capulet.lit"><reason>the nurse calls</reason></destroy>`)
		assert.Zero(t, r.Len())
		assert.NotEqual(t, before, r.Session(), "MF-05")
		assert.Equal(t, []string{"room gone", "Juliet (participant) 110 *", "room truncated", "room subject *"}, r.again("juliet", "Juliet", participant, ""), "AM-14")
	})
	t.Run("MF-18: cut off before the notice, in the answer of a room that was made anew", func(t *testing.T) {
		for name, anew := range map[string]func(r *room) *room{
			"destroyed": func(r *room) *room { r.Destroy(mucfr.Destroyed{}); return r },
			"lost":      func(r *room) *room { return &room{mucfr.NewRoom(orchard, mucfr.Options{}), t, r.last} },
		} {
			r := newRoom(t, mucfr.Options{})
			r.enter("juliet", "Juliet", participant, optIn)
			r.say("juliet", "I hear some noise within.")
			r = anew(r)
			for range 2 {
				to, err := r.Join(mucfr.Join{
					JID: full("juliet"), Nick: "Juliet", Role: participant, Presence: presence(t, enters+resume(r.last[full("juliet").String()])),
				})
				require.Contains(t, r.got("juliet")(to, err), "room truncated", name)
				for _, s := range to {
					if e, ok := s.Element(); ok && s.Presence() {
						r.last[full("juliet").String()] = e // It has got so far.
					}
				}
			}
		}
	})
}

func TestMessages(t *testing.T) {
	t.Run("MF-16: all get them, in one sequence with presences", func(t *testing.T) {
		r := newRoom(t, mucfr.Options{})
		r.enter("juliet", "Juliet", participant, optIn)
		r.enter("nurse", "Nurse", participant, "")
		seen := make(map[mucfr.Element]bool)
		for range 1000 {
			for _, do := range []func() ([]mucfr.Stanza, error){
				func() ([]mucfr.Stanza, error) { return r.Say(full("nurse"), "", payload(t, "<body>Madam!</body>")) },
				func() ([]mucfr.Stanza, error) { return r.Update(full("nurse"), mucfr.Payload{}) },
			} {
				to, err := do()
				require.NoError(t, err)
				require.Len(t, to, 2)
				_, annotated := to[1].Element()
				require.False(t, annotated)
				e, ok := to[0].Element()
				require.True(t, ok)
				require.False(t, seen[e], "MF-06: no two have the same id")
				seen[e] = true
			}
		}
	})
	t.Run("the room says something itself", func(t *testing.T) {
		r := newRoom(t, mucfr.Options{})
		r.enter("juliet", "Juliet", participant, optIn)
		assert.Equal(t, []string{"room says Quiet, please! *"}, r.got("juliet")(r.Say(jid.JID{}, "", payload(t, "<body>Quiet, please!</body>"))))
	})
	t.Run("changes of the configuration", func(t *testing.T) {
		r := newRoom(t, mucfr.Options{})
		r.enter("juliet", "Juliet", participant, optIn)
		session := r.Session()
		assert.Equal(t, []string{"room 104 *"}, words(t, r.Configure(mucfr.Config{History: 3}), full("juliet")))
		assert.Equal(t, []string{"room 170 *"}, words(t, r.Configure(mucfr.Config{Logged: true}), full("juliet")))
		assert.Equal(t, session, r.Session())
		assert.Equal(t, []string{"room 172 171 *"}, words(t, r.Configure(mucfr.Config{NonAnonymous: true}), full("juliet")))
		assert.NotEqual(t, session, r.Session(), "D-36: what everybody sees is another thing now")
		assert.Equal(t, []string{"room 173 *"}, words(t, r.Configure(mucfr.Config{}), full("juliet")))
	})
}

func TestHistory(t *testing.T) {
	said := func(t *testing.T, n int) *room {
		r := newRoom(t, mucfr.Options{})
		r.enter("juliet", "Juliet", participant, optIn)
		r.enter("romeo", "Romeo", participant, optIn)
		r.got("romeo")(r.Leave(full("romeo"), mucfr.Payload{}))
		for i := range n {
			r.say("juliet", strconv.Itoa(i))
		}
		return r
	}
	messages := func(from, to int) (all []string) {
		for i := from; i < to; i++ {
			all = append(all, "Juliet says "+strconv.Itoa(i)+" late *")
		}
		return all
	}
	own := "Romeo (participant) 110 *"
	limit := func(s string) string { return `<x xmlns="http://jabber.org/protocol/muc"><history ` + s + `/></x>` }
	back := func(r *room, elements string) []string {
		r.t.Helper()
		p := presence(r.t, elements+resume(r.last[full("romeo").String()]))
		return without(r.t, r.got("romeo")(r.Join(mucfr.Join{JID: full("romeo"), Nick: "Romeo", Role: participant, Presence: p})))
	}
	for name, c := range map[string]struct {
		missed int
		limit  string
		want   []string
	}{
		"MF-19: 9 missed, 20 wanted: 9":          {9, limit(`maxstanzas="20"`), messages(0, 9)},
		"MF-19: 9 missed, 5 wanted: the last 5":  {9, limit(`maxstanzas="5"`), append([]string{"room truncated"}, messages(4, 9)...)},
		"MF-19: 9 missed, none wanted: a notice": {9, limit(`maxchars="0"`), []string{"room truncated"}},
		"MF-17: 9 missed, no limits: 9":          {9, enters, messages(0, 9)},
		"MF-17: 30 missed, no limits: 20":        {30, enters, append([]string{"room truncated"}, messages(10, 30)...)},
		"MF-18: none missed, none wanted":        {0, limit(`maxchars="0"`), nil},
		"AM-13: negative":                        {2, limit(`maxstanzas="-1"`), messages(0, 2)},
		"AM-13: junk":                            {2, limit(`maxstanzas="x" maxchars="1.5" seconds="" since="yesterday"`), messages(0, 2)},
		"AM-13: large":                           {2, limit(`maxstanzas="99999999999999999999" seconds="1000000000000000000"`), messages(0, 2)},
		"AM-13: in the year 9999":                {2, limit(`since="9999-01-01T00:00:00Z"`), []string{"room truncated"}},
		"a time before":                          {2, limit(`since="1970-01-01T00:00:00Z"`), messages(0, 2)},
		"of several limits the smallest":         {9, limit(`maxstanzas="5" maxchars="1000000" seconds="1000" since="1970-01-01T00:00:00Z"`), append([]string{"room truncated"}, messages(4, 9)...)},
	} {
		t.Run(name, func(t *testing.T) {
			got := back(said(t, c.missed), c.limit)
			assert.Equal(t, append([]string{own}, c.want...), got)
		})
	}
	t.Run("MF-23: as many whole stanzas as fit", func(t *testing.T) {
		r := said(t, 9)
		to, err := r.Join(mucfr.Join{JID: full("romeo"), Nick: "Romeo", Role: participant, Presence: presence(t, enters+optIn)})
		require.NoError(t, err)
		size := 0
		for _, s := range to {
			if read(t, s).Body != "" {
				size = len(s.AppendXML(nil))
			}
		}
		require.NotZero(t, size)
		for most, want := range map[int]int{3 * size: 3, 3*size - 1: 2, size - 1: 0} {
			to, err := r.Join(mucfr.Join{JID: full("romeo"), Nick: "Romeo", Role: participant, Presence: presence(t, limit(`maxchars="`+strconv.Itoa(most)+`"`)+optIn)})
			require.NoError(t, err)
			n := 0
			for _, s := range to {
				if read(t, s).Body != "" {
					n++
				}
			}
			assert.Equal(t, want, n, "%d characters", most)
		}
	})
	t.Run("MF-24: the subject comes also if it is empty and nothing has changed", func(t *testing.T) {
		r := said(t, 0)
		assert.Equal(t, []string{own, "room subject *"}, r.again("romeo", "Romeo", participant, ""))
	})
	t.Run("D-35: who enters for the first time has missed nothing", func(t *testing.T) {
		r := said(t, 30)
		got := without(t, r.enter("nurse", "Nurse", participant, optIn))
		assert.Equal(t, append([]string{"Juliet (participant) *", "Nurse (participant) 110 *"}, messages(10, 30)...), got)
	})
	t.Run("messages without a body are not missed", func(t *testing.T) {
		r := said(t, 0)
		r.got("juliet")(r.Say(full("juliet"), "", payload(t, `<composing xmlns="http://jabber.org/protocol/chatstates"/>`)))
		assert.Equal(t, []string{own}, back(r, limit(`maxchars="0"`)))
	})
	t.Run("D-35: messages that the room has forgotten are missed", func(t *testing.T) {
		r := newRoom(t, mucfr.Options{Limits: mucfr.Limits{Messages: 3}})
		r.enter("juliet", "Juliet", participant, optIn)
		r.enter("romeo", "Romeo", participant, optIn)
		r.got("romeo")(r.Leave(full("romeo"), mucfr.Payload{}))
		for i := range 4 {
			r.say("juliet", strconv.Itoa(i))
		}
		assert.Equal(t, append([]string{own, "room truncated"}, messages(1, 4)...), back(r, enters))
	})
	t.Run("a room without history says so", func(t *testing.T) {
		r := newRoom(t, mucfr.Options{Limits: mucfr.Limits{Messages: -1}})
		r.enter("juliet", "Juliet", participant, optIn)
		r.enter("romeo", "Romeo", participant, optIn)
		r.got("romeo")(r.Leave(full("romeo"), mucfr.Payload{}))
		r.say("juliet", "0")
		assert.Equal(t, []string{own, "room truncated"}, back(r, enters))
		assert.Equal(t, []string{own}, back(r, enters), "that was all")
	})
	t.Run("nothing is said again that was said in the middle of messages", func(t *testing.T) {
		r := said(t, 5)
		to, err := r.Join(mucfr.Join{JID: full("romeo"), Nick: "Romeo", Role: participant, Presence: presence(t, enters+resume(r.last[full("romeo").String()]))})
		require.NoError(t, err)
		r.got("romeo")(to[:5], nil) // Juliet's news of Romeo, Romeo, and three messages.
		assert.Equal(t, append([]string{own}, messages(3, 5)...), back(r, enters))
	})
	t.Run("MF-23: a room that shows none shows none", func(t *testing.T) {
		r := newRoom(t, mucfr.Options{Config: mucfr.Config{History: -1}})
		r.enter("juliet", "Juliet", participant, optIn)
		r.say("juliet", "0")
		to, err := r.Join(mucfr.Join{JID: full("nurse"), Nick: "Nurse", Role: participant, Presence: presence(t, limit(`maxchars="999999" maxstanzas="9"`)+optIn)})
		assert.Equal(t, []string{"Juliet (participant) *", "Nurse (participant) 110 *"}, without(t, r.got("nurse")(to, err)))
		r = newRoom(t, mucfr.Options{Config: mucfr.Config{History: 2}})
		r.enter("juliet", "Juliet", participant, optIn)
		for i := range 3 {
			r.say("juliet", strconv.Itoa(i))
		}
		assert.Equal(t, append([]string{"Juliet (participant) *", "Nurse (participant) 110 *"}, messages(1, 3)...), without(t, r.enter("nurse", "Nurse", participant, optIn)))
	})
	t.Run("a History says what it has been made of", func(t *testing.T) {
		h := presence(t, limit(`maxstanzas="3" maxchars="4" seconds="5" since="2012-01-25T00:00:00Z"`)).History
		assert.Equal(t, 3, *h.MaxStanzas)
		assert.Equal(t, 4, *h.MaxChars)
		assert.Equal(t, 5*time.Second, *h.Last)
		assert.True(t, h.Since.Equal(time.Date(2012, 1, 25, 0, 0, 0, 0, time.UTC)))
		assert.Zero(t, *mucfr.None().MaxChars)
	})
}
