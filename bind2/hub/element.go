// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub

import (
	"encoding/xml"

	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/internal/xmlname"
)

// Namespaces that no element may be in, because none may be declared as the default
// (Namespaces in XML 1.0, section 3).
const (
	nsXML   = "http://www.w3.org/XML/1998/namespace"
	nsXMLNS = "http://www.w3.org/2000/xmlns/"
)

// fewAttrs is how many attributes are compared with each other without a map.
const fewAttrs = 8

var (
	errMalformed = stanza.Error{Type: stanza.Modify, Condition: stanza.BadRequest, Text: map[string]string{"en": "this is no XML for others"}}
	errAddress   = stanza.Error{Type: stanza.Modify, Condition: stanza.JIDMalformed}
)

// wellFormed reports whether a start tag is one for everybody. Package encoding/xml
// reads more than that, and who gets such a message would lose its stream.
func wellFormed(start xml.StartElement) bool {
	if start.Name.Space == nsXML || start.Name.Space == nsXMLNS || !xmlname.Safe(start.Name) {
		return false
	}
	var seen map[xml.Name]struct{}
	if len(start.Attr) > fewAttrs {
		seen = make(map[xml.Name]struct{}, len(start.Attr))
	}
	for i, a := range start.Attr {
		if a.Name.Space == nsXMLNS || a.Name.Space != "xmlns" && !xmlname.Safe(a.Name) {
			return false
		}
		if seen == nil {
			for _, other := range start.Attr[:i] {
				if other.Name == a.Name {
					return false
				}
			}
			continue
		}
		if _, ok := seen[a.Name]; ok {
			return false
		}
		seen[a.Name] = struct{}{}
	}
	return true
}

// plain returns the attributes of a message without those that are called like a
// stanza's but are in the namespace of one. Mellium takes them for its own, but
// nobody sets or checks them on the way.
func plain(attrs []xml.Attr) []xml.Attr {
	kept := make([]xml.Attr, 0, len(attrs)+1)
	for _, a := range attrs {
		if a.Name.Space != stanza.NSClient && a.Name.Space != stanza.NSServer {
			kept = append(kept, a)
		}
	}
	return kept
}
