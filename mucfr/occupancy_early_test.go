// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/mucfr"
)

// occAnswer is the client's own presence that answers a join.
func occAnswer(join, id string) string {
	return strings.Replace(occHere("Romeo", id, self), "<presence", "<presence id='"+join+"'", 1)
}

// occKnown is occInside of a room that says which presence it answers.
func occKnown(t *testing.T) *mucfr.Occupancy {
	t.Helper()
	o := occInside(t)
	require.Equal(t, occAsk("4"), o.Join("j0"))
	require.True(t, occApply(t, o, occAnswer("j0", "5"), occMessage("", occSubject+occMark("6"))).Kind == mucfr.SubjectChanged)
	return o
}

// TestOccupancyEarly is about what a room says to a client before it answers.
func TestOccupancyEarly(t *testing.T) {
	early := occMessage("Juliet", "<subject>Early</subject>"+occMark("10"))
	t.Run("D-28: a subject does not end the answer of a room that says what it answers", func(t *testing.T) {
		o := occKnown(t)
		o.Join("j1")
		c := occApply(t, o, occHere("Romeo", "9", self))
		assert.Equal(t, mucfr.OccupantChanged, c.Kind, "it has not entered by that")
		occApply(t, o, early)
		assert.False(t, o.Inside())
		assert.Equal(t, occAsk("6"), occRestarted(t, o).Join("j2"), "7 and 8 are missing")
		c = occApply(t, o, occReset)
		assert.Equal(t, mucfr.RoomReset, c.Kind, "and this is the answer")
		c = occApply(t, o, occHere("Juliet", "11"), occAnswer("j1", "12"))
		assert.Equal(t, mucfr.Change{Kind: mucfr.RoomJoined, Nick: "Romeo", Codes: []int{self}}, c)
	})
	t.Run("MF-33: its own presence without an id of the room, which is not the answer", func(t *testing.T) {
		o := occRestarted(t, occKnown(t))
		o.Join("j1")
		require.Empty(t, occApply(t, o, occHere("Romeo", "", self)).Gone)
		c := occApply(t, o, occAnswer("j1", "12"))
		assert.True(t, c.Resumed)
		assert.Equal(t, []string{"Juliet", "Romeo", "Tybalt"}, occNicks(o))
	})
	t.Run("a room that is another one now, which gives back no ids", func(t *testing.T) {
		for _, restarted := range []bool{false, true} {
			o := occKnown(t)
			o.Join("j1")
			occApply(t, o, occHere("Romeo", "", self), occMessage("", occSubject))
			require.False(t, o.Inside(), "that may be from before the answer")
			if restarted {
				o = occRestarted(t, o)
			}
			o.Join("j2")
			c := occApply(t, o, occHere("Romeo", "", self))
			assert.Equal(t, mucfr.RoomJoined, c.Kind, "it is not asked for too much twice")
			assert.False(t, c.Resumed)
			assert.Equal(t, []string{"Romeo"}, occNicks(o))
		}
	})
	t.Run("its own presence by another nickname is not what it asks for", func(t *testing.T) {
		o := occKnown(t)
		require.NoError(t, o.SetNick("Ro"))
		o.Join("j1")
		occApply(t, o, occHere("Romeo", "9", self), occRename("Romeo", "Rho", "10", self))
		assert.Equal(t, "grove@chat.example/Ro", o.Address().String())
	})
	t.Run("a room that has changed its ways", func(t *testing.T) {
		o := occKnown(t)
		o.Join("j1")
		require.Equal(t, mucfr.RoomJoined, occApply(t, o, occReset, occHere("Romeo", "s2/1", self)).Kind, "behind a reset there is nothing from before")
		require.Equal(t, occAsk("s2/1"), o.Join("j2"))
		assert.Equal(t, mucfr.RoomJoined, occApply(t, o, occHere("Romeo", "s2/2", self)).Kind)
	})
	t.Run("it is refused, after its own presence from before", func(t *testing.T) {
		o := occInside(t)
		o.Join("j1")
		require.Equal(t, mucfr.RoomJoined, occApply(t, o, occHere("Romeo", "9", self)).Kind, "nobody knows better")
		refusal := occPresence("Romeo", "error", `<error type="cancel"><conflict xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>`)
		require.Equal(t, mucfr.Change{}, occApply(t, o, refusal), "this may be about something else")
		c := occApply(t, o, strings.Replace(refusal, "<presence", "<presence id='j1'", 1))
		assert.Equal(t, mucfr.RoomRefused, c.Kind)
		assert.False(t, o.Inside())
		assert.Equal(t, occAsk("4"), o.Join("j2"))
	})
	t.Run("who has come before it had gone itself may have gone then", func(t *testing.T) {
		for _, id := range []string{"j1", ""} {
			o := occInside(t)
			o.Join(id)
			c := occApply(t, o, occHere("Mercutio", "8"), occGone("Romeo", "9", self, mucfr.StatusKicked))
			require.Equal(t, mucfr.OccupantLeft, c.Kind)
			require.Equal(t, []string{"Juliet", "Tybalt"}, occNicks(o))
			c = occApply(t, o, occAnswer(id, "12"))
			assert.Equal(t, mucfr.RoomJoined, c.Kind)
			assert.True(t, c.Resumed)
			assert.Equal(t, []string{"Mercutio"}, c.Gone, "if not, the room would have listed him")
			assert.Equal(t, []string{"Juliet", "Romeo", "Tybalt"}, occNicks(o))
		}
	})
	t.Run("the same of a room that lists all", func(t *testing.T) {
		o := mucfr.NewOccupancy(occRoom)
		o.Join("j1")
		occApply(t, o, occHere("Mercutio", "8"), occGone("Romeo", "9", self, mucfr.StatusKicked), occHere("Juliet", "10"))
		assert.Equal(t, []string{"Mercutio"}, occApply(t, o, occAnswer("j1", "12")).Gone)
		assert.Equal(t, []string{"Juliet", "Romeo"}, occNicks(o))
	})
	t.Run("a room without that, and the last presence", func(t *testing.T) {
		o := occInside(t)
		o.LastPresence = true
		require.Equal(t, occAsk("3"), o.Join("j1"))
		occApply(t, o, occHere("Mercutio", "5"), occHere("Romeo", "6", self), occMessage("", occSubject+occMark("7")))
		assert.Equal(t, occAsk("6"), o.Join("j2"), "Mercutio is known, and may have gone")
	})
}

// TestOccupancyTwice is about a client that enters once more before it is answered.
func TestOccupancyTwice(t *testing.T) {
	t.Run("it has gone between the answers", func(t *testing.T) {
		o := occKnown(t)
		o.Join("j1")
		require.Equal(t, occAsk("6"), o.Join("j2"))
		require.Equal(t, mucfr.RoomJoined, occApply(t, o, occReset, occHere("Juliet", "9"), occHere("Mercutio", "10"), occAnswer("j1", "11")).Kind)
		require.Equal(t, mucfr.RoomLeft, occApply(t, o, occGone("Romeo", "12", self, mucfr.StatusKicked)).Kind)
		assert.Equal(t, occAsk("6"), occRestarted(t, o).Join("j3"), "that is what is still to be answered")
		c := occApply(t, o, occGone("Tybalt", "8"), occAnswer("j2", "14"))
		assert.Equal(t, mucfr.Change{Kind: mucfr.RoomJoined, Nick: "Romeo", Codes: []int{self}, Resumed: true, Gone: []string{"Mercutio"}}, c)
		assert.Equal(t, []string{"Juliet", "Romeo"}, occNicks(o))
		occApply(t, o, occMessage("", occSubject+occMark("15")))
		assert.Equal(t, occAsk("15"), o.Join("j3"))
	})
	t.Run("both are whole states", func(t *testing.T) {
		o := occKnown(t)
		o.Join("j1")
		o.Join("j2")
		occApply(t, o, occReset, occHere("Mercutio", "10"), occAnswer("j1", "11"), occMessage("", occSubject+occMark("12")))
		occApply(t, o, occGone("Romeo", "13", self))
		require.Equal(t, mucfr.RoomReset, occApply(t, o, occReset).Kind)
		occApply(t, o, occHere("Juliet", "14"), occAnswer("j2", "15"))
		assert.Equal(t, []string{"Juliet", "Romeo"}, occNicks(o))
	})
	t.Run("D-31: nobody is renamed to somebody who is there", func(t *testing.T) {
		o := occKnown(t)
		rename := []string{occRename("Juliet", "Jules", "8"), occHere("Jules", "9"), occHere("Juliet", "10")}
		o.Join("j1")
		o.Join("j2")
		occApply(t, o, append(rename, occAnswer("j1", "11"))...)
		c := occApply(t, o, rename[0])
		assert.Equal(t, mucfr.OccupantLeft, c.Kind, "this Juliet is not Jules")
		assert.Empty(t, c.Next)
		occApply(t, o, rename[1], rename[2], occAnswer("j2", "12"))
		assert.Equal(t, []string{"Jules", "Juliet", "Romeo", "Tybalt"}, occNicks(o))
	})
	t.Run("D-31: nor to somebody who was said to be there by an answer that was cut off", func(t *testing.T) {
		o := occKnown(t)
		o.Join("j1")
		occApply(t, o, occRename("Juliet", "Jules", "8"), occHere("Jules", "9"), occHere("Juliet", "10"))
		o.Join("j2")
		assert.Equal(t, mucfr.OccupantLeft, occApply(t, o, occRename("Juliet", "Jules", "8")).Kind)
	})
}
