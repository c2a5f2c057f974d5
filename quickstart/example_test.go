// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"

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
