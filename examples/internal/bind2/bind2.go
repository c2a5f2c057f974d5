// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Package bind2 binds a resource within a SASL2 login (XEP-0386), which saves the
// round trip that would follow on it.
//
// It is only as much as the examples need: a tag is all that a client can say, and
// nothing rides along on the bind.
package bind2

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/xml"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
)

var name = xml.Name{Space: "urn:xmpp:bind:0", Local: "bind"}

// Server binds resources. It is one of the Inline of an auth.Server.
type Server struct{}

// Name returns the name of the element that asks for it.
func (Server) Name() xml.Name { return name }

// Offer returns the element that announces it.
func (Server) Offer(context.Context, *xmpp.Session) xml.TokenReader {
	return xmlstream.Wrap(nil, xml.StartElement{Name: name})
}

// Negotiate binds a resource that begins with the client's tag, if that can be.
func (Server) Negotiate(_ context.Context, s *xmpp.Session, _ string, bound jid.JID, d *xml.Decoder, start xml.StartElement) (xml.TokenReader, jid.JID, error) {
	if !bound.Equal(jid.JID{}) {
		return nil, jid.JID{}, nil
	}
	var asked struct {
		Tag string `xml:"urn:xmpp:bind:0 tag"`
	}
	if err := d.DecodeElement(&asked, &start); err != nil {
		return nil, jid.JID{}, err
	}
	id := rand.Text()[:8]
	full, err := s.RemoteAddr().WithResource(asked.Tag + "." + id)
	if asked.Tag == "" || err != nil {
		full, err = s.RemoteAddr().WithResource(id)
	}
	return xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Space: name.Space, Local: "bound"}}), full, err
}

// Client asks for a resource. It is one of the Inline of an auth.Client.
type Client struct {
	// Tag is what the resource should begin with, for people to see.
	Tag string
}

// Feature returns the name of the element that announces it.
func (Client) Feature() xml.Name { return name }

// Request asks for a resource.
func (c Client) Request(jid.JID, xml.TokenReader) ([]byte, func(*xml.Decoder, xml.StartElement, jid.JID) (jid.JID, error), error) {
	var b bytes.Buffer
	b.WriteString("<bind xmlns='" + name.Space + "'><tag>")
	_ = xml.EscapeText(&b, []byte(c.Tag)) // A Buffer takes everything.
	b.WriteString("</tag></bind>")
	return b.Bytes(), func(_ *xml.Decoder, _ xml.StartElement, address jid.JID) (jid.JID, error) { return address, nil }, nil
}
