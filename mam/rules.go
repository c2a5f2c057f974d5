// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/internal/xmlname"
)

const (
	nsHints   = "urn:xmpp:hints"          // XEP-0334
	nsMarkers = "urn:xmpp:chat-markers:0" // XEP-0333

	// maxMessage bounds a message in an archive, in bytes. Servers commonly take
	// stanzas of up to a quarter of that.
	maxMessage = 1 << 20

	// maxMessageWeight is what such a message weighs at most: of <a/>, each of which
	// is two tokens.
	maxMessageWeight = maxMessage / 4 * (2*64 + 1)
)

// Content is what decides whether a message is archived, and how it counts.
type Content struct {
	// Message is its envelope.
	Message stanza.Message

	// Body and Subject are set if it has one; a body may be empty.
	Body, Subject bool

	// Private is set if it is to or from somebody in a room (XEP-0045, section 7.5).
	Private bool

	// Displayed is the id of the message that the sender says to have read
	// (XEP-0333), or empty.
	Displayed string

	// Store and NoStore are what the sender asks for (XEP-0334).
	Store, NoStore bool
}

// Read reads a message: what it contains, and its XML as an [Archive] takes it.
// The reader must end with the message.
func Read(r xml.TokenReader) (Content, []byte, error) {
	tokens, err := drain(r, maxMessageWeight)
	switch {
	case errors.Is(err, ErrTooLarge):
		return Content{}, nil, ErrTooLarge
	case err != nil:
		return Content{}, nil, fmt.Errorf("mam: reading a message: %w", err)
	}
	c, err := inspect(tokens)
	if err != nil {
		return c, nil, err
	}
	var b bytes.Buffer
	e := xml.NewEncoder(&b)
	if _, err := xmlstream.Copy(e, tokenReader(tokens)); err != nil {
		return c, nil, fmt.Errorf("mam: writing a message: %w", err)
	}
	if err := e.Flush(); err != nil {
		return c, nil, fmt.Errorf("mam: writing a message: %w", err)
	}
	if b.Len() > maxMessage {
		return c, nil, ErrTooLarge
	}
	return c, b.Bytes(), nil
}

// writable reports whether others can read an element that was read.
func writable(start xml.StartElement) bool {
	return xmlname.Safe(start.Name) && !slices.ContainsFunc(start.Attr, func(a xml.Attr) bool { return !xmlname.Safe(a.Name) })
}

// inspect looks at the children of a message. It leaves out declarations of
// namespaces, which encoding/xml makes again, and namespaces that are those of the
// element around, which it would declare again.
func inspect(tokens []xml.Token) (Content, error) {
	var (
		c      Content
		spaces []string // of the elements around
		depth  = 0
	)
	for i, tok := range tokens {
		if _, ok := tok.(xml.StartElement); !ok && depth == 0 {
			return c, errNoMessage
		}
		switch t := tok.(type) {
		case xml.StartElement:
			t.Attr = withoutDeclarations(t.Attr)
			tokens[i] = t
			if !writable(t) {
				return c, errNoMessage
			}
			switch depth {
			case 0:
				if t.Name.Local != "message" || i > 0 {
					return c, errNoMessage
				}
				// They are none of a stanza's, but stanza.NewMessage takes them for it.
				t.Attr = slices.DeleteFunc(t.Attr, func(a xml.Attr) bool {
					return a.Name.Space == stanza.NSClient || a.Name.Space == stanza.NSServer
				})
				tokens[i] = t
				var err error
				if c.Message, err = stanza.NewMessage(t); err != nil {
					return c, fmt.Errorf("mam: %w", err)
				}
			case 1:
				c.child(t)
			}
			depth++
			spaces = append(spaces, t.Name.Space)
			if n := len(spaces); n > 1 && spaces[n-1] == spaces[n-2] {
				t.Name.Space = ""
				tokens[i] = t
			}
		case xml.EndElement:
			depth--
			if n := len(spaces); n > 0 {
				if n > 1 && spaces[n-1] == spaces[n-2] {
					t.Name.Space = ""
					tokens[i] = t
				}
				spaces = spaces[:n-1]
			}
		}
	}
	if len(tokens) == 0 || depth != 0 {
		return c, errNoMessage
	}
	return c, nil
}

func (c *Content) child(start xml.StartElement) {
	switch {
	case start.Name == xml.Name{Space: nsHints, Local: "no-store"},
		start.Name == xml.Name{Space: nsHints, Local: "no-permanent-store"}:
		c.NoStore = true
	case start.Name == xml.Name{Space: nsHints, Local: "store"}:
		c.Store = true
	case start.Name == xml.Name{Space: nsMUCUser, Local: "x"}:
		c.Private = c.Message.Type == stanza.ChatMessage
	case start.Name == xml.Name{Space: nsMarkers, Local: "displayed"}:
		for _, a := range start.Attr {
			if a.Name == (xml.Name{Local: "id"}) {
				c.Displayed = a.Value
			}
		}
	case start.Name.Space != stanza.NSClient && start.Name.Space != stanza.NSServer && start.Name.Space != "":
	case start.Name.Local == "body":
		c.Body = true
	case start.Name.Local == "subject":
		c.Subject = true
	}
}

// ForAccount reports whether the message belongs in an account's archive
// (XEP-0313, section 5.1): messages for people do, and what the sender wants to
// be stored, but not what it does not want to be, errors, and what is said in
// rooms, which keep it themselves.
// What the account wants is for [Preferences.Allow] to say.
func (c Content) ForAccount() bool {
	switch c.Message.Type {
	case stanza.ErrorMessage, stanza.GroupChatMessage:
		return false
	}
	return !c.NoStore && (c.Store || c.Body && c.Message.Type != stanza.HeadlineMessage)
}

// ForRoom reports whether the message belongs in a room's archive (XEP-0313, section
// 6.1): what is said in it and its subjects.
func (c Content) ForRoom() bool {
	return c.Message.Type == stanza.GroupChatMessage && !c.NoStore && (c.Store || c.Body || c.Subject)
}

// ForArchive returns the message as it goes into an account's archive.
// Message is its XML, as [Read] returns it.
func (c Content) ForArchive(account jid.JID, message []byte) Message {
	account = account.Bare()
	from := c.Message.From
	incoming := !from.Equal(jid.JID{}) && !from.Bare().Equal(account)
	m := Message{
		With: from, XML: message, StanzaID: c.Message.ID,
		GroupChat: c.Message.Type == stanza.GroupChatMessage,
		Unread:    incoming && c.Body && c.Message.Type != stanza.ErrorMessage,
	}
	if !incoming {
		m.With = c.Message.To
		if m.With.Equal(jid.JID{}) {
			m.With = account
		}
	}
	if c.Private {
		m.Conversation = m.With
	}
	return m
}
