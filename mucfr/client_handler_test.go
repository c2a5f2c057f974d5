// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"
	"mellium.im/xmpp/mux"
	mstanza "mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/mucfr"
)

func TestClientHandler(t *testing.T) {
	large := "<status>" + strings.Repeat("<a>"+strings.Repeat("b", 1<<10)+"</a>", 300) + "</status>"
	stanzas := []string{
		occHere("Juliet", "1"), occReset, occMessage("Juliet", "<body>Ay me!</body>"+occMark("2")),
		occPresence("Juliet", "", large+occUser("participant")+occMark("3")),
		occPresence("Juliet", "error", "<error/>"), `<presence xmlns="jabber:client" from="@"/>`,
		`<message xmlns="jabber:client" from="grove@chat.example" type="normal"><x xmlns="http://jabber.org/protocol/muc#user"><invite from="a@b"/></x></message>`,
		`<iq xmlns="jabber:client" from="grove@chat.example/Juliet" type="result" id="1"><query xmlns="jabber:iq:version"/></iq>`,
		`<r xmlns="urn:xmpp:sm:3"/>`,
	}
	// pass lets a handler handle a stanza, and what is behind it is not its business.
	pass := func(t *testing.T, h xmpp.Handler, s string) {
		t.Helper()
		d := xml.NewDecoder(strings.NewReader(s + "<next/>"))
		tok, err := d.Token()
		require.NoError(t, err)
		start := tok.(xml.StartElement).Copy()
		rw := struct {
			xml.TokenReader
			xmlstream.Encoder
		}{xmlstream.InnerElement(d), nil}
		require.NoError(t, h.HandleXMPP(rw, &start))
	}
	for name, read := range map[string]int{"all": -1, "nothing": 0, "some": 3} {
		t.Run("everything is passed on unchanged, and taken in if the next handler reads "+name, func(t *testing.T) {
			for _, s := range stanzas {
				follow := func() (*mucfr.Client, *mucfr.Occupancy) {
					c, o := new(mucfr.Client), occInside(t)
					c.Follow(o)
					return c, o
				}
				collect := func(got *[]xml.Token) xmpp.Handler {
					return xmpp.HandlerFunc(func(r xmlstream.TokenReadEncoder, start *xml.StartElement) error {
						*got = append(*got, start.Copy())
						for i := 0; i != read; i++ {
							tok, err := r.Token()
							if tok != nil {
								*got = append(*got, xml.CopyToken(tok))
							}
							if err == io.EOF {
								break
							}
							require.NoError(t, err)
						}
						return nil
					})
				}
				var want, got []xml.Token
				pass(t, collect(&want), s)
				c, o := follow()
				pass(t, c.Handler(collect(&got)), s)
				assert.Equal(t, want, got)

				alone := occInside(t)
				occApply(t, alone, s)
				assert.Equal(t, occSaved(t, alone), occSaved(t, o))
			}
		})
	}
	t.Run("the next handler sees what has changed", func(t *testing.T) {
		var o *mucfr.Occupancy
		var order []string
		c := &mucfr.Client{Changed: func(of *mucfr.Occupancy, c mucfr.Change) {
			assert.Same(t, o, of)
			_, ok := of.Occupant("Juliet")
			order = append(order, fmt.Sprint(c.Kind, ", there: ", ok))
		}}
		h := c.Handler(xmpp.HandlerFunc(func(xmlstream.TokenReadEncoder, *xml.StartElement) error {
			_, ok := o.Occupant("Juliet")
			order = append(order, fmt.Sprint("passed on, there: ", ok))
			return nil
		}))
		o = occInside(t)
		c.Follow(o)
		pass(t, h, occGone("Juliet", "1"))
		pass(t, h, occMessage("Juliet", "<body/>"))
		pass(t, h, occHere("Juliet", "2"))
		c.Forget(o)
		assert.False(t, o.Inside())
		o.Join("")
		pass(t, h, occHere("Juliet", "3"))
		assert.Equal(t, []string{
			"occupant left, there: false", "passed on, there: false", "passed on, there: false",
			"occupant entered, there: true", "passed on, there: true", "passed on, there: true",
		}, order)
	})
	t.Run("not all of a large stanza is held before it is passed on", func(t *testing.T) {
		c, read := new(mucfr.Client), 0
		c.Follow(occInside(t))
		h := c.Handler(xmpp.HandlerFunc(func(r xmlstream.TokenReadEncoder, _ *xml.StartElement) error {
			assert.Less(t, read, 300<<10)
			_, err := xmlstream.Copy(xmlstream.Discard(), r)
			return err
		}))
		for _, inner := range []string{"<a>" + strings.Repeat("b", 1<<10) + "</a>", `<a b="` + strings.Repeat("b", 1<<10) + `"/>`, "<!--" + strings.Repeat("b", 1<<10) + "-->"} {
			read = 0
			d := xml.NewDecoder(strings.NewReader(occPresence("Juliet", "", strings.Repeat(inner, 1<<10))))
			tok, err := d.Token()
			require.NoError(t, err)
			start := tok.(xml.StartElement).Copy()
			require.NoError(t, h.HandleXMPP(struct {
				xml.TokenReader
				xmlstream.Encoder
			}{xmlstream.ReaderFunc(func() (xml.Token, error) {
				tok, err := d.Token()
				read = int(d.InputOffset())
				return tok, err
			}), nil}, &start))
			assert.Greater(t, read, 1<<20)
		}
	})
	t.Run("of two the one that was followed last", func(t *testing.T) {
		c, first, second := new(mucfr.Client), occInside(t), occInside(t)
		c.Follow(first)
		c.Follow(second)
		c.Forget(first)
		pass(t, c.Handler(nil), occGone("Juliet", "1"))
		assert.Len(t, occNicks(first), 3)
		assert.Len(t, occNicks(second), 2)
	})
	t.Run("the stream ends in a stanza", func(t *testing.T) {
		c, o := new(mucfr.Client), occInside(t)
		c.Follow(o)
		before := occSaved(t, o)
		failed := errors.New("the line is dead")
		d := occTokens(occGone("Juliet", "1"))
		tok, err := d.Token()
		require.NoError(t, err)
		start := tok.(xml.StartElement).Copy()
		rw := struct {
			xml.TokenReader
			xmlstream.Encoder
		}{xmlstream.MultiReader(xmlstream.LimitReader(d, 2), xmlstream.ReaderFunc(func() (xml.Token, error) { return nil, failed })), nil}
		err = c.Handler(xmpp.HandlerFunc(func(r xmlstream.TokenReadEncoder, _ *xml.StartElement) error {
			_, err := xmlstream.Copy(xmlstream.Discard(), r)
			return err
		})).HandleXMPP(rw, &start)
		require.ErrorIs(t, err, failed, "the next handler learns of it")
		assert.Equal(t, before, occSaved(t, o))
	})
	t.Run("an error of the next handler is its own", func(t *testing.T) {
		c, failed := new(mucfr.Client), errors.New("full")
		c.Follow(occInside(t))
		h := c.Handler(xmpp.HandlerFunc(func(xmlstream.TokenReadEncoder, *xml.StartElement) error { return failed }))
		start := xml.StartElement{Name: xml.Name{Space: mstanza.NSClient, Local: "presence"}, Attr: []xml.Attr{{Name: xml.Name{Local: "from"}, Value: occRoom.String()}}}
		require.ErrorIs(t, h.HandleXMPP(struct {
			xml.TokenReader
			xmlstream.Encoder
		}{xmlstream.Token(start.End()), nil}, &start), failed)
	})
	t.Run("mellium's client gets invitations, and presences", func(t *testing.T) {
		invited, seen := make(chan string, 1), make(chan string, 10)
		below := &muc.Client{
			HandleInvite:       func(i muc.Invitation) { invited <- i.Reason },
			HandleUserPresence: func(p mstanza.Presence, _ muc.Item) { seen <- p.From.Resourcepart() },
		}
		service := newClientService()
		c := new(mucfr.Client)
		p := clientCalls(t, c, mux.New(mstanza.NSClient, muc.HandleClient(below)), service)
		o := mucfr.NewOccupancy(occRoom)
		require.NoError(t, c.Join(clientContext(t), p.Client, o, mucfr.JoinOptions{}))
		arrives(t, p, `<message xmlns="jabber:client" from="tomb@chat.example"><x xmlns="http://jabber.org/protocol/muc#user"><invite from="juliet@capulet.example"><reason>Come.</reason></invite></x></message>`)
		select {
		case reason := <-invited:
			assert.Equal(t, "Come.", reason)
		case <-clientContext(t).Done():
			assert.Fail(t, "there is no invitation")
		}

		tomb := jid.MustParse("tomb@chat.example/Romeo")
		service.mu.Lock()
		service.answer = func(string, string, string, string) ([]string, bool) {
			return []string{strings.Replace(occHere("Romeo", "", self), "grove@", "tomb@", 1)}, true
		}
		service.mu.Unlock()
		channel, err := below.Join(clientContext(t), tomb, p.Client)
		require.NoError(t, err)
		assert.Equal(t, tomb, channel.Me())
		assert.Len(t, seen, 0)
	})
}
