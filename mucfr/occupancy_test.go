// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr_test

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"

	"github.com/xmppext/xmppext/mucfr"
)

func TestOccupancyLeft(t *testing.T) {
	t.Run("by itself", func(t *testing.T) {
		o := occInside(t)
		c := occApply(t, o, occGone("Romeo", "5", self))
		assert.Equal(t, mucfr.Change{Kind: mucfr.RoomLeft, Nick: "Romeo", Codes: []int{self}}, c)
		assert.False(t, o.Inside())
		assert.Equal(t, []string{"Juliet", "Tybalt"}, occNicks(o), "as far as is known")
	})
	t.Run("thrown out", func(t *testing.T) {
		o := occInside(t)
		user := strings.Replace(occUser("none", self, mucfr.StatusKicked), `role="none"/>`, `role="none"><actor nick="Prince"/><reason>Hence.</reason></item>`, 1)
		c := occApply(t, o, occPresence("Romeo", "unavailable", user))
		assert.Equal(t, mucfr.Change{Kind: mucfr.RoomLeft, Nick: "Romeo", Codes: []int{self, mucfr.StatusKicked}, Reason: "Hence."}, c)
		assert.Equal(t, mucfr.Change{}, occApply(t, o, occHere("Mercutio", "6")), "it does not see that any more")
	})
	t.Run("without the code for itself", func(t *testing.T) {
		assert.Equal(t, mucfr.RoomLeft, occApply(t, occInside(t), occGone("Romeo", "5", mucfr.StatusBanned)).Kind)
	})
	t.Run("AM-14: the room is destroyed", func(t *testing.T) {
		destroy := `<x xmlns="http://jabber.org/protocol/muc#user"><item affiliation="none" role="none"/>` +
			`<destroy jid="tomb@chat.example"><reason>All are dead.</reason></destroy><status code="110"/></x>`
		for _, from := range []string{"Romeo", ""} {
			o := occInside(t)
			c := occApply(t, o, occPresence(from, "unavailable", destroy+occMark("5")))
			assert.Equal(t, mucfr.RoomLeft, c.Kind)
			assert.Equal(t, &mucfr.Destroyed{Alternate: jid.MustParse("tomb@chat.example"), Reason: "All are dead."}, c.Destroyed)
			assert.Subset(t, c.Gone, []string{"Juliet", "Tybalt"})
			assert.Empty(t, occNicks(o))
			assert.Empty(t, o.Subject())
			assert.Equal(t, mucfr.Element{}, o.Join(""), "another room may be there now")
		}
	})
	t.Run("AM-15: a presence of the room that nobody has asked for", func(t *testing.T) {
		o := occInside(t)
		assert.Equal(t, mucfr.Change{}, occApply(t, o, occReset))
		assert.True(t, o.Inside())
		assert.Equal(t, []string{"Juliet", "Romeo", "Tybalt"}, occNicks(o))

		o.Join("")
		occApply(t, o, occHere("Romeo", "5", self), occMessage("", occSubject+occMark("6")))
		assert.Equal(t, mucfr.Change{}, occApply(t, o, occReset), "the answer has come to its end")

		first := mucfr.NewOccupancy(occRoom)
		first.Join("")
		assert.Equal(t, mucfr.Change{}, occApply(t, first, occHere("Juliet", "1"), occReset), "it has not asked to resume")
		assert.Equal(t, []string{"Juliet"}, occNicks(first))

		for _, o := range []*mucfr.Occupancy{o, occInside(t)} {
			assert.Equal(t, mucfr.RoomLeft, occApply(t, o, occPresence("", "unavailable", occUser("none", self))).Kind)
			assert.NotContains(t, occNicks(o), "Romeo")
		}
		assert.Equal(t, mucfr.RoomLeft, occApply(t, occInside(t), occPresence("", "unavailable", occUser("none", mucfr.StatusShutdown))).Kind)
	})
	t.Run("the session is lost", func(t *testing.T) {
		o := occInside(t)
		o.Lost()
		assert.False(t, o.Inside())
		assert.Equal(t, mucfr.Change{}, occApply(t, o, occHere("Mercutio", "9")), "something may be missing before")
		assert.Equal(t, occAsk("4"), o.Join(""))
		assert.Equal(t, []string{"Juliet", "Romeo", "Tybalt"}, occNicks(o))
	})
}

func TestOccupancyFollows(t *testing.T) {
	t.Run("an occupant", func(t *testing.T) {
		o := occInside(t)
		c := occApply(t, o, occPresence("Mercutio", "", `<show>away</show><status>At Mab&apos;s &amp; back</status>`+
			`<x xmlns="http://jabber.org/protocol/muc#user"><item affiliation="owner" role="moderator" jid="mercutio@montague.example/street"><reason>Trusted.</reason></item></x>`+
			`<c xmlns="http://jabber.org/protocol/caps" node="n" ver="v"/>`+occMark("5")))
		assert.Equal(t, mucfr.Change{Kind: mucfr.OccupantEntered, Nick: "Mercutio", Reason: "Trusted."}, c)
		one, ok := o.Occupant("Mercutio")
		require.True(t, ok)
		assert.Equal(t, mucfr.Occupant{
			Nick: "Mercutio", JIDs: []jid.JID{jid.MustParse("mercutio@montague.example/street")},
			Affiliation: muc.AffiliationOwner, Role: muc.RoleModerator,
			Payload: payload(t, `<show>away</show><status>At Mab's &amp; back</status><c xmlns="http://jabber.org/protocol/caps" node="n" ver="v"/>`),
		}, one)
		assert.Equal(t, mucfr.OccupantChanged, occApply(t, o, occHere("Mercutio", "6")).Kind)
		one, _ = o.Occupant("Mercutio")
		assert.Equal(t, mucfr.Occupant{Nick: "Mercutio", Affiliation: muc.AffiliationMember, Role: muc.RoleParticipant}, one)
		assert.Equal(t, mucfr.OccupantChanged, occApply(t, o, occHere("Romeo", "7", self)).Kind, "itself")
		_, ok = o.Occupant("Nobody")
		assert.False(t, ok)
	})
	t.Run("D-31: AM-10: who has gone is another one when somebody comes", func(t *testing.T) {
		o := occInside(t)
		assert.Equal(t, mucfr.Change{Kind: mucfr.OccupantLeft, Nick: "Juliet", Codes: []int{mucfr.StatusKicked}}, occApply(t, o, occGone("Juliet", "5", mucfr.StatusKicked)))
		_, ok := o.Occupant("Juliet")
		assert.False(t, ok)
		assert.Equal(t, mucfr.OccupantEntered, occApply(t, o, occHere("Juliet", "6")).Kind)
		assert.Equal(t, mucfr.Change{}, occApply(t, o, occGone("Nobody", "7")))
		assert.Equal(t, occAsk("7"), o.Join(""))
	})
	t.Run("D-31: MF-28: who is renamed is the same one", func(t *testing.T) {
		o := occInside(t)
		c := occApply(t, o, occRename("Juliet", "Jules", "5"))
		assert.Equal(t, mucfr.Change{Kind: mucfr.OccupantRenamed, Nick: "Juliet", Next: "Jules", Codes: []int{mucfr.StatusRenamed}}, c)
		assert.Equal(t, mucfr.OccupantEntered, occApply(t, o, occHere("Jules", "6")).Kind)
		assert.Equal(t, []string{"Jules", "Romeo", "Tybalt"}, occNicks(o))
	})
	t.Run("D-31: the client is renamed itself", func(t *testing.T) {
		o := occInside(t)
		assert.Equal(t, mucfr.OccupantRenamed, occApply(t, o, occRename("Romeo", "Ro", "5", self)).Kind)
		assert.Equal(t, "Ro", o.Nick())
		assert.Equal(t, "grove@chat.example/Ro", o.Address().String())
		assert.True(t, o.Inside())
		assert.Equal(t, mucfr.OccupantEntered, occApply(t, o, occHere("Ro", "6", self)).Kind)
		assert.Equal(t, []string{"Juliet", "Ro", "Tybalt"}, occNicks(o))
	})
	t.Run("a nickname and no code is no other name", func(t *testing.T) {
		gone := strings.Replace(occGone("Juliet", "5"), "<item", `<item nick="Jules"`, 1)
		assert.Equal(t, mucfr.Change{Kind: mucfr.OccupantLeft, Nick: "Juliet"}, occApply(t, occInside(t), gone))
	})
	t.Run("renamed to nothing that there is", func(t *testing.T) {
		for _, next := range []string{"", "&#x7f;", strings.Repeat("a", 2000)} {
			c := occApply(t, occInside(t), strings.Replace(occRename("Juliet", "NEXT", "5"), "NEXT", next, 1))
			assert.Equal(t, mucfr.OccupantLeft, c.Kind, next)
		}
	})
	t.Run("the subject", func(t *testing.T) {
		o := occInside(t)
		assert.Equal(t, "Midsummer", o.Subject())
		assert.Equal(t, mucfr.Change{Kind: mucfr.SubjectChanged, Nick: "Juliet"}, occApply(t, o, occMessage("Juliet", "<subject>Lark &amp; nightingale</subject><subject>Second</subject>")))
		assert.Equal(t, "Lark & nightingale", o.Subject())
		occApply(t, o, occMessage("Juliet", "<subject>Lark<b>no</b> &amp; nightingale</subject><b>no</b>no"))
		assert.Equal(t, "Lark & nightingale", o.Subject())
		for _, s := range []string{"<subject>No</subject><body>A message.</body>", "<subject>No</subject><thread>1</thread>", `<subject xmlns="urn:example:0">No</subject>`} {
			assert.Equal(t, mucfr.Change{}, occApply(t, o, occMessage("Juliet", s)))
		}
		assert.Equal(t, "Lark & nightingale", o.Subject())
		occApply(t, o, occMessage("", "<subject/>"))
		assert.Empty(t, o.Subject())
	})
	t.Run("AM-16, MF-20: it is told once that messages are missing", func(t *testing.T) {
		o := occInside(t)
		o.Join("")
		occApply(t, o, occHere("Romeo", "5", self))
		elsewhere := strings.Replace(occMessage("", occTruncated), "grove@", "tomb@", 1)
		private := strings.Replace(occMessage("", occTruncated), "groupchat", "normal", 1)
		for _, s := range []string{occMessage("Juliet", occTruncated), elsewhere, private, occMessage("", `<x xmlns="urn:example:0">`+occTruncated+`</x>`)} {
			assert.Equal(t, mucfr.Change{}, occApply(t, o, s), s)
		}
		noticed := occMessage("", strings.Replace(occTruncated, "type=", `session="s1" id="9" type=`, 1))
		assert.Equal(t, mucfr.Change{Kind: mucfr.HistoryTruncated}, occApply(t, o, noticed))
		assert.Equal(t, mucfr.Change{}, occApply(t, o, noticed), "once")
		occApply(t, o, occMessage("Juliet", strings.Replace(occTruncated, "type=", `session="s1" id="9" type=`, 1)))
		assert.Equal(t, occAsk("5"), o.Join(""), "it is no place to resume at")
		occApply(t, o, occHere("Romeo", "6", self))
		assert.Equal(t, mucfr.HistoryTruncated, occApply(t, o, noticed).Kind, "once for each join")
	})
	t.Run("AM-17: the session changes", func(t *testing.T) {
		o := occInside(t, occHere("Juliet", "s2/1"))
		assert.True(t, o.Inside())
		assert.Equal(t, []string{"Juliet", "Romeo", "Tybalt"}, occNicks(o))
		assert.Equal(t, occAsk("s2/1"), o.Join(""))
	})
	t.Run("what is not from the room", func(t *testing.T) {
		o := occInside(t)
		before := occSaved(t, o)
		for _, s := range []string{
			strings.Replace(occGone("Juliet", "5"), "grove@", "tomb@", 1),
			strings.Replace(occGone("Juliet", "5"), "chat.example", "chat.example.net", 1),
			strings.Replace(occGone("Juliet", "5"), `from="grove@chat.example/Juliet"`, "", 1),
			strings.Replace(occGone("Juliet", "5"), `from="`, `from="@`, 1),
			strings.Replace(occGone("Juliet", "5"), "jabber:client", "urn:example:0", 1),
			strings.ReplaceAll(occMessage("", occSubject+occMark("5")), "message", "iq"),
			occPresence("Juliet", "subscribe", occMark("5")),
		} {
			assert.Equal(t, mucfr.Change{}, occApply(t, o, s), s)
			assert.Equal(t, before, occSaved(t, o), s)
		}
		assert.Equal(t, mucfr.Change{}, occApply(t, o, occPresence("", "", `<x xmlns="vcard-temp:x:update"/>`)), "the room itself is no occupant")
		assert.Equal(t, before, occSaved(t, o))
	})
	t.Run("what the room says counts, and in its own words", func(t *testing.T) {
		o := occInside(t)
		c := occApply(t, o, occPresence("Mercutio", "",
			`<x xmlns="http://jabber.org/protocol/muc#user"><item xmlns="urn:example:0" role="visitor"/><item affiliation="king" role="fool" jid="@"/><item affiliation="owner" role="moderator"/>`+
				`<status code="x"/><status code="-1"/><status/><decline><reason>No.</reason></decline></x>`+
				occUser("moderator", self)))
		one, ok := o.Occupant("Mercutio")
		require.True(t, ok)
		assert.Equal(t, mucfr.Occupant{Nick: "Mercutio"}, one)
		assert.Equal(t, mucfr.Change{Kind: mucfr.OccupantEntered, Nick: "Mercutio"}, c)
		assert.Equal(t, "Romeo", o.Nick())
	})
	t.Run("of a presence there is kept what a client may send, and any parser can read", func(t *testing.T) {
		o := occInside(t, occPresence("Mercutio", "", `<x xmlns="http://jabber.org/protocol/muc#owner"/><show>away</show>`+
			`<a:0 xmlns:a="urn:example:0"><b>no</b></a:0><p xmlns="urn:example:0">yes<a:0 xmlns:a="urn:example:0"><b>no</b></a:0><b>yes</b></p>text`+occUser("visitor")))
		one, _ := o.Occupant("Mercutio")
		assert.Equal(t, `<show>away</show><p xmlns="urn:example:0">yes<b>yes</b></p>`, one.Payload.String())
	})
	t.Run("stanzas of any stream", func(t *testing.T) {
		for _, space := range []string{"jabber:server", "jabber:component:accept", ""} {
			o := occInside(t, strings.Replace(occGone("Juliet", "5"), "jabber:client", space, 1))
			assert.Equal(t, []string{"Romeo", "Tybalt"}, occNicks(o), space)
		}
	})
}

func TestOccupancyApply(t *testing.T) {
	t.Run("one stanza is read, to its end", func(t *testing.T) {
		o := occInside(t)
		r := occTokens("\n " + occGone("Juliet", "5") + `<iq xmlns="jabber:client"><query/></iq>` + occGone("Tybalt", "6"))
		for _, want := range []mucfr.ChangeKind{mucfr.OccupantLeft, mucfr.NoChange, mucfr.OccupantLeft} {
			c, err := o.Apply(r)
			require.NoError(t, err)
			assert.Equal(t, want, c.Kind)
		}
		_, err := o.Apply(r)
		require.ErrorIs(t, err, io.EOF)
	})
	t.Run("AM-18: half a stanza changes nothing", func(t *testing.T) {
		whole := occGone("Juliet", "5")
		for i := range whole {
			o := occInside(t)
			before := occSaved(t, o)
			c, err := o.Apply(occTokens(whole[:i]))
			require.Error(t, err, whole[:i])
			require.Equal(t, mucfr.Change{}, c)
			require.Equal(t, before, occSaved(t, o), whole[:i])
		}
	})
	t.Run("the end of the reader is no end of a stanza", func(t *testing.T) {
		r := xmlstream.LimitReader(occTokens(occGone("Juliet", "5")), 3)
		_, err := occInside(t).Apply(r)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	})
	t.Run("an error of the reader", func(t *testing.T) {
		failed := errors.New("the line is dead")
		_, err := occInside(t).Apply(xmlstream.MultiReader(
			xmlstream.LimitReader(occTokens(occGone("Juliet", "5")), 3),
			xmlstream.ReaderFunc(func() (xml.Token, error) { return nil, failed })))
		require.ErrorIs(t, err, failed)
	})
	t.Run("a reader that does not go on", func(t *testing.T) {
		_, err := occInside(t).Apply(xmlstream.ReaderFunc(func() (xml.Token, error) { return nil, nil }))
		require.ErrorIs(t, err, io.ErrNoProgress)
	})
	t.Run("an end without a start", func(t *testing.T) {
		r := occTokens("<a></a>")
		_, err := r.Token()
		require.NoError(t, err)
		_, err = occInside(t).Apply(r)
		require.Error(t, err)
		assert.NotErrorIs(t, err, io.EOF)
	})
}
