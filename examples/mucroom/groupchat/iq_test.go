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
)

const (
	discoInfo  = `<query xmlns="http://jabber.org/protocol/disco#info"/>`
	discoItems = `<query xmlns="http://jabber.org/protocol/disco#items"/>`
	ping       = `<ping xmlns="urn:xmpp:ping"/>`
)

func TestDiscovery(t *testing.T) {
	feature := func(name string) string { return `<feature var="` + name + `"/>` }
	t.Run("MF-01: a room announces fast reconnects", func(t *testing.T) {
		_, crone, _ := pair(t)
		assert.Contains(t, crone.ask("get", cave, discoInfo).text, feature("urn:xmpp:presence-session:0"))
	})
	t.Run("the service is one", func(t *testing.T) {
		_, crone, _ := pair(t)
		text := crone.ask("get", domain, discoInfo).text
		assert.Contains(t, text, `<identity category="conference" type="text" name="Chat rooms"/>`)
		assert.Contains(t, text, feature("http://jabber.org/protocol/muc"))
		assert.Contains(t, text, feature("http://jabber.org/protocol/muc#stable_id"))
	})
	t.Run("a room says what it is like", func(t *testing.T) {
		_, crone, _ := pair(t)
		for _, is := range []string{"public", "temporary", "unsecured", "open", "unmoderated", "semianonymous"} {
			assert.Contains(t, crone.ask("get", cave, discoInfo).text, feature("muc_"+is))
		}
		crone.configure("publicroom", "0", "persistentroom", "1", "passwordprotectedroom", "1", "roomsecret", "x",
			"membersonly", "1", "moderatedroom", "1", "whois", "anyone", "roomname", `The "cave"`)
		text := crone.ask("get", cave, discoInfo).text
		for _, is := range []string{"hidden", "persistent", "passwordprotected", "membersonly", "moderated", "nonanonymous"} {
			assert.Contains(t, text, feature("muc_"+is))
		}
		assert.Contains(t, text, `name="The &#34;cave&#34;"`)
		assert.Contains(t, text, `var="muc#roominfo_occupants"><value>1</value>`)
	})
	t.Run("public rooms are listed", func(t *testing.T) {
		_, crone, _ := pair(t)
		assert.Contains(t, crone.ask("get", domain, discoItems).text, `<item jid="cave@rooms.example"/>`)
		crone.configure("publicroom", "0")
		assert.NotContains(t, crone.ask("get", domain, discoItems).text, "cave")
	})
	t.Run("who is inside is listed for those who are", func(t *testing.T) {
		h, crone, _ := pair(t)
		assert.Contains(t, crone.ask("get", cave, discoItems).text, `<item jid="cave@rooms.example/hag"/>`)
		assert.NotContains(t, h.client("toad@shakespeare.example/pond").ask("get", cave, discoItems).text, "<item")
	})
	t.Run("nicknames are not reserved", func(t *testing.T) {
		_, crone, _ := pair(t)
		said := crone.ask("get", cave, `<query xmlns="http://jabber.org/protocol/disco#info" node="x-roomuser-item"/>`)
		assert.Equal(t, "result", said.Type)
		assert.NotContains(t, said.text, "identity")
	})
	for to, node := range map[string]string{"void@" + domain: "", cave: "other", domain: "x-roomuser-item"} {
		t.Run("what is not there: "+to+" "+node, func(t *testing.T) {
			_, crone, _ := pair(t)
			said := crone.ask("get", to, `<query xmlns="http://jabber.org/protocol/disco#info" node="`+node+`"/>`)
			assert.Equal(t, "item-not-found", said.condition())
		})
	}
}

func TestAsked(t *testing.T) {
	const version = `<query xmlns="jabber:iq:version"/>`
	t.Run("a ping to oneself says whether one is inside", func(t *testing.T) {
		h, crone, hag := pair(t)
		assert.Equal(t, "result", hag.ask("get", cave+"/hag", ping).Type)
		hag.leave("hag")
		assert.Equal(t, "not-acceptable", hag.ask("get", cave+"/hag", ping).condition())
		assert.Equal(t, "not-acceptable", h.client("hag@shakespeare.example/other").ask("get", cave+"/crone", ping).condition())
		assert.NotContains(t, strings.Join(crone.hears(), " "), "iq")
	})
	t.Run("a ping to another one is passed on", func(t *testing.T) {
		_, crone, hag := pair(t)
		hag.sendf(`<iq type="get" to="%s/crone" id="q1">%s</iq>`, cave, ping)
		assert.Equal(t, []string{"hag iq get"}, crone.hears())
		assert.Empty(t, hag.hears())
	})
	t.Run("the service and rooms answer pings, too", func(t *testing.T) {
		_, crone, _ := pair(t)
		assert.Equal(t, "result", crone.ask("get", domain, ping).Type)
		assert.Equal(t, "result", crone.ask("get", cave, ping).Type)
	})
	t.Run("what one occupant asks another one is passed on, and so is the answer", func(t *testing.T) {
		_, crone, hag := pair(t)
		hag.sendf(`<iq type="get" to="%s/crone" id="q1">%s</iq>`, cave, version)
		require.Len(t, crone.inbox, 1)
		asked := crone.inbox[0]
		assert.Equal(t, "get", asked.Type)
		assert.Equal(t, cave+"/hag", asked.From)
		assert.Contains(t, asked.text, version)
		assert.NotContains(t, asked.text, "hag@shakespeare.example")

		crone.sendf(`<iq type="result" to="%s/hag" id="%s"><query xmlns="jabber:iq:version"><name>Owl</name></query></iq>`, cave, asked.ID)
		require.Len(t, hag.inbox, 1)
		answer := hag.inbox[0]
		assert.Equal(t, []string{"result", "q1", cave + "/crone"}, []string{answer.Type, answer.ID, answer.From})
		assert.Contains(t, answer.text, "<name>Owl</name>")
		hag.inbox = nil

		crone.sendf(`<iq type="result" to="%s/hag" id="%s"/>`, cave, asked.ID)
		assert.Empty(t, hag.hears(), "there is one answer")
	})
	t.Run("an answer may be an error", func(t *testing.T) {
		_, crone, hag := pair(t)
		hag.sendf(`<iq type="set" to="%s/crone" id="q1">%s</iq>`, cave, version)
		require.Len(t, crone.inbox, 1)
		crone.sendf(`<iq type="error" to="%s/hag" id="%s"><error type="cancel"><feature-not-implemented xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>`, cave, crone.inbox[0].ID)
		assert.Equal(t, []string{"crone iq error feature-not-implemented"}, hag.hears())
	})
	t.Run("nobody else answers", func(t *testing.T) {
		h, crone, hag := pair(t)
		toad := h.client("toad@shakespeare.example/pond")
		toad.join("toad", plain)
		h.quiet()
		hag.sendf(`<iq type="get" to="%s/crone" id="q1">%s</iq>`, cave, version)
		toad.sendf(`<iq type="result" to="%s/hag" id="%s"/>`, cave, crone.inbox[0].ID)
		toad.sendf(`<iq type="result" to="%s/hag" id="nonsense"/>`, cave)
		toad.sendf(`<iq type="result" to="%s/hag" id="zzzzzzzzzzzzzz"/>`, cave)
		assert.Empty(t, hag.hears())
	})
	t.Run("who has left gets no answer", func(t *testing.T) {
		_, crone, hag := pair(t)
		hag.sendf(`<iq type="get" to="%s/crone" id="q1">%s</iq>`, cave, version)
		id := crone.inbox[0].ID
		hag.leave("hag")
		hag.inbox = nil
		crone.sendf(`<iq type="result" to="%s/hag" id="%s"/>`, cave, id)
		assert.Empty(t, hag.hears())
	})
	t.Run("of too many requests the first are forgotten", func(t *testing.T) {
		_, crone, hag := pair(t)
		for i := range 1001 {
			hag.sendf(`<iq type="get" to="%s/crone" id="q%d">%s</iq>`, cave, i, version)
		}
		for _, one := range crone.inbox {
			crone.sendf(`<iq type="result" to="%s/hag" id="%s"/>`, cave, one.ID)
		}
		require.Len(t, hag.inbox, 1000)
		assert.Equal(t, "q1", hag.inbox[0].ID)
		assert.Equal(t, "q1000", hag.inbox[999].ID)
	})
	for _, tc := range []struct{ rule, to, payload, want string }{
		{"nobody has the nickname", cave + "/toad", version, "item-not-found"},
		{"there is no room", "void@" + domain + "/hag", version, "item-not-found"},
		{"rooms do not know it", cave, version, "service-unavailable"},
		{"the service does not know it", domain, version, "service-unavailable"},
		{"rooms have lists, the service has none", domain, `<query xmlns="http://jabber.org/protocol/muc#admin"><item role="visitor"/></query>`, "service-unavailable"},
		{"there is nothing in it", cave, "", "bad-request"},
	} {
		t.Run("a request is refused: "+tc.rule, func(t *testing.T) {
			_, _, hag := pair(t)
			assert.Equal(t, tc.want, hag.ask("get", tc.to, tc.payload).condition())
		})
	}
	t.Run("what is no request is refused", func(t *testing.T) {
		_, _, hag := pair(t)
		hag.sendf(`<iq type="nonsense" to="%s" id="q1">%s</iq>`, cave, ping)
		hag.sendf(`<iq type="get" to="%s">%s</iq>`, cave, ping)
		assert.Equal(t, []string{"CAVE iq error bad-request", "CAVE iq error bad-request"}, hag.hears())
	})
}

func TestNonsense(t *testing.T) {
	t.Run("whatever it is, the service goes on", func(t *testing.T) {
		for _, text := range []string{
			`<presence/>`, `<presence from="a@b/c"/>`, `<presence to="x@` + domain + `/y"/>`, `<presence from="@" to="x@` + domain + `/y"/>`,
			`<presence from="a@b/c" to="@/"/>`, `<iq/>`, `<message/>`, `<message from="a@b/c" to="` + domain + `" type="error"/>`,
			`<other from="a@b/c" to="` + cave + `"/>`, `<iq from="a@b/c" to="` + cave + `" id="1" type="result"/>`,
			`<iq from="a@b/c" to="` + cave + `/crone" id="1" type="error"/>`, `<iq from="a@b/c" to="` + cave + `/crone" id="-1" type="result"/>`,
			`<presence from="a@b/c" to="` + cave + `/x" type="error"><error/></presence>`,
			`<message from="b" to="` + cave + `" type="groupchat" xmlns:z="y"><z:body z:a="b"/></message>`,
		} {
			h, crone, hag := pair(t)
			h.handle(text)
			hag.sendf(`<message type="groupchat" to="%s"><body>Bubble</body></message>`, cave)
			heard := crone.hears()
			require.NotEmpty(t, heard, text)
			assert.Equal(t, "hag says Bubble *", heard[len(heard)-1], text)
		}
	})
	t.Run("another domain is none of ours", func(t *testing.T) {
		_, crone, _ := pair(t)
		crone.send(`<message to="cave@elsewhere.example" type="groupchat"><body>Bubble</body></message>`)
		assert.Equal(t, []string{"CAVE message error item-not-found"}, crone.hears())
	})
	t.Run("messages to the service are for nobody", func(t *testing.T) {
		_, crone, _ := pair(t)
		crone.sendf(`<message to="%s"><body>Bubble</body></message>`, domain)
		assert.Len(t, crone.hears(), 1)
	})
	t.Run("no error is answered with another one", func(t *testing.T) {
		h, crone, _ := pair(t)
		for _, to := range []string{domain, cave, cave + "/nobody", "void@" + domain, "cave@elsewhere.example"} {
			for _, text := range []string{`<message type="error" to="%s"/>`, `<presence type="error" to="%s"/>`, `<iq type="error" id="1" to="%s"/>`, `<iq type="result" id="1" to="%s"/>`} {
				crone.send(fmt.Sprintf(text, to))
			}
		}
		for _, one := range crone.inbox {
			assert.NotEqual(t, "error", one.Type, one.text)
		}
		assert.Empty(t, h.others)
	})
	t.Run("a service that was shut down handles nothing", func(t *testing.T) {
		h, crone, _ := pair(t)
		h.service.Shutdown()
		h.quiet()
		assert.Empty(t, crone.join("crone", plain))
	})
}
