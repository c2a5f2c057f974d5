// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package carbons_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"strings"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/carbons"
)

// A server looks at a message on its way, and then sends copies to the resources that
// have not had it.
func Example() {
	var (
		registry carbons.Registry // one for the server
		recent   carbons.Recent   // one for the account
	)
	phone := jid.MustParse("ilse@hafen.example/phone")
	desk := jid.MustParse("ilse@hafen.example/desk")
	registry.Set(phone, true)

	const raw = `<message xmlns="jabber:client" from="ole@kai.example/boat" to="ilse@hafen.example/desk" type="chat"><body>Ahoy</body></message>`
	var content carbons.Content
	deliver := content.Watch(xml.NewDecoder(strings.NewReader(raw)))
	_, _ = xmlstream.Copy(xmlstream.Discard(), deliver) // To the desk.

	if recent.Eligible(carbons.Received, content) {
		for _, to := range registry.Copies([]jid.JID{phone, desk}, []jid.JID{desk}) {
			os.Stdout.Write(carbons.Append(nil, carbons.Received, to, content.Message.Type, []byte(raw)))
		}
	}
	// Output:
	// <message xmlns="jabber:client" from="ilse@hafen.example" to="ilse@hafen.example/phone" type="chat"><received xmlns="urn:xmpp:carbons:2"><forwarded xmlns="urn:xmpp:forward:0"><message xmlns="jabber:client" from="ole@kai.example/boat" to="ilse@hafen.example/desk" type="chat"><body>Ahoy</body></message></forwarded></received></message>
}

// A session's handler turns copies on and off for its own resource.
func ExampleHandle() {
	var registry carbons.Registry
	phone := jid.MustParse("ilse@hafen.example/phone")
	m := mux.New(stanza.NSClient, carbons.Handle(&carbons.Handler{
		Resource: phone,
		Switch:   registry.Switch,
		Rules:    true,
	}))

	// What session.Serve(m) does when the client asks.
	d := xml.NewDecoder(strings.NewReader(`<iq xmlns="jabber:client" type="set" id="1"><enable xmlns="urn:xmpp:carbons:2"/></iq>`))
	tok, _ := d.Token()
	start := tok.(xml.StartElement)
	e := xml.NewEncoder(os.Stdout)
	err := m.HandleXMPP(struct {
		xml.TokenReader
		xmlstream.Encoder
	}{xmlstream.InnerElement(d), e}, &start)
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = e.Flush()
	fmt.Println()
	fmt.Println(registry.Enabled(phone))
	// Output:
	// <iq xmlns="jabber:client" type="result" to="ilse@hafen.example/phone" from="ilse@hafen.example" id="1"></iq>
	// true
}

// A client believes copies from its own account only.
func ExampleUnwrap() {
	account := jid.MustParse("ilse@hafen.example")
	for _, from := range []string{"ilse@hafen.example", "mallory@example.net", "ilse@hafen.example/desk"} {
		incoming := `<message xmlns="jabber:client" from="` + from + `" to="ilse@hafen.example/phone" type="chat"><received xmlns="urn:xmpp:carbons:2"><forwarded xmlns="urn:xmpp:forward:0"><message xmlns="jabber:client" from="ole@kai.example/boat" to="ilse@hafen.example/desk" type="chat"><body>Ahoy</body></message></forwarded></received></message>`
		c, err := carbons.Unwrap(account, stanza.Message{From: jid.MustParse(from)}, xml.NewDecoder(strings.NewReader(incoming)))
		if errors.Is(err, carbons.ErrForged) {
			fmt.Println("forged by", from)
			continue
		}
		fmt.Println(c.Direction, c.Message.From)
	}
	// Output:
	// received ole@kai.example/boat
	// forged by mallory@example.net
	// forged by ilse@hafen.example/desk
}

// What is said in a room is not copied, and neither is what the sender does not want
// to be.
func ExampleContent_Eligible() {
	for _, message := range []string{
		`<message type="chat"><body>Ahoy</body></message>`,
		`<message type="groupchat"><body>Ahoy</body></message>`,
		`<message type="chat"><body>Ahoy</body><private xmlns="urn:xmpp:carbons:2"/></message>`,
		`<message><received xmlns="urn:xmpp:receipts" id="1"/></message>`,
	} {
		c, err := carbons.Read(xml.NewDecoder(strings.NewReader(message)))
		fmt.Println(c.Eligible(carbons.Sent), err)
	}
	// Output:
	// true <nil>
	// false <nil>
	// false <nil>
	// true <nil>
}

// A client hands its copies to what shows them.
func ExampleHandleClient() {
	m := mux.New(stanza.NSClient, carbons.HandleClient(&carbons.Client{
		Account: jid.MustParse("ilse@hafen.example"), // session.LocalAddr()
		Copied: func(c carbons.Copy) {
			fmt.Println(c.Direction, "to", c.Message.To)
		},
		Refused: func(m stanza.Message, err error) {
			fmt.Println(err, "from", m.From)
		},
	}))
	for _, from := range []string{"ilse@hafen.example", "mallory@example.net"} {
		// What session.Serve(m) does with each message.
		d := xml.NewDecoder(strings.NewReader(`<message xmlns="jabber:client" from="` + from + `"><sent xmlns="urn:xmpp:carbons:2"><forwarded xmlns="urn:xmpp:forward:0"><message xmlns="jabber:client" from="ilse@hafen.example/desk" to="ole@kai.example"/></forwarded></sent></message>`))
		tok, _ := d.Token()
		start := tok.(xml.StartElement)
		_ = m.HandleXMPP(struct {
			xml.TokenReader
			xmlstream.Encoder
		}{xmlstream.InnerElement(d), xml.NewEncoder(os.Stdout)}, &start)
	}
	// Output:
	// sent to ole@kai.example
	// carbons: a forged copy from mallory@example.net
}
