// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam_test

import (
	"encoding/xml"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/mam"
)

// serving returns a client of juliet's and a session with a server that has a
// handler.
func serving(t testing.TB, h *mam.Handler) (*mam.Client, *xmpptest.Pair) {
	t.Helper()
	c := new(mam.Client)
	p := xmpptest.NewPair(t, xmpptest.PairConfig{Client: jid.MustParse("juliet@capulet.lit/chamber")})
	p.Serve(mux.New(stanza.NSClient, mam.HandleClient(c)), mux.New(stanza.NSClient, mam.Handle(h)))
	return c, p
}

func TestMetadata(t *testing.T) {
	archive := new(mam.Memory)
	c, p := serving(t, &mam.Handler{Archive: archive, Account: juliet})
	ends := func() (mam.Place, mam.Place) {
		first, last, err := c.Metadata(t.Context(), p.Client, jid.JID{})
		require.NoError(t, err)
		return first, last
	}
	t.Run("MA-35 nothing", func(t *testing.T) {
		first, last := ends()
		assert.Equal(t, [2]mam.Place{}, [2]mam.Place{first, last})
	})
	items := stock(t, archive, juliet, 5)
	t.Run("MA-35 both ends", func(t *testing.T) {
		first, last := ends()
		assert.Equal(t, mam.Place{ID: items[0].ID, Stamp: items[0].Stamp}, first)
		assert.Equal(t, mam.Place{ID: items[4].ID, Stamp: items[4].Stamp}, last)
		place, err := c.CatchUp(t.Context(), p.Client, jid.JID{}, mam.Query{}, first, last.ID, func(mam.Result) error { return nil })
		require.NoError(t, err)
		assert.Equal(t, last, place)
	})
	t.Run("MA-47 AA-04 somebody else's", func(t *testing.T) {
		_, _, err := c.Metadata(t.Context(), p.Client, romeo.Bare())
		var refused stanza.Error
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, stanza.Forbidden, refused.Condition)
	})
	for _, test := range []struct {
		rule, inner string
		first, last mam.Place
		err         error
	}{
		{"one end", `<start id="a" timestamp="2010-07-10T23:08:25Z"/>`, mam.Place{}, mam.Place{}, mam.ErrBadAnswer},
		{"the other end", `<end id="a" timestamp="2010-07-10T23:08:25Z"/>`, mam.Place{}, mam.Place{}, mam.ErrBadAnswer},
		{"times that cannot be read", `<start id="a" timestamp="long ago"/><end id="b" timestamp="9999-12-31T23:59:59-14:00"/>`,
			mam.Place{ID: "a"}, mam.Place{ID: "b"}, nil},
		{"a time of elsewhere", `<start id="a" timestamp="2010-07-11T01:08:25.5+02:00"/><end id="b"/>`,
			mam.Place{ID: "a", Stamp: epoch.Add(time.Second / 2)}, mam.Place{ID: "b"}, nil},
	} {
		t.Run(test.rule, func(t *testing.T) {
			c, s, _ := scripted(t, func(iq stanza.IQ, _ sent, say func(xml.TokenReader)) {
				say(iq.Result(parsed(`<metadata xmlns="urn:xmpp:mam:2">%s</metadata>`, test.inner)))
			})
			first, last, err := c.Metadata(t.Context(), s, jid.JID{})
			require.ErrorIs(t, err, test.err)
			assert.Equal(t, [2]mam.Place{test.first, test.last}, [2]mam.Place{first, last})
		})
	}
}
