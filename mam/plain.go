// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam

import (
	"bytes"
	"encoding/xml"
	"strings"
	"unicode/utf8"
)

const nsXML = "http://www.w3.org/XML/1998/namespace"

// A plain reader reads messages that are written plainly, as what encoding/xml
// writes is: without comments and the like, and with no other prefix than xml.
// Encoding/xml reads everything, but takes many times as long, and a page has
// hundreds of messages.
type plain struct {
	xml  []byte
	text string // the same
	at   int

	tokens []xml.Token
	open   []xml.Name // the elements around
}

// plainTokens appends to tokens those of one complete message element. If ok is
// false it is not plain, or not well-formed.
// They may share its memory, so it must not be changed.
func plainTokens(tokens []xml.Token, message []byte) (_ []xml.Token, ok bool) {
	if !plainText(message) {
		return tokens, false
	}
	p := plain{xml: message, text: string(message), tokens: tokens}
	for p.at < len(p.xml) {
		next := bytes.IndexByte(p.xml[p.at:], '<')
		if next < 0 {
			next = len(p.xml) - p.at
		}
		if next > 0 && !p.charData(p.at+next) {
			return tokens, false
		}
		if p.at == len(p.xml) {
			break
		}
		p.at++
		if p.skip('/') {
			ok = p.end()
		} else {
			ok = (len(p.open) > 0 || len(p.tokens) == len(tokens)) && p.start()
		}
		if !ok {
			return tokens, false
		}
	}
	return p.tokens, len(p.open) == 0 && len(p.tokens) > len(tokens)
}

// plainText reports whether there are no characters but those that XML allows, and
// that stand for themselves.
func plainText(message []byte) bool {
	for _, c := range message {
		if c < ' ' && c != '\t' && c != '\n' { // A carriage return is read as a line feed.
			return false
		}
	}
	return utf8.Valid(message) && !bytes.Contains(message, []byte("\uFFFE")) && !bytes.Contains(message, []byte("\uFFFF"))
}

// charData reads what is not in a tag. Around the message it does not matter.
func (p *plain) charData(end int) bool {
	text := p.xml[p.at:end]
	p.at = end
	if bytes.Contains(text, []byte("]]>")) {
		return false
	}
	if bytes.IndexByte(text, '&') >= 0 {
		s, ok := plainEntities(string(text))
		if !ok {
			return false
		}
		text = []byte(s)
	}
	if len(p.open) > 0 {
		p.tokens = append(p.tokens, xml.CharData(text))
	}
	return true
}

// start reads a start tag behind its first character.
func (p *plain) start() bool {
	local, ok := p.name()
	if !ok || len(p.open) == 0 && local != "message" {
		return false
	}
	start := xml.StartElement{Name: xml.Name{Local: local}}
	if n := len(p.open); n > 0 {
		start.Name.Space = p.open[n-1].Space
	}
	for {
		p.blank()
		if p.skip('>') {
			p.push(start)
			return true
		}
		if p.skip('/') {
			p.push(start)
			p.pop()
			return p.skip('>')
		}
		a, ok := p.attr()
		switch {
		case !ok:
			return false
		case a.Name == xml.Name{Local: "xmlns"}:
			start.Name.Space = a.Value
		default:
			if start.Attr == nil {
				start.Attr = make([]xml.Attr, 0, 4) // from, to, type and id
			}
			start.Attr = append(start.Attr, a)
		}
	}
}

func (p *plain) push(start xml.StartElement) {
	p.tokens = append(p.tokens, start)
	p.open = append(p.open, start.Name)
}

func (p *plain) pop() {
	n := len(p.open) - 1
	p.tokens = append(p.tokens, xml.EndElement{Name: p.open[n]})
	p.open = p.open[:n]
}

// end reads an end tag behind its first two characters.
func (p *plain) end() bool {
	local, ok := p.name()
	n := len(p.open)
	if !ok || n == 0 || p.open[n-1].Local != local {
		return false
	}
	p.blank()
	if !p.skip('>') {
		return false
	}
	p.pop()
	return true
}

// attr reads an attribute.
func (p *plain) attr() (a xml.Attr, ok bool) {
	if strings.HasPrefix(p.text[p.at:], "xml:") {
		p.at += len("xml:")
		a.Name.Space = nsXML
	}
	if a.Name.Local, ok = p.name(); !ok {
		return a, false
	}
	p.blank()
	if !p.skip('=') {
		return a, false
	}
	p.blank()
	if p.at == len(p.xml) {
		return a, false
	}
	quote := p.xml[p.at]
	if quote != '"' && quote != '\'' {
		return a, false
	}
	p.at++
	length := strings.IndexByte(p.text[p.at:], quote)
	if length < 0 {
		return a, false
	}
	a.Value = p.text[p.at : p.at+length]
	p.at += length + 1
	if strings.IndexByte(a.Value, '<') >= 0 {
		return a, false
	}
	a.Value, ok = plainEntities(a.Value)
	return a, ok
}

// name reads a name of ASCII characters, without a prefix.
func (p *plain) name() (string, bool) {
	begin := p.at
	for p.at < len(p.xml) {
		c := p.xml[p.at]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
		if !letter && (p.at == begin || c != '-' && c != '.' && (c < '0' || '9' < c)) {
			break
		}
		p.at++
	}
	return p.text[begin:p.at], p.at > begin
}

// skip reads a character if it is c.
func (p *plain) skip(c byte) bool {
	if p.at == len(p.xml) || p.xml[p.at] != c {
		return false
	}
	p.at++
	return true
}

// blank reads white space.
func (p *plain) blank() {
	for p.at < len(p.xml) && (p.xml[p.at] == ' ' || p.xml[p.at] == '\t' || p.xml[p.at] == '\n') {
		p.at++
	}
}

// plainEntities replaces entities, if they are such as encoding/xml writes.
func plainEntities(s string) (string, bool) {
	if strings.IndexByte(s, '&') < 0 {
		return s, true
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "&")
		b.WriteString(before)
		if !found {
			return b.String(), true
		}
		entity, rest, found := strings.Cut(after, ";")
		if !found {
			return "", false
		}
		switch entity {
		case "amp":
			b.WriteByte('&')
		case "lt":
			b.WriteByte('<')
		case "gt":
			b.WriteByte('>')
		case "quot", "#34":
			b.WriteByte('"')
		case "apos", "#39":
			b.WriteByte('\'')
		case "#x9":
			b.WriteByte('\t')
		case "#xA":
			b.WriteByte('\n')
		case "#xD":
			b.WriteByte('\r')
		default:
			return "", false
		}
		s = rest
	}
}
