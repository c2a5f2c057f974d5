// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/examples/mucroom/groupchat"
)

func TestEnter(t *testing.T) {
	t.Run("MF-21: others, oneself, history, subject, and then what happens", func(t *testing.T) {
		h, crone := coven(t)
		crone.sendf(`<message type="groupchat" to="%s"><subject>Brew</subject></message>`, cave)
		crone.sendf(`<message type="groupchat" to="%s"><body>Bubble</body></message>`, cave)
		hag := h.client("hag@shakespeare.example/broom")
		assert.Equal(t, []string{
			"crone owner/moderator *",
			"hag none/participant 110 *",
			"crone says Bubble late *",
			`crone subject "Brew" late *`,
		}, hag.join("hag", fast))
		crone.sendf(`<message type="groupchat" to="%s"><body>Toil</body></message>`, cave)
		assert.Equal(t, []string{"crone says Toil *"}, hag.hears())
	})
	t.Run("MF-22: who makes a room is told so, and who enters one is not", func(t *testing.T) {
		h := open(t, groupchat.Options{})
		crone, hag := h.client("crone@shakespeare.example/desk"), h.client("hag@shakespeare.example/broom")
		const self = "crone owner/moderator jid=crone@shakespeare.example/desk 110"
		assert.Equal(t, []string{self + " 201", `CAVE subject ""`}, crone.join("crone", plain))
		crone.configure()
		assert.Contains(t, hag.join("hag", plain), "hag none/participant 110")
		assert.Contains(t, crone.join("crone", plain), self)
	})
	t.Run("MF-22: a room that shows addresses says so, also to who comes back", func(t *testing.T) {
		h, _ := coven(t, "whois", "anyone")
		hag := h.client("hag@shakespeare.example/broom")
		const self = "hag none/participant jid=hag@shakespeare.example/broom 110 100 *"
		assert.Contains(t, hag.join("hag", fast), self)
		hag.leave("hag")
		assert.Equal(t, []string{self, `CAVE subject "" *`}, hag.resume("hag"))
	})
	t.Run("MF-24: there is a subject, also if nobody has said one", func(t *testing.T) {
		h, _ := coven(t)
		said := h.client("hag@shakespeare.example/broom").join("hag", plain)
		require.NotEmpty(t, said)
		assert.Equal(t, `CAVE subject ""`, said[len(said)-1])
	})
	t.Run("AM-09: of two presence-session elements the first one counts, and there is one join", func(t *testing.T) {
		h, crone := coven(t)
		hag := h.client("hag@shakespeare.example/broom")
		said := hag.join("hag", fast+session{Session: "nonsense", ID: "nonsense"}.resume())
		assert.Equal(t, []string{"crone owner/moderator *", "hag none/participant 110 *", `CAVE subject "" *`}, said)
		assert.Equal(t, []string{"hag none/participant jid=hag@shakespeare.example/broom *"}, crone.hears())
	})
	t.Run("several clients may share a nickname, but not too many", func(t *testing.T) {
		h, _ := coven(t)
		for i := range groupchat.MaxClients {
			c := h.client(fmt.Sprintf("hag@shakespeare.example/%d", i))
			assert.Contains(t, c.join("hag", plain), "hag none/participant 110")
		}
		assert.Equal(t, []string{"hag presence error service-unavailable"},
			h.client("hag@shakespeare.example/more").join("hag", plain))
	})
	t.Run("there are not too many rooms", func(t *testing.T) {
		h := open(t, groupchat.Options{MaxRooms: 2})
		crone := h.client("crone@shakespeare.example/desk")
		for _, room := range []string{"a", "b", "c"} {
			crone.sendf(`<presence to="%s@%s/crone">%s</presence>`, room, domain, plain)
		}
		assert.Contains(t, crone.hears(), "crone presence error resource-constraint")
		crone.sendf(`<presence to="a@%s/crone" type="unavailable"/>`, domain)
		crone.inbox = nil
		crone.sendf(`<presence to="c@%s/crone">%s</presence>`, domain, plain)
		assert.Contains(t, crone.hears(), `C subject ""`)
	})
}

// TestRefused has all that somebody may be refused for. Each line is of a room that also
// has what the lines below it are about.
func TestRefused(t *testing.T) {
	for _, tc := range []struct {
		rule, want string
		password   bool
		banned     bool
		members    bool
		taken      bool
		full       bool
		locked     bool
		nick       string
	}{
		{"MF-25: a password is needed first", "not-authorized", true, true, true, true, true, false, "crone"},
		{"MF-25: who is banned", "forbidden", false, true, true, true, true, false, "crone"},
		{"MF-25: who is no member", "registration-required", false, false, true, true, true, false, "crone"},
		{"MF-25: a nickname that is taken", "conflict", false, false, false, true, true, false, "crone"},
		{"MF-25: a room that is full", "service-unavailable", false, false, false, false, true, false, "hag"},
		{"MF-25: a room that is locked", "item-not-found", false, false, false, false, false, true, "hag"},
		{"MF-25: no nickname", "jid-malformed", false, false, false, false, false, false, ""},
	} {
		t.Run(tc.rule, func(t *testing.T) {
			h := open(t, groupchat.Options{})
			crone, hag := h.client("crone@shakespeare.example/desk"), h.client("hag@shakespeare.example/broom")
			crone.join("crone", fast)
			if !tc.locked {
				crone.configure()
			}
			// It knows the room, if that can be.
			hag.join("hag", fast)
			hag.leave("hag")
			if tc.banned {
				require.Empty(t, crone.admin(`<item affiliation="outcast" jid="hag@shakespeare.example"/>`))
			}
			var fields []string
			if tc.password {
				fields = append(fields, "passwordprotectedroom", "1", "roomsecret", "cauldron")
			}
			if tc.members {
				fields = append(fields, "membersonly", "1")
			}
			if tc.full {
				fields = append(fields, "maxusers", "1")
			}
			if !tc.locked {
				crone.configure(fields...)
			}
			h.quiet()
			to := cave
			if tc.nick != "" {
				to += "/" + tc.nick
			}
			for rule, request := range map[string]string{
				"plain": "", "first": fast[len(plain):], "AM-05: resume": hag.last.resume(),
			} {
				hag.sendf(`<presence to="%s" id="p1">%s</presence>`, to, plain+request)
				require.Len(t, hag.inbox, 1, "%s: there is no reset, no delta and nothing else", rule)
				said := hag.inbox[0]
				assert.Equal(t, tc.want, said.condition(), rule)
				assert.Equal(t, "p1", said.ID)
				assert.Equal(t, to, said.From)
				assert.Nil(t, said.Session, rule)
				hag.inbox = nil
			}
			assert.Empty(t, crone.hears(), "others do not hear of it")
		})
	}
	t.Run("MF-25: the right password lets in, and nothing else does", func(t *testing.T) {
		h, _ := coven(t, "passwordprotectedroom", "true", "roomsecret", "cauldron")
		hag := h.client("hag@shakespeare.example/broom")
		with := func(password string) string {
			return strings.Replace(plain, "/>", "><password>"+password+"</password></x>", 1)
		}
		for _, wrong := range []string{"", "cauldro", "cauldrons", "Cauldron"} {
			assert.Equal(t, []string{"hag presence error not-authorized"}, hag.join("hag", with(wrong)))
		}
		assert.Contains(t, hag.join("hag", with("cauldron")), "hag none/participant 110")
	})
	t.Run("MF-25: an admin enters a full room", func(t *testing.T) {
		h, crone := coven(t, "maxusers", "1")
		require.Empty(t, crone.admin(`<item affiliation="admin" jid="hag@shakespeare.example"/>`))
		assert.Contains(t, h.client("hag@shakespeare.example/broom").join("hag", plain),
			"hag admin/moderator jid=hag@shakespeare.example/broom 110")
	})
	t.Run("MF-25: a member enters a room of members", func(t *testing.T) {
		h, crone := coven(t, "membersonly", "1")
		require.Empty(t, crone.admin(`<item affiliation="member" jid="hag@shakespeare.example"/>`))
		assert.Contains(t, h.client("hag@shakespeare.example/broom").join("hag", plain), "hag member/participant 110")
	})
	t.Run("who is inside is not refused for what has changed since", func(t *testing.T) {
		h, crone := coven(t)
		hag := h.client("hag@shakespeare.example/broom")
		hag.join("hag", plain)
		crone.configure("passwordprotectedroom", "true", "roomsecret", "cauldron", "maxusers", "1")
		assert.Contains(t, hag.join("hag", plain), "hag none/participant 110")
	})
}

func TestPace(t *testing.T) {
	t.Run("AM-11: who resumes all the time is slowed down, and costs no more than what has changed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h, crone := coven(t)
			hag := h.client("hag@shakespeare.example/broom")
			hag.join("hag", fast)
			crone.hears()
			const before = 1
			answered, refused := 0, 0
			for range 1000 {
				switch said := hag.resume("hag"); len(said) {
				case 1:
					require.Equal(t, []string{"hag presence error resource-constraint"}, said)
					refused++
				default:
					require.Equal(t, []string{"hag none/participant 110 *", `CAVE subject "" *`}, said)
					answered++
				}
			}
			assert.Equal(t, groupchat.JoinBurst-before, answered)
			assert.Equal(t, 1000-groupchat.JoinBurst+before, refused)
			assert.Empty(t, crone.hears(), "others do not hear of it")

			assert.Contains(t, h.client("toad@shakespeare.example/pond").join("toad", plain), "toad none/participant 110",
				"others are not slowed down")
			time.Sleep(time.Second)
			for range groupchat.JoinsEvery {
				assert.Len(t, hag.resume("hag"), 2)
			}
			assert.Equal(t, []string{"hag presence error resource-constraint"}, hag.resume("hag"))
		})
	})
	t.Run("AM-11: whoever waits has no more than at first", func(t *testing.T) {
		for _, used := range []int{1, groupchat.JoinBurst} {
			synctest.Test(t, func(t *testing.T) {
				h, _ := coven(t)
				hag := h.client("hag@shakespeare.example/broom")
				enter := func(n int) (let int) {
					for range n {
						if len(hag.join("hag", plain)) > 1 {
							let++
						}
					}
					return let
				}
				const all = groupchat.JoinBurst / groupchat.JoinsEvery // seconds, after which it might be as if there had been nothing
				time.Sleep((all - 1) * time.Second)
				assert.Equal(t, used, enter(used))
				time.Sleep(2 * time.Second)
				assert.Equal(t, min(groupchat.JoinBurst, groupchat.JoinBurst-used+2*groupchat.JoinsEvery), enter(2*groupchat.JoinBurst))
			})
		}
	})
	t.Run("AM-11: another client of the same account is no way around", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h, _ := coven(t)
			refused := 0
			for i := range 2 * groupchat.JoinBurst {
				c := h.client(fmt.Sprintf("hag@shakespeare.example/%d", i))
				if said := c.join("hag", plain); strings.HasSuffix(said[0], "resource-constraint") {
					refused++
				}
				c.leave("hag")
			}
			assert.Equal(t, groupchat.JoinBurst, refused)
		})
	})
	t.Run("AM-11: changing nicknames is slowed down too", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h, crone := coven(t)
			hag := h.client("hag@shakespeare.example/broom")
			hag.join("hag", plain)
			crone.hears()
			for i := range 2 * groupchat.JoinBurst {
				hag.sendf(`<presence to="%s/hag%d"/>`, cave, i)
			}
			assert.Len(t, crone.hears(), 2*(groupchat.JoinBurst-1))
		})
	})
}
