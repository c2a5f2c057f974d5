// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2_test

import (
	"context"
	"encoding/xml"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/bind2"
)

// inline asks h for a resource within SASL2 and returns success and what is behind it.
func inline(t *testing.T, h house, more ...string) *outcome {
	t.Helper()
	return h.visit(t, func(p *peer) {
		p.say(opening)
		p.until("</stream:features>")
		p.say(plain2("juliet", password, more...))
	})
}

// behind is what was heard behind the first list of features.
func (o *outcome) behind() string {
	_, behind, _ := strings.Cut(o.Heard, "</stream:features>")
	return behind
}

func succeeds(identifier, inner string) string {
	return "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>" + identifier + "</authorization-identifier>" + inner + "</success>"
}

const emptyBound = `<bound xmlns="urn:xmpp:bind:0"></bound>`

// TestServerInline is about urn:xmpp:bind:0 on a server.
func TestServerInline(t *testing.T) {
	inBubble(t, "BN-03, BN-04: what is announced, and where", func(t *testing.T) {
		h := newHouse(new(fakeStore))
		h.binds.More = []bind2.Feature{enableSM{}}
		list := func() string {
			return h.visit(t, func(p *peer) {
				p.say(opening)
				p.until("</stream:features>")
				p.say(closing)
			}).Heard
		}
		assert.Contains(t, list(), `<inline><bind xmlns="urn:xmpp:bind:0"><inline><feature var="urn:xmpp:carbons:2"></feature>`+
			`<feature var="urn:xmpp:csi:0"></feature><feature var="urn:xmpp:sm:3"></feature></inline></bind></inline>`)
		h.binds.Carbons, h.binds.CSI, h.binds.More = false, false, nil
		assert.Contains(t, list(), `<inline><bind xmlns="urn:xmpp:bind:0"></bind></inline>`)
		h.logins.Profiles = auth.RFC6120
		assert.NotContains(t, list(), "urn:xmpp:bind:0")
	})

	at := func(year int) time.Time { return time.Date(year, 1, 2, 3, 4, 5, 678_901_234, time.FixedZone("", 3600)) }
	for _, test := range []struct {
		name  string
		state bind2.Bound
		want  string
	}{
		{"no archive", bind2.Bound{}, emptyBound},
		{"BN-24: an empty archive", bind2.Bound{Archived: true}, `<bound xmlns="urn:xmpp:bind:0"><metadata xmlns="urn:xmpp:mam:2"></metadata></bound>`},
		{
			"BN-15, BN-24: the ends of the archive",
			bind2.Bound{Archived: true, First: bind2.Entry{ID: "a", Time: at(2023)}, Last: bind2.Entry{ID: "<'c'>", Time: at(2025)}},
			`<bound xmlns="urn:xmpp:bind:0"><metadata xmlns="urn:xmpp:mam:2"><start id="a" timestamp="2023-01-02T02:04:05.678901Z"></start>` +
				`<end id="&lt;&#39;c&#39;&gt;" timestamp="2025-01-02T02:04:05.678901Z"></end></metadata></bound>`,
		},
		{"what is unread is not told", bind2.Bound{Unreads: []bind2.Unread{{JID: romeo, Count: 1}}}, emptyBound},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			o := inline(t, newHouse(binding("balcony", test.state)), askInline())
			require.NoError(t, o.Err)
			assert.Equal(t, succeeds(balcony.String(), test.want)+"<stream:features></stream:features>", o.behind())
			assert.NotZero(t, o.Session.State()&xmpp.Ready)
		})
	}

	for _, test := range []struct {
		name, bind string
		want       bind2.Request
	}{
		{"nothing", askInline(), bind2.Request{}},
		{"BN-26: carbons", askInline("<enable xmlns='urn:xmpp:carbons:2'/>"), bind2.Request{Carbons: true}},
		{"carbons twice", askInline("<enable xmlns='urn:xmpp:carbons:2'/><enable xmlns='urn:xmpp:carbons:2'/>"), bind2.Request{Carbons: true}},
		{"BN-27: inactive", askInline("<inactive xmlns='urn:xmpp:csi:0'/>"), bind2.Request{Inactive: true}},
		{"BN-27: active", askInline("<active xmlns='urn:xmpp:csi:0'/>"), bind2.Request{}},
		{"one after the other", askInline("<inactive xmlns='urn:xmpp:csi:0'/><active xmlns='urn:xmpp:csi:0'/>"), bind2.Request{}},
		{"BN-16: what is not known is passed over", askInline("<enable xmlns='urn:example:x'>\n<x/></enable> text <y/>"), bind2.Request{}},
		{"other elements of the namespaces", askInline("<disable xmlns='urn:xmpp:carbons:2'/><enable xmlns='urn:xmpp:csi:0'/><enable/>"), bind2.Request{}},
		{"BN-18: a tag", askInline("<tag>Balcony</tag>"), bind2.Request{Tag: "Balcony"}},
		{"AB-06: a tag with slashes is what it is", askInline("<tag>a/b/</tag>"), bind2.Request{Tag: "a/b/"}},
		{"a tag as it is to be written", askInline("<tag>Re\u0301sidence</tag>"), bind2.Request{Tag: "R\u00e9sidence"}},
		{"AB-06: bidi control characters", askInline("<tag>a\u202eb</tag>"), bind2.Request{}},
		{"AB-06: a line's end", askInline("<tag>a\nb</tag>"), bind2.Request{}},
		{"BN-18: no more than MaxTag", askInline("<tag>" + strings.Repeat("x", bind2.MaxTag) + "</tag>"), bind2.Request{Tag: strings.Repeat("x", bind2.MaxTag)}},
		{"AB-06: more than MaxTag", askInline("<tag>" + strings.Repeat("x", bind2.MaxTag+1) + "</tag>"), bind2.Request{}},
		{"AB-06: 2 KB", askInline("<tag>" + strings.Repeat("x", 2048) + "</tag>"), bind2.Request{}},
		{"an empty tag", askInline("<tag/>"), bind2.Request{}},
		{"an element in a tag", askInline("<tag>a<b/></tag>"), bind2.Request{}},
		{"two tags", askInline("<tag>one</tag><tag>two</tag>"), bind2.Request{Tag: "one"}},
		{"a tag of another namespace", askInline("<tag xmlns='urn:example:x'>a</tag>"), bind2.Request{}},
		{"BN-22: the client's id for a tag", agent + askInline("<tag>at-"+strings.ToUpper(agentID)+"</tag>"), bind2.Request{Client: agentID}},
		{"BN-22: the client's id in short", agent + askInline("<tag>"+strings.ReplaceAll(agentID, "-", "")+"</tag>"), bind2.Request{Client: agentID}},
		{"BN-17: the client's id", agent + askInline("<tag>a</tag>"), bind2.Request{Tag: "a", Client: agentID}},
		{"D-08: there is no resource to ask for", askInline("<resource>mine</resource>"), bind2.Request{}},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			store := new(fakeStore)
			o := inline(t, newHouse(store), test.bind)
			require.NoError(t, o.Err)
			test.want.Account, test.want.Protocol = juliet, bind2.Inline
			assert.Equal(t, []bind2.Request{test.want}, store.asked())
			assert.Contains(t, o.behind(), emptyBound, "BN-26: no answer is needed")
		})
	}
	inBubble(t, "what is not offered cannot be asked for", func(t *testing.T) {
		store := new(fakeStore)
		h := newHouse(store)
		h.binds.Carbons, h.binds.CSI = false, false
		require.NoError(t, inline(t, h, askInline("<enable xmlns='urn:xmpp:carbons:2'/><inactive xmlns='urn:xmpp:csi:0'/>")).Err)
		assert.Equal(t, []bind2.Request{{Account: juliet, Protocol: bind2.Inline}}, store.asked())
	})

	for _, test := range []struct {
		name, more, condition string
	}{
		{"more than can be meant", askInline(strings.Repeat("<x/>", 300)), "policy-violation"},
		{"more text than can be meant", askInline("<tag>" + strings.Repeat("x", 20<<10) + "</tag>"), "policy-violation"},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			store := new(fakeStore)
			o := inline(t, newHouse(store), test.more)
			require.Error(t, o.Err)
			assert.True(t, strings.HasSuffix(o.Heard, streamError(test.condition)), o.Heard)
			assert.Empty(t, store.asked())
		})
	}
	inBubble(t, "AB-07: two binds in one login", func(t *testing.T) {
		store := new(fakeStore)
		o := inline(t, newHouse(store), askInline(), askInline())
		require.Error(t, o.Err)
		assert.Contains(t, o.behind(), "<malformed-request")
		assert.Empty(t, store.asked())
	})
	for name, err := range map[string]error{
		"the store refuses": stanza.Error{Condition: stanza.ResourceConstraint}, "the store fails": errors.New("disk on fire"),
	} {
		inBubble(t, "D-09: "+name, func(t *testing.T) {
			store := new(fakeStore)
			store.bind = func(r bind2.Request) (bind2.Bound, error) {
				if r.Protocol == bind2.Inline {
					return bind2.Bound{}, err
				}
				return store.as(r)
			}
			o := newHouse(store).visit(t, func(p *peer) {
				p.say(opening)
				p.until("</stream:features>")
				p.say(plain2("juliet", password, askInline()))
				assert.Equal(t, succeeds(juliet.String(), ""), p.until("</success>"))
				assert.Contains(t, p.until("</stream:features>"), listsEarly+listsLegacy, "BN-05: there are other ways")
				p.say(askFor("balcony"))
				p.until("</iq>")
			})
			require.NoError(t, o.Err)
			assert.Contains(t, o.behind(), "<jid>juliet@im.example.com/balcony</jid>")
		})
	}
}

// A recorder is a Feature that answers what it is asked with what it was asked,
// and keeps who was bound.
type recorder struct {
	name  string
	store *fakeStore
	bound *[]string
}

func (r recorder) Name() string               { return r.name }
func (r recorder) Handles(name xml.Name) bool { return name.Space == r.name }

func (r recorder) Enable(_ context.Context, s *xmpp.Session, bound jid.JID, request xml.TokenReader) xml.TokenReader {
	*r.bound = append(*r.bound, r.name+" "+bound.String()+" "+s.RemoteAddr().String())
	if len(r.store.asked()) != 1 {
		return nil // It is not bound yet.
	}
	return xmlstream.Wrap(request, xml.StartElement{Name: xml.Name{Space: r.name, Local: "did"}})
}

// TestServerFeatures is about what rides along.
func TestServerFeatures(t *testing.T) {
	inBubble(t, "BN-16, BN-28: each is enabled once behind the bind, and answers in bound", func(t *testing.T) {
		store := binding("balcony", bind2.Bound{Archived: true})
		var bound []string
		h := newHouse(store)
		h.binds.More = []bind2.Feature{
			recorder{"urn:example:a", store, &bound}, recorder{"urn:example:b", store, &bound}, recorder{"urn:example:c", store, &bound},
			recorder{"urn:example:a", store, &bound}, // It comes too late.
		}
		o := inline(t, h, askInline("<x xmlns='urn:example:b' y='1'><z>text</z></x><w xmlns='urn:example:a'/><v xmlns='urn:example:b'/>"))
		require.NoError(t, o.Err)
		assert.Equal(t, []string{
			"urn:example:b juliet@im.example.com/balcony juliet@im.example.com",
			"urn:example:a juliet@im.example.com/balcony juliet@im.example.com",
		}, bound)
		assert.Contains(t, o.behind(), `<bound xmlns="urn:xmpp:bind:0"><metadata xmlns="urn:xmpp:mam:2"></metadata>`+
			`<did xmlns="urn:example:b"><x xmlns="urn:example:b" y="1"><z xmlns="urn:example:b">text</z></x></did>`+
			`<did xmlns="urn:example:a"><w xmlns="urn:example:a"></w></did></bound>`)
	})
	for _, local := range []string{"enabled", "failed", ""} {
		inBubble(t, "BN-25, AB-16: sm "+local, func(t *testing.T) {
			h := newHouse(binding("balcony", bind2.Bound{}))
			h.binds.More = []bind2.Feature{enableSM{local}}
			o := inline(t, h, askInline("<enable xmlns='urn:xmpp:sm:3'/>"))
			require.NoError(t, o.Err)
			want := emptyBound
			if local != "" {
				want = `<bound xmlns="urn:xmpp:bind:0"><` + local + ` xmlns="urn:xmpp:sm:3"></` + local + `></bound>`
			}
			assert.Equal(t, succeeds(balcony.String(), want), strings.TrimSuffix(o.behind(), "<stream:features></stream:features>"))
		})
	}
	inBubble(t, "there is a limit to what can be asked for", func(t *testing.T) {
		store := new(fakeStore)
		var bound []string
		h := newHouse(store)
		var ask string
		for i := range 40 {
			name := "urn:example:f" + string(rune('A'+i))
			h.binds.More = append(h.binds.More, recorder{name, store, &bound})
			ask += "<x xmlns='" + name + "'/>"
		}
		require.NoError(t, inline(t, h, askInline(ask)).Err)
		assert.Len(t, bound, 16)
	})
	inBubble(t, "nothing rides along on a bind that fails", func(t *testing.T) {
		store := &fakeStore{bind: func(bind2.Request) (bind2.Bound, error) { return bind2.Bound{}, errors.New("no") }}
		var bound []string
		h := newHouse(store)
		h.binds.More = []bind2.Feature{recorder{"urn:example:a", store, &bound}}
		o := inline(t, h, askInline("<x xmlns='urn:example:a'/>"))
		assert.Empty(t, bound)
		assert.NotContains(t, o.behind(), "bound")
	})
}
