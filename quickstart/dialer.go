// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/pipelining"
)

// DefaultTimeout is how long a login may take, connections included.
const DefaultTimeout = time.Minute

// Dialer logs in, and remembers how. The zero value is ready to use: it remembers
// until the process ends.
//
// A Dialer must not be changed or copied once it is in use. It is safe for
// concurrent use, by any number of accounts.
type Dialer struct {
	// Cache keeps what is remembered. If it is nil it is a MemoryCache of the Dialer's
	// own.
	Cache Cache

	// TLS is cloned for each connection. Its ServerName, NextProtos and
	// ClientSessionCache are the Dialer's. If it is nil the system's roots are trusted.
	TLS *tls.Config

	// Trust is a name for what TLS says is to be trusted. What was learned under one is
	// not used under another.
	Trust string

	// Security says which kinds of TLS may be used.
	Security Security

	// Address is where the server is, as host:port, in place of what DNS says.
	// With Security Any it is taken to be for STARTTLS.
	Address string

	// Resolver is what DNS is asked by. If it is nil it is net.DefaultResolver.
	Resolver Resolver

	// NetDial makes connections. If it is nil it is that of a net.Dialer.
	NetDial func(ctx context.Context, network, address string) (net.Conn, error)

	// Mechanisms are the SASL mechanisms that may be used with a password, best first.
	// If it is nil they are auth.DefaultMechanisms.
	Mechanisms []string

	// More are further mechanisms, which may be named in Mechanisms.
	More []sasl.Mechanism

	// UserAgent is what the server is told about the client. If its ID is empty, one is
	// made for each account and remembered.
	UserAgent auth.UserAgent

	// NoTokens keeps tokens from being asked for and used (XEP-0484).
	NoTokens bool

	// Tag is what the software calls itself in its resource, such as "Example".
	// See bind2.Client.
	Tag string

	// Legacy says that the client does not read the archive: it binds by RFC 6120, and
	// gets offline messages. With bind2 there would be none.
	Legacy bool

	// NoCarbons and Inactive are those of bind2.Client. Where a resource is bound by
	// RFC 6120, copies of messages are asked for right behind that.
	NoCarbons, Inactive bool

	// Roster says that sessions have the account's roster: see Session.Roster. It is
	// kept with what else is known of the account, and if the server has roster
	// versions, only what has changed since is sent again.
	Roster bool

	// RosterPush is called with each change of a roster, when that has been kept. It may
	// be nil. It is called by the goroutine that serves the session, one change after
	// the other: it may send, but must not wait for the server to answer.
	RosterPush func(account jid.JID, item RosterItem)

	// Discover says that sessions know what the server can do: see Session.Server. It is
	// kept, and the server is not asked as long as it tells the same hash (XEP-0115).
	Discover bool

	// Opening returns the stanzas that a session begins with, such as [Available]. It is
	// called once for each connection, which may be twice in a Dial, and may return nil.
	//
	// They are sent in the flight of the login where that is safe: if the login is sent
	// ahead by RFC 6120 and a mechanism like PLAIN. See pipelining.ClientConfig. They
	// may then reach the server although Dial fails. Otherwise they are sent before Dial
	// returns. In both cases they go behind what the Dialer itself asks for, and nobody
	// waits for answers, which the session gets.
	Opening func() xml.TokenReader

	// LockStep keeps anything from being sent ahead.
	LockStep bool

	// Features are more features to be known to sessions, as in
	// pipelining.ClientConfig.
	Features []xmpp.StreamFeature

	// Timeout limits a Dial. If it is not positive it is DefaultTimeout.
	Timeout time.Duration

	// AnswerTimeout is how long a server may take to answer what was sent ahead, as in
	// pipelining.ClientConfig.
	AnswerTimeout time.Duration

	// Trace is called as a login goes on.
	Trace *Trace

	// TeeIn and TeeOut get a copy of the XML, passwords included.
	TeeIn, TeeOut io.Writer

	// Logger gets what went wrong and did not matter. If it is nil nothing is logged.
	Logger *slog.Logger

	once   sync.Once
	memory Cache
}

// Credentials are what an account is logged in with.
type Credentials struct {
	// Password returns the password. It is not called as long as there is a token.
	Password func(context.Context) (string, error)

	// Identity is whom to act as; empty means the account itself.
	Identity string
}

// Password returns Credentials with a password that is known.
func Password(password string) Credentials {
	return Credentials{Password: auth.Password(password)}
}

// Dial logs in. An account's resourcepart is asked for if it has one; servers give
// it only to clients that bind by RFC 6120.
//
// If there was a login before, what follows from it is sent without waiting for the
// server. If that does not answer as it did, the login begins again, once, step by
// step, on a connection of its own and with nothing weaker.
//
// The session is to be served, and its connection closed in the end.
// Errors are those of packages auth, bind2 and pipelining, [ErrDowngrade],
// [ErrNoService], [ErrOpening], and those of the network. A wrong password is an auth.Failure.
func (d *Dialer) Dial(ctx context.Context, account jid.JID, c Credentials) (*Session, error) {
	timeout := d.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	l := &login{
		d: d, account: account, credentials: c, cache: d.cache(), begun: time.Now(),
		report: Report{Account: account.Bare()},
	}
	l.known = loadPlan(ctx, l.cache, account, d.Trust)
	if d.Roster {
		l.roster = loadRoster(ctx, l.cache, account, d.Trust)
	}
	s, err := l.run(ctx)
	cancel()
	l.background.Wait()
	if err != nil {
		return nil, fmt.Errorf("quickstart: logging in as %s: %w", account.Bare(), within{err})
	}
	return s, nil
}

// Forget forgets all about an account: its tokens and its roster, too. What its sessions
// learn from then on is remembered again. What entities can do is shared by all accounts
// and stays.
func (d *Dialer) Forget(ctx context.Context, account jid.JID) error {
	return d.cache().Delete(ctx, account.Bare())
}

func (d *Dialer) cache() Cache {
	if d.Cache != nil {
		return d.Cache
	}
	d.once.Do(func() { d.memory = new(MemoryCache) })
	return d.memory
}

// mechanisms returns those that may be used with a password, best first.
func (d *Dialer) mechanisms() []string {
	if d.Mechanisms == nil {
		return auth.DefaultMechanisms()
	}
	return d.Mechanisms
}

func (d *Dialer) log(ctx context.Context, text string, args ...any) {
	if d.Logger != nil {
		d.Logger.WarnContext(ctx, "quickstart: "+text, args...)
	}
}

// login is one call of Dial.
type login struct {
	d           *Dialer
	account     jid.JID
	credentials Credentials
	cache       Cache
	known       *plan
	begun       time.Time
	report      Report

	bound      *bind2.Bound
	protocol   bind2.Protocol
	offer      auth.Offer
	used       auth.Login
	pipelining bool // was announced with offer
	tickets    *tickets
	allowed    []string // mechanisms
	narrowed   bool     // they are fewer than the Dialer allows, because of what is known
	silent     bool     // nothing is traced

	roster rosterState // as it was kept

	// Of the connection that was made last:
	meter      *meter
	inbox      *inbox
	opened     bool   // what the session begins with was sent ahead
	remembered bool   // DNS was not asked
	reached    bool   // it was made
	secured    bool   // its peer was verified
	hadToken   bool   // there was a token to log in with
	encrypted  func() // called when STARTTLS is done

	background sync.WaitGroup
}

// run tries at most twice, or three times if the server names another address.
func (l *login) run(ctx context.Context) (*Session, error) {
	mode := l.known.mode(time.Now())
	if l.d.LockStep {
		mode = pipelining.Off
	}
	var (
		address         string
		moved, repeated bool
		resume          = true
	)
	for {
		s, err := l.try(ctx, mode, address, resume)
		if err == nil {
			if err := l.open(ctx, s); err != nil {
				_ = s.Conn().Close()
				return nil, ended(ctx, err)
			}
			l.learn(ctx, s, mode)
			return s, nil
		}
		if !l.reached {
			return nil, ended(ctx, err)
		}
		if !l.secured && l.remembered && !errors.Is(ctx.Err(), context.Canceled) {
			l.forgetPlaces(context.WithoutCancel(ctx)) // Somebody else may be there by now.
		}
		next, worth := l.next(err, mode, resume)
		var refused stream.Error
		switch {
		case ctx.Err() != nil:
			if worth && next != mode && errors.Is(ctx.Err(), context.DeadlineExceeded) {
				l.missed(context.WithoutCancel(ctx), mode)
			}
			return nil, ended(ctx, err)
		case errors.As(err, &refused) && refused.Err == stream.SeeOtherHost.Err && !moved && l.secured:
			if address, err = otherHost(refused.Content, err); err != nil {
				return nil, err
			}
			moved = true
		case repeated || !worth:
			return nil, l.explain(err)
		default:
			l.d.log(ctx, "the login begins again", "account", l.account.Bare(), "err", err)
			if next != mode {
				l.missed(ctx, mode)
			}
			repeated, mode, resume = true, next, false
		}
	}
}

// ended returns err, and why the context has ended if it has.
func ended(ctx context.Context, err error) error {
	if ctx.Err() == nil || errors.Is(err, ctx.Err()) {
		return err
	}
	return fmt.Errorf("%w: %w", ctx.Err(), err)
}
