// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	mstanza "mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/mucfr"
)

func TestOccupancyJoin(t *testing.T) {
	t.Run("MF-02, MF-03: the first join asks for nothing in particular", func(t *testing.T) {
		o := mucfr.NewOccupancy(occRoom)
		assert.Equal(t, mucfr.Element{}, o.Join(""))
		assert.Equal(t, occRoom, o.Address())
		assert.False(t, o.Inside())
		assert.Equal(t, mucfr.OccupantEntered, occApply(t, o, occHere("Juliet", "1")).Kind)
		assert.False(t, o.Inside(), "before its own presence")
		c := occApply(t, o, occHere("Romeo", "2", self, mucfr.StatusCreated))
		assert.Equal(t, mucfr.Change{Kind: mucfr.RoomJoined, Nick: "Romeo", Codes: []int{self, mucfr.StatusCreated}}, c)
		assert.True(t, o.Inside())
		assert.True(t, o.Supported())
		assert.Equal(t, []int{self, mucfr.StatusCreated}, o.Codes())
		assert.Equal(t, []string{"Juliet", "Romeo"}, occNicks(o))
	})
	t.Run("MF-02: a room without fast reconnects", func(t *testing.T) {
		o := mucfr.NewOccupancy(occRoom)
		for range 2 {
			assert.Equal(t, mucfr.Element{}, o.Join(""), "there is nothing to resume")
			c := occApply(t, o, occHere("Juliet", ""), occHere("Romeo", "", self))
			assert.Equal(t, mucfr.RoomJoined, c.Kind)
			assert.False(t, c.Resumed)
			assert.False(t, o.Supported())
			occApply(t, o, occMessage("", "<subject/>"), occMessage("Juliet", "<body>Ay me!</body>"+occMark("9")))
		}
	})
	t.Run("MF-08: D-28: it resumes at the last stanza of either kind", func(t *testing.T) {
		for rule, test := range map[string]struct {
			last string
			want string
		}{
			"a presence":              {occHere("Mercutio", "5"), "5"},
			"somebody who leaves":     {occGone("Juliet", "5"), "5"},
			"a message":               {occMessage("Juliet", "<body>Ay me!</body>"+occMark("5")), "5"},
			"a message of the room":   {occMessage("", "<body>Welcome.</body>"+occMark("5")), "5"},
			"history":                 {occMessage("Juliet", `<body>Ay me!</body><delay xmlns="urn:xmpp:delay" stamp="2026-01-01T00:00:00Z"/>`+occMark("0")), "0"},
			"a subject":               {occMessage("", "<subject/>"+occMark("5")), "5"},
			"it is thrown out":        {occGone("Romeo", "5", self, mucfr.StatusKicked), "5"},
			"it leaves":               {occGone("Romeo", "5", self), "5"},
			"it has another nickname": {occRename("Romeo", "Ro", "5", self), "5"},
			"a private message":       {strings.Replace(occMessage("Juliet", occMark("5")), "groupchat", "chat", 1), "4"},
			"a stanza without an id":  {occHere("Mercutio", ""), "4"},
			"no session":              {occMessage("Juliet", `<presence-session xmlns="urn:xmpp:presence-session:0" id="5"/>`), "4"},
			"half an annotation":      {occMessage("Juliet", `<presence-session xmlns="urn:xmpp:presence-session:0" session="s1"/>`), "4"},
			"an unknown presence":     {occPresence("Juliet", "probe", occMark("5")), "4"},
			"an error of something":   {occPresence("Juliet", "error", occMark("5")), "4"},
		} {
			t.Run(rule, func(t *testing.T) {
				assert.Equal(t, occAsk(test.want), occInside(t, test.last).Join(""))
			})
		}
	})
	t.Run("D-28: or at the last presence, by the letter of section 4.2", func(t *testing.T) {
		o := occInside(t)
		o.LastPresence = true
		occApply(t, o, occMessage("Juliet", occMark("5")))
		assert.Equal(t, occAsk("3"), o.Join(""))
		occApply(t, o, occHere("Romeo", "6", self), occMessage("Juliet", occMark("7")))
		assert.Equal(t, occAsk("6"), occRestarted(t, o).Join(""))
		occApply(t, o, occMessage("Juliet", occMark("s2/1")))
		assert.Equal(t, mucfr.Element{}, o.Join(""), "there was no presence of this session")
	})
	t.Run("its own presence that is from before the answer", func(t *testing.T) {
		o := occInside(t)
		require.Equal(t, occAsk("4"), o.Join("j1"))
		occApply(t, o, occHere("Romeo", "9", self), occMessage("Juliet", occMark("10")))
		require.Equal(t, occAsk("4"), o.Join("j2"), "something may be missing before these")
		answer := strings.Replace(occHere("Romeo", "12", self), "<presence", "<presence id='j2'", 1)
		occApply(t, o, occHere("Romeo", "9", self), answer, occMessage("Juliet", occMark("13")))
		assert.Equal(t, occAsk("13"), o.Join("j3"))
	})
	t.Run("D-31: its own presence from before the answer, and an earlier occupant of its nickname in it", func(t *testing.T) {
		o := occInside(t)
		o.Join("j1")
		require.Equal(t, mucfr.RoomJoined, occApply(t, o, occHere("Romeo", "9", self)).Kind)
		occApply(t, o, occGone("Romeo", "10"))
		require.True(t, o.Inside(), "that was somebody else")
		answer := strings.Replace(occHere("Romeo", "12", self), "<presence", "<presence id='j1'", 1)
		occApply(t, o, answer, occMessage("Juliet", "<subject/>"+occMark("13")))
		assert.Equal(t, []string{"Juliet", "Romeo", "Tybalt"}, occNicks(o))
		assert.Equal(t, mucfr.RoomLeft, occApply(t, o, occGone("Romeo", "14")).Kind, "after the answer that is itself")
	})
	t.Run("it has gone before the answer, after its own presence from before", func(t *testing.T) {
		o := occInside(t)
		o.Join("j1")
		early := []string{occHere("Mercutio", "8"), occHere("Romeo", "9", self)}
		require.Equal(t, mucfr.RoomLeft, occApply(t, o, append(early, occGone("Romeo", "10", self, mucfr.StatusKicked))...).Kind)
		require.False(t, o.Inside())
		answer := strings.Replace(occHere("Romeo", "12", self), "<presence", "<presence id='j1'", 1)
		c := occApply(t, o, answer)
		assert.Equal(t, mucfr.RoomJoined, c.Kind, "the answer is still to come")
		assert.Equal(t, []string{"Mercutio"}, c.Gone, "nothing says that who has come before the answer is there")
		assert.Equal(t, []string{"Juliet", "Romeo", "Tybalt"}, occNicks(o))
		occApply(t, o, occMessage("Juliet", "<subject/>"+occMark("13")))
		assert.Equal(t, occAsk("13"), o.Join("j2"))
	})
	t.Run("it has gone for good before the answer", func(t *testing.T) {
		o := occInside(t)
		o.Join("j1")
		require.Equal(t, mucfr.RoomLeft, occApply(t, o, occHere("Romeo", "9", self), occGone("Romeo", "10", self, mucfr.StatusBanned)).Kind)
		assert.Equal(t, mucfr.Change{}, occApply(t, o, occHere("Juliet", "11")), "there is no answer to come")
	})
	t.Run("a room whose answer has no id", func(t *testing.T) {
		o := occInside(t)
		require.Equal(t, occAsk("4"), o.Join("j1"))
		occApply(t, o, occHere("Romeo", "9", self), occMessage("Juliet", "<body>x</body>"+occMark("10")))
		require.True(t, o.Inside())
		require.Equal(t, occAsk("4"), occRestarted(t, o).Join(""), "it may not be the answer")
		occApply(t, o, occMessage("Juliet", "<subject/>"+occMark("11")))
		assert.Equal(t, occAsk("11"), o.Join("j2"), "the subject ends it")
	})
	t.Run("MF-07: another type is none", func(t *testing.T) {
		for _, typ := range []string{"", "resume", "nonsense"} {
			o := occInside(t, occMessage("Juliet", strings.Replace(occMark("5"), " session", ` type="`+typ+`" session`, 1)))
			assert.Equal(t, occAsk("5"), o.Join(""), typ)
		}
	})
	t.Run("the first annotation counts", func(t *testing.T) {
		assert.Equal(t, occAsk("5"), occInside(t, occMessage("Juliet", occMark("5")+occMark("6"))).Join(""))
	})
	t.Run("an annotation is a child of the stanza", func(t *testing.T) {
		assert.Equal(t, occAsk("4"), occInside(t, occMessage("Juliet", `<forwarded xmlns="urn:xmpp:forward:0">`+occMark("5")+`</forwarded>`)).Join(""))
	})
	t.Run("the nickname that is asked for", func(t *testing.T) {
		o := occInside(t)
		require.NoError(t, o.SetNick("Ro"))
		assert.Equal(t, "grove@chat.example/Ro", o.Address().String())
		assert.Equal(t, "Romeo", o.Nick(), "as long as the room says nothing else")
		o.Join("")
		occApply(t, o, occHere("Rho", "5", self, mucfr.StatusNick))
		assert.Equal(t, "Rho", o.Nick(), "the room has chosen")
		assert.Equal(t, "grove@chat.example/Rho", o.Address().String())
		for _, nick := range []string{"", "a\x00", strings.Repeat("a", 2000)} {
			require.ErrorIs(t, o.SetNick(nick), mucfr.ErrAddress)
		}
	})
	t.Run("without a room nothing happens", func(t *testing.T) {
		var o mucfr.Occupancy
		assert.Equal(t, mucfr.Element{}, o.Join(""))
		for _, s := range []string{
			occHere("Romeo", "1", self), `<presence/>`, `<presence from="/Romeo"/>`, `<message type="groupchat"><subject>A</subject></message>`,
		} {
			assert.Equal(t, mucfr.Change{}, occApply(t, &o, s))
		}
		assert.False(t, o.Inside())
		assert.Empty(t, occNicks(&o))
	})
}

// TestOccupancyAnswers is about what a room answers to a client that asks to resume.
func TestOccupancyAnswers(t *testing.T) {
	t.Run("MF-33: what has changed", func(t *testing.T) {
		o := occInside(t)
		require.Equal(t, occAsk("4"), o.Join(""))
		assert.Equal(t, []string{"Juliet", "Romeo", "Tybalt"}, occNicks(o), "they are known meanwhile")
		assert.Equal(t, mucfr.OccupantLeft, occApply(t, o, occGone("Tybalt", "5")).Kind)
		assert.Equal(t, mucfr.OccupantEntered, occApply(t, o, occHere("Mercutio", "6")).Kind)
		assert.Equal(t, mucfr.Change{Kind: mucfr.RoomJoined, Nick: "Romeo", Codes: []int{self}, Resumed: true}, occApply(t, o, occHere("Romeo", "7", self)))
		assert.Equal(t, []string{"Juliet", "Mercutio", "Romeo"}, occNicks(o))
		assert.Equal(t, occAsk("7"), o.Join(""))
	})
	t.Run("MF-33: a reset, and all", func(t *testing.T) {
		o := occInside(t)
		o.Join("")
		c := occApply(t, o, occReset)
		assert.Equal(t, mucfr.Change{Kind: mucfr.RoomReset, Gone: []string{"Juliet", "Romeo", "Tybalt"}}, c)
		assert.Empty(t, occNicks(o))
		assert.Empty(t, o.Subject())
		c = occApply(t, o, occHere("Juliet", "5"), occHere("Romeo", "6", self))
		assert.Equal(t, mucfr.Change{Kind: mucfr.RoomJoined, Nick: "Romeo", Codes: []int{self}}, c)
		assert.Equal(t, []string{"Juliet", "Romeo"}, occNicks(o))
	})
	t.Run("MF-33: a reset behind a subject of before the answer", func(t *testing.T) {
		o := occInside(t)
		o.Join("")
		assert.Equal(t, mucfr.RoomReset, occApply(t, o, occMessage("Juliet", "<subject>No</subject>"+occMark("5")), occReset).Kind)
	})
	t.Run("somebody else who had the nickname is gone", func(t *testing.T) {
		o := occInside(t)
		o.Join("")
		assert.Equal(t, mucfr.OccupantLeft, occApply(t, o, occGone("Romeo", "5", mucfr.StatusBanned)).Kind)
		assert.Equal(t, mucfr.RoomJoined, occApply(t, o, occHere("Romeo", "6", self)).Kind)
	})
	t.Run("MF-33: no annotations any more, and all", func(t *testing.T) {
		o := occInside(t)
		o.Join("")
		c := occApply(t, o, occHere("Juliet", ""), occHere("Mercutio", ""), occHere("Romeo", "", self))
		assert.Equal(t, mucfr.Change{Kind: mucfr.RoomJoined, Nick: "Romeo", Codes: []int{self}, Gone: []string{"Tybalt"}}, c)
		assert.Equal(t, []string{"Juliet", "Mercutio", "Romeo"}, occNicks(o))
		assert.False(t, o.Supported())
		assert.Equal(t, mucfr.Element{}, o.Join(""))
	})
	t.Run("MF-33: another session, and all", func(t *testing.T) {
		o := occInside(t)
		o.Join("")
		c := occApply(t, o, occHere("Juliet", "s2/1"), occHere("Romeo", "s2/2", self))
		assert.Equal(t, []string{"Tybalt"}, c.Gone)
		assert.False(t, c.Resumed)
		assert.Equal(t, occAsk("s2/2"), o.Join(""))
	})
	t.Run("MF-33: of two sessions, none is the one asked for", func(t *testing.T) {
		o := occInside(t)
		o.Join("")
		assert.False(t, occApply(t, o, occHere("Juliet", "s2/1"), occHere("Romeo", "5", self)).Resumed)
	})
	t.Run("what was known is not asked for, and listed", func(t *testing.T) {
		o := mucfr.NewOccupancy(occRoom)
		o.Join("")
		occApply(t, o, occHere("Juliet", ""), occHere("Tybalt", ""), occHere("Romeo", "", self))
		require.Equal(t, mucfr.Element{}, o.Join(""))
		assert.Equal(t, []string{"Juliet", "Romeo", "Tybalt"}, occNicks(o))
		c := occApply(t, o, occHere("Juliet", ""), occHere("Romeo", "", self))
		assert.Equal(t, []string{"Tybalt"}, c.Gone)
	})
	t.Run("a client that is still there as far as the room knows", func(t *testing.T) {
		o := occInside(t)
		o.Join("")
		occApply(t, o, occGone("Tybalt", "9"), occMessage("Juliet", "<body>Ay me!</body>"+occMark("10")))
		assert.Equal(t, occAsk("4"), o.Join(""), "5 to 8 were lost")
		occApply(t, o, occGone("Romeo", "11", self, mucfr.StatusKicked, mucfr.StatusError))
		assert.Equal(t, mucfr.RoomJoined, occApply(t, o, occHere("Mercutio", "5"), occHere("Romeo", "12", self)).Kind, "it was not about this visit")
	})
	t.Run("the room takes its presence of before for the answer", func(t *testing.T) {
		o := occInside(t)
		o.Join("")
		require.Equal(t, mucfr.RoomJoined, occApply(t, o, occHere("Romeo", "9", self)).Kind)
		assert.Equal(t, mucfr.RoomReset, occApply(t, o, occReset).Kind)
		assert.False(t, o.Inside())
		assert.Equal(t, mucfr.RoomJoined, occApply(t, o, occHere("Romeo", "10", self)).Kind)
		assert.Equal(t, []string{"Romeo"}, occNicks(o))
	})
	t.Run("AM-18: cut off in an answer", func(t *testing.T) {
		o := occInside(t)
		o.Join("")
		occApply(t, o, occHere("Mercutio", "5"), occGone("Tybalt", "6"))
		assert.Equal(t, occAsk("4"), o.Join(""), "of what has changed all comes again")
		occApply(t, o, occReset, occHere("Juliet", "7"))
		assert.Equal(t, occAsk("7"), o.Join(""), "a whole state has come so far")
		assert.Equal(t, []string{"Juliet"}, occNicks(o))
		occApply(t, o, occReset)
		assert.Equal(t, mucfr.Element{}, o.Join(""), "nothing of it has")

		first := mucfr.NewOccupancy(occRoom)
		first.Join("")
		occApply(t, first, occHere("Juliet", "7"))
		assert.Equal(t, mucfr.Element{}, first.Join(""), "it may be from before the answer")
		assert.Empty(t, occNicks(first))
	})
	t.Run("AM-18: an answer that was cut off is undone", func(t *testing.T) {
		for rule, end := range map[string]func(o *mucfr.Occupancy) *mucfr.Occupancy{
			"by the next join":  func(o *mucfr.Occupancy) *mucfr.Occupancy { o.Join(""); return o },
			"by a lost session": func(o *mucfr.Occupancy) *mucfr.Occupancy { o.Lost(); return o },
			"by a refusal": func(o *mucfr.Occupancy) *mucfr.Occupancy {
				occApply(t, o, occPresence("Romeo", "error", ""))
				return o
			},
			"when it is kept": func(o *mucfr.Occupancy) *mucfr.Occupancy { return occRestarted(t, o) },
		} {
			t.Run(rule, func(t *testing.T) {
				o := occInside(t)
				o.Join("")
				occApply(t, o, occHere("Mercutio", "5"), occGone("Tybalt", "6"), occPresence("Juliet", "", "<show>away</show>"+occUser("participant")+occMark("7")))
				o = end(o)
				assert.Equal(t, []string{"Juliet", "Romeo", "Tybalt"}, occNicks(o), "Mercutio may go, and the room will not say so")
				one, _ := o.Occupant("Juliet")
				assert.True(t, one.Payload.IsZero())
				assert.Equal(t, occAsk("4"), o.Join(""))
			})
		}
		for rule, test := range map[string]struct {
			last []string
			gone []string
		}{
			"there again": {[]string{occHere("Mercutio", "5"), occHere("Romeo", "9", self)}, nil},
			"gone again":  {[]string{occHere("Romeo", "9", self)}, []string{"Mercutio"}},
			"or unknown":  {[]string{occReset}, []string{"Juliet", "Mercutio", "Romeo", "Tybalt"}},
		} {
			t.Run("who was told to be there is "+rule, func(t *testing.T) {
				o := occInside(t)
				for range 2 {
					o.Join("")
					occApply(t, o, occHere("Mercutio", "5"))
				}
				o.Join("")
				assert.Equal(t, test.gone, occApply(t, o, test.last...).Gone)
				o.Join("")
				assert.Empty(t, occApply(t, o, occGone("Mercutio", "9"), occHere("Romeo", "10", self)).Gone, "this was told")
			})
		}
	})
	t.Run("AM-18: cut off in a list of all to somebody who has not asked for less", func(t *testing.T) {
		o := occInside(t)
		o.LastPresence = true
		occApply(t, o, occMessage("Juliet", occMark("s2/1")))
		require.Equal(t, mucfr.Element{}, o.Join(""))
		occApply(t, o, occHere("Juliet", "s2/2"))
		assert.Equal(t, mucfr.Element{}, o.Join(""), "Tybalt may be gone")
		assert.Equal(t, []string{"Tybalt"}, occApply(t, o, occHere("Juliet", "s2/2"), occHere("Romeo", "s2/3", self)).Gone)
	})
	for name, codes := range map[string][]int{
		"banned": {self, mucfr.StatusBanned}, "no member": {self, mucfr.StatusMembersOnly},
		"no member any more": {self, mucfr.StatusAffiliation}, "the service ends": {self, mucfr.StatusShutdown},
	} {
		t.Run("removed while it enters: "+name, func(t *testing.T) {
			o := occInside(t)
			o.Join("")
			c := occApply(t, o, occGone("Romeo", "5", codes...))
			assert.Equal(t, mucfr.Change{Kind: mucfr.RoomLeft, Nick: "Romeo", Codes: codes}, c)
			assert.Equal(t, mucfr.Change{}, occApply(t, o, occHere("Romeo", "6", self)))
			assert.Equal(t, []string{"Juliet", "Tybalt"}, occNicks(o))
		})
	}
}

func TestOccupancyRefused(t *testing.T) {
	refusal := `<x xmlns="http://jabber.org/protocol/muc"/><error type="cancel" by="grove@chat.example"><conflict xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/>` +
		`<text xmlns="urn:ietf:params:xml:ns:xmpp-stanzas">Taken.</text></error>`
	t.Run("an error ends the join, and what is known is kept", func(t *testing.T) {
		o := occInside(t)
		o.Join("")
		c := occApply(t, o, occPresence("Romeo", "error", refusal))
		assert.Equal(t, mucfr.RoomRefused, c.Kind)
		require.ErrorIs(t, c.Err, mstanza.Error{Type: mstanza.Cancel, Condition: mstanza.Conflict})
		assert.Equal(t, "Taken.", c.Err.Error())
		assert.False(t, o.Inside())
		assert.Equal(t, []string{"Juliet", "Romeo", "Tybalt"}, occNicks(o))
		assert.Equal(t, mucfr.Change{}, occApply(t, o, occHere("Romeo", "9", self)), "it has not asked")
		assert.Equal(t, mucfr.Change{}, occApply(t, o, occReset))
		assert.Equal(t, occAsk("4"), o.Join(""))
	})
	t.Run("the condition is the first one", func(t *testing.T) {
		o := mucfr.NewOccupancy(occRoom)
		o.Join("")
		c := occApply(t, o, occPresence("", "error", `<error type="auth"><gone xmlns="urn:example:0"/><forbidden xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/>`+
			`<conflict xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error><error type="wait"/>`))
		assert.Equal(t, mstanza.Error{Type: mstanza.Auth, Condition: mstanza.Forbidden}, c.Err)
	})
	t.Run("an error without a condition", func(t *testing.T) {
		o := mucfr.NewOccupancy(occRoom)
		o.Join("")
		c := occApply(t, o, occPresence("", "error", ""))
		require.ErrorIs(t, c.Err, mstanza.Error{Condition: mstanza.UndefinedCondition})
	})
	t.Run("an error of something else", func(t *testing.T) {
		o := occInside(t)
		assert.Equal(t, mucfr.Change{}, occApply(t, o, occPresence("Romeo", "error", refusal)))
		assert.True(t, o.Inside())
	})
}
