// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/mam"
)

func TestCatchUp(t *testing.T) {
	archive := new(mam.Memory)
	items := stock(t, archive, juliet, 30)
	c, s := reader(t, &mam.Handler{Archive: archive, Account: juliet})
	catchUp := func(from mam.Place, until string, limit int) ([]string, mam.Place, error) {
		var got []string
		full := errors.New("full")
		place, err := c.CatchUp(t.Context(), s, jid.JID{}, mam.Query{Max: 7}, from, until, func(r mam.Result) error {
			if len(got) == limit {
				return full
			}
			got = append(got, bodyOf(r))
			return nil
		})
		if errors.Is(err, full) {
			err = nil
		}
		return got, place, err
	}
	at := func(n int) mam.Place { return mam.Place{ID: items[n-1].ID, Stamp: items[n-1].Stamp} }

	t.Run("from the beginning to the end", func(t *testing.T) {
		got, place, err := catchUp(mam.Place{}, "", -1)
		require.NoError(t, err)
		assert.Equal(t, numbers(1, 30), got)
		assert.Equal(t, at(30), place)
	})
	t.Run("up to what was there when a resource was bound", func(t *testing.T) {
		got, place, err := catchUp(at(10), items[19].ID, -1)
		require.NoError(t, err)
		assert.Equal(t, numbers(11, 20), got)
		assert.Equal(t, at(20), place)
		got, place, err = catchUp(at(20), items[19].ID, -1)
		require.NoError(t, err)
		assert.Empty(t, got)
		assert.Equal(t, at(20), place)
	})
	t.Run("it goes on where it was left", func(t *testing.T) {
		var all []string
		place := mam.Place{}
		for range 8 {
			got, now, err := catchUp(place, "", 4)
			require.NoError(t, err)
			all, place = append(all, got...), now
		}
		assert.Equal(t, numbers(1, 30), all)
	})
	t.Run("D-24 the place has been pruned", func(t *testing.T) {
		_, err := archive.Prune(t.Context(), juliet, time.Time{}, 15)
		require.NoError(t, err)
		got, place, err := catchUp(at(10), "", -1)
		require.NoError(t, err)
		assert.Equal(t, numbers(16, 30), got)
		assert.Equal(t, at(30), place)
	})
	t.Run("what it was to go up to is not there", func(t *testing.T) {
		_, place, err := catchUp(at(20), "gone", -1)
		require.ErrorIs(t, err, mam.ErrNotFound)
		assert.Equal(t, at(30), place)
	})
}

// TestCatchUpPruned catches up while the archive is pruned, or says so.
func TestCatchUpPruned(t *testing.T) {
	t.Run("AA-11 D-24 what it goes on from is pruned between two pages", func(t *testing.T) {
		archive := new(mam.Memory)
		items := stock(t, archive, juliet, 30)
		h := &mam.Handler{Archive: archive, Account: juliet}
		queries := 0
		c, s := reader(t, pruning{h, func() {
			if queries++; queries == 3 { // Behind 14 results.
				_, err := archive.Prune(t.Context(), juliet, time.Time{}, 10)
				assert.NoError(t, err)
			}
		}})
		var got []string
		place, err := c.CatchUp(t.Context(), s, jid.JID{}, mam.Query{Max: 7}, mam.Place{}, "", func(r mam.Result) error {
			got = append(got, bodyOf(r))
			return nil
		})
		require.NoError(t, err)
		assert.Equal(t, append(numbers(1, 14), numbers(21, 30)...), got)
		assert.Equal(t, mam.Place{ID: items[29].ID, Stamp: items[29].Stamp}, place)
	})
	count := func(n *int) func(mam.Result) error {
		return func(mam.Result) error { *n++; return nil }
	}
	var refused stanza.Error
	t.Run("it is pruned again and again", func(t *testing.T) {
		n := 0
		c, s, asked := scripted(t, func(iq stanza.IQ, q sent, say func(xml.TokenReader)) {
			if q.Set.After != nil {
				say(refusal(iq, stanza.ItemNotFound))
				return
			}
			n++
			id := fmt.Sprint(n)
			say(lie("", q.ID, id, id))
			say(finOf(iq, false, id, id))
		})
		handled := 0
		place, err := c.CatchUp(t.Context(), s, jid.JID{}, mam.Query{}, mam.Place{}, "", count(&handled))
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, stanza.ItemNotFound, refused.Condition)
		assert.Equal(t, 11, handled, "ten times it begins again")
		assert.Equal(t, "11", place.ID)
		assert.Len(t, asked(), 22)
	})
	t.Run("nothing is gained by beginning again", func(t *testing.T) {
		c, s, asked := scripted(t, func(iq stanza.IQ, _ sent, say func(xml.TokenReader)) {
			say(refusal(iq, stanza.ItemNotFound))
		})
		from := mam.Place{ID: "x", Stamp: epoch}
		place, err := c.CatchUp(t.Context(), s, jid.JID{}, mam.Query{}, from, "", count(new(int)))
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, from, place)
		require.Len(t, asked(), 2)
		assert.Equal(t, []string{"2010-07-10T23:08:25Z"}, asked()[1].field("start"))
		_, err = c.CatchUp(t.Context(), s, jid.JID{}, mam.Query{}, mam.Place{}, "", count(new(int)))
		require.ErrorAs(t, err, &refused)
		assert.Len(t, asked(), 3)
	})
	t.Run("an error of handle is not one of the archive", func(t *testing.T) {
		c, s, asked := scripted(t, func(iq stanza.IQ, q sent, say func(xml.TokenReader)) {
			say(lie("", q.ID, "1", "1"))
			say(finOf(iq, true, "1", "1"))
		})
		mine := stanza.Error{Condition: stanza.ItemNotFound}
		from := mam.Place{ID: "x", Stamp: epoch}
		place, err := c.CatchUp(t.Context(), s, jid.JID{}, mam.Query{}, from, "", func(mam.Result) error { return mine })
		assert.Equal(t, error(mine), err, "as it is")
		assert.Equal(t, from, place)
		assert.Len(t, asked(), 1)
	})
	t.Run("an archive that tells no times", func(t *testing.T) {
		c, s, _ := scripted(t, func(iq stanza.IQ, q sent, say func(xml.TokenReader)) {
			for _, id := range []string{"1", "2"} {
				say(parsed(`<message xmlns="jabber:client"><result xmlns="urn:xmpp:mam:2" queryid="%s" id="%s"/></message>`, q.ID, id))
			}
			say(finOf(iq, true, "1", "2"))
		})
		place, err := c.CatchUp(t.Context(), s, jid.JID{}, mam.Query{}, mam.Place{ID: "x", Stamp: epoch}, "", count(new(int)))
		require.NoError(t, err)
		assert.Equal(t, mam.Place{ID: "2", Stamp: epoch}, place)
	})
}

// TestCatchUpUntil has the end be elsewhere than it was expected.
func TestCatchUpUntil(t *testing.T) {
	archive := new(mam.Memory)
	items := stock(t, archive, juliet, 30)
	_, err := archive.Prune(t.Context(), juliet, time.Time{}, 10)
	require.NoError(t, err)
	c, s := reader(t, &mam.Handler{Archive: archive, Account: juliet})
	for _, test := range []struct {
		rule        string
		from, until int
		want        []string
	}{
		{"it was pruned, and the place too", 5, 15, numbers(21, 30)},
		{"it was pruned, and nothing was known", 0, 15, numbers(21, 30)},
		{"it lies before the place", 25, 23, numbers(26, 30)},
		{"it lies before the place, which is the end", 30, 23, nil},
	} {
		t.Run(test.rule, func(t *testing.T) {
			from := mam.Place{}
			if test.from > 0 {
				from = mam.Place{ID: items[test.from-1].ID, Stamp: items[test.from-1].Stamp}
			}
			var got []string
			place, err := c.CatchUp(t.Context(), s, jid.JID{}, mam.Query{Max: 4}, from, items[test.until-1].ID, func(r mam.Result) error {
				got = append(got, bodyOf(r))
				return nil
			})
			require.ErrorIs(t, err, mam.ErrNotFound)
			assert.Equal(t, test.want, got, "all that is there")
			assert.Equal(t, items[29].ID, place.ID)
		})
	}
}

// pruning is a handler before which something happens.
type pruning struct {
	*mam.Handler
	before func()
}

func (p pruning) HandleIQ(iq stanza.IQ, t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	p.before()
	return p.Handler.HandleIQ(iq, t, start)
}
