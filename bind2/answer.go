// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2

import (
	"bytes"
	"encoding/xml"
	"strconv"
	"time"

	"mellium.im/xmlstream"
)

// MaxUnreads is how many conversations there may be in Bound.Unreads: more than a
// person will ever read, and few enough for one element, which would otherwise be as
// long as strangers like. What a Store returns beyond, or beyond a mebibyte of what is
// sent, is left out, and so is what a server sends beyond to a client.
const MaxUnreads = 10_000

// maxUnreadsBytes bounds the same in bytes, which is half of what a client takes.
// Strangers choose their addresses, of up to 3071 bytes, several times that if they
// are escaped: a client that cannot read the answer could never bind again.
const maxUnreadsBytes = maxReplyText / 2

// early returns what a client of Early is answered.
func (b Bound) early() []byte {
	var buf bytes.Buffer
	buf.WriteString("<bound xmlns='" + NS + "'>")
	write(&buf, "jid", b.JID.String())
	if b.Archived && b.Last.ID != "" {
		write(&buf, "latest-id", b.Last.ID)
	}
	if b.Unreads != nil {
		buf.WriteString("<unreads>")
		begin := buf.Len()
		for _, u := range b.Unreads[:min(len(b.Unreads), MaxUnreads)] {
			end := buf.Len()
			if u.write(&buf); buf.Len()-begin > maxUnreadsBytes {
				buf.Truncate(end)
				break
			}
		}
		buf.WriteString("</unreads>")
	}
	buf.WriteString("</bound>")
	return buf.Bytes()
}

func (u Unread) write(b *bytes.Buffer) {
	if u.Count <= 0 {
		return // It is no conversation with unread messages.
	}
	b.WriteString("<unread jid='" + quote(u.JID.String()) + "'")
	if u.ReadID != "" {
		b.WriteString(" read-id='" + quote(u.ReadID) + "'")
	}
	b.WriteString(" unread-count='" + strconv.FormatInt(u.Count, 10) + "'/>")
}

// inline returns what a client of Inline is answered, with responses in it.
func (b Bound) inline(responses []xml.TokenReader) xml.TokenReader {
	var children []xml.TokenReader
	if b.Archived {
		children = append(children, b.metadata())
	}
	children = append(children, responses...)
	return xmlstream.Wrap(xmlstream.MultiReader(children...), xml.StartElement{Name: xml.Name{Space: NSInline, Local: "bound"}})
}

// metadata describes the archive as a query for it would (XEP-0313, section 6).
func (b Bound) metadata() xml.TokenReader {
	var ends []xml.TokenReader
	if b.First.ID != "" && b.Last.ID != "" {
		ends = append(ends, b.First.end("start"), b.Last.end("end"))
	}
	return xmlstream.Wrap(xmlstream.MultiReader(ends...), xml.StartElement{Name: xml.Name{Space: nsMAM, Local: "metadata"}})
}

func (e Entry) end(local string) xml.TokenReader {
	return xmlstream.Wrap(nil, xml.StartElement{
		Name: xml.Name{Local: local}, // within metadata
		Attr: []xml.Attr{
			{Name: xml.Name{Local: "id"}, Value: e.ID},
			{Name: xml.Name{Local: "timestamp"}, Value: stamp(e.Time)},
		},
	})
}

// stamp returns a time as XEP-0082 writes it, to the microsecond: what comes behind
// could not be searched for.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.999999Z") }
