// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam_test

import (
	"encoding/xml"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

// deliver is what a server does with a message for an account or from it: it stores
// it as the package says, and returns what the account's own people are sent, and
// what goes out to the contact if the account has sent it.
func deliver(t testing.TB, archive *mam.Memory, account jid.JID, prefs mam.Preferences, message string) (own, out string) {
	t.Helper()
	clean := transform(t, message, mam.StripStanzaIDs(account))
	c, raw := content(t, clean)
	m := c.ForArchive(account, raw)
	if !c.ForAccount() || !prefs.Allow(m.With, nil) {
		return clean, clean
	}
	item, err := archive.Append(t.Context(), account, m)
	require.NoError(t, err)
	return transform(t, clean, mam.AddStanzaID(account, item.ID)), clean
}

func TestDelivery(t *testing.T) {
	const incoming = `<message xmlns="jabber:client" id="1" type="chat" from="romeo@montague.lit/orchard" to="juliet@capulet.lit"><body>neither, fair saint</body></message>`
	const outgoing = `<message xmlns="jabber:client" id="2" type="chat" from="juliet@capulet.lit/balcony" to="romeo@montague.lit/orchard"><body>my ears have not yet drunk</body></message>`
	stored := func(t testing.TB, archive *mam.Memory) []mam.Item {
		t.Helper()
		var items []mam.Item
		_, err := archive.Query(t.Context(), juliet, mam.Query{Max: 100}, func(i mam.Item) error {
			items = append(items, i)
			return nil
		})
		require.NoError(t, err)
		return items
	}
	t.Run("MA-06 SI-05 D-26 what is delivered has the archive's id", func(t *testing.T) {
		archive := new(mam.Memory)
		own, _ := deliver(t, archive, juliet, mam.Preferences{}, incoming)
		items := stored(t, archive)
		require.Len(t, items, 1)
		assert.Contains(t, own, `<stanza-id xmlns="urn:xmpp:sid:0" by="juliet@capulet.lit" id="`+items[0].ID+`"></stanza-id></message>`)
		assert.NotContains(t, string(items[0].XML), "stanza-id", "it says so itself when it is asked")
	})
	t.Run("MA-07 a contact does not learn the id", func(t *testing.T) {
		archive := new(mam.Memory)
		own, out := deliver(t, archive, juliet, mam.Preferences{}, outgoing)
		require.Len(t, stored(t, archive), 1)
		assert.Contains(t, own, "stanza-id", "the account's other resources do, by carbons")
		assert.Equal(t, transform(t, outgoing), out)
	})
	t.Run("MA-38 one copy, whoever gets it", func(t *testing.T) {
		archive := new(mam.Memory)
		own, _ := deliver(t, archive, juliet, mam.Preferences{}, incoming)
		for _, resource := range []string{"balcony", "chamber", "garden"} {
			// What a resource gets of another's is no message of its own.
			carbon := `<message xmlns="jabber:client" type="chat" from="juliet@capulet.lit" to="juliet@capulet.lit/` + resource + `">` +
				`<received xmlns="urn:xmpp:carbons:2"><forwarded xmlns="urn:xmpp:forward:0">` + own + `</forwarded></received></message>`
			c, _ := content(t, carbon)
			assert.False(t, c.ForAccount(), "a carbon")
		}
		assert.Len(t, stored(t, archive), 1)
	})
	t.Run("SI-02 D-26 an id that was there before is neither stored nor delivered", func(t *testing.T) {
		archive := new(mam.Memory)
		forged := strings.Replace(incoming, "<body>", `<stanza-id xmlns="urn:xmpp:sid:0" by="juliet@capulet.lit" id="forged"/><body>`, 1)
		for _, prefs := range []mam.Preferences{{}, {Default: mam.Never}} {
			own, _ := deliver(t, archive, juliet, prefs, forged)
			assert.NotContains(t, own, "forged")
		}
		items := stored(t, archive)
		require.Len(t, items, 1)
		assert.NotContains(t, string(items[0].XML), "forged")
	})
	t.Run("MA-49 D-03 what is not archived has no id", func(t *testing.T) {
		archive := new(mam.Memory)
		own, _ := deliver(t, archive, juliet, mam.Preferences{Default: mam.Never}, incoming)
		assert.NotContains(t, own, "stanza-id")
		assert.Empty(t, stored(t, archive))
	})
	t.Run("MA-01 MA-12 all of it comes back", func(t *testing.T) {
		archive := new(mam.Memory)
		deliver(t, archive, juliet, mam.Preferences{}, incoming)
		c, s := reader(t, &mam.Handler{Archive: archive, Account: juliet})
		n := 0
		for r, err := range c.Fetch(t.Context(), s, jid.JID{}, mam.Query{}) {
			require.NoError(t, err)
			n++
			again := func(xml.TokenReader) xml.TokenReader { return r.TokenReader() }
			assert.Equal(t, transform(t, incoming), transform(t, "", again))
			assert.Equal(t, stored(t, archive)[0].Stamp, r.Stamp)
		}
		assert.Equal(t, 1, n)
	})
}
