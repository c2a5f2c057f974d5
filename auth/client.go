// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
)

// Client logs in at a server: by SASL2 if the server has it, with a token if
// there is one, and otherwise with a password.
//
// It must not be changed once it is in use; it serves any number of sessions, of
// one account if it has a Password.
type Client struct {
	// Password returns the password. It is asked for when it is needed, which it is
	// not as long as there is a token, commonly once for a login, and twice if what
	// was sent ahead is refused. Its error ends the login.
	// If it is nil, or what it returns is empty, there is none.
	Password func(context.Context) (string, error)

	// Identity is whom to act as, a bare JID; empty means the account itself.
	Identity string

	// Mechanisms are the names of the mechanisms that may be used, best first.
	// If it is nil it is DefaultMechanisms.
	// A server's wish counts for nothing, and what is not named is never used.
	// PLAIN is not used where the server has refused SCRAM before; but whoever names
	// it here trusts the certificates of TLS alone.
	Mechanisms []string

	// More are further mechanisms, which may be named in Mechanisms.
	More []sasl.Mechanism

	// UserAgent is what the server is told about the client.
	// Its ID must be a UUID of version 4, and always the same for the same
	// installation; without one there are no tokens.
	UserAgent UserAgent

	// Tokens keeps tokens (XEP-0484), by which the next login takes one round trip
	// and no password. If it is nil none is asked for.
	Tokens TokenCache

	// TokenMechanism is the mechanism of the token that is asked for by a login that
	// is sent ahead. It should be one that the server is known to offer; if it is
	// empty such a login asks for none.
	TokenMechanism string

	// Bindings are the types of channel binding that the server is known to list
	// (XEP-0440). A login that is sent ahead takes the best of them that the connection
	// has, and if there are none, the best that the connection has. The best of them
	// that the connection has is not given up: a server that lists only others ends the
	// login with ErrChannelBinding.
	Bindings []string

	// Invalidate makes a login with a token the token's last: it logs out.
	Invalidate bool

	// Inline are features that ride along on a SASL2 login, in the order in which
	// they are asked for.
	// They are left out on a connection that mellium reads ahead of, because what
	// follows on success would be lost: see the package documentation.
	Inline []ClientInline

	// Tasks are what the client can do if the server asks for it.
	Tasks []ClientTask

	// VerifyTLS decides whether a connection is good enough to send credentials
	// over. If it is nil, the peer's certificate must have been verified, which an
	// InsecureSkipVerify in a TLS configuration prevents.
	// With pipelining.Client, that one's decides, too.
	VerifyTLS func(tls.ConnectionState) error

	// Observe is called when a login was successful.
	Observe func(s *xmpp.Session, l Login)

	// Logger gets what a person may want to know about failures of Tokens and, at
	// debug level, of logins. If it is nil nothing is logged.
	Logger *slog.Logger
}

// Password returns a function for Client.Password that returns a password that
// is known.
func Password(password string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return password, nil }
}

// Features returns the stream features of both profiles, and the one that lists
// channel bindings.
//
// All of them must be given to the negotiator. Whichever a negotiator chooses,
// SASL2 is used if the server offers it.
// They may be used for any number of sessions.
func (c *Client) Features() []xmpp.StreamFeature {
	negotiate := func(ctx context.Context, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, error) {
		return c.negotiate(ctx, s)
	}
	feature := func(p *profile) xmpp.StreamFeature {
		return xmpp.StreamFeature{
			Name:       p.name(),
			Necessary:  xmpp.Secure,
			Prohibited: xmpp.Authn,
			Parse: func(_ context.Context, d *xml.Decoder, start *xml.StartElement) (bool, any, error) {
				e := element{start: start.Copy()}
				if err := e.read(d, ofServer); err != nil {
					return true, nil, err
				}
				return true, e, nil
			},
			Negotiate: negotiate,
		}
	}
	// The list of channel bindings is one of them: alone, and only informational, it
	// would be the end of the negotiation for mellium.
	list := feature(&profile{ns: NSChannelBinding, feature: "sasl-channel-binding"})
	return []xmpp.StreamFeature{feature(sasl2), feature(rfc6120), list}
}

// negotiate logs in step by step.
func (c *Client) negotiate(ctx context.Context, s *xmpp.Session) (xmpp.SessionState, io.ReadWriter, error) {
	o := offered(s)
	r := s.TokenReader()
	defer r.Close()
	for {
		l, err := c.choose(ctx, s, o)
		if err != nil {
			return 0, nil, err
		}
		mask, err := l.converse(ctx, r)
		var f Failure
		switch {
		case err == nil && l.profile == rfc6120:
			return mask, s.Conn(), nil
		case err == nil:
			return mask, nil, nil
		case errors.As(err, &f) && l.another(f):
			o.refuse(l.mechanism)
			continue
		}
		return 0, nil, err
	}
}

// converse carries out a login that has been prepared.
func (l *login) converse(ctx context.Context, r xml.TokenReader) (xmpp.SessionState, error) {
	out := l.request
	for {
		if len(out) > 0 {
			if _, err := l.s.Conn().Write(out); err != nil {
				return 0, err
			}
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		e, err := readElement(r, ofServer)
		if err != nil {
			return 0, err
		}
		var mask xmpp.SessionState
		if out, mask, err = l.step(ctx, e); err != nil || mask != 0 {
			return mask, l.aborted(out, err)
		}
	}
}

// aborted sends what an exchange that has failed here has to say.
func (l *login) aborted(out []byte, err error) error {
	if err != nil && len(out) > 0 {
		_, _ = l.s.Conn().Write(out) // The login has failed, whether this is read or not.
		if f, ok := l.s.Conn().(interface{ Flush() error }); ok {
			_ = f.Flush() // Nobody will read any more, which would send it.
		}
	}
	return err
}

// verify reports whether credentials may be sent.
func (c *Client) verify(s *xmpp.Session) error {
	state := s.ConnectionState()
	switch {
	case s.State()&xmpp.Secure == 0:
		return ErrUnverifiedTLS
	case c.VerifyTLS != nil:
		if err := c.VerifyTLS(state); err != nil {
			return fmt.Errorf("%w: %w", ErrUnverifiedTLS, err)
		}
	case len(state.VerifiedChains) == 0:
		return ErrUnverifiedTLS
	}
	return nil
}

func (c *Client) mechanisms() []string {
	if c.Mechanisms == nil {
		return DefaultMechanisms()
	}
	return c.Mechanisms
}

func (c *Client) logger() *slog.Logger {
	if c.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Logger
}

// himself reports whether the client acts as the account that it logs in to.
func (c *Client) himself(s *xmpp.Session) bool {
	return c.Identity == "" || c.Identity == s.LocalAddr().Bare().String()
}

// token returns the token of an account that is still good, or the zero value.
func (c *Client) token(ctx context.Context, account jid.JID) Token {
	if c.Tokens == nil || c.UserAgent.ID == "" {
		return Token{}
	}
	t, err := c.Tokens.Token(ctx, account)
	if err != nil {
		c.logger().WarnContext(ctx, "auth: the token could not be read", "account", account, "err", err)
		return Token{}
	}
	if t.IsZero() || !slices.Contains(tokenMechanisms, t.Mechanism) || t.expired() {
		return Token{}
	}
	return t
}

// forget removes a token, unless there is another one by now.
func (c *Client) forget(ctx context.Context, account jid.JID, t Token) {
	if c.Tokens == nil {
		return
	}
	if now, err := c.Tokens.Token(ctx, account); err != nil || now.Secret == t.Secret {
		c.keep(ctx, account, Token{})
	}
}

// keep stores a token.
func (c *Client) keep(ctx context.Context, account jid.JID, t Token) {
	if c.Tokens == nil {
		return
	}
	if err := c.Tokens.SetToken(ctx, account, t); err != nil {
		c.logger().WarnContext(ctx, "auth: the token could not be stored", "account", account, "err", err)
	}
}
