// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"encoding/xml"
	"errors"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// errLimit means that an answer has more in it than a client should take.
var errLimit = errors.New("it is too large")

// limits bound what is read of one stanza: how many tokens, and how many bytes of text
// and attributes, which is what is kept in memory.
type limits struct{ tokens, text int }

// limited reads as much as its limits allow.
type limited struct {
	r xml.TokenReader
	limits
}

func (l *limited) Token() (xml.Token, error) {
	tok, err := l.r.Token()
	l.tokens--
	switch tok := tok.(type) {
	case xml.StartElement:
		for _, a := range tok.Attr {
			l.text -= len(a.Value)
		}
	case xml.CharData:
		l.text -= len(tok)
	}
	if l.tokens < 0 || l.text < 0 {
		return nil, errLimit
	}
	return tok, err
}

// decode reads the rest of the element that begins with start into v.
// The error is errLimit or what reading has said: fields of v are strings, which
// take anything.
func decode(r xml.TokenReader, start xml.StartElement, l limits, v any) error {
	// A decoder must have seen the start tag to accept the end tag.
	return xml.NewTokenDecoder(xmlstream.MultiReader(xmlstream.Token(start), &limited{r, l})).Decode(v)
}

// attribute returns the value of an attribute without a namespace.
func attribute(start xml.StartElement, local string) string {
	for _, a := range start.Attr {
		if a.Name.Space == "" && a.Name.Local == local {
			return a.Value
		}
	}
	return ""
}

func isError(start xml.StartElement) bool {
	return attribute(start, "type") == string(stanza.ErrorIQ)
}

// refusal is an error that an answer has in it, as opposed to one of the stream.
type refusal struct{ why stanza.Error }

func (r refusal) Error() string { return r.why.Error() }
func (r refusal) Unwrap() error { return r.why }

// answerError returns the error of an answer that is one.
func answerError(e *wireError) error {
	se := stanza.Error{Type: stanza.Cancel, Condition: stanza.UndefinedCondition}
	if e == nil {
		return refusal{se}
	}
	if e.Type != "" {
		se.Type = stanza.ErrorType(e.Type)
	}
	for _, c := range e.Conditions {
		if c.XMLName.Space == nsStanzas && c.XMLName.Local != "text" {
			se.Condition = stanza.Condition(c.XMLName.Local)
			break
		}
	}
	return refusal{se}
}

const nsStanzas = "urn:ietf:params:xml:ns:xmpp-stanzas"

// wireError is the error of a stanza, as it is sent.
type wireError struct {
	Type       string `xml:"type,attr"`
	Conditions []struct {
		XMLName xml.Name
	} `xml:",any"`
}

// A sender is whom a stanza is from.
type sender struct {
	jid.JID
	unknown bool // it is no address
}

func senderOf(start xml.StartElement) sender {
	from := attribute(start, "from")
	if from == "" {
		return sender{}
	}
	j, err := jid.Parse(from)
	return sender{j, err != nil}
}

// is reports whether there was no sender, or it is one of some addresses.
func (s sender) is(addresses ...jid.JID) bool {
	if s.unknown {
		return false
	}
	if s.Equal(jid.JID{}) {
		return true
	}
	for _, a := range addresses {
		if s.Equal(a) {
			return true
		}
	}
	return false
}
