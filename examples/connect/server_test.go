// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/ping"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/bind2/hub"
	"github.com/xmppext/xmppext/mam"
	"github.com/xmppext/xmppext/pipelining"
)

const (
	account  = "juliet@example.net"
	password = "r0m30myr0m30"
)

// certificate makes a certificate that vouches for itself, and a file to trust it by.
func certificate(t *testing.T) (cert tls.Certificate, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"example.net"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IsCA:         true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	file = filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// serve starts a server as it is in examples/server, but with TLS of either kind, and
// returns the flags for it.
func serve(t *testing.T, direct bool) []string {
	t.Helper()
	cert, ca := certificate(t)
	accounts := &auth.Accounts{Iterations: 4096} // It keeps tests quick.
	require.NoError(t, accounts.SetPassword(jid.MustParse(account), password))
	h := &hub.Hub{Archive: new(mam.Memory)}
	binder := &bind2.Server{Store: h, Carbons: true, CSI: true}
	authenticator := &auth.Server{
		Credentials: accounts,
		Mechanisms:  auth.DefaultMechanisms(),
		Certificate: auth.Leaf(cert),
		FAST:        &auth.FAST{Store: new(auth.MemoryTokens)},
		Inline:      []auth.Inline{binder},
	}
	secure := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	n := pipelining.NewNegotiator(func(s *xmpp.Session, _ *xmpp.StreamConfig) xmpp.StreamConfig {
		features := append(authenticator.Features(s), binder.Features(s)...)
		return xmpp.StreamConfig{Features: append(features, pipelining.StreamFeature(), xmpp.StartTLS(secure))}
	}, pipelining.Config{})

	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
				var transport net.Conn = pipelining.NewConn(conn)
				if direct {
					transport = tls.Server(transport, secure)
				}
				r := h.NewResource()
				defer r.Close()
				if s, err := xmpp.ReceiveSession(r.Context(ctx), transport, 0, n); err == nil {
					_ = r.Serve(ctx, s, ping.Handle())
				}
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		running.Wait()
	})
	kind := "starttls"
	if direct {
		kind = "direct"
	}
	return []string{"-jid", account, "-addr", l.Addr().String(), "-tls", kind, "-ca", ca}
}
