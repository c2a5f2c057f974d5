// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/mam"
)

// asks are all requests of a client for one answer, with an answer to each.
var asks = []struct {
	name, answer string
	ask          func(context.Context, *mam.Client, *xmpp.Session) error
}{
	{"Fetch", `<fin xmlns="urn:xmpp:mam:2" complete="true"/>`, func(ctx context.Context, c *mam.Client, s *xmpp.Session) error {
		for _, err := range c.Fetch(ctx, s, jid.JID{}, mam.Query{}) {
			return err
		}
		return nil
	}},
	{"CatchUp", `<fin xmlns="urn:xmpp:mam:2" complete="1"/>`, func(ctx context.Context, c *mam.Client, s *xmpp.Session) error {
		_, err := c.CatchUp(ctx, s, jid.JID{}, mam.Query{}, mam.Place{}, "", func(mam.Result) error { return nil })
		return err
	}},
	{"Metadata", `<metadata xmlns="urn:xmpp:mam:2"/>`, func(ctx context.Context, c *mam.Client, s *xmpp.Session) error {
		_, _, err := c.Metadata(ctx, s, jid.JID{})
		return err
	}},
	{"Preferences", `<prefs xmlns="urn:xmpp:mam:2" default="always"/>`, func(ctx context.Context, c *mam.Client, s *xmpp.Session) error {
		_, err := c.Preferences(ctx, s)
		return err
	}},
	{"SetPreferences", `<prefs xmlns="urn:xmpp:mam:2" default="always"/>`, func(ctx context.Context, c *mam.Client, s *xmpp.Session) error {
		_, err := c.SetPreferences(ctx, s, mam.Preferences{})
		return err
	}},
	{"Supports", `<query xmlns="http://jabber.org/protocol/disco#info"/>`, func(ctx context.Context, c *mam.Client, s *xmpp.Session) error {
		_, err := c.Supports(ctx, s, jid.JID{})
		return err
	}},
}

// TestAnswers has all requests answered by whom, and with what, they may be.
func TestAnswers(t *testing.T) {
	type answer func(iq stanza.IQ, payload string) xml.TokenReader
	var me jid.JID // of the client that has asked
	from := func(j string) answer {
		return func(iq stanza.IQ, payload string) xml.TokenReader {
			if iq.To = (jid.JID{}); j != "" {
				iq.To = jid.MustParse(j)
			}
			return iq.Result(parsed("%s", payload))
		}
	}
	with := func(format string) answer {
		return func(iq stanza.IQ, payload string) xml.TokenReader {
			return iq.Result(parsed("%s", strings.ReplaceAll(format, "%s", payload)))
		}
	}
	for _, test := range []struct {
		rule   string
		answer answer
		err    error
	}{
		{"the account", from("juliet@capulet.lit"), nil},
		{"nobody, which is the account", from(""), nil},
		{"the resource", func(iq stanza.IQ, payload string) xml.TokenReader { return from(me.String())(iq, payload) }, nil},
		{"MA-48 somebody else", from("romeo@montague.lit"), mam.ErrWrongSender},
		{"MA-48 another resource", from("juliet@capulet.lit/balcony"), mam.ErrWrongSender},
		{"MA-48 the server", from("capulet.lit"), mam.ErrWrongSender},
		{"MA-48 what is no address", func(iq stanza.IQ, payload string) xml.TokenReader {
			return parsed(`<iq xmlns="jabber:client" type="result" id="%s" from="@@">%s</iq>`, iq.ID, payload)
		}, mam.ErrWrongSender},
		{"space around it", with("\n  %s\n"), nil},
		{"something in front of it", with(`<x xmlns="urn:example"><y/></x>%s`), nil},
		{"nothing", with(""), mam.ErrBadAnswer},
		{"text", with("text"), mam.ErrBadAnswer},
		{"something else", with(`<x xmlns="urn:example"/>`), mam.ErrBadAnswer},
	} {
		t.Run(test.rule, func(t *testing.T) {
			for _, a := range asks {
				t.Run(a.name, func(t *testing.T) {
					c, s, _ := scripted(t, func(iq stanza.IQ, _ sent, say func(xml.TokenReader)) {
						say(test.answer(iq, a.answer))
					})
					me = s.LocalAddr()
					require.ErrorIs(t, a.ask(t.Context(), c, s), test.err)
				})
			}
		})
	}
	t.Run("without end", func(t *testing.T) {
		w := newWire(t)
		done := make(chan error, 1)
		go func() {
			_, err := w.client.Preferences(t.Context(), w.session)
			done <- err
		}()
		w.say(t, fmt.Sprintf("<iq type='result' id='%s'>%s</iq>", w.request(t), strings.Repeat("<x/>", 530_000)))
		require.ErrorIs(t, <-done, mam.ErrTooLarge)
	})
	t.Run("an error of the server", func(t *testing.T) {
		for _, a := range asks {
			c, s, _ := scripted(t, func(iq stanza.IQ, _ sent, say func(xml.TokenReader)) { say(refusal(iq, stanza.Forbidden)) })
			err := a.ask(t.Context(), c, s)
			var refused stanza.Error
			require.ErrorAs(t, err, &refused, a.name)
			assert.Equal(t, stanza.Forbidden, refused.Condition)
			assert.Equal(t, 1, strings.Count(err.Error(), "mam: "), err)
		}
	})
	t.Run("an error that is not written as usual", func(t *testing.T) {
		const forbidden = `<error type="auth"><forbidden xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>`
		for inner, want := range map[string]error{
			"\n  " + forbidden + "\n":                     stanza.Error{Condition: stanza.Forbidden},
			`<x xmlns="urn:example"/>` + forbidden:        stanza.Error{Condition: stanza.Forbidden},
			`<error type="auth"> <text>no</text></error>`: stanza.Error{Type: stanza.Auth},
			"text":                         mam.ErrBadAnswer,
			"":                             mam.ErrBadAnswer,
			`<error type="auth" by="@@"/>`: mam.ErrBadAnswer,
			`<fin xmlns="urn:xmpp:mam:2" complete="true"/>`: mam.ErrBadAnswer,
		} {
			c, s, _ := scripted(t, func(iq stanza.IQ, _ sent, say func(xml.TokenReader)) {
				say(parsed(`<iq xmlns="jabber:client" type="error" id="%s">%s</iq>`, iq.ID, inner))
			})
			require.ErrorIs(t, asks[0].ask(t.Context(), c, s), want, inner)
		}
	})
	t.Run("an error of somebody else", func(t *testing.T) {
		for _, a := range asks {
			c, s, _ := scripted(t, func(iq stanza.IQ, _ sent, say func(xml.TokenReader)) {
				iq.To = romeo
				say(refusal(iq, stanza.Forbidden))
			})
			require.ErrorIs(t, a.ask(t.Context(), c, s), mam.ErrWrongSender, a.name)
		}
	})
	t.Run("a room answers for itself", func(t *testing.T) {
		for _, test := range []struct {
			from string
			err  error
		}{{coven.String(), nil}, {"", mam.ErrWrongSender}, {"juliet@capulet.lit", mam.ErrWrongSender}, {coven.String() + "/hag", mam.ErrWrongSender}} {
			c, s, _ := scripted(t, func(iq stanza.IQ, _ sent, say func(xml.TokenReader)) {
				say(from(test.from)(iq, `<metadata xmlns="urn:xmpp:mam:2"/>`))
			})
			_, _, err := c.Metadata(t.Context(), s, coven)
			require.ErrorIs(t, err, test.err, "from %q", test.from)
		}
	})
}

// TestContexts ends contexts, and sessions, while an answer is awaited.
func TestContexts(t *testing.T) {
	for _, a := range asks {
		t.Run("no answer to "+a.name, func(t *testing.T) {
			w := newWire(t)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- a.ask(ctx, w.client, w.session) }()
			w.say(t, fmt.Sprintf(`<iq type='result' id='%sx'>%s</iq>`, w.request(t), a.answer))
			cancel()
			require.ErrorIs(t, <-done, context.Canceled)
		})
		t.Run("half an answer to "+a.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire(t)
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- a.ask(ctx, w.client, w.session) }()
				id := w.request(t)
				w.say(t, fmt.Sprintf(`<iq type='result' id='%s'>%s`, id, strings.Replace(a.answer, "/>", ">", 1)))
				synctest.Wait() // It is being read.
				cancel()
				require.ErrorIs(t, <-done, context.Canceled)
			})
		})
		t.Run("no session for "+a.name, func(t *testing.T) {
			c, s, _ := scripted(t, func(stanza.IQ, sent, func(xml.TokenReader)) { assert.Fail(t, "nothing is asked") })
			require.NoError(t, s.Close())
			require.ErrorIs(t, a.ask(t.Context(), c, s), xmpp.ErrInputStreamClosed)
		})
	}
}
