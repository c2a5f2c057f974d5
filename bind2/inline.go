// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"
)

// maxRequests bounds how many of Server.More a client may ask for at once.
const maxRequests = 16

// Name returns the name of the child of authenticate that asks for a resource.
func (s *Server) Name() xml.Name { return inlineName }

// Offer returns what announces it, with the features that may be asked for. Its
// children have no namespace of their own, so that it is not written again for each.
func (s *Server) Offer(context.Context, *xmpp.Session) xml.TokenReader {
	var features []xml.TokenReader
	list := func(name string) {
		features = append(features, xmlstream.Wrap(nil, xml.StartElement{
			Name: xml.Name{Local: "feature"},
			Attr: []xml.Attr{{Name: xml.Name{Local: "var"}, Value: name}},
		}))
	}
	if s.Carbons {
		list(nsCarbons)
	}
	if s.CSI {
		list(nsCSI)
	}
	for _, f := range s.More {
		list(f.Name())
	}
	var inline xml.TokenReader
	if len(features) > 0 {
		inline = xmlstream.Wrap(xmlstream.MultiReader(features...), xml.StartElement{Name: xml.Name{Local: "inline"}})
	}
	return xmlstream.Wrap(inline, xml.StartElement{Name: inlineName})
}

// Negotiate binds a resource for a client that asks for it within SASL2. Client is
// the id of its user agent, or empty.
//
// If bound is not the zero JID nothing is left to do. If the Store refuses or fails
// the login goes on without a resource: response is nil then, and now the zero
// JID. A request that is too large is the only error.
func (s *Server) Negotiate(ctx context.Context, session *xmpp.Session, client string, bound jid.JID, d *xml.Decoder, start xml.StartElement) (response xml.TokenReader, now jid.JID, err error) {
	if !bound.Equal(jid.JID{}) {
		return nil, jid.JID{}, nil
	}
	e, err := readElement(d, start, ofClient)
	if err != nil {
		if errors.Is(err, errTooLarge) {
			err = fmt.Errorf("%w: %w", err, stream.PolicyViolation)
		}
		return nil, jid.JID{}, err
	}
	r, asked := s.inlineRequest(e, client)
	b, err := s.bind(ctx, session, r)
	if err != nil {
		return nil, jid.JID{}, nil // It is logged, and the client sees that it has none.
	}
	var responses []xml.TokenReader
	for _, a := range asked {
		if r := a.feature.Enable(ctx, session, b.JID, a.request.whole()); r != nil {
			responses = append(responses, r)
		}
	}
	return b.inline(responses), b.JID, nil
}

// A ride is a request for one of Server.More.
type ride struct {
	feature Feature
	request element
}

// inlineRequest reads what a client asks for. What is not known is passed over, as
// it must be if a client asks ahead.
func (s *Server) inlineRequest(e element, client string) (Request, []ride) {
	r := Request{Protocol: Inline, Client: client}
	var (
		asked  []ride
		tagged bool
		given  = make([]bool, len(s.More))
	)
	for _, c := range e.children() {
		switch {
		case c.is(NSInline, "tag"):
			if text, only := c.text(); !tagged && only {
				r.Tag = discreet(text, client)
			}
			tagged = true
			continue
		case c.is(nsCarbons, "enable"):
			r.Carbons = r.Carbons || s.Carbons
			continue
		case c.is(nsCSI, "active"), c.is(nsCSI, "inactive"):
			r.Inactive = s.CSI && c.start.Name.Local == "inactive" // as if they were sent one after the other
			continue
		}
		for i, f := range s.More {
			if len(asked) == maxRequests || !f.Handles(c.start.Name) {
				continue
			}
			if !given[i] {
				asked = append(asked, ride{f, c})
			}
			given[i] = true
			break
		}
	}
	return r, asked
}

// discreet returns a tag if it can be one, and does not tell everybody the id of the
// client (XEP-0386, section 3.2.1).
func discreet(tag, client string) string {
	plain := strings.NewReplacer("-", "").Replace
	if client != "" && strings.Contains(plain(strings.ToLower(tag)), plain(strings.ToLower(client))) {
		return ""
	}
	return cleanTag(tag)
}
