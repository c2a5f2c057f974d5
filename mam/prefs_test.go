// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam_test

import (
	"context"
	"encoding/xml"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/mam"
)

func TestClientPreferences(t *testing.T) {
	archive := new(mam.Memory)
	c, p := serving(t, &mam.Handler{Archive: archive, Account: juliet})
	want := mam.Preferences{Default: mam.Roster, Always: []jid.JID{romeo.Bare()}, Never: []jid.JID{nurse, coven}}

	t.Run("PR-01 of a new account", func(t *testing.T) {
		got, err := c.Preferences(t.Context(), p.Client)
		require.NoError(t, err)
		assert.Equal(t, mam.Preferences{Default: mam.Always}, got)
	})
	t.Run("PR-02 what is set", func(t *testing.T) {
		got, err := c.SetPreferences(t.Context(), p.Client, want)
		require.NoError(t, err)
		assert.Equal(t, want, got)
		got, err = c.Preferences(t.Context(), p.Client)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	})
	t.Run("PR-04 a default that there is not is not sent", func(t *testing.T) {
		c, s, asked := scripted(t, func(iq stanza.IQ, _ sent, say func(xml.TokenReader)) { say(refusal(iq, stanza.BadRequest)) })
		_, err := c.SetPreferences(t.Context(), s, mam.Preferences{Default: "sometimes"})
		var refused stanza.Error
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, stanza.BadRequest, refused.Condition)
		assert.Empty(t, asked())
	})
	t.Run("PR-05 lists that are missing are empty", func(t *testing.T) {
		got, err := c.SetPreferences(t.Context(), p.Client, mam.Preferences{})
		require.NoError(t, err)
		assert.Equal(t, mam.Preferences{Default: mam.Always}, got)
	})
	for rule, answer := range map[string]string{
		"PR-04 a default that there is not": `<prefs xmlns="urn:xmpp:mam:2" default="sometimes"/>`,
		"PR-04 no default":                  `<prefs xmlns="urn:xmpp:mam:2"/>`,
		"what is no address":                `<prefs xmlns="urn:xmpp:mam:2" default="never"><always><jid>@@</jid></always></prefs>`,
	} {
		t.Run("the server answers with "+rule, func(t *testing.T) {
			c, s, _ := scripted(t, func(iq stanza.IQ, _ sent, say func(xml.TokenReader)) { say(iq.Result(parsed("%s", answer))) })
			_, err := c.Preferences(t.Context(), s)
			require.ErrorIs(t, err, mam.ErrBadAnswer)
		})
	}
}

// withoutPreferences is an archive that keeps none.
type withoutPreferences struct{ mam.Archive }

func TestPreferencePolicy(t *testing.T) {
	const set = `<iq xmlns="jabber:client" type="set" id="p"><prefs xmlns="urn:xmpp:mam:2" default="never"><never><jid>romeo@montague.lit</jid></never></prefs></iq>`
	const get = `<iq xmlns="jabber:client" type="get" id="p"><prefs xmlns="urn:xmpp:mam:2"/></iq>`
	refusing := func(typ stanza.ErrorType, c stanza.Condition) func(context.Context, jid.JID, mam.Preferences) (mam.Preferences, error) {
		return func(context.Context, jid.JID, mam.Preferences) (mam.Preferences, error) {
			return mam.Preferences{}, stanza.Error{Type: typ, Condition: c}
		}
	}
	t.Run("PR-03 a server without them", func(t *testing.T) {
		h := &mam.Handler{Archive: withoutPreferences{new(mam.Memory)}, Account: juliet}
		assert.Equal(t, "feature-not-implemented", read(ask(t, h, get)).Err)
		assert.Equal(t, "feature-not-implemented", read(ask(t, h, set)).Err)
	})
	for condition, typ := range map[stanza.Condition]stanza.ErrorType{stanza.Forbidden: stanza.Auth, stanza.NotAllowed: stanza.Cancel} {
		t.Run("PR-03 "+string(condition), func(t *testing.T) {
			h := &mam.Handler{Archive: new(mam.Memory), Account: juliet, Allow: refusing(typ, condition)}
			before := ask(t, h, get)
			assert.Equal(t, string(condition), read(ask(t, h, set)).Err)
			assert.Equal(t, before, ask(t, h, get), "nothing was changed")
		})
	}
	t.Run("PR-02 MA-49 what the server makes of them", func(t *testing.T) {
		h := &mam.Handler{Archive: new(mam.Memory), Account: juliet, Allow: func(_ context.Context, account jid.JID, p mam.Preferences) (mam.Preferences, error) {
			assert.Equal(t, juliet, account)
			p.Default = mam.Roster
			return p, nil
		}}
		out := ask(t, h, set)
		assert.Contains(t, out, `default="roster"`)
		assert.Equal(t, out, ask(t, h, get), "what was answered is what holds")
	})
	t.Run("AA-17 more than an archive takes", func(t *testing.T) {
		h := &mam.Handler{Archive: full{new(mam.Memory)}, Account: juliet}
		assert.Equal(t, "policy-violation", read(ask(t, h, set)).Err)
	})
}

// full is an archive that takes no preferences any more.
type full struct{ *mam.Memory }

func (full) SetPreferences(context.Context, jid.JID, mam.Preferences) error { return mam.ErrTooLarge }

// TestPreferenceDirections asks about whole messages.
func TestPreferenceDirections(t *testing.T) {
	p := mam.Preferences{Default: mam.Never, Always: []jid.JID{romeo.Bare()}, Never: []jid.JID{nurse}}
	for _, test := range []struct {
		rule, from, to string
		stored         bool
	}{
		{"PR-08 incoming, of a contact that is listed", "romeo@montague.lit/garden", "juliet@capulet.lit/chamber", true},
		{"PR-08 outgoing, to a contact that is listed", "juliet@capulet.lit/chamber", "romeo@montague.lit/garden", true},
		{"PR-08 incoming, of a stranger", "paris@verona.lit", "juliet@capulet.lit", false},
		{"PR-08 outgoing, to a stranger", "juliet@capulet.lit/chamber", "paris@verona.lit", false},
		{"PR-08 MA-49 outgoing, to a contact that never is", "juliet@capulet.lit/chamber", "nurse@capulet.lit/kitchen", false},
	} {
		t.Run(test.rule, func(t *testing.T) {
			c, raw := content(t, `<message xmlns="jabber:client" type="chat" from="`+test.from+`" to="`+test.to+`"><body/></message>`)
			assert.Equal(t, test.stored, p.Allow(c.ForArchive(juliet, raw).With, nil))
		})
	}
}
