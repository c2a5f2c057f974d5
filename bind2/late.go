// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2

import (
	"encoding/xml"
	"fmt"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"
)

// RefuseLate returns an option for the handler of a server's sessions that ends a
// session whose client binds once more, in whichever way. Without it nothing comes of
// such a request but, by [Legacy], an error.
func RefuseLate() mux.Option {
	refuse := func(w xmlstream.TokenWriter) error {
		// What Session.Serve says itself stays in its buffer (mellium v0.23.0).
		if _, err := stream.PolicyViolation.WriteXML(w); err != nil {
			return err
		}
		return fmt.Errorf("bind2: a resource is bound already: %w", stream.PolicyViolation)
	}
	element := xmpp.HandlerFunc(func(t xmlstream.TokenReadEncoder, _ *xml.StartElement) error { return refuse(t) })
	iq := mux.IQHandlerFunc(func(_ stanza.IQ, t xmlstream.TokenReadEncoder, _ *xml.StartElement) error { return refuse(t) })
	return func(m *mux.ServeMux) {
		mux.Handle(earlyName, element)(m)
		mux.Handle(inlineName, element)(m)
		mux.IQ(stanza.SetIQ, legacyName, iq)(m)
	}
}
