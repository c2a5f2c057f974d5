// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/quickstart"
)

// dialExample connects to a server in memory.
func dialExample(context.Context, string, string) (net.Conn, error) {
	link := xmpptest.NewLink(xmpptest.LinkConfig{})
	go newLibrary(newHouse()).serve(context.Background(), link.B)
	return link.A, nil
}

func ExampleRoster() {
	dialer := &quickstart.Dialer{
		Roster:  true,
		Opening: quickstart.Available,

		// Where the server of this example is.
		Address: homeAddress, NetDial: dialExample, TLS: &tls.Config{RootCAs: pki().pool},
	}
	ctx := context.Background()
	session, err := dialer.Dial(ctx, jid.MustParse("juliet@im.example.com"), quickstart.Password(password))
	if err != nil {
		log.Println(err)
		return
	}
	served := make(chan error)
	go func() { served <- session.Serve(nil) }()

	// Contacts see the presence by now. Those that were kept of an earlier login are
	// on the roster before it is waited for.
	if err := session.Roster.Wait(ctx); err != nil {
		log.Println(err)
		return
	}
	for _, contact := range session.Roster.Items() {
		fmt.Println(contact.JID, contact.Subscription, contact.Groups)
	}
	_ = session.Conn().Close()
	<-served

	// Output:
	// nurse@im.example.com both [Servants]
	// romeo@im.example.com to []
}

// A program that is to stay logged in handles one session after the other.
func ExampleKeeper() {
	ctx, logOut := context.WithCancel(context.Background())
	defer logOut()
	keeper := &quickstart.Keeper{
		Dialer: &quickstart.Dialer{
			Roster:  true,
			Opening: quickstart.Available,

			// Where the server of this example is.
			Address: homeAddress, NetDial: dialExample, TLS: &tls.Config{RootCAs: pki().pool},
		},
		Account:     jid.MustParse("juliet@im.example.com"),
		Credentials: quickstart.Password(password),
		Handle: func(ctx context.Context, s *quickstart.Session) error {
			served := make(chan error, 1)
			go func() { served <- s.Serve(nil) }() // This ends ctx when it returns.

			// What waits for the server is done meanwhile: to catch up with the archive, to
			// enter rooms.
			if err := s.Roster.Wait(ctx); err != nil {
				return err
			}
			fmt.Println(len(s.Roster.Items()), "contacts")
			logOut() // That is all for an example.
			return <-served
		},
		Observe: func(err error, wait time.Duration) { log.Printf("dialing again in %v: %v", wait, err) },
	}
	err := keeper.Run(ctx)
	fmt.Println(errors.Is(err, context.Canceled))
	// Output:
	// 2 contacts
	// true
}
