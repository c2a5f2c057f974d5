// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat

import (
	"encoding/xml"
	"strconv"
	"strings"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"
	"mellium.im/xmpp/stanza"
)

// Stanza is something to send, such as a mucfr.Stanza.
type Stanza interface {
	// AppendXML appends it to b, and returns the extended buffer. It declares no
	// namespace for itself, so that it has the one of the stream that it is written to.
	AppendXML(b []byte) []byte
}

// A request is a stanza that somebody has sent.
type request struct {
	name     string // presence, message or iq
	kind     string // its type
	id       string
	from, to jid.JID
	children xml.TokenReader
}

// newRequest returns the request that an element is. If ok is false it is none, or one
// that cannot be answered.
func newRequest(start xml.StartElement, children xml.TokenReader) (q request, ok bool) {
	q = request{name: start.Name.Local, children: children}
	var err error
	for _, a := range start.Attr {
		if a.Name.Space != "" {
			continue
		}
		switch a.Name.Local {
		case "type":
			q.kind = a.Value
		case "id":
			q.id = a.Value
		case "from":
			q.from, err = jid.Parse(a.Value)
		case "to":
			q.to, err = jid.Parse(a.Value)
		}
		if err != nil {
			return q, false
		}
	}
	return q, q.from.Domainpart() != "" && q.to.Domainpart() != ""
}

// reply returns an answer.
func (q request) reply(kind, body string) packet {
	return packet{name: q.name, kind: kind, id: q.id, from: q.to, to: q.from, body: body}
}

// A packet is a stanza that is not a room's.
type packet struct {
	name, kind, id string
	from, to       jid.JID
	body           string // XML
}

// AppendXML implements [Stanza].
func (p packet) AppendXML(b []byte) []byte {
	b = append(b, '<')
	b = append(b, p.name...)
	for _, a := range [...]struct{ name, value string }{
		{"type", p.kind}, {"from", p.from.String()}, {"to", p.to.String()}, {"id", p.id},
	} {
		if a.value != "" {
			b = append(b, ' ')
			b = append(b, a.name...)
			b = append(b, `="`...)
			b = append(b, escaped(a.value)...)
			b = append(b, '"')
		}
	}
	b = append(b, '>')
	b = append(b, p.body...)
	b = append(b, "</"...)
	b = append(b, p.name...)
	return append(b, '>')
}

// goneXML is what says to a client that it is not inside any more.
func goneXML(a muc.Affiliation, codes ...int) string {
	var b strings.Builder
	b.WriteString(`<x xmlns="` + muc.NSUser + `"><item affiliation="` + a.String() + `" role="none"/>`)
	for _, code := range codes {
		b.WriteString(`<status code="` + strconv.Itoa(code) + `"/>`)
	}
	b.WriteString("</x>")
	return b.String()
}

// escaped returns text as it is written in XML.
func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // A Builder takes everything.
	return b.String()
}

// written returns tokens as XML.
func written(r xml.TokenReader) string {
	var b strings.Builder
	e := xml.NewEncoder(&b)
	if _, err := xmlstream.Copy(e, r); err != nil || e.Flush() != nil {
		return "" // They are our own.
	}
	return b.String()
}

// Errors that stanzas are refused with.
var (
	errAway         = stanza.Error{Type: stanza.Wait, Condition: stanza.RecipientUnavailable}
	errBadRequest   = stanza.Error{Type: stanza.Modify, Condition: stanza.BadRequest}
	errConflict     = stanza.Error{Type: stanza.Cancel, Condition: stanza.Conflict}
	errForbidden    = stanza.Error{Type: stanza.Auth, Condition: stanza.Forbidden}
	errInternal     = stanza.Error{Type: stanza.Wait, Condition: stanza.InternalServerError}
	errMalformed    = stanza.Error{Type: stanza.Modify, Condition: stanza.JIDMalformed}
	errMembers      = stanza.Error{Type: stanza.Auth, Condition: stanza.RegistrationRequired}
	errNotFound     = stanza.Error{Type: stanza.Cancel, Condition: stanza.ItemNotFound}
	errNotInside    = stanza.Error{Type: stanza.Modify, Condition: stanza.NotAcceptable}
	errNotAllowed   = stanza.Error{Type: stanza.Cancel, Condition: stanza.NotAllowed}
	errPassword     = stanza.Error{Type: stanza.Auth, Condition: stanza.NotAuthorized}
	errTooLarge     = stanza.Error{Type: stanza.Modify, Condition: stanza.PolicyViolation}
	errTooMany      = stanza.Error{Type: stanza.Wait, Condition: stanza.ResourceConstraint}
	errUnacceptable = stanza.Error{Type: stanza.Modify, Condition: stanza.NotAcceptable}
	errUnavailable  = stanza.Error{Type: stanza.Wait, Condition: stanza.ServiceUnavailable}
	errUnsupported  = stanza.Error{Type: stanza.Cancel, Condition: stanza.ServiceUnavailable}
)

// errorXML returns an error, behind what shows that it is about a room if it is an
// answer to a presence.
func errorXML(name string, e stanza.Error) string {
	text := written(e.TokenReader())
	if name == "presence" {
		return `<x xmlns="` + muc.NS + `"/>` + text
	}
	return text
}
