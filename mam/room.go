// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam

import (
	"encoding/xml"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"
)

const nsMUCUser = "http://jabber.org/protocol/muc#user"

// SetPublisher returns a transformer that says in the message that it reads who has
// sent it to a room, and removes what the sender has said about that: rooms pass it
// on (XEP-0313, section 6.1.2). If the item has no address, nothing is added.
//
// A room applies it to what it archives, and must, for [View] believes it.
// Only readers with [View.RealJIDs] are told; apply it with the zero item to copies
// for others.
func SetPublisher(p muc.Item) xmlstream.Transformer {
	return inside(func(inner xml.TokenReader) xml.TokenReader {
		inner = removing(inner, isPublisher)
		if p.JID.Equal(jid.JID{}) {
			return inner
		}
		item := xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Local: "item"}, Attr: []xml.Attr{
			attr("affiliation", p.Affiliation.String()), attr("jid", p.JID.String()), attr("role", p.Role.String()),
		}})
		return xmlstream.MultiReader(inner, xmlstream.Wrap(item, xml.StartElement{Name: xml.Name{Space: nsMUCUser, Local: "x"}}))
	})
}

// isPublisher reports whether an element says who somebody in a room is.
func isPublisher(start xml.StartElement) bool {
	return start.Name == (xml.Name{Space: nsMUCUser, Local: "x"})
}

// InRoom returns the message as it goes into a room's archive: it is from the
// occupant JID that the room has delivered it from.
// Message is its XML, as [Read] returns it, with what [SetPublisher] has added.
//
// With is the occupant JID, so that is what queries may ask for. A room that wants
// to be asked by real addresses sets it to those.
func (c Content) InRoom(message []byte) Message {
	return Message{With: c.Message.From, XML: message, StanzaID: c.Message.ID, GroupChat: true}
}
