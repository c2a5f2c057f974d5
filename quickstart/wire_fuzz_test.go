// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/xmppext/xmppext/quickstart"
)

// assertItem asserts that an item is within its bounds.
func assertItem(t *testing.T, i quickstart.RosterItem) {
	t.Helper()
	assert.NotEmpty(t, i.JID.String())
	assert.Contains(t, []string{
		quickstart.SubscriptionNone, quickstart.SubscriptionTo, quickstart.SubscriptionFrom, quickstart.SubscriptionBoth,
		quickstart.SubscriptionRemove,
	}, i.Subscription)
	assert.LessOrEqual(t, len(i.Name), 4<<10)
	assert.LessOrEqual(t, len(i.Groups), 100)
	seen := make(map[string]bool)
	for _, g := range i.Groups {
		assert.NotEmpty(t, g)
		assert.LessOrEqual(t, len(g), 4<<10)
		assert.False(t, seen[g], "a group is there once")
		seen[g] = true
	}
}

func FuzzRosterResult(f *testing.F) {
	for _, seed := range []string{
		``, `<query xmlns='jabber:iq:roster'/>`,
		`<query xmlns='jabber:iq:roster' ver='ver14'><item jid='nurse@example.com' name='&lt;Nurse' subscription='both' approved='true'><group>Servants</group><group/></item></query>`,
		`<query xmlns='jabber:iq:roster' ver=''><item jid='a@b/c' ask='subscribe'/><item jid='A@b/c' subscription='remove'/><item jid='@'/> text </query>`,
		`<query xmlns='jabber:iq:roster'><x xmlns='y'><item/></x><item xmlns='z' jid='a@b'/></query><query xmlns='jabber:iq:roster'/>`,
		`<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		_, items, kept, ok := quickstart.ReadRoster("<iq xmlns='jabber:client' type='result'>" + payload + "</iq>")
		if !ok {
			return
		}
		assert.LessOrEqual(t, len(items), quickstart.MaxRosterItems)
		assert.Equal(t, items, kept, "a cache changes nothing")
		for _, i := range items {
			assertItem(t, i)
			assert.NotEqual(t, quickstart.SubscriptionRemove, i.Subscription)
		}
	})
}

func FuzzRosterPush(f *testing.F) {
	for _, seed := range []string{
		`<query xmlns='jabber:iq:roster' ver='ver34'><item jid='tybalt@example.com' subscription='remove'/></query>`,
		`<query xmlns='jabber:iq:roster'><item jid='a@b'><group>x</group></item><item/></query>`,
		`<query xmlns='jabber:iq:roster'><item jid='a@b' approved='maybe' subscription='?'/><x/></query>`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		if item, ok := quickstart.ReadPush("<iq xmlns='jabber:client' type='set'>" + payload + "</iq>"); ok {
			assertItem(t, item)
		}
	})
}

// identity is what the string of an identity looks like.
var identity = regexp.MustCompile(`^[^/]+/[^/]+/[^/]*/`)

// FuzzCaps reads the string that is hashed. If it can be read in one way only, that
// must be how it was written.
func FuzzCaps(f *testing.F) {
	for _, seed := range []string{
		simple, ``, simple + hidden + `form:a</value></field><field var='b'><value>2</value><value>10</value></field>` + endForm,
		`<identity category='a' type='b' xml:lang='c' name='d/e'/><identity category='http:' type='x'/><feature var='http://a/b/c'/>`,
		`<identity category='client' type='pc'/><feature var='urn:B'/>` + hidden + `urn:a</value></field><field var='urn:b'/>` + endForm,
		`<identity category='client' type='pc' name='a&lt;b'/><feature var='client/pc//x'/><feature/>`,
		`<x xmlns='jabber:x:data'/><x xmlns='jabber:x:data'><field/></x>`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		s, kept, identities, features, plain, ok := quickstart.Verification(
			"<iq xmlns='jabber:client' type='result'><query xmlns='http://jabber.org/protocol/disco#info'>" + query + "</query></iq>")
		if !ok {
			return
		}
		assert.Equal(t, s, kept, "a cache changes nothing")
		if !plain {
			return
		}
		values := strings.Split(strings.TrimSuffix(s, "<"), "<")
		n := 0
		for n < len(values) && identity.MatchString(values[n]) {
			n++
		}
		assert.Equal(t, n, identities)
		values = values[n:]
		for n = 0; n < len(values) && (n == 0 || values[n] > values[n-1]); {
			n++
		}
		assert.Equal(t, n, features)
	})
}
