// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2

import (
	"encoding/xml"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"mellium.im/xmpp/jid"
)

// readEarly reads the answer of a server to Early, of which the start tag is read.
func readEarly(r xml.TokenReader, start xml.StartElement, origin jid.JID) (Bound, error) {
	if start.Name != (xml.Name{Space: NS, Local: "bound"}) {
		return Bound{}, fmt.Errorf("%w: %s", ErrAnswer, start.Name.Local)
	}
	e, err := readElement(r, start, ofServer)
	if errors.Is(err, errTooLarge) {
		return Bound{}, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	if err != nil {
		return Bound{}, err
	}
	var b Bound
	for _, c := range e.children() {
		switch {
		case c.is(NS, "jid") && b.JID.Equal(jid.JID{}):
			text, _ := c.text()
			if b.JID, err = jid.Parse(strings.TrimSpace(text)); err != nil {
				return Bound{}, fmt.Errorf("%w: %w", ErrAddress, err)
			}
		case c.is(NS, "latest-id") && !b.Archived:
			text, _ := c.text()
			b.Last.ID = strings.TrimSpace(text)
			b.Archived = b.Last.ID != ""
		case c.is(NS, "unreads") && b.Unreads == nil:
			b.Unreads = readUnreads(c)
		}
	}
	if err := ofAccount(origin, b.JID); err != nil {
		return Bound{}, err
	}
	return b, nil
}

// readUnreads reads the conversations with unread messages. Those that make no sense
// are left out, and of those with the same address all but the first.
func readUnreads(e element) []Unread {
	list := []Unread{} // Nothing is unread if there are none.
	seen := make(map[string]bool)
	for _, c := range e.children() {
		if len(list) == MaxUnreads {
			break
		}
		if !c.is(NS, "unread") {
			continue
		}
		count, err := strconv.ParseInt(strings.TrimSpace(c.attr("unread-count")), 10, 64)
		if err != nil || count <= 0 {
			continue
		}
		with, err := jid.Parse(c.attr("jid"))
		if err != nil || seen[with.String()] {
			continue
		}
		seen[with.String()] = true
		list = append(list, Unread{JID: with, ReadID: c.attr("read-id"), Count: count})
	}
	return list
}

// readMetadata reads the ends of the archive (XEP-0313, section 6). If one of them
// is missing, or has no id, nothing is known. A time that is none is not known.
func (b *Bound) readMetadata(e element) {
	var ends []Entry
	for _, local := range []string{"start", "end"} {
		c, ok := e.child(nsMAM, local)
		if !ok {
			continue
		}
		end := Entry{ID: c.attr("id")}
		if end.ID == "" {
			return
		}
		if at, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(c.attr("timestamp"))); err == nil {
			end.Time = at.UTC()
		}
		ends = append(ends, end)
	}
	switch len(ends) {
	case 0:
		b.Archived = true
	case 2:
		b.Archived, b.First, b.Last = true, ends[0], ends[1]
	}
}
