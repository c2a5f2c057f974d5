// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/pipelining"
)

// try connects and logs in once.
func (l *login) try(ctx context.Context, mode pipelining.Mode, address string, resume bool) (*Session, error) {
	l.report.Attempts++
	l.bound, l.protocol, l.encrypted = nil, 0, nil
	l.remembered, l.reached, l.secured, l.hadToken = false, false, false, false
	tcp, where, err := l.connect(ctx, address)
	if err != nil {
		return nil, err
	}
	l.reached = true
	l.report.Server, l.report.Direct = where.Addr, where.Direct
	l.meter = newMeter(tcp)
	l.prepare(ctx)
	s, err := l.negotiate(ctx, l.meter, where.Direct, mode, resume)
	if err != nil {
		_ = tcp.Close()
		return nil, err
	}
	return s, nil
}

// connect makes a connection, to address if it is not empty.
func (l *login) connect(ctx context.Context, address string) (net.Conn, endpoint, error) {
	dial := l.d.NetDial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	if address == "" {
		address = l.d.Address
	}
	if address != "" {
		defer l.phase("tcp")()
		where := endpoint{Addr: address, Direct: l.d.Security == DirectTLS}
		conn, err := dial(ctx, "tcp", address)
		return conn, where, err
	}
	return l.find(ctx, dial)
}

// negotiate logs in on a connection.
func (l *login) negotiate(ctx context.Context, m *meter, direct bool, mode pipelining.Mode, resume bool) (*Session, error) {
	cfg := l.tls(ctx, direct, resume)
	var (
		conn  net.Conn = m
		state xmpp.SessionState
		done  = l.phase("tls")
		login = func() { done(); done = l.phase("login") }
	)
	defer func() { done() }()
	if direct {
		secure := tls.Client(m, cfg)
		if err := secure.HandshakeContext(ctx); err != nil {
			l.secured = false
			return nil, err
		}
		login()
		conn, state = secure, xmpp.Secure
	} else {
		l.encrypted = login
	}
	client := l.client(ctx)
	binds := &bind2.Client{
		Tag: l.d.Tag, NoCarbons: l.d.NoCarbons, Inactive: l.d.Inactive,
		Observe: func(p bind2.Protocol, b bind2.Bound) {
			if l.protocol = p; p != bind2.Legacy {
				l.bound = &b
			}
		},
	}
	features := append(slices.Clone(l.d.Features), pipelining.StreamFeature())
	if l.d.Discover {
		features = append(features, capsFeature())
	}
	pcfg := pipelining.ClientConfig{
		TLS: cfg, Authenticator: client, Opening: l.ahead, AnswerTimeout: l.d.AnswerTimeout,
		TeeIn: l.d.TeeIn, TeeOut: l.d.TeeOut,
	}
	if l.d.Legacy {
		pcfg.Features = append(features, xmpp.BindResource())
	} else {
		client.Inline = append(client.Inline, binds.Inline())
		pcfg.Features = append(features, binds.Prefer(xmpp.BindResource())...)
		if mode == pipelining.Off || l.known.Bind != bind2.Legacy {
			pcfg.Binder = binds.Binder() // With any other, Prefer could not see to it.
		}
	}
	plan := pipelining.Plan{Mode: mode}
	if l.known != nil {
		plan.Mechanism, plan.SASL2 = l.known.Mechanism, l.known.SASL2
	}
	l.report.Plan = describe(plan, l.known)
	s, err := xmpp.NewSession(ctx, l.account.Domain(), l.account, conn, state, pipelining.Client(plan, pcfg))
	if err != nil {
		// Certificates are verified before the peer has shown that they are its own.
		l.secured = l.secured && s.ConnectionState().HandshakeComplete
		return nil, err
	}
	tlsState := s.ConnectionState()
	l.report.Resumed = tlsState.DidResume
	return &Session{Session: s, Bound: l.bound, Protocol: l.protocol}, nil
}

// tls returns the configuration for one connection.
func (l *login) tls(ctx context.Context, direct, resume bool) *tls.Config {
	cfg := l.d.TLS.Clone()
	if cfg == nil {
		cfg = new(tls.Config)
	}
	cfg.MinVersion = max(cfg.MinVersion, tls.VersionTLS12)
	cfg.ServerName = l.account.Domainpart()
	cfg.NextProtos = nil
	if direct {
		cfg.NextProtos = []string{"xmpp-client"} // XEP-0368, section 3
	}
	cfg.ClientSessionCache = nil
	if l.tickets == nil {
		l.tickets = newTickets(ctx, l.cache, l.account, l.d.Trust)
	}
	if resume {
		cfg.ClientSessionCache = l.tickets
	} else {
		cfg.ClientSessionCache = writeOnly{l.tickets}
	}
	cfg.VerifyConnection = verifyResumed(cfg)
	verified := cfg.VerifyConnection
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		if err := verified(state); err != nil {
			return err
		}
		l.secured = len(state.VerifiedChains) > 0
		if l.encrypted != nil {
			l.encrypted()
		}
		return nil
	}
	return cfg
}

// client returns what authenticates.
func (l *login) client(ctx context.Context) *auth.Client {
	allowed := l.d.mechanisms()
	c := &auth.Client{
		Password:   l.credentials.Password,
		Identity:   l.credentials.Identity,
		Mechanisms: l.known.floor(allowed),
		More:       l.d.More,
		UserAgent:  l.d.UserAgent,
		Logger:     l.d.Logger,
		Observe: func(s *xmpp.Session, used auth.Login) {
			l.used, l.offer, l.pipelining = used, auth.OfferOf(s), pipelining.Advertised(s)
		},
	}
	l.allowed, l.narrowed = c.Mechanisms, len(c.Mechanisms) < len(allowed)
	if l.known != nil {
		c.Bindings = l.known.Bindings
	}
	if l.d.NoTokens {
		return c
	}
	if c.UserAgent.ID == "" {
		c.UserAgent.ID = l.installation(ctx)
	}
	c.Tokens = watched{tokens{l.cache, l.d.Trust}, l}
	c.TokenMechanism = l.known.tokenMechanism()
	return c
}

// watched notes that there was a token.
type watched struct {
	tokens
	l *login
}

// Token returns the token of an account.
func (w watched) Token(ctx context.Context, account jid.JID) (auth.Token, error) {
	t, err := w.tokens.Token(ctx, account)
	w.l.hadToken = w.l.hadToken || !t.IsZero()
	return t, err
}

// uuid4 matches the only ids that servers take, and package auth sends.
var uuid4 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// installation returns an id that stays the same for an account.
func (l *login) installation(ctx context.Context) string {
	key := Key{Account: l.account.Bare(), Name: "installation"}
	b, err := l.cache.Get(ctx, key)
	if err == nil && uuid4.Match(b) {
		return string(b)
	}
	var u [16]byte
	_, _ = rand.Read(u[:])
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	id := fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
	if err == nil {
		err = l.cache.Put(ctx, key, []byte(id))
	}
	if err != nil {
		l.d.log(ctx, "the cache failed", "account", l.account.Bare(), "err", err)
	}
	return id
}

// learn remembers what a login has shown, and completes the report.
func (l *login) learn(ctx context.Context, s *Session, mode pipelining.Mode) {
	p := &plan{
		Learned: time.Now(), Direct: l.report.Direct,
		Mechanism: l.used.Mechanism, SASL2: l.used.Profile == auth.SASL2, Bind: l.protocol,
		Pipelining: l.pipelining || pipelining.Advertised(s.Session),
		Offered:    union(l.offer.SASL2, l.offer.RFC6120), Bindings: l.offer.Bindings, Tokens: l.offer.Tokens,
		Caps: l.inbox.caps,
	}
	_, p.RosterVersions = s.Feature(nsVersions)
	if p.Bind == 0 {
		p.Bind = bind2.Legacy // What is bound ahead by it goes unobserved.
	}
	s.Protocol = p.Bind
	r := &l.report
	l.meter.count(r)
	r.Held = mode != pipelining.Off && l.held(p)
	r.Mechanism, r.SASL2, r.Bind = p.Mechanism, p.SASL2, p.Bind
	p.merge(l.known)
	p.limit(l.d.mechanisms())
	if l.known != nil {
		p.Paced = l.known.Paced
	}
	if mode != pipelining.Off {
		l.lookAhead(s, p)
	} else if l.known != nil {
		p.Missed, p.Pause = l.known.Missed, l.known.Pause
	}
	l.save(ctx, p)
	r.Total = time.Since(l.begun)
	s.Report = *r
}

// held reports whether a login by what was known went as p says.
func (l *login) held(p *plan) bool {
	byToken := isHT(p.Mechanism)
	return p.SASL2 == l.known.SASL2 && p.Bind == l.known.Bind && byToken == l.hadToken &&
		(byToken || l.known.Mechanism == "" || p.Mechanism == l.known.Mechanism)
}

// lookAhead prepares for what the server offers and this login did not use because it
// was not known.
func (l *login) lookAhead(s *Session, p *plan) {
	p.Refused = l.known.Refused
	if l.known.Mechanism != p.Mechanism && l.known.Mechanism != "" && !slices.Contains(p.Refused, l.known.Mechanism) {
		p.Refused = append(p.Refused, l.known.Mechanism)
	}
	bind := p.Bind
	p.improve(l.allowed, l.offer)
	if l.d.Legacy {
		p.Bind = bind
	} else if _, early := s.Feature(bind2.NS); early && p.Bind == bind2.Legacy {
		p.Bind = bind2.Early
	}
}

// missed notes that a login that was sent ahead did not go as planned.
func (l *login) missed(ctx context.Context, mode pipelining.Mode) {
	if l.known != nil && mode != pipelining.Off {
		l.known.missed(time.Now(), mode)
		l.save(ctx, l.known)
	}
}

func (l *login) save(ctx context.Context, p *plan) {
	if err := p.store(ctx, l.cache, l.account, l.d.Trust); err != nil {
		l.d.log(ctx, "the cache failed", "account", l.account.Bare(), "err", err)
	}
}

// next reports whether another connection may do better after err, and how far to send
// ahead on that.
func (l *login) next(err error, mode pipelining.Mode, resume bool) (next pipelining.Mode, worth bool) {
	switch {
	case errors.Is(err, ErrUntrusted):
		l.tickets.forget(l.account.Domainpart())
		return mode, resume
	case l.secured:
		return pipelining.Off, mode != pipelining.Off && outdated(err)
	}
	// There was no TLS yet, which may have to do with what was remembered of the server
	// besides the plan: where it is, and the session of TLS that was to be taken up.
	full := errors.As(err, new(*tls.CertificateVerificationError)) // The session was not taken up.
	other := l.remembered || resume && !full && l.tickets.wereShown()
	if l.report.Direct {
		return mode, other // Of the plan, nothing was sent.
	}
	return pipelining.Off, other || mode != pipelining.Off && outdated(err)
}

// outdated reports whether an error may come of what was expected of the server, so
// that a login that expects nothing may succeed.
func outdated(err error) bool {
	var refused stream.Error
	switch {
	case errors.Is(err, ErrOpening):
		return false // Whatever has kept the program from saying it.
	case errors.Is(err, pipelining.ErrMispredicted):
		return true
	case errors.As(err, new(auth.Failure)), errors.As(err, new(pipelining.AuthError)), errors.As(err, new(stanza.Error)):
		return false
	case errors.As(err, &refused):
		switch refused.Err {
		case stream.BadFormat.Err, stream.InvalidXML.Err, stream.NotWellFormed.Err, stream.NotAuthorized.Err,
			stream.PolicyViolation.Err, stream.UnsupportedStanzaType.Err, stream.RestrictedXML.Err, stream.UndefinedCondition.Err:
			return true
		}
		return false
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, new(net.Error))
}

// explain adds what only the login knows.
func (l *login) explain(err error) error {
	if l.narrowed && (errors.Is(err, auth.ErrNoMechanism) || errors.Is(err, auth.ErrChannelBinding)) {
		return fmt.Errorf("%w: %w", ErrDowngrade, err)
	}
	return err
}

// within is an error inside of another one of this package, which has the prefix
// already.
type within struct{ error }

func (w within) Error() string { return strings.TrimPrefix(w.error.Error(), "quickstart: ") }
func (w within) Unwrap() error { return w.error }

// otherHost returns where the server sends its client, which is only believed if
// its certificate was good (RFC 6120, section 4.9.3.19). The certificate there must be
// for the same domain.
func otherHost(text string, why error) (string, error) {
	text = strings.TrimSpace(text)
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"), "5222"
	}
	n, err := strconv.ParseUint(port, 10, 16)
	_, noAddress := netip.ParseAddr(host)
	if err != nil || n == 0 || host == "" || noAddress != nil && strings.ContainsFunc(host, strange) {
		return "", fmt.Errorf("the server names no other host: %w", why)
	}
	return net.JoinHostPort(host, port), nil
}

// strange reports whether a character is in no name of a host.
func strange(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune("/:@[]", r) }

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// describe says what is sent ahead.
func describe(p pipelining.Plan, known *plan) string {
	if known == nil {
		return "unknown server, step by step"
	}
	parts := []string{p.Mode.String()}
	if p.Mode != pipelining.Off {
		if p.SASL2 {
			parts = append(parts, "SASL2")
		}
		parts = append(parts, known.Bind.String())
	}
	return strings.Join(parts, ", ")
}
