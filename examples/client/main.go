// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Client logs in to an XMPP server, sending ahead, and pings it.
//
//	go run ./examples/client -jid juliet@example.net -password r0m30 -ca ca.pem -token-file token.json
//
// If it is run again it logs in with the token that the first login has brought,
// and needs no password.
//
// The server that goes with it is in examples/server:
//
//	go run ./examples/server -domain example.net -account juliet:r0m30 -ca-out ca.pem
//
// With a server that has no SASL2, or loses what is sent ahead even if paced, the
// client logs in once more, step by step. A real client remembers that, and the
// mechanism that worked, for the next time.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"sync/atomic"
	"time"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/ping"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/pipelining"
)

func main() {
	var (
		addr      = flag.String("addr", "127.0.0.1:5222", "`host:port` of the server, for STARTTLS")
		account   = flag.String("jid", "", "`user@domain` of the account")
		password  = flag.String("password", "", "its `password`, if there is no token")
		tokens    = flag.String("token-file", "", "`file` to keep a token in, as good as the password while it is valid")
		ca        = flag.String("ca", "", "PEM `file` with certificates to trust, not the system's")
		mechanism = flag.String("mechanism", "", "the only SASL `mechanism` to use, such as PLAIN; if empty, all of SCRAM")
	)
	flag.Parse()
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()

	me, err := jid.Parse(*account)
	if err != nil || me.Localpart() == "" {
		log.Fatal("-jid must be user@domain")
	}
	trusted := &tls.Config{MinVersion: tls.VersionTLS12}
	if *ca != "" {
		pem, err := os.ReadFile(*ca)
		if trusted.RootCAs = x509.NewCertPool(); err != nil || !trusted.RootCAs.AppendCertsFromPEM(pem) {
			log.Fatalf("-ca: no certificate in %s: %v", *ca, err)
		}
	}
	var used auth.Login
	client := &auth.Client{
		Password:  auth.Password(*password),
		UserAgent: auth.UserAgent{Software: "xmppext example"},
		Inline:    []auth.ClientInline{(&bind2.Client{Tag: "example"}).Inline()},
		Observe:   func(_ *xmpp.Session, l auth.Login) { used = l },
	}
	if *mechanism != "" {
		client.Mechanisms = []string{*mechanism}
	}
	if *tokens != "" {
		cache, err := openTokens(*tokens)
		if err != nil {
			log.Fatalf("-token-file: %v", err)
		}
		client.UserAgent.ID, client.Tokens = cache.ID, cache
		// A server that does not know this mechanism gives no token.
		client.TokenMechanism = auth.HTSHA256Exporter
	}
	cfg := pipelining.ClientConfig{TLS: trusted, Authenticator: client}

	start := time.Now()
	s, flights, err := login(ctx, *addr, me, pipelining.Plan{Mode: pipelining.Paced, SASL2: true}, cfg)
	if errors.Is(err, pipelining.ErrMispredicted) {
		log.Printf("once more, step by step: %v", err)
		s, flights, err = login(ctx, *addr, me, pipelining.Plan{}, cfg)
	}
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("logged in as %v in %v: %s, %d flights", s.LocalAddr(), time.Since(start).Round(time.Microsecond), used.Mechanism, flights)

	served := make(chan error, 1)
	go func() {
		served <- s.Serve(nil)
		cancel() // Nobody answers any more.
	}()
	start = time.Now()
	if err := ping.Send(ctx, s, me.Domain()); err != nil {
		log.Fatalf("ping: %v", err)
	}
	log.Printf("ping answered in %v", time.Since(start).Round(time.Microsecond))
	if err := errors.Join(s.Close(), <-served, s.Conn().Close()); err != nil {
		log.Fatal(err)
	}
}

// login logs in on a connection of its own, which belongs to the session. It also
// returns how many flights that took.
func login(ctx context.Context, addr string, me jid.JID, plan pipelining.Plan, cfg pipelining.ClientConfig) (*xmpp.Session, int32, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, 0, err
	}
	counted := &flightConn{Conn: conn}
	s, err := xmpp.NewSession(ctx, me.Domain(), me, counted, 0, pipelining.Client(plan, cfg))
	if err != nil {
		_ = conn.Close()
		return nil, 0, err
	}
	return s, counted.flights.Load(), nil
}

// A flightConn counts flights: what is sent without having received anything in
// between. Each is a round trip that the client waits for.
type flightConn struct {
	net.Conn
	flights atomic.Int32
	sending atomic.Bool
}

func (c *flightConn) Write(p []byte) (int, error) {
	if !c.sending.Swap(true) {
		c.flights.Add(1)
	}
	return c.Conn.Write(p)
}

func (c *flightConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.sending.Store(false)
	return n, err
}
