// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam_test

import (
	"context"
	"encoding/xml"
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
	"mellium.im/xmpp/disco"
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
		mux.New(stanza.NSClient, disco.Handle(), mux.IQ(stanza.SetIQ, xml.Name{Space: mam.NS, Local: "query"}, h)))
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
		{"MA-29 RS-04 neither count nor index", func(iq stanza.IQ, id string, say func(xml.TokenReader)) {
			say(lie("", id, "1", "true"))
			say(finOf(iq, true, "1", "1"))
		}, []string{"true"}, nil},
		{"RS-12 MA-17 an end without a result set", func(iq stanza.IQ, id string, say func(xml.TokenReader)) {
			say(iq.Result(parsed(`<fin xmlns="urn:xmpp:mam:2" complete="true"/>`)))
		}, nil, nil},
		{"MA-31 complete is 1", func(iq stanza.IQ, id string, say func(xml.TokenReader)) {
			say(lie("", id, "1", "true"))
			say(iq.Result(parsed(`<fin xmlns="urn:xmpp:mam:2" complete="1"/>`)))
		}, []string{"true"}, nil},
		{"a page that says nothing of its end", func(iq stanza.IQ, id string, say func(xml.TokenReader)) {
			say(lie("", id, "1", "true"))
			say(iq.Result(parsed(`<fin xmlns="urn:xmpp:mam:2"/>`)))
		}, []string{"true"}, mam.ErrNoProgress},
		{"a result of another type of message", func(iq stanza.IQ, id string, say func(xml.TokenReader)) {
			say(lie(` type="chat"`, id, "1", "chat"))
			say(lie(` type="groupchat"`, id, "2", "groupchat"))
			say(lie(` type="error"`, id, "3", "error"))
			say(finOf(iq, true, "1", "2"))
		}, []string{"chat", "groupchat"}, nil},
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
	t.Run("AA-03 behind the end, many times", func(t *testing.T) {
		c, s := reader(t, liar(func(iq stanza.IQ, id string, say func(xml.TokenReader)) {
			say(lie("", id, "1", "true"))
			say(finOf(iq, true, "1", "1"))
			for i := range 5 {
				say(lie("", id, "late"+strconv.Itoa(i), "late"))
			}
		}))
		for range 300 {
			got, err := fetched(t, c, s, mam.Query{})
			require.NoError(t, err)
			require.Equal(t, []string{"true"}, got)
		}
	})
	t.Run("MA-48 two queries at once", func(t *testing.T) {
		var mine string // the name of the query of the account's own archive
		c, s, _ := scripted(t, func(iq stanza.IQ, q sent, say func(xml.TokenReader)) {
			if iq.To.Equal(jid.JID{}) {
				mine = q.ID
				return // It is answered later.
			}
			say(lie(` from="coven@chat.shakespeare.lit"`, mine, "1", "forged"))
			say(lie("", q.ID, "2", "forged"))
			say(lie(` from="coven@chat.shakespeare.lit"`, q.ID, "3", "true"))
			say(finOf(iq, true, "3", "3"))
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan []string, 1)
		go func() {
			var got []string
			for r, err := range c.Fetch(ctx, s, jid.JID{}, mam.Query{}) {
				if err == nil {
					got = append(got, bodyOf(r))
				}
			}
			done <- got
		}()
		var got []string
		for r, err := range c.Fetch(t.Context(), s, coven, mam.Query{}) {
			require.NoError(t, err)
			got = append(got, bodyOf(r))
		}
		assert.Equal(t, []string{"true"}, got)
		cancel()
		assert.Empty(t, <-done)
	})
	t.Run("AA-18 pages in a circle", func(t *testing.T) {
		for length := 1; length <= 20; length++ {
			n := 0
			c, s, asked := scripted(t, func(iq stanza.IQ, q sent, say func(xml.TokenReader)) {
				id := fmt.Sprint(n % length)
				n++
				say(lie("", q.ID, id, id))
				say(finOf(iq, false, id, id))
			})
			_, err := fetched(t, c, s, mam.Query{})
			require.ErrorIs(t, err, mam.ErrNoProgress)
			assert.Less(t, len(asked()), 4*length+3, "a circle of %d", length)
		}
	})
	t.Run("AA-02 AA-18 the same results behind other cursors", func(t *testing.T) {
		n := 0
		c, s, asked := scripted(t, func(iq stanza.IQ, q sent, say func(xml.TokenReader)) {
			n++
			say(lie("", q.ID, "1", "1"))
			say(finOf(iq, false, fmt.Sprint(n), fmt.Sprint(n)))
		})
		got, err := fetched(t, c, s, mam.Query{})
		require.ErrorIs(t, err, mam.ErrNoProgress)
		assert.Equal(t, []string{"1"}, got)
		assert.Len(t, asked(), 2)
	})
	t.Run("MA-32 an answer that may change", func(t *testing.T) {
		for attr, want := range map[string]bool{"": false, ` stable="true"`: false, ` stable="false"`: true, ` stable="0"`: true} {
			c, s, _ := scripted(t, func(iq stanza.IQ, q sent, say func(xml.TokenReader)) {
				say(lie("", q.ID, "1", "1"))
				say(iq.Result(parsed(`<fin xmlns="urn:xmpp:mam:2" complete="true"%s/>`, attr)))
			})
			var got []bool
			for r, err := range c.Fetch(t.Context(), s, jid.JID{}, mam.Query{}) {
				require.NoError(t, err)
				got = append(got, r.Unstable)
			}
			assert.Equal(t, []bool{want}, got, attr)
		}
	})
	t.Run("RS-03 ids are what they are", func(t *testing.T) {
		ids := []string{"a b", " a ", "<a>&'\"", "ä\u200b🙂", "0"}
		c, s, asked := scripted(t, func(iq stanza.IQ, q sent, say func(xml.TokenReader)) {
			n := 0
			if q.Set.After != nil {
				n = slices.Index(ids, *q.Set.After) + 1
			}
			var escaped strings.Builder
			require.NoError(t, xml.EscapeText(&escaped, []byte(ids[n])))
			say(lie("", q.ID, escaped.String(), ""))
			say(finOf(iq, n == len(ids)-1, escaped.String(), escaped.String()))
		})
		var got []string
		for r, err := range c.Fetch(t.Context(), s, jid.JID{}, mam.Query{}) {
			require.NoError(t, err)
			got = append(got, r.ID)
		}
		assert.Equal(t, ids, got)
		assert.Len(t, asked(), len(ids))
	})
	t.Run("RS-07 RS-11 pages are asked for by id", func(t *testing.T) {
		for _, test := range []struct {
			from                 mam.Cursor
			after, before, index []string
		}{
			{mam.Cursor{}, []string{"-", "9"}, []string{"-", "-"}, []string{"-", "-"}},
			{mam.Cursor{Index: 5}, []string{"-", "9"}, []string{"-", "-"}, []string{"5", "-"}},
			{mam.Cursor{Last: true}, []string{"-", "-"}, []string{"", "1"}, []string{"-", "-"}},
			{mam.Cursor{Before: "x"}, []string{"-", "-"}, []string{"x", "1"}, []string{"-", "-"}},
		} {
			first := true
			c, s, asked := scripted(t, func(iq stanza.IQ, q sent, say func(xml.TokenReader)) {
				if say(lie("", q.ID, fmt.Sprint(first), "")); first {
					say(iq.Result(parsed(`<fin xmlns="urn:xmpp:mam:2"><set xmlns="http://jabber.org/protocol/rsm"><first index="5">1</first><last>9</last><count>99</count></set></fin>`)))
				} else {
					say(finOf(iq, true, "", ""))
				}
				first = false
			})
			_, err := fetched(t, c, s, mam.Query{From: test.from})
			require.NoError(t, err)
			var after, before, index []string
			value := func(s *string) string {
				if s == nil {
					return "-"
				}
				return *s
			}
			for _, q := range asked() {
				after, before, index = append(after, value(q.Set.After)), append(before, value(q.Set.Before)), append(index, value(q.Set.Index))
			}
			assert.Equal(t, [][]string{test.after, test.before, test.index}, [][]string{after, before, index})
		}
	})
	t.Run("the context ends", func(t *testing.T) {
		c, s := reader(t, liar(func(iq stanza.IQ, _ string, say func(xml.TokenReader)) {
			say(finOf(iq, true, "", ""))
		}))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		n := 0
		for _, err := range c.Fetch(ctx, s, jid.JID{}, mam.Query{}) {
			require.ErrorIs(t, err, context.Canceled)
			n++
		}
		assert.Equal(t, 1, n, "the error comes once")
	})
}
