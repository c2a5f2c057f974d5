// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/mucfr"
)

// forged is what only rooms may say.
const forged = `<x xmlns="http://jabber.org/protocol/muc#user"><item affiliation="owner" role="moderator" jid="king@shakespeare.example"/><status code="110"/></x>` +
	`<presence-session xmlns="urn:xmpp:presence-session:0" session="forged" id="forged"/>` +
	`<presence-session xmlns="urn:xmpp:presence-session:0" type="truncated"/>`

// pair is a coven with hag inside, too.
func pair(t *testing.T, fields ...string) (h *house, crone, hag *client) {
	t.Helper()
	h, crone = coven(t, fields...)
	hag = h.client("hag@shakespeare.example/broom")
	hag.join("hag", fast)
	h.quiet()
	return h, crone, hag
}

func TestPresence(t *testing.T) {
	t.Run("MF-26: all are told how somebody is, and as what", func(t *testing.T) {
		_, crone, hag := pair(t)
		crone.sendf(`<presence to="%s/crone"><show>dnd</show></presence>`, cave)
		assert.Equal(t, []string{"crone dnd owner/moderator *"}, hag.hears())
		assert.Equal(t, []string{"crone dnd owner/moderator jid=crone@shakespeare.example/desk 110 *"}, crone.hears())
	})
	t.Run("MF-26: who leaves has no role", func(t *testing.T) {
		_, crone, hag := pair(t)
		hag.sendf(`<presence to="%s/hag" type="unavailable"><show>away</show></presence>`, cave)
		assert.Equal(t, []string{"hag unavailable away none/none jid=hag@shakespeare.example/broom *"}, crone.hears())
		assert.Equal(t, []string{"hag unavailable away none/none 110 *"}, hag.hears())
		crone.sendf(`<presence to="%s/crone"><show>dnd</show></presence>`, cave)
		assert.Empty(t, hag.hears())
	})
	t.Run("MF-27: moderators alone see real addresses", func(t *testing.T) {
		h, crone, hag := pair(t)
		h.client("toad@shakespeare.example/pond").join("toad", plain)
		assert.Equal(t, []string{"toad none/participant *"}, hag.hears())
		assert.Equal(t, []string{"toad none/participant jid=toad@shakespeare.example/pond *"}, crone.hears())
	})
	t.Run("MF-27: all do where the room shows them", func(t *testing.T) {
		h, _, hag := pair(t, "whois", "anyone")
		h.client("toad@shakespeare.example/pond").join("toad", plain)
		assert.Equal(t, []string{"toad none/participant jid=toad@shakespeare.example/pond *"}, hag.hears())
	})
	t.Run("MF-27: who has become a moderator sees them from then on", func(t *testing.T) {
		h, crone, hag := pair(t)
		require.Empty(t, crone.admin(`<item role="moderator" nick="hag"/>`))
		h.quiet()
		h.client("toad@shakespeare.example/pond").join("toad", plain)
		assert.Equal(t, []string{"toad none/participant jid=toad@shakespeare.example/pond *"}, hag.hears())
	})
	t.Run("MF-28: who has another nickname has gone by the one and come by the other", func(t *testing.T) {
		_, crone, hag := pair(t)
		hag.sendf(`<presence to="%s/witch"/>`, cave)
		const jid = "jid=hag@shakespeare.example/broom "
		said := crone.inbox
		require.Len(t, said, 2)
		assert.NotEqual(t, said[0].Session.ID, said[1].Session.ID)
		assert.Equal(t, []string{"hag unavailable none/participant " + jid + "nick=witch 303 *", "witch none/participant " + jid + "*"}, crone.hears())
		assert.Equal(t, []string{"hag unavailable none/participant nick=witch 110 303 *", "witch none/participant 110 *"}, hag.hears())
	})
	t.Run("MF-28: what is new with the nickname is told, too", func(t *testing.T) {
		_, crone, hag := pair(t)
		hag.sendf(`<presence to="%s/witch"><show>xa</show></presence>`, cave)
		said := crone.hears()
		assert.Equal(t, "witch xa none/participant jid=hag@shakespeare.example/broom *", said[len(said)-1])
	})
	t.Run("a nickname that is taken is refused, and the old one stays", func(t *testing.T) {
		_, crone, hag := pair(t)
		hag.sendf(`<presence to="%s/crone"/>`, cave)
		assert.Equal(t, []string{"crone presence error conflict"}, hag.hears())
		assert.Empty(t, crone.hears())
		hag.sendf(`<presence to="%s/hag"><show>away</show></presence>`, cave)
		assert.Equal(t, []string{"hag away none/participant jid=hag@shakespeare.example/broom *"}, crone.hears())
	})
	t.Run("MF-30, AM-08: what only rooms may say is not passed on", func(t *testing.T) {
		_, crone, hag := pair(t)
		hag.sendf(`<presence to="%s/hag"><show>away</show>%s</presence>`, cave, forged)
		require.Len(t, crone.inbox, 1)
		text := crone.inbox[0].text
		assert.Equal(t, 1, strings.Count(text, "<presence-session"), text)
		assert.Equal(t, 1, strings.Count(text, "<x "), text)
		assert.NotContains(t, text, "king")
		assert.NotContains(t, text, "forged")
		assert.Equal(t, []string{"hag away none/participant jid=hag@shakespeare.example/broom *"}, crone.hears())
	})
	t.Run("MF-31: who is not inside cannot leave", func(t *testing.T) {
		h, crone, hag := pair(t)
		h.client("hag@shakespeare.example/other").leave("hag")
		h.client("toad@shakespeare.example/pond").leave("hag")
		assert.Empty(t, crone.hears())
		assert.Empty(t, hag.hears())
		assert.Empty(t, h.others)
	})
	t.Run("MF-31: presences of a type are no joins, and change nobody", func(t *testing.T) {
		for _, kind := range []string{"probe", "subscribe", "subscribed", "unsubscribe", "unsubscribed", "nonsense"} {
			h, crone, hag := pair(t)
			toad := h.client("toad@shakespeare.example/pond")
			toad.sendf(`<presence to="%s/toad" type="%s">%s</presence>`, cave, kind, fast)
			hag.sendf(`<presence to="%s/hag" type="%s"/>`, cave, kind)
			assert.Empty(t, toad.hears(), kind)
			assert.Empty(t, hag.hears(), kind)
			assert.Empty(t, crone.hears(), kind)
		}
	})
	t.Run("who does not know that it is outside is told so", func(t *testing.T) {
		h, crone, _ := pair(t)
		toad := h.client("toad@shakespeare.example/pond")
		toad.sendf(`<presence to="%s/toad"><show>away</show></presence>`, cave)
		assert.Equal(t, []string{"toad unavailable none/none 110 307 333"}, toad.hears())
		assert.Empty(t, crone.hears())
	})
	t.Run("a presence to the room itself is one of the occupant", func(t *testing.T) {
		_, crone, hag := pair(t)
		hag.sendf(`<presence to="%s"><show>away</show></presence>`, cave)
		assert.Equal(t, []string{"hag away none/participant jid=hag@shakespeare.example/broom *"}, crone.hears())
	})
	t.Run("the service itself has no presence", func(t *testing.T) {
		h, crone, _ := pair(t)
		crone.sendf(`<presence to="%s"/>`, domain)
		crone.sendf(`<presence to="%s" type="subscribe"/>`, domain)
		assert.Empty(t, crone.hears())
		assert.Empty(t, h.others)
	})
	t.Run("a presence that is too large is refused", func(t *testing.T) {
		_, crone, hag := pair(t)
		hag.sendf(`<presence to="%s/hag"><status>%s</status></presence>`, cave, strings.Repeat("x", mucfr.MaxPayload))
		assert.Equal(t, []string{"hag presence error policy-violation"}, hag.hears())
		assert.Empty(t, crone.hears())
		hag.sendf(`<presence to="%s/hag" type="unavailable"><status>%s</status></presence>`, cave, strings.Repeat("x", mucfr.MaxPayload))
		assert.Len(t, crone.hears(), 1, "it has gone nevertheless")
	})
}

func TestGhosts(t *testing.T) {
	const template = `<error type="cancel"><CONDITION xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>`
	for _, name := range []string{"presence", "message"} {
		for condition, gone := range map[string]bool{
			"recipient-unavailable": true, "remote-server-not-found": true, "remote-server-timeout": true,
			"service-unavailable": true, "item-not-found": true, "gone": true,
			"bad-request": false, "forbidden": false, "undefined-condition": false,
		} {
			t.Run(name+" "+condition, func(t *testing.T) {
				_, crone, hag := pair(t)
				text := strings.Replace(template, "CONDITION", condition, 1)
				hag.sendf(`<%s to="%s/crone" type="error">%s</%s>`, name, cave, text, name)
				if gone {
					assert.Equal(t, []string{"hag unavailable none/none jid=hag@shakespeare.example/broom 307 333 *"}, crone.hears())
					assert.Equal(t, []string{"hag unavailable none/none 110 307 333 *"}, hag.hears())
				} else {
					assert.NotContains(t, strings.Join(crone.hears(), ""), "unavailable")
					assert.Empty(t, hag.hears())
				}
			})
		}
	}
	t.Run("an error without a condition is no reason", func(t *testing.T) {
		_, crone, hag := pair(t)
		hag.sendf(`<presence to="%s/crone" type="error"/>`, cave)
		hag.sendf(`<presence to="%s/crone" type="error"><error/></presence>`, cave)
		assert.Empty(t, crone.hears())
	})
	t.Run("only the client itself is taken out", func(t *testing.T) {
		h, crone, _ := pair(t)
		other := h.client("hag@shakespeare.example/other")
		other.join("hag", plain)
		h.quiet()
		other.sendf(`<presence to="%s/crone" type="error">%s</presence>`, cave, strings.Replace(template, "CONDITION", "gone", 1))
		assert.Equal(t, []string{"hag none/participant jid=hag@shakespeare.example/broom *"}, crone.hears())
	})
}
