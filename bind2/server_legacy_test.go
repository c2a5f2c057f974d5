// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/internal/xmpptest"
)

// TestServerLegacy is about RFC 6120, section 7, on a server.
func TestServerLegacy(t *testing.T) {
	const bound = `<iq type='result' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>juliet@im.example.com/balcony</jid></bind></iq>`
	fails := func(kind, condition string) string {
		return `<iq type='error' id='b'><error type='` + kind + `'><` + condition + ` xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`
	}
	last := func(heard, list string) string {
		return heard[strings.LastIndex(heard, list)+len(list):]
	}

	for _, test := range []struct {
		name, ask, resource string
	}{
		{"a resource of the server's", askLegacy, ""},
		{"an empty resource, as mellium asks for any", askFor(""), ""},
		{"one by name", askFor("balcony"), "balcony"},
		{"one with characters that XML would not take", askFor("&lt;&amp;/&apos;"), "<&/'"},
		{"one that is written otherwise", askFor("Re\u0301sidence"), "R\u00e9sidence"},
		{"white space between the tags", "<iq id='b' type='set'>\n <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\n  <resource>balcony</resource>\n </bind>\n</iq>", "balcony"},
		{"to the account", strings.Replace(askFor("balcony"), "<iq", "<iq to='juliet@im.example.com'", 1), "balcony"},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			store := binding("balcony", bind2.Bound{})
			o := newHouse(store).visit(t, func(p *peer) {
				p.login()
				p.say(test.ask)
				p.until("</iq>")
			})
			require.NoError(t, o.Err)
			assert.Equal(t, bound, last(o.Heard, "</stream:features>"))
			assert.Equal(t, []bind2.Request{{Account: juliet, Protocol: bind2.Legacy, Resource: test.resource}}, store.asked())
			assert.NotZero(t, o.Session.State()&xmpp.Ready)
		})
	}

	for _, test := range []struct {
		name, ask string
		err       error
		want      string
	}{
		{"a resource that is too long", askFor(strings.Repeat("x", 1024)), nil, fails("modify", "bad-request")},
		{"a resource of a zero-width space", askFor("\u200b"), nil, fails("modify", "bad-request")},
		{"an element for a resource", askFor("<x/>"), nil, fails("modify", "bad-request")},
		{"a get", strings.Replace(askLegacy, "'set'", "'get'", 1), nil, fails("modify", "bad-request")},
		{"in use", askFor("balcony"), stanza.Error{Condition: stanza.Conflict}, fails("modify", "conflict")},
		{"too many", askLegacy, stanza.Error{Condition: stanza.ResourceConstraint}, fails("wait", "resource-constraint")},
		{"not allowed", askLegacy, stanza.Error{Condition: stanza.NotAllowed}, fails("cancel", "not-allowed")},
		{"a type of the store's", askLegacy, stanza.Error{Type: stanza.Auth, Condition: stanza.NotAllowed}, fails("auth", "not-allowed")},
		{"no condition", askLegacy, stanza.Error{}, fails("cancel", "undefined-condition")},
		{"a broken store", askLegacy, errors.New("disk on fire"), fails("wait", "internal-server-error")},
	} {
		inBubble(t, "D-09: refused, and asked again: "+test.name, func(t *testing.T) {
			store := new(fakeStore)
			store.bind = func(r bind2.Request) (bind2.Bound, error) {
				if test.err != nil && len(store.requests) == 1 {
					return bind2.Bound{}, test.err
				}
				return store.as(r)
			}
			o := newHouse(store).visit(t, func(p *peer) {
				p.login()
				p.say(test.ask)
				assert.Equal(t, test.want, p.until("</iq>"))
				p.say(askFor("balcony"))
				assert.Equal(t, bound, p.until("</iq>"))
			})
			require.NoError(t, o.Err)
			assert.NotZero(t, o.Session.State()&xmpp.Ready)
		})
	}
	inBubble(t, "a client that is refused is never ready, and not for ever", func(t *testing.T) {
		const tries = 5
		h := newHouse(&fakeStore{bind: func(bind2.Request) (bind2.Bound, error) {
			return bind2.Bound{}, stanza.Error{Condition: stanza.ResourceConstraint}
		}})
		o := h.visit(t, func(p *peer) {
			p.login()
			p.say(strings.Repeat(askLegacy, tries+1))
		})
		require.ErrorIs(t, o.Err, stream.PolicyViolation)
		assert.Zero(t, o.Session.State()&xmpp.Ready)
		assert.Equal(t, tries, strings.Count(o.Heard, "<resource-constraint"))
		assert.True(t, strings.HasSuffix(o.Heard, streamError("policy-violation")), o.Heard)
	})
	for _, test := range []struct{ name, ask, condition string }{
		{"another payload behind a refusal", `<iq id='c' type='set'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>`, "not-authorized"},
		{"two payloads", `<iq id='c' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>`, "not-authorized"},
		{"text", "hello" + askLegacy, "bad-format"}, // by package pipelining
		{"a message", `<message/>`, "not-authorized"},
		{"the other way", askEarly, "policy-violation"},
		{"a login", plain("juliet", password), "policy-violation"},
		{"a large request", askFor(strings.Repeat("x", 1<<17)), "policy-violation"},
	} {
		inBubble(t, "behind a refusal: "+test.name, func(t *testing.T) {
			store := &fakeStore{bind: func(bind2.Request) (bind2.Bound, error) {
				return bind2.Bound{}, stanza.Error{Condition: stanza.Conflict}
			}}
			o := newHouse(store).visit(t, func(p *peer) {
				p.login()
				p.say(askLegacy)
				p.until("</iq>")
				p.say(test.ask)
			})
			require.Error(t, o.Err)
			assert.True(t, strings.HasSuffix(o.Heard, streamError(test.condition)), o.Heard)
			assert.Len(t, store.asked(), 1)
		})
	}

	inBubble(t, "a stock client binds", func(t *testing.T) {
		store := new(fakeStore)
		m := newHouse(store).mustMeet(t, xmpptest.Stock(append(newLogin("PLAIN").Features(), xmpp.BindResource())...))
		require.Len(t, store.asked(), 1)
		assert.Equal(t, bind2.Legacy, store.asked()[0].Protocol)
		assert.True(t, m.Server.RemoteAddr().Equal(juliet))
	})
	for name, ask := range map[string]string{"Early": askEarly, "Legacy": askLegacy} {
		inBubble(t, "a stock server that does not know who has authenticated binds nobody, "+name, func(t *testing.T) {
			store := new(fakeStore)
			s := &bind2.Server{Store: store}
			link := xmpptest.NewLink(xmpptest.LinkConfig{})
			defer link.Close()
			go func() {
				_, _ = link.A.Write([]byte(strings.Replace(opening, "from='juliet@im.example.com' ", "", 1) + ask))
				_ = link.CloseWrite(xmpptest.Client)
			}()
			_, err := xmpp.ReceiveSession(t.Context(), link.B, xmpp.Secure|xmpp.Authn, xmpptest.Stock(s.Features(nil)...))
			require.ErrorIs(t, err, stream.NotAuthorized)
			assert.Empty(t, store.asked())
			assert.Contains(t, string(link.Sent(xmpptest.Server)), "<stream:error><not-authorized ")
		})
	}
}

// TestRefuseLate is about clients that bind twice.
func TestRefuseLate(t *testing.T) {
	asks := map[string]string{"Early": askEarly, "Legacy": askLegacy, "Inline": askInline()}
	for first, ask := range asks {
		for second, again := range asks {
			inBubble(t, "B2-04, B2-23, AB-02, AB-03: "+first+" and "+second, func(t *testing.T) {
				store := binding("balcony", bind2.Bound{})
				h := newHouse(store)
				served := make(chan error, 1)
				o := &outcome{Link: xmpptest.NewLink(xmpptest.LinkConfig{})}
				defer o.Link.Close()
				go func() {
					var err error
					if o.Session, err = xmpp.ReceiveSession(t.Context(), o.Link.B, xmpp.Secure, h.negotiator()); err == nil {
						err = o.Session.Serve(mux.New(stanza.NSClient, bind2.RefuseLate()))
					}
					served <- err
					_ = o.Link.B.Close()
				}()
				p := &peer{t: t, Conn: o.Link.A}
				if first == "Inline" {
					p.say(opening, plain2("juliet", password, ask), again)
				} else {
					p.say(opening, plain("juliet", password), opening, ask, again)
				}
				heard := p.rest()
				require.ErrorIs(t, <-served, stream.PolicyViolation)
				require.Len(t, store.asked(), 1, "nothing is touched")
				assert.Equal(t, 1, strings.Count(heard, "juliet@im.example.com/balcony"))
				assert.Contains(t, heard, "<policy-violation")
				assert.True(t, strings.HasSuffix(heard, closing), heard)
			})
		}
	}
	inBubble(t, "without it nothing comes of that", func(t *testing.T) {
		store := new(fakeStore)
		o := newHouse(store).visit(t, func(p *peer) {
			p.login()
			p.say(askEarly, askEarly, askLegacy, "<presence/>")
			p.until("</bound>")
		})
		require.NoError(t, o.Err)
		assert.Len(t, store.asked(), 1)
		assert.Equal(t, jid.MustParse("juliet@im.example.com"), o.Session.RemoteAddr())
	})
}
