// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2_test

import (
	"encoding/xml"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/pipelining"
)

// offersInline offers SASL2 with a bind that has features.
func offersInline(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		b.WriteString("<feature var='" + name + "'/>")
	}
	return "<authentication xmlns='urn:xmpp:sasl:2'><mechanism>PLAIN</mechanism><inline><bind xmlns='urn:xmpp:bind:0'><inline>" +
		b.String() + "</inline></bind></inline></authentication>"
}

// bindIn returns the bind within an authenticate.
func bindIn(t testing.TB, heard string) string {
	t.Helper()
	_, bind, ok := strings.Cut(heard, "<bind")
	if !ok {
		return ""
	}
	bind, _, ok = strings.Cut(bind, "</bind>")
	require.True(t, ok, heard)
	return "<bind" + bind + "</bind>"
}

// A want is a ClientFeature with a name.
type want struct {
	name, request string
	answers       *[]string
	err           error // of Request
	fails         error // of the answer
}

func (w want) Name() string               { return w.name }
func (w want) Handles(name xml.Name) bool { return name.Space == w.name }

func (w want) Request(origin jid.JID) ([]byte, func(*xml.Decoder, xml.StartElement, jid.JID) error, error) {
	return []byte(w.request), func(d *xml.Decoder, start xml.StartElement, bound jid.JID) error {
		var text string
		if err := d.DecodeElement(&text, &start); err != nil {
			return err
		}
		*w.answers = append(*w.answers, w.name+" "+start.Name.Local+" "+text+" "+origin.String()+" "+bound.String())
		return w.fails
	}, w.err
}

// TestClientInline is about urn:xmpp:bind:0 on a client.
func TestClientInline(t *testing.T) {
	all := []string{"urn:xmpp:carbons:2", "urn:xmpp:csi:0", "urn:example:a", "urn:example:b"}
	a, b := "<a xmlns='urn:example:a'/>", "<b xmlns='urn:example:b'/>"
	const (
		carbons  = "<enable xmlns='urn:xmpp:carbons:2'/>"
		inactive = "<inactive xmlns='urn:xmpp:csi:0'/>"
	)
	both := []bind2.ClientFeature{
		want{name: "urn:example:a", request: a}, want{name: "urn:example:none"}, want{name: "urn:example:b", request: b},
	}
	for _, test := range []struct {
		name   string
		client bind2.Client
		offer  []string
		want   string // step by step, when it is known what there is
		ahead  string // or else
	}{
		{"BN-30: the zero value says nothing about anybody", bind2.Client{}, all, carbons, carbons},
		{"BN-07: a tag", bind2.Client{Tag: "Example <1>"}, all, "<tag>Example &lt;1&gt;</tag>" + carbons, "<tag>Example &lt;1&gt;</tag>" + carbons},
		{"BN-08: all there is", bind2.Client{Inactive: true, Features: both}, all, carbons + inactive + a + b, carbons + inactive + a + b},
		{"BN-08: not what is not offered", bind2.Client{Inactive: true, Features: both}, []string{"urn:example:b"}, b, carbons + inactive + a + b},
		{"nothing is offered", bind2.Client{Inactive: true}, nil, "", carbons + inactive},
		{"no carbons", bind2.Client{NoCarbons: true}, all, "", ""},
	} {
		for mode, want := range map[pipelining.Mode]string{pipelining.Off: test.want, pipelining.Full: test.ahead} {
			inBubble(t, test.name+", "+mode.String(), func(t *testing.T) {
				o := host(t, aheadClient(pipelining.Plan{Mode: mode, SASL2: true}, auth.Plain, &test.client), func(p *peer) {
					p.header()
					p.say(features(offersInline(test.offer...)))
					assert.Equal(t, askInline(want), bindIn(t, p.until("</authenticate>")), "BN-06")
					p.say(succeeds(balcony.String(), "<bound xmlns='urn:xmpp:bind:0'/>"), features())
				})
				require.NoError(t, o.Err)
				assert.Equal(t, balcony, o.Session.LocalAddr())
			})
		}
	}
	inBubble(t, "a server that does not offer it is not asked", func(t *testing.T) {
		c, seen := newClient()
		o := host(t, aheadClient(pipelining.Plan{}, auth.Plain, c), func(p *peer) {
			p.header()
			p.say(features("<authentication xmlns='urn:xmpp:sasl:2'><mechanism>PLAIN</mechanism></authentication>"))
			assert.Empty(t, bindIn(t, p.until("</authenticate>")))
			p.say(succeeds(juliet.String(), ""), features(offersLegacy))
			p.bindLegacy(balcony.String())
		})
		require.NoError(t, o.Err)
		assert.Equal(t, []told{{bind2.Legacy, bind2.Bound{JID: balcony}}}, seen())
	})
	for name, tag := range map[string]string{"too long": strings.Repeat("x", bind2.MaxTag+1), "no resourcepart": "a\u202eb"} {
		t.Run("a tag that is "+name, func(t *testing.T) {
			_, _, err := (&bind2.Client{Tag: tag}).Inline().Request(juliet, nil)
			require.ErrorIs(t, err, bind2.ErrTag)
		})
	}
	t.Run("a feature that fails before it is asked for", func(t *testing.T) {
		broken := errors.New("broken")
		c := &bind2.Client{Features: []bind2.ClientFeature{want{name: "urn:example:a", err: broken}}}
		_, _, err := c.Inline().Request(juliet, nil)
		require.ErrorIs(t, err, broken)
	})

	at := time.Date(2023, 1, 2, 3, 4, 5, 678_901_000, time.UTC)
	entry := func(id string) bind2.Entry { return bind2.Entry{ID: id, Time: at} }
	const when = " timestamp='2023-01-02T03:04:05.678901Z'/>"
	in := func(inner string) string { return "<bound xmlns='urn:xmpp:bind:0'>" + inner + "</bound>" }
	metadata := func(inner string) string { return in("<metadata xmlns='urn:xmpp:mam:2'>" + inner + "</metadata>") }
	for _, test := range []struct {
		name, answer string
		want         bind2.Bound
	}{
		{"BN-31: no metadata", in(""), bind2.Bound{}},
		{"BN-24: an empty archive", metadata(""), bind2.Bound{Archived: true}},
		{"BN-24: both ends", metadata("<start id='a'" + when + "\n<end id='c'" + when), bind2.Bound{Archived: true, First: entry("a"), Last: entry("c")}},
		{"a time with an offset", metadata("<start id='a' timestamp='2023-01-02T04:04:05.678901+01:00'/><end id='c'" + when), bind2.Bound{Archived: true, First: entry("a"), Last: entry("c")}},
		{"a time that is none", metadata("<start id='a'/><end id='c' timestamp='now'/>"), bind2.Bound{Archived: true, First: bind2.Entry{ID: "a"}, Last: bind2.Entry{ID: "c"}}},
		{"one end", metadata("<end id='c'" + when), bind2.Bound{}},
		{"an end without id", metadata("<start id='a'" + when + "<end" + when), bind2.Bound{}},
		{"ends without ids", metadata("<start" + when + "<end" + when), bind2.Bound{}},
		{"metadata of something else", in("<metadata xmlns='urn:xmpp:mam:1'><end id='c'/></metadata>"), bind2.Bound{}},
		{"AB-16: what was asked for is not there", in("<failed xmlns='urn:xmpp:sm:3'/>"), bind2.Bound{}},
		{"Prosody answers carbons", in("<enabled xmlns='urn:xmpp:sm:3' id='x'/><enabled xmlns='urn:xmpp:carbons:2'/>"), bind2.Bound{}},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			c, seen := newClient()
			o := host(t, aheadClient(aheadPlan, auth.Plain, c), func(p *peer) {
				p.header()
				p.say(features(offersInline()))
				p.until("</authenticate>")
				p.say(succeeds(balcony.String(), test.answer), features())
			})
			require.NoError(t, o.Err)
			assert.Equal(t, balcony, o.Session.LocalAddr())
			test.want.JID = balcony
			assert.Equal(t, []told{{bind2.Inline, test.want}}, seen())
		})
	}

	for _, test := range []struct{ name, identifier, answer string }{
		{"no bound", juliet.String(), ""},
		{"no bound, and a full JID", balcony.String(), ""},
		{"a bare JID", juliet.String(), in("")},
		{"another element", balcony.String(), "<bind xmlns='urn:xmpp:bind:0'/>"},
		{"another namespace", balcony.String(), "<bound xmlns='urn:xmpp:bind2:0'><jid>juliet@im.example.com/balcony</jid></bound>"},
	} {
		for _, mode := range []pipelining.Mode{pipelining.Off, pipelining.Full} {
			for offer, by := range map[string]bind2.Protocol{offersLegacy: bind2.Legacy, offersLegacy + offersEarly: bind2.Early} {
				inBubble(t, "BN-31: "+test.name+": "+by.String()+", "+mode.String(), func(t *testing.T) {
					c, seen := newClient()
					o := host(t, aheadClient(pipelining.Plan{Mode: mode, SASL2: true}, auth.Plain, c), func(p *peer) {
						p.header()
						p.say(features(offersInline()))
						p.until("</authenticate>")
						p.say(succeeds(test.identifier, test.answer), features(offer))
						if by == bind2.Legacy {
							p.bindLegacy("juliet@im.example.com/garden")
							return
						}
						p.until(askEarly)
						p.say("<bound xmlns='urn:xmpp:bind2:0'><jid>juliet@im.example.com/garden</jid></bound>")
					})
					require.NoError(t, o.Err)
					garden := jid.MustParse("juliet@im.example.com/garden")
					assert.Equal(t, garden, o.Session.LocalAddr())
					assert.Equal(t, []told{{by, bind2.Bound{JID: garden}}}, seen())
				})
			}
		}
	}
	inBubble(t, "AB-12: another account", func(t *testing.T) {
		c, seen := newClient()
		o := host(t, aheadClient(aheadPlan, auth.Plain, c), func(p *peer) {
			p.header()
			p.say(features(offersInline()))
			p.until("</authenticate>")
			p.say(succeeds("romeo@im.example.com/balcony", in("")), features())
		})
		require.ErrorIs(t, o.Err, auth.ErrIdentity)
		assert.Empty(t, seen())
		assert.Equal(t, juliet, o.Session.LocalAddr())
	})
	inBubble(t, "AB-14: bound where none was asked for", func(t *testing.T) {
		o := host(t, pipelining.Client(aheadPlan, pipelining.ClientConfig{
			VerifyTLS: anyTLS, Authenticator: newLogin(auth.Plain), Features: []xmpp.StreamFeature{xmpp.BindResource()},
		}), func(p *peer) {
			p.header()
			p.say(features(offersInline()))
			assert.Empty(t, bindIn(t, p.until("</authenticate>")))
			p.say(succeeds(balcony.String(), in("")), features())
		})
		require.Error(t, o.Err)
		assert.Equal(t, juliet, o.Session.LocalAddr())
	})
	inBubble(t, "two bounds are one", func(t *testing.T) {
		c, seen := newClient()
		o := host(t, aheadClient(aheadPlan, auth.Plain, c), func(p *peer) {
			p.header()
			p.say(features(offersInline()))
			p.until("</authenticate>")
			p.say(succeeds(balcony.String(), metadata("")+in("")), features())
		})
		require.NoError(t, o.Err)
		assert.Equal(t, []told{{bind2.Inline, bind2.Bound{JID: balcony, Archived: true}}}, seen())
	})
}

// TestClientFeatures is about the answers to what a client asks for.
func TestClientFeatures(t *testing.T) {
	bound := "<bound xmlns='urn:xmpp:bind:0'><b xmlns='urn:example:b'>1</b><a xmlns='urn:example:a'>2</a><c xmlns='urn:example:c'>3</c></bound>"
	login := func(t *testing.T, c *bind2.Client, plan pipelining.Plan, offer ...string) *outcome {
		return host(t, aheadClient(plan, auth.Plain, c), func(p *peer) {
			p.header()
			p.say(features(offersInline(offer...)))
			p.until("</authenticate>")
			p.say(succeeds(balcony.String(), bound), features())
		})
	}
	inBubble(t, "BN-28: each gets its own", func(t *testing.T) {
		var answers []string
		c, _ := newClient()
		c.Features = []bind2.ClientFeature{
			want{name: "urn:example:a", request: "<a xmlns='urn:example:a'/>", answers: &answers},
			want{name: "urn:example:b", request: "<b xmlns='urn:example:b'/>", answers: &answers},
			want{name: "urn:example:c", answers: &answers}, // It asks for nothing.
		}
		require.NoError(t, login(t, c, aheadPlan).Err)
		assert.Equal(t, []string{
			"urn:example:b b 1 juliet@im.example.com juliet@im.example.com/balcony",
			"urn:example:a a 2 juliet@im.example.com juliet@im.example.com/balcony",
		}, answers)

		answers = nil
		require.NoError(t, login(t, c, pipelining.Plan{}, "urn:example:a").Err)
		assert.Equal(t, []string{"urn:example:a a 2 juliet@im.example.com juliet@im.example.com/balcony"}, answers, "the other was not asked for")
	})
	inBubble(t, "its error ends the login", func(t *testing.T) {
		var answers []string
		c, seen := newClient()
		broken := errors.New("broken")
		c.Features = []bind2.ClientFeature{want{name: "urn:example:a", request: "<a xmlns='urn:example:a'/>", answers: &answers, fails: broken}}
		o := login(t, c, aheadPlan)
		require.ErrorIs(t, o.Err, broken)
		assert.Empty(t, seen())
		assert.Equal(t, juliet, o.Session.LocalAddr())
	})
}

// TestBothEnds lets our client bind at our server.
func TestBothEnds(t *testing.T) {
	at := func(year int) time.Time { return time.Date(year, 1, 2, 3, 4, 5, 0, time.UTC) }
	state := bind2.Bound{Archived: true, First: bind2.Entry{ID: "a", Time: at(2020)}, Last: bind2.Entry{ID: "c", Time: at(2024)}}
	for _, mode := range []pipelining.Mode{pipelining.Off, pipelining.Full} {
		inBubble(t, "BN-14, BN-23: Inline, "+mode.String(), func(t *testing.T) {
			var answers []string
			c, seen := newClient()
			c.Tag, c.Inactive = "Example", true
			c.Features = []bind2.ClientFeature{askSM{answers: &answers}}
			store := &fakeStore{state: state}
			h := newHouse(store)
			h.binds.More = []bind2.Feature{enableSM{"enabled"}}
			m := h.mustMeet(t, aheadClient(pipelining.Plan{Mode: mode, SASL2: true}, auth.Plain, c))
			assert.Regexp(t, `^Example/[A-Z2-7]{26}$`, m.Client.LocalAddr().Resourcepart())
			assert.Equal(t, []bind2.Request{{
				Account: juliet, Protocol: bind2.Inline, Tag: "Example", Client: agentID, Carbons: true, Inactive: true,
			}}, store.asked())
			want := state
			want.JID = m.Client.LocalAddr()
			assert.Equal(t, []told{{bind2.Inline, want}}, seen())
			assert.Equal(t, []string{"enabled " + want.JID.String()}, answers)
			_, offered := m.Client.Feature(bind2.NS)
			assert.False(t, offered, "D-11")
		})
	}
}

// TestAtOnce lets one Client and one Server do much at the same time.
func TestAtOnce(t *testing.T) {
	const sessions = 24
	c, seen := newClient()
	c.Tag = "Example"
	store := new(fakeStore)
	h := newHouse(store)
	var (
		group sync.WaitGroup
		all   [sessions]*meeting
	)
	for i := range all {
		client := aheadClient(pipelining.Plan{Mode: pipelining.Full, SASL2: i%2 == 0}, auth.Plain, c)
		if i%3 == 0 {
			client = stockClient(c)
		}
		origin := []jid.JID{juliet, romeo}[i/6%2]
		group.Go(func() { all[i] = h.meet(t, origin, client) })
	}
	group.Wait()
	resources := make(map[string]bool)
	for _, m := range all {
		require.NoError(t, errors.Join(m.ClientErr, m.ServerErr))
		resources[m.Client.LocalAddr().Resourcepart()] = true
	}
	assert.Len(t, resources, sessions, "AB-10")
	assert.Len(t, seen(), sessions)
	for _, s := range seen() {
		assert.True(t, resources[s.JID.Resourcepart()])
	}
	of := make(map[string]int)
	for _, r := range store.requests {
		of[r.Account.Localpart()]++
		assert.True(t, r.Session.RemoteAddr().Equal(r.Account), "the session is the account's")
	}
	assert.Equal(t, map[string]int{"juliet": sessions / 2, "romeo": sessions / 2}, of)
}
