// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
)

// NSStanzaID is the namespace of ids that archives give to messages (XEP-0359).
const NSStanzaID = "urn:xmpp:sid:0"

// StripStanzaIDs returns a transformer that removes from the stanza that it reads
// each stanza-id that claims to be by one of some addresses.
//
// A server applies it to everything that it receives for an account or a room,
// whether it archives it or not, with the account's bare JID or the room's: only then
// can its clients rely on ids (XEP-0359, section 5).
// Only children of the stanza itself are removed; what is in a forwarded message
// was said by somebody else.
func StripStanzaIDs(by ...jid.JID) xmlstream.Transformer {
	return inside(func(inner xml.TokenReader) xml.TokenReader {
		return removing(inner, func(s xml.StartElement) bool { return claims(s, by) })
	})
}

// claims reports whether an element is a stanza-id by one of some addresses, or by
// what is no address at all: nobody needs it, and who knows what a client makes of it.
func claims(start xml.StartElement, by []jid.JID) bool {
	j, err := idBy(start)
	return errors.Is(err, errNoAddress) || err == nil && slices.ContainsFunc(by, j.Equal)
}

var (
	errNoID      = errors.New("mam: no stanza-id")
	errNoAddress = errors.New("mam: a stanza-id by what is no address")
)

// idBy returns by whom a stanza-id is.
func idBy(start xml.StartElement) (jid.JID, error) {
	if start.Name != (xml.Name{Space: NSStanzaID, Local: "stanza-id"}) {
		return jid.JID{}, errNoID
	}
	for _, a := range start.Attr {
		if a.Name != (xml.Name{Local: "by"}) {
			continue
		}
		j, err := jid.Parse(strings.TrimSpace(a.Value))
		if err != nil {
			return jid.JID{}, errNoAddress
		}
		return j, nil
	}
	return jid.JID{}, errNoID
}

// AddStanzaID returns a transformer that adds to the stanza that it reads the id
// that an archive has given to it. Apply it to the copies of those only who may
// read the archive.
func AddStanzaID(by jid.JID, id string) xmlstream.Transformer {
	return adding(xml.StartElement{
		Name: xml.Name{Space: NSStanzaID, Local: "stanza-id"},
		Attr: []xml.Attr{attr("by", by.String()), attr("id", id)},
	})
}

// AddOriginID returns a transformer that adds to the stanza that it reads an id
// that its sender has given to it, such as a UUID: a client knows its own messages
// by it when they come back. Everybody sees it and nobody vouches for it, so it is
// not how others refer to the message.
func AddOriginID(id string) xmlstream.Transformer {
	return adding(xml.StartElement{
		Name: xml.Name{Space: NSStanzaID, Local: "origin-id"},
		Attr: []xml.Attr{attr("id", id)},
	})
}

// adding adds an empty element at the end of a stanza.
func adding(element xml.StartElement) xmlstream.Transformer {
	return inside(func(inner xml.TokenReader) xml.TokenReader {
		return xmlstream.MultiReader(inner, xmlstream.Wrap(nil, element))
	})
}

// inside transforms what is in a stanza.
func inside(f xmlstream.Transformer) xmlstream.Transformer {
	return func(r xml.TokenReader) xml.TokenReader {
		var (
			begun bool
			inner xml.TokenReader
		)
		return xmlstream.ReaderFunc(func() (xml.Token, error) {
			if begun {
				return inner.Token()
			}
			tok, err := r.Token()
			if start, ok := tok.(xml.StartElement); ok {
				begun = true
				inner = xmlstream.MultiReader(f(xmlstream.Inner(r)), xmlstream.Token(start.End()), r)
			}
			return tok, err
		})
	}
}

// drain reads r to its end. Behind tokens of some weight it is ErrTooLarge, beside
// those.
func drain(r xml.TokenReader, weight int) ([]xml.Token, error) {
	r = limit(r, weight)
	var tokens []xml.Token
	for {
		tok, err := r.Token()
		if tok != nil {
			tokens = append(tokens, xml.CopyToken(tok))
		}
		switch {
		case errors.Is(err, io.EOF) || tok == nil && err == nil:
			return tokens, nil
		case err != nil:
			return tokens, err
		}
	}
}
