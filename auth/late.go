// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth

import (
	"encoding/xml"
	"fmt"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stream"
)

// RefuseLate returns an option for the handler of a server's sessions that ends a
// session whose client authenticates once more (XEP-0388, section 2.6; RFC 6120,
// section 6.4.6). Without it that is passed over in silence.
func RefuseLate() mux.Option {
	refuse := xmpp.HandlerFunc(func(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
		// What Session.Serve says itself stays in its buffer (mellium v0.23.0).
		if _, err := stream.PolicyViolation.WriteXML(t); err != nil {
			return err
		}
		return fmt.Errorf("auth: %s behind authentication: %w", start.Name.Local, stream.PolicyViolation)
	})
	return func(m *mux.ServeMux) {
		for _, p := range []*profile{rfc6120, sasl2} {
			mux.Handle(xml.Name{Space: p.ns, Local: p.begin}, refuse)(m)
		}
	}
}
