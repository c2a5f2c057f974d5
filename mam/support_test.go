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
	"mellium.im/xmpp/disco/info"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/mam"
)

// announcing is a server that announces features and has an empty archive.
func announcing(names ...string) script {
	return func(iq stanza.IQ, q sent, say func(xml.TokenReader)) {
		if q.XMLName.Space == mam.NS {
			say(finOf(iq, true, "", ""))
			return
		}
		say(features(iq, names...))
	}
}

const groupChatField = "urn:xmpp:mam:2#groupchat-field"

func TestSupport(t *testing.T) {
	for _, test := range []struct {
		rule     string
		features []string
		want     mam.Support
	}{
		{"all that there is", []string{mam.NS, mam.NSExtended, groupChatField, mam.NSStanzaID, "urn:example"},
			mam.Support{Archive: true, Extended: true, GroupChat: true, IDs: true}},
		{"an archive", []string{mam.NS}, mam.Support{Archive: true}},
		{"nothing", nil, mam.Support{}},
		{"MA-08 ids without an archive are of something else", []string{mam.NSStanzaID}, mam.Support{}},
		{"MA-08 an older archive", []string{"urn:xmpp:mam:1", mam.NSStanzaID}, mam.Support{}},
		{"SI-08 an archive without ids", []string{mam.NS, mam.NSExtended}, mam.Support{Archive: true, Extended: true}},
		{"MA-46 nothing is extended that is no archive", []string{mam.NSExtended, groupChatField}, mam.Support{}},
	} {
		t.Run(test.rule, func(t *testing.T) {
			c, s, asked := scripted(t, announcing(test.features...))
			for range 3 {
				got, err := c.Supports(t.Context(), s, jid.JID{})
				require.NoError(t, err)
				assert.Equal(t, test.want, got)
			}
			assert.Len(t, asked(), 1, "it is asked once")
		})
	}
	t.Run("each archive is asked", func(t *testing.T) {
		c, s, asked := scripted(t, announcing(mam.NS))
		for _, archive := range []jid.JID{{}, juliet, coven, juliet, coven} {
			_, err := c.Supports(t.Context(), s, archive)
			require.NoError(t, err)
		}
		assert.Len(t, asked(), 2, "the account's own has two names")
	})
	t.Run("an error is not remembered", func(t *testing.T) {
		calls := 0
		c, s, _ := scripted(t, func(iq stanza.IQ, _ sent, say func(xml.TokenReader)) {
			if calls++; calls == 1 {
				say(refusal(iq, stanza.RemoteServerTimeout))
				return
			}
			say(features(iq, mam.NS))
		})
		_, err := c.Supports(t.Context(), s, coven)
		var refused stanza.Error
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, stanza.RemoteServerTimeout, refused.Condition)
		got, err := c.Supports(t.Context(), s, coven)
		require.NoError(t, err)
		assert.True(t, got.Archive)
	})
	t.Run("what is remembered is bounded", func(t *testing.T) {
		c, s, asked := scripted(t, announcing(mam.NS))
		for i := range 1001 {
			room, err := jid.New(strings.Repeat("r", i%500+1), "chat.shakespeare.lit", strings.Repeat("x", i/500))
			require.NoError(t, err)
			_, err = c.Supports(t.Context(), s, room)
			require.NoError(t, err)
		}
		_, err := c.Supports(t.Context(), s, jid.MustParse("r@chat.shakespeare.lit"))
		require.NoError(t, err)
		assert.Len(t, asked(), 1002, "the first is asked again")
	})
}

func TestFetchNeeds(t *testing.T) {
	for _, test := range []struct {
		rule     string
		q        mam.Query
		features []string
		err      string
		requests []string
	}{
		{"MA-16 a plain query needs nothing", mam.Query{With: romeo, Start: epoch, From: mam.Cursor{Last: true}}, nil, "", []string{"query"}},
		{"MA-16 after-id", mam.Query{AfterID: "x"}, []string{mam.NS}, mam.NSExtended, []string{"disco"}},
		{"MA-16 before-id", mam.Query{BeforeID: "x"}, []string{mam.NS}, mam.NSExtended, []string{"disco"}},
		{"MA-16 ids", mam.Query{IDs: []string{"x"}}, []string{mam.NS}, mam.NSExtended, []string{"disco"}},
		{"MA-16 flip-page", mam.Query{Flip: true}, []string{mam.NS}, mam.NSExtended, []string{"disco"}},
		{"MA-16 announced", mam.Query{AfterID: "x", BeforeID: "y", IDs: []string{"z"}, Flip: true}, []string{mam.NS, mam.NSExtended}, "", []string{"disco", "query"}},
		{"MA-24 include-groupchat", mam.Query{WithoutGroupChat: true}, []string{mam.NS, mam.NSExtended}, groupChatField, []string{"disco"}},
		{"MA-24 announced", mam.Query{WithoutGroupChat: true}, []string{mam.NS, groupChatField}, "", []string{"disco", "query"}},
	} {
		t.Run(test.rule, func(t *testing.T) {
			c, s, asked := scripted(t, announcing(test.features...))
			_, err := fetched(t, c, s, test.q)
			if test.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, mam.ErrNotAnnounced)
				assert.ErrorContains(t, err, test.err)
			}
			var requests []string
			for _, q := range asked() {
				if q.XMLName.Space == mam.NS {
					requests = append(requests, "query")
				} else {
					requests = append(requests, "disco")
				}
			}
			assert.Equal(t, test.requests, requests)
		})
	}
	t.Run("an empty id does not stand for everything", func(t *testing.T) {
		c, s, asked := scripted(t, announcing(mam.NS, mam.NSExtended))
		_, err := fetched(t, c, s, mam.Query{IDs: []string{""}})
		require.NoError(t, err)
		assert.Equal(t, []string{""}, asked()[1].field("ids"))
	})
}

// TestFeatures asks a server.
func TestFeatures(t *testing.T) {
	announced := func(h *mam.Handler, node string) (list []string) {
		require.NoError(t, h.ForFeatures(node, func(f info.Feature) error {
			list = append(list, f.Var)
			return nil
		}))
		return list
	}
	h := &mam.Handler{Archive: new(mam.Memory)}
	t.Run("MA-46 SI-07 MA-24 an archive", func(t *testing.T) {
		assert.Equal(t, []string{mam.NS, mam.NSExtended, groupChatField, mam.NSStanzaID}, announced(h, ""))
	})
	t.Run("MA-24 messages of rooms are stored", func(t *testing.T) {
		assert.Contains(t, announced(&mam.Handler{Archive: new(mam.Memory), GroupChat: true}, ""), "urn:xmpp:mam:2#groupchat-available")
	})
	t.Run("MA-46 nothing that is none", func(t *testing.T) {
		assert.Empty(t, announced(h, "a node"))
		assert.Empty(t, announced(new(mam.Handler), ""))
	})
	t.Run("an error", func(t *testing.T) {
		require.ErrorIs(t, h.ForFeatures("", func(info.Feature) error { return mam.ErrTooLarge }), mam.ErrTooLarge)
	})
}
