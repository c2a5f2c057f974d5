// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2

import (
	"context"
	"encoding/xml"
	"io"
	"log/slog"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
)

// Server binds resources for clients, in all three ways.
//
// It needs a Store. A Server must not be changed once it is in use; it serves any
// number of sessions.
//
// A Server is an Inline of package auth by its methods Name, Offer and Negotiate.
// It must come behind whatever resumes a stream in auth.Server.Inline, and
// auth.Server.Announce must list none of its features.
type Server struct {
	// Store binds the resources.
	Store Store

	// Archive reports whether the messages of an account are archived. If they are
	// not the account is not offered Early, whose clients count on it.
	// It is called for each stream. If it is nil all accounts are archived.
	Archive func(account jid.JID) bool

	// Carbons and CSI say whether clients of Inline may ask for Request.Carbons and
	// Request.Inactive.
	Carbons, CSI bool

	// More are further things that clients of Inline may ask for, in the order in
	// which they are announced.
	More []Feature

	// Logger gets what a person may want to know about failures of the Store and, at
	// debug level, of binds. If it is nil nothing is logged.
	Logger *slog.Logger
}

// Feature is something that a client may ask for together with its resource, by
// [Inline], so that the session has it from the first message on: stream management,
// for example.
//
// Its methods are called by several sessions at once.
type Feature interface {
	// Name returns the name by which it is announced, which is that of service
	// discovery.
	Name() string

	// Handles reports whether it is asked for by a child of bind that has some name.
	// The first Feature that says so gets it, once in a bind.
	Handles(name xml.Name) bool

	// Enable is called when the resource is bound, with the child that has asked.
	// The response, if not nil, is one element that the client finds in bound. It
	// says so if the feature cannot be had, because the bind is done.
	Enable(ctx context.Context, s *xmpp.Session, bound jid.JID, request xml.TokenReader) (response xml.TokenReader)
}

// Features returns the stream features of a session: those of [Early] and [Legacy],
// of which a client uses one. They are listed once it is authenticated.
//
// As all features of a session must be known before, it is to be called for each
// session, as [xmpp.NewNegotiator] does. If session is nil they may be used for any
// session, but Early is among them only without Archive.
//
// A client that is refused by [Legacy] is told why and may try again, a few times.
// All else that cannot be ends the stream: with not-authorized if it is a stanza
// that had to wait for the resource, resource-constraint or another condition if
// the Store says so, and internal-server-error if it fails.
func (s *Server) Features(session *xmpp.Session) []xmpp.StreamFeature {
	legacy := s.feature(legacyName, (*serving).legacy)
	if s.Archive != nil && (session == nil || !s.Archive(session.RemoteAddr().Bare())) {
		return []xmpp.StreamFeature{legacy}
	}
	return []xmpp.StreamFeature{s.feature(earlyName, (*serving).early), legacy}
}

// feature returns a stream feature that serves clients.
func (s *Server) feature(name xml.Name, serve func(*serving) error) xmpp.StreamFeature {
	return xmpp.StreamFeature{
		Name:       name,
		Necessary:  xmpp.Authn,
		Prohibited: xmpp.Ready | xmpp.S2S,
		List: func(_ context.Context, e xmlstream.TokenWriter, start xml.StartElement) (bool, error) {
			if err := e.EncodeToken(start); err != nil {
				return true, err
			}
			// A stock negotiator is done as soon as one that is required is.
			return true, e.EncodeToken(start.End())
		},
		Negotiate: func(ctx context.Context, session *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, error) {
			r := session.TokenReader()
			defer r.Close()
			v := &serving{Server: s, ctx: ctx, session: session, r: r}
			if err := serve(v); err != nil {
				v.hangUp(err)
				return 0, nil, err
			}
			return xmpp.Ready, nil, nil
		},
	}
}

func (s *Server) logger() *slog.Logger {
	if s.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Logger
}
