// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/mucfr"
)

func TestPublic(t *testing.T) {
	t.Run("MF-32: all hear it, with the sender's id", func(t *testing.T) {
		_, crone, hag := pair(t)
		hag.sendf(`<message type="groupchat" to="%s" id="m1"><body>Double &amp; toil</body></message>`, cave)
		for _, c := range []*client{crone, hag} {
			require.Len(t, c.inbox, 1)
			assert.Equal(t, "m1", c.inbox[0].ID)
			assert.Equal(t, []string{"hag says Double & toil *"}, c.hears())
		}
	})
	t.Run("MF-30, AM-08: what only rooms may say is not passed on", func(t *testing.T) {
		_, crone, hag := pair(t)
		hag.sendf(`<message type="groupchat" to="%s"><body>Trouble</body>%s</message>`, cave, forged)
		require.Len(t, crone.inbox, 1)
		assert.Equal(t, 1, strings.Count(crone.inbox[0].text, "<presence-session"))
		assert.NotContains(t, crone.inbox[0].text, "muc#user")
		assert.NotContains(t, crone.inbox[0].text, "forged")
	})
	t.Run("messages without a body are for now", func(t *testing.T) {
		h, crone, hag := pair(t)
		hag.sendf(`<message type="groupchat" to="%s"><composing xmlns="http://jabber.org/protocol/chatstates"/></message>`, cave)
		require.Len(t, crone.inbox, 1)
		assert.Contains(t, crone.inbox[0].text, "composing")
		said := h.client("toad@shakespeare.example/pond").join("toad", plain)
		assert.Len(t, said, 4, "two others, oneself and the subject: %s", said)
	})
	t.Run("MF-23: of what was said before one gets no more than one wants", func(t *testing.T) {
		h, _, hag := pair(t, "muc#maxhistoryfetch", "5")
		for i := range 9 {
			hag.sendf(`<message type="groupchat" to="%s"><body>%d</body></message>`, cave, i)
		}
		toad := h.client("toad@shakespeare.example/pond")
		for limit, want := range map[string]int{
			``:                                5,
			`maxstanzas="7"`:                  7,
			`maxstanzas="0"`:                  0,
			`maxchars="0"`:                    0,
			`seconds="3600"`:                  9,
			`seconds="0" maxstanzas="9"`:      0,
			`since="2100-01-01T00:00:00Z"`:    0,
			`maxstanzas="-1"`:                 5,
			`maxstanzas="3" maxchars="99999"`: 3,
			`maxstanzas="9" maxchars="450"`:   2,
		} {
			said := toad.join("toad", `<x xmlns="http://jabber.org/protocol/muc"><history `+limit+`/></x>`)
			var late []string
			for _, one := range said {
				if strings.HasPrefix(one, "hag says") {
					late = append(late, one)
				}
			}
			require.Len(t, late, want, limit)
			for i, one := range late {
				assert.Equal(t, fmt.Sprintf("hag says %d late", 9-want+i), one, limit)
			}
			toad.leave("toad")
		}
	})
	t.Run("a room may have no history", func(t *testing.T) {
		h, _, hag := pair(t, "muc#maxhistoryfetch", "0")
		hag.sendf(`<message type="groupchat" to="%s"><body>Bubble</body></message>`, cave)
		assert.Len(t, h.client("toad@shakespeare.example/pond").join("toad", plain), 4)
	})
	t.Run("in a moderated room voice is needed", func(t *testing.T) {
		_, crone, _ := pair(t, "moderatedroom", "1")
		h := crone.h
		toad := h.client("toad@shakespeare.example/pond")
		assert.Contains(t, toad.join("toad", plain), "toad none/visitor 110")
		h.quiet()
		toad.sendf(`<message type="groupchat" to="%s"><body>Croak</body></message>`, cave)
		assert.Equal(t, []string{"CAVE message error forbidden"}, toad.hears())
		assert.Empty(t, crone.hears())
		require.Empty(t, crone.admin(`<item role="participant" nick="toad"/>`))
		h.quiet()
		toad.sendf(`<message type="groupchat" to="%s"><body>Croak</body></message>`, cave)
		assert.Equal(t, []string{"toad says Croak *"}, crone.hears())
	})
	t.Run("who is not inside is not heard", func(t *testing.T) {
		h, crone, hag := pair(t)
		hag.leave("hag")
		h.quiet()
		hag.sendf(`<message type="groupchat" to="%s" id="m1"><body>Bubble</body></message>`, cave)
		assert.Equal(t, "m1", hag.inbox[0].ID)
		assert.Equal(t, []string{"CAVE message error not-acceptable"}, hag.hears())
		assert.Empty(t, crone.hears())
	})
	t.Run("there is nobody in a room that is not there", func(t *testing.T) {
		h, _, _ := pair(t)
		toad := h.client("toad@shakespeare.example/pond")
		toad.sendf(`<message type="groupchat" to="pond@%s"><body>Croak</body></message>`, domain)
		assert.Equal(t, []string{"POND message error item-not-found"}, toad.hears())
	})
	t.Run("what is too large is refused", func(t *testing.T) {
		_, crone, hag := pair(t)
		hag.sendf(`<message type="groupchat" to="%s"><body>%s</body></message>`, cave, strings.Repeat("x", mucfr.MaxPayload))
		assert.Equal(t, []string{"CAVE message error policy-violation"}, hag.hears())
		assert.Empty(t, crone.hears())
	})
	t.Run("messages to a room are for all", func(t *testing.T) {
		_, crone, hag := pair(t)
		hag.sendf(`<message type="chat" to="%s"><body>Bubble</body></message>`, cave)
		hag.sendf(`<message to="%s"><body>Bubble</body></message>`, cave)
		assert.Equal(t, []string{"CAVE message error bad-request", "CAVE message error bad-request"}, hag.hears())
		assert.Empty(t, crone.hears())
	})
}

func TestSubject(t *testing.T) {
	const subject = `<message type="groupchat" to="` + cave + `"><subject>Brew</subject></message>`
	t.Run("moderators change it", func(t *testing.T) {
		_, crone, hag := pair(t)
		crone.send(subject)
		assert.Equal(t, []string{`crone subject "Brew" *`}, hag.hears())
	})
	t.Run("others do not", func(t *testing.T) {
		_, crone, hag := pair(t)
		hag.send(subject)
		assert.Equal(t, []string{"CAVE message error forbidden"}, hag.hears())
		assert.Empty(t, crone.hears())
	})
	t.Run("unless they may", func(t *testing.T) {
		_, crone, hag := pair(t, "changesubject", "1")
		hag.send(subject)
		assert.Equal(t, []string{`hag subject "Brew" *`}, crone.hears())
	})
	t.Run("visitors never do", func(t *testing.T) {
		h, _, _ := pair(t, "changesubject", "1", "moderatedroom", "1")
		toad := h.client("toad@shakespeare.example/pond")
		toad.join("toad", plain)
		toad.send(subject)
		assert.Equal(t, []string{"CAVE message error forbidden"}, toad.hears())
	})
	t.Run("a message with a body changes nothing", func(t *testing.T) {
		_, crone, hag := pair(t)
		hag.sendf(`<message type="groupchat" to="%s"><subject>Brew</subject><body>Bubble</body></message>`, cave)
		assert.Equal(t, []string{`hag says Bubble subject "Brew" *`}, crone.hears())
		said := hag.join("hag", plain)
		assert.Equal(t, `CAVE subject ""`, said[len(said)-1])
	})
}

func TestPrivate(t *testing.T) {
	t.Run("it is for one, and says that it is of a room", func(t *testing.T) {
		h, crone, hag := pair(t)
		toad := h.client("toad@shakespeare.example/pond")
		toad.join("toad", plain)
		h.quiet()
		hag.sendf(`<message type="chat" to="%s/crone" id="m1"><body>Psst</body></message>`, cave)
		require.Len(t, crone.inbox, 1)
		said := crone.inbox[0]
		assert.Equal(t, "m1", said.ID)
		assert.NotNil(t, said.X)
		assert.NotContains(t, said.text, "hag@shakespeare.example")
		assert.Equal(t, []string{"hag message chat says Psst"}, crone.hears())
		assert.Empty(t, hag.hears())
		assert.Empty(t, toad.hears())
	})
	t.Run("MF-30, AM-08: what only rooms may say is not passed on", func(t *testing.T) {
		_, crone, hag := pair(t)
		hag.sendf(`<message type="chat" to="%s/crone"><body>Psst</body>%s</message>`, cave, forged)
		require.Len(t, crone.inbox, 1)
		assert.Equal(t, 1, strings.Count(crone.inbox[0].text, "<x "))
		assert.Contains(t, crone.inbox[0].text, `<x xmlns="http://jabber.org/protocol/muc#user"/>`)
		assert.NotContains(t, crone.inbox[0].text, "presence-session")
	})
	t.Run("all clients of an occupant get it", func(t *testing.T) {
		h, crone, hag := pair(t)
		other := h.client("hag@shakespeare.example/other")
		other.join("hag", plain)
		h.quiet()
		crone.sendf(`<message type="chat" to="%s/hag"><body>Psst</body></message>`, cave)
		assert.Equal(t, []string{"crone message chat says Psst"}, hag.hears())
		assert.Equal(t, []string{"crone message chat says Psst"}, other.hears())
	})
	t.Run("an error comes back to whom it is for", func(t *testing.T) {
		_, crone, hag := pair(t)
		hag.sendf(`<message type="chat" to="%s/crone" id="m1"><body>Psst</body></message>`, cave)
		h := crone.h
		h.quiet()
		crone.sendf(`<message type="error" to="%s/hag" id="m1"><error type="auth"><forbidden xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></message>`, cave)
		assert.Equal(t, []string{"crone message error forbidden"}, hag.hears())
		assert.Empty(t, crone.hears())
	})
	for _, tc := range []struct{ rule, to, kind, want string }{
		{"nobody has the nickname", cave + "/toad", "chat", "item-not-found"},
		{"an error for nobody is no reason for another one", cave + "/toad", "error", ""},
		{"it is of type groupchat", cave + "/crone", "groupchat", "bad-request"},
	} {
		t.Run(tc.rule, func(t *testing.T) {
			_, crone, hag := pair(t)
			hag.sendf(`<message type="%s" to="%s"><body>Psst</body></message>`, tc.kind, tc.to)
			if tc.want == "" {
				assert.Empty(t, hag.inbox)
			} else {
				require.Len(t, hag.inbox, 1)
				assert.Equal(t, tc.want, hag.inbox[0].condition())
				assert.Equal(t, tc.to, hag.inbox[0].From)
			}
			assert.Empty(t, crone.hears())
		})
	}
	t.Run("who is not inside tells nobody anything", func(t *testing.T) {
		h, crone, _ := pair(t)
		toad := h.client("toad@shakespeare.example/pond")
		toad.sendf(`<message type="chat" to="%s/crone"><body>Psst</body></message>`, cave)
		assert.Equal(t, []string{"crone message error not-acceptable"}, toad.hears())
		assert.Empty(t, crone.hears())
	})
}

func TestMediated(t *testing.T) {
	invite := func(what, to string) string {
		return `<message to="` + cave + `" id="m1"><x xmlns="http://jabber.org/protocol/muc#user"><` + what + ` to="` + to + `"><reason>a &lt; b</reason></` + what + `></x></message>`
	}
	t.Run("an invitation is passed on, from the room", func(t *testing.T) {
		h, _, hag := pair(t, "passwordprotectedroom", "0")
		toad := h.client("toad@shakespeare.example")
		hag.send(invite("invite", toad.jid))
		require.Len(t, toad.inbox, 1)
		assert.Equal(t, cave, toad.inbox[0].From)
		assert.Contains(t, toad.inbox[0].text, `<invite from="hag@shakespeare.example"><reason>a &lt; b</reason></invite></x>`)
		assert.Empty(t, hag.hears())
	})
	t.Run("with the password", func(t *testing.T) {
		h, crone := coven(t, "passwordprotectedroom", "1", "roomsecret", "cauldron")
		toad := h.client("toad@shakespeare.example")
		crone.send(invite("invite", toad.jid))
		require.Len(t, toad.inbox, 1)
		assert.Contains(t, toad.inbox[0].text, "<password>cauldron</password>")
	})
	t.Run("in a room of members an admin makes one, and others do not", func(t *testing.T) {
		h, crone := coven(t)
		require.Empty(t, crone.admin(`<item affiliation="member" jid="hag@shakespeare.example"/>`))
		crone.configure("membersonly", "1")
		hag := h.client("hag@shakespeare.example/broom")
		hag.join("hag", plain)
		h.quiet()
		toad := h.client("toad@shakespeare.example/pond")
		hag.send(invite("invite", toad.jid))
		assert.Equal(t, []string{"CAVE message error forbidden"}, hag.hears())
		assert.Equal(t, []string{"toad presence error registration-required"}, toad.join("toad", plain))
		crone.send(invite("invite", toad.jid))
		assert.Len(t, toad.hears(), 1)
		assert.Contains(t, toad.join("toad", plain), "toad member/participant 110")
	})
	t.Run("who is banned is not invited to a room of members", func(t *testing.T) {
		h, crone := coven(t, "membersonly", "1")
		toad := h.client("toad@shakespeare.example/pond")
		require.Empty(t, crone.admin(`<item affiliation="outcast" jid="toad@shakespeare.example"/>`))
		crone.send(invite("invite", toad.jid))
		assert.Equal(t, []string{"CAVE message error forbidden"}, crone.hears())
		assert.Empty(t, toad.hears())
	})
	t.Run("a refusal goes to who is inside, and to nobody else", func(t *testing.T) {
		h, crone, _ := pair(t)
		toad := h.client("toad@shakespeare.example/pond")
		toad.send(invite("decline", "crone@shakespeare.example/desk"))
		require.Len(t, crone.inbox, 1)
		assert.Contains(t, crone.inbox[0].text, `<decline from="toad@shakespeare.example">`)
		toad.send(invite("decline", "king@shakespeare.example"))
		assert.Empty(t, h.others)
	})
	for rule, text := range map[string]string{
		"bad-request":   `<message to="` + cave + `"><x xmlns="http://jabber.org/protocol/muc#user"/></message>`,
		"jid-malformed": invite("invite", "@"),
	} {
		t.Run("what cannot be passed on is refused: "+rule, func(t *testing.T) {
			_, _, hag := pair(t)
			hag.send(text)
			assert.Equal(t, []string{"CAVE message error " + rule}, hag.hears())
		})
	}
	t.Run("who is not inside invites nobody", func(t *testing.T) {
		h, _, _ := pair(t)
		toad := h.client("toad@shakespeare.example/pond")
		toad.send(invite("invite", "king@shakespeare.example"))
		assert.Equal(t, []string{"CAVE message error not-acceptable"}, toad.hears())
		assert.Empty(t, h.others)
	})
}
