// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package carbons

import (
	"encoding/xml"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// Wrap returns the copy of a message that the resource to gets, as [Append] does for
// bytes.
//
// The message is put into the namespace jabber:client if it has none or is in that of
// servers, and so are its children. Declarations of namespaces are left out, as
// encoding/xml makes them again.
func Wrap(d Direction, to jid.JID, t stanza.MessageType, message xml.TokenReader) xml.TokenReader {
	return WrapAt(d, to, t, time.Time{}, message)
}

// WrapAt is Wrap for a message that the server has received at some time, as
// [AppendAt] is Append.
func WrapAt(d Direction, to jid.JID, t stanza.MessageType, received time.Time, message xml.TokenReader) xml.TokenReader {
	forwarded := forClients(message)
	if !received.IsZero() {
		forwarded = xmlstream.MultiReader(xmlstream.Wrap(nil, xml.StartElement{
			Name: xml.Name{Space: nsDelay, Local: "delay"},
			Attr: []xml.Attr{{Name: xml.Name{Local: "stamp"}, Value: received.UTC().Format(time.RFC3339Nano)}},
		}), forwarded)
	}
	return stanza.Message{
		XMLName: xml.Name{Space: stanza.NSClient, Local: "message"},
		From:    to.Bare(), To: to, Type: typeOf(t),
	}.Wrap(xmlstream.Wrap(
		xmlstream.Wrap(forwarded, xml.StartElement{Name: xml.Name{Space: nsForward, Local: "forwarded"}}),
		xml.StartElement{Name: xml.Name{Space: NS, Local: d.String()}}))
}

// forClients returns a reader of a message as it is sent to clients.
func forClients(r xml.TokenReader) xml.TokenReader {
	depth := 0
	return xmlstream.ReaderFunc(func() (xml.Token, error) {
		tok, err := r.Token()
		switch t := tok.(type) {
		case xml.StartElement:
			t.Name.Space = clientSpace(t.Name.Space, depth)
			t.Attr = withoutDeclarations(t.Attr)
			tok = t
			depth++
		case xml.EndElement:
			depth--
			t.Name.Space = clientSpace(t.Name.Space, depth)
			tok = t
		}
		return tok, err
	})
}

// clientSpace returns the namespace that an element has for clients. What is deeper
// down belongs to whoever has defined it.
func clientSpace(space string, depth int) string {
	if depth == 0 && space == "" || depth <= 1 && space == stanza.NSServer {
		return stanza.NSClient
	}
	return space
}
