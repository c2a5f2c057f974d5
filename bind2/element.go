// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stream"
)

const (
	// maxTokens and maxText bound what a client asks for, in tags, attributes and
	// texts, and in bytes: a resourcepart of 1023 bytes, or a tag and a dozen
	// features, many times over.
	maxTokens = 512
	maxText   = 16 << 10

	// maxReplyTokens and maxReplyText bound what a client takes from its server: twice
	// MaxUnreads conversations, of some hundred bytes each.
	maxReplyTokens = 128 << 10
	maxReplyText   = 2 << 20
)

// bounds are the bounds of one element, or what is left of them.
type bounds struct{ tokens, text int }

var (
	ofClient = bounds{maxTokens, maxText}
	ofServer = bounds{maxReplyTokens, maxReplyText}
)

var (
	// errClosed means that the peer has ended its stream in good order.
	errClosed = fmt.Errorf("bind2: the peer closed the stream: %w", io.EOF)

	// errText means that there is something between two elements.
	errText = errors.New("bind2: text between elements")

	// errTooLarge means that an element is larger than its bounds.
	errTooLarge = errors.New("is too large")
)

// An element is one child of the stream, or a child of one.
type element struct {
	start xml.StartElement
	inner []xml.Token // without the end tag
}

// nextStart reads up to the next child of the stream. Stream errors and the end of
// the stream are errors.
func nextStart(r xml.TokenReader) (xml.StartElement, error) {
	for {
		tok, err := r.Token()
		if tok == nil && err != nil {
			// An error beside a token is of the next one. Mellium v0.23.0 counts levels
			// wrongly on a server, and has one about text for each.
			if errors.As(err, new(stream.Error)) {
				err = errPeer{err}
			}
			return xml.StartElement{}, err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if tok.Name == (xml.Name{Space: stream.NS, Local: "error"}) {
				var se stream.Error
				if err := se.UnmarshalXML(xml.NewTokenDecoder(xmlstream.Inner(r)), tok); err != nil {
					return xml.StartElement{}, err
				}
				return xml.StartElement{}, errPeer{se}
			}
			return tok.Copy(), nil
		case xml.EndElement:
			return xml.StartElement{}, errClosed
		case xml.CharData:
			if len(bytes.TrimSpace(tok)) > 0 {
				return xml.StartElement{}, errText
			}
		}
	}
}

// errPeer marks a stream error that came from the peer: it is not answered.
type errPeer struct{ error }

func (e errPeer) Error() string { return "bind2: the peer ended the stream: " + e.error.Error() }
func (e errPeer) Unwrap() error { return e.error }

// readElement reads what is behind a start tag, up to its end tag.
func readElement(r xml.TokenReader, start xml.StartElement, b bounds) (element, error) {
	e := element{start: start.Copy()}
	b.take(start)
	for depth := 0; b.tokens >= 0 && b.text >= 0; {
		tok, err := r.Token()
		if tok == nil && err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return e, err
		}
		b.take(tok)
		switch tok.(type) {
		case xml.StartElement:
			depth++
		case xml.EndElement:
			if depth == 0 {
				return e, nil
			}
			depth--
		}
		e.inner = append(e.inner, xml.CopyToken(tok))
	}
	return e, fmt.Errorf("bind2: %s %w", start.Name.Local, errTooLarge)
}

// take takes what a token costs off what is left.
func (b *bounds) take(tok xml.Token) {
	b.tokens--
	switch tok := tok.(type) {
	case xml.StartElement:
		b.tokens -= len(tok.Attr)
		for _, a := range tok.Attr {
			b.text -= len(a.Value)
		}
	case xml.CharData:
		b.text -= len(tok)
	}
}

// children returns the elements within e.
func (e element) children() []element {
	var list []element
	begin, depth := 0, 0
	for i, tok := range e.inner {
		switch tok := tok.(type) {
		case xml.StartElement:
			if depth == 0 {
				list = append(list, element{start: tok})
				begin = i + 1
			}
			depth++
		case xml.EndElement:
			if depth--; depth == 0 {
				list[len(list)-1].inner = e.inner[begin:i]
			}
		}
	}
	return list
}

// child returns the first child of a name.
func (e element) child(space, local string) (element, bool) {
	for _, c := range e.children() {
		if c.is(space, local) {
			return c, true
		}
	}
	return element{}, false
}

func (e element) is(space, local string) bool {
	return e.start.Name == (xml.Name{Space: space, Local: local})
}

// text returns the text of e, and whether there is nothing else in it.
func (e element) text() (string, bool) {
	var b strings.Builder
	only := true
	for _, tok := range e.inner {
		if t, ok := tok.(xml.CharData); ok {
			b.Write(t)
		} else {
			only = false
		}
	}
	return b.String(), only
}

// attr returns an attribute without prefix, or nothing.
func (e element) attr(local string) string {
	for _, a := range e.start.Attr {
		if a.Name == (xml.Name{Local: local}) {
			return a.Value
		}
	}
	return ""
}

// whole returns e.
func (e element) whole() xml.TokenReader {
	rest := e.inner
	inner := xmlstream.ReaderFunc(func() (xml.Token, error) {
		if len(rest) == 0 {
			return nil, io.EOF
		}
		tok := rest[0]
		rest = rest[1:]
		return tok, nil
	})
	return xmlstream.MultiReader(xmlstream.Token(e.start), inner, xmlstream.Token(e.start.End()))
}

// decoder returns a decoder that has read the start tag.
func (e element) decoder() *xml.Decoder {
	d := xml.NewTokenDecoder(e.whole())
	_, _ = d.Token() // It is there.
	return d
}

// quote returns s as it may stand in text and in attributes.
func quote(s string) string {
	if !strings.ContainsFunc(s, special) {
		return s
	}
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // A Builder takes everything.
	return b.String()
}

// special reports whether a character may be one that is not written as it is.
func special(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`<>&'"`, r) }

// write writes an element with text, if there is some.
func write(b *bytes.Buffer, local, text string) {
	b.WriteString("<" + local + ">" + quote(text) + "</" + local + ">")
}
