// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"

	"github.com/xdg-go/scram"
	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
)

// DefaultMaxTries is how often a client may fail on one stream: RFC 6120, section
// 6.4.5 asks for two to five further tries, and a token that is refused costs one.
const DefaultMaxTries = 5

// Server authenticates clients, and other servers by EXTERNAL.
//
// The zero value offers nothing. A Server must not be copied or changed once it
// is in use; it serves any number of sessions.
type Server struct {
	// Credentials are the accounts. Without it there is no SCRAM, and PLAIN only with
	// Password. All accounts should have keys for all mechanisms that are offered: a
	// client takes one of them, and is refused if the account has none for it.
	Credentials Credentials

	// Mechanisms are the names of the mechanisms that may be offered, in the order
	// in which they are. If it is nil it is DefaultMechanisms.
	// What needs something that is not there, such as a channel binding or
	// Credentials, is left out.
	Mechanisms []string

	// More are further mechanisms, which may be named in Mechanisms, and whose
	// first message is the client's. They come before those of this package that have
	// the same name.
	// The permissions function that they must call checks the password if the
	// credentials have one, as PLAIN does, and otherwise takes them to be good.
	More []sasl.Mechanism

	// Profiles says which profiles are offered. The zero value is both.
	Profiles Profile

	// Password checks the password of an account in PLAIN, in place of the keys, and
	// reports whether it is good: for passwords that are kept elsewhere.
	// It should take as long for accounts that do not exist. An error refuses the
	// attempt with temporary-auth-failure if it is no [Failure].
	Password func(ctx context.Context, account jid.JID, password string) (bool, error)

	// External decides who the peer of a TLS connection is, for EXTERNAL.
	// Identity is what it asks to be, or empty; who its stream header is from, if it
	// says so, is the session's remote address. The state's certificates are verified
	// only as far as the TLS configuration asked for it.
	// The account is a bare JID of the domain that the stream is to, or between
	// servers another domain. An error refuses the attempt, with not-authorized if it
	// is no [Failure].
	External func(ctx context.Context, s *xmpp.Session, state tls.ConnectionState, identity string) (account jid.JID, err error)

	// Certificate returns the certificate that the server shows on a connection,
	// for the channel binding tls-server-end-point, which clients rely on
	// (XEP-0440): crypto/tls does not tell.
	// If it is nil, or returns nil, there is no such channel binding.
	// See [Leaf] for servers with one certificate.
	Certificate func(tls.ConnectionState) *x509.Certificate

	// Offer narrows the names of mechanisms for the account that a stream header
	// claims to be from, which proves nothing.
	// What it returns for accounts that exist and those that do not should be
	// alike. If it is nil all accounts are offered the same.
	Offer func(ctx context.Context, account jid.JID, mechanisms []string) []string

	// Limit is called before an account's proof is checked, whether it exists or
	// not; with EXTERNAL and More, once it is known which account it is. An error
	// refuses the attempt, with temporary-auth-failure if it is no [Failure].
	// It is the place to slow down whoever guesses, and with PLAIN, to bound how many
	// passwords are hashed at the same time.
	Limit func(ctx context.Context, s *xmpp.Session, account jid.JID) error

	// Tasks returns what an account still has to do after it has done some tasks,
	// each of which is enough for the next step; if there are none it is let in.
	// It is not asked for logins with a token (XEP-0484, section 4).
	// In the profile of RFC 6120, which has no tasks, who has any is refused.
	Tasks func(ctx context.Context, s *xmpp.Session, account jid.JID, done []string) ([]Task, error)

	// FAST are the tokens (XEP-0484). If it is nil there are none.
	FAST *FAST

	// Inline are features that ride along on a SASL2 login, in the order in which
	// they are negotiated: the resumption of a stream before the binding of a
	// resource (XEP-0386, section 3).
	Inline []Inline

	// Announce returns the features that are announced behind a login that has
	// bound a resource. They are not negotiated but listed; they must not include
	// another way to bind.
	Announce func(s *xmpp.Session) []xmpp.StreamFeature

	// Secret makes accounts that do not exist look the same over time.
	// Servers for the same domain should share it, and keep it when they are
	// restarted, or their unknown accounts will change. It should have 32 random
	// bytes. If it is empty it is made anew with the Server.
	Secret Secret

	// Iterations is what accounts that do not exist pretend to have, and should be
	// what the others have, whose salts should have 16 bytes as those of NewKeys do.
	// If it is zero it is DefaultIterations.
	Iterations int

	// MaxTries is how often a client may fail on one stream before it is ended.
	// If it is zero it is DefaultMaxTries.
	MaxTries int

	// AllowSpace lets clients send white space between elements while SASL2 is under
	// way, for which they are to be disconnected (XEP-0388, section 2.5).
	// Pipelining.Config has it as well.
	// It does no harm, and some clients rely on it: go-xmpp 0.3 ends each element by
	// a line feed.
	// It needs a connection that passes over white space, as pipelining.Conn does.
	AllowSpace bool

	// Observe is called with the outcome of each attempt to log in: err is nil if
	// it was successful.
	Observe func(ctx context.Context, s *xmpp.Session, l Login, err error)

	// Logger gets what a person may want to know about failures of stores and, at
	// debug level, of logins. If it is nil nothing is logged.
	Logger *slog.Logger

	once   sync.Once
	secret sealed[[]byte]
}

// Profile is a set of ways to write SASL.
type Profile uint8

// The two profiles.
const (
	RFC6120 Profile = 1 << iota // RFC 6120, section 6
	SASL2                       // XEP-0388
)

func (p Profile) has(q *profile) bool {
	return p == 0 || q == rfc6120 && p&RFC6120 != 0 || q == sasl2 && p&SASL2 != 0
}

// Login describes an attempt to log in.
type Login struct {
	// Account is the bare JID that has logged in, or that somebody has tried to log
	// in as; in that case it may not exist, or be the zero JID.
	Account jid.JID

	// Bound is the full JID that was bound inline, if any. By Observe is how a program
	// learns it on a server, as it does UserAgent.
	Bound jid.JID

	// Mechanism is the name of the mechanism.
	Mechanism string

	// Profile is RFC6120 or SASL2.
	Profile Profile

	// UserAgent is what the client says about itself.
	UserAgent UserAgent
}

// UserAgent is what a client says about itself to its own server, which must
// not show it to others (XEP-0388, section 2.4).
type UserAgent struct {
	// ID is a UUID of version 4 that stays the same for one installation of the
	// client.
	ID string

	// Software and Device are descriptions for people.
	Software, Device string
}

// Leaf returns a function for Server.Certificate that always returns the
// certificate c, or nil if it cannot be parsed.
func Leaf(c tls.Certificate) func(tls.ConnectionState) *x509.Certificate {
	leaf := c.Leaf
	if leaf == nil && len(c.Certificate) > 0 {
		leaf, _ = x509.ParseCertificate(c.Certificate[0])
	}
	return func(tls.ConnectionState) *x509.Certificate { return leaf }
}

// Features returns the stream features of s for one stream: both profiles and
// the list of channel bindings.
//
// It is called where the features of a stream are put together:
//
//	xmpp.NewNegotiator(func(s *xmpp.Session, _ *xmpp.StreamConfig) xmpp.StreamConfig {
//		return xmpp.StreamConfig{Features: append(server.Features(s), …)}
//	})
//
// Session may be nil, as it is there at first: what needs to know the connection,
// such as channel binding and EXTERNAL, is left out then. Do not use the same
// features for more than one stream.
// Without a mechanism to offer there are no features (XEP-0388, section 2.2).
// They are offered within TLS only.
func (s *Server) Features(session *xmpp.Session) []xmpp.StreamFeature {
	x := s.offer(session)
	if len(x.names) == 0 {
		return nil
	}
	var features []xmpp.StreamFeature
	for _, p := range []*profile{sasl2, rfc6120} {
		if !s.Profiles.has(p) || p == sasl2 && x.s2s {
			continue
		}
		features = append(features, xmpp.StreamFeature{
			Name:       p.name(),
			Necessary:  xmpp.Secure,
			Prohibited: xmpp.Authn,
			List: func(ctx context.Context, e xmlstream.TokenWriter, start xml.StartElement) (bool, error) {
				x.narrow(ctx)
				if len(x.names) == 0 {
					return false, nil
				}
				return true, x.list(ctx, p, e, start)
			},
			Negotiate: func(ctx context.Context, session *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, error) {
				return s.negotiate(ctx, session, x)
			},
		})
	}
	if kinds := kinds(x.bound); len(kinds) > 0 {
		features = append(features, channelBindingFeature(kinds, x.binds))
	}
	return features
}

// An offer is what is offered on one stream.
type offer struct {
	server  *Server
	session *xmpp.Session
	s2s     bool
	names   []string               // of mechanisms
	tokens  []string               // of those of FAST
	bound   []scram.ChannelBinding // the channel bindings of the connection
	state   *tls.ConnectionState

	narrowed bool
}

// binds reports whether anything that is offered binds to the channel. If nothing
// does, to list what there is to bind by would look like somebody in the middle
// (XEP-0440, section 4).
func (x *offer) binds() bool {
	return slices.ContainsFunc(x.names, binds) || len(x.names) > 0 && slices.ContainsFunc(x.tokens, binds)
}

// plus reports whether -PLUS is offered.
func (x *offer) plus() bool { return slices.ContainsFunc(x.names, isPlus) }

// knows reports whether a mechanism is offered for a profile.
func (x *offer) knows(p *profile, name string) bool {
	return slices.Contains(x.names, name) || p == sasl2 && slices.Contains(x.tokens, name)
}

func (s *Server) offer(session *xmpp.Session) *offer {
	x := &offer{server: s, session: session}
	if session != nil {
		x.s2s = session.State()&xmpp.S2S != 0
		if state := session.ConnectionState(); state.Version != 0 {
			x.state = &state
			x.bound = s.bindings(&state)
		}
	}
	for _, name := range s.mechanisms() {
		if s.possible(name, x) {
			x.names = append(x.names, name)
		}
	}
	if f := s.FAST; f != nil && f.Store != nil && !x.s2s && s.Profiles.has(sasl2) {
		x.tokens = htPossible(f.mechanisms(), x.bound)
	}
	return x
}

func (s *Server) bindings(state *tls.ConnectionState) []scram.ChannelBinding {
	if state == nil || state.Version == 0 {
		return nil
	}
	var leaf *x509.Certificate
	if s.Certificate != nil {
		leaf = s.Certificate(*state)
	}
	return bindingsOf(state, leaf)
}

// possible reports whether a mechanism can be offered on a stream.
func (s *Server) possible(name string, x *offer) bool {
	switch {
	case slices.ContainsFunc(s.More, func(m sasl.Mechanism) bool { return m.Name == name }):
		return true
	case isScram(name):
		return s.Credentials != nil && !x.s2s && (!isPlus(name) || len(x.bound) > 0)
	case name == Plain:
		return (s.Credentials != nil || s.Password != nil) && !x.s2s
	case name == External:
		// Without a certificate nothing could be said about the client.
		return s.External != nil && x.state != nil && len(x.state.PeerCertificates) > 0
	}
	return false
}

// narrow asks once what the account that a stream claims to be from is offered.
func (x *offer) narrow(ctx context.Context) {
	if x.server.Offer == nil || x.session == nil || x.narrowed {
		return
	}
	x.narrowed = true
	left := x.server.Offer(ctx, x.session.RemoteAddr().Bare(), slices.Clone(x.names))
	x.names = slices.DeleteFunc(x.names, func(name string) bool { return !slices.Contains(left, name) })
}

// list writes a feature.
func (x *offer) list(ctx context.Context, p *profile, e xmlstream.TokenWriter, start xml.StartElement) error {
	if err := e.EncodeToken(start); err != nil {
		return err
	}
	if err := listMechanisms(e, x.names); err != nil {
		return err
	}
	if p == sasl2 {
		if err := x.listInline(ctx, e); err != nil {
			return err
		}
	}
	return e.EncodeToken(start.End())
}

// listInline writes what may ride along, if there is anything.
func (x *offer) listInline(ctx context.Context, e xmlstream.TokenWriter) error {
	inline := xml.StartElement{Name: xml.Name{Local: "inline"}}
	begun := false
	begin := func() error {
		if begun {
			return nil
		}
		begun = true
		return e.EncodeToken(inline)
	}
	for _, i := range x.server.Inline {
		r := i.Offer(ctx, x.session)
		if r == nil {
			continue
		}
		if err := begin(); err != nil {
			return err
		}
		if _, err := xmlstream.Copy(e, undeclare(r)); err != nil {
			return err
		}
	}
	if len(x.tokens) > 0 {
		if err := begin(); err != nil {
			return err
		}
		fast := xml.StartElement{Name: xml.Name{Space: NSFAST, Local: "fast"}}
		if err := e.EncodeToken(fast); err != nil {
			return err
		}
		if err := listMechanisms(e, x.tokens); err != nil {
			return err
		}
		if err := e.EncodeToken(fast.End()); err != nil {
			return err
		}
	}
	if !begun {
		return nil
	}
	return e.EncodeToken(inline.End())
}

func listMechanisms(e xmlstream.TokenWriter, names []string) error {
	start := xml.StartElement{Name: xml.Name{Local: "mechanism"}}
	for _, name := range names {
		for _, tok := range []xml.Token{start, xml.CharData(name), start.End()} {
			if err := e.EncodeToken(tok); err != nil {
				return err
			}
		}
	}
	return nil
}

// channelBindingFeature announces types of channel bindings (XEP-0440).
func channelBindingFeature(kinds []string, needed func() bool) xmpp.StreamFeature {
	return xmpp.StreamFeature{
		Name:       xml.Name{Space: NSChannelBinding, Local: "sasl-channel-binding"},
		Necessary:  xmpp.Secure,
		Prohibited: xmpp.Authn,
		List: func(_ context.Context, e xmlstream.TokenWriter, start xml.StartElement) (bool, error) {
			if !needed() {
				return false, nil
			}
			var list []xml.TokenReader
			for _, kind := range kinds {
				list = append(list, xmlstream.Wrap(nil, xml.StartElement{
					Name: xml.Name{Local: "channel-binding"},
					Attr: []xml.Attr{{Name: xml.Name{Local: "type"}, Value: kind}},
				}))
			}
			_, err := xmlstream.Copy(e, xmlstream.Wrap(xmlstream.MultiReader(list...), start))
			return false, err
		},
	}
}

// Mechanism returns the server's side of a mechanism for one login at a domain,
// for use elsewhere, such as in [xmpp.SASLServer]. Server's own features need
// none of it.
//
// Once the credentials are good it calls the negotiator's permissions function, whose
// credentials have the username, no password, and the identity.
// HT mechanisms are not among them: they need what only SASL2 says. Limit is not
// called, and External without a session.
// That somebody has taken -PLUS out of a list goes unnoticed, as it is not this
// Server's list.
func (s *Server) Mechanism(ctx context.Context, name string, domain jid.JID) (sasl.Mechanism, error) {
	x := &exchange{ctx: ctx, server: s, domain: domain}
	m, ok := x.mechanism(name)
	if !ok || isHT(name) {
		return sasl.Mechanism{}, errors.New("auth: the server has no such mechanism")
	}
	return m, nil
}

func (s *Server) mechanisms() []string {
	if s.Mechanisms == nil {
		return DefaultMechanisms()
	}
	return s.Mechanisms
}

// offersSHA256 reports whether accounts are likely to have keys for it.
func (s *Server) offersSHA256() bool {
	return slices.ContainsFunc(s.mechanisms(), func(name string) bool { return name == ScramSHA256 || name == ScramSHA256Plus })
}

// fakes returns the secret that unknown accounts are made from.
func (s *Server) fakes() []byte {
	s.once.Do(func() {
		secret := []byte(s.Secret)
		if len(secret) == 0 {
			secret = make([]byte, 32)
			_, _ = rand.Read(secret) // It never fails.
		}
		s.secret = seal(secret)
	})
	return s.secret()
}

func (s *Server) iterations() int { return cmp.Or(s.Iterations, DefaultIterations) }
func (s *Server) maxTries() int   { return cmp.Or(s.MaxTries, DefaultMaxTries) }

func (s *Server) logger() *slog.Logger {
	if s.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Logger
}
