// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"encoding/xml"
	"errors"
	"strings"

	"mellium.im/xmpp/jid"
)

// open returns a reader of what is in a stanza, behind its start.
func open(stanza string) (xml.TokenReader, xml.StartElement, error) {
	d := xml.NewDecoder(strings.NewReader(stanza))
	tok, err := d.Token()
	start, ok := tok.(xml.StartElement)
	if err == nil && !ok {
		err = errors.New("no stanza")
	}
	return d, start, err
}

// ReadRoster reads a result, and returns the items, as they are when they have been in a
// roster and in a cache. Known is false if it is an error of this package, or there is
// nothing in it.
func ReadRoster(stanza string) (version string, items, kept []RosterItem, known bool) {
	r, start, err := open(stanza)
	if err != nil {
		return "", nil, nil, false
	}
	a, err := readRosterResult(r, start)
	if err != nil || a == nil {
		return "", nil, nil, false
	}
	var last rosterState
	roster := newRoster(jid.JID{}, rosterState{}, func(s rosterState) { last = s }, nil)
	roster.replace(a)
	b, err := encodeRoster(last)
	if err != nil {
		panic(err)
	}
	again := newRoster(jid.JID{}, decodeRoster(b), nil, nil)
	if again.Version() != roster.Version() || again.size != roster.size {
		panic("kept as something else")
	}
	return roster.Version(), roster.Items(), again.Items(), true
}

// ReadPush reads a push.
func ReadPush(stanza string) (item RosterItem, ok bool) {
	r, start, err := open(stanza)
	if err != nil {
		return RosterItem{}, false
	}
	_, item, err = readRosterPush(r, start)
	return item, err == nil
}

// Verification reads an answer to a question of what an entity can do, and returns the
// string that is hashed, that of what is kept, and how many identities and features
// there are. Plain is set if the string can be read in one way only.
func Verification(stanza string) (s, kept string, identities, features int, plain, ok bool) {
	r, start, err := open(stanza)
	if err != nil {
		return "", "", 0, 0, false, false
	}
	q, err := readInfo(r, start)
	if err != nil || q.wellFormed() != nil {
		return "", "", 0, 0, false, false
	}
	info := q.info()
	s, plain = q.verification()
	b, err := encodeInfo(q)
	if err != nil {
		panic(err)
	}
	kept, _ = decodeInfo(b).verification()
	return s, kept, len(info.Identity), len(info.Features), plain, true
}
