// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"os"
	"strings"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/disco"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/mam"
)

// A server answers an account's queries on each of its sessions.
func ExampleHandler() {
	archive := new(mam.Memory)
	romeoWrites(archive, "But, soft!", "What light through yonder window breaks?")

	sessions := julietCalls()
	defer sessions.Close()
	h := &mam.Handler{
		Archive: archive,
		// Who has authenticated, whatever a stanza says.
		Account: jid.MustParse("juliet@im.example.com"),
	}
	client := new(mam.Client)
	sessions.Serve(mux.New(stanza.NSClient, mam.HandleClient(client)), mux.New(stanza.NSClient, mam.Handle(h)))

	for result, err := range client.Fetch(context.Background(), sessions.Client, jid.JID{}, mam.Query{}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(text(result.TokenReader()))
	}
	// Output:
	// But, soft!
	// What light through yonder window breaks?
}

// A client that has been away holds live messages back until it knows what is in the
// archive, and gets each message once.
func ExampleClient_CatchUp() {
	archive := new(mam.Memory)
	romeoWrites(archive, "But, soft!", "What light through yonder window breaks?")
	sessions := julietCalls()
	defer sessions.Close()
	account := jid.MustParse("juliet@im.example.com")

	gate := new(mam.Gate)
	show := func(message xml.TokenReader) error {
		fmt.Println(text(message))
		return nil
	}
	client := new(mam.Client)
	sessions.Serve(
		mux.New(stanza.NSClient, mam.HandleClient(client), mux.MessageFunc(stanza.ChatMessage, xml.Name{Local: "body"},
			func(_ stanza.Message, t xmlstream.TokenReadEncoder) error {
				message, err := gate.Hold(t)
				if err != nil || message == nil {
					return nil // It is in the archive, as is what the gate has lost.
				}
				return show(message)
			})),
		mux.New(stanza.NSClient, mam.Handle(&mam.Handler{Archive: archive, Account: account}), disco.Handle()))

	// What arrives meanwhile is in the archive too.
	arrive(sessions.Server, romeoWrites(archive, "It is the east, and Juliet is the sun."))

	ctx := context.Background()
	support, err := client.Supports(ctx, sessions.Client, jid.JID{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if support.IDs {
		gate.By = account
	}
	var place mam.Place // As it was kept with the messages.
	place, err = client.CatchUp(ctx, sessions.Client, jid.JID{}, mam.Query{}, place, "", func(r mam.Result) error {
		gate.See(r)
		return show(r.TokenReader())
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := gate.Open(ctx, show); err != nil {
		fmt.Println(err) // It is ErrGateFull if there was too much: catch up again.
		return
	}
	fmt.Println("the place is kept:", place.ID != "")
	// Output:
	// But, soft!
	// What light through yonder window breaks?
	// It is the east, and Juliet is the sun.
	// the place is kept: true
}

// A server that delivers a message stores it first, and tells the account's own
// clients the id that it has in the archive.
func ExampleAddStanzaID() {
	var (
		archive = new(mam.Memory)
		account = jid.MustParse("juliet@im.example.com")
		arrived = xml.NewDecoder(strings.NewReader(`<message xmlns="jabber:client" type="chat" from="romeo@example.net/orchard" to="juliet@im.example.com">` +
			`<body>But, soft!</body><stanza-id xmlns="urn:xmpp:sid:0" by="juliet@im.example.com" id="forged"/></message>`))
		inRoster = func(jid.JID) bool { return true }
		ctx      = context.Background()
	)
	content, raw, err := mam.Read(mam.StripStanzaIDs(account)(arrived))
	if err != nil {
		fmt.Println(err)
		return
	}
	message := content.ForArchive(account, raw)
	preferences, err := archive.Preferences(ctx, account)
	if err != nil || !content.ForAccount() || !preferences.Allow(message.With, inRoster) {
		fmt.Println("it is not archived:", err)
		return
	}
	item, err := archive.Append(ctx, account, message)
	if err != nil {
		fmt.Println(err)
		return
	}

	delivered := mam.AddStanzaID(account, item.ID)(xml.NewDecoder(strings.NewReader(string(raw))))
	var out struct {
		IDs []struct {
			By string `xml:"by,attr"`
			ID string `xml:"id,attr"`
		} `xml:"urn:xmpp:sid:0 stanza-id"`
	}
	if err := xml.NewTokenDecoder(delivered).Decode(&out); err != nil {
		fmt.Println(err)
		return
	}
	for _, id := range out.IDs {
		fmt.Println("by", id.By, id.ID == item.ID)
	}
	// Output: by juliet@im.example.com true
}

// A client that writes a message gives it an id of its own.
func ExampleAddOriginID() {
	e := xml.NewEncoder(os.Stdout)
	message := stanza.Message{Type: stanza.ChatMessage, To: jid.MustParse("romeo@example.net")}.Wrap(nil)
	if _, err := xmlstream.Copy(e, mam.AddOriginID("de305d54-75b4-431b-adb2-eb6b9e546013")(message)); err != nil {
		fmt.Println(err)
		return
	}
	if err := e.Flush(); err != nil {
		fmt.Println(err)
	}
	// Output: <message type="chat" to="romeo@example.net"><origin-id xmlns="urn:xmpp:sid:0" id="de305d54-75b4-431b-adb2-eb6b9e546013"></origin-id></message>
}

// romeoWrites stores messages to juliet and returns the last as it is delivered.
func romeoWrites(archive *mam.Memory, bodies ...string) xml.TokenReader {
	account := jid.MustParse("juliet@im.example.com")
	var item mam.Item
	for _, body := range bodies {
		content, raw, err := mam.Read(parsed(`<message xmlns="jabber:client" type="chat" from="romeo@example.net/orchard" to="juliet@im.example.com"><body>%s</body></message>`, body))
		if err != nil {
			panic(err)
		}
		if item, err = archive.Append(context.Background(), account, content.ForArchive(account, raw)); err != nil {
			panic(err)
		}
	}
	return mam.AddStanzaID(account, item.ID)(parsed("%s", item.XML))
}

// julietCalls returns both ends of a session of juliet's.
func julietCalls() *xmpptest.Pair {
	p, err := xmpptest.TryPair(context.Background(), xmpptest.PairConfig{
		Location: jid.MustParse("im.example.com"), Client: jid.MustParse("juliet@im.example.com"),
	})
	if err != nil {
		panic(err)
	}
	return p
}

// arrive sends a message on a session.
func arrive(s *xmpp.Session, message xml.TokenReader) {
	if err := s.Send(context.Background(), message); err != nil {
		panic(err)
	}
}

// text returns the body of a message.
func text(message xml.TokenReader) string {
	var m struct {
		Body string `xml:"body"`
	}
	if err := xml.NewTokenDecoder(message).Decode(&m); err != nil {
		return err.Error()
	}
	return m.Body
}
