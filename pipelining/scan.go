// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining

import (
	"bytes"
	"fmt"
	"strings"

	"mellium.im/xmpp/stream"
)

const (
	// maxDeclaration bounds <?xml … ?>, in which little can be said.
	maxDeclaration = 128

	// maxAttributes bounds the names of a tag's attributes, in bytes all together.
	// What a negotiation consists of has a handful.
	maxAttributes = 512
)

// An event is what one byte means for the structure of a stream.
type event uint8

const (
	evNone    event = iota
	evSkip          // between elements: white space or the XML declaration
	evHead          // the start tag of the root is complete
	evElement       // a child of the root is complete
	evEnd           // the root itself is complete: nothing may follow
	evWhole         // the root is one empty tag: head and end at once
)

type lexState uint8

const (
	inText  lexState = iota
	inOpen           // behind '<'
	inTag            // in a start or an end tag
	inQuote          // in an attribute's value
	inDecl           // in <?xml … ?>
	inCDATA          // in <![CDATA[ … ]]>
)

// A scanner follows one XML stream byte by byte, as far as it must be known
// where the children of the root begin and end.
//
// It also refuses what a stream must not contain (RFC 6120 §11.1) and
// encoding/xml does not tell from errors or does not see: comments,
// declarations, instructions, entities, and an attribute that stands twice.
// Everything else, well-formedness included, is left to encoding/xml, which
// reads the same bytes behind it.
type scanner struct {
	state   lexState
	begun   bool // a declaration or the root has begun
	tight   bool // white space between children of the root is refused
	closing bool // the tag is an end tag
	empty   bool // the tag's last byte was '/'
	quote   byte
	depth   int
	nmark   int // how much of ]]> or <![CDATA[ has been seen

	named  bool // the tag's name is complete
	child  bool // name is that of a child of the root
	nname  int
	nattrs int // how much of attrs there is
	ndecl  int

	name  [24]byte             // local name of the last tag at depth 0 or 1
	attrs [maxAttributes]byte  // names of the tag's attributes, each between two spaces
	decl  [maxDeclaration]byte // the declaration, without <?

	ref  [8]byte // a reference, without & and ;
	nref int     // its length and one, or 0 outside of references
}

// cdata is what follows '<' at the start of a CDATA section.
const cdata = "![CDATA["

// local returns the local name of the last start tag of the root or of one of
// its children, cut off after 24 bytes.
func (s *scanner) local() string {
	if s == nil {
		return ""
	}
	return string(s.name[:s.nname])
}

// reset makes s what it was in the beginning.
func (s *scanner) reset() {
	s.state, s.begun, s.child, s.tight, s.depth, s.nname, s.ndecl = inText, false, false, false, 0, 0, 0
}

// outside reports whether the next byte belongs to no child of the root.
func (s *scanner) outside() bool { return s.depth <= 1 && s.state == inText }

// between reports whether b is white space between two features, which the stock
// negotiator does not accept in their list.
func (s *scanner) between(b byte) bool {
	return s.depth == 2 && s.state == inText && isSpace(b) && string(s.name[:s.nname]) == "features"
}

func isSpace(b byte) bool { return b == ' ' || b == '\t' || b == '\r' || b == '\n' }

// step reads one byte.
func (s *scanner) step(b byte) (event, error) {
	switch s.state {
	case inText:
		return s.text(b)
	case inOpen:
		return s.open(b)
	case inTag:
		return s.tag(b)
	case inDecl:
		return s.declaration(b)
	case inQuote:
		if b == s.quote {
			s.state = inTag
			return evNone, nil
		}
		return evNone, s.reference(b)
	case inCDATA:
		switch {
		case b == ']' && s.nmark < 2:
			s.nmark++
		case b == '>' && s.nmark == 2:
			s.state = inText
		case b != ']':
			s.nmark = 0
		}
	}
	return evNone, nil
}

func (s *scanner) text(b byte) (event, error) {
	switch {
	case b == '<':
		s.state, s.closing, s.empty, s.nmark, s.nref = inOpen, false, false, 0, 0
	case s.depth > 1:
		return evNone, s.reference(b)
	case isSpace(b) && s.tight && s.depth == 1:
		return evNone, fmt.Errorf("pipelining: white space while authenticating: %w", stream.PolicyViolation)
	case isSpace(b):
		return evSkip, nil
	case s.depth == 0:
		return evNone, fmt.Errorf("pipelining: the stream does not begin with a tag: %w", stream.NotWellFormed)
	default:
		return evNone, fmt.Errorf("pipelining: text between the elements of the stream: %w", stream.BadFormat)
	}
	return evNone, nil
}

// open reads the byte behind '<', and of a CDATA section the eight bytes.
func (s *scanner) open(b byte) (event, error) {
	switch {
	case b == '!' || s.nmark > 0:
		if s.depth < 2 || b != cdata[s.nmark] {
			return evNone, fmt.Errorf("pipelining: comment or declaration in the stream: %w", stream.RestrictedXML)
		}
		if s.nmark++; s.nmark == len(cdata) {
			s.state, s.nmark = inCDATA, 0
		}
		return evNone, nil
	case b == '?':
		if s.begun {
			return evNone, fmt.Errorf("pipelining: processing instruction in the stream: %w", stream.RestrictedXML)
		}
		s.begun, s.state = true, inDecl
		return evSkip, nil
	}
	s.begun, s.state = true, inTag
	s.nattrs = 0
	s.named = b == '/' || s.depth > 1
	if b == '/' {
		s.closing = true
		return evNone, nil
	}
	if !s.named {
		s.nname, s.child = 0, s.depth == 1
	}
	return s.tag(b)
}

func (s *scanner) tag(b byte) (event, error) {
	switch {
	case b == '\'' || b == '"':
		s.state, s.quote, s.named, s.empty, s.nref = inQuote, b, true, false, 0
		return evNone, nil
	case b == '>':
		s.state = inText
		return s.end(), nil
	case b == '=':
		return evNone, s.attribute()
	case b == '/' || isSpace(b):
		s.named = true
		if err := s.attr(' '); err != nil {
			return evNone, err
		}
	default:
		if err := s.attr(b); err != nil {
			return evNone, err
		}
		switch {
		case s.named:
		case b == ':':
			s.nname = 0
		case s.nname < len(s.name):
			s.name[s.nname] = b
			s.nname++
		}
	}
	s.empty = b == '/'
	return evNone, nil
}

// attr notes a byte of the tag outside of its values. Spaces are noted once.
func (s *scanner) attr(b byte) error {
	if b == ' ' && s.nattrs > 0 && s.attrs[s.nattrs-1] == ' ' {
		return nil
	}
	if s.nattrs == len(s.attrs) {
		return fmt.Errorf("pipelining: a tag with over %d bytes of names: %w", maxAttributes, stream.PolicyViolation)
	}
	s.attrs[s.nattrs] = b
	s.nattrs++
	return nil
}

// attribute weighs an attribute whose name is complete: it is the last in attrs.
func (s *scanner) attribute() error {
	s.empty = false
	if err := s.attr(' '); err != nil {
		return err
	}
	attrs := s.attrs[:s.nattrs]
	begin := bytes.LastIndexByte(attrs[:len(attrs)-1], ' ')
	if begin >= 0 && bytes.Contains(attrs[:begin+1], attrs[begin:]) {
		return fmt.Errorf("pipelining: an attribute stands twice: %w", stream.NotWellFormed)
	}
	return nil
}

// reference reads a byte of text. Only what XML itself defines may be referred
// to, as there is nothing to define more in.
func (s *scanner) reference(b byte) error {
	switch {
	case b == '&':
		s.nref = 1
	case s.nref == 0:
	case b == ';':
		name := string(s.ref[:min(s.nref-1, len(s.ref))])
		s.nref = 0
		switch {
		case strings.HasPrefix(name, "#"), name == "lt", name == "gt", name == "amp", name == "apos", name == "quot":
		default:
			return fmt.Errorf("pipelining: entity in the stream: %w", stream.RestrictedXML)
		}
	case s.nref <= len(s.ref):
		s.ref[s.nref-1] = b
		s.nref++
	}
	return nil
}

// declaration reads <?xml … ?>, which is dropped.
func (s *scanner) declaration(b byte) (event, error) {
	if s.ndecl == len(s.decl) {
		return evNone, fmt.Errorf("pipelining: XML declaration over %d bytes: %w", maxDeclaration, stream.PolicyViolation)
	}
	s.decl[s.ndecl] = b
	s.ndecl++
	text, ended := bytes.CutSuffix(s.decl[:s.ndecl], []byte("?>"))
	if !ended {
		return evSkip, nil
	}
	s.state = inText
	rest, ok := bytes.CutPrefix(text, []byte("xml"))
	if !ok || len(rest) > 0 && !isSpace(rest[0]) {
		return evNone, fmt.Errorf("pipelining: processing instruction in the stream: %w", stream.RestrictedXML)
	}
	_, encoding, ok := bytes.Cut(rest, []byte("encoding"))
	if !ok {
		return evSkip, nil
	}
	encoding = bytes.TrimLeft(encoding, "= \t\r\n")
	if len(encoding) > 0 {
		quote := encoding[0]
		if encoding, _, ok = bytes.Cut(encoding[1:], []byte{quote}); ok && bytes.EqualFold(encoding, []byte("UTF-8")) {
			return evSkip, nil
		}
	}
	return evNone, fmt.Errorf("pipelining: the stream is not in UTF-8: %w", stream.UnsupportedEncoding)
}

// end weighs a tag that is complete.
func (s *scanner) end() event {
	switch {
	case s.closing:
		s.depth--
	case !s.empty:
		s.depth++
		if s.depth == 1 {
			return evHead
		}
		return evNone
	}
	switch {
	case !s.closing && s.depth == 0:
		return evWhole
	case s.depth <= 0:
		return evEnd
	case s.depth == 1:
		return evElement
	}
	return evNone
}
