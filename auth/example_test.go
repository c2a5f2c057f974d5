// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"slices"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// A server keeps keys instead of passwords, and hands its features to a negotiator
// that pins who has logged in.
func ExampleServer() {
	accounts := new(auth.Accounts)
	if err := accounts.SetPassword(jid.MustParse("juliet@im.example.com"), "r0m30myr0m30"); err != nil {
		fmt.Println(err)
		return
	}
	config := serverTLS()
	server := &auth.Server{
		Credentials: accounts,
		Certificate: auth.Leaf(config.Certificates[0]),
		FAST:        &auth.FAST{Store: new(auth.MemoryTokens)},
	}
	negotiator := pipelining.NewNegotiator(func(s *xmpp.Session, _ *xmpp.StreamConfig) xmpp.StreamConfig {
		return xmpp.StreamConfig{Features: append(server.Features(s),
			xmpp.StartTLS(config), xmpp.BindResource(), pipelining.StreamFeature())}
	}, pipelining.Config{})

	conn := julietCalls()
	defer conn.Close()
	session, err := xmpp.ReceiveSession(context.Background(), conn, 0, negotiator)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(session.RemoteAddr(), "has logged in")
	// Output: juliet@im.example.com has logged in
}

// With a negotiator of mellium's, clients must say in their first header who they
// are, and each session takes a negotiator of its own.
func ExampleServer_stock() {
	server := &auth.Server{
		Credentials: accounts(),
		Observe: func(_ context.Context, _ *xmpp.Session, l auth.Login, err error) {
			fmt.Println(l.Account, l.Mechanism, err)
		},
	}
	conn := julietCalls()
	defer conn.Close()
	session, err := xmpp.ReceiveSession(context.Background(), conn, 0,
		xmpp.NewNegotiator(func(s *xmpp.Session, _ *xmpp.StreamConfig) xmpp.StreamConfig {
			return xmpp.StreamConfig{Features: append(server.Features(s),
				xmpp.StartTLS(serverTLS()), xmpp.BindResource())}
		}))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(session.RemoteAddr().Bare(), "has logged in")
	// Output:
	// juliet@im.example.com SCRAM-SHA-256-PLUS <nil>
	// juliet@im.example.com has logged in
}

// Other servers log in by their certificates, and so may clients.
func ExampleServer_external() {
	owners := map[string]jid.JID{"test": jid.MustParse("juliet@im.example.com")}
	server := &auth.Server{
		Mechanisms: []string{auth.External},
		External: func(_ context.Context, _ *xmpp.Session, state tls.ConnectionState, _ string) (jid.JID, error) {
			// The certificate is verified: tls.Config.ClientAuth has asked for that.
			owner, ok := owners[state.PeerCertificates[0].Subject.CommonName]
			if !ok {
				return jid.JID{}, errors.New("the certificate is nobody's")
			}
			return owner, nil
		},
	}
	config := clientTLS()
	config.Certificates = serverTLS().Certificates // Here everybody has the same.
	client := &auth.Client{Mechanisms: []string{auth.External}}

	conn := call(server)
	defer conn.Close()
	account := jid.MustParse("juliet@im.example.com")
	session, err := xmpp.NewSession(context.Background(), account.Domain(), account, conn, 0,
		xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
			return xmpp.StreamConfig{Features: append(client.Features(), xmpp.StartTLS(config), xmpp.BindResource())}
		}))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("logged in as", session.LocalAddr().Bare())
	// Output: logged in as juliet@im.example.com
}

// A client takes the place of xmpp.SASL.
func ExampleClient() {
	client := &auth.Client{
		Password:  auth.Password("r0m30myr0m30"),
		UserAgent: auth.UserAgent{ID: "d4565fa7-4d72-4749-b3d3-740edbf87770", Software: "Example"},
		Observe:   func(_ *xmpp.Session, l auth.Login) { fmt.Println(l.Account, l.Mechanism) },
	}
	conn := call(newServer())
	defer conn.Close()
	account := jid.MustParse("juliet@im.example.com")
	_, err := xmpp.NewSession(context.Background(), account.Domain(), account, conn, 0,
		xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
			return xmpp.StreamConfig{Features: append(client.Features(),
				xmpp.StartTLS(clientTLS()), xmpp.BindResource())}
		}))
	if err != nil {
		fmt.Println(err)
	}
	// Output: juliet@im.example.com SCRAM-SHA-256-PLUS
}

// A client that sends its login ahead, right behind the stream header.
func ExampleClient_Ahead() {
	client := &auth.Client{Password: auth.Password("r0m30myr0m30")}
	negotiator := pipelining.Client(
		pipelining.Plan{Mode: pipelining.Full, Mechanism: auth.ScramSHA256Plus, SASL2: true},
		pipelining.ClientConfig{TLS: clientTLS(), Authenticator: client})

	conn := call(newServer())
	defer conn.Close()
	account := jid.MustParse("juliet@im.example.com")
	session, err := xmpp.NewSession(context.Background(), account.Domain(), account, conn, 0, negotiator)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("logged in as", session.LocalAddr().Bare())
	// Output: logged in as juliet@im.example.com
}

// A small server keeps its accounts in memory. Of a password only keys are kept,
// and they do not show.
func ExampleAccounts() {
	accounts := new(auth.Accounts)
	juliet := jid.MustParse("juliet@im.example.com")
	if err := accounts.SetPassword(juliet, "r0m30myr0m30"); err != nil {
		fmt.Println(err)
		return
	}
	keys, err := accounts.Keys(context.Background(), juliet, auth.ScramSHA256)
	fmt.Println(keys, err)
	_, err = accounts.Keys(context.Background(), jid.MustParse("romeo@im.example.com"), auth.ScramSHA256)
	fmt.Println(errors.Is(err, auth.ErrUnknownAccount))
	// Output:
	// [redacted] <nil>
	// true
}

// A table of passwords becomes one of keys, for each mechanism that is to be
// offered. It takes some milliseconds for each.
func ExampleNewKeys() {
	passwords := map[string]string{
		"juliet@im.example.com": "r0m30myr0m30",
		"romeo@im.example.com":  "wherefore",
	}
	type row struct{ account, mechanism string }
	table := make(map[row]auth.Keys)
	for account, password := range passwords {
		for _, mechanism := range []string{auth.ScramSHA256, auth.ScramSHA1} {
			keys, err := auth.NewKeys(password, mechanism, 0)
			if err != nil {
				fmt.Println(account, err)
				continue
			}
			table[row{account, mechanism}] = keys
		}
	}
	keys := table[row{"juliet@im.example.com", auth.ScramSHA256}]
	fmt.Println(len(table), "rows,", len(keys.Salt), "bytes of salt,", keys.Iterations, "iterations")
	// Output: 4 rows, 16 bytes of salt, 10000 iterations
}

// The first login asks for a token, and the next ones need no password.
func ExampleFAST() {
	server := &auth.Server{
		Credentials: accounts(),
		FAST:        &auth.FAST{Store: new(auth.MemoryTokens)},
	}
	client := &auth.Client{
		Password: func(context.Context) (string, error) {
			fmt.Println("the password, please")
			return "r0m30myr0m30", nil
		},
		UserAgent: auth.UserAgent{ID: "d4565fa7-4d72-4749-b3d3-740edbf87770", Software: "Example"},
		Tokens:    new(auth.MemoryCache),
		Observe:   func(_ *xmpp.Session, l auth.Login) { fmt.Println(l.Account, l.Mechanism) },
	}
	account := jid.MustParse("juliet@im.example.com")
	for range 2 {
		conn := call(server)
		_, err := xmpp.NewSession(context.Background(), account.Domain(), account, conn, 0,
			xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
				return xmpp.StreamConfig{Features: append(client.Features(),
					xmpp.StartTLS(clientTLS()), xmpp.BindResource())}
			}))
		if err = errors.Join(err, conn.Close()); err != nil {
			fmt.Println(err)
			return
		}
	}
	// Output:
	// the password, please
	// juliet@im.example.com SCRAM-SHA-256-PLUS
	// juliet@im.example.com HT-SHA-256-EXPR
}

// A second factor is a task. Only SASL2 has tasks, so that nothing else must be
// offered.
func ExampleTask() {
	totp := auth.Task{
		Name: "TOTP",
		Step: func(_ context.Context, data xml.TokenReader) (xml.TokenReader, bool, error) {
			var code struct {
				Text string `xml:",chardata"`
			}
			if err := xml.NewTokenDecoder(data).Decode(&code); err != nil || code.Text != "492039" {
				return nil, false, auth.Failure{Condition: auth.NotAuthorized}
			}
			return nil, true, nil
		},
	}
	server := &auth.Server{
		Credentials: accounts(),
		Profiles:    auth.SASL2,
		Tasks: func(_ context.Context, _ *xmpp.Session, _ jid.JID, done []string) ([]auth.Task, error) {
			if slices.Contains(done, totp.Name) {
				return nil, nil
			}
			return []auth.Task{totp}, nil
		},
	}
	client := &auth.Client{
		Password: auth.Password("r0m30myr0m30"),
		Tasks: []auth.ClientTask{{
			Name: "TOTP",
			Begin: func(context.Context) (xml.TokenReader, func(xml.TokenReader) (xml.TokenReader, error), error) {
				fmt.Println("the code, please")
				return xmlstream.Wrap(xmlstream.Token(xml.CharData("492039")),
					xml.StartElement{Name: xml.Name{Space: "urn:example:totp", Local: "code"}}), nil, nil
			},
		}},
	}

	conn := call(server)
	defer conn.Close()
	account := jid.MustParse("juliet@im.example.com")
	session, err := xmpp.NewSession(context.Background(), account.Domain(), account, conn, 0,
		xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
			return xmpp.StreamConfig{Features: append(client.Features(),
				xmpp.StartTLS(clientTLS()), xmpp.BindResource())}
		}))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("logged in as", session.LocalAddr().Bare())
	// Output:
	// the code, please
	// logged in as juliet@im.example.com
}

// call returns a client's end of a connection to a server with the features of srv.
func call(srv *auth.Server) net.Conn {
	link := xmpptest.NewLink(xmpptest.LinkConfig{})
	go func() {
		_, _ = xmpp.ReceiveSession(context.Background(), link.B, 0, negotiator(srv))
	}()
	return link.A
}

// julietCalls returns a server's end of a connection to Juliet's client.
func julietCalls() net.Conn {
	link := xmpptest.NewLink(xmpptest.LinkConfig{})
	go func() {
		_, _ = xmpp.NewSession(context.Background(), domain, juliet, link.A, 0, stockClient(newClient()))
	}()
	return link.B
}
