// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr

import (
	"encoding/xml"
	"math"
	"strconv"
	"strings"
	"time"

	"mellium.im/xmpp/muc"
)

// Presence is what a client has sent to a room as a presence.
type Presence struct {
	// MUC is set if it asks to enter, and Password is what it shows for that.
	MUC      bool
	Password string

	// History limits the messages that it wants to see (XEP-0045, section 7.2.15).
	History History

	// Request is its first presence-session element, or nil.
	Request *Element

	// Payload is what others see of it.
	Payload Payload
}

// ReadPresence reads the children of a presence, up to the end of the presence or of
// r. The error is [ErrTooLarge] or that of r.
func ReadPresence(r xml.TokenReader) (Presence, error) {
	var (
		p    Presence
		w    payloadWriter
		name = xml.Name{Space: muc.NS, Local: "x"}
	)
	w.child = func(start xml.StartElement, r xml.TokenReader) (bool, error) {
		if e, ok := ElementOf(start); ok && p.Request == nil {
			p.Request = &e
			return true, skip(r)
		}
		if start.Name != name || p.MUC {
			return false, nil
		}
		p.MUC = true
		return true, p.read(r)
	}
	if err := w.all(r); err != nil {
		return Presence{}, err
	}
	p.Payload = w.payload()
	return p, nil
}

// read reads what a client says to enter.
func (p *Presence) read(r xml.TokenReader) error {
	var password strings.Builder
	for depth, within := 1, false; depth > 0; {
		t, err := r.Token()
		switch t := t.(type) {
		case xml.StartElement:
			within = depth == 1 && t.Name == xml.Name{Space: muc.NS, Local: "password"}
			if depth == 1 && t.Name == (xml.Name{Space: muc.NS, Local: "history"}) {
				p.History = historyOf(t.Attr)
			}
			depth++
		case xml.EndElement:
			depth--
			within = false
		case xml.CharData:
			if within && depth == 2 && password.Len()+len(t) <= MaxPayload {
				password.Write(t)
			}
		}
		if err != nil && depth > 0 {
			return err
		}
	}
	p.Password = password.String()
	return nil
}

// History limits the messages that somebody gets who enters a room. The zero value
// leaves it to the room. Of several limits the one holds that leaves the least.
type History struct {
	// MaxStanzas is the number of messages, and MaxChars the number of characters in
	// their stanzas, which a room counts as bytes.
	MaxStanzas, MaxChars *int

	// Since is the time from which on messages are wanted, and Last how long ago they
	// may have been sent.
	Since *time.Time
	Last  *time.Duration
}

// None is a History without messages.
func None() History { return History{MaxChars: new(int)} }

// historyOf returns the limits in a history element. What cannot be understood is as
// if it were not there.
func historyOf(attr []xml.Attr) History {
	var h History
	for _, a := range attr {
		if a.Name.Space != "" {
			continue
		}
		switch a.Name.Local {
		case "maxstanzas":
			h.MaxStanzas = count(a.Value)
		case "maxchars":
			h.MaxChars = count(a.Value)
		case "seconds":
			if n := count(a.Value); n != nil {
				last := time.Duration(min(int64(*n), int64(math.MaxInt64/time.Second))) * time.Second
				h.Last = &last
			}
		case "since":
			if t, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(a.Value)); err == nil {
				h.Since = &t
			}
		}
	}
	return h
}

// count returns a number that is not negative. Those that are too large for an int are
// the largest one.
func count(s string) *int {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 64)
	if err != nil && n != math.MaxUint64 {
		return nil
	}
	i := int(min(n, math.MaxInt))
	return &i
}
