// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"
)

// errPeer marks a stream error that came from the peer: it is not answered.
type errPeer struct{ err error }

func (e errPeer) Error() string { return "pipelining: the peer ended the stream: " + e.err.Error() }
func (e errPeer) Unwrap() error { return e.err }

// head weighs a complete stream header before the decoder sees it.
func (n *negotiation) head(raw []byte) ([]byte, error) {
	if n.top.in.scan.local() == "error" {
		return nil, n.top.errorInPlaceOfHeader()
	}
	if !n.server {
		n.header = bytes.Clone(raw)
		return raw, nil
	}
	if !n.plain(raw) {
		var err error
		if raw, err = n.weigh(raw); err != nil {
			return nil, err
		}
	}
	if assumed := n.assumed; assumed != nil {
		n.assumed = nil
		return nil, n.sameHeader(*assumed, raw)
	}
	// Once the header is answered, the remote address is the account again.
	n.top.in.pin = n.pinned
	if n.cfg.Proactive || n.top.in.stopIdle {
		n.header = bytes.Clone(raw)
	}
	return raw, nil
}

// plain reports whether there is nothing in a header that has to be looked at
// closely, which is so for what nearly all peers send, and costs little to see.
func (n *negotiation) plain(raw []byte) bool {
	if n.s2s {
		return false
	}
	for _, b := range raw {
		if b == '&' || b >= 0x80 {
			return false // It may stand for anything.
		}
	}
	rest := raw
	for {
		eq := bytes.IndexByte(rest, '=')
		if eq < 0 {
			return true
		}
		name := rest[:eq]
		if i := bytes.LastIndexAny(name, " \t\r\n"); i < 0 || i+1 == eq {
			return false
		} else {
			name = name[i+1:]
		}
		if rest = rest[eq+1:]; len(rest) == 0 || rest[0] != '\'' && rest[0] != '"' {
			return false
		}
		end := bytes.IndexByte(rest[1:], rest[0])
		if end < 0 {
			return false
		}
		value := rest[1 : 1+end]
		rest = rest[end+2:]
		switch {
		case bytes.ContainsAny(value, `'"<>`), bytes.Contains(value, []byte("--")):
			return false // The latter may be a domain that is spelled in ASCII.
		case len(value) == 0 && bytes.HasPrefix(name, []byte("xmlns:")):
			return false
		case string(name) == "from" && n.pinned && string(value) != n.spelled:
			return false
		}
	}
}

// weigh looks at a header closely.
func (n *negotiation) weigh(raw []byte) ([]byte, error) {
	tag, err := parseTag(raw)
	if err != nil {
		return raw, nil // The decoder will say it better.
	}
	changed := false
	for i, a := range tag.Attr {
		var j jid.JID
		if a.Name.Space == "xmlns" && a.Value == "" {
			// With encoding/xml the prefix would come to nothing, and x:to to to.
			return nil, fmt.Errorf("pipelining: a prefix for no namespace: %w", stream.NotWellFormed)
		}
		if a.Value == "" {
			continue // As if it were not there.
		}
		if a.Name.Space == "" && (a.Name.Local == "to" || a.Name.Local == "from") {
			if j, err = jid.Parse(a.Value); err != nil {
				return nil, fmt.Errorf("pipelining: stream header: %w", stream.ImproperAddressing)
			}
		}
		switch a.Name {
		case xml.Name{Local: "to"}:
			if !quotable(j) {
				return nil, fmt.Errorf("pipelining: stream header: %w", stream.HostUnknown)
			}
		case xml.Name{Local: "from"}:
			if j, err = n.from(j); err != nil {
				return nil, err
			}
			changed = changed || j.String() != a.Value
			tag.Attr[i].Value = j.String()
		}
	}
	if changed {
		raw = tag.bytes()
	}
	return raw, nil
}

// from returns the address that the session is to take a header to be from.
func (n *negotiation) from(j jid.JID) (jid.JID, error) {
	if n.pinned {
		if !j.Bare().Equal(n.account) {
			return j, fmt.Errorf("pipelining: the stream header is not from %v, who has authenticated: %w", n.account, stream.InvalidFrom)
		}
		return n.claimed, nil
	}
	if !quotable(j) {
		j = j.Bare()
		if !quotable(j) {
			return j, fmt.Errorf("pipelining: stream header: %w", stream.InvalidFrom)
		}
	}
	if n.s2s && n.in.From.String() == "" {
		n.in.From, n.out.To = j, j
	}
	return j, nil
}

// quotable reports whether mellium can write j into a stream header, which it
// does as it is.
func quotable(j jid.JID) bool { return !strings.ContainsAny(j.String(), `'"<>&`) }

// errorInPlaceOfHeader reads the stream error whose start tag is complete.
// mellium v0.23.0 panics on it.
func (c *Conn) errorInPlaceOfHeader() error {
	rest := c.in
	scan := *rest.scan
	rest.scan = &scan
	rest.owner, rest.pin, rest.budget = nil, false, min(rest.budget, maxHeader)
	rest.vetted = rest.seen
	var se stream.Error
	d := xml.NewDecoder(byteReader{&rest, c})
	if err := d.Decode(&se); err != nil {
		return fmt.Errorf("pipelining: no stream header: %w", stream.NotWellFormed)
	}
	c.in.ended = true
	return errPeer{se}
}

// A byteReader reads on from a copy of a Conn's input.
type byteReader struct {
	in *input
	c  *Conn
}

func (b byteReader) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }

func (b byteReader) ReadByte() (byte, error) {
	for b.in.r == b.in.vetted {
		ready, err := b.in.vet()
		if err != nil {
			return 0, err
		}
		if ready {
			break
		}
		if err := b.c.flush(); err != nil {
			return 0, err
		}
		if err := b.in.fill(b.c.conn); err != nil {
			return 0, err
		}
	}
	b.in.r++
	return b.in.buf[b.in.r-1], nil
}

// A rawTag is a start tag with its prefixes as they were written.
type rawTag struct{ xml.StartElement }

func parseTag(raw []byte) (rawTag, error) {
	d := xml.NewDecoder(bytes.NewReader(raw))
	for {
		tok, err := d.RawToken()
		if err != nil {
			return rawTag{}, err
		}
		if start, ok := tok.(xml.StartElement); ok {
			return rawTag{start.Copy()}, nil
		}
	}
}

func (t rawTag) bytes() []byte {
	var b bytes.Buffer
	name := func(n xml.Name) {
		if n.Space != "" {
			b.WriteString(n.Space + ":")
		}
		b.WriteString(n.Local)
	}
	b.WriteByte('<')
	name(t.Name)
	for _, a := range t.Attr {
		b.WriteByte(' ')
		name(a.Name)
		b.WriteString("='")
		_ = xml.EscapeText(&b, []byte(a.Value)) // A Buffer takes everything.
		b.WriteByte('\'')
	}
	b.WriteByte('>')
	return b.Bytes()
}

// get returns an attribute without prefix.
func (t rawTag) get(local string) string {
	for _, a := range t.Attr {
		if a.Name == (xml.Name{Local: local}) {
			return a.Value
		}
	}
	return ""
}
