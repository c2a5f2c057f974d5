// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/carbons"
	"github.com/xmppext/xmppext/mam"
)

// message is one message on its way.
type message struct {
	content mam.Content
	copies  carbons.Content
	noStore bool   // not even until somebody is there (XEP-0334)
	xml     []byte // in jabber:client, without ids by the account that has it
}

// maxMessage bounds a message, by the names and texts in it. It is several times what
// servers commonly take.
const maxMessage = 1 << 20

// read reads a message that an account has received or, if from is not zero, that
// its resource from sends.
func read(account, from jid.JID, r xml.TokenReader) (message, error) {
	var m message
	if !from.Equal(jid.JID{}) {
		r = addressed(r, from)
	}
	tokens := &reader{r: r, m: &m}
	content, raw, err := mam.Read(m.copies.Watch(mam.StripStanzaIDs(account)(tokens)))
	if err != nil {
		if _, bad := stanza.NewMessage(tokens.start); bad != nil {
			err = errAddress // There is nothing else in it that can be wrong.
		}
		return m, fmt.Errorf("hub: %w", err)
	}
	m.content, m.xml = content, raw
	if m.body() < 0 {
		return m, fmt.Errorf("hub: the message does not end as one")
	}
	return m, nil
}

var endTag = []byte("</message>")

// body returns where the message's content ends.
func (m message) body() int {
	if !bytes.HasSuffix(m.xml, endTag) {
		return -1
	}
	return len(m.xml) - len(endTag)
}

// with returns the message with the archive's id in it, and if stamp is not zero, with
// when it was received.
func (m message) with(account jid.JID, id string, stamp time.Time) []byte {
	if id == "" && stamp.IsZero() {
		return m.xml
	}
	end := m.body()
	b := make([]byte, 0, len(m.xml)+160)
	b = append(b, m.xml[:end]...)
	if id != "" {
		b = append(b, "<stanza-id xmlns=\""+mam.NSStanzaID+"\" by=\""...)
		b = appendEscaped(b, account.String())
		b = append(b, "\" id=\""...)
		b = appendEscaped(b, id)
		b = append(b, "\"/>"...)
	}
	if !stamp.IsZero() {
		b = append(b, "<delay xmlns=\"urn:xmpp:delay\" from=\""...)
		b = appendEscaped(b, account.Domain().String())
		b = append(b, "\" stamp=\""...)
		b = stamp.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
		b = append(b, "\"/>"...)
	}
	return append(b, endTag...)
}

func appendEscaped(b []byte, s string) []byte {
	buffer := bytes.NewBuffer(b)
	_ = xml.EscapeText(buffer, []byte(s)) // A Buffer takes everything.
	return buffer.Bytes()
}

// tokens returns a reader of the message.
func (m message) tokens() xml.TokenReader { return xml.NewDecoder(bytes.NewReader(m.xml)) }

// keepable reports whether the message may wait for somebody to be there (XEP-0160,
// section 3).
func (m message) keepable() bool {
	typ := m.content.Message.Type
	return m.content.Body && !m.noStore && (typ == stanza.ChatMessage || typ == stanza.NormalMessage)
}

// A reader reads a message for m, and the same again if it was written: another hub
// takes from the archive what one has taken. It puts what is in the namespace of servers'
// streams into that of clients'; a message without one is taken to be in that.
// What must not be in a stream (RFC 6120, section 11.1), or is no XML for
// everybody, is an error.
type reader struct {
	r     xml.TokenReader
	m     *message
	start xml.StartElement // the first
	outer []string         // the namespaces of the elements around
	size  int
}

// Token reads the next token.
func (r *reader) Token() (xml.Token, error) {
	tok, err := r.r.Token()
	switch t := tok.(type) {
	case xml.StartElement:
		t.Name = r.name(t.Name)
		depth := len(r.outer)
		if !wellFormed(t) || depth == 0 && t.Name != (xml.Name{Space: stanza.NSClient, Local: "message"}) {
			return nil, errMalformed
		}
		if depth == 0 {
			t.Attr = plain(t.Attr)
			r.start = t
		}
		if depth == 1 && t.Name == (xml.Name{Space: "urn:xmpp:hints", Local: "no-store"}) {
			r.m.noStore = true
		}
		r.weigh(t)
		r.outer = append(r.outer, t.Name.Space)
		tok = t
	case xml.EndElement:
		if n := len(r.outer); n > 0 {
			r.outer = r.outer[:n-1]
		}
		t.Name = r.name(t.Name)
		tok = t
	case xml.CharData:
		r.size += len(t)
	case xml.Comment, xml.ProcInst, xml.Directive:
		return nil, errMalformed
	}
	if r.size > maxMessage {
		return nil, mam.ErrTooLarge
	}
	return tok, err
}

// tagWeight is what the tags of an element weigh besides the names in them.
const tagWeight = 16

// weigh counts what is written of a start tag, however its namespaces are declared.
func (r *reader) weigh(start xml.StartElement) {
	r.size += tagWeight + len(start.Name.Local)
	if n := len(r.outer); n == 0 || r.outer[n-1] != start.Name.Space {
		r.size += len(start.Name.Space)
	}
	for _, a := range start.Attr {
		if a.Name.Space != "xmlns" && a.Name != (xml.Name{Local: "xmlns"}) {
			r.size += len(a.Name.Space) + len(a.Name.Local) + len(a.Value)
		}
	}
}

func (r *reader) name(n xml.Name) xml.Name {
	if n.Space == stanza.NSServer || n.Space == "" && len(r.outer) == 0 {
		n.Space = stanza.NSClient
	}
	return n
}

// addressed returns a reader that says in the first element that it is from
// somebody.
func addressed(r xml.TokenReader, from jid.JID) xml.TokenReader {
	begun := false
	return tokenFunc(func() (xml.Token, error) {
		tok, err := r.Token()
		start, ok := tok.(xml.StartElement)
		if begun || !ok {
			return tok, err
		}
		begun = true
		attrs := make([]xml.Attr, 0, len(start.Attr)+1)
		for _, a := range start.Attr {
			if a.Name != (xml.Name{Local: "from"}) {
				attrs = append(attrs, a)
			}
		}
		start.Attr = append(attrs, xml.Attr{Name: xml.Name{Local: "from"}, Value: from.String()})
		return start, err
	})
}

type tokenFunc func() (xml.Token, error)

func (f tokenFunc) Token() (xml.Token, error) { return f() }
