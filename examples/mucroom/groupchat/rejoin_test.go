// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRejoin(t *testing.T) {
	// toads enter and stay, so that a whole state is more than what has changed.
	toads := func(h *house, n int) {
		for i := range n {
			h.client(fmt.Sprintf("toad%d@shakespeare.example/pond", i)).join(fmt.Sprintf("toad%d", i), plain)
		}
	}
	t.Run("MF-21: what has changed, oneself, what was said, subject", func(t *testing.T) {
		h, crone := coven(t)
		toads(h, 5)
		hag := h.client("hag@shakespeare.example/broom")
		hag.join("hag", fast)
		hag.leave("hag")
		hag.hears()
		h.clients["toad3@shakespeare.example/pond"].leave("toad3")
		crone.sendf(`<message type="groupchat" to="%s"><body>Bubble</body></message>`, cave)
		crone.sendf(`<presence to="%s/crone"><show>away</show></presence>`, cave)
		assert.Equal(t, []string{
			"toad3 unavailable none/none *",
			"crone away owner/moderator *",
			"hag none/participant 110 *",
			"crone says Bubble late *",
			`CAVE subject "" *`,
		}, hag.resume("hag"))
	})
	t.Run("MF-21: a whole state comes behind what resets it", func(t *testing.T) {
		h, crone := coven(t)
		hag := h.client("hag@shakespeare.example/broom")
		hag.join("hag", fast)
		hag.leave("hag")
		crone.sendf(`<message type="groupchat" to="%s"><body>Bubble</body></message>`, cave)
		hag.last.Session = "another"
		assert.Equal(t, []string{
			"CAVE unavailable reset",
			"crone owner/moderator *",
			"hag none/participant 110 *",
			"CAVE truncated",
			"crone says Bubble late *",
			`CAVE subject "" *`,
		}, hag.resume("hag"))
	})
	t.Run("MF-26: who has gone meanwhile has no role, and who was banned an affiliation", func(t *testing.T) {
		h, crone := coven(t)
		toads(h, 5)
		hag := h.client("hag@shakespeare.example/broom")
		hag.join("hag", fast)
		hag.leave("hag")
		h.clients["toad1@shakespeare.example/pond"].leave("toad1")
		require.Empty(t, crone.admin(`<item affiliation="outcast" nick="toad2"/>`))
		require.Empty(t, crone.admin(`<item role="visitor" nick="toad3"/>`))
		assert.Equal(t, []string{
			"toad1 unavailable none/none *",
			"toad2 unavailable outcast/none 301 *",
			"toad3 none/visitor *",
			"hag none/participant 110 *",
			`CAVE subject "" *`,
		}, hag.resume("hag"))
	})
	t.Run("MF-29: who is inside and enters is brought up to date", func(t *testing.T) {
		h, crone := coven(t)
		hag := h.client("hag@shakespeare.example/broom")
		first := hag.join("hag", fast)
		crone.hears()
		assert.Equal(t, first, hag.join("hag", fast), "whole")
		assert.Equal(t, []string{"hag none/participant 110 *", `CAVE subject "" *`}, hag.resume("hag"), "by what has changed")
		assert.Empty(t, crone.hears(), "nothing has happened to others")
	})
	t.Run("MF-29: who is inside by another nickname is renamed and brought up to date", func(t *testing.T) {
		h, crone := coven(t)
		hag := h.client("hag@shakespeare.example/broom")
		hag.join("hag", fast)
		crone.hears()
		assert.Equal(t, []string{
			"hag unavailable none/participant nick=witch 110 303 *",
			"witch none/participant 110 *",
			"crone owner/moderator *",
			"witch none/participant 110 *",
			`CAVE subject "" *`,
		}, hag.join("witch", fast))
		assert.Len(t, crone.hears(), 2)
	})
	t.Run("MF-29: who has been given voice keeps it", func(t *testing.T) {
		h, crone := coven(t, "moderatedroom", "1")
		hag := h.client("hag@shakespeare.example/broom")
		hag.join("hag", fast)
		require.Empty(t, crone.admin(`<item role="participant" nick="hag"/>`))
		assert.Contains(t, hag.join("hag", fast), "hag none/participant 110 *")
		assert.Contains(t, h.client("hag@shakespeare.example/other").join("hag", fast), "hag none/participant 110 *")
	})
	t.Run("AM-14: a room that was destroyed is a new one", func(t *testing.T) {
		h, crone := coven(t)
		hag := h.client("hag@shakespeare.example/broom")
		hag.join("hag", fast)
		hag.leave("hag")
		was := hag.last
		crone.ask("set", cave, `<query xmlns="http://jabber.org/protocol/muc#owner"><destroy/></query>`)
		assert.Equal(t, []string{
			"CAVE unavailable reset",
			"hag owner/moderator jid=hag@shakespeare.example/broom 110 201 *",
			"CAVE truncated",
			`CAVE subject "" *`,
		}, hag.resume("hag"))
		assert.NotEqual(t, was.Session, hag.last.Session)
	})
	t.Run("AM-14: a room that somebody has made again is locked", func(t *testing.T) {
		h, crone := coven(t)
		hag := h.client("hag@shakespeare.example/broom")
		hag.join("hag", fast)
		hag.leave("hag")
		crone.ask("set", cave, `<query xmlns="http://jabber.org/protocol/muc#owner"><destroy/></query>`)
		crone.join("crone", plain)
		assert.Equal(t, []string{"hag presence error item-not-found"}, hag.resume("hag"))
		crone.configure()
		assert.Equal(t, "CAVE unavailable reset", hag.resume("hag")[0])
	})
	t.Run("AM-14: a room that was empty is a new one, too", func(t *testing.T) {
		_, crone := coven(t)
		crone.leave("crone")
		assert.Contains(t, crone.resume("crone"), "crone owner/moderator jid=crone@shakespeare.example/desk 110 201 *")
	})
	t.Run("AM-19: a presence of a type is no way to come back", func(t *testing.T) {
		for _, kind := range []string{"unavailable", "probe", "subscribe", "subscribed", "unsubscribe", "unsubscribed", "error", "nonsense"} {
			h, crone := coven(t)
			hag := h.client("hag@shakespeare.example/broom")
			hag.join("hag", fast)
			hag.leave("hag")
			h.quiet()
			hag.sendf(`<presence to="%s/hag" type="%s">%s</presence>`, cave, kind, plain+hag.last.resume())
			assert.Empty(t, hag.hears(), kind)
			assert.Empty(t, crone.hears(), kind)
		}
	})
}
