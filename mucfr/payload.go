// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr

import (
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/xmppext/xmppext/internal/xmlname"
)

// MaxPayload is how many bytes of a stanza's payload a room takes, as it is written to
// others. It is what servers commonly take from a client as one stanza.
const MaxPayload = 64 << 10

// ErrTooLarge means that a payload is larger than [MaxPayload]. The stanza is to be
// answered with an error.
var ErrTooLarge = errors.New("mucfr: the stanza is too large for a room")

// Payload is what a client's stanza has in it and what all in the room get: without
// what only rooms may say (see [Strip]). It does not change. The zero value is an empty
// one.
type Payload struct {
	xml           string
	body, subject bool
}

// IsZero reports whether there is nothing in it.
func (p Payload) IsZero() bool { return p.xml == "" }

// HasBody reports whether it is a message with a body, which the room keeps for those
// who come later.
func (p Payload) HasBody() bool { return p.body }

// IsSubject reports whether it is a message that changes the room's subject: one with
// a subject, and without a body or a thread (XEP-0045, section 8.1).
func (p Payload) IsSubject() bool { return p.subject && !p.body }

// String returns it as XML, in the namespace of the stanza around it.
func (p Payload) String() string { return p.xml }

// ReadPayload reads the children of a stanza, up to the end of the stanza or of r.
// The error is [ErrTooLarge] or that of r.
func ReadPayload(r xml.TokenReader) (Payload, error) {
	var w payloadWriter
	if err := w.all(r); err != nil {
		return Payload{}, err
	}
	return w.payload(), nil
}

// A payloadWriter writes the XML of a payload, so that no namespace is declared
// without need, none of another element is relied upon, and nothing is left that an
// XML parser might not take.
type payloadWriter struct {
	b       []byte
	spaces  []string // of the elements around; that of stanzas is empty
	locals  []string
	open    bool // a start tag is
	thread  bool
	body    bool
	subject bool

	// child is told of each child before it is written, and takes it if it returns true.
	child func(start xml.StartElement, r xml.TokenReader) (taken bool, err error)
}

func (w *payloadWriter) payload() Payload {
	return Payload{xml: string(w.b), body: w.body, subject: w.subject && !w.thread}
}

// all writes the children of a stanza.
func (w *payloadWriter) all(r xml.TokenReader) error {
	for {
		t, err := r.Token()
		switch t := t.(type) {
		case xml.StartElement:
			var taken bool
			var failed error
			if taken, failed = w.take(t, r); failed == nil && !taken {
				w.start(t)
			}
			if failed != nil {
				return fmt.Errorf("mucfr: reading a stanza: %w", failed)
			}
		case xml.EndElement:
			if len(w.spaces) == 0 {
				return nil
			}
			w.end()
		case xml.CharData:
			if len(w.spaces) > 0 { // Around elements it is white space.
				w.close()
				w.b = appendEscaped(w.b, string(t))
			}
		}
		if len(w.b) > MaxPayload {
			return ErrTooLarge
		}
		if err == io.EOF {
			if len(w.spaces) > 0 {
				return fmt.Errorf("mucfr: reading a stanza: %w", io.ErrUnexpectedEOF)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("mucfr: reading a stanza: %w", err)
		}
	}
}

// take reads over an element that is not to be written.
func (w *payloadWriter) take(start xml.StartElement, r xml.TokenReader) (bool, error) {
	if len(w.spaces) == 0 && w.child != nil {
		if taken, err := w.child(start, r); taken || err != nil {
			return taken, err
		}
	}
	if !wellFormed(start.Name) || start.Name.Space == nsXML || len(w.spaces) == 0 && reserved(start.Name) {
		return true, skip(r)
	}
	return false, nil
}

func (w *payloadWriter) start(start xml.StartElement) {
	w.close()
	space, around := start.Name.Space, ""
	if n := len(w.spaces); n > 0 {
		around = w.spaces[n-1]
	}
	if around == "" && ofStanzas(space) {
		space = ""
	}
	if len(w.spaces) == 0 && space == "" {
		switch start.Name.Local {
		case "body":
			w.body = true
		case "subject":
			w.subject = true
		case "thread":
			w.thread = true
		}
	}
	w.b = append(w.b, '<')
	w.b = append(w.b, start.Name.Local...)
	if space != around {
		w.b = append(w.b, ` xmlns="`...)
		w.b = appendEscaped(w.b, space)
		w.b = append(w.b, '"')
	}
	// Some servers write attributes in any order, and a presence that has not changed
	// should not look like another one.
	attrs := start.Attr
	if !slices.IsSortedFunc(attrs, byName) {
		attrs = slices.SortedStableFunc(slices.Values(attrs), byName)
	}
	prefixes, seen := 0, make(map[xml.Name]bool, len(attrs))
	for _, a := range attrs {
		if len(w.b) > MaxPayload {
			break // Each may have a long namespace, which costs its sender nothing.
		}
		if a.Name.Space == "xml" {
			a.Name.Space = nsXML // What others write with the prefix is the same attribute.
		}
		if !seen[a.Name] { // Package encoding/xml takes one twice.
			prefixes = w.attr(a, prefixes)
		}
		seen[a.Name] = true
	}
	w.spaces, w.locals, w.open = append(w.spaces, space), append(w.locals, start.Name.Local), true
}

func byName(a, b xml.Attr) int {
	return cmp.Or(cmp.Compare(a.Name.Space, b.Name.Space), cmp.Compare(a.Name.Local, b.Name.Local))
}

// attr writes an attribute, and returns how many prefixes there are then.
func (w *payloadWriter) attr(a xml.Attr, prefixes int) int {
	if a.Name.Space == "xmlns" || !wellFormed(a.Name) {
		return prefixes
	}
	w.b = append(w.b, ' ')
	switch a.Name.Space {
	case "":
	case nsXML:
		w.b = append(w.b, "xml:"...)
	default:
		w.b = fmt.Appendf(w.b, `xmlns:p%d="`, prefixes)
		w.b = appendEscaped(w.b, a.Name.Space)
		w.b = fmt.Appendf(w.b, `" p%d:`, prefixes)
		prefixes++
	}
	w.b = append(w.b, a.Name.Local...)
	w.b = append(w.b, `="`...)
	w.b = appendEscaped(w.b, a.Value)
	w.b = append(w.b, '"')
	return prefixes
}

func (w *payloadWriter) close() {
	if w.open {
		w.b, w.open = append(w.b, '>'), false
	}
}

func (w *payloadWriter) end() {
	n := len(w.spaces) - 1
	if w.open {
		w.b, w.open = append(w.b, "/>"...), false
	} else {
		w.b = append(w.b, "</"...)
		w.b = append(w.b, w.locals[n]...)
		w.b = append(w.b, '>')
	}
	w.spaces, w.locals = w.spaces[:n], w.locals[:n]
}

// Namespaces that XML itself has, and that may not be declared.
const (
	nsXML   = "http://www.w3.org/XML/1998/namespace"
	nsXMLNS = "http://www.w3.org/2000/xmlns/"
)

// wellFormed reports whether a name can be written without its prefix. For package
// encoding/xml an xmlns without one is a name of no namespace.
func wellFormed(name xml.Name) bool {
	return xmlname.Safe(name) && name.Local != "xmlns" && name.Space != nsXMLNS
}

// ofStanzas reports whether a namespace is one that stanzas are in.
func ofStanzas(space string) bool {
	switch space {
	case "", "jabber:client", "jabber:server", "jabber:component:accept", "jabber:component:connect":
		return true
	}
	return false
}

// reserved reports whether only a room may send a child of a stanza.
func reserved(name xml.Name) bool {
	const muc = "http://jabber.org/protocol/muc"
	return name.Space == NS || name.Space == muc || strings.HasPrefix(name.Space, muc+"#")
}

// skip reads to the end of an element.
func skip(r xml.TokenReader) error {
	for depth := 1; depth > 0; {
		t, err := r.Token()
		switch t.(type) {
		case xml.StartElement:
			depth++
		case xml.EndElement:
			depth--
		}
		if err != nil && (err != io.EOF || depth > 0) {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}
