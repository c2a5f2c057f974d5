// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package carbons

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

const (
	nsMUCUser    = "http://jabber.org/protocol/muc#user"   // XEP-0045
	nsChatStates = "http://jabber.org/protocol/chatstates" // XEP-0085
	nsReceipts   = "urn:xmpp:receipts"                     // XEP-0184
	nsConference = "jabber:x:conference"                   // XEP-0249
	nsForward    = "urn:xmpp:forward:0"                    // XEP-0297
	nsMarkers    = "urn:xmpp:chat-markers:0"               // XEP-0333
	nsHints      = "urn:xmpp:hints"                        // XEP-0334
)

// errNoMessage is returned by Read.
var errNoMessage = errors.New("carbons: not one message")

// Content is what decides whether a message is copied.
//
// Only children of the message itself count, and what a room's invitation is made of:
// what it forwards or quotes was said elsewhere.
type Content struct {
	// Message is its envelope.
	Message stanza.Message

	// Body is set if it has one, which may be empty.
	Body bool

	// Payload is set if it has a chat state (XEP-0085), or is or asks for a receipt
	// (XEP-0184) or a chat marker (XEP-0333).
	Payload bool

	// Invitation is set if it invites to a room, by itself (XEP-0249) or through the
	// room (XEP-0045, section 7.8.2).
	Invitation bool

	// Occupant is set if it says to be to or from somebody in a room (XEP-0045, section
	// 7.5), and is not the room's invitation. A sent copy of such a message should go
	// only to resources that are in that room, under the nick of the one that sent it.
	// A server that knows who is in which room may set it itself. Nobody gains by
	// lying: the element private has the same effect.
	Occupant bool

	// Private is set if the sender wants no copies, by the element of that name or by
	// the hint no-copy (XEP-0334).
	Private bool

	// Copy is set if it is, or pretends to be, a copy itself.
	Copy bool

	// Answers is set by the caller, or by [Recent], if the message is an error that
	// answers a message that was copied. The error itself does not tell.
	Answers bool

	partial bool // Its end has not been seen.
}

// Eligible reports whether a message is copied to the other resources of an account
// that has received or sent it (XEP-0280, section 6.1).
//
// It is not if what filled c has seen no message, or not to its end.
func (c Content) Eligible(d Direction) bool {
	m := c.Message
	switch {
	case d != Received && d != Sent, c.partial, c.Private, c.Copy:
		return false
	case m.Type == stanza.GroupChatMessage:
		return false // The room sends it to each resource that is there.
	case m.Type == stanza.ErrorMessage:
		// What is in an error is the original's or made up. Nobody but a server sends
		// from a bare JID, so an error to the account itself is about a copy.
		return c.Answers && !c.toOwnAccount()
	case c.Occupant && d == Received && full(m.From):
		return false // The room sends it to each resource that is there.
	case c.Occupant && d == Sent && full(m.To):
		return true
	}
	return m.Type == stanza.ChatMessage ||
		m.Type == stanza.NormalMessage && c.Body ||
		c.Payload || c.Invitation
}

// toOwnAccount reports whether the message is to the bare JID of the account that it
// is from.
func (c Content) toOwnAccount() bool {
	m := c.Message
	return m.To.Equal(jid.JID{}) || m.To.Equal(m.From.Bare())
}

// full reports whether j has a resource.
func full(j jid.JID) bool { return j.Resourcepart() != "" }

// Watch returns a reader of what r reads, unchanged, which on the way sets c to the
// content of the message. C is to be used once the end of the message has been read.
//
// It is an xmlstream.Transformer. What is not a message, or has an address that is
// none, leaves a Content that is not Eligible.
// Of several messages only the first counts.
func (c *Content) Watch(r xml.TokenReader) xml.TokenReader {
	*c = Content{partial: true}
	return &watcher{r: r, c: c}
}

// Read reads a message for its content. The reader must end with the message.
func Read(r xml.TokenReader) (Content, error) {
	c := Content{partial: true}
	w := &watcher{r: r, c: &c}
	for {
		tok, err := w.Token()
		switch {
		case w.err != nil:
			return Content{}, w.err
		case errors.Is(err, io.EOF), tok == nil && err == nil:
			if !w.done {
				return Content{}, errNoMessage
			}
			return c, nil
		case err != nil:
			return Content{}, fmt.Errorf("carbons: reading a message: %w", err)
		}
	}
}

// A watcher passes on tokens and looks at them.
type watcher struct {
	r     xml.TokenReader
	c     *Content
	depth int

	inRoom bool // between the tags of a muc#user
	room   bool // there is a muc#user
	invite bool // which invites

	done bool
	err  error // why this is not one message, for Read
}

// Token reads the next token.
func (w *watcher) Token() (xml.Token, error) {
	tok, err := w.r.Token()
	if tok != nil {
		w.look(tok)
	}
	return tok, err
}

func (w *watcher) look(tok xml.Token) {
	if w.done || w.err != nil {
		if w.err == nil {
			w.err = errNoMessage // There is something behind it.
		}
		return
	}
	switch t := tok.(type) {
	case xml.StartElement:
		switch w.depth {
		case 0:
			w.begin(t)
		case 1:
			w.inRoom = t.Name == xml.Name{Space: nsMUCUser, Local: "x"}
			w.room = w.room || w.inRoom
			w.c.child(t.Name)
		case 2:
			if w.inRoom && t.Name == (xml.Name{Space: nsMUCUser, Local: "invite"}) {
				w.invite, w.c.Invitation = true, true
			}
		}
		w.depth++
	case xml.EndElement:
		if w.depth--; w.depth == 0 {
			w.done, w.c.partial = true, false
			w.c.Occupant = w.room && !w.invite
		}
	default:
		if w.depth == 0 {
			w.err = errNoMessage
		}
	}
}

// begin looks at the first element.
func (w *watcher) begin(start xml.StartElement) {
	if start.Name.Local != "message" || !content(start.Name.Space) {
		w.err = errNoMessage
		return
	}
	var err error
	if w.c.Message, err = stanza.NewMessage(plain(start)); err != nil {
		w.err = fmt.Errorf("carbons: %w", err)
	}
}

// child looks at a child of the message.
func (c *Content) child(name xml.Name) {
	switch name.Space {
	case NS:
		switch name.Local {
		case "private":
			c.Private = true
		case "received", "sent":
			c.Copy = true
		}
	case nsHints:
		c.Private = c.Private || name.Local == "no-copy"
	case nsChatStates, nsReceipts, nsMarkers:
		c.Payload = true
	case nsConference:
		c.Invitation = c.Invitation || name.Local == "x"
	default:
		c.Body = c.Body || name.Local == "body" && content(name.Space)
	}
}
