// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Client logs in to an XMPP server, sending ahead, and pings it.
//
//	go run ./examples/client -jid juliet@example.net -password r0m30 -ca ca.pem
//
// The server that goes with it is in examples/server:
//
//	go run ./examples/server -domain example.net -account juliet:r0m30 -ca-out ca.pem
//
// With a server that loses what is sent ahead, the client logs in once more,
// step by step. A real client remembers that, and the mechanism that worked, for
// the next time.
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
	"time"

	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/ping"

	"github.com/xmppext/xmppext/pipelining"
)

func main() {
	var (
		addr      = flag.String("addr", "127.0.0.1:5222", "`host:port` of the server, for STARTTLS")
		account   = flag.String("jid", "", "`user@domain` of the account")
		password  = flag.String("password", "", "its `password`")
		ca        = flag.String("ca", "", "PEM `file` with certificates to trust, not the system's")
		mechanism = flag.String("mechanism", "PLAIN", "SASL `mechanism` to begin with")
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
	cfg := pipelining.ClientConfig{
		TLS:        &tls.Config{MinVersion: tls.VersionTLS12},
		Password:   *password,
		Mechanisms: []sasl.Mechanism{sasl.ScramSha256, sasl.ScramSha1, sasl.Plain},
	}
	if *ca != "" {
		pem, err := os.ReadFile(*ca)
		if cfg.TLS.RootCAs = x509.NewCertPool(); err != nil || !cfg.TLS.RootCAs.AppendCertsFromPEM(pem) {
			log.Fatalf("-ca: no certificate in %s: %v", *ca, err)
		}
	}

	start := time.Now()
	plan := pipelining.Plan{Mode: pipelining.Full, Mechanism: *mechanism}
	s, err := login(ctx, *addr, me, plan, cfg)
	if errors.Is(err, pipelining.ErrMispredicted) {
		log.Printf("once more, step by step: %v", err)
		plan.Mode = pipelining.Off
		s, err = login(ctx, *addr, me, plan, cfg)
	}
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("logged in as %v in %v", s.LocalAddr(), time.Since(start).Round(time.Microsecond))

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

// login logs in on a connection of its own, which belongs to the session.
func login(ctx context.Context, addr string, me jid.JID, plan pipelining.Plan, cfg pipelining.ClientConfig) (*xmpp.Session, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	s, err := xmpp.NewSession(ctx, me.Domain(), me, conn, 0, pipelining.Client(plan, cfg))
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return s, nil
}
