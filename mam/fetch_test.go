// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/mam"
)

// reader returns a client of juliet's whose server answers queries by h.
func reader(t testing.TB, h mux.IQHandler) (*mam.Client, *xmpp.Session) {
	t.Helper()
	c := new(mam.Client)
	p := xmpptest.NewPair(t, xmpptest.PairConfig{Client: jid.MustParse("juliet@capulet.lit/chamber")})
	p.Serve(mux.New(stanza.NSClient, mam.HandleClient(c)),
		mux.New(stanza.NSClient, mux.IQ(stanza.SetIQ, xml.Name{Space: mam.NS, Local: "query"}, h)))
	return c, p.Client
}

// fetched collects the bodies that an iterator returns.
func fetched(t testing.TB, c *mam.Client, s *xmpp.Session, q mam.Query) ([]string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var got []string
	for r, err := range c.Fetch(ctx, s, jid.JID{}, q) {
		if err != nil {
			return got, err
		}
		got = append(got, bodyOf(r))
	}
	return got, nil
}

// bodyOf returns the body of a result.
func bodyOf(r mam.Result) string {
	var m struct {
		Body string `xml:"body"`
	}
	_ = xml.NewTokenDecoder(r.TokenReader()).Decode(&m) // Without one it is empty.
	return m.Body
}

func numbers(from, to int) (list []string) {
	for i := from; i <= to; i++ {
		list = append(list, strconv.Itoa(i))
	}
	return list
}

func TestFetch(t *testing.T) {
	archive := new(mam.Memory)
	items := stock(t, archive, juliet, 25)
	c, s := reader(t, &mam.Handler{Archive: archive, Account: juliet})
	for _, test := range []struct {
		name string
		q    mam.Query
		want []string
	}{
		{"everything", mam.Query{}, numbers(1, 25)},
		{"page after page", mam.Query{Max: 10}, numbers(1, 25)},
		{"whole pages", mam.Query{Max: 5}, numbers(1, 25)},
		{"one at a time", mam.Query{Max: 1}, numbers(1, 25)},
		{"behind an id", mam.Query{Max: 10, From: mam.Cursor{After: items[19].ID}}, numbers(21, 25)},
		{"backwards", mam.Query{Max: 10, From: mam.Cursor{Last: true}}, slices.Concat(numbers(16, 25), numbers(6, 15), numbers(1, 5))},
		{"with", mam.Query{With: romeo.Bare(), Start: items[22].Stamp}, numbers(23, 25)},
		{"with somebody else", mam.Query{With: nurse}, nil},
		{"ids", mam.Query{IDs: []string{items[4].ID, items[2].ID}}, []string{"3", "5"}},
		{"between ids", mam.Query{AfterID: items[2].ID, BeforeID: items[6].ID, Max: 2}, numbers(4, 6)},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := fetched(t, c, s, test.q)
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
		})
	}
	t.Run("an error of the server", func(t *testing.T) {
		_, err := fetched(t, c, s, mam.Query{From: mam.Cursor{After: "unknown"}})
		var refused stanza.Error
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, stanza.ItemNotFound, refused.Condition)
	})
	t.Run("what is left is not fetched", func(t *testing.T) {
		for r, err := range c.Fetch(t.Context(), s, jid.JID{}, mam.Query{Max: 2}) {
			require.NoError(t, err)
			assert.Equal(t, "1", bodyOf(r))
			assert.Equal(t, epoch, r.Stamp)
			assert.Equal(t, items[0].ID, r.ID)
			break
		}
	})
}

// A liar is a server that answers queries as it likes.
type liar func(iq stanza.IQ, queryID string, say func(r xml.TokenReader))

func (l liar) HandleIQ(iq stanza.IQ, t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	id := ""
	for _, a := range start.Attr {
		if a.Name.Local == "queryid" {
			id = a.Value
		}
	}
	var failed error
	l(iq, id, func(r xml.TokenReader) {
		if _, err := xmlstream.Copy(t, r); err != nil {
			failed = err
		}
	})
	return failed
}

// parsed reads some XML.
func parsed(format string, args ...any) xml.TokenReader {
	return undeclared(xml.NewDecoder(strings.NewReader(fmt.Sprintf(format, args...))))
}

func lie(from, queryID, id, body string) xml.TokenReader {
	return parsed(`<message xmlns="jabber:client"%s><result xmlns="urn:xmpp:mam:2" queryid="%s" id="%s"><forwarded xmlns="urn:xmpp:forward:0">`+
		`<delay xmlns="urn:xmpp:delay" stamp="2010-07-10T23:08:25Z"/><message xmlns="jabber:client"><body>%s</body></message></forwarded></result></message>`, from, queryID, id, body)
}

func finOf(iq stanza.IQ, complete bool, first, last string) xml.TokenReader {
	return iq.Result(parsed(`<fin xmlns="urn:xmpp:mam:2" complete="%t"><set xmlns="http://jabber.org/protocol/rsm"><first>%s</first><last>%s</last></set></fin>`, complete, first, last))
}

func TestFetchFromLiars(t *testing.T) {
	for _, test := range []struct {
		rule string
		liar liar
		want []string
		err  error
	}{
		{"AA-01 MA-48 somebody else's", func(iq stanza.IQ, id string, say func(xml.TokenReader)) {
			say(lie(` from="romeo@montague.lit"`, id, "f1", "forged"))
			say(lie(` from="juliet@capulet.lit/balcony"`, id, "f2", "forged"))
			say(lie(` from="capulet.lit"`, id, "f3", "forged"))
			say(lie("", id, "1", "true"))
			say(lie(` from="juliet@capulet.lit"`, id, "2", "true"))
			say(finOf(iq, true, "1", "2"))
		}, []string{"true", "true"}, nil},
		{"AA-02 another query's", func(iq stanza.IQ, id string, say func(xml.TokenReader)) {
			say(lie("", "x", "1", "forged"))
			say(lie("", "", "2", "forged"))
			say(finOf(iq, true, "", ""))
		}, nil, nil},
		{"AA-02 the same id twice", func(iq stanza.IQ, id string, say func(xml.TokenReader)) {
			say(lie("", id, "1", "once"))
			say(lie("", id, "1", "twice"))
			say(finOf(iq, true, "1", "1"))
		}, []string{"once"}, nil},
		{"AA-03 behind the end", func(iq stanza.IQ, id string, say func(xml.TokenReader)) {
			say(lie("", id, "1", "true"))
			say(finOf(iq, true, "1", "1"))
			say(lie("", id, "2", "late"))
		}, []string{"true"}, nil},
		{"AA-18 the same page again and again", func(iq stanza.IQ, id string, say func(xml.TokenReader)) {
			say(lie("", id, "1", "true"))
			say(finOf(iq, false, "1", "1"))
		}, []string{"true"}, mam.ErrNoProgress},
		{"AA-18 never anything", func(iq stanza.IQ, id string, say func(xml.TokenReader)) {
			say(finOf(iq, false, "", ""))
		}, nil, mam.ErrNoProgress},
		{"more than was asked for", func(iq stanza.IQ, id string, say func(xml.TokenReader)) {
			for i := range 20 {
				say(lie("", id, strconv.Itoa(i), "true"))
			}
			say(finOf(iq, true, "0", "19"))
		}, nil, mam.ErrTooMany},
		{"MA-04 AA-15 nothing is left of the message", func(iq stanza.IQ, id string, say func(xml.TokenReader)) {
			say(parsed(`<message xmlns="jabber:client"><result xmlns="urn:xmpp:mam:2" queryid="%s" id="1"><forwarded xmlns="urn:xmpp:forward:0"/></result></message>`, id))
			say(parsed(`<message xmlns="jabber:client"><result xmlns="urn:xmpp:mam:2" queryid="%s" id="2"/></message>`, id))
			say(finOf(iq, true, "1", "2"))
		}, []string{"", ""}, nil},
	} {
		t.Run(test.rule, func(t *testing.T) {
			c, s := reader(t, test.liar)
			got, err := fetched(t, c, s, mam.Query{Max: 10})
			if test.err == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, test.err)
			}
			assert.Equal(t, test.want, got)
		})
	}
	t.Run("the context ends", func(t *testing.T) {
		c, s := reader(t, liar(func(iq stanza.IQ, _ string, say func(xml.TokenReader)) {
			say(finOf(iq, true, "", ""))
		}))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, err := range c.Fetch(ctx, s, jid.JID{}, mam.Query{}) {
			require.ErrorIs(t, err, context.Canceled)
		}
	})
}

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
