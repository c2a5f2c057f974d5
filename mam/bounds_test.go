// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/mam"
)

// mebibyte is text, as much as a server may put into a token.
var mebibyte = xml.CharData(bytes.Repeat([]byte("x"), 1<<20))

// largeMessage is a message with something in it and n mebibytes behind that.
func largeMessage(n int, inner xml.TokenReader) xml.TokenReader {
	text := xmlstream.ReaderFunc(func() (xml.Token, error) { return mebibyte, nil })
	limited := xmlstream.LimitReader(text, uint(n))
	return xmlstream.Wrap(
		xmlstream.MultiReader(inner, xmlstream.Wrap(limited, xml.StartElement{Name: xml.Name{Space: stanza.NSClient, Local: "body"}})),
		xml.StartElement{Name: xml.Name{Space: stanza.NSClient, Local: "message"}})
}

// TestFetchIsBounded has an archive send more than a client can hold.
func TestFetchIsBounded(t *testing.T) {
	result := func(id string, n int) func(query string) xml.TokenReader {
		return func(query string) xml.TokenReader {
			inner := xmlstream.Wrap(largeMessage(n, nil), xml.StartElement{Name: xml.Name{Space: "urn:xmpp:forward:0", Local: "forwarded"}})
			inner = xmlstream.Wrap(inner, xml.StartElement{Name: xml.Name{Space: mam.NS, Local: "result"}, Attr: []xml.Attr{
				{Name: xml.Name{Local: "queryid"}, Value: query}, {Name: xml.Name{Local: "id"}, Value: id},
			}})
			return xmlstream.Wrap(inner, xml.StartElement{Name: xml.Name{Space: stanza.NSClient, Local: "message"}})
		}
	}
	other := func(string) xml.TokenReader { return result("x", 70)("another") }
	for _, test := range []struct {
		rule    string
		results []func(query string) xml.TokenReader
		got     []string
		err     error
	}{
		{"one result", []func(string) xml.TokenReader{result("1", 70)}, nil, mam.ErrTooLarge},
		{"results together", []func(string) xml.TokenReader{result("1", 30), result("2", 30), result("3", 30)}, nil, mam.ErrTooLarge},
		{"one among others", []func(string) xml.TokenReader{result("1", 1), result("2", 70), result("3", 1)}, nil, mam.ErrTooLarge},
		{"what nobody has asked for", []func(string) xml.TokenReader{result("1", 1), other, other, result("2", 1)}, []string{"1", "2"}, nil},
		{"as much as there may be", []func(string) xml.TokenReader{result("1", 20), result("2", 20), result("3", 20)}, []string{"1", "2", "3"}, nil},
	} {
		t.Run(test.rule, func(t *testing.T) {
			w := newWire(t)
			var got []string
			done := make(chan error, 1)
			go func() {
				for r, err := range w.client.Fetch(t.Context(), w.session, jid.JID{}, mam.Query{}) {
					if err != nil {
						done <- err
						return
					}
					got = append(got, r.ID)
				}
				done <- nil
			}()
			id, query := w.read()
			for _, r := range test.results {
				require.NoError(t, w.client.HandleMessage(stanza.Message{}, readOnly{r(query)}))
			}
			w.say(t, fmt.Sprintf("<iq type='result' id='%s'><fin xmlns='urn:xmpp:mam:2' complete='true'/></iq>", id))
			require.ErrorIs(t, <-done, test.err)
			assert.Equal(t, test.got, got)
		})
	}
}

// readOnly is what a handler gets that answers nothing.
type readOnly struct{ xml.TokenReader }

func (readOnly) EncodeToken(xml.Token) error               { return nil }
func (readOnly) Encode(any) error                          { return nil }
func (readOnly) EncodeElement(any, xml.StartElement) error { return nil }

// TestGateIsBounded has messages arrive that are larger than a gate can hold.
func TestGateIsBounded(t *testing.T) {
	stanzaID := func() xml.TokenReader {
		return parsed(`<stanza-id xmlns="urn:xmpp:sid:0" by="juliet@capulet.lit" id="a"/>`)
	}
	weight := func(r xml.TokenReader) (n int) {
		for {
			tok, err := r.Token()
			if text, ok := tok.(xml.CharData); ok {
				n += len(text)
			}
			if err != nil {
				return n
			}
		}
	}
	open := func(t *testing.T, g *mam.Gate) (n int, err error) {
		err = g.Open(t.Context(), func(r xml.TokenReader) error {
			n += weight(r)
			return nil
		})
		return n, err
	}
	t.Run("AB-15 together", func(t *testing.T) {
		g := &mam.Gate{By: juliet}
		for range 2 {
			_, err := g.Hold(largeMessage(30, nil))
			require.NoError(t, err)
		}
		_, err := g.Hold(largeMessage(30, nil))
		require.ErrorIs(t, err, mam.ErrGateFull)
		_, err = open(t, g)
		require.ErrorIs(t, err, mam.ErrGateFull)
		_, err = g.Hold(largeMessage(30, nil))
		require.NoError(t, err, "there is room again")
		n, err := open(t, g)
		require.NoError(t, err)
		assert.Equal(t, 30<<20, n)
	})
	t.Run("what was let go makes room", func(t *testing.T) {
		g := &mam.Gate{By: juliet}
		for range 2 {
			_, err := g.Hold(largeMessage(30, nil))
			require.NoError(t, err)
		}
		handled := 0
		broken := errors.New("the disk is full")
		require.ErrorIs(t, g.Open(t.Context(), func(xml.TokenReader) error {
			if handled++; handled == 2 {
				return broken
			}
			return nil
		}), broken)
		_, err := g.Hold(largeMessage(30, nil))
		require.NoError(t, err)
		_, err = g.Hold(largeMessage(30, nil))
		require.ErrorIs(t, err, mam.ErrGateFull)
	})
	t.Run("AB-15 one", func(t *testing.T) {
		g := &mam.Gate{By: juliet}
		_, err := g.Hold(largeMessage(70, nil))
		require.ErrorIs(t, err, mam.ErrGateFull)
	})
	t.Run("a large one passes an open gate whole", func(t *testing.T) {
		g := &mam.Gate{By: juliet}
		_, err := open(t, g)
		require.NoError(t, err)
		r, err := g.Hold(largeMessage(70, nil))
		require.NoError(t, err)
		assert.Equal(t, 70<<20, weight(r))
	})
	t.Run("and once", func(t *testing.T) {
		g := &mam.Gate{By: juliet}
		g.See(mam.Result{ID: "a"})
		_, err := open(t, g)
		require.NoError(t, err)
		r, err := g.Hold(largeMessage(70, stanzaID()))
		require.NoError(t, err)
		assert.Nil(t, r)
	})
}

// TestReadIsBounded reads messages that are larger than an archive takes.
func TestReadIsBounded(t *testing.T) {
	for _, mebibytes := range []int{1, 40} {
		_, _, err := mam.Read(largeMessage(mebibytes, nil))
		assert.Equal(t, mam.ErrTooLarge, err)
	}
}
