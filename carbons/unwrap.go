// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package carbons

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

var (
	// ErrNotCarbon means that a message is not a copy.
	ErrNotCarbon = errors.New("carbons: not a copy")

	// ErrForged means that a copy does not come from the account. Somebody wants it to
	// be taken for a message of somebody else.
	ErrForged = errors.New("carbons: a forged copy")

	// ErrMalformed means that a copy does not hold one message.
	ErrMalformed = errors.New("carbons: a malformed copy")
)

// maxTokens bounds what is held of one copy, which is many times what a stanza of the
// usual size needs.
const maxTokens = 64 << 10

// Copy is a message that one of the account's other resources has received or sent.
//
// It is to be shown. It must not be handled as if this client had received it, and
// nothing may answer it by itself: never if it was sent, and if it was received, only
// if no other client of the account does too (XEP-0280, section 10.4).
type Copy struct {
	// Direction says whether the account has received or sent the message.
	Direction Direction

	// Stamp is when the server received it, or zero if that was just now.
	Stamp time.Time

	// Message is the envelope of the message.
	Message stanza.Message

	// Tokens are the tokens of the whole message element, without declarations of
	// namespaces.
	Tokens []xml.Token
}

// TokenReader returns a reader of the message element.
func (c Copy) TokenReader() xml.TokenReader {
	tokens := c.Tokens
	return xmlstream.ReaderFunc(func() (xml.Token, error) {
		if len(tokens) == 0 {
			return nil, io.EOF
		}
		tok := tokens[0]
		tokens = tokens[1:]
		return tok, nil
	})
}

// Unwrap returns the message of which an incoming message is a copy.
//
// Account is the account of the client, m the envelope of the incoming message, and r
// reads all of its element, as a handler of a mux gets it. What comes from anybody
// but the bare JID of the account is ErrForged; a message without an address is from
// the account, which mellium leaves out.
//
// A copy that does not hold exactly one message is ErrMalformed, and so is one of a copy,
// and one of a message that the account is said to have sent, but that is from
// somebody else.
// Any other error is one of r.
func Unwrap(account jid.JID, m stanza.Message, r xml.TokenReader) (Copy, error) {
	account = account.Bare()
	tokens, err := drain(r)
	if err != nil {
		return Copy{}, err
	}
	outer, ok := envelope(tokens)
	if !ok {
		return Copy{}, ErrNotCarbon
	}
	carbon, n := theOne(children(tokens), isCarbon)
	switch {
	case n == 0:
		return Copy{}, ErrNotCarbon
	case !own(account, m.From), !own(account, outer.From):
		return Copy{}, ErrForged
	case n > 1:
		return Copy{}, malformed("more than one")
	}
	c := Copy{Direction: Received}
	if carbon[0].(xml.StartElement).Name.Local == "sent" {
		c.Direction = Sent
	}
	forwarded, n := theOne(children(carbon), isForwarded)
	if n != 1 {
		return Copy{}, malformed("not one forwarded")
	}
	c.Tokens, n = theOne(children(forwarded), isStanza)
	if n != 1 || c.Tokens[0].(xml.StartElement).Name != (xml.Name{Space: stanza.NSClient, Local: "message"}) {
		return Copy{}, malformed("not one message")
	}
	if c.Message, ok = envelope(c.Tokens); !ok {
		return Copy{}, malformed("not an address")
	}
	if _, n := theOne(children(c.Tokens), isCarbon); n != 0 {
		return Copy{}, malformed("of a copy")
	}
	// It would be shown as the user's own words.
	if c.Direction == Sent && !own(account, c.Message.From.Bare()) {
		return Copy{}, malformed("sent by somebody else")
	}
	if delay, n := theOne(children(forwarded), isDelay); n > 0 {
		c.Stamp = stamp(delay[0].(xml.StartElement))
	}
	return c, nil
}

func malformed(why string) error { return fmt.Errorf("%w: %s", ErrMalformed, why) }

// own reports whether a message is from the account itself.
func own(account, from jid.JID) bool {
	return !account.Equal(jid.JID{}) && (from.Equal(jid.JID{}) || from.Equal(account))
}

func isCarbon(name xml.Name) bool {
	return name.Space == NS && (name.Local == "received" || name.Local == "sent")
}

func isForwarded(name xml.Name) bool {
	return name == xml.Name{Space: nsForward, Local: "forwarded"}
}

// isStanza reports whether an element is called like a stanza, whatever it is.
func isStanza(name xml.Name) bool {
	return name.Local == "message" || name.Local == "presence" || name.Local == "iq"
}

func isDelay(name xml.Name) bool { return name == xml.Name{Space: nsDelay, Local: "delay"} }

// stamp returns the time of a delay. One that cannot be read is zero.
func stamp(start xml.StartElement) time.Time {
	for _, a := range start.Attr {
		if a.Name == (xml.Name{Local: "stamp"}) {
			t, _ := time.Parse(time.RFC3339, a.Value)
			return t
		}
	}
	return time.Time{}
}

// envelope returns the envelope of the message that tokens are, whose first it changes
// to what was believed of it.
func envelope(tokens []xml.Token) (stanza.Message, bool) {
	start, ok := tokens[0].(xml.StartElement)
	if !ok || start.Name.Local != "message" || !content(start.Name.Space) {
		return stanza.Message{}, false
	}
	start = plain(start)
	tokens[0] = start
	m, err := stanza.NewMessage(start)
	return m, err == nil
}

// theOne returns the tokens of the first of some elements that matches, and how many
// do.
func theOne(elements [][]xml.Token, match func(xml.Name) bool) ([]xml.Token, int) {
	var (
		first []xml.Token
		n     int
	)
	for _, e := range elements {
		if match(e[0].(xml.StartElement).Name) {
			if n == 0 {
				first = e
			}
			n++
		}
	}
	return first, n
}

// children returns the tokens of each child of the element that tokens are.
func children(tokens []xml.Token) [][]xml.Token {
	var (
		found        [][]xml.Token
		depth, begin int
	)
	for i, tok := range tokens {
		switch tok.(type) {
		case xml.StartElement:
			if depth == 1 {
				begin = i
			}
			depth++
		case xml.EndElement:
			if depth--; depth == 1 {
				found = append(found, tokens[begin:i+1:i+1])
			}
		}
	}
	return found
}

// drain reads one element, and leaves out declarations of namespaces.
func drain(r xml.TokenReader) ([]xml.Token, error) {
	var (
		tokens []xml.Token
		depth  int
	)
	for {
		tok, err := r.Token()
		if tok != nil {
			if len(tokens) == maxTokens {
				return nil, malformed("too long")
			}
			tok = xml.CopyToken(tok)
			switch t := tok.(type) {
			case xml.StartElement:
				t.Attr = withoutDeclarations(t.Attr)
				tok = t
				depth++
			case xml.EndElement:
				depth--
			}
			tokens = append(tokens, tok)
		}
		switch {
		case len(tokens) > 0 && depth == 0:
			return tokens, nil
		case errors.Is(err, io.EOF), tok == nil && err == nil:
			return nil, fmt.Errorf("carbons: reading a message: %w", io.ErrUnexpectedEOF)
		case err != nil:
			return nil, fmt.Errorf("carbons: reading a message: %w", err)
		}
	}
}
