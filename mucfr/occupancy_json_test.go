// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mucfr"
)

func TestOccupancyJSON(t *testing.T) {
	t.Run("all that is known is kept", func(t *testing.T) {
		o := occInside(t, occPresence("Mercutio", "", `<show>away</show><x xmlns="http://jabber.org/protocol/muc#user">`+
			`<item affiliation="owner" role="moderator" jid="mercutio@montague.example/street"/></x>`+occMark("5")))
		n := occRestarted(t, o)
		assert.False(t, n.Inside())
		assert.Equal(t, "Romeo", n.Nick())
		assert.Equal(t, occRoom, n.Address())
		require.NoError(t, n.SetNick("Ro"))
		assert.Equal(t, "grove@chat.example/Ro", occRestarted(t, n).Address().String())
		assert.Equal(t, "Midsummer", n.Subject())
		assert.True(t, n.Supported())
		assert.Equal(t, occNicks(o), occNicks(n))
		was, _ := o.Occupant("Mercutio")
		is, _ := n.Occupant("Mercutio")
		assert.Equal(t, was, is)
		assert.Equal(t, mucfr.Change{}, occApply(t, n, occHere("Benvolio", "9")), "it has to enter first")
		assert.Equal(t, occAsk("5"), n.Join(""))
		c := occApply(t, n, occGone("Tybalt", "6"), occHere("Romeo", "7", self))
		assert.True(t, c.Resumed)
		assert.Equal(t, []string{"Juliet", "Mercutio", "Romeo"}, occNicks(n))
	})
	t.Run("AM-18: ended in the middle of an answer", func(t *testing.T) {
		o := occInside(t)
		o.Join("")
		occApply(t, o, occHere("Juliet", ""))
		n := occRestarted(t, o)
		require.Equal(t, occAsk("4"), n.Join(""))
		c := occApply(t, n, occHere("Juliet", ""), occHere("Romeo", "", self))
		assert.Equal(t, []string{"Tybalt"}, c.Gone)
	})
	t.Run("what was there before is replaced", func(t *testing.T) {
		o := occInside(t)
		require.NoError(t, json.Unmarshal([]byte(occSaved(t, mucfr.NewOccupancy(occRoom))), o))
		assert.False(t, o.Inside())
		assert.Empty(t, occNicks(o))
		assert.Empty(t, o.Subject())
		assert.Empty(t, o.Codes())
		assert.Equal(t, mucfr.Element{}, o.Join(""))
	})
	t.Run("what has no room is kept, too", func(t *testing.T) {
		o := occInside(t)
		require.NoError(t, json.Unmarshal([]byte(occSaved(t, new(mucfr.Occupancy))), o))
		assert.Equal(t, jid.JID{}, o.Address())
		assert.Empty(t, occNicks(o))
		assert.Equal(t, mucfr.Element{}, o.Join(""))
		assert.Equal(t, occSaved(t, new(mucfr.Occupancy)), occSaved(t, o))
	})
	whole := occSaved(t, occInside(t))
	for name, change := range map[string]func(m map[string]any){
		"no version":                func(m map[string]any) { delete(m, "version") },
		"a later version":           func(m map[string]any) { m["version"] = 2 },
		"no room":                   func(m map[string]any) { delete(m, "room") },
		"no address":                func(m map[string]any) { m["room"] = "a@b@c" },
		"an occupant":               func(m map[string]any) { m["room"] = occRoom.String() },
		"another type":              func(m map[string]any) { m["occupants"] = "all" },
		"a nickname that is none":   func(m map[string]any) { m["nick"] = "\x7f" },
		"a long session":            func(m map[string]any) { m["session"] = strings.Repeat("s", mucfr.MaxPoint+1) },
		"a long id":                 func(m map[string]any) { m["id"] = strings.Repeat("i", mucfr.MaxPoint+1) },
		"a long id of a presence":   func(m map[string]any) { m["presence"] = strings.Repeat("i", mucfr.MaxPoint+1) },
		"a long subject":            func(m map[string]any) { m["subject"] = strings.Repeat("s", mucfr.MaxSubject+1) },
		"an occupant twice":         func(m map[string]any) { m["occupants"] = append(m["occupants"].([]any), occupantIn(m)) },
		"no affiliation":            func(m map[string]any) { delete(occupantIn(m), "affiliation") },
		"no role":                   func(m map[string]any) { delete(occupantIn(m), "role") },
		"an occupant without name":  func(m map[string]any) { delete(occupantIn(m), "nick") },
		"an occupant with junk":     func(m map[string]any) { occupantIn(m)["nick"] = "\x7f" },
		"an address that is none":   func(m map[string]any) { occupantIn(m)["jid"] = "@" },
		"a presence that is no XML": func(m map[string]any) { occupantIn(m)["payload"] = "<show>" },
		"a long presence": func(m map[string]any) {
			occupantIn(m)["payload"] = "<a>" + strings.Repeat("a", mucfr.MaxPresence) + "</a>"
		},
	} {
		t.Run("junk changes nothing: "+name, func(t *testing.T) {
			var m map[string]any
			require.NoError(t, json.Unmarshal([]byte(whole), &m))
			change(m)
			junk, err := json.Marshal(m)
			require.NoError(t, err)
			o := occInside(t)
			require.ErrorIs(t, json.Unmarshal(junk, o), mucfr.ErrCorrupt)
			assert.Equal(t, whole, occSaved(t, o))
			assert.True(t, o.Inside())
		})
	}
	t.Run("junk changes nothing: too many occupants", func(t *testing.T) {
		o := occInside(t)
		require.ErrorIs(t, o.UnmarshalJSON([]byte(occMany(mucfr.MaxOccupants+1))), mucfr.ErrCorrupt)
		assert.Equal(t, whole, occSaved(t, o))
	})
	t.Run("half of it changes nothing", func(t *testing.T) {
		o := occInside(t)
		for i := range whole {
			require.ErrorIs(t, o.UnmarshalJSON([]byte(whole[:i])), mucfr.ErrCorrupt)
		}
		assert.Equal(t, whole, occSaved(t, o))
		assert.True(t, o.Inside())
	})
	t.Run("there is no half of a place to resume at", func(t *testing.T) {
		for _, key := range []string{"session", "id"} {
			var m map[string]any
			require.NoError(t, json.Unmarshal([]byte(whole), &m))
			delete(m, key)
			half, err := json.Marshal(m)
			require.NoError(t, err)
			o := new(mucfr.Occupancy)
			require.NoError(t, json.Unmarshal(half, o))
			assert.Equal(t, mucfr.Element{}, o.Join(""), key)
		}
	})
}

// occMany returns what was kept of a room with Romeo and others, n in all, behind the
// stanza 5.
func occMany(n int) string {
	var b strings.Builder
	b.WriteString(`{"version":1,"room":"grove@chat.example","nick":"Romeo","session":"s1","id":"5","supported":true,"occupants":[`)
	for i := range n - 1 {
		fmt.Fprintf(&b, `{"nick":"N%d","affiliation":"none","role":"none"},`, i)
	}
	b.WriteString(`{"nick":"Romeo","affiliation":"none","role":"none"}]}`)
	return b.String()
}

// occupantIn returns the first occupant in JSON.
func occupantIn(m map[string]any) map[string]any {
	return m["occupants"].([]any)[0].(map[string]any)
}

func TestOccupancyBounds(t *testing.T) {
	long := strings.Repeat("a", mucfr.MaxPoint)
	t.Run("a session or an id that is too long is nothing to resume at", func(t *testing.T) {
		assert.Equal(t, occAsk(long), occInside(t, occHere("Juliet", long)).Join(""))
		assert.Equal(t, occAsk(long+"/1"), occInside(t, occHere("Juliet", long+"/1")).Join(""))
		for _, id := range []string{long + "a", long + "a/1"} {
			o := occInside(t, occHere("Juliet", id))
			assert.True(t, o.Inside())
			assert.NotContains(t, occSaved(t, o), long)
			assert.Equal(t, mucfr.Element{}, o.Join(""))
			assert.Equal(t, []string{"Juliet", "Romeo", "Tybalt"}, occNicks(o))
		}
		assert.Equal(t, occAsk("6"), occInside(t, occHere("Juliet", long+"a"), occHere("Juliet", "6")).Join(""), "the next one may be shorter")
	})
	t.Run("a presence that is too large is not kept", func(t *testing.T) {
		status := func(n int) string { return "<status>" + strings.Repeat("a", n-len("<status></status>")) + "</status>" }
		o := occInside(t, occPresence("Juliet", "", status(mucfr.MaxPresence)+occUser("participant")))
		one, _ := o.Occupant("Juliet")
		assert.Len(t, one.Payload.String(), mucfr.MaxPresence)
		for _, large := range []string{
			status(mucfr.MaxPresence + 1), strings.Repeat("<status>a</status>", mucfr.MaxPresence/10),
			`<status a="` + strings.Repeat("a", mucfr.MaxPresence) + `">` + status(100) + `</status>`,
		} {
			occApply(t, o, occPresence("Juliet", "", large+occUser("moderator")+occMark("5")))
			one, _ = o.Occupant("Juliet")
			assert.True(t, one.Payload.IsZero())
			assert.Equal(t, "moderator", one.Role.String(), "the rest counts")
			assert.Equal(t, occNicks(o), occNicks(occRestarted(t, o)))
		}
		assert.Equal(t, occAsk("5"), o.Join(""))
	})
	t.Run("more than all presences is not kept", func(t *testing.T) {
		o := occInside(t)
		large := "<status>" + strings.Repeat("a", mucfr.MaxPresence-20) + "</status>"
		full := 0
		for i := range mucfr.MaxPresences/len(large) + 10 {
			occApply(t, o, occPresence(fmt.Sprint("N", i), "", large+occUser("participant")))
			if one, ok := o.Occupant(fmt.Sprint("N", i)); assert.True(t, ok) && !one.Payload.IsZero() {
				full++
			}
		}
		assert.Equal(t, mucfr.MaxPresences/len(large), full)
		o.Join("")
		occApply(t, o, occGone("N0", ""))
		o.Lost()
		o.Join("")
		occApply(t, o, occPresence("One more", "", large+occUser("participant")))
		one, _ := o.Occupant("One more")
		assert.True(t, one.Payload.IsZero(), "there is none after what was undone")
		occApply(t, o, occGone("N0", ""), occHere("N1", ""))
		for _, nick := range []string{"N0", "N1"} {
			occApply(t, o, occPresence(nick, "", large+occUser("participant")))
			one, _ := o.Occupant(nick)
			assert.False(t, one.Payload.IsZero(), "there is space again")
		}
	})
	t.Run("more occupants are not kept, and the client does not resume", func(t *testing.T) {
		o := new(mucfr.Occupancy)
		require.NoError(t, json.Unmarshal([]byte(occMany(mucfr.MaxOccupants)), o))
		assert.Equal(t, occAsk("5"), o.Join(""))
		occApply(t, o, occHere("One more", "6"))
		assert.Equal(t, occAsk("5"), occRestarted(t, o).Join(""), "what was known before is all that there was")
		assert.Equal(t, occAsk("5"), o.Join(""))
		assert.True(t, occApply(t, o, occHere("Romeo", "6", self)).Resumed)
		assert.Equal(t, mucfr.OccupantEntered, occApply(t, o, occHere("One more", "6")).Kind)
		assert.Len(t, occNicks(o), mucfr.MaxOccupants)
		occApply(t, o, occGone("N0", "7"))
		assert.Equal(t, mucfr.Element{}, occRestarted(t, o).Join(""), "somebody is not known")
		assert.Equal(t, mucfr.Element{}, o.Join(""))
		assert.Len(t, occApply(t, o, occHere("Romeo", "8", self)).Gone, mucfr.MaxOccupants-2)
		assert.Equal(t, occAsk("8"), o.Join(""))
	})
	t.Run("a text is cut off", func(t *testing.T) {
		o := occInside(t, occMessage("", "<subject>a"+strings.Repeat("é", mucfr.MaxSubject)+"</subject>"))
		assert.Equal(t, "a"+strings.Repeat("é", mucfr.MaxSubject/2-1), o.Subject())
		assert.Equal(t, o.Subject(), occRestarted(t, o).Subject())
		user := strings.Replace(occUser("none"), "/>", "><reason>"+strings.Repeat("a", 1<<20)+"</reason></item>", 1)
		assert.Len(t, occApply(t, o, occPresence("Juliet", "unavailable", user)).Reason, 1<<10)
	})
	t.Run("of many codes the first are kept", func(t *testing.T) {
		codes := make([]int, 1000)
		codes[0] = self
		assert.Equal(t, codes[:32], occApply(t, occInside(t), occHere("Romeo", "5", codes...)).Codes)
	})
}
