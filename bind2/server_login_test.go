// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2_test

import (
	"context"
	"encoding/xml"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// checking returns h with package pipelining's own SASL in place of package auth's.
func checking(h house) house {
	h.logins = new(auth.Server) // It offers nothing.
	h.features = append(h.features, pipelining.SASLServer(func(s *xmpp.Session, n *sasl.Negotiator) (jid.JID, bool) {
		user, pass, _ := n.Credentials()
		account, err := jid.New(string(user), s.LocalAddr().Domainpart(), "")
		return account, err == nil && string(pass) == password
	}, sasl.Plain))
	return h
}

// TestServerLogin is about a bind and the login before it.
func TestServerLogin(t *testing.T) {
	houses := map[string]func(bind2.Store) house{
		"auth.Server":           newHouse,
		"pipelining.SASLServer": func(s bind2.Store) house { return checking(newHouse(s)) },
	}
	for name, house := range houses {
		inBubble(t, "B2-16: the whole login in one write, "+name, func(t *testing.T) {
			store := binding("balcony", bind2.Bound{Archived: true, Last: bind2.Entry{ID: "c"}})
			o := house(store).visit(t, func(p *peer) {
				p.say(opening, plain("juliet", password), opening, askEarly)
				p.until("</bound>")
			})
			require.NoError(t, o.Err)
			assert.Equal(t, 2, len(o.Link.Log()), "it is answered by one write")
			list := strings.Split(o.Heard, "<stream:stream")
			require.Len(t, list, 3)
			assert.Contains(t, list[1], "<success")
			assert.Contains(t, list[2], "</stream:features><bound xmlns='urn:xmpp:bind2:0'><jid>juliet@im.example.com/balcony</jid><latest-id>c</latest-id></bound>")
			require.Len(t, store.requests, 1)
			assert.Same(t, o.Session, store.requests[0].Session, "it knows the session")
		})
		for which, ask := range map[string]string{
			"Early": plain("juliet", "wrong") + opening + askEarly, "Legacy": plain("juliet", "wrong") + opening + askLegacy,
			"without another header": plain("juliet", "wrong") + askEarly,
		} {
			inBubble(t, "AB-04, D-10, B2-22: a wrong password changes nothing, "+which+", "+name, func(t *testing.T) {
				store := new(fakeStore)
				o := house(store).visit(t, func(p *peer) { p.say(opening, ask) })
				require.Error(t, o.Err)
				assert.Empty(t, store.asked())
				assert.Regexp(t, "<failure [^>]*><not-authorized", o.Heard)
				assert.NotContains(t, o.Heard, "bound")
				assert.True(t, strings.HasSuffix(o.Heard, closing), "the stream is over: %s", o.Heard)
			})
		}
		inBubble(t, "AB-01, B2-04: before the login, "+name, func(t *testing.T) {
			store := new(fakeStore)
			o := house(store).visit(t, func(p *peer) { p.say(opening, askEarly) })
			require.Error(t, o.Err)
			assert.Empty(t, store.asked())
			assert.True(t, strings.HasSuffix(o.Heard, streamError("not-authorized")), o.Heard)
		})
	}

	inBubble(t, "B2-17, B2-18: SCRAM, with all that may be sent behind each of its messages", func(t *testing.T) {
		store := new(fakeStore)
		h := newHouse(store)
		c, _ := newClient()
		m := h.mustMeet(t, aheadClient(pipelining.Plan{Mode: pipelining.Full}, auth.ScramSHA256, c))
		writes := m.Link.Writes(xmpptest.Client)
		require.Len(t, writes, 2)
		for i, want := range [][]string{{"<stream:stream", "<auth "}, {"<response", "<stream:stream", "<bind xmlns='urn:xmpp:bind2:0'/>"}} {
			rest := string(writes[i])
			for _, tag := range want {
				var ok bool
				_, rest, ok = strings.Cut(rest, tag)
				assert.True(t, ok, "%s in %s", tag, writes[i])
			}
		}
		answers := m.Link.Writes(xmpptest.Server)
		require.Len(t, answers, 2)
		assert.Contains(t, string(answers[0]), "<challenge")
		assert.Contains(t, string(answers[1]), "<bound")
		assert.Equal(t, []bind2.Request{{Account: juliet, Protocol: bind2.Early, Carbons: true}}, store.asked())
	})

	inBubble(t, "AB-04, BN-10: a wrong password with a bind in it", func(t *testing.T) {
		store := new(fakeStore)
		o := newHouse(store).visit(t, func(p *peer) {
			p.say(opening)
			p.until("</stream:features>")
			p.say(plain2("juliet", "wrong", agent, askInline("<tag>a</tag>")))
			assert.Contains(t, p.until("</failure>"), "<not-authorized")
			assert.Empty(t, store.asked())
			p.say(plain2("juliet", password, agent, askInline("<tag>b</tag>")))
			p.until("</success>")
		})
		require.NoError(t, o.Err)
		require.Len(t, store.asked(), 1)
		assert.Equal(t, "b", store.asked()[0].Tag, "what was asked before is forgotten")
	})
	inBubble(t, "BN-09: not before the last task", func(t *testing.T) {
		store := new(fakeStore)
		h := newHouse(store)
		h.logins.Tasks = func(_ context.Context, _ *xmpp.Session, _ jid.JID, done []string) ([]auth.Task, error) {
			if len(done) == 2 {
				return nil, nil
			}
			return []auth.Task{{Name: "PIN", Step: func(context.Context, xml.TokenReader) (xml.TokenReader, bool, error) { return nil, true, nil }}}, nil
		}
		o := h.visit(t, func(p *peer) {
			p.say(opening)
			p.until("</stream:features>")
			p.say(plain2("juliet", password, askInline("<tag>a</tag>")))
			for range 2 {
				p.until("</continue>")
				assert.Empty(t, store.asked())
				p.say("<next xmlns='urn:xmpp:sasl:2' task='PIN'/>")
			}
			p.until("</success>")
		})
		require.NoError(t, o.Err)
		require.Len(t, store.asked(), 1)
		assert.Equal(t, "a", store.asked()[0].Tag)
	})
	for name, now := range map[string]jid.JID{"BN-11, AB-08: a stream that is resumed": balcony, "BN-12: a stream that cannot be resumed": {}} {
		inBubble(t, name, func(t *testing.T) {
			store := binding("garden", bind2.Bound{})
			h := newHouse(store)
			h.logins.Inline = []auth.Inline{resumption{now}, h.binds}
			o := inline(t, h, "<resume xmlns='urn:xmpp:sm:3' h='1' previd='x'/>", askInline("<enable xmlns='urn:xmpp:carbons:2'/>"))
			require.NoError(t, o.Err)
			if now.Equal(balcony) {
				assert.Equal(t, succeeds(balcony.String(), `<resumed xmlns="urn:xmpp:sm:3"></resumed>`), o.behind())
				assert.Empty(t, store.asked(), "the bind is as if it were not there")
				return
			}
			assert.Contains(t, o.behind(), succeeds("juliet@im.example.com/garden", `<failed xmlns="urn:xmpp:sm:3"></failed>`+emptyBound))
			assert.Len(t, store.asked(), 1)
		})
	}
	inBubble(t, "BN-05: a login without a bind", func(t *testing.T) {
		store := new(fakeStore)
		o := newHouse(store).visit(t, func(p *peer) {
			p.say(opening)
			p.until("</stream:features>")
			p.say(plain2("juliet", password))
			p.until("</success>")
			assert.Contains(t, p.until("</stream:features>"), listsEarly+listsLegacy)
			assert.Empty(t, store.asked())
			p.say(askEarly)
			p.until("</bound>")
		})
		require.NoError(t, o.Err)
		assert.Equal(t, []bind2.Request{{Account: juliet, Protocol: bind2.Early, Carbons: true}}, store.asked())
	})
	inBubble(t, "AB-09: the id of a client comes with the account that has logged in", func(t *testing.T) {
		store := new(fakeStore)
		o := newHouse(store).visit(t, func(p *peer) {
			p.say(strings.Replace(opening, "juliet", "romeo", 1))
			p.until("</stream:features>")
			p.say(plain2("romeo", password, agent, askInline()))
		})
		require.NoError(t, o.Err)
		assert.Equal(t, []bind2.Request{{Account: romeo, Protocol: bind2.Inline, Client: agentID}}, store.asked())
	})
	inBubble(t, "a client of Legacy sends ahead, too", func(t *testing.T) {
		store := binding("balcony", bind2.Bound{})
		o := newHouse(store).visit(t, func(p *peer) {
			p.say(opening, plain("juliet", password), opening, askFor("balcony"))
			p.until("</iq>")
		})
		require.NoError(t, o.Err)
		assert.Equal(t, 2, len(o.Link.Log()))
	})
}
