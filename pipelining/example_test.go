// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"

	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/pipelining"
)

// A server replaces its negotiator, and learns who has logged in from the
// authentication instead of the stream header.
func ExampleNewNegotiator() {
	passwords := map[string]string{"juliet": "r0m30myr0m30"}
	check := func(s *xmpp.Session, n *sasl.Negotiator) (jid.JID, bool) {
		user, pass, authzid := n.Credentials()
		account, err := jid.New(string(user), s.LocalAddr().Domainpart(), "")
		if err != nil || len(authzid) > 0 && string(authzid) != account.String() {
			return jid.JID{}, false
		}
		want, ok := passwords[account.Localpart()]
		return account, ok && subtle.ConstantTimeCompare([]byte(want), pass) == 1
	}
	negotiator := pipelining.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
		return xmpp.StreamConfig{Features: []xmpp.StreamFeature{
			pipelining.StreamFeature(),
			xmpp.StartTLS(serverTLS()),
			pipelining.SASLServer(check, sasl.Plain),
			xmpp.BindResource(),
		}}
	}, pipelining.Config{})

	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer listener.Close()
	go logInAsJuliet(listener.Addr().String())

	conn, err := listener.Accept()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	session, err := xmpp.ReceiveSession(context.Background(), conn, 0, negotiator)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(session.RemoteAddr(), "has logged in")
	// Output: juliet@im.example.com has logged in
}

// A client sends ahead as far as it dares, and goes step by step where the
// server turns out to be another than it was.
func ExampleClient() {
	account := jid.MustParse("juliet@im.example.com/balcony")
	server := listenAsServer()
	defer server.Close()

	login := func(plan pipelining.Plan) (*xmpp.Session, error) {
		conn, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			return nil, err
		}
		session, err := xmpp.NewSession(context.Background(), account.Domain(), account, conn, 0,
			pipelining.Client(plan, pipelining.ClientConfig{
				TLS:        clientTLS(),
				Password:   "r0m30myr0m30",
				Mechanisms: []sasl.Mechanism{sasl.ScramSha256, sasl.Plain},
			}))
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return session, nil
	}

	session, err := login(pipelining.Plan{Mode: pipelining.Full})
	if errors.Is(err, pipelining.ErrMispredicted) {
		session, err = login(pipelining.Plan{})
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Conn().Close()
	fmt.Println("logged in as", session.LocalAddr())
	fmt.Println("pipelining advertised:", pipelining.Advertised(session))
	// Output:
	// logged in as juliet@im.example.com/balcony
	// pipelining advertised: true
}

// logInAsJuliet is the peer of ExampleNewNegotiator.
func logInAsJuliet(addr string) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	_, _ = xmpp.NewSession(context.Background(), domain, juliet, conn, 0,
		pipelining.Client(pipelining.Plan{Mode: pipelining.Full}, clientConfig(sasl.Plain)))
}

// listenAsServer is the peer of ExampleClient.
func listenAsServer() net.Listener {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = serve(context.Background(), startTLS, conn, pipelining.Config{}) }()
		}
	}()
	return l
}
