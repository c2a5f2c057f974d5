// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package carbons

import (
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// Append appends to b the copy of a message that the resource to gets, and returns
// the extended buffer.
//
// Direction says whether the account has received or sent the message, t is its type,
// and message its XML: one whole element in the namespace jabber:client, which declares
// that namespace and has the address it is from. It is neither checked nor changed.
// The copy is from the account of to. It has no id, so that nothing answers it.
func Append(b []byte, d Direction, to jid.JID, t stanza.MessageType, message []byte) []byte {
	return AppendAt(b, d, to, t, time.Time{}, message)
}

// AppendAt is Append for a message that the server has received at some time, unless
// that is zero: the copy says so (XEP-0203). It is meant for copies that are
// held back.
func AppendAt(b []byte, d Direction, to jid.JID, t stanza.MessageType, received time.Time, message []byte) []byte {
	account := to.Bare()
	b = append(b, `<message xmlns="jabber:client" from="`...)
	b = appendJID(b, account)
	b = append(b, `" to="`...)
	b = appendJID(b, to)
	b = append(b, `" type="`...)
	b = append(b, typeOf(t)...)
	b = append(b, `"><`...)
	b = append(b, d.String()...)
	b = append(b, ` xmlns="`+NS+`"><forwarded xmlns="`+nsForward+`">`...)
	if !received.IsZero() {
		b = append(b, `<delay xmlns="`+nsDelay+`" stamp="`...)
		b = received.UTC().AppendFormat(b, time.RFC3339Nano)
		b = append(b, `"/>`...)
	}
	b = append(b, message...)
	b = append(b, `</forwarded></`...)
	b = append(b, d.String()...)
	return append(b, `></message>`...)
}

// typeOf returns a type as it is written.
func typeOf(t stanza.MessageType) stanza.MessageType {
	switch t {
	case stanza.ChatMessage, stanza.ErrorMessage, stanza.GroupChatMessage, stanza.HeadlineMessage:
		return t
	}
	return stanza.NormalMessage
}

// appendJID appends an address as the value of an attribute.
func appendJID(b []byte, j jid.JID) []byte {
	if local := j.Localpart(); local != "" {
		b = append(appendEscaped(b, local), '@')
	}
	b = appendEscaped(b, j.Domainpart())
	if resource := j.Resourcepart(); resource != "" {
		b = appendEscaped(append(b, '/'), resource)
	}
	return b
}

// appendEscaped appends text as it is written in an attribute. Addresses hold no
// control characters.
func appendEscaped(b []byte, s string) []byte {
	for i := range len(s) {
		switch s[i] {
		case '&':
			b = append(b, "&amp;"...)
		case '<':
			b = append(b, "&lt;"...)
		case '>':
			b = append(b, "&gt;"...)
		case '"':
			b = append(b, "&#34;"...)
		default:
			b = append(b, s[i])
		}
	}
	return b
}
