// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package xmpptest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
)

// Password is the password of the account in stock negotiations.
const Password = "secret"

// pairTimeout ends a negotiation that hangs, in fake time inside a bubble.
const pairTimeout = time.Minute

// PairConfig configures [NewPair].
// The zero value negotiates mellium's stock SASL PLAIN and resource binding over
// an immediate link.
type PairConfig struct {
	// Link configures the connection; the client is at end A.
	Link LinkConfig

	// Location is the address of the server, Client that of the client.
	// They default to example.net and juliet@example.net.
	// The server learns both from the client's stream header.
	Location, Client jid.JID

	// ClientState and ServerState are the states that the sessions start in.
	// Zero means xmpp.Secure, as mellium offers SASL on secure streams only;
	// Insecure means that a zero is meant, for instance to negotiate STARTTLS.
	// The server's state gets xmpp.Received in any case.
	ClientState, ServerState xmpp.SessionState
	Insecure                 bool

	// ClientNegotiator and ServerNegotiator negotiate the sessions.
	// They default to [Stock] with [ClientFeatures] and [ServerFeatures].
	ClientNegotiator, ServerNegotiator xmpp.Negotiator

	// WrapConn, if set, is called for each end of the link; the session is
	// negotiated over what it returns.
	// Closing the result must close c.
	WrapConn func(side Side, c net.Conn) net.Conn
}

// Stock returns mellium's negotiator for a fixed list of features.
func Stock(features ...xmpp.StreamFeature) xmpp.Negotiator {
	return xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
		return xmpp.StreamConfig{Features: features}
	})
}

// ClientFeatures returns new stock features of a client: SASL PLAIN with
// [Password] and resource binding.
func ClientFeatures() []xmpp.StreamFeature {
	return []xmpp.StreamFeature{
		xmpp.SASL("", Password, sasl.Plain),
		xmpp.BindResource(),
	}
}

// ServerFeatures returns new stock features of a server: SASL PLAIN, which
// accepts any user with [Password], and resource binding.
func ServerFeatures() []xmpp.StreamFeature {
	return []xmpp.StreamFeature{
		xmpp.SASLServer(func(n *sasl.Negotiator) bool {
			_, password, _ := n.Credentials()
			return string(password) == Password
		}, sasl.Plain),
		xmpp.BindResource(),
	}
}

// Pair is a client session and a server session over a [Link].
type Pair struct {
	// Link is the connection between the sessions.
	Link *Link

	// Client and Server are the sessions as the negotiation left them, even if
	// it failed.
	Client, Server *xmpp.Session

	// ClientErr and ServerErr are the errors of the negotiation.
	// Where one end fails its connection is closed, so the other end fails too,
	// mostly with an unexpected end of the stream.
	ClientErr, ServerErr error

	conns  [2]net.Conn
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// NewPair negotiates a client session and a server session at the same time.
// If either fails, so does the test, with the errors of both.
// The pair is closed when the test ends.
//
// Inside a bubble (testing/synctest), t must be the bubble's.
func NewPair(t testing.TB, cfg PairConfig) *Pair {
	t.Helper()
	p, err := TryPair(t.Context(), cfg)
	t.Cleanup(func() { _ = p.Close() })
	if err != nil {
		t.Fatalf("negotiation failed: %v", err)
	}
	return p
}

// TryPair is like [NewPair] but returns the errors of the negotiation.
// The pair is never nil and must be closed by the caller.
//
// When ctx is canceled before both ends are done, the link is closed.
func TryPair(ctx context.Context, cfg PairConfig) (*Pair, error) {
	cfg = cfg.withDefaults()
	p := &Pair{Link: NewLink(cfg.Link)}
	for _, side := range []Side{Client, Server} {
		p.conns[side] = p.Link.End(side)
		if cfg.WrapConn != nil {
			p.conns[side] = cfg.WrapConn(side, p.conns[side])
		}
	}

	// Canceling this context right after the negotiation could set a deadline on
	// the live connections for a moment, so that is left to Close.
	ctx, p.cancel = context.WithTimeoutCause(ctx, pairTimeout,
		fmt.Errorf("xmpptest: no session after %v: %w", pairTimeout, context.DeadlineExceeded))
	stop := context.AfterFunc(ctx, func() { _ = p.Link.Close() })

	p.wg.Go(func() {
		p.Server, p.ServerErr = xmpp.ReceiveSession(ctx, p.conns[Server], cfg.ServerState, cfg.ServerNegotiator)
		if p.ServerErr != nil {
			_ = p.conns[Server].Close()
		}
	})
	p.Client, p.ClientErr = xmpp.NewSession(ctx, cfg.Location, cfg.Client, p.conns[Client], cfg.ClientState, cfg.ClientNegotiator)
	if p.ClientErr != nil {
		_ = p.conns[Client].Close()
	}
	p.wg.Wait()

	var err error
	if p.ClientErr != nil {
		err = fmt.Errorf("client: %w", p.ClientErr)
	}
	if p.ServerErr != nil {
		err = errors.Join(err, fmt.Errorf("server: %w", p.ServerErr))
	}
	stop()
	if ctx.Err() != nil {
		err = errors.Join(err, context.Cause(ctx), p.Link.Close())
	}
	return p, err
}

func (cfg PairConfig) withDefaults() PairConfig {
	if cfg.Location.Equal(jid.JID{}) {
		cfg.Location = jid.MustParse("example.net")
	}
	if cfg.Client.Equal(jid.JID{}) {
		cfg.Client = jid.MustParse("juliet@example.net")
	}
	if cfg.ClientState == 0 && !cfg.Insecure {
		cfg.ClientState = xmpp.Secure
	}
	if cfg.ServerState == 0 && !cfg.Insecure {
		cfg.ServerState = xmpp.Secure
	}
	if cfg.ClientNegotiator == nil {
		cfg.ClientNegotiator = Stock(ClientFeatures()...)
	}
	if cfg.ServerNegotiator == nil {
		cfg.ServerNegotiator = Stock(ServerFeatures()...)
	}
	return cfg
}

// Serve serves both sessions in the background, until they end or Close.
// A nil handler handles nothing.
//
// Errors of serving are dropped; a test that needs them calls the Serve methods
// of the sessions itself.
func (p *Pair) Serve(client, server xmpp.Handler) {
	p.wg.Go(func() { _ = p.Client.Serve(client) })
	p.wg.Go(func() { _ = p.Server.Serve(server) })
}

// Close closes the connection, without closing the streams first, and waits for
// the goroutines that [Pair.Serve] started.
// Closing a pair again does nothing.
func (p *Pair) Close() error {
	var err error
	for _, c := range p.conns {
		err = errors.Join(err, c.Close())
	}
	err = errors.Join(err, p.Link.Close())
	p.wg.Wait()
	p.cancel()
	return err
}
