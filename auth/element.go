// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/stream"
)

const (
	// maxTokens and maxText bound one element of a peer. What is expected has some
	// dozens of tags at most, and the longest message of a mechanism in use, with
	// a ticket or a web token in it, is some thousand bytes long.
	maxTokens = 1024
	maxText   = 64 << 10

	// maxReplyTokens and maxReplyText bound what a client takes from its server, which
	// may tell much with success.
	maxReplyTokens = 16 << 10
	maxReplyText   = 1 << 20

	// maxMessage bounds what is encoded in base64.
	maxMessage = 24 << 10
)

// errClosed means that the peer has ended its stream in good order.
var errClosed = fmt.Errorf("auth: the peer closed the stream: %w", io.EOF)

// An element is one child of the stream, or a child of one.
type element struct {
	start xml.StartElement
	inner []xml.Token // without the end tag
}

// readElement reads the next child of the stream. Stream errors and the end of
// the stream are errors.
func readElement(r xml.TokenReader, b bounds) (element, error) {
	for {
		tok, err := r.Token()
		if tok == nil && err != nil {
			// An error beside a token is of the next one. Mellium v0.23.0 counts levels
			// wrongly on a server, and has one about text for each.
			if errors.As(err, new(stream.Error)) {
				err = errPeer{err}
			}
			return element{}, err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if tok.Name == (xml.Name{Space: stream.NS, Local: "error"}) {
				return element{}, errPeer{readStreamError(r, tok)}
			}
			e := element{start: tok.Copy()}
			if tok.Name.Space != NSSASL && tok.Name.Space != NSSASL2 {
				return e, nil // It is refused, whatever is in it, and however long that takes to come.
			}
			return e, e.read(r, b)
		case xml.EndElement:
			return element{}, errClosed
		case xml.CharData:
			return element{}, fmt.Errorf("auth: text between elements: %w", stream.PolicyViolation)
		}
	}
}

// bounds are the bounds of one element.
type bounds struct {
	tokens, text int
	excess       error // what is wrong with more
}

var (
	ofClient = bounds{maxTokens, maxText, stream.PolicyViolation}
	ofServer = bounds{maxReplyTokens, maxReplyText, errUnexpected}
)

// read reads up to the end tag.
func (e *element) read(r xml.TokenReader, b bounds) error {
	text := 0
	for depth := 0; ; {
		tok, err := r.Token()
		if tok == nil && err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			depth++
			for _, a := range tok.Attr {
				text += len(a.Value)
			}
		case xml.EndElement:
			if depth == 0 {
				return nil
			}
			depth--
		case xml.CharData:
			text += len(tok)
		}
		if text > b.text || len(e.inner) == b.tokens {
			return fmt.Errorf("auth: %s is too large: %w", e.start.Name.Local, b.excess)
		}
		e.inner = append(e.inner, xml.CopyToken(tok))
	}
}

// errPeer marks a stream error that came from the peer: it is not answered.
type errPeer struct{ error }

func (e errPeer) Unwrap() error { return e.error }

func readStreamError(r xml.TokenReader, start xml.StartElement) error {
	var se stream.Error
	if err := se.UnmarshalXML(xml.NewTokenDecoder(xmlstream.Inner(r)), start); err != nil {
		return err
	}
	return se
}

// children returns the elements within e.
func (e element) children() []element {
	var (
		list  []element
		depth int
	)
	for _, tok := range e.inner {
		start, opens := tok.(xml.StartElement)
		_, closes := tok.(xml.EndElement)
		switch {
		case opens && depth == 0:
			list = append(list, element{start: start})
		case closes && depth == 1:
		case depth > 0:
			last := &list[len(list)-1]
			last.inner = append(last.inner, tok)
		}
		if opens {
			depth++
		}
		if closes {
			depth--
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

// attr returns an attribute without prefix.
func (e element) attr(local string) (string, bool) {
	for _, a := range e.start.Attr {
		if a.Name == (xml.Name{Local: local}) {
			return a.Value, true
		}
	}
	return "", false
}

// decoder returns a decoder that has read the start tag.
func (e element) decoder() *xml.Decoder {
	d := xml.NewTokenDecoder(e.whole())
	_, _ = d.Token() // It is there.
	return d
}

// reader returns what is within e.
func (e element) reader() xml.TokenReader {
	rest := e.inner
	return xmlstream.ReaderFunc(func() (xml.Token, error) {
		if len(rest) == 0 {
			return nil, io.EOF
		}
		tok := rest[0]
		rest = rest[1:]
		return tok, nil
	})
}

// whole returns e.
func (e element) whole() xml.TokenReader {
	return xmlstream.MultiReader(xmlstream.Token(e.start), e.reader(), xmlstream.Token(e.start.End()))
}

// errEncoding means that something is no base64.
var errEncoding = errors.New("auth: incorrect encoding")

// message decodes what is in e. White space around it is passed over, within it
// is none allowed; "=" stands for nothing if the profile says so.
func (e element) message(p *profile) ([]byte, error) {
	text, ok := e.text()
	text = strings.Trim(text, " \t\r\n")
	switch {
	case !ok, len(text) > maxMessage, strings.ContainsAny(text, "\r\n"):
		return nil, errEncoding
	case text == "=" && p.equals:
		return []byte{}, nil
	}
	data, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, errEncoding
	}
	return data, nil
}

// encode encodes data that is there, if only as nothing.
func (p *profile) encode(data []byte) string {
	if len(data) == 0 && p.equals {
		return "="
	}
	return base64.StdEncoding.EncodeToString(data)
}

// write writes an element without children, with text that needs no quoting.
func write(b *bytes.Buffer, local, ns, text string) {
	b.WriteString("<" + local)
	if ns != "" {
		b.WriteString(" xmlns='" + ns + "'")
	}
	if text == "" {
		b.WriteString("/>")
		return
	}
	b.WriteString(">" + text + "</" + local + ">")
}

// quote returns s as it may stand in text and in attributes.
func quote(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // A Builder takes everything.
	return b.String()
}

// undeclare drops declarations of namespaces, which a decoder returns in addition
// to the namespaces, and an encoder would write twice.
var undeclare = xmlstream.RemoveAttr(func(_ xml.StartElement, a xml.Attr) bool {
	return a.Name.Space == "xmlns" || a.Name == xml.Name{Local: "xmlns"}
})

// copyTo writes what r reads.
func copyTo(b *bytes.Buffer, r xml.TokenReader) error {
	if r == nil {
		return nil
	}
	e := xml.NewEncoder(b)
	if _, err := xmlstream.Copy(e, undeclare(r)); err != nil {
		return err
	}
	return e.Flush()
}
