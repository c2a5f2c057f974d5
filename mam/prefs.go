// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// maxListed bounds each list of preferences.
const maxListed = 1000

// Allow reports whether messages to or from an address are to be archived: from
// whom an incoming message is, or to whom an outgoing one is. InRoster is asked
// for the bare JID if that decides; if it is nil nobody is in the roster.
//
// Who is in both lists is never archived. The zero value is Always.
func (p Preferences) Allow(with jid.JID, inRoster func(jid.JID) bool) bool {
	listed := func(list []jid.JID) bool {
		return slices.ContainsFunc(list, func(j jid.JID) bool { return same(j, with) })
	}
	switch {
	case listed(p.Never):
		return false
	case listed(p.Always):
		return true
	case p.Default == Never:
		return false
	case p.Default == Roster:
		return inRoster != nil && inRoster(with.Bare())
	}
	return true
}

// prefs serves preferences.
func (h *Handler) prefs(ctx context.Context, iq stanza.IQ, t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	store, ok := h.Archive.(PreferenceStore)
	if !ok {
		return stanza.Error{Type: stanza.Cancel, Condition: stanza.FeatureNotImplemented}
	}
	account := h.archive(iq).Bare()
	if !account.Equal(h.reader(iq)) {
		return stanza.Error{Type: stanza.Auth, Condition: stanza.Forbidden}
	}
	if iq.Type == stanza.SetIQ {
		p, err := parsePreferences(payload(t, start), start)
		if err != nil {
			return err
		}
		if h.Allow != nil {
			if p, err = h.Allow(ctx, account, p); err != nil {
				return failed(err)
			}
		}
		if err := store.SetPreferences(ctx, account, p); err != nil {
			return failed(err)
		}
	}
	p, err := store.Preferences(ctx, account)
	if err != nil {
		return failed(err)
	}
	return reply(iq, t, p.reader())
}

var prefsName = xml.Name{Space: NS, Local: "prefs"}

// prefsXML is the prefs element.
type prefsXML struct {
	Default string   `xml:"default,attr"`
	Always  []string `xml:"urn:xmpp:mam:2 always>jid"`
	Never   []string `xml:"urn:xmpp:mam:2 never>jid"`
}

// parsePreferences reads a prefs element. A list that is missing is empty.
func parsePreferences(d *xml.Decoder, start *xml.StartElement) (Preferences, error) {
	var element prefsXML
	if err := d.DecodeElement(&element, start); err != nil {
		if errors.As(err, new(*xml.SyntaxError)) || errors.As(err, new(stanza.Error)) {
			return Preferences{}, err
		}
		return Preferences{}, badRequest("the preferences cannot be read")
	}
	if len(element.Always) > maxListed || len(element.Never) > maxListed {
		return Preferences{}, stanzaError(stanza.Modify, stanza.PolicyViolation, "the list is too long")
	}
	return element.parse()
}

// parse reads preferences. The errors are stanza errors.
func (x prefsXML) parse() (Preferences, error) {
	p := Preferences{Default: Default(x.Default)}
	if err := p.check(); err != nil {
		return p, err
	}
	var err error
	if p.Always, err = parseList(x.Always); err != nil {
		return p, err
	}
	p.Never, err = parseList(x.Never)
	return p, err
}

// check is a stanza error if the default is none.
func (p Preferences) check() error {
	switch p.Default {
	case Always, Never, Roster:
		return nil
	}
	return badRequest("the default is none of always, never and roster")
}

func parseList(list []string) ([]jid.JID, error) {
	var parsed []jid.JID
	for _, s := range list {
		j, err := jid.Parse(strings.TrimSpace(s))
		if err != nil {
			return nil, stanzaError(stanza.Modify, stanza.JIDMalformed, "")
		}
		parsed = append(parsed, j)
	}
	return parsed, nil
}

// Preferences returns what of the account's messages is archived.
//
// An archive without preferences commonly refuses, with a [stanza.Error].
func (c *Client) Preferences(ctx context.Context, s *xmpp.Session) (Preferences, error) {
	return askPreferences(ctx, s, stanza.GetIQ, xmlstream.Wrap(nil, xml.StartElement{Name: prefsName}))
}

// SetPreferences replaces the account's preferences, and returns what the server
// has made of them. A Default that is empty is Always; another that there is not is a
// [stanza.Error], as if the server had refused it.
func (c *Client) SetPreferences(ctx context.Context, s *xmpp.Session, p Preferences) (Preferences, error) {
	p = p.withDefault()
	if err := p.check(); err != nil {
		return Preferences{}, fmt.Errorf("mam: setting preferences: %w", err)
	}
	return askPreferences(ctx, s, stanza.SetIQ, p.reader())
}

func askPreferences(ctx context.Context, s *xmpp.Session, typ stanza.IQType, payload xml.TokenReader) (Preferences, error) {
	var answer prefsXML
	err := ask(ctx, s, question{
		doing: "asking for preferences", answer: prefsName,
		iq: stanza.IQ{Type: typ}, payload: payload,
	}, &answer)
	if err != nil {
		return Preferences{}, err
	}
	p, err := answer.parse()
	if err != nil {
		return Preferences{}, explained{ErrBadAnswer, "preferences that cannot be read"}
	}
	return p, nil
}

func (p Preferences) withDefault() Preferences {
	p.Default = cmp.Or(p.Default, Always)
	return p
}

// reader returns the prefs element.
func (p Preferences) reader() xml.TokenReader {
	p = p.withDefault()
	list := func(local string, jids []jid.JID) xml.TokenReader {
		var inner []xml.TokenReader
		for _, j := range jids {
			inner = append(inner, text("jid", j.String()))
		}
		return xmlstream.Wrap(xmlstream.MultiReader(inner...), xml.StartElement{Name: xml.Name{Local: local}})
	}
	return xmlstream.Wrap(
		xmlstream.MultiReader(list("always", p.Always), list("never", p.Never)),
		xml.StartElement{Name: prefsName, Attr: []xml.Attr{attr("default", string(p.Default))}},
	)
}
