// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package carbons

import (
	"encoding/xml"
	"slices"

	"mellium.im/xmpp/stanza"
)

// plain returns the start of a message without attributes that are called like those
// of a stanza but are in the namespace of one. Mellium takes them for its own, but
// nobody sets or checks them on the way: one by the name of from would be believed.
func plain(start xml.StartElement) xml.StartElement {
	if slices.ContainsFunc(start.Attr, misplaced) {
		start.Attr = slices.DeleteFunc(slices.Clone(start.Attr), misplaced)
	}
	return start
}

// misplaced reports whether an attribute is in a namespace of stanzas. Their own
// attributes are in none.
func misplaced(a xml.Attr) bool { return a.Name.Space != "" && content(a.Name.Space) }

// declares reports whether an attribute declares a namespace. Those of a decoder
// must not reach an encoder, which declares what it needs itself.
func declares(a xml.Attr) bool {
	return a.Name.Space == "xmlns" || a.Name == xml.Name{Local: "xmlns"}
}

// withoutDeclarations returns attributes without declarations of namespaces.
func withoutDeclarations(attrs []xml.Attr) []xml.Attr {
	if !slices.ContainsFunc(attrs, declares) {
		return attrs
	}
	return slices.DeleteFunc(slices.Clone(attrs), declares)
}

// content reports whether a namespace is that of stanzas. An empty one is left to
// the stream.
func content(space string) bool {
	return space == "" || space == stanza.NSClient || space == stanza.NSServer
}
