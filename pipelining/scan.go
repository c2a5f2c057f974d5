// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining

import (
	"fmt"

	"mellium.im/xmpp/stream"
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
// It decides nothing that an XML parser decides: names, namespaces and
// well-formedness are left to encoding/xml, which reads the same bytes behind
// it.
// Comments, declarations and processing instructions, which a stream must not
// contain, end here (RFC 6120 §11.1).
type scanner struct {
	state   lexState
	begun   bool // a declaration or the root has begun
	closing bool // the tag is an end tag
	empty   bool // the tag's last byte was '/'
	quote   byte
	depth   int

	nmark int // how much of ?>, ]]> or <![CDATA[ has been seen

	name  [24]byte // local name of the last tag at depth 0 or 1
	nname int
	named bool
}

// cdata is what follows '<' at the start of a CDATA section.
const cdata = "![CDATA["

// local returns the local name of the last start tag of the root or of one of
// its children, cut off after 24 bytes.
func (s *scanner) local() string { return string(s.name[:s.nname]) }

// outside reports whether the next byte belongs to no child of the root.
func (s *scanner) outside() bool { return s.depth <= 1 && s.state == inText }

// step reads one byte.
func (s *scanner) step(b byte) (event, error) {
	switch s.state {
	case inText:
		return s.text(b)
	case inOpen:
		return s.open(b)
	case inTag:
		return s.tag(b)
	case inQuote:
		if b == s.quote {
			s.state = inTag
		}
	case inDecl:
		if b == '>' && s.nmark == 1 {
			s.state = inText
		}
		s.nmark = 0
		if b == '?' {
			s.nmark = 1
		}
		return evSkip, nil
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
		s.state, s.closing, s.empty, s.nmark = inOpen, false, false, 0
	case s.depth > 1:
	case b == ' ' || b == '\t' || b == '\r' || b == '\n':
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
	if s.depth <= 1 && b != '/' {
		s.nname, s.named = 0, false
	} else {
		s.named = true
	}
	if b == '/' {
		s.closing = true
		return evNone, nil
	}
	return s.tag(b)
}

func (s *scanner) tag(b byte) (event, error) {
	switch {
	case b == '\'' || b == '"':
		s.state, s.quote, s.named, s.empty = inQuote, b, true, false
		return evNone, nil
	case b == '>':
		s.state = inText
		return s.end(), nil
	case b == '/' || b == ' ' || b == '\t' || b == '\r' || b == '\n':
		s.named = true
	case s.named:
	case b == ':':
		s.nname = 0
	case s.nname < len(s.name):
		s.name[s.nname] = b
		s.nname++
	}
	s.empty = b == '/'
	return evNone, nil
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
