// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/xml"
	"hash"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/disco"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/quickstart"
)

var (
	orchard = jid.MustParse("romeo@im.example.com/orchard")
	garden  = jid.MustParse("romeo@im.example.com/garden")
)

// What entities say about themselves, and the string that is to be hashed, which is
// written down by hand.
const (
	simple       = `<identity category='client' type='pc' name='Toy'/><feature var='urn:b'/><feature var='urn:B'/><feature var='urn:a'/>`
	simpleString = `client/pc//Toy<urn:B<urn:a<urn:b<`

	hidden  = `<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>`
	endForm = `</x>`
)

// capsOf returns what an entity tells that hashes s.
func capsOf(function string, s string) quickstart.Caps {
	h := map[string]func() hash.Hash{
		"sha-1": sha1.New, "sha-224": sha256.New224, "sha-256": sha256.New, "sha-384": sha512.New384, "sha-512": sha512.New,
	}[function]()
	h.Write([]byte(s))
	return quickstart.Caps{Hash: function, Node: "https://toy.example", Ver: base64.StdEncoding.EncodeToString(h.Sum(nil))}
}

// A meeting is a session in which others can be asked what they can do.
type meeting struct {
	served
	*library
	quickstart.Capabilities
	says map[string]string // by address: what is in a query
}

// meet begins one.
func meet(t *testing.T) *meeting {
	m := &meeting{library: newLibrary(newHouse()), says: make(map[string]string)}
	m.talks(func(c *clerk, s said) bool {
		query, ok := m.says[s.To]
		if ok {
			c.say("<iq id='%s' type='result' from='%s'><query xmlns='http://jabber.org/protocol/disco#info'>%s</query></iq>", s.ID, s.To, query)
		}
		return ok
	})
	w := newWorld(t, m.serve)
	m.Cache = new(quickstart.MemoryCache)
	m.served = enter(t, newDialer(w), nil)
	return m
}

// asked returns who was asked since the last time.
func (m *meeting) asked() []string {
	var all []string
	for _, s := range gets(m.hear(), disco.NSInfo) {
		all = append(all, strings.TrimSpace(s.To+" "+s.Attr["node"]))
	}
	return all
}

// TestVerificationString is CP-03. The first two are of the specification, and were
// made there.
func TestVerificationString(t *testing.T) {
	for _, test := range []struct {
		name, query string
		caps        quickstart.Caps
	}{
		{"simple", `<identity category='client' type='pc' name='Exodus 0.9.1'/><feature var='http://jabber.org/protocol/muc'/>
			<feature var='http://jabber.org/protocol/caps'/><feature var='http://jabber.org/protocol/disco#info'/><feature var='http://jabber.org/protocol/disco#items'/>`,
			quickstart.Caps{Hash: "sha-1", Node: "n", Ver: "QgayPKawpkPSDYmwT/WM94uAlu0="}},
		{"with a form", `<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/><identity xml:lang='el' category='client' name='Ψ 0.11' type='pc'/>
			<feature var='http://jabber.org/protocol/caps'/><feature var='http://jabber.org/protocol/disco#info'/>
			<feature var='http://jabber.org/protocol/disco#items'/><feature var='http://jabber.org/protocol/muc'/>` +
			hidden + `urn:xmpp:dataforms:softwareinfo</value></field>
			<field var='ip_version' type='text-multi'><value>ipv4</value><value>ipv6</value></field><field var='os'><value>Mac</value></field>
			<field var='os_version'><value>10.5.1</value></field><field var='software'><value>Psi</value></field>
			<field var='software_version'><value>0.11</value></field>` + endForm,
			quickstart.Caps{Hash: "sha-1", Node: "n", Ver: "q07IKJEyjvHSyhy//CH0CxmKi8w="}},
		{"sorted by bytes", simple, capsOf("sha-1", simpleString)},
		{"SHA-224", simple, capsOf("sha-224", simpleString)},
		{"SHA-256", simple, capsOf("sha-256", simpleString)},
		{"SHA-384", simple, capsOf("sha-384", simpleString)},
		{"SHA-512", simple, capsOf("sha-512", simpleString)},
		{"identities by category, type, language", `<identity category='b' type='x' name='3'/><identity category='a' type='y' name='2'/>
			<identity category='a' type='x' name='1' xml:lang='en'/><identity category='a' type='x' name='0'/>`,
			capsOf("sha-1", "a/x//0<a/x/en/1<a/y//2<b/x//3<")},
		{"forms by their type, fields and values by their bytes", simple +
			hidden + `form:z</value></field><field var='b'><value>2</value><value>10</value></field><field var='a'/>` + endForm +
			hidden + `form:a</value></field><field var='c'><value/></field>` + endForm,
			capsOf("sha-1", simpleString+"form:a<c<<form:z<a<b<10<2<")},
		{"forms that do not count", simple +
			`<x xmlns='jabber:x:data'/>` +
			`<x xmlns='jabber:x:data'><field var='a'><value>b</value></field></x>` +
			`<x xmlns='jabber:x:data'><field var='FORM_TYPE' type='text-single'><value>form:a</value></field></x>` +
			`<x xmlns='jabber:x:data'><field var='FORM_TYPE' type='hidden'/></x>` +
			`<x xmlns='other'><field var='FORM_TYPE' type='hidden'><value>form:b</value></field></x>`,
			capsOf("sha-1", simpleString)},
		{"no identity", `<feature var='urn:a'/>`, capsOf("sha-1", "urn:a<")},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			m := meet(t)
			m.says[orchard.String()] = test.query
			i, err := m.Info(t.Context(), m.Session.Session, orchard, test.caps)
			require.NoError(t, err)
			assert.Equal(t, strings.Count(test.query, "<identity"), len(i.Identity))
			assert.Equal(t, strings.Count(test.query, "<feature"), len(i.Features))
			m.leave()
		})
	}
}

// TestCapabilities asserts who is asked, and for whom the answer is good.
func TestCapabilities(t *testing.T) {
	form := hidden + `form:a</value></field><field var='os'><value>Mac</value></field>` + endForm
	simpleCaps := capsOf("sha-1", simpleString)
	unknown := quickstart.Caps{Hash: "sha-9", Node: "https://toy.example", Ver: "1"}
	type use string
	const (
		shared use = "all"  // CP-04
		single use = "one"  // CP-06
		none   use = "none" // CP-04, CP-05, AQ-13: it is an error
		once   use = "once" // it is none, but is not kept
	)
	for _, test := range []struct {
		name, query string
		caps        quickstart.Caps
		good        use
	}{
		{"CP-04: verified", simple, simpleCaps, shared},
		{"CP-04: verified, with a form", simple + form, capsOf("sha-256", simpleString+"form:a<os<Mac<"), shared},
		{"AQ-13: another hash", simple + `<feature var='urn:poison'/>`, simpleCaps, none},
		{"CP-06: a hash function that is not known", simple, unknown, single},
		{"a hash of another length", simple, quickstart.Caps{Hash: "sha-256", Node: "n", Ver: simpleCaps.Ver}, none},
		{"a hash that is none", simple, quickstart.Caps{Hash: "sha-1", Node: "n", Ver: "1.0"}, none},
		{"a hash with white space", simple, quickstart.Caps{Hash: "sha-1", Node: "n", Ver: simpleCaps.Ver[:8] + "\n" + simpleCaps.Ver[8:]}, none},
		{"no hash function", simple, quickstart.Caps{Node: "n", Ver: "1.0"}, once},
		{"nothing told", simple, quickstart.Caps{}, once},

		{"CP-05: an identity twice", simple + `<identity category='client' type='pc' name='Toy'/>`,
			capsOf("sha-1", "client/pc//Toy<"+simpleString), none},
		{"CP-05: a feature twice", simple + `<feature var='urn:b'/>`, capsOf("sha-1", simpleString+"urn:b<"), none},
		{"CP-05: a form twice", simple + hidden + `form:a</value></field>` + endForm + hidden + `form:a</value></field>` + endForm,
			capsOf("sha-1", simpleString+"form:a<form:a<"), none},
		{"CP-05: a form of two types", simple + hidden + `form:a</value><value>form:b</value></field>` + endForm,
			capsOf("sha-1", simpleString+"form:a<"), none},
		{"a form of the same type twice", simple + hidden + `form:a</value><value>form:a</value></field>` + endForm,
			capsOf("sha-1", simpleString+"form:a<"), shared},

		{"AQ-13: features in one", `<identity category='client' type='pc' name='Toy'/><feature var='urn:B&lt;urn:a&lt;urn:b'/>`, simpleCaps, single},
		{"AQ-13: features in a name", `<identity category='client' type='pc' name='Toy&lt;urn:B'/><feature var='urn:a'/><feature var='urn:b'/>`, simpleCaps, single},
		{"an identity as a feature", `<feature var='client/pc//Toy'/><feature var='urn:B'/><feature var='urn:a'/><feature var='urn:b'/>`, simpleCaps, single},
		{"an identity as a feature, besides another", `<identity category='a' type='b'/><feature var='client/pc//Toy'/>`,
			capsOf("sha-1", "a/b//<client/pc//Toy<"), single},
		{"an identity of a feature", `<identity category='client' type='pc' name='Toy'/><identity category='http:' type='' lang='x' name='y/z'/>`,
			capsOf("sha-1", "client/pc//Toy<http:///y/z<"), single},
		{"a type in a category", `<identity category='client/pc' type='x' name='Toy'/>`, capsOf("sha-1", "client/pc/x//Toy<"), single},
		{"features as a form", `<identity category='client' type='pc' name='Toy'/><feature var='urn:B'/>` +
			hidden + `urn:a</value></field><field var='urn:b'/>` + endForm, simpleCaps, single},
		{"features as forms", `<identity category='client' type='pc' name='Toy'/>` + hidden + `urn:B</value></field>` + endForm +
			hidden + `urn:a</value></field><field var='urn:b'/>` + endForm, simpleCaps, single},
		{"a feature without a name", simple + `<feature/>`, capsOf("sha-1", "client/pc//Toy<<urn:B<urn:a<urn:b<"), single},
		{"a field twice", simple + hidden + `form:a</value></field><field var='a'><value>1</value></field><field var='a'><value>2</value></field>` + endForm,
			capsOf("sha-1", simpleString+"form:a<a<1<a<2<"), single},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			m := meet(t)
			node := ""
			if test.caps.Ver != "" {
				node = " " + test.caps.Node + "#" + test.caps.Ver
			}
			m.says[orchard.String()], m.says[garden.String()] = test.query, simple
			ask := func(who jid.JID) {
				i, err := m.Info(t.Context(), m.Session.Session, who, test.caps)
				if test.good == none && who.Equal(orchard) {
					require.ErrorIs(t, err, quickstart.ErrUnverified)
				} else if who.Equal(orchard) {
					require.NoError(t, err)
				}
				if test.good == shared || who.Equal(orchard) {
					assert.Equal(t, strings.Count(test.query, "<feature"), len(i.Features))
				} else {
					assert.Len(t, i.Features, 3, "the answer of this one")
				}
			}
			ask(orchard)
			assert.Equal(t, []string{orchard.String() + node}, m.asked())
			ask(orchard)
			assert.Equal(t, test.good == shared || test.good == single, len(m.asked()) == 0, "the same again")

			other := meet(t)
			other.Cache = m.Cache
			require.NoError(t, m.Cache.Delete(t.Context(), juliet), "as if it were another account's")
			other.says[orchard.String()] = "" // Nothing is kept of that.
			_, _ = other.Info(t.Context(), other.Session.Session, orchard, test.caps)
			assert.Equal(t, test.good == shared, len(other.asked()) == 0, "another account")
			other.leave()

			ask(garden)
			assert.Equal(t, test.good == shared, len(m.asked()) == 0, "another one")
			m.leave()
		})
	}
}

// TestCapabilitiesFail is about caches and entities that do not do what they should.
func TestCapabilitiesFail(t *testing.T) {
	caps := capsOf("sha-1", simpleString)
	info := func(m *meeting, ctx context.Context, c quickstart.Caps) (disco.Info, error) {
		return m.Info(ctx, m.Session.Session, orchard, c)
	}
	inBubble(t, "without a cache", func(t *testing.T) {
		m := meet(t)
		m.Cache = nil
		m.says[orchard.String()] = simple
		for range 2 {
			i, err := info(m, t.Context(), caps)
			require.NoError(t, err)
			assert.Len(t, i.Features, 3)
		}
		assert.Len(t, m.asked(), 2)
		m.leave()
	})
	inBubble(t, "AQ-13: a cache that somebody has tampered with", func(t *testing.T) {
		m := meet(t)
		m.says[orchard.String()] = simple
		key := quickstart.Key{Name: "caps sha-1 " + caps.Ver}
		for _, value := range []string{"", "{", "null", `{"identities":[],"features":[{"var":"urn:poison"}]}`} {
			require.NoError(t, m.Cache.Put(t.Context(), key, []byte(value)))
			i, err := info(m, t.Context(), caps)
			require.NoError(t, err)
			assert.Len(t, i.Features, 3)
			assert.Len(t, m.asked(), 1, value)
		}
		m.leave()
	})
	inBubble(t, "an entity that refuses", func(t *testing.T) {
		m := meet(t)
		m.talks(func(c *clerk, s said) bool {
			c.say("<iq id='%s' type='error' from='%s'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>", s.ID, s.To)
			return true
		})
		_, err := info(m, t.Context(), caps)
		require.ErrorIs(t, err, stanza.Error{Type: stanza.Cancel, Condition: stanza.ServiceUnavailable})
		assert.Equal(t, 1, strings.Count(err.Error(), "quickstart: "), err)
		m.leave()
	})
	inBubble(t, "an answer that is too large", func(t *testing.T) {
		m := meet(t)
		for _, query := range []string{
			`<feature var='` + strings.Repeat("x", 70<<10) + `'/>`,
			strings.Repeat(`<feature var='a'/>`, 5000),
		} {
			m.says[orchard.String()] = query
			i, err := info(m, t.Context(), quickstart.Caps{})
			require.Error(t, err)
			assert.Empty(t, i.Features)
		}
		m.says[orchard.String()] = simple
		_, err := info(m, t.Context(), caps)
		require.NoError(t, err, "the session goes on")
		m.leave()
	})
	inBubble(t, "an answer from somebody else", func(t *testing.T) {
		m := meet(t)
		for _, from := range []string{"", " from='romeo@im.example.com'", " from='im.example.com'", " from='" + garden.String() + "'"} {
			m.talks(func(c *clerk, s said) bool {
				c.say("<iq id='%s' type='result'%s><query xmlns='http://jabber.org/protocol/disco#info'>%s</query></iq>", s.ID, from, simple)
				return true
			})
			_, err := info(m, t.Context(), caps)
			require.Error(t, err, from)
		}
		_, err := m.Info(t.Context(), m.Session.Session, garden, caps)
		require.NoError(t, err, "and nothing was kept of it")
		m.leave()
	})
	inBubble(t, "the end of the context", func(t *testing.T) {
		m := meet(t)
		m.talks(func(*clerk, said) bool { return true })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := info(m, ctx, caps)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		m.leave()
	})
}

// TestForms asserts what is left of a form.
func TestForms(t *testing.T) {
	inBubble(t, "software", func(t *testing.T) {
		m := meet(t)
		m.says[orchard.String()] = simple + hidden + `form:a</value></field>` +
			`<field var='os' label='OS' type='text-single'><desc>which</desc><required/><value>&lt;Mac&gt;</value></field>` +
			`<field var='ip' type='list-multi'><option><value>x</value></option><value>4</value><value>6</value></field>` +
			`<title>t</title><reported/><item/>` + endForm
		i, err := m.Info(t.Context(), m.Session.Session, orchard, quickstart.Caps{})
		require.NoError(t, err)
		require.Len(t, i.Form, 1)
		os, ok := i.Form[0].GetString("os")
		assert.True(t, ok)
		assert.Equal(t, "<Mac>", os)
		ip, ok := i.Form[0].Raw("ip")
		assert.True(t, ok)
		assert.Equal(t, []string{"4", "6"}, ip)
		m.leave()
	})
}

func TestCapsUnmarshal(t *testing.T) {
	var p struct {
		Caps quickstart.Caps `xml:"http://jabber.org/protocol/caps c"`
		Show string          `xml:"show"`
	}
	require.NoError(t, xml.Unmarshal([]byte(`<presence><c xmlns='http://jabber.org/protocol/caps' ext='x' hash='sha-9' node='n' ver='v'><x/></c><show>away</show></presence>`), &p))
	assert.Equal(t, quickstart.Caps{Hash: "sha-9", Node: "n", Ver: "v"}, p.Caps)
	assert.Equal(t, "away", p.Show)
}
