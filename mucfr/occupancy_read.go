// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"
	"mellium.im/xmpp/stanza"
)

const (
	// maxReason bounds what is said about a presence, and the text of an error. It is
	// several lines of a screen.
	maxReason = 1 << 10

	// maxCodes is how many status codes of a presence are taken. There are not many more.
	maxCodes = 32
)

// errNoStanza means that something was applied that does not begin like a stanza.
var errNoStanza = errors.New("mucfr: not a stanza")

// Apply takes one stanza, from its start element to its end, and returns what it changes.
// Presences and messages of type groupchat from the room are of interest; it may be
// given all others, too.
//
// The error is that of r, if a stanza is not whole. Nothing has changed then.
func (o *Occupancy) Apply(r xml.TokenReader) (Change, error) {
	h, err := readStanza(r)
	if err != nil {
		return Change{}, err
	}
	return o.apply(h), nil
}

// readStanza reads one stanza.
func readStanza(r xml.TokenReader) (*heard, error) {
	var h *heard
	for {
		t, err := r.Token()
		if t != nil {
			switch start, ok := t.(xml.StartElement); {
			case h != nil:
				h.take(t)
			case ok:
				h = hear(start)
			}
			if _, ok := t.(xml.EndElement); ok && h == nil {
				return nil, errNoStanza
			}
		}
		switch {
		case h != nil && h.whole():
			return h, nil
		case err == io.EOF && h != nil:
			return nil, fmt.Errorf("mucfr: reading a stanza: %w", io.ErrUnexpectedEOF)
		case t == nil && err == nil:
			return nil, fmt.Errorf("mucfr: reading a stanza: %w", io.ErrNoProgress)
		case err != nil:
			return nil, fmt.Errorf("mucfr: reading a stanza: %w", err)
		}
	}
}

// A heard is what a stanza says, as far as it has been read.
type heard struct {
	presence bool
	groups   bool // a message to all in a room
	typ, id  string
	from     jid.JID // zero if there is none

	// What there may be more than once counts the first time.
	has         bool // an annotation
	element     Element
	user, item  bool // what the room says about the sender
	affiliation muc.Affiliation
	role        muc.Role
	jid         jid.JID
	nextNick    string
	codes       []int
	reason      text
	destroyed   *Destroyed
	body        bool
	thread      bool
	subject     *text
	failed      stanza.Error
	failure     text

	payload payloadWriter
	large   bool // so that it is not kept
	skip    int  // the depth of what is left out of it; 0 if nothing is

	depth             int // of open elements in the stanza; negative behind it
	child, grandchild place
	into              *text // where text goes, at a depth
	level             int
}

// A place is what an element is that has others of interest in it.
type place uint8

const (
	elsewhere place = iota
	inPayload
	inUser
	inItem
	inDestroy
	inError
)

// A text is the beginning of one.
type text struct {
	b    []byte
	most int
}

// String returns the text, without a character that was cut in two.
func (t text) String() string { return strings.ToValidUTF8(string(t.b), "") }

// hear begins to read a stanza.
func hear(start xml.StartElement) *heard {
	h := &heard{reason: text{most: maxReason}, failure: text{most: maxReason}}
	for _, a := range start.Attr {
		switch a.Name {
		case xml.Name{Local: "from"}:
			h.from = addressOf(a.Value)
		case xml.Name{Local: "type"}:
			h.typ = a.Value
		case xml.Name{Local: "id"}:
			h.id = a.Value
		}
	}
	if ofStanzas(start.Name.Space) {
		h.presence = start.Name.Local == "presence"
		h.groups = start.Name.Local == "message" && h.typ == string(stanza.GroupChatMessage)
	}
	return h
}

// addressOf returns an address, or the zero one if it is none.
func addressOf(s string) jid.JID {
	if j, err := jid.Parse(s); err == nil {
		return j
	}
	return jid.JID{}
}

// whole reports whether the stanza has been read to its end.
func (h *heard) whole() bool { return h.depth < 0 }

// take reads on.
func (h *heard) take(t xml.Token) {
	switch t := t.(type) {
	case xml.StartElement:
		h.begin(t)
		h.depth++
		h.write(func() {
			if !wellFormed(t.Name) || t.Name.Space == nsXML {
				h.skip = h.depth
				return
			}
			h.payload.start(t)
		})
	case xml.EndElement:
		if h.depth > 0 {
			h.write(h.payload.end)
		}
		if h.depth == h.skip {
			h.skip = 0
		}
		h.depth--
		if h.depth < h.level {
			h.into = nil
		}
	case xml.CharData:
		if h.into != nil && h.depth == h.level {
			h.into.b = append(h.into.b, t[:min(len(t), h.into.most-len(h.into.b))]...)
		}
		if h.depth > 0 {
			h.write(func() {
				h.payload.close()
				h.payload.b = appendEscaped(h.payload.b, string(t))
			})
		}
	}
}

// write lets something of the payload be written, if it is to be kept.
func (h *heard) write(what func()) {
	if h.child != inPayload || h.large || h.skip > 0 {
		return
	}
	what()
	if len(h.payload.b) > MaxPresence {
		h.large, h.payload = true, payloadWriter{}
	}
}

// listen keeps the text in the element that begins.
func (h *heard) listen(t *text) { h.into, h.level = t, h.depth+1 }

// begin takes the start of an element.
func (h *heard) begin(start xml.StartElement) {
	switch {
	case h.depth == 0:
		h.child, h.grandchild = h.beginChild(start), elsewhere
	case h.depth == 1 && h.child == inUser && start.Name.Space == muc.NSUser:
		h.grandchild = h.beginUser(start)
	case h.depth == 1:
		h.grandchild = elsewhere
		if h.child == inError && start.Name.Space == stanza.NSError {
			h.beginError(start)
		}
	case h.depth == 2 && start.Name == xml.Name{Space: muc.NSUser, Local: "reason"}:
		if h.grandchild != elsewhere && h.reason.b == nil {
			h.listen(&h.reason)
		}
	}
}

// beginChild takes the start of a child of the stanza.
func (h *heard) beginChild(start xml.StartElement) place {
	e, ok := ElementOf(start)
	switch {
	case ok:
		if !h.has {
			h.has, h.element = true, e
		}
	case start.Name == xml.Name{Space: muc.NSUser, Local: "x"}:
		if !h.user {
			h.user = true
			return inUser
		}
	case h.presence && h.typ == "":
		if !reserved(start.Name) {
			return inPayload
		}
	case !ofStanzas(start.Name.Space):
	case h.typ == string(stanza.ErrorPresence):
		if start.Name.Local == "error" && h.failed.Type == "" {
			h.failed.Type = stanza.ErrorType(valueIn(start, "type"))
			h.failed.By = addressOf(valueIn(start, "by"))
			return inError
		}
	case start.Name.Local == "body":
		h.body = true
	case start.Name.Local == "thread":
		h.thread = true
	case start.Name.Local == "subject":
		if h.subject == nil {
			h.subject = &text{most: MaxSubject}
			h.listen(h.subject)
		}
	}
	return elsewhere
}

// beginUser takes the start of something that the room says about the sender.
func (h *heard) beginUser(start xml.StartElement) place {
	switch start.Name.Local {
	case "item":
		if h.item {
			break
		}
		h.item = true
		for _, a := range start.Attr {
			switch a.Name {
			case xml.Name{Local: "affiliation"}:
				_ = h.affiliation.UnmarshalXMLAttr(a) // What is not known is none.
			case xml.Name{Local: "role"}:
				_ = h.role.UnmarshalXMLAttr(a)
			case xml.Name{Local: "jid"}:
				h.jid = addressOf(a.Value)
			case xml.Name{Local: "nick"}:
				h.nextNick = a.Value
			}
		}
		return inItem
	case "status":
		code, err := strconv.ParseUint(valueIn(start, "code"), 10, 16)
		if err == nil && len(h.codes) < maxCodes {
			h.codes = append(h.codes, int(code))
		}
	case "destroy":
		if h.destroyed == nil {
			h.destroyed = &Destroyed{Alternate: addressOf(valueIn(start, "jid"))}
			return inDestroy
		}
	}
	return elsewhere
}

// beginError takes the start of something that an error has in it.
func (h *heard) beginError(start xml.StartElement) {
	switch {
	case start.Name.Local != "text":
		if h.failed.Condition == "" {
			h.failed.Condition = stanza.Condition(start.Name.Local)
		}
	case h.failure.b == nil:
		h.listen(&h.failure)
	}
}

// valueIn returns the value of an attribute.
func valueIn(start xml.StartElement, local string) string {
	for _, a := range start.Attr {
		if a.Name == (xml.Name{Local: local}) {
			return a.Value
		}
	}
	return ""
}

// nick returns the nickname of who has sent it; it is empty if that is the room.
func (h *heard) nick() string { return h.from.Resourcepart() }

// annotation returns where to resume behind the stanza.
func (h *heard) annotation() (e Element, ok bool) {
	e = Element{Session: h.element.Session, ID: h.element.ID}
	return e, e.Session != "" && e.ID != "" && h.element.Type != Truncated
}

// occupant returns who has sent a presence.
func (h *heard) occupant() Occupant {
	one := Occupant{Nick: h.nick(), Affiliation: h.affiliation, Role: h.role, Payload: h.payload.payload()}
	if !h.jid.Equal(jid.JID{}) {
		one.JIDs = []jid.JID{h.jid}
	}
	return one
}

// next returns the nickname that who has sent it will have.
func (h *heard) next(room jid.JID) string {
	if !slices.Contains(h.codes, StatusRenamed) {
		return ""
	}
	at, err := room.WithResource(h.nextNick)
	if err != nil {
		return ""
	}
	return at.Resourcepart()
}

// final reports whether who has gone may not come back by itself: whatever a client has
// asked for before will be refused.
func (h *heard) final() bool {
	return h.destroyed != nil || slices.ContainsFunc(h.codes, func(code int) bool {
		switch code {
		case StatusBanned, StatusAffiliation, StatusMembersOnly, StatusShutdown:
			return true
		}
		return false
	})
}

// err returns what an error says.
func (h *heard) err() stanza.Error {
	e := h.failed
	if e.Condition == "" {
		e.Condition = stanza.UndefinedCondition
	}
	if t := h.failure.String(); t != "" {
		e.Text = map[string]string{"": t}
	}
	return e
}

// hears reports whether a stanza is one that the room sends to its occupants.
func (o *Occupancy) hears(h *heard) bool {
	return o.room.Domainpart() != "" && h.from.Bare().Equal(o.room) && (h.presence || h.groups)
}
