// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mucfr"
)

// occRoom is the room that the tests of the client's side are about.
var occRoom = jid.MustParse("grove@chat.example/Romeo")

// occTokens are those of some stanzas.
func occTokens(s string) xml.TokenReader { return xml.NewDecoder(strings.NewReader(s)) }

// occMark is an annotation of the session s1, or if the id has a slash, of the one before
// that.
func occMark(id string) string {
	session, after, ok := strings.Cut(id, "/")
	if !ok {
		session, after = "s1", id
	}
	return fmt.Sprintf(`<presence-session xmlns="urn:xmpp:presence-session:0" session=%q id=%q/>`, session, after)
}

// occUser is what the room says about an occupant: a member with a role, and codes.
func occUser(role string, codes ...int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<x xmlns="http://jabber.org/protocol/muc#user"><item affiliation="member" role=%q/>`, role)
	for _, code := range codes {
		fmt.Fprintf(&b, `<status code="%d"/>`, code)
	}
	return b.String() + `</x>`
}

// occHere is the presence of an occupant, unless the id is empty with an annotation.
func occHere(nick, id string, codes ...int) string {
	if id != "" {
		id = occMark(id)
	}
	return occPresence(nick, "", occUser("participant", codes...)+id)
}

// occGone is that by which an occupant has gone.
func occGone(nick, id string, codes ...int) string {
	if id != "" {
		id = occMark(id)
	}
	return occPresence(nick, "unavailable", occUser("none", codes...)+id)
}

// occRename is that by which an occupant has gone who is to have another nickname.
func occRename(nick, next, id string, codes ...int) string {
	codes = append(codes, mucfr.StatusRenamed)
	user := strings.Replace(occUser("participant", codes...), `<item`, fmt.Sprintf(`<item nick=%q`, next), 1)
	return occPresence(nick, "unavailable", user+occMark(id))
}

// occPresence is a presence from an occupant, or if there is no nickname from the room.
func occPresence(nick, typ, inner string) string {
	if typ != "" {
		typ = fmt.Sprintf(" type=%q", typ)
	}
	return fmt.Sprintf(`<presence xmlns="jabber:client" from=%q to="romeo@montague.example/lane"%s>%s</presence>`, occFrom(nick), typ, inner)
}

// occMessage is a message to all.
func occMessage(nick, inner string) string {
	return fmt.Sprintf(`<message xmlns="jabber:client" from=%q to="romeo@montague.example/lane" type="groupchat">%s</message>`, occFrom(nick), inner)
}

func occFrom(nick string) string {
	from := occRoom.Bare().String()
	if nick != "" {
		from += "/" + nick
	}
	return from
}

const (
	occReset     = `<presence xmlns="jabber:client" from="grove@chat.example" to="romeo@montague.example/lane" type="unavailable"/>`
	occTruncated = `<presence-session xmlns="urn:xmpp:presence-session:0" type="truncated"/>`
	occSubject   = `<subject>Midsummer</subject>`
	self         = mucfr.StatusSelf
)

// occApply applies stanzas one after the other, and returns what the last one changes.
func occApply(t testing.TB, o *mucfr.Occupancy, stanzas ...string) mucfr.Change {
	t.Helper()
	var c mucfr.Change
	for _, s := range stanzas {
		var err error
		c, err = o.Apply(occTokens(s))
		require.NoError(t, err, s)
	}
	return c
}

// occInside returns what a client knows that has entered a room that says no more since
// than what it is given.
func occInside(t testing.TB, stanzas ...string) *mucfr.Occupancy {
	t.Helper()
	o := mucfr.NewOccupancy(occRoom)
	require.Equal(t, mucfr.Element{}, o.Join(""))
	require.Equal(t, mucfr.RoomJoined, occApply(t, o,
		occHere("Juliet", "1"), occHere("Tybalt", "2"), occHere("Romeo", "3", self)).Kind)
	occApply(t, o, occMessage("", occSubject+occMark("4")))
	occApply(t, o, stanzas...)
	return o
}

// occAsk is what asks to resume behind a stanza of the session s1, or of that before a
// slash.
func occAsk(id string) mucfr.Element {
	session, after, ok := strings.Cut(id, "/")
	if !ok {
		session, after = "s1", id
	}
	return mucfr.Element{Session: session, ID: after, Type: mucfr.Resume}
}

// occNicks returns the nicknames of all that the client knows.
func occNicks(o *mucfr.Occupancy) (nicks []string) {
	for one := range o.Occupants() {
		nicks = append(nicks, one.Nick)
	}
	return nicks
}

// occSaved returns what an Occupancy is as JSON.
func occSaved(t testing.TB, o *mucfr.Occupancy) string {
	t.Helper()
	b, err := json.Marshal(o)
	require.NoError(t, err)
	return string(b)
}

// occRestarted returns what a program knows after it was ended and started.
func occRestarted(t testing.TB, o *mucfr.Occupancy) *mucfr.Occupancy {
	t.Helper()
	n := new(mucfr.Occupancy)
	require.NoError(t, json.Unmarshal([]byte(occSaved(t, o)), n))
	return n
}
