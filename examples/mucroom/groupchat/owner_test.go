// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/examples/mucroom/groupchat"
)

// owned wraps what an owner asks for.
func owned(text string) string {
	return `<query xmlns="http://jabber.org/protocol/muc#owner">` + text + `</query>`
}

func TestLocked(t *testing.T) {
	lock := func(t *testing.T) (h *house, crone, hag *client) {
		h = open(t, groupchat.Options{})
		crone, hag = h.client("crone@shakespeare.example/desk"), h.client("hag@shakespeare.example/broom")
		crone.join("crone", plain)
		return h, crone, hag
	}
	t.Run("an empty form makes an instant room", func(t *testing.T) {
		_, crone, hag := lock(t)
		assert.Equal(t, "result", crone.ask("set", cave, owned(`<x xmlns="jabber:x:data" type="submit"/>`)).Type)
		assert.Contains(t, hag.join("hag", plain), "hag none/participant 110")
	})
	t.Run("a form says what the room is like", func(t *testing.T) {
		_, crone, hag := lock(t)
		crone.configure("membersonly", "1")
		assert.Equal(t, []string{"hag presence error registration-required"}, hag.join("hag", plain))
	})
	t.Run("whoever cancels has no room", func(t *testing.T) {
		_, crone, hag := lock(t)
		assert.Equal(t, "result", crone.ask("set", cave, owned(`<x xmlns="jabber:x:data" type="cancel"/>`)).Type)
		assert.Equal(t, []string{"crone unavailable owner/none destroyed 110"}, crone.hears())
		assert.Contains(t, hag.join("hag", plain), "hag owner/moderator jid=hag@shakespeare.example/broom 110 201")
	})
	t.Run("whoever leaves has none either", func(t *testing.T) {
		_, crone, hag := lock(t)
		crone.leave("crone")
		assert.Equal(t, []string{"crone unavailable owner/none destroyed 110"}, crone.hears())
		assert.Contains(t, hag.join("hag", plain), "hag owner/moderator jid=hag@shakespeare.example/broom 110 201")
	})
	t.Run("to cancel later changes nothing", func(t *testing.T) {
		_, crone, hag := lock(t)
		crone.configure()
		assert.Equal(t, "result", crone.ask("set", cave, owned(`<x xmlns="jabber:x:data" type="cancel"/>`)).Type)
		assert.Contains(t, hag.join("hag", plain), "hag none/participant 110")
	})
	t.Run("it is not listed", func(t *testing.T) {
		_, crone, _ := lock(t)
		const query = `<query xmlns="http://jabber.org/protocol/disco#items"/>`
		assert.NotContains(t, crone.ask("get", domain, query).text, cave)
		crone.configure()
		assert.Contains(t, crone.ask("get", domain, query).text, `<item jid="`+cave+`"/>`)
	})
}

func TestConfigure(t *testing.T) {
	t.Run("the form has what the room is like", func(t *testing.T) {
		_, crone := coven(t, "roomname", "The &lt;cave&gt;", "roomsecret", "cauldron", "passwordprotectedroom", "1", "maxusers", "7", "whois", "anyone")
		form := crone.ask("get", cave, owned("")).text
		for field, want := range map[string]string{
			"roomname": "The &lt;cave&gt;", "roomsecret": "cauldron", "passwordprotectedroom": "true", "maxusers": "7",
			"whois": "anyone", "membersonly": "false", "persistentroom": "false",
		} {
			_, rest, ok := strings.Cut(form, `var="muc#roomconfig_`+field+`"`)
			require.True(t, ok, field)
			rest, _, _ = strings.Cut(rest, "</value>")
			assert.True(t, strings.HasSuffix(rest, "<value>"+want), "%s: %s", field, rest)
		}
	})
	t.Run("all are told of a change", func(t *testing.T) {
		_, crone, hag := pair(t)
		for fields, code := range map[[2]string]string{
			{"roomname", "Cave"}: "104", {"whois", "anyone"}: "172", {"whois", "moderators"}: "173",
		} {
			if code == "173" {
				continue
			}
			require.Equal(t, "result", crone.submit(fields[0], fields[1]).Type)
			assert.Equal(t, []string{"CAVE " + code + " *"}, hag.hears())
		}
		require.Equal(t, "result", crone.submit("whois", "moderators").Type)
		assert.Equal(t, []string{"CAVE 173 *"}, hag.hears())
	})
	t.Run("and of none if there is none", func(t *testing.T) {
		_, crone, hag := pair(t)
		require.Equal(t, "result", crone.submit("maxusers", "200").Type)
		assert.Empty(t, hag.hears())
	})
	t.Run("who is no member leaves when members are wanted", func(t *testing.T) {
		_, crone, hag := pair(t)
		require.Equal(t, "result", crone.submit("membersonly", "1").Type)
		assert.Equal(t, []string{"CAVE 104 *", "hag unavailable none/none 110 322 *"}, hag.hears())
	})
	for field, value := range map[string]string{
		"FORM_TYPE": "", "whois": "nobody", "maxusers": "0", "muc#maxhistoryfetch": "-1", "membersonly": "perhaps",
		"roomsecret": strings.Repeat("x", groupchat.MaxText+1), "passwordprotectedroom": "1",
	} {
		t.Run("what cannot be is refused, and changes nothing: "+field, func(t *testing.T) {
			h, crone, hag := pair(t)
			said := crone.submit("moderatedroom", "1", field, value)
			if field == "FORM_TYPE" {
				said = crone.ask("set", cave, owned(`<x xmlns="jabber:x:data" type="submit"><field var="FORM_TYPE"><value>other</value></field></x>`))
			}
			assert.Equal(t, "not-acceptable", said.condition())
			assert.Empty(t, hag.hears())
			assert.Contains(t, h.client("toad@shakespeare.example/pond").join("toad", plain), "toad none/participant 110")
		})
	}
	t.Run("more occupants than a room may have are refused", func(t *testing.T) {
		_, crone, _ := pair(t)
		assert.Equal(t, "not-acceptable", crone.submit("maxusers", "1001").condition())
		assert.Equal(t, "result", crone.submit("maxusers", "1000").Type)
	})
	for rule, text := range map[string]string{
		"nothing": "", "a form of another type": `<x xmlns="jabber:x:data" type="result"/>`, "another form": `<x xmlns="urn:other"/>`,
	} {
		t.Run("what is not understood is refused: "+rule, func(t *testing.T) {
			_, crone, _ := pair(t)
			assert.Equal(t, "bad-request", crone.ask("set", cave, owned(text)).condition())
		})
	}
	t.Run("others may not", func(t *testing.T) {
		_, crone, hag := pair(t)
		require.Empty(t, crone.admin(`<item affiliation="admin" jid="hag@shakespeare.example"/>`))
		for _, text := range []string{`<x xmlns="jabber:x:data" type="submit"/>`, `<destroy/>`} {
			assert.Equal(t, "forbidden", hag.ask("set", cave, owned(text)).condition())
		}
		assert.Equal(t, "forbidden", hag.ask("get", cave, owned("")).condition())
	})
}

func TestDestroy(t *testing.T) {
	t.Run("all leave, and are told why and where to", func(t *testing.T) {
		_, crone, hag := pair(t)
		said := crone.ask("set", cave, owned(`<destroy jid="heath@rooms.example"><reason>Fair is foul</reason></destroy>`))
		assert.Equal(t, "result", said.Type)
		assert.Equal(t, []string{"hag unavailable none/none destroyed heath@rooms.example Fair is foul 110 *"}, hag.hears())
		assert.Len(t, crone.hears(), 1)
		assert.Equal(t, "item-not-found", crone.ask("get", cave, `<query xmlns="http://jabber.org/protocol/disco#info"/>`).condition())
	})
	t.Run("another room needs an address", func(t *testing.T) {
		_, crone, hag := pair(t)
		assert.Equal(t, "jid-malformed", crone.ask("set", cave, owned(`<destroy jid="@"/>`)).condition())
		assert.Empty(t, hag.hears())
	})
	t.Run("a room that is persistent can be destroyed, too", func(t *testing.T) {
		_, crone := coven(t, "persistentroom", "1")
		crone.leave("crone")
		assert.Equal(t, "result", crone.ask("set", cave, owned(`<destroy/>`)).Type, "by its owner, from outside")
		assert.Equal(t, "item-not-found", crone.ask("get", cave, owned("")).condition())
	})
}
