// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// What scripted servers offer.
const (
	offersPlain  = `<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>`
	offersEarly  = `<bind xmlns='urn:xmpp:bind2:0'/>`
	offersLegacy = `<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>`
	success      = `<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`
)

func features(list ...string) string {
	return "<stream:features>" + strings.Join(list, "") + "</stream:features>"
}

// admit is a server's side of a login by RFC 6120, up to the features behind it.
func (p *peer) admit(list ...string) {
	p.t.Helper()
	p.header()
	p.say(features(offersPlain))
	p.until("</auth>")
	p.say(success)
	p.header()
	p.say(features(list...))
}

// bindLegacy answers a request by RFC 6120 with an address.
func (p *peer) bindLegacy(address string) string {
	p.t.Helper()
	iq := p.until("</iq>")
	_, id, ok := strings.Cut(strings.ReplaceAll(iq, `"`, "'"), " id='")
	require.True(p.t, ok, iq)
	id, _, _ = strings.Cut(id, "'")
	p.say("<iq type='result' id='" + id + "'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>" + address + "</jid></bind></iq>")
	return iq
}

// A route is a way in which a client binds by Early.
type route struct {
	name string
	of   func(c *bind2.Client) xmpp.Negotiator
}

var routes = []route{
	{"stock", stockClient},
	{"alone", func(c *bind2.Client) xmpp.Negotiator {
		return xmpptest.Stock(append(newLogin(auth.Plain).Features(), c.Feature())...)
	}},
	{"step by step", func(c *bind2.Client) xmpp.Negotiator { return aheadClient(pipelining.Plan{}, auth.Plain, c) }},
	{"ahead", func(c *bind2.Client) xmpp.Negotiator {
		return aheadClient(pipelining.Plan{Mode: pipelining.Full}, auth.Plain, c)
	}},
}

// TestClientPrefers is about servers that offer both.
func TestClientPrefers(t *testing.T) {
	const times = 100
	houses := map[string]func(house) house{
		"ours":  func(h house) house { return h },
		"stock": func(h house) house { h.stock = true; return h },
	}
	for name, house := range houses {
		for _, r := range routes {
			if name == "stock" && r.name == "ahead" {
				continue // It does not take what is sent ahead.
			}
			inBubble(t, "B2-23, D-11: always Early, client "+r.name+", server "+name, func(t *testing.T) {
				for range times {
					c, seen := newClient()
					store := &fakeStore{state: bind2.Bound{Archived: true, Last: bind2.Entry{ID: "c"}, Unreads: []bind2.Unread{}}}
					h := house(open(newHouse(store)))
					h.logins.Inline = nil
					m := h.meet(t, juliet, r.of(c))
					require.NoError(t, errors.Join(m.ClientErr, m.ServerErr))
					require.Equal(t, []bind2.Request{{Account: juliet, Protocol: bind2.Early, Carbons: true}}, store.asked())
					require.Equal(t, []told{{bind2.Early, bind2.Bound{
						JID: m.Client.LocalAddr(), Archived: true, Last: bind2.Entry{ID: "c"}, Unreads: []bind2.Unread{},
					}}}, seen())
				}
			})
			if r.name == "alone" || r.name == "ahead" {
				continue
			}
			inBubble(t, "a server without Early, client "+r.name+", server "+name, func(t *testing.T) {
				c, seen := newClient()
				store := new(fakeStore)
				h := house(open(newHouse(store)))
				h.logins.Inline = nil
				h.binds.Archive = func(jid.JID) bool { return false }
				m := h.mustMeet(t, r.of(c))
				require.Equal(t, []bind2.Request{{Account: juliet, Protocol: bind2.Legacy}}, store.asked())
				assert.Equal(t, []told{{bind2.Legacy, bind2.Bound{JID: m.Client.LocalAddr()}}}, seen())
			})
		}
	}
	inBubble(t, "without Prefer it is one of them, and never both", func(t *testing.T) {
		for range times {
			c, _ := newClient()
			store := new(fakeStore)
			open(newHouse(store)).mustMeet(t, xmpptest.Stock(append(newLogin(auth.Plain).Features(), xmpp.BindResource(), c.Feature())...))
			require.Len(t, store.asked(), 1)
		}
	})
	inBubble(t, "a stock server", func(t *testing.T) {
		c, seen := newClient()
		p := xmpptest.NewPair(t, xmpptest.PairConfig{
			Location: domain, Client: juliet,
			ClientNegotiator: xmpptest.Stock(append(c.Prefer(xmpp.BindResource()), xmpp.SASL("", xmpptest.Password, sasl.Plain))...),
		})
		assert.Equal(t, []told{{bind2.Legacy, bind2.Bound{JID: p.Client.LocalAddr()}}}, seen())
	})
	inBubble(t, "a server that has lost Early is mispredicted", func(t *testing.T) {
		c, seen := newClient()
		store := new(fakeStore)
		h := newHouse(store)
		h.logins.Inline = nil
		h.binds.Archive = func(jid.JID) bool { return false }
		m := h.meet(t, juliet, aheadClient(pipelining.Plan{Mode: pipelining.Full}, auth.Plain, c))
		require.ErrorIs(t, m.ClientErr, pipelining.ErrMispredicted)
		assert.Empty(t, seen())
		assert.Empty(t, store.asked())

		m = h.mustMeet(t, aheadClient(pipelining.Plan{}, auth.Plain, c))
		assert.Equal(t, []told{{bind2.Legacy, bind2.Bound{JID: m.Client.LocalAddr()}}}, seen(), "what follows on that")
	})
	t.Run("B2-02: a client does not announce it", func(t *testing.T) {
		f := new(bind2.Client).Feature()
		assert.Nil(t, f.List)
		assert.NotZero(t, f.Prohibited&xmpp.Ready)
		assert.Equal(t, xmpp.Authn, f.Necessary)
	})
	t.Run("the caller's list is left alone", func(t *testing.T) {
		c := new(bind2.Client)
		list := []xmpp.StreamFeature{{Name: xmpp.BindResource().Name}, c.Feature()}
		got := c.Prefer(list...)
		require.Len(t, got, 2, "it is there already")
		assert.Nil(t, got[0].Negotiate, "it is informational")
		assert.Len(t, c.Prefer(), 1)
	})
}

// TestClientEarly is about what servers answer.
func TestClientEarly(t *testing.T) {
	const in = "<bound xmlns='urn:xmpp:bind2:0'><jid>juliet@im.example.com/balcony</jid>"
	unread := func(attrs string) string { return in + "<unreads><unread " + attrs + "/></unreads></bound>" }
	row := func(with string, read string, count int64) []bind2.Unread {
		return []bind2.Unread{{JID: jid.MustParse(with), ReadID: read, Count: count}}
	}
	for _, test := range []struct {
		name, answer string
		want         bind2.Bound
	}{
		{"B2-21: nothing but the address", in + "</bound>", bind2.Bound{}},
		{"B2-21: no unreads", in + "<latest-id>c</latest-id></bound>", bind2.Bound{Archived: true, Last: bind2.Entry{ID: "c"}}},
		{"B2-20: none unread", in + "<unreads/></bound>", bind2.Bound{Unreads: []bind2.Unread{}}},
		{"B2-21: no read-id", unread("jid='romeo@im.example.com' unread-count='1'"), bind2.Bound{Unreads: row("romeo@im.example.com", "", 1)}},
		{"an empty latest-id", in + "<latest-id/></bound>", bind2.Bound{}},
		{"white space", "\n<bound\n xmlns='urn:xmpp:bind2:0'>\n <jid>\t juliet@im.example.com/balcony\n</jid> <latest-id> c </latest-id>\n</bound>", bind2.Bound{Archived: true, Last: bind2.Entry{ID: "c"}}},
		{"another order, and what is not known", "<bound xmlns='urn:xmpp:bind2:0' x='1'><unreads><x/><unread jid='a@b' unread-count=' 2 '/></unreads><x xmlns='urn:x'><jid>x</jid></x><latest-id>c</latest-id><jid>juliet@im.example.com/balcony</jid></bound>", bind2.Bound{Archived: true, Last: bind2.Entry{ID: "c"}, Unreads: row("a@b", "", 2)}},
		{"AB-13: a count below zero", unread("jid='a@b' unread-count='-1'"), bind2.Bound{Unreads: []bind2.Unread{}}},
		{"AB-13: a count of zero", unread("jid='a@b' unread-count='0'"), bind2.Bound{Unreads: []bind2.Unread{}}},
		{"AB-13: a count beyond all bounds", unread("jid='a@b' unread-count='18446744073709551616'"), bind2.Bound{Unreads: []bind2.Unread{}}},
		{"AB-13: the greatest count", unread("jid='a@b' unread-count='9223372036854775807'"), bind2.Bound{Unreads: row("a@b", "", 1<<63-1)}},
		{"AB-13: a count that is none", unread("jid='a@b' unread-count='x'"), bind2.Bound{Unreads: []bind2.Unread{}}},
		{"AB-13: no count", unread("jid='a@b'"), bind2.Bound{Unreads: []bind2.Unread{}}},
		{"AB-13: no address", unread("unread-count='1'"), bind2.Bound{Unreads: []bind2.Unread{}}},
		{"AB-13: an address that is none", unread("jid='@' unread-count='1'"), bind2.Bound{Unreads: []bind2.Unread{}}},
		{
			"AB-13: the same address twice, in other words",
			unread("jid='a@b' unread-count='1'/><unread jid='A@b' unread-count='2'/><unread jid='a@b/c' read-id='r' unread-count='3'"),
			bind2.Bound{Unreads: append(row("a@b", "", 1), row("a@b/c", "r", 3)...)},
		},
		{"two lists", in + "<unreads/><unreads><unread jid='a@b' unread-count='1'/></unreads><latest-id>1</latest-id><latest-id>2</latest-id></bound>", bind2.Bound{Archived: true, Last: bind2.Entry{ID: "1"}, Unreads: []bind2.Unread{}}},
	} {
		for _, r := range routes {
			inBubble(t, test.name+", "+r.name, func(t *testing.T) {
				c, seen := newClient()
				o := host(t, r.of(c), func(p *peer) {
					p.admit(offersLegacy, offersEarly)
					assert.Equal(t, askEarly, p.until("/>"), "B2-03")
					p.say(test.answer)
				})
				require.NoError(t, o.Err)
				assert.Equal(t, balcony, o.Session.LocalAddr())
				assert.NotZero(t, o.Session.State()&xmpp.Ready)
				test.want.JID = balcony
				assert.Equal(t, []told{{bind2.Early, test.want}}, seen())
			})
		}
	}

	for _, test := range []struct {
		name, answer string
		is           error
	}{
		{"AB-12: another account", strings.Replace(in, "juliet", "romeo", 1) + "</bound>", bind2.ErrAddress},
		{"AB-12: another domain", strings.Replace(in, "im.example", "evil.example", 1) + "</bound>", bind2.ErrAddress},
		{"AB-12: a bare JID", strings.Replace(in, "/balcony", "", 1) + "</bound>", bind2.ErrAddress},
		{"AB-12: no JID", strings.Replace(in, "juliet@", "@", 1) + "</bound>", bind2.ErrAddress},
		{"AB-12: nothing", "<bound xmlns='urn:xmpp:bind2:0'/>", bind2.ErrAddress},
		{"AB-12: an empty one", "<bound xmlns='urn:xmpp:bind2:0'><jid/></bound>", bind2.ErrAddress},
		{"AB-14: another element", "<bind xmlns='urn:xmpp:bind2:0'/>", bind2.ErrAnswer},
		{"AB-14: another namespace", "<bound xmlns='urn:xmpp:bind:0'><jid>juliet@im.example.com/balcony</jid></bound>", bind2.ErrAnswer},
		{"AB-14: a message before", "<message><body>hi</body></message>" + in + "</bound>", bind2.ErrAnswer},
		{"a stream error", "<stream:error><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>", stream.ResourceConstraint},
		{"the end of the stream", closing, nil},
		{"AB-13: rows without end", in + "<unreads>" + strings.Repeat("<unread/>", 1<<16), bind2.ErrAnswer},
		{"AB-13: text without end", in + "<latest-id>" + strings.Repeat("x", 3<<20) + "</latest-id></bound>", bind2.ErrAnswer},
		{"AB-13: attributes without end", "<bound xmlns='urn:xmpp:bind2:0'" + many(" a%d=''", 1<<17) + "/>", bind2.ErrAnswer},
		{"text", "hello" + in + "</bound>", bind2.ErrAnswer},
	} {
		for _, r := range routes {
			if len(test.answer) > 1<<16 && r.name != "alone" && r.name != "ahead" {
				continue // It takes long, and is read by the same code.
			}
			if r.name != "stock" && r.name != "alone" && (test.name == "text" || strings.HasPrefix(test.answer, "<bound xmlns='urn:xmpp:bind2:0' a0")) {
				continue // Package pipelining passes over text, and has bounds for names.
			}
			inBubble(t, test.name+", "+r.name, func(t *testing.T) {
				c, seen := newClient()
				o := host(t, r.of(c), func(p *peer) {
					p.admit(offersLegacy, offersEarly)
					p.until(askEarly)
					_, _ = io.WriteString(p.Conn, test.answer) // The client need not listen to the end.
				})
				require.Error(t, o.Err)
				if test.is != nil {
					require.ErrorIs(t, o.Err, test.is)
				}
				assert.Equal(t, juliet, o.Session.LocalAddr(), "the address is what it was")
				assert.Zero(t, o.Session.State()&xmpp.Ready)
				assert.Empty(t, seen())
				assert.NotContains(t, o.Heard[strings.Index(o.Heard, askEarly):], "<iq", "it does not try another way")
			})
		}
	}
	inBubble(t, "AB-14: before the login", func(t *testing.T) {
		for _, r := range routes {
			for _, when := range []string{"", features(offersPlain)} {
				c, seen := newClient()
				o := host(t, r.of(c), func(p *peer) {
					p.header()
					_, _ = io.WriteString(p.Conn, when+in+"</bound>"+success)
				})
				require.Error(t, o.Err)
				assert.Empty(t, seen())
				assert.Equal(t, juliet, o.Session.LocalAddr())
			}
		}
	})
	inBubble(t, "AB-13: no more than MaxUnreads", func(t *testing.T) {
		rows := many("<unread jid='s%d@example.net' unread-count='1'/>\n", bind2.MaxUnreads+2000)
		c, seen := newClient()
		o := host(t, stockClient(c), func(p *peer) {
			p.admit(offersEarly)
			p.until(askEarly)
			p.say(in + "<unreads>" + rows + "</unreads></bound>")
		})
		require.NoError(t, o.Err)
		require.Len(t, seen(), 1)
		list := seen()[0].Unreads
		require.Len(t, list, bind2.MaxUnreads)
		assert.Equal(t, fmt.Sprintf("s%d@example.net", bind2.MaxUnreads-1), list[len(list)-1].JID.String())
	})
	inBubble(t, "who logs in as nobody in particular becomes somebody of the domain", func(t *testing.T) {
		c, seen := newClient()
		o := hostFor(t, domain, stockClient(c), func(p *peer) {
			p.admit(offersEarly)
			p.until(askEarly)
			p.say(in + "</bound>")
		})
		require.NoError(t, o.Err)
		assert.Equal(t, balcony, o.Session.LocalAddr())
		assert.Len(t, seen(), 1)
	})
}

// TestClientLegacy is about RFC 6120 where nothing else is offered.
func TestClientLegacy(t *testing.T) {
	for name, address := range map[string]string{
		"another account": "romeo@im.example.com/balcony", "another domain": "juliet@evil.example.com/balcony", "a bare JID": "juliet@im.example.com",
	} {
		inBubble(t, "AB-12: "+name, func(t *testing.T) {
			c, seen := newClient()
			o := host(t, stockClient(c), func(p *peer) {
				p.admit(offersLegacy)
				p.bindLegacy(address)
			})
			require.ErrorIs(t, o.Err, bind2.ErrAddress)
			assert.Equal(t, juliet, o.Session.LocalAddr())
			assert.Zero(t, o.Session.State()&xmpp.Ready)
			assert.Empty(t, seen())
		})
	}
	inBubble(t, "a refusal", func(t *testing.T) {
		c, seen := newClient()
		o := host(t, stockClient(c), func(p *peer) {
			p.admit(offersLegacy)
			p.until("</iq>")
			p.say("<iq type='error' id='x'/>")
		})
		require.Error(t, o.Err)
		assert.Empty(t, seen())
	})
}

// TestFlights asserts what a login costs.
func TestFlights(t *testing.T) {
	legacyAhead := pipelining.Client(pipelining.Plan{Mode: pipelining.Full}, pipelining.ClientConfig{
		TLS: clientTLS(), VerifyTLS: anyTLS, Authenticator: newLogin(auth.Plain),
	})
	full := pipelining.Plan{Mode: pipelining.Full}
	for _, test := range []struct {
		name   string
		client func(c *bind2.Client) xmpp.Negotiator
		tls    bool
		trips  float64
		by     bind2.Protocol
	}{
		{"B2-19: Early, ahead", func(c *bind2.Client) xmpp.Negotiator { return aheadClient(full, auth.Plain, c) }, false, 1, bind2.Early},
		{"RFC 6120, ahead", func(*bind2.Client) xmpp.Negotiator { return legacyAhead }, false, 1, bind2.Legacy},
		{"Inline, ahead", func(c *bind2.Client) xmpp.Negotiator { return aheadClient(aheadPlan, auth.Plain, c) }, false, 1, bind2.Inline},
		{"Early, ahead, direct TLS", func(c *bind2.Client) xmpp.Negotiator { return aheadClient(full, auth.Plain, c) }, true, 2, bind2.Early},
		{"RFC 6120, ahead, direct TLS", func(*bind2.Client) xmpp.Negotiator { return legacyAhead }, true, 2, bind2.Legacy},
		{"Inline, ahead, direct TLS", func(c *bind2.Client) xmpp.Negotiator { return aheadClient(aheadPlan, auth.Plain, c) }, true, 2, bind2.Inline},
		{"Early, SCRAM ahead", func(c *bind2.Client) xmpp.Negotiator { return aheadClient(full, auth.ScramSHA256, c) }, false, 2, bind2.Early},
		{"Inline, SCRAM ahead", func(c *bind2.Client) xmpp.Negotiator { return aheadClient(aheadPlan, auth.ScramSHA256, c) }, false, 2, bind2.Inline},
		{"Early, step by step", func(c *bind2.Client) xmpp.Negotiator {
			login := newLogin(auth.Plain)
			return pipelining.Negotiator(xmpptest.Stock(append(login.Features()[1:], c.Prefer(xmpp.BindResource())...)...), pipelining.Config{})
		}, false, 4, bind2.Early},
		{"Inline, step by step", func(c *bind2.Client) xmpp.Negotiator { return aheadClient(pipelining.Plan{}, auth.Plain, c) }, false, 2, bind2.Inline},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			c, _ := newClient()
			store := new(fakeStore)
			h := newHouse(store)
			h.tls = test.tls
			m := h.mustMeet(t, test.client(c))
			assert.Equal(t, test.trips, m.Link.RoundTrips(m.Took), "round trips")
			assert.Equal(t, time.Duration(test.trips*float64(roundTrip)), m.Took)
			assert.Len(t, m.Link.Writes(xmpptest.Client), int(test.trips), "each flight is one write")
			require.Len(t, store.asked(), 1)
			assert.Equal(t, test.by, store.asked()[0].Protocol)
		})
	}
	inBubble(t, "B2-19: the second login, by what the first has learned, is one write before the first read", func(t *testing.T) {
		c, seen := newClient()
		h := newHouse(new(fakeStore))
		h.tls = true
		first := h.mustMeet(t, aheadClient(pipelining.Plan{}, auth.Plain, &bind2.Client{Observe: c.Observe}))
		_, has := first.Client.Feature(bind2.NS)
		plan := pipelining.Plan{Mode: pipelining.Full}
		assert.False(t, has, "it was bound inline")
		h.logins.Inline = nil
		first = h.mustMeet(t, aheadClient(pipelining.Plan{}, auth.Plain, c))
		_, has = first.Client.Feature(bind2.NS)
		require.True(t, has && pipelining.Advertised(first.Client), "E-13: what is to be remembered")

		second := h.mustMeet(t, aheadClient(plan, auth.Plain, c))
		assert.Equal(t, 2.0, second.Link.RoundTrips(second.Took), "one of them is of TLS")
		assert.Less(t, second.Took, first.Took)
		assert.Equal(t, bind2.Early, seen()[len(seen())-1].Protocol)
	})
}
