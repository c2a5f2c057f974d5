// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package carbons_test

import (
	"encoding/xml"
	"errors"
	"reflect"
	"strings"
	"testing"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/carbons"
)

// A node is an element as encoding/xml unmarshals it.
type node struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Children []node     `xml:",any"`
}

// parse parses a document that is one element and nothing else.
func parse(s string) (n node, ok bool) {
	return n, xml.Unmarshal([]byte(s), &n) == nil
}

func (n node) attr(local string) (value string) {
	for _, a := range n.Attrs {
		if a.Name == (xml.Name{Local: local}) {
			value = a.Value
		}
	}
	return value
}

// find returns the children of some names, each NAMESPACE NAME or NAMESPACE for all.
func (n node) find(names ...string) (found []node) {
	for _, c := range n.Children {
		for _, name := range names {
			space, local, one := strings.Cut(name, " ")
			if c.XMLName.Space == space && (!one || c.XMLName.Local == local) {
				found = append(found, c)
			}
		}
	}
	return found
}

func (n node) has(names ...string) bool { return len(n.find(names...)) > 0 }

// eligible is the rules once more, from the text of the specification.
func (n node) eligible(peer string) bool {
	muc := n.find("http://jabber.org/protocol/muc#user x")
	invited := n.has("jabber:x:conference x")
	occupant := len(muc) > 0
	for _, x := range muc {
		if x.has("http://jabber.org/protocol/muc#user invite") {
			invited, occupant = true, false
		}
	}
	inRoom := occupant && strings.Contains(n.attr(peer), "/")
	typ := n.attr("type")
	switch {
	case n.has("urn:xmpp:carbons:2 private", "urn:xmpp:hints no-copy"):
		return false
	case n.has("urn:xmpp:carbons:2 received", "urn:xmpp:carbons:2 sent"):
		return false
	case typ == "groupchat", typ == "error":
		return false
	case inRoom:
		return peer == "to"
	case typ == "chat", invited:
		return true
	case n.has("urn:xmpp:receipts", "http://jabber.org/protocol/chatstates", "urn:xmpp:chat-markers:0"):
		return true
	}
	return typ != "headline" && n.has(" body", "jabber:client body", "jabber:server body")
}

// FuzzContent looks at whatever may be delivered: what passes is what was there, and
// the rules are those of a second implementation.
func FuzzContent(f *testing.F) {
	for _, inner := range []string{body, room, direct, mediated, declined, private, noCopy, typing, receipt, marker, event, carbon("sent", plain)} {
		for _, typ := range []string{"", "chat", "headline", "groupchat", "error"} {
			f.Add(message("coven@chat.example/crone", "romeo@montague.example/garden", typ, body+inner))
			f.Add(message("juliet@capulet.example", "romeo@montague.example", typ, inner))
		}
	}
	f.Add(`<c:message xmlns:c="jabber:server" from="a" c:from="b" type="chat"><c:body/><!-- --> <![CDATA[]]></c:message>`)
	f.Add("text<message/>")
	f.Fuzz(func(t *testing.T, s string) {
		want, wantErr := all(reader(s))
		var c carbons.Content
		got, gotErr := all(c.Watch(reader(s)))
		if !reflect.DeepEqual(got, want) || (gotErr == nil) != (wantErr == nil) {
			t.Fatalf("%q is %v, %v behind Watch, and %v, %v before", s, got, gotErr, want, wantErr)
		}
		read, err := carbons.Read(reader(s))
		for d, peer := range map[carbons.Direction]string{carbons.Received: "from", carbons.Sent: "to"} {
			if err != nil {
				if read.Eligible(d) {
					t.Fatalf("%v, and still eligible: %q", err, s)
				}
				continue
			}
			n, ok := parse(s)
			if !ok {
				t.Fatalf("read, but cannot be unmarshaled: %q", s)
			}
			if want := n.eligible(peer); read.Eligible(d) != want {
				t.Fatalf("%v is %v, and should be %v: %q", d, read.Eligible(d), want, s)
			}
			if c.Eligible(d) != read.Eligible(d) {
				t.Fatalf("%v is %v when watched, and %v when read: %q", d, c.Eligible(d), read.Eligible(d), s)
			}
		}
	})
}

// genuine says, once more, what is wrong with what looks like a copy, if anything.
func (n node) genuine() error {
	copies := n.find("urn:xmpp:carbons:2 received", "urn:xmpp:carbons:2 sent")
	if n.XMLName.Local != "message" || len(copies) == 0 {
		return carbons.ErrNotCarbon
	}
	if from := n.attr("from"); from != "" {
		if j, err := jid.Parse(from); err != nil || !j.Equal(romeo) {
			return carbons.ErrForged
		}
	}
	if len(copies) != 1 || !copies[0].has("urn:xmpp:forward:0 forwarded") {
		return carbons.ErrMalformed
	}
	messages := copies[0].find("urn:xmpp:forward:0 forwarded")[0].find("jabber:client message")
	if len(messages) != 1 || messages[0].has("urn:xmpp:carbons:2 received", "urn:xmpp:carbons:2 sent") {
		return carbons.ErrMalformed
	}
	return nil
}

// FuzzUnwrap lets a client unwrap whatever it may receive: what it takes is a copy that
// a second implementation takes too, and can be wrapped and unwrapped again.
func FuzzUnwrap(f *testing.F) {
	sent := message("romeo@montague.example/home", "juliet@capulet.example", "chat", body)
	for _, from := range []string{"romeo@montague.example", "romeo@montague.example/home", "tybalt@capulet.example/home", ""} {
		f.Add(outer(from, carbon("received", plain)))
		f.Add(outer(from, carbon("sent", `<delay xmlns="urn:xmpp:delay" stamp="2010-07-10T23:08:25Z"/>`+sent)))
		f.Add(outer(from, carbon("received", outer(from, carbon("received", plain)))))
		f.Add(outer(from, carbon("received", plain+plain)+carbon("sent", "")))
	}
	f.Add(`<c:message xmlns:c="jabber:client" from="a" c:from="romeo@montague.example"><received xmlns="urn:xmpp:carbons:2"/></c:message>`)
	f.Fuzz(func(t *testing.T, s string) {
		for _, m := range []stanza.Message{{}, {From: romeo}} {
			c, err := carbons.Unwrap(romeo, m, reader(s))
			if _, forged := carbons.Unwrap(romeo, stanza.Message{From: balcony}, reader(s)); forged == nil {
				t.Fatalf("taken from somebody else: %q", s)
			}
			if err != nil {
				if c.Tokens != nil || c.Direction != 0 {
					t.Fatalf("%v, and still a copy: %q", err, s)
				}
				return
			}
			if n, _ := parse(s); n.genuine() != nil {
				t.Fatalf("taken, but %v: %q", n.genuine(), s)
			}
			if c.Direction == carbons.Sent && c.Message.From.String() != "" && !c.Message.From.Bare().Equal(romeo) {
				t.Fatalf("sent by %v: %q", c.Message.From, s)
			}
			again, err := carbons.Unwrap(romeo, m, carbons.WrapAt(c.Direction, garden, c.Message.Type, c.Stamp, c.TokenReader()))
			if err != nil {
				t.Fatalf("%v when it is wrapped again: %q", err, s)
			}
			if !again.Stamp.Equal(c.Stamp) {
				t.Fatalf("%v is %v when it is wrapped again: %q", c.Stamp, again.Stamp, s)
			}
			if again.Stamp = c.Stamp; !reflect.DeepEqual(again, c) {
				t.Fatalf("%+v is %+v when it is wrapped again: %q", c, again, s)
			}
		}
	})
}

// FuzzAppend appends copies for whatever resource: what was put in comes out.
func FuzzAppend(f *testing.F) {
	for _, resource := range []string{"garden", `"'<>&`, "a/b@c", "☃"} {
		f.Add(resource, "chat", true)
		f.Add(resource, `"><`, false)
	}
	f.Fuzz(func(t *testing.T, resource, typ string, sent bool) {
		to, err := romeo.WithResource(resource)
		if err != nil || to.Resourcepart() == "" {
			return
		}
		d, in := carbons.Received, plain
		if sent {
			d, in = carbons.Sent, message("romeo@montague.example/home", "juliet@capulet.example", "chat", body)
		}
		copied := string(carbons.Append(nil, d, to, stanza.MessageType(typ), []byte(in)))
		m := envelope(t, copied)
		if !m.To.Equal(to) || !m.From.Equal(romeo) {
			t.Fatalf("from %v to %v: %q", m.From, m.To, copied)
		}
		c, err := carbons.Unwrap(to, m, reader(copied))
		if err != nil {
			t.Fatalf("%v: %q", err, copied)
		}
		if c.Direction != d || canonical(t, encode(t, c.TokenReader())) != canonical(t, in) {
			t.Fatalf("%q is %q", in, encode(t, c.TokenReader()))
		}
		if _, err := carbons.Unwrap(balcony, m, reader(copied)); !errors.Is(err, carbons.ErrForged) {
			t.Fatalf("%v for somebody else's client: %q", err, copied)
		}
	})
}
