// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package xmpptest

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Transcript is a conversation between a client and a server.
//
// As text it has one [Line] per line:
//
//	# a comment, as are empty lines
//	C: <starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>
//	S: <proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>
//	-- TLS --
//	C: <stream:stream to='example.net' version='1.0'
//	C:  xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>
//	S: <?xml version="1.0"?>\n
//	S: <stream:stream id='${id}' version='1.0'>
//
// Behind “C: ” and “S: ” are the bytes that the client or the server sends.
// Consecutive lines of one side are one flight: their bytes follow each other
// with nothing in between.
// The escapes \n, \r, \t, \\ and \x20 (two hexadecimal digits) stand for single
// bytes; there are no others.
//
// A line “-- name --” separates stages, such as before and after a TLS
// handshake whose bytes cannot be written down.
//
// # Placeholders
//
// In what is expected, ${name} stands for one or more bytes other than quotes
// and angle brackets, up to the first occurrence of the bytes behind it, of
// which there must be some.
// The same name stands for the same bytes from there on, also in what is sent.
// ${_} may stand for other bytes each time and cannot be sent.
// ${$} is a dollar sign, needed only where a brace follows; see [Literal].
type Transcript []Line

// Line is one line of a [Transcript].
type Line struct {
	Kind LineKind

	// Side is who speaks in a line of kind Bytes.
	Side Side

	// Text is what is said, without escapes but with placeholders, or the name of
	// a stage, or the whole line of a comment.
	Text string
}

// LineKind tells what a [Line] is.
type LineKind uint8

// The kinds of lines.
const (
	Bytes   LineKind = iota // bytes of one side
	Stage                   // a separator
	Comment                 // a comment or an empty line
)

// ParseTranscript parses the text form of a transcript.
func ParseTranscript(text string) (Transcript, error) {
	if text == "" {
		return nil, nil
	}
	var tr Transcript
	for i, s := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		line, err := parseLine(strings.TrimSuffix(s, "\r"))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		tr = append(tr, line)
	}
	for i, f := range tr.Flights() {
		if f.Kind != Bytes {
			continue
		}
		if _, err := compile(f.Text); err != nil {
			return nil, fmt.Errorf("flight %d: %w", i+1, err)
		}
	}
	return tr, nil
}

// ReadTranscript parses a file.
func ReadTranscript(file string) (Transcript, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	tr, err := ParseTranscript(string(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return tr, nil
}

func parseLine(s string) (Line, error) {
	switch {
	case s == "" || s[0] == '#':
		return Line{Kind: Comment, Text: s}, nil
	case strings.HasPrefix(s, "-- ") && strings.HasSuffix(s, " --") && len(s) > len("--  --"):
		return Line{Kind: Stage, Text: s[len("-- ") : len(s)-len(" --")]}, nil
	case strings.HasPrefix(s, "C: "), strings.HasPrefix(s, "S: "):
		line := Line{Side: Client}
		if s[0] == 'S' {
			line.Side = Server
		}
		var err error
		line.Text, err = unescape(s[len("C: "):])
		if err == nil && line.Text == "" {
			err = errors.New("a line without bytes")
		}
		return line, err
	}
	return Line{}, errors.New("neither C: nor S: nor -- stage -- nor a comment")
}

// String returns the text form.
func (tr Transcript) String() string {
	var b strings.Builder
	for _, line := range tr {
		b.WriteString(line.String() + "\n")
	}
	return b.String()
}

// String returns the text form, without the end of the line.
func (l Line) String() string {
	switch l.Kind {
	case Bytes:
		return l.Side.String() + ": " + escape(l.Text)
	case Stage:
		return "-- " + l.Text + " --"
	}
	return l.Text
}

// speaker returns the side or the stage.
func (l Line) speaker() string {
	if l.Kind == Stage {
		return l.Text
	}
	return l.Side.String()
}

// Flights returns the transcript without comments and with the lines of each
// flight joined to one.
func (tr Transcript) Flights() Transcript {
	var flights Transcript
	for _, lines := range tr.group() {
		flight := lines[0]
		for _, line := range lines[1:] {
			flight.Text += line.Text
		}
		flights = append(flights, flight)
	}
	return flights
}

// group returns the lines of each flight and stage, without comments.
func (tr Transcript) group() []Transcript {
	var groups []Transcript
	for _, line := range tr {
		last := len(groups) - 1
		switch {
		case line.Kind != Bytes && line.Kind != Stage:
		case last >= 0 && line.Kind == Bytes && groups[last][0].Kind == Bytes && groups[last][0].Side == line.Side:
			groups[last] = append(groups[last], line)
		default:
			groups = append(groups, Transcript{line})
		}
	}
	return groups
}

// escape makes bytes visible that are not, or that would end a line.
func escape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\\':
			b.WriteString(`\\`)
		case r == utf8.RuneError && size == 1, !unicode.IsPrint(r), r == ' ' && i == len(s)-1:
			for _, c := range []byte(s[i : i+size]) {
				fmt.Fprintf(&b, `\x%02x`, c)
			}
		default:
			b.WriteString(s[i : i+size])
		}
		i += size
	}
	return b.String()
}

func unescape(s string) (string, error) {
	var b strings.Builder
	for {
		plain, rest, found := strings.Cut(s, `\`)
		b.WriteString(plain)
		if !found {
			return b.String(), nil
		}
		if rest == "" {
			return "", errors.New(`\ at the end of a line`)
		}
		s = rest[1:]
		switch rest[0] {
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 't':
			b.WriteByte('\t')
		case '\\':
			b.WriteByte('\\')
		case 'x':
			if len(s) < 2 {
				return "", errors.New(`\x without two digits`)
			}
			c, err := strconv.ParseUint(s[:2], 16, 8)
			if err != nil {
				return "", errors.New(`\x without two digits`)
			}
			b.WriteByte(byte(c))
			s = s[2:]
		default:
			return "", fmt.Errorf(`unknown escape \%c`, rest[0])
		}
	}
}
