// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr

import (
	"encoding/xml"
	"io"

	"mellium.im/xmlstream"
)

// NS is the namespace of fast reconnects, and what a room announces that has them.
const NS = "urn:xmpp:presence-session:0"

// Types of an [Element]. Any other value is as if there were none.
const (
	// Resume asks for what has changed since the stanza that Session and ID are of.
	Resume = "resume"

	// Truncated says that the room does not send all messages that have been missed.
	Truncated = "truncated"
)

// Element is a presence-session element (XEP-0311, section 4). The zero value asks a
// room for fast reconnects.
type Element struct {
	// Session is a room, as long as it is the same one, and ID a stanza in it. Only the
	// room understands them: to all others they are equal or not.
	Session, ID string

	// Type is empty, Resume or Truncated.
	Type string
}

// Name is the name of an [Element] in XML.
func Name() xml.Name { return xml.Name{Space: NS, Local: "presence-session"} }

// ElementOf returns the Element that a start element is of. If ok is false it is of
// another one.
func ElementOf(start xml.StartElement) (e Element, ok bool) {
	if start.Name != Name() {
		return Element{}, false
	}
	for _, a := range start.Attr {
		switch a.Name {
		case xml.Name{Local: "session"}:
			e.Session = a.Value
		case xml.Name{Local: "id"}:
			e.ID = a.Value
		case xml.Name{Local: "type"}:
			if a.Value == Resume || a.Value == Truncated {
				e.Type = a.Value
			}
		}
	}
	return e, true
}

// TokenReader returns the element as XML, without attributes that are empty.
func (e Element) TokenReader() xml.TokenReader {
	start := xml.StartElement{Name: Name()}
	for _, a := range [...]xml.Attr{
		{Name: xml.Name{Local: "session"}, Value: e.Session},
		{Name: xml.Name{Local: "id"}, Value: e.ID},
		{Name: xml.Name{Local: "type"}, Value: e.Type},
	} {
		if a.Value != "" {
			start.Attr = append(start.Attr, a)
		}
	}
	return xmlstream.Wrap(nil, start)
}

// WriteXML writes the element.
func (e Element) WriteXML(w xmlstream.TokenWriter) (n int, err error) {
	return xmlstream.Copy(w, e.TokenReader())
}

// Strip is a transformer that takes out the elements that only rooms may send, as
// children of a stanza: those of this package and what says who somebody is in a room
// (http://jabber.org/protocol/muc#user and the like).
func Strip(r xml.TokenReader) xml.TokenReader {
	depth := 0
	return xmlstream.ReaderFunc(func() (xml.Token, error) {
		for {
			t, err := r.Token()
			switch start := t.(type) {
			case xml.StartElement:
				if depth == 1 && reserved(start.Name) {
					if err == nil {
						err = skip(r)
					}
					if err != nil && err != io.EOF {
						return nil, err
					}
					if err == nil {
						continue
					}
					return nil, err
				}
				depth++
			case xml.EndElement:
				depth--
			}
			return t, err
		}
	})
}
