// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package xmpptest

import (
	"encoding/xml"
	"strings"
)

// Transcript returns what was written so far as a transcript, with a line for
// each stream header and each element below it.
//
// The order is that of the log: it is certain only if the sides take turns.
// Log before TLS starts, or the transcript contains the handshake.
func (l *Link) Transcript() Transcript {
	var tr Transcript
	for _, e := range l.Log() {
		tr = append(tr, Line{Side: e.From, Text: Literal(string(e.Data))})
	}
	return tr.SplitElements()
}

// SplitElements returns an equivalent transcript, without comments, that has a
// line for each stream header and each element below it.
// Flights that are not well-formed are left as they are from the error on.
func (tr Transcript) SplitElements() Transcript {
	var out Transcript
	for _, lines := range tr.group() {
		flight := lines.Flights()
		if flight[0].Kind != Bytes {
			out = append(out, lines...)
			continue
		}
		for _, text := range splitElements(flight[0].Text) {
			out = append(out, Line{Side: flight[0].Side, Text: text})
		}
	}
	return out
}

func splitElements(s string) (parts []string) {
	d := xml.NewDecoder(strings.NewReader(s))
	depth, start := 0, int64(0)
	for {
		tok, err := d.RawToken()
		if err != nil {
			break
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if !isStream(tok.Name) {
				depth++
			}
		case xml.EndElement:
			if !isStream(tok.Name) {
				depth--
			}
		case xml.CharData:
			continue // stays with the element behind it
		}
		if end := d.InputOffset(); depth == 0 && end > start {
			parts = append(parts, s[start:end])
			start = end
		}
	}
	if rest := s[start:]; rest != "" {
		parts = append(parts, rest)
	}
	return parts
}

// isStream reports whether a name, as returned by RawToken, is that of a stream
// header.
func isStream(name xml.Name) bool {
	return name.Local == "stream" && name.Space == "stream"
}
