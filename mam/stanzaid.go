// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam

import (
	"encoding/xml"
	"errors"
	"io"
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
				inner = xmlstream.MultiReader(
					removing(xmlstream.Inner(r), func(s xml.StartElement) bool { return claims(s, by) }),
					xmlstream.Token(start.End()), r)
			}
			return tok, err
		})
	}
}

// claims reports whether an element is a stanza-id by one of some addresses.
func claims(start xml.StartElement, by []jid.JID) bool {
	if start.Name != (xml.Name{Space: NSStanzaID, Local: "stanza-id"}) {
		return false
	}
	for _, a := range start.Attr {
		if a.Name != (xml.Name{Local: "by"}) {
			continue
		}
		j, err := jid.Parse(strings.TrimSpace(a.Value))
		if err != nil {
			return true // Nobody's, and who knows what a client makes of it.
		}
		for _, mine := range by {
			if j.Equal(mine) {
				return true
			}
		}
	}
	return false
}

// AddStanzaID returns a transformer that adds to the stanza that it reads the id
// that an archive has given to it. Apply it to the copies of those only who may
// read the archive.
func AddStanzaID(by jid.JID, id string) xmlstream.Transformer {
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
				inner = xmlstream.MultiReader(
					xmlstream.Inner(r),
					xmlstream.Wrap(nil, xml.StartElement{
						Name: xml.Name{Space: NSStanzaID, Local: "stanza-id"},
						Attr: []xml.Attr{attr("by", by.String()), attr("id", id)},
					}),
					xmlstream.Token(start.End()), r)
			}
			return tok, err
		})
	}
}

// drain reads r to its end.
func drain(r xml.TokenReader) ([]xml.Token, error) {
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
			return nil, err
		}
	}
}
