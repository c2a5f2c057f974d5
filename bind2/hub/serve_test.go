// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub_test

import (
	"encoding/xml"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp/disco"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/ping"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/bind2/hub"
	"github.com/xmppext/xmppext/mam"
)

// stocked returns a hub with memory.
func stocked() *hub.Hub {
	return &hub.Hub{Archive: new(mam.Memory), Offline: new(hub.MemoryOffline)}
}

func TestServe(t *testing.T) {
	inBubble(t, "messages between two clients", func(t *testing.T) {
		h := stocked()
		a, b := dial(t, h, call{resource: "a"}), dial(t, h, call{account: "benvolio@montague.example"})
		b.say(`<presence/>`)
		a.say(`<message to="benvolio@montague.example" type="chat" id="m1"><body>hi</body></message>`)
		got := b.heard()
		assert.Contains(t, got, `<body>hi</body><stanza-id xmlns="urn:xmpp:sid:0" by="benvolio@montague.example"`)
		assert.Contains(t, got, `from="romeo@montague.example/a"`)
		assert.Empty(t, a.heard())
		a.hangUp()
		b.hangUp()
		assert.Equal(t, `</stream:stream>`, a.heard())
	})
	inBubble(t, "CA-02, CA-04: carbons by IQ, as often as one likes", func(t *testing.T) {
		h := stocked()
		a, b := dial(t, h, call{resource: "a"}), dial(t, h, call{resource: "b"})
		for range 2 {
			a.say(`<iq type="set" id="c1"><enable xmlns="urn:xmpp:carbons:2"/></iq>`)
			got := a.heard()
			assert.Contains(t, got, `type="result"`)
			assert.Contains(t, got, `id="c1"`)
		}
		deliver(t, h, b.r.JID(), "1")
		assert.Contains(t, a.heard(), `<received xmlns="urn:xmpp:carbons:2">`)
		b.say(`<message to="juliet@capulet.example" type="chat"><body>2</body></message>`)
		assert.Contains(t, a.heard(), `<sent xmlns="urn:xmpp:carbons:2">`)
		a.say(`<iq type="set" id="c2"><disable xmlns="urn:xmpp:carbons:2"/></iq>`)
		assert.Contains(t, a.heard(), `type="result"`)
		deliver(t, h, b.r.JID(), "3")
		assert.Empty(t, a.heard())
		a.hangUp()
		b.hangUp()
	})
	inBubble(t, "CA-02: each client its own, also if all are served with the same options", func(t *testing.T) {
		var served sync.WaitGroup
		served.Add(2)
		options := append(make([]mux.Option, 0, 8), func(*mux.ServeMux) { // with room for more
			served.Done()
			served.Wait()
		})
		h := stocked()
		a := dial(t, h, call{resource: "a", options: options})
		b := dial(t, h, call{account: "benvolio@montague.example", resource: "b", options: options})
		for _, l := range []*line{a, b} {
			l.say(`<iq type="set" id="c1"><enable xmlns="urn:xmpp:carbons:2"/></iq>`)
			assert.Contains(t, l.heard(), `to="`+l.r.JID().String()+`"`)
		}
		a.hangUp()
		b.hangUp()
	})
	inBubble(t, "CA-01: carbons and their rules are announced", func(t *testing.T) {
		l := dial(t, stocked(), call{resource: "a", options: []mux.Option{disco.Handle()}})
		l.say(`<iq type="get" id="d1"><query xmlns="http://jabber.org/protocol/disco#info"/></iq>`)
		got := l.heard()
		assert.Contains(t, got, `var="urn:xmpp:carbons:2"`)
		assert.Contains(t, got, `var="urn:xmpp:carbons:rules:0"`)
		l.hangUp()
	})
	inBubble(t, "presences say where messages go", func(t *testing.T) {
		h := stocked()
		l := dial(t, h, call{resource: "a"})
		for _, step := range []struct {
			presence string
			there    bool
		}{
			{`<presence/>`, true},
			{`<presence><show>away</show><priority>-1</priority></presence>`, false},
			{`<presence><priority> 5 </priority></presence>`, true},
			{`<presence to="juliet@capulet.example/balcony" type="unavailable"/>`, true},
			{`<presence type="unavailable"/>`, false},
			{`<presence to="juliet@capulet.example/balcony"/>`, false},
			{`<presence type="subscribe" to="juliet@capulet.example"/>`, false},
			{`<presence type="probe"/>`, false},
			{`<presence to=""/>`, true},
			{`<presence><x xmlns="urn:x"><priority xmlns="jabber:client">-1</priority></x></presence>`, true},
			{`<presence><priority>-1</priority><x xmlns="urn:x"/></presence>`, false},
			{`<presence><priority>x</priority></presence>`, true},
			{`<presence><priority>-300</priority></presence>`, false},
			{`<presence><priority xmlns="urn:x">-1</priority></presence>`, true},
		} {
			l.say(step.presence)
			l.heard()
			require.NoError(t, h.Deliver(t.Context(), romeo, typed(stanza.HeadlineMessage, romeo, "<body>hi</body>")))
			assert.Equal(t, step.there, l.heard() != "", step.presence)
		}
		l.hangUp()
	})
	inBubble(t, "presences are passed on whole, also large ones", func(t *testing.T) {
		var passed []string
		l := dial(t, stocked(), call{options: []mux.Option{
			mux.PresenceFunc(stanza.AvailablePresence, xml.Name{Space: "urn:x", Local: "x"}, func(p stanza.Presence, r xmlstream.TokenReadEncoder) error {
				var text strings.Builder
				e := xml.NewEncoder(&text)
				if _, err := xmlstream.Copy(e, r); err != nil {
					return err
				}
				if err := e.Flush(); err != nil {
					return err
				}
				passed = append(passed, text.String())
				return nil
			}),
		}})
		l.say(`<presence><status>hi</status><x xmlns="urn:x"/></presence>`)
		l.say(`<presence><x xmlns="urn:x"/>` + strings.Repeat("<y>&lt;</y>", 6_000) + `</presence>`)
		require.Len(t, passed, 2)
		assert.Equal(t, 6_000, strings.Count(passed[1], "<y "))
		assert.Empty(t, l.heard())
		l.hangUp()
	})
	inBubble(t, "CS-02, CS-06: what the client says about its activity is not answered", func(t *testing.T) {
		l := dial(t, stocked(), call{})
		l.say(`<inactive xmlns="urn:xmpp:csi:0"/>`)
		assert.True(t, l.r.Inactive())
		l.say(`<active xmlns="urn:xmpp:csi:0"/>`)
		assert.False(t, l.r.Inactive())
		assert.Empty(t, l.heard())
		l.hangUp()
	})
	inBubble(t, "IQs that nobody handles, and that somebody does", func(t *testing.T) {
		l := dial(t, stocked(), call{options: []mux.Option{ping.Handle()}})
		l.say(`<iq type="get" id="q1"><query xmlns="urn:x"/></iq>`)
		got := l.heard()
		assert.Contains(t, got, `id="q1"`)
		assert.Contains(t, got, `service-unavailable`)
		l.say(`<iq type="result" id="q2"/>`)
		assert.Empty(t, l.heard())
		l.say(`<iq type="get" id="q3"><ping xmlns="urn:xmpp:ping"/></iq>`)
		got = l.heard()
		assert.Contains(t, got, `type="result"`)
		assert.Contains(t, got, `id="q3"`)
		l.hangUp()
	})
	inBubble(t, "CA-08: directed presences join and leave rooms", func(t *testing.T) {
		h := stocked()
		h.Remote = new(wire).remote
		a, b := dial(t, h, call{resource: "a"}), dial(t, h, call{})
		const pm = `<message type="chat" to="verona@rooms.example/tybalt"><body>psst</body><x xmlns="http://jabber.org/protocol/muc#user"/></message>`
		a.say(`<presence to="verona@rooms.example/romeo"><x xmlns="http://jabber.org/protocol/muc"/></presence>`)
		a.say(pm)
		assert.Empty(t, b.heard())
		b.say(`<presence to="verona@rooms.example/romeo"/>`)
		a.say(pm)
		assert.Contains(t, b.heard(), `<sent xmlns="urn:xmpp:carbons:2">`)
		b.say(`<presence to="verona@rooms.example/romeo" type="unavailable"/>`)
		a.say(pm)
		assert.Empty(t, b.heard())
		a.hangUp()
		b.hangUp()
	})
}

// TestServeRefuses is what clients are told about messages that are not taken.
func TestServeRefuses(t *testing.T) {
	for _, test := range []struct {
		name, message string
		want          []string // in the answer; if there are none, there is no answer
	}{
		{
			"nobody is there", `<message to="montague.example/gone" id="m&lt;"><body>x</body></message>`,
			[]string{`from="montague.example/gone"`, `id="m&lt;"`, `to="romeo@montague.example/a"`, `type="error"`, `service-unavailable`},
		},
		{
			"no server is there", `<message to="juliet@capulet.example" type="chat" id="m1"><body>x</body></message>`,
			[]string{`from="juliet@capulet.example"`, `id="m1"`, `remote-server-not-found`},
		},
		{
			"an error is not answered", `<message to="juliet@capulet.example" type="error" id="m1"><body>x</body></message>`, nil,
		},
		{
			"an address that is none", `<message to="@" id="m1"><body>x</body></message>`,
			[]string{`id="m1"`, `jid-malformed`, `type="modify"`},
		},
		{
			"not well-formed", `<message to="juliet@capulet.example" id="m1" id="m2"><body>x</body></message>`,
			[]string{`bad-request`, `type="modify"`},
		},
		{
			"too large", `<message to="juliet@capulet.example" id="m1"><body>` + strings.Repeat("x", 2<<20) + `</body><y/></message>`,
			[]string{`id="m1"`, `policy-violation`, `type="modify"`},
		},
		{
			"too many elements", `<message to="juliet@capulet.example" id="m1">` + strings.Repeat("<yyyyyyyy/>", 1<<16) + `</message>`,
			[]string{`id="m1"`, `policy-violation`},
		},
		{
			"without an id", `<message to="juliet@capulet.example"><body>x</body></message>`,
			[]string{`remote-server-not-found`},
		},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			l := dial(t, stocked(), call{resource: "a", options: []mux.Option{ping.Handle()}})
			l.say(test.message)
			got := l.heard()
			if test.want == nil {
				assert.Empty(t, got)
			} else {
				var answer arrival
				require.NoError(t, xml.Unmarshal([]byte(got), &answer), got)
				assert.Equal(t, "message", answer.XMLName.Local)
			}
			for _, want := range test.want {
				assert.Contains(t, got, want)
			}
			l.say(`<iq type="get" id="after"><ping xmlns="urn:xmpp:ping"/></iq>`)
			assert.Contains(t, l.heard(), `id="after"`, "the session lives on")
			l.hangUp()
		})
	}
	for _, broken := range []string{"Append", "Preferences"} {
		inBubble(t, "a store that fails is no concern of the client: "+broken, func(t *testing.T) {
			archive := new(brokenArchive)
			l := dial(t, &hub.Hub{Archive: archive}, call{resource: "a"})
			archive.breakAt(broken)
			l.say(`<message to="juliet@capulet.example" type="chat" id="m1"><body>x</body></message>`)
			got := l.heard()
			assert.Contains(t, got, `internal-server-error`)
			assert.NotContains(t, got, errBroken.Error())
			l.hangUp()
		})
	}
	inBubble(t, "what is no XML ends the session", func(t *testing.T) {
		for _, text := range []string{`<message><body></message>`, `<message><!-- x --></message>`, `<message><body>&nbsp;</body></message>`} {
			l := dial(t, stocked(), call{resource: "a"})
			l.say(text)
			assert.Error(t, l.ended())
			got := l.heard()
			assert.Contains(t, got, `</stream:stream>`)
			assert.NotContains(t, got, `<message`)
		}
	})
}
