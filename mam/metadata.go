// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam

import (
	"context"
	"encoding/xml"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// metadata answers with the ends of the archive.
func (h *Handler) metadata(ctx context.Context, iq stanza.IQ, t xmlstream.TokenReadEncoder) error {
	first, last, err := h.Archive.Ends(ctx, h.archive(iq).Bare())
	if err != nil {
		return failed(err)
	}
	var ends []xml.TokenReader
	for _, end := range []struct {
		local string
		item  Item
	}{{"start", first}, {"end", last}} {
		if end.item.ID == "" {
			continue
		}
		ends = append(ends, xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Local: end.local}, Attr: []xml.Attr{
			attr("id", end.item.ID), attr("timestamp", formatTime(end.item.Stamp)),
		}}))
	}
	return reply(iq, t, xmlstream.Wrap(xmlstream.MultiReader(ends...), xml.StartElement{Name: metadataName}))
}

var metadataName = xml.Name{Space: NS, Local: "metadata"}

// Metadata returns the first and the last place of an archive, the zero JID for the
// account's own, or zero places if it is empty. CatchUp can go up to the last.
//
// An archive that does not announce [NSExtended] commonly refuses, with a
// [stanza.Error].
func (c *Client) Metadata(ctx context.Context, s *xmpp.Session, archive jid.JID) (first, last Place, err error) {
	type end struct {
		ID        string `xml:"id,attr"`
		Timestamp string `xml:"timestamp,attr"`
	}
	answer := struct {
		Start end `xml:"urn:xmpp:mam:2 start"`
		End   end `xml:"urn:xmpp:mam:2 end"`
	}{}
	err = ask(ctx, s, question{
		doing: "asking for the ends of an archive", answer: metadataName,
		iq:      stanza.IQ{Type: stanza.GetIQ, To: archive},
		payload: xmlstream.Wrap(nil, xml.StartElement{Name: metadataName}),
	}, &answer)
	switch {
	case err != nil:
		return Place{}, Place{}, err
	case (answer.Start.ID == "") != (answer.End.ID == ""):
		return Place{}, Place{}, explained{ErrBadAnswer, "an archive with one end"}
	}
	return Place{answer.Start.ID, stampOf(answer.Start.Timestamp)}, Place{answer.End.ID, stampOf(answer.End.Timestamp)}, nil
}

// stampOf reads the time of a server. One that cannot be read is the zero time.
func stampOf(s string) time.Time {
	t, err := parseTime(s)
	if err != nil {
		return time.Time{}
	}
	return t
}
