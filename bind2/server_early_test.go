// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/bind2"
)

const (
	listsEarly  = `<bind xmlns="urn:xmpp:bind2:0"></bind>`
	listsLegacy = `<bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"></bind>`
)

// early is what a server says about a state, with a resource that is called
// balcony.
func early(t *testing.T, state bind2.Bound) string {
	t.Helper()
	o := newHouse(binding("balcony", state)).visit(t, func(p *peer) {
		p.login()
		p.say(askEarly)
		p.until("</bound>")
	})
	require.NoError(t, o.Err)
	_, bound, ok := strings.Cut(o.Heard, "<bound")
	require.True(t, ok, o.Heard)
	return "<bound" + bound
}

// many is a text again and again, with a number in it.
func many(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// TestServerEarly is about urn:xmpp:bind2:0 on a server.
func TestServerEarly(t *testing.T) {
	const jidOf = `<bound xmlns='urn:xmpp:bind2:0'><jid>juliet@im.example.com/balcony</jid>`

	inBubble(t, "B2-01: it is listed when a client is authenticated, if the account is archived", func(t *testing.T) {
		store := new(fakeStore)
		h := newHouse(store)
		o := h.visit(t, func(p *peer) {
			p.say(opening)
			assert.NotContains(t, p.until("</stream:features>"), listsEarly)
			p.say(plain("juliet", password), opening)
			p.until("<stream:features>")
			assert.Contains(t, p.until("</stream:features>"), listsEarly+listsLegacy, "B2-23: besides RFC 6120")
			p.say(askEarly)
			p.until("</bound>")
		})
		require.NoError(t, o.Err)

		h.binds.Archive = func(account jid.JID) bool {
			assert.True(t, account.Equal(account.Bare()), "the bare JID: %v", account)
			return !account.Equal(juliet)
		}
		o = h.visit(t, func(p *peer) {
			list := p.login()
			assert.NotContains(t, list, listsEarly, "D-03")
			assert.Contains(t, list, listsLegacy)
			p.say(askEarly)
		})
		assert.True(t, strings.HasSuffix(o.Heard, streamError("policy-violation")), o.Heard)
		assert.Len(t, store.asked(), 1, "nothing but the first was bound")
	})
	inBubble(t, "a stock negotiator knows more than the account", func(t *testing.T) {
		store := new(fakeStore)
		h := newHouse(store)
		h.stock = true
		var asked []jid.JID
		h.binds.Archive = func(account jid.JID) bool {
			asked = append(asked, account)
			return true
		}
		full := strings.Replace(opening, "'juliet@im.example.com'", "'juliet@im.example.com/phone'", 1)
		o := h.visit(t, func(p *peer) {
			p.say(full)
			p.until("</stream:features>")
			p.say(plain("juliet", password))
			p.until("success")
			p.until(">")
			p.say(full)
			p.until("</stream:features>")
			p.say(askEarly)
			p.until("</bound>")
		})
		require.NoError(t, o.Err)
		require.NotEmpty(t, asked)
		assert.True(t, asked[len(asked)-1].Equal(juliet), "%v", asked)
		require.Len(t, store.asked(), 1)
		assert.True(t, store.asked()[0].Account.Equal(juliet))
	})
	t.Run("B2-01: features for nobody in particular have it only if everybody is archived", func(t *testing.T) {
		names := func(list []xmpp.StreamFeature) (all []string) {
			for _, f := range list {
				all = append(all, f.Name.Space)
			}
			return all
		}
		s := new(bind2.Server)
		assert.Equal(t, []string{bind2.NS, "urn:ietf:params:xml:ns:xmpp-bind"}, names(s.Features(nil)))
		s.Archive = func(jid.JID) bool { return true }
		assert.Equal(t, []string{"urn:ietf:params:xml:ns:xmpp-bind"}, names(s.Features(nil)))
	})

	for _, test := range []struct {
		name  string
		state bind2.Bound
		want  string
	}{
		{"D-05: an empty archive has no latest-id", bind2.Bound{Archived: true}, ""},
		{"no archive has no latest-id", bind2.Bound{Last: bind2.Entry{ID: "x"}}, ""},
		{"B2-08: the newest", bind2.Bound{Archived: true, First: bind2.Entry{ID: "a"}, Last: bind2.Entry{ID: "c", Time: time.Now()}}, "<latest-id>c</latest-id>"},
		{"B2-20: no unreads if it is not known", bind2.Bound{Unreads: nil}, ""},
		{"B2-20: empty if there are none", bind2.Bound{Unreads: []bind2.Unread{}}, "<unreads></unreads>"},
		{"D-04: without read-id", bind2.Bound{Unreads: []bind2.Unread{{JID: romeo, Count: 1}}}, "<unreads><unread jid='romeo@im.example.com' unread-count='1'/></unreads>"},
		{"a conversation without unread messages is none", bind2.Bound{Unreads: []bind2.Unread{{JID: romeo}, {JID: romeo, Count: -1}}}, "<unreads></unreads>"},
		{
			"what XML would not take as it is",
			bind2.Bound{
				Archived: true, Last: bind2.Entry{ID: "<&'\">"},
				Unreads: []bind2.Unread{{JID: jid.MustParse("room@muc.example.com/<'&\">"), ReadID: "'/>", Count: 2}},
			},
			"<latest-id>&lt;&amp;&#39;&#34;&gt;</latest-id><unreads><unread jid='room@muc.example.com/&lt;&#39;&amp;&#34;&gt;' read-id='&#39;/&gt;' unread-count='2'/></unreads>",
		},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			assert.Equal(t, jidOf+test.want+"</bound>", early(t, test.state))
		})
	}
	inBubble(t, "D-05: there is a limit to what strangers can make of it", func(t *testing.T) {
		var many []bind2.Unread
		for i := range bind2.MaxUnreads + 10 {
			many = append(many, bind2.Unread{JID: jid.MustParse(fmt.Sprintf("s%d@example.net", i)), Count: 1})
		}
		got := early(t, bind2.Bound{Unreads: many})
		assert.Equal(t, bind2.MaxUnreads, strings.Count(got, "<unread "))
		assert.Contains(t, got, "'s0@example.net'", "the first ones are kept")
	})
	inBubble(t, "D-05: nor can they keep a client from binding, by long addresses", func(t *testing.T) {
		var many []bind2.Unread
		for i := range 1000 {
			with, err := jid.New(fmt.Sprintf("s%d", i), "example.net", strings.Repeat("&", 1023))
			require.NoError(t, err)
			many = append(many, bind2.Unread{JID: with, ReadID: "'/>", Count: 1})
		}
		got := early(t, bind2.Bound{Unreads: many})
		assert.Less(t, len(got), 1<<20+1<<10)
		assert.Greater(t, len(got), 1<<20-1<<14)
		assert.Contains(t, got, "'s0@example.net/&amp;", "the first ones are kept")
		assert.True(t, strings.HasSuffix(got, " unread-count='1'/></unreads></bound>"))
	})

	for _, test := range []struct {
		name, ask string
		condition string // or it is bound
	}{
		{"AB-05: children and attributes mean nothing", `<bind xmlns='urn:xmpp:bind2:0' resource='mine'><resource>mine</resource><tag>mine</tag> text </bind>`, ""},
		{"AB-05: a megabyte of text", `<bind xmlns='urn:xmpp:bind2:0'>` + strings.Repeat("x", 1<<20) + `</bind>`, "policy-violation"},
		{"AB-05: a megabyte in an attribute", `<bind xmlns='urn:xmpp:bind2:0' resource='` + strings.Repeat("x", 1<<20) + `'/>`, "policy-violation"},
		{"AB-05: children without end", `<bind xmlns='urn:xmpp:bind2:0'>` + strings.Repeat("<x/>", 1<<12), "policy-violation"},
		{"AB-05: depth without end", `<bind xmlns='urn:xmpp:bind2:0'>` + strings.Repeat("<x>", 1<<12), "policy-violation"},
		{"AB-05: attributes without end", `<bind xmlns='urn:xmpp:bind2:0'` + many(" a%d=''", 1<<12) + "/>", "policy-violation"},
		{"another element of the namespace", `<bound xmlns='urn:xmpp:bind2:0'/>`, "policy-violation"},
		{"in a stanza", `<iq type='set' id='1'><bind xmlns='urn:xmpp:bind2:0'/></iq>`, "not-authorized"},
		{"a stanza before there is a resource", `<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>`, "not-authorized"},
		{"the end of the stream", closing, "-"},
		{"what is not well-formed", `<bind xmlns='urn:xmpp:bind2:0'></bin>`, "not-well-formed"},
		{"the end within the element", `<bind xmlns='urn:xmpp:bind2:0'><x`, "-"},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			store := new(fakeStore)
			o := newHouse(store).visit(t, func(p *peer) {
				p.login()
				p.say(test.ask)
			})
			if test.condition == "" {
				require.NoError(t, o.Err)
				require.Len(t, store.asked(), 1)
				assert.NotContains(t, o.Heard, "mine")
				assert.Empty(t, store.asked()[0].Resource+store.asked()[0].Tag)
				return
			}
			require.Error(t, o.Err)
			assert.Empty(t, store.asked(), "nothing was bound")
			if test.condition != "-" {
				assert.True(t, strings.HasSuffix(o.Heard, streamError(test.condition)), o.Heard)
			}
		})
	}

	for _, test := range []struct {
		name      string
		err       error
		condition string
	}{
		{"D-09: too many resources", stanza.Error{Condition: stanza.ResourceConstraint}, "resource-constraint"},
		{"a wrapped error", fmt.Errorf("hub: %w", stanza.Error{Condition: stanza.Conflict}), "conflict"},
		{"not allowed", stanza.Error{Condition: stanza.NotAllowed}, "policy-violation"},
		{"not authorized", stanza.Error{Condition: stanza.NotAuthorized}, "not-authorized"},
		{"anything else", stanza.Error{Condition: stanza.Gone}, "internal-server-error"},
		{"D-09: the store fails", errors.New("disk on fire"), "internal-server-error"},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			h := newHouse(&fakeStore{bind: func(bind2.Request) (bind2.Bound, error) { return bind2.Bound{}, test.err }})
			o := h.visit(t, func(p *peer) {
				p.login()
				p.say(askEarly)
			})
			require.ErrorIs(t, o.Err, test.err)
			assert.True(t, strings.HasSuffix(o.Heard, streamError(test.condition)), o.Heard)
			assert.NotContains(t, o.Heard, "fire")

			h.stock = true
			o = h.visit(t, func(p *peer) {
				p.login()
				p.say(askEarly)
			})
			assert.True(t, strings.HasSuffix(o.Heard, "<stream:error><"+test.condition+" xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"),
				"with a stock negotiator nobody else says it: %s", o.Heard)
		})
	}
	for name, address := range map[string]jid.JID{
		"a bare JID": juliet, "somebody else": jid.MustParse("romeo@im.example.com/balcony"), "nobody": {},
	} {
		inBubble(t, "a store that binds "+name, func(t *testing.T) {
			o := newHouse(&fakeStore{bind: func(bind2.Request) (bind2.Bound, error) { return bind2.Bound{JID: address}, nil }}).visit(t, func(p *peer) {
				p.login()
				p.say(askEarly)
			})
			require.Error(t, o.Err)
			assert.True(t, strings.HasSuffix(o.Heard, streamError("internal-server-error")), o.Heard)
		})
	}
}
