// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
)

// Client binds a resource at a server.
//
// It offers itself in the shapes that negotiators take: [Client.Inline] for package
// auth, [Client.Binder] for package pipelining, and [Client.Prefer] for any list of
// stream features. They may be used together, and a session is bound by one of them.
//
// The zero value asks for what everybody wants. A Client must not be changed once it
// is in use; it serves any number of sessions.
type Client struct {
	// Tag is what the software calls itself, such as "Example", to be the beginning of
	// the resource. It is for [Inline]; if it is empty none is sent.
	//
	// Strangers may see it. It must say nothing about the user or the machine, such as
	// a host name (XEP-0386, section 4).
	Tag string

	// NoCarbons says that the session does not want copies of messages (XEP-0280).
	// With [Early] it gets them anyway.
	NoCarbons bool

	// Inactive says that nobody looks at the client (XEP-0352). It is for [Inline]: by
	// others the session begins as active.
	Inactive bool

	// Features are further things to ask for by [Inline].
	Features []ClientFeature

	// Observe is called when a resource is bound: with how, and what the server says
	// about the account at that instant. It is called by the negotiation, which may
	// still fail, of a session whose address will be the JID of the Bound; and by
	// several at once.
	//
	// Of a Bound, Archived tells whether the server has said anything about the
	// archive; the client needs to fetch all that it lacks up to Last, and what comes
	// behind that comes by itself. If it is not set the session began like
	// any other. Times are zero if they are not told.
	Observe func(Protocol, Bound)
}

// ClientFeature is something that a client asks for together with its resource, by
// [Inline].
//
// Its methods are called by several sessions at once.
type ClientFeature interface {
	// Name returns the name by which servers announce it. If the server's
	// announcement is known and it is not in there, it is not asked for.
	Name() string

	// Handles reports whether a child of bound that has some name is the response to it.
	Handles(name xml.Name) bool

	// Request begins one attempt for origin, the address that the session was created
	// with. Request is one element, with its namespace; if it is empty nothing is
	// asked for.
	//
	// Answer, if not nil, is called with the response, if there is one, and the full JID
	// that is bound; d reads on behind start, and need not be read to the end. Its
	// error ends the login.
	Request(origin jid.JID) (request []byte, answer func(d *xml.Decoder, start xml.StartElement, bound jid.JID) error, err error)
}

// Feature returns the stream feature of [Early].
//
// A stock negotiator that has it in a list with [xmpp.BindResource] takes one of
// them by chance: see Prefer.
//
// An answer that is none is an [ErrAnswer], an address that is not the account's an
// [ErrAddress], and the server's refusal a [mellium.im/xmpp/stream.Error]. The
// session is of no more use after any error.
func (c *Client) Feature() xmpp.StreamFeature {
	return xmpp.StreamFeature{
		Name:       earlyName,
		Necessary:  xmpp.Authn,
		Prohibited: xmpp.Ready | xmpp.S2S,
		Parse: func(_ context.Context, d *xml.Decoder, _ *xml.StartElement) (bool, any, error) {
			// Of what is optional a stock negotiator passes over errors, and does all
			// of it.
			return true, nil, d.Skip()
		},
		Negotiate: func(_ context.Context, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, error) {
			return c.negotiate(s)
		},
	}
}

// Prefer returns features with Feature added, and so that [xmpp.BindResource], or
// whatever else in them binds by RFC 6120, is used only by servers that do not offer
// [Early]. That works with stock negotiators, and as pipelining.ClientConfig.Features.
//
// Unlike there, an address that is not the account's is an [ErrAddress].
func (c *Client) Prefer(features ...xmpp.StreamFeature) []xmpp.StreamFeature {
	features = slices.Clone(features)
	known := false
	for i, f := range features {
		known = known || f.Name == earlyName
		if f.Name == legacyName && f.Negotiate != nil {
			features[i].Negotiate = c.fallBack(f)
		}
	}
	if !known {
		features = append(features, c.Feature())
	}
	return features
}

// fallBack returns the Negotiate of a feature of [Legacy] that knows of [Early].
func (c *Client) fallBack(legacy xmpp.StreamFeature) func(context.Context, *xmpp.Session, any) (xmpp.SessionState, io.ReadWriter, error) {
	return func(ctx context.Context, s *xmpp.Session, data any) (xmpp.SessionState, io.ReadWriter, error) {
		if _, offered := s.Feature(NS); offered {
			return c.negotiate(s) // Which one it was that was chosen does not matter.
		}
		origin := s.LocalAddr()
		mask, rw, err := legacy.Negotiate(ctx, s, data)
		if err != nil || mask&xmpp.Ready == 0 {
			return mask, rw, err
		}
		if err := ofAccount(origin, s.LocalAddr()); err != nil {
			s.UpdateAddr(origin)
			return 0, nil, err
		}
		c.observe(Legacy, Bound{JID: s.LocalAddr()})
		return mask, rw, nil
	}
}

// negotiate binds by [Early], step by step.
func (c *Client) negotiate(s *xmpp.Session) (xmpp.SessionState, io.ReadWriter, error) {
	if _, err := s.Conn().Write([]byte(askEarly)); err != nil {
		return 0, nil, err
	}
	r := s.TokenReader()
	defer r.Close()
	start, err := nextStart(r)
	if errors.Is(err, errText) {
		err = fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	if err != nil {
		return 0, nil, err
	}
	b, err := readEarly(r, start, s.LocalAddr())
	if err != nil {
		return 0, nil, err
	}
	s.UpdateAddr(b.JID)
	c.observe(Early, b)
	return xmpp.Ready, nil, nil
}

func (c *Client) observe(p Protocol, b Bound) {
	if c.Observe != nil {
		c.Observe(p, b)
	}
}

// ofAccount checks the address that a server has bound for origin. Who logs in as
// nobody in particular may become anybody of the domain.
func ofAccount(origin, bound jid.JID) error {
	switch {
	case bound.Resourcepart() == "":
		return fmt.Errorf("%w: %q is no full JID", ErrAddress, bound)
	case bound.Domainpart() != origin.Domainpart(),
		origin.Localpart() != "" && bound.Localpart() != origin.Localpart():
		return fmt.Errorf("%w: %q to the session of %q", ErrAddress, bound, origin.Bare())
	}
	return nil
}
