// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam

import (
	"context"
	"encoding/xml"
	"errors"
	"slices"
	"strings"

	"mellium.im/xmlstream"
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

// parsePreferences reads a prefs element. A list that is missing is empty.
func parsePreferences(d *xml.Decoder, start *xml.StartElement) (Preferences, error) {
	element := struct {
		Default string   `xml:"default,attr"`
		Always  []string `xml:"urn:xmpp:mam:2 always>jid"`
		Never   []string `xml:"urn:xmpp:mam:2 never>jid"`
	}{}
	if err := d.DecodeElement(&element, start); err != nil {
		if errors.As(err, new(*xml.SyntaxError)) || errors.As(err, new(stanza.Error)) {
			return Preferences{}, err
		}
		return Preferences{}, badRequest("the preferences cannot be read")
	}
	p := Preferences{Default: Default(element.Default)}
	switch p.Default {
	case Always, Never, Roster:
	default:
		return p, badRequest("the default is none of always, never and roster")
	}
	var err error
	if p.Always, err = parseList(element.Always); err != nil {
		return p, err
	}
	p.Never, err = parseList(element.Never)
	return p, err
}

func parseList(list []string) ([]jid.JID, error) {
	if len(list) > maxListed {
		return nil, stanzaError(stanza.Modify, stanza.PolicyViolation, "the list is too long")
	}
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

// reader returns the prefs element.
func (p Preferences) reader() xml.TokenReader {
	if p.Default == "" {
		p.Default = Always
	}
	list := func(local string, jids []jid.JID) xml.TokenReader {
		var inner []xml.TokenReader
		for _, j := range jids {
			inner = append(inner, text("jid", j.String()))
		}
		return xmlstream.Wrap(xmlstream.MultiReader(inner...), xml.StartElement{Name: xml.Name{Local: local}})
	}
	return xmlstream.Wrap(
		xmlstream.MultiReader(list("always", p.Always), list("never", p.Never)),
		xml.StartElement{Name: xml.Name{Space: NS, Local: "prefs"}, Attr: []xml.Attr{attr("default", string(p.Default))}},
	)
}
