// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Server is a small XMPP server whose clients may send ahead, log in with tokens, and
// miss no message and get none twice.
//
// Its accounts can chat with each other: messages are archived, until the process
// ends, and copied to all clients of an account. It has no rosters and talks to no
// other server. With a certificate of its own making it writes down what its clients
// have to trust:
//
//	go run ./examples/server -domain example.net -account juliet:r0m30 -ca-out ca.pem
//
// and in another terminal:
//
//	go run ./examples/client -jid juliet@example.net -password r0m30 -ca ca.pem -token-file token.json
//
// Passwords are hashed before anybody can log in, and not kept.
// A real server has -cert and -key, and a store of such hashes in place of flags.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"log"
	"math/big"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"

	"mellium.im/xmpp"
	"mellium.im/xmpp/disco"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/ping"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/bind2/hub"
	"github.com/xmppext/xmppext/mam"
	"github.com/xmppext/xmppext/pipelining"
)

func main() {
	var (
		listen    = flag.String("listen", "127.0.0.1:5222", "`address` to listen on")
		domain    = flag.String("domain", "example.net", "`domain` of the accounts")
		certFile  = flag.String("cert", "", "PEM `file` with the certificate; without it one is made")
		keyFile   = flag.String("key", "", "PEM `file` with its key")
		caOut     = flag.String("ca-out", "ca.pem", "`file` to write the made certificate to")
		plain     = flag.Bool("plain", false, "offer PLAIN too, for clients without SCRAM")
		passwords = map[string]string{}
	)
	flag.Func("account", "`user:password` of an account; may be repeated", func(s string) error {
		user, password, ok := strings.Cut(s, ":")
		if passwords[user] = password; !ok || user == "" || password == "" {
			return errors.New("not user:password")
		}
		return nil
	})
	flag.Parse()
	log.SetFlags(0)

	cert, err := tls.LoadX509KeyPair(*certFile, *keyFile)
	if *certFile == "" {
		cert, err = makeCertificate(*domain, *caOut)
	}
	if err != nil {
		log.Fatal(err)
	}
	accounts := new(auth.Accounts)
	for user, password := range passwords {
		account, err := jid.New(user, *domain, "")
		if err == nil {
			err = accounts.SetPassword(account, password)
		}
		if err != nil {
			log.Fatalf("-account: %s: %v", user, err)
		}
	}
	archive := new(mam.Memory)
	h := &hub.Hub{Archive: archive, Offline: new(hub.MemoryOffline), Local: func(account jid.JID) bool {
		_, ok := passwords[account.Localpart()]
		return ok && account.Domainpart() == *domain
	}}
	binder := &bind2.Server{Store: h, Carbons: true, CSI: true}
	authenticator := &auth.Server{
		Credentials: accounts,
		Mechanisms:  auth.DefaultMechanisms(),
		Certificate: auth.Leaf(cert),
		FAST:        &auth.FAST{Store: new(auth.MemoryTokens)},
		Inline:      []auth.Inline{binder},
	}
	if *plain {
		authenticator.Mechanisms = append(authenticator.Mechanisms, auth.Plain)
	}
	negotiator := pipelining.NewNegotiator(func(s *xmpp.Session, _ *xmpp.StreamConfig) xmpp.StreamConfig {
		features := append(authenticator.Features(s), binder.Features(s)...)
		return xmpp.StreamConfig{Features: append(features,
			pipelining.StreamFeature(),
			xmpp.StartTLS(&tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}),
		)}
	}, pipelining.Config{})

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	context.AfterFunc(ctx, func() { _ = l.Close() })
	log.Printf("serving %s on %v", *domain, l.Addr())
	var sessions sync.WaitGroup
	for {
		conn, err := l.Accept()
		if err != nil {
			break
		}
		sessions.Go(func() { serve(ctx, conn, negotiator, h, archive) })
	}
	sessions.Wait()
}

// serve is one session, from its first byte to its last.
func serve(ctx context.Context, conn net.Conn, n xmpp.Negotiator, h *hub.Hub, archive mam.Archive) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	r := h.NewResource()
	defer r.Close()
	s, err := xmpp.ReceiveSession(r.Context(ctx), pipelining.NewConn(conn), 0, n)
	if err != nil {
		log.Printf("%v: %v", conn.RemoteAddr(), err)
		return
	}
	defer s.Conn().Close()
	log.Printf("%v: %v has logged in", conn.RemoteAddr(), r.JID())
	account := &mam.Handler{Archive: archive, Account: r.JID().Bare()}
	if err := r.Serve(ctx, s, mam.Handle(account), bind2.RefuseLate(), ping.Handle(), disco.Handle()); err != nil {
		log.Printf("%v: %v", conn.RemoteAddr(), err)
	}
}

// makeCertificate makes a certificate that vouches for itself, and writes it,
// without the key, to a file.
func makeCertificate(domain, file string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		DNSNames:              []string{domain},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(30 * 24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, os.WriteFile(file, block, 0o644)
}
