// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package carbons_test

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/carbons"
)

// outer is a message to romeo's garden with something in it.
func outer(from, inner string) string {
	return message(from, "romeo@montague.example/garden", "chat", inner)
}

// unwrap unwraps a message as romeo's client does.
func unwrap(t testing.TB, s string) (carbons.Copy, error) {
	t.Helper()
	return carbons.Unwrap(romeo, envelope(t, s), reader(s))
}

func TestUnwrap(t *testing.T) {
	received := outer("romeo@montague.example", carbon("received", plain))
	t.Run("CA-13: from the account", func(t *testing.T) {
		for _, account := range []jid.JID{romeo, garden} {
			c, err := carbons.Unwrap(account, envelope(t, received), reader(received))
			require.NoError(t, err)
			assert.Equal(t, carbons.Received, c.Direction)
			assert.True(t, c.Stamp.IsZero())
			assert.Equal(t, stanza.Message{
				XMLName: xml.Name{Space: stanza.NSClient, Local: "message"},
				From:    balcony, To: romeo, Type: stanza.ChatMessage,
			}, c.Message)
			for range 2 {
				assert.Equal(t, canonical(t, plain), canonical(t, encode(t, c.TokenReader())))
			}
		}
	})
	t.Run("CA-13: without an address, which mellium blanks", func(t *testing.T) {
		for _, from := range []string{` from=""`, ""} {
			c, err := unwrap(t, strings.Replace(received, ` from="romeo@montague.example"`, from, 1))
			require.NoError(t, err)
			assert.Equal(t, balcony, c.Message.From)
		}
	})
	t.Run("CA-19: when it was received", func(t *testing.T) {
		for stamp, want := range map[string]time.Time{
			`<delay xmlns="urn:xmpp:delay" stamp="2010-07-10T23:08:25Z"/>`:     time.Date(2010, 7, 10, 23, 8, 25, 0, time.UTC),
			`<delay xmlns="urn:xmpp:delay" stamp="2010-07-10T23:08:25.250Z"/>`: time.Date(2010, 7, 10, 23, 8, 25, 25e7, time.UTC),
			`<delay xmlns="urn:xmpp:delay" stamp="yesterday"/>`:                {},
			`<delay xmlns="urn:xmpp:delay"/>`:                                  {},
			`<delay stamp="2010-07-10T23:08:25Z"/>`:                            {},
		} {
			for _, inner := range []string{stamp + plain, plain + stamp} {
				c, err := unwrap(t, outer("romeo@montague.example", carbon("received", inner)))
				require.NoError(t, err)
				assert.Equal(t, want, c.Stamp, stamp)
			}
		}
	})
	t.Run("what else may be around it", func(t *testing.T) {
		c, err := unwrap(t, outer("romeo@montague.example", ` `+private+` <received xmlns="urn:xmpp:receipts"/>`+
			strings.Replace(carbon("received", ` `+plain+` <other xmlns="urn:example"/>`), "<forwarded", ` <other xmlns="urn:example"/><forwarded`, 1)))
		require.NoError(t, err)
		assert.Equal(t, balcony, c.Message.From)
	})
	t.Run("AC-06: private says nothing about who has it", func(t *testing.T) {
		c, err := unwrap(t, outer("romeo@montague.example", carbon("received", strings.Replace(plain, "<body>", private+"<body>", 1))))
		require.NoError(t, err)
		assert.Contains(t, encode(t, c.TokenReader()), "<private")
	})
	t.Run("no more than the message is read", func(t *testing.T) {
		d := reader(received + "<next/>")
		_, err := carbons.Unwrap(romeo, envelope(t, received), d)
		require.NoError(t, err)
		tok, err := d.Token()
		require.NoError(t, err)
		assert.Equal(t, "next", tok.(xml.StartElement).Name.Local)
	})
}

func TestUnwrapForged(t *testing.T) {
	for _, from := range []string{
		"juliet@capulet.example", "juliet@capulet.example/balcony", "tybalt@capulet.example/home",
		"romeo@montague.example/garden", "romeo@montague.example/home", "montague.example", "romeo@montague.example.net",
		"romeo@sub.montague.example", "r0meo@montague.example", "romeo@mοntague.example", "rоmeo@montague.example",
		"montague.example/romeo@montague.example", "romeo@montague.example/romeo@montague.example",
	} {
		for _, direction := range []string{"received", "sent"} {
			t.Run("CA-13: AC-01: "+direction+" from "+from, func(t *testing.T) {
				s := outer(from, carbon(direction, message("romeo@montague.example/home", "juliet@capulet.example", "chat", body)))
				c, err := unwrap(t, s)
				require.ErrorIs(t, err, carbons.ErrForged)
				assert.Zero(t, c)

				_, err = carbons.Unwrap(romeo, stanza.Message{}, reader(s))
				require.ErrorIs(t, err, carbons.ErrForged, "whoever the caller says it is from")
				_, err = carbons.Unwrap(romeo, stanza.Message{From: romeo}, reader(s))
				require.ErrorIs(t, err, carbons.ErrForged, "whoever the caller says it is from")
				_, err = carbons.Unwrap(romeo, envelope(t, s), reader(strings.Replace(s, from, "romeo@montague.example", 1)))
				require.ErrorIs(t, err, carbons.ErrForged, "whoever the message says it is from")
			})
		}
	}
	t.Run("CA-13: a second address in the namespace of the stanza", func(t *testing.T) {
		s := strings.Replace(outer("tybalt@capulet.example/home", carbon("received", plain)),
			" to=", ` xmlns:c="jabber:client" c:from="romeo@montague.example" to=`, 1)
		require.Equal(t, romeo, envelope(t, s).From, "mellium believes it")
		_, err := unwrap(t, s)
		require.ErrorIs(t, err, carbons.ErrForged)
	})
	t.Run("CA-13: a client without an account", func(t *testing.T) {
		for _, from := range []string{"", "romeo@montague.example"} {
			s := outer(from, carbon("received", plain))
			_, err := carbons.Unwrap(jid.JID{}, envelope(t, s), reader(s))
			require.ErrorIs(t, err, carbons.ErrForged)
		}
	})
	t.Run("the message in it, with a second address", func(t *testing.T) {
		in := strings.Replace(plain, " to=", ` xmlns:c="jabber:client" c:from="tybalt@capulet.example" to=`, 1)
		c, err := unwrap(t, outer("romeo@montague.example", carbon("received", in)))
		require.NoError(t, err)
		assert.Equal(t, balcony, c.Message.From)
		m, err := stanza.NewMessage(c.Tokens[0].(xml.StartElement))
		require.NoError(t, err)
		assert.Equal(t, balcony, m.From, "nobody else believes it either")
	})
}

func TestUnwrapMalformed(t *testing.T) {
	sent := message("romeo@montague.example/home", "juliet@capulet.example", "chat", body)
	forwarded := func(inner string) string { return `<forwarded xmlns="urn:xmpp:forward:0">` + inner + `</forwarded>` }
	direction := func(inner string) string { return `<received xmlns="urn:xmpp:carbons:2">` + inner + `</received>` }
	for rule, inner := range map[string]string{
		"AC-02: a copy of a copy":           carbon("received", outer("romeo@montague.example", carbon("received", plain))),
		"AC-02: a copy of a forged copy":    carbon("received", outer("tybalt@capulet.example", carbon("sent", sent))),
		"AC-03: two copies":                 carbon("received", plain) + carbon("received", plain),
		"AC-03: one each way":               carbon("received", plain) + carbon("sent", sent),
		"AC-03: two forwarded":              direction(forwarded(plain) + forwarded(plain)),
		"AC-03: two messages":               carbon("received", plain+plain),
		"AC-03: nothing":                    direction(""),
		"AC-03: nothing forwarded":          carbon("received", ""),
		"AC-03: not forwarded":              direction(plain),
		"AC-03: forwarded of somebody else": direction(strings.ReplaceAll(forwarded(plain), "urn:xmpp:forward:0", "urn:xmpp:forward:1")),
		"CA-20: AC-03: an iq":               carbon("received", `<iq xmlns="jabber:client" type="set" from="romeo@montague.example"><query xmlns="jabber:iq:roster"/></iq>`),
		"CA-20: AC-03: a presence":          carbon("received", `<presence xmlns="jabber:client" type="unsubscribed"/>`),
		"CA-20: AC-03: an iq beside it":     carbon("received", plain+`<iq xmlns="jabber:client"/>`),
		"AC-04: without a namespace":        carbon("received", strings.Replace(plain, ` xmlns="jabber:client"`, "", 1)),
		"AC-04: in no namespace":            carbon("received", strings.Replace(plain, `"jabber:client"`, `""`, 1)),
		"AC-04: in that of servers":         carbon("received", strings.Replace(plain, "jabber:client", "jabber:server", 1)),
		"from what is no address":           carbon("received", strings.Replace(plain, "juliet@", "@@", 1)),
		"sent by somebody else":             carbon("sent", plain),
		"sent by another domain":            carbon("sent", strings.Replace(sent, "montague.example", "montague.example.net", 1)),
		"sent by the server":                carbon("sent", strings.Replace(sent, "romeo@montague.example/home", "montague.example", 1)),
		"too long":                          carbon("received", strings.Replace(plain, "<body>", strings.Repeat("<y/>", 32<<10)+"<body>", 1)),
	} {
		t.Run(rule, func(t *testing.T) {
			c, err := unwrap(t, outer("romeo@montague.example", inner))
			require.ErrorIs(t, err, carbons.ErrMalformed)
			assert.Zero(t, c)
		})
	}
	t.Run("AC-02: what a message forwards is part of it", func(t *testing.T) {
		in := strings.Replace(plain, "<body>", forwarded(outer("tybalt@capulet.example", forwarded(plain)))+"<body>", 1)
		c, err := unwrap(t, outer("romeo@montague.example", carbon("received", in)))
		require.NoError(t, err)
		assert.Equal(t, balcony, c.Message.From, "the outermost")
		assert.Equal(t, canonical(t, in), canonical(t, encode(t, c.TokenReader())))
	})
}

func TestUnwrapOther(t *testing.T) {
	for rule, s := range map[string]string{
		"a message":                   plain,
		"enable":                      outer("romeo@montague.example", `<enable xmlns="urn:xmpp:carbons:2"/>`),
		"a copy further down":         outer("romeo@montague.example", `<other xmlns="urn:example">`+carbon("received", plain)+`</other>`),
		"received of something else":  outer("romeo@montague.example", `<received xmlns="urn:xmpp:carbons:1"/>`),
		"a stranger's message":        outer("tybalt@capulet.example", body),
		"a stanza of another kind":    `<presence xmlns="jabber:client" from="romeo@montague.example">` + carbon("received", plain) + `</presence>`,
		"text":                        " " + plain,
		"from what is no address":     `<message xmlns="jabber:client" from="@@">` + carbon("received", plain) + `</message>`,
		"a message of something else": `<message xmlns="urn:example">` + carbon("received", plain) + `</message>`,
	} {
		t.Run(rule, func(t *testing.T) {
			_, err := carbons.Unwrap(romeo, stanza.Message{From: romeo}, reader(s))
			require.ErrorIs(t, err, carbons.ErrNotCarbon)
		})
	}
	t.Run("an error of the reader", func(t *testing.T) {
		broken := errors.New("broken")
		s := outer("romeo@montague.example", carbon("received", plain))
		_, err := carbons.Unwrap(romeo, stanza.Message{}, xmlstream.MultiReader(
			xmlstream.LimitReader(reader(s), 4), xmlstream.ReaderFunc(func() (xml.Token, error) { return nil, broken })))
		require.ErrorIs(t, err, broken)
		for _, e := range []error{carbons.ErrForged, carbons.ErrMalformed, carbons.ErrNotCarbon} {
			assert.NotErrorIs(t, err, e)
		}
	})
	for _, n := range []uint{0, 1, 4} {
		_, err := carbons.Unwrap(romeo, stanza.Message{}, xmlstream.LimitReader(reader(outer("romeo@montague.example", carbon("received", plain))), n))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "it ends early")
	}
}
