// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2_test

import (
	"context"
	"fmt"
	"net"
	"strings"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/pipelining"
)

// A store binds whatever it is asked for, for accounts without an archive.
type store struct{}

func (store) Bind(_ context.Context, r bind2.Request) (bind2.Bound, error) {
	resource := r.Resource
	if resource == "" {
		resource = bind2.NewResource(r.Tag)
	}
	full, err := r.Account.WithResource(resource)
	fmt.Printf("%s has asked for a resource by %s, copies: %t\n", r.Account, r.Protocol, r.Carbons)
	return bind2.Bound{JID: full}, err
}

// A server joins a store to the login and to the features behind it.
func ExampleServer() {
	binds := &bind2.Server{Store: store{}, Carbons: true}
	logins := &auth.Server{Credentials: accounts(), Inline: []auth.Inline{binds}}
	negotiator := pipelining.NewNegotiator(func(s *xmpp.Session, _ *xmpp.StreamConfig) xmpp.StreamConfig {
		features := append(logins.Features(s), binds.Features(s)...)
		return xmpp.StreamConfig{Features: append(features, pipelining.StreamFeature())}
	}, pipelining.Config{})

	conn := julietCalls()
	defer conn.Close()
	session, err := xmpp.ReceiveSession(context.Background(), conn, xmpp.Secure, negotiator)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("the session is", session.RemoteAddr(), "and ready:", session.State()&xmpp.Ready != 0)
	// Whoever binds again is disconnected by this handler.
	_ = mux.New(stanza.NSClient, bind2.RefuseLate())
	// Output:
	// juliet@im.example.com has asked for a resource by urn:xmpp:bind:0, copies: true
	// the session is juliet@im.example.com and ready: true
}

// A client that sends ahead binds within its login if the server has SASL2, and
// in the same flight if it has urn:xmpp:bind2:0.
func ExampleClient() {
	binds := &bind2.Client{
		Tag: "Example",
		Observe: func(p bind2.Protocol, b bind2.Bound) {
			tag, _, _ := strings.Cut(b.JID.Resourcepart(), "/")
			fmt.Printf("bound %s/%s/… by %s\n", b.JID.Bare(), tag, p)
		},
	}
	logins := &auth.Client{
		Password:  auth.Password("r0m30myr0m30"),
		Inline:    []auth.ClientInline{binds.Inline()},
		VerifyTLS: anyTLS, // There is none here.
	}
	negotiator := pipelining.Client(pipelining.Plan{Mode: pipelining.Full, SASL2: true}, pipelining.ClientConfig{
		Authenticator: logins,
		Binder:        binds.Binder(),
		Features:      binds.Prefer(xmpp.BindResource()),
		VerifyTLS:     anyTLS,
	})

	account := jid.MustParse("juliet@im.example.com")
	conn := callServer()
	defer conn.Close()
	session, err := xmpp.NewSession(context.Background(), account.Domain(), account, conn, xmpp.Secure, negotiator)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready:", session.State()&xmpp.Ready != 0)
	// Output:
	// bound juliet@im.example.com/Example/… by urn:xmpp:bind:0
	// ready: true
}

// In a stock negotiator, Prefer uses urn:xmpp:bind2:0 where it is offered.
func ExampleClient_Prefer() {
	binds := &bind2.Client{Observe: func(p bind2.Protocol, b bind2.Bound) {
		fmt.Println(b.JID.Bare(), "is bound by", p)
		switch {
		case b.Unreads == nil:
			fmt.Println("the server does not know what is unread")
		case len(b.Unreads) == 0:
			fmt.Println("everything is read")
		}
	}}
	negotiator := xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
		login := &auth.Client{Password: auth.Password("r0m30myr0m30"), VerifyTLS: anyTLS}
		return xmpp.StreamConfig{Features: append(login.Features(), binds.Prefer(xmpp.BindResource())...)}
	})

	account := jid.MustParse("juliet@im.example.com")
	conn := callServer()
	defer conn.Close()
	if _, err := xmpp.NewSession(context.Background(), account.Domain(), account, conn, xmpp.Secure, negotiator); err != nil {
		fmt.Println(err)
	}
	// Output:
	// juliet@im.example.com is bound by urn:xmpp:bind2:0
	// the server does not know what is unread
}

// What is behind the last slash is the server's, and random.
func ExampleNewResource() {
	resource := bind2.NewResource("Example")
	i := strings.LastIndex(resource, "/")
	fmt.Println(resource[:i], len(resource[i+1:]))
	// Output: Example 26
}

// The same client gets the same resource again.
func ExampleStableResource() {
	key := []byte("a secret that never changes")
	account := jid.MustParse("juliet@im.example.com")
	resource := bind2.StableResource(key, account, "d4565fa7-4d72-4749-b3d3-740edbf87770", "Example")
	fmt.Println(resource)
	fmt.Println(resource == bind2.StableResource(key, account, "d4565fa7-4d72-4749-b3d3-740edbf87770", "Example"))
	// Output:
	// Example/ILIRRL7BXPKN7ZF7S6QTYRLLKITP2KMC
	// true
}

// julietCalls returns a connection on which juliet logs in and binds.
func julietCalls() net.Conn {
	client, server := net.Pipe()
	go func() {
		binds := &bind2.Client{Tag: "Example"}
		_, _ = xmpp.NewSession(context.Background(), domain, juliet, client, xmpp.Secure,
			aheadClient(aheadPlan, auth.ScramSHA256, binds))
	}()
	return server
}

// callServer returns a connection to a server that has all there is.
func callServer() net.Conn {
	client, server := net.Pipe()
	h := newHouse(new(fakeStore))
	go func() {
		_, _ = xmpp.ReceiveSession(context.Background(), server, xmpp.Secure, h.negotiator())
	}()
	return client
}
