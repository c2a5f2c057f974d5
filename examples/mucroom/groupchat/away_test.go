// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/examples/mucroom/groupchat"
)

// away returns a house with a pair that is told to enter again.
func away(t *testing.T, fields ...string) (h *house, crone, hag *client) {
	t.Helper()
	h, crone = coven(t, fields...)
	hag = h.client("hag@shakespeare.example/broom")
	hag.join("hag", fast)
	h.service.Lost()
	h.service.Attached()
	h.quiet()
	return h, crone, hag
}

func TestAway(t *testing.T) {
	t.Run("after a lost connection all are told to enter again, and hear what they have missed", func(t *testing.T) {
		h, crone, hag := pair(t)
		toad := h.client("toad@shakespeare.example/pond")
		toad.join("toad", fast)
		h.quiet()
		last := hag.last
		crone.sendf(`<message type="groupchat" to="%s"><body>Bubble</body></message>`, cave)
		crone.sendf(`<presence to="%s/crone"><show>away</show></presence>`, cave)
		h.quiet()
		hag.last = last // What came behind that was lost.
		h.service.Lost()
		assert.Empty(t, hag.hears(), "nothing can be sent")
		h.service.Attached()
		assert.Equal(t, []string{"hag unavailable none/none 110 333"}, hag.hears())
		assert.Equal(t, []string{"crone unavailable owner/none 110 333"}, crone.hears())
		assert.Equal(t, []string{
			"crone away owner/moderator *", "hag none/participant 110 *", "crone says Bubble late *", `CAVE subject "" *`,
		}, hag.resume("hag"))
		assert.Equal(t, []string{"toad none/participant 110 *", `CAVE subject "" *`}, toad.resume("toad"))
		assert.Empty(t, hag.hears(), "nobody hears of who has only come back")
	})
	t.Run("what happens meanwhile is heard later", func(t *testing.T) {
		h, crone, hag := away(t)
		witch := h.client("witch@shakespeare.example/attic")
		assert.Contains(t, witch.join("witch", plain), "hag none/participant", "who is away is shown")
		witch.sendf(`<message type="groupchat" to="%s"><body>Toil</body></message>`, cave)
		assert.Empty(t, crone.hears())
		assert.Equal(t, []string{
			"witch none/participant *", "hag none/participant 110 *", "witch says Toil late *", `CAVE subject "" *`,
		}, hag.resume("hag"))
		witch.leave("witch")
		assert.Equal(t, []string{"witch unavailable none/none *"}, hag.hears())
		assert.Empty(t, crone.hears())
	})
	t.Run("who does not come back in time leaves", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h, crone, hag := away(t)
			hag.resume("hag")
			time.Sleep(groupchat.DefaultGrace - time.Second)
			h.service.Expire()
			assert.Empty(t, hag.hears(), "not before")
			time.Sleep(time.Second)
			h.service.Expire()
			assert.Equal(t, []string{"crone unavailable owner/none 307 333 *"}, hag.hears())
			assert.Empty(t, crone.hears())
			h.service.Expire()
			assert.Empty(t, hag.hears(), "once")
			assert.Contains(t, crone.resume("crone"), "crone owner/moderator jid=crone@shakespeare.example/desk 110 *")
			assert.Equal(t, []string{"crone owner/moderator *"}, hag.hears())
		})
	})
	t.Run("the time begins when there is a connection", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h, _, hag := away(t)
			h.service.Lost()
			time.Sleep(2 * groupchat.DefaultGrace)
			h.service.Expire()
			h.service.Attached()
			h.service.Expire()
			assert.Equal(t, []string{"hag unavailable none/none 110 333"}, hag.hears())
			assert.Equal(t, []string{"hag none/participant 110 *", `CAVE subject "" *`}, hag.resume("hag"))
		})
	})
	t.Run("a room that nobody has come back to is gone, unless it is persistent", func(t *testing.T) {
		for persistent, condition := range map[string]string{"0": "item-not-found", "1": ""} {
			synctest.Test(t, func(t *testing.T) {
				h, crone, _ := away(t, "persistentroom", persistent)
				assert.Equal(t, "result", crone.ask("get", cave, discoInfo).Type)
				time.Sleep(groupchat.DefaultGrace)
				h.service.Expire()
				assert.Equal(t, condition, crone.ask("get", cave, discoInfo).condition())
			})
		}
	})
	t.Run("who is away is refused what those are refused who are outside", func(t *testing.T) {
		_, crone, hag := away(t)
		assert.Equal(t, "not-acceptable", hag.ask("get", cave+"/hag", ping).condition())
		hag.sendf(`<message type="groupchat" to="%s"><body>Bubble</body></message>`, cave)
		assert.Equal(t, []string{"CAVE message error not-acceptable"}, hag.hears())
		hag.sendf(`<presence to="%s/hag"><show>dnd</show></presence>`, cave)
		assert.Equal(t, []string{"hag unavailable none/none 110 307 333"}, hag.hears())
		assert.Equal(t, "forbidden", crone.admin(`<item role="none" nick="hag"/>`), "a moderator, too")
	})
	t.Run("nothing is sent to who is away", func(t *testing.T) {
		_, crone, hag := away(t)
		crone.resume("crone")
		crone.sendf(`<message type="chat" to="%s/hag"><body>Psst</body></message>`, cave)
		assert.Equal(t, []string{"hag message error recipient-unavailable"}, crone.hears())
		assert.Equal(t, "recipient-unavailable", crone.ask("get", cave+"/hag", `<query xmlns="jabber:iq:version"/>`).condition())
		require.Empty(t, crone.admin(`<item affiliation="member" nick="hag"/>`))
		require.Empty(t, crone.admin(`<item role="none" nick="hag"/>`))
		assert.Empty(t, hag.hears())
		assert.Contains(t, hag.resume("hag"), "hag member/participant 110 *")
	})
	t.Run("one of two clients is away", func(t *testing.T) {
		h, crone, hag := away(t)
		other := h.client("hag@shakespeare.example/phone")
		crone.resume("crone")
		assert.Contains(t, other.join("hag", plain), "hag none/participant 110")
		h.quiet()
		crone.sendf(`<message type="chat" to="%s/hag"><body>Psst</body></message>`, cave)
		crone.sendf(`<iq type="get" to="%s/hag" id="q1"><query xmlns="jabber:iq:version"/></iq>`, cave)
		assert.Len(t, other.hears(), 2)
		assert.Empty(t, hag.hears())
	})
	t.Run("who leaves while it is away has left", func(t *testing.T) {
		_, crone, hag := away(t)
		crone.resume("crone")
		hag.leave("hag")
		assert.Equal(t, []string{"hag unavailable none/none jid=hag@shakespeare.example/broom *"}, crone.hears())
	})
	t.Run("who comes back by another nickname has left", func(t *testing.T) {
		_, crone, hag := away(t)
		crone.resume("crone")
		assert.Contains(t, hag.resume("witch"), "witch none/participant 110 *")
		assert.Equal(t, []string{
			"hag unavailable none/none jid=hag@shakespeare.example/broom *",
			"witch none/participant jid=hag@shakespeare.example/broom *",
		}, crone.hears())
	})
	t.Run("the owner of a room that is locked comes back to unlock it", func(t *testing.T) {
		h := open(t, groupchat.Options{})
		crone := h.client("crone@shakespeare.example/desk")
		crone.join("crone", fast)
		h.service.Lost()
		h.service.Attached()
		assert.Contains(t, crone.resume("crone"), "crone owner/moderator jid=crone@shakespeare.example/desk 110 *")
		crone.configure()
	})
	t.Run("the nickname of who is away is not free", func(t *testing.T) {
		h, _, _ := away(t)
		assert.Equal(t, []string{"hag presence error conflict"}, h.client("toad@shakespeare.example/pond").join("hag", plain))
	})
	t.Run("who is away is checked when it comes back", func(t *testing.T) {
		_, crone, hag := away(t)
		crone.resume("crone")
		require.Empty(t, crone.admin(`<item affiliation="outcast" jid="hag@shakespeare.example"/>`))
		assert.Equal(t, []string{"hag presence error forbidden"}, hag.resume("hag"))
		_, _, hag = away(t, "passwordprotectedroom", "1", "roomsecret", "cauldron")
		assert.Equal(t, []string{"hag presence error not-authorized"}, hag.resume("hag"))
	})
	t.Run("who is away has its place, and others do not get it", func(t *testing.T) {
		h, _, hag := away(t, "maxusers", "2")
		assert.Equal(t, []string{"toad presence error service-unavailable"}, h.client("toad@shakespeare.example/pond").join("toad", plain))
		assert.Contains(t, hag.resume("hag"), "hag none/participant 110 *")
	})
}

func TestMaxOccupants(t *testing.T) {
	h := open(t, groupchat.Options{MaxOccupants: 3})
	crone := h.client("crone@shakespeare.example/desk")
	crone.join("crone", plain)
	assert.Equal(t, "not-acceptable", crone.submit("maxusers", "4").condition())
	crone.configure("maxusers", "3")
	for i, want := range []string{"", "", "service-unavailable"} {
		said := h.client(fmt.Sprintf("toad%d@shakespeare.example/pond", i)).join(fmt.Sprint("toad", i), plain)
		if want != "" {
			assert.Equal(t, []string{fmt.Sprint("toad", i, " presence error ", want)}, said)
		} else {
			assert.Contains(t, said, fmt.Sprint("toad", i, " none/participant 110"))
		}
	}
}
