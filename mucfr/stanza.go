// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr

import (
	"bytes"
	"encoding/xml"
	"strings"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
)

// Stanza is one stanza that a room sends. It does not change.
type Stanza struct {
	// To is the client that it is for.
	To jid.JID

	to   string // as the value of an attribute
	part *part
	mark *mark // nil if it is not annotated
}

// A mark is an annotation, as it is in all stanzas of one event.
type mark struct {
	element Element
	xml     string
}

func newMark(session, id string) *mark {
	return &mark{
		Element{Session: session, ID: id},
		`<presence-session xmlns="` + NS + `" session="` + session + `" id="` + id + `"/>`,
	}
}

// A part is what a stanza has in common with those that others get.
type part struct {
	name string // presence or message
	attr []byte // attributes but for to, each behind a space
	body []byte
}

// Presence reports whether it is a presence; if not it is a message.
func (s Stanza) Presence() bool { return s.part.name == "presence" }

// Element returns the annotation. If ok is false there is none.
func (s Stanza) Element() (e Element, ok bool) {
	if s.mark == nil {
		return Element{}, false
	}
	return s.mark.element, true
}

// AppendXML appends the stanza to b, and returns the extended buffer. It declares no
// namespace for itself, so that it has the one of the stream that it is written to.
func (s Stanza) AppendXML(b []byte) []byte {
	b = append(b, '<')
	b = append(b, s.part.name...)
	b = append(b, s.part.attr...)
	b = append(b, ` to="`...)
	b = append(b, s.to...)
	b = append(b, `">`...)
	b = append(b, s.part.body...)
	if s.mark != nil {
		b = append(b, s.mark.xml...)
	}
	b = append(b, `</`...)
	b = append(b, s.part.name...)
	return append(b, '>')
}

// size returns the length of what AppendXML appends.
func (s Stanza) size() int {
	n := 2*len(s.part.name) + len(s.part.attr) + len(s.to) + len(s.part.body) + len(`< to=""></>`)
	if s.mark != nil {
		n += len(s.mark.xml)
	}
	return n
}

// TokenReader returns the stanza as tokens, the stanza itself without a namespace.
func (s Stanza) TokenReader() xml.TokenReader {
	return xml.NewDecoder(bytes.NewReader(s.AppendXML(nil)))
}

// WriteXML writes the stanza.
func (s Stanza) WriteXML(w xmlstream.TokenWriter) (n int, err error) {
	return xmlstream.Copy(w, s.TokenReader())
}

// MarshalXML satisfies xml.Marshaler.
func (s Stanza) MarshalXML(e *xml.Encoder, _ xml.StartElement) error {
	_, err := s.WriteXML(e)
	return err
}

// appendEscaped appends text as the value of an attribute or as text.
func appendEscaped(b []byte, text string) []byte {
	if !strings.ContainsAny(text, "<>&'\"\t\n\r") && plain(text) {
		return append(b, text...)
	}
	buf := bytes.NewBuffer(b)
	_ = xml.EscapeText(buf, []byte(text)) // A Buffer takes everything.
	return buf.Bytes()
}

// plain reports whether a text has nothing that XML might not allow.
func plain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] >= 0x7f {
			return false
		}
	}
	return true
}

// appendAttr appends an attribute behind a space, if it has a value.
func appendAttr(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, ' ')
	b = append(b, name...)
	b = append(b, `="`...)
	b = appendEscaped(b, value)
	return append(b, '"')
}
