// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"net"
	"sync"

	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/ping"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/bind2/hub"
	"github.com/xmppext/xmppext/mam"
	"github.com/xmppext/xmppext/pipelining"
)

// serverConfig says what a server is like.
type serverConfig struct {
	tls      *tls.Config
	direct   bool // TLS from the first byte, no STARTTLS
	stock    bool // mellium and nothing else
	account  jid.JID
	password string
}

// A server is an XMPP server that has one account and answers pings.
type server struct {
	cfg           serverConfig
	hub           *hub.Hub
	binder        *bind2.Server
	authenticator *auth.Server
	listener      net.Listener
	cancel        context.CancelFunc
	done          sync.WaitGroup
}

// startServer starts a server on a free port of the loopback interface.
func startServer(cfg serverConfig) (*server, error) {
	h := &hub.Hub{Archive: new(mam.Memory)}
	binder := &bind2.Server{Store: h, Carbons: true, CSI: true}
	authenticator, err := newAuthenticator(cfg, binder)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &server{cfg: cfg, hub: h, binder: binder, authenticator: authenticator, listener: l, cancel: cancel}
	s.done.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // Stop has been called.
			}
			s.done.Go(func() { s.serve(ctx, conn) })
		}
	})
	return s, nil
}

// addr returns where the server listens.
func (s *server) addr() string { return s.listener.Addr().String() }

// stop ends the server and all its sessions, and waits until they have ended.
func (s *server) stop() {
	s.cancel()
	_ = s.listener.Close()
	s.done.Wait()
}

// serve is one session, from its first byte to its last.
func (s *server) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()

	resource := s.hub.NewResource()
	defer resource.Close()
	session, err := xmpp.ReceiveSession(resource.Context(ctx), s.transport(conn), 0, s.negotiator())
	if err != nil {
		return // The client has been told why by the negotiator.
	}
	defer session.Conn().Close()
	// Serve returns when the client ends its stream, or just hangs up.
	if s.cfg.stock {
		_ = session.Serve(mux.New(stanza.NSClient, ping.Handle()))
		return
	}
	_ = resource.Serve(ctx, session, ping.Handle())
}

// transport returns what the stream goes over at its beginning.
func (s *server) transport(conn net.Conn) net.Conn {
	switch {
	case !s.cfg.direct:
		return conn
	case s.cfg.stock:
		return tls.Server(conn, s.cfg.tls)
	}
	// The Conn below TLS lets the handshake and what follows it leave together.
	return tls.Server(pipelining.NewConn(conn), s.cfg.tls)
}

// newAuthenticator returns what knows the account, by keys that were made of its
// password, and can be given to any number of sessions.
func newAuthenticator(cfg serverConfig, binder *bind2.Server) (*auth.Server, error) {
	accounts := new(auth.Accounts)
	if err := accounts.SetPassword(cfg.account, cfg.password); err != nil {
		return nil, err
	}
	return &auth.Server{
		Credentials: accounts,
		Mechanisms:  append(auth.DefaultMechanisms(), auth.Plain),
		Certificate: auth.Leaf(cfg.tls.Certificates[0]),
		FAST:        &auth.FAST{Store: new(auth.MemoryTokens)},
		Inline:      []auth.Inline{binder},
	}, nil
}

// negotiator returns what makes a session of a connection. Compare the two: all
// that a server changes is here, and in transport if it has direct TLS.
func (s *server) negotiator() xmpp.Negotiator {
	if s.cfg.stock {
		return negotiator(
			xmpp.StartTLS(s.cfg.tls),
			xmpp.SASLServer(s.check, sasl.Plain), // It cannot do SCRAM.
			xmpp.BindResource(),
		)
	}
	return pipelining.NewNegotiator(func(session *xmpp.Session, _ *xmpp.StreamConfig) xmpp.StreamConfig {
		features := append(s.authenticator.Features(session), s.binder.Features(session)...)
		return xmpp.StreamConfig{Features: append(features,
			pipelining.StreamFeature(),
			xmpp.StartTLS(s.cfg.tls),
		)}
	}, pipelining.Config{})
}

// negotiator returns mellium's negotiator for a fixed list of features.
func negotiator(features ...xmpp.StreamFeature) xmpp.Negotiator {
	return xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
		return xmpp.StreamConfig{Features: features}
	})
}

// check says whether the credentials are those of the account.
func (s *server) check(n *sasl.Negotiator) bool {
	user, password, identity := n.Credentials()
	return string(user) == s.cfg.account.Localpart() && len(identity) == 0 &&
		subtle.ConstantTimeCompare(password, []byte(s.cfg.password)) == 1
}
