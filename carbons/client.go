// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package carbons

import (
	"encoding/xml"
	"errors"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"
)

// Client takes the copies that a server sends to a client, and refuses those of
// anybody else. Package mellium.im/xmpp/carbons asks the server for them.
//
// It must not be changed once it is in use, and is safe for concurrent use if its
// functions are.
type Client struct {
	// Account is the account of the client. If it is the zero JID all copies are
	// forged.
	Account jid.JID

	// Copied gets each copy. It is called by what serves the session, which waits for
	// it, so it must not send anything through the session. If it is nil copies are
	// dropped.
	Copied func(Copy)

	// Refused gets the envelope of each message that only looks like a copy, and why it
	// is none: an error that is ErrForged or ErrMalformed. If it is nil they are
	// dropped without a word.
	Refused func(m stanza.Message, err error)
}

// HandleClient returns an option that registers c, for messages of all types with
// received or sent.
//
// A copy reaches nobody but c: the handlers for what is in it are not called.
func HandleClient(c *Client) mux.Option {
	return func(m *mux.ServeMux) {
		for _, typ := range []stanza.MessageType{
			stanza.NormalMessage, stanza.ChatMessage, stanza.ErrorMessage, stanza.GroupChatMessage, stanza.HeadlineMessage,
		} {
			mux.Message(typ, xml.Name{Space: NS, Local: "received"}, c)(m)
			mux.Message(typ, xml.Name{Space: NS, Local: "sent"}, c)(m)
		}
	}
}

// HandleMessage takes one copy. It never returns an error of what is in it.
func (c *Client) HandleMessage(m stanza.Message, t xmlstream.TokenReadEncoder) error {
	message, err := Unwrap(c.Account, m, t)
	switch {
	case err == nil:
		if c.Copied != nil {
			c.Copied(message)
		}
		return nil
	case errors.Is(err, ErrForged), errors.Is(err, ErrMalformed), errors.Is(err, ErrNotCarbon):
		if c.Refused != nil {
			c.Refused(m, err)
		}
		return nil
	}
	return err // Of the stream.
}
