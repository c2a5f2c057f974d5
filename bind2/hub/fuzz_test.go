// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/bind2/hub"
	"github.com/xmppext/xmppext/mam"
)

// FuzzSend lets a client send anything, and looks at what others get.
func FuzzSend(f *testing.F) {
	const body, ns = "<body>hi</body>", `xmlns="jabber:client"`
	for _, seed := range []string{
		`<message ` + ns + ` to="benvolio@montague.example" type="chat">` + body + `</message>`,
		`<message ` + ns + ` to="romeo@montague.example" type="chat">` + body + `</message>`,
		`<message ` + ns + `>` + body + `<stanza-id xmlns="urn:xmpp:sid:0" by="romeo@montague.example" id="x"/></message>`,
		`<message ` + ns + ` to="benvolio@montague.example" from="x@y"><stanza-id xmlns="urn:xmpp:sid:0" by="Benvolio@montague.example" id="x"/>` + body + `</message>`,
		`<message ` + ns + ` to="juliet@capulet.example" type="error" id="&lt;&quot;">` + body + `</message>`,
		`<message ` + ns + ` to="a@b"/>`,
		`<message ` + ns + ` to="@"/>`,
		`<message ` + ns + ` to="romeo@montague.example" id="a" id="b">` + body + `</message>`,
		`<message ` + ns + ` to="romeo@montague.example" xmlns:c="jabber:client" c:from="a@b" c:to="a@b"><c:body>x</c:body></message>`,
		`<m:message xmlns:m="jabber:client" to="romeo@montague.example"><m:body>x</m:body><body xmlns="">y</body></m:message>`,
		`<message xmlns="jabber:server" to="romeo@montague.example"><body>x</body><x xmlns="u"><y xmlns=""><z xmlns="u"/></y></x></message>`,
		`<message to="romeo@montague.example"><body>x</body></message>`,
		`<message ` + ns + ` to="romeo@montague.example"><body><![CDATA[</message>]]></body></message>`,
		`<message ` + ns + ` to="romeo@montague.example">` + body + `<x xmlns="u" :a="1"/><:y/><z:/></message>`,
		`<message ` + ns + ` to="romeo@montague.example">` + body + `<xml:x/><x xmlns:p="http://www.w3.org/2000/xmlns/" p:a="1"/></message>`,
		`<message ` + ns + ` to="romeo@montague.example">` + body + `<x xmlns="u" xmlns:p="v" xmlns:q="v" p:a="" q:a="" xml:lang="de" xmlns:xmlns="w"/></message>`,
		`<message ` + ns + ` to="romeo@montague.example">` + body + `<x xmlns:p="a/b" xmlns:q="c/b" p:a="" q:a=""><y xmlns:r="d/b" r:b="" p:b=""/></x></message>`,
		`<message ` + ns + ` to="romeo@montague.example">` + body + `<!-- x --><?x y?></message>`,
		`<message ` + ns + ` to="romeo@montague.example">` + body + `<!DOCTYPE x></message>`,
		`<message ` + ns + ` to="romeo@montague.example">` + body + `</message><message/>`,
		`<message ` + ns + ` to="romeo@montague.example"><x xmlns="http://jabber.org/protocol/muc#user"/><received xmlns="urn:xmpp:carbons:2"/></message>`,
		`<message ` + ns + ` to="benvolio@montague.example/gone" type="groupchat"/>`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		w := new(wireBytes)
		h := &hub.Hub{Archive: new(mam.Memory), Offline: new(hub.MemoryOffline), Remote: w.remote}
		var clients []*hub.Resource
		for _, account := range []jid.JID{romeo, romeo, benvolio, benvolio} {
			r := h.NewResource()
			defer r.Close()
			_, err := h.Bind(r.Context(t.Context()), bind2.Request{Account: account, Protocol: bind2.Early, Carbons: true})
			require.NoError(t, err)
			clients = append(clients, r)
		}
		present(t, clients[0], 0)
		present(t, clients[2], 0)
		require.NoError(t, clients[3].SetPresence(t.Context(), true, -1))
		sender := clients[0].JID()
		_ = clients[0].Send(t.Context(), xml.NewDecoder(strings.NewReader(text)))

		ids := make(map[string]string) // by account, what is in the archive
		for _, account := range []jid.JID{romeo, benvolio} {
			_, err := h.Archive.Query(t.Context(), account, mam.Query{Max: 9}, func(item mam.Item) error {
				require.Empty(t, ids[account.String()], "it is archived once")
				ids[account.String()] = item.ID
				check(t, item.XML, sender, account, "")
				return nil
			})
			require.NoError(t, err)
			messages, err := h.Offline.Take(t.Context(), account, 0)
			require.NoError(t, err)
			for _, m := range messages {
				check(t, m.XML, sender, account, "")
			}
		}
		for _, b := range w.sent {
			check(t, b, sender, romeo, "")
		}
		for _, r := range clients {
			account := r.JID().Bare()
			for _, a := range arrived(t, r) {
				message := []byte(a.raw)
				if a.From == account.String() && a.To == r.JID().String() {
					checkElement(t, message)
					message = message[bytes.Index(message, []byte(`<forwarded xmlns="urn:xmpp:forward:0">`))+len(`<forwarded xmlns="urn:xmpp:forward:0">`) : bytes.LastIndex(message, []byte("</forwarded>"))]
				}
				check(t, message, sender, account, ids[account.String()])
			}
		}
	})
}

var benvolio = jid.MustParse("benvolio@montague.example")

// check checks a message from a sender: in it is the id that the archive of an account
// has given to it, once, if there is one, and no other by that account.
func check(t *testing.T, b []byte, sender, account jid.JID, id string) {
	t.Helper()
	checkElement(t, b)
	var a arrival
	require.NoError(t, xml.Unmarshal(b, &a))
	require.Equal(t, xml.Name{Space: "jabber:client", Local: "message"}, a.XMLName)
	require.Equal(t, sender.String(), a.From)
	var found []string
	for _, s := range a.IDs {
		if by, err := jid.Parse(strings.TrimSpace(s.By)); err == nil && by.Equal(account) {
			found = append(found, s.ID)
		}
	}
	if id == "" {
		require.Empty(t, found, "%s", b)
		return
	}
	require.Equal(t, []string{id}, found, "%s", b)
}

// checkElement checks that b is one element, for parsers that are stricter than
// encoding/xml.
func checkElement(t *testing.T, b []byte) {
	t.Helper()
	require.NoError(t, element(b), "%s", b)
}

func element(b []byte) error {
	d := xml.NewDecoder(bytes.NewReader(b))
	scopes := []map[string]string{{"xml": "http://www.w3.org/XML/1998/namespace"}}
	resolve := func(prefix string) (string, bool) {
		for i := len(scopes) - 1; i >= 0; i-- {
			if space, ok := scopes[i][prefix]; ok {
				return space, true
			}
		}
		return "", prefix == ""
	}
	for n := 0; ; n++ {
		tok, err := d.RawToken()
		switch {
		case errors.Is(err, io.EOF):
			if n == 0 || len(scopes) > 1 {
				return errors.New("not whole")
			}
			return nil
		case err != nil:
			return err
		case len(scopes) == 1 && n > 0:
			return errors.New("more than one element")
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			scope := make(map[string]string)
			for _, a := range tok.Attr {
				switch {
				case a.Name.Space == "xmlns":
					scope[a.Name.Local] = a.Value
				case a.Name == xml.Name{Local: "xmlns"}:
					scope[""] = a.Value
				default:
					continue
				}
				if strings.HasPrefix(a.Value, "http://www.w3.org/2000/xmlns/") || a.Value == "http://www.w3.org/XML/1998/namespace" || a.Value == "" && a.Name.Space != "" {
					return fmt.Errorf("%s may not be declared", a.Value)
				}
			}
			scopes = append(scopes, scope)
			raw, expanded := make(map[xml.Name]bool), make(map[xml.Name]bool)
			for _, a := range append(tok.Attr, xml.Attr{Name: tok.Name}) {
				if strings.Contains(a.Name.Local, ":") || strings.HasPrefix(a.Name.Space, "xmlns") && a.Name == tok.Name {
					return fmt.Errorf("%v is no name", a.Name)
				}
				if _, ok := resolve(a.Name.Space); !ok && a.Name.Space != "xmlns" {
					return fmt.Errorf("%q is not declared", a.Name.Space)
				}
			}
			for _, a := range tok.Attr {
				space := ""
				if a.Name.Space != "" {
					space, _ = resolve(a.Name.Space)
				}
				name := xml.Name{Space: space, Local: a.Name.Local}
				if raw[a.Name] || space != "" && expanded[name] {
					return fmt.Errorf("%v is there twice", a.Name)
				}
				raw[a.Name], expanded[name] = true, true
			}
		case xml.EndElement:
			scopes = scopes[:len(scopes)-1]
		case xml.CharData:
		default:
			return fmt.Errorf("a %T in a stream", tok)
		}
	}
}

// TestElement is that the fuzz test can fail.
func TestElement(t *testing.T) {
	for _, good := range []string{`<a/>`, `<a xmlns="u" xmlns:p="v" p:x="" x=""><p:b xml:lang="de">x</p:b></a>`} {
		require.NoError(t, element([]byte(good)))
	}
	for _, bad := range []string{
		``, `<a>`, `<a/><b/>`, `<a/>x`, `<a x="" x=""/>`, `<a xmlns:p="v" xmlns:q="v" p:x="" q:x=""/>`, `<p:a/>`, `<a p:x=""/>`,
		`<:a/>`, `<a :x=""/>`, `<a><!-- --></a>`, `<a><?x?></a>`, `<a xmlns="http://www.w3.org/2000/xmlns/"/>`, `<a xmlns:p="http://www.w3.org/XML/1998/namespace"/>`,
	} {
		require.Error(t, element([]byte(bad)), bad)
	}
}
