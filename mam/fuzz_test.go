// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"io"
	"reflect"
	"strings"
	"testing"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/mam"
)

// FuzzHandler lets a handler answer whatever a client may ask: it neither panics
// nor fails, unless what it was asked is no XML, and what it answers is XML.
func FuzzHandler(f *testing.F) {
	archive := new(mam.Memory)
	for _, item := range stock(f, archive, juliet, 20)[:3] {
		f.Add("set", `<query xmlns="urn:xmpp:mam:2">`+form("after-id="+item.ID)+set("<max>2</max><before>"+item.ID+"</before>")+`</query>`)
	}
	f.Add("set", `<query xmlns="urn:xmpp:mam:2" queryid="1">`+form("with=romeo@montague.lit", "start=2010-07-10T23:10:25Z", "ids=1|2")+set("<max>2</max><index>3</index>")+`<flip-page/></query>`)
	f.Add("get", `<query xmlns="urn:xmpp:mam:2"/>`)
	f.Add("get", `<metadata xmlns="urn:xmpp:mam:2"/>`)
	f.Add("set", `<prefs xmlns="urn:xmpp:mam:2" default="roster"><always><jid>a@b</jid></always><never/></prefs>`)
	h := &mam.Handler{Archive: archive, Account: juliet, MaxPageSize: 10}
	m := mux.New(stanza.NSClient, mam.Handle(h))
	f.Fuzz(func(t *testing.T, typ, payload string) {
		var quoted bytes.Buffer
		_ = xml.EscapeText(&quoted, []byte(typ))
		d := xml.NewDecoder(strings.NewReader(`<iq xmlns="jabber:client" id="1" type="` + quoted.String() + `">` + payload + `</iq>`))
		tok, err := d.Token()
		if err != nil {
			return
		}
		start := tok.(xml.StartElement)
		var out bytes.Buffer
		e := xml.NewEncoder(&out)
		rw := struct {
			xml.TokenReader
			xmlstream.Encoder
		}{xmlstream.InnerElement(d), e}
		err = m.HandleXMPP(rw, &start)
		if e.Flush() != nil || err != nil {
			return // It was no XML.
		}
		answer := xml.NewDecoder(&out)
		for {
			if _, err := answer.Token(); err == io.EOF {
				return
			} else if err != nil {
				t.Fatalf("%v in the answer to %q", err, payload)
			}
		}
	})
}

// FuzzFetch lets a server answer with whatever it may send: a client takes nothing
// from somebody else, comes to an end when the connection does, and holds no more
// than it has asked for.
//
// The bytes are all that a hostile server writes behind the request, in which Q and
// I stand for the names of the query and the IQ.
func FuzzFetch(f *testing.F) {
	const (
		forwarded = `<forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z'/><message xmlns='jabber:client'><body>1</body></message></forwarded>`
		result    = `<message><result xmlns='urn:xmpp:mam:2' queryid='Q' id='1'>` + forwarded + `</result></message>`
		fin       = `<iq type='result' id='I'><fin xmlns='urn:xmpp:mam:2' complete='true'><set xmlns='http://jabber.org/protocol/rsm'><first>1</first><last>1</last></set></fin></iq>`
	)
	f.Add(result + fin)
	f.Add(result + result + strings.ReplaceAll(fin, "true", "false"))
	f.Add(`<message from='juliet@capulet.lit'>` + strings.TrimPrefix(result, "<message>") + fin)
	f.Add(`<message from='romeo@montague.lit'><result xmlns='urn:xmpp:mam:2' queryid='Q' id='forged'/></message>` + fin)
	f.Add(`<message from='juliet@capulet.lit/x' type='chat'><result xmlns='urn:xmpp:mam:2' queryid='Q' id='forged'/></message>` + fin)
	f.Add(`<iq type='error' id='I'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>no</text></error></iq>`)
	f.Add(`<iq type='result' id='I' from='romeo@montague.lit'><fin xmlns='urn:xmpp:mam:2' complete='true'/></iq>`)
	f.Add(`<iq type='result' id='I'> <x/> text <fin xmlns='urn:xmpp:mam:2' complete='1' stable='0'/></iq>` + fin)
	f.Add(`<iq type='result' id='I'><fin xmlns='urn:xmpp:mam:2'>`)
	f.Add(`<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`)
	f.Fuzz(func(t *testing.T, bytes string) {
		const most = 3
		w := newWire(t)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-w.served
			cancel()
		}()
		done := make(chan int)
		go func() {
			n := 0
			for r, err := range w.client.Fetch(ctx, w.session, jid.JID{}, mam.Query{Max: most}) {
				if err != nil {
					break
				}
				if n++; n > most || r.ID == "" {
					t.Errorf("result %d %q of one page of %d", n, r.ID, most)
				}
			}
			done <- n
		}()
		id, query := w.read()
		if id == "" {
			t.Fatal("nothing was asked")
		}
		bytes = strings.ReplaceAll(strings.ReplaceAll(bytes, "Q", query), "I", id)
		_, _ = io.WriteString(w.conn, bytes)
		_ = w.conn.Close()
		if n := <-done; n > strings.Count(bytes, query) {
			t.Errorf("%d results, more than there are for the query", n)
		}
	})
}

// FuzzResult hands a client whatever messages arrive while it waits for results: it
// takes what the archive has sent for the query, and nothing else.
func FuzzResult(f *testing.F) {
	f.Add("", `<message xmlns="jabber:client"><result xmlns="urn:xmpp:mam:2" queryid="Q" id="1"><forwarded xmlns="urn:xmpp:forward:0"><delay xmlns="urn:xmpp:delay" stamp="2010-07-10T23:08:25Z"/><message xmlns="jabber:client"/></forwarded></result></message>`)
	f.Add("juliet@capulet.lit", `<message xmlns="jabber:client"><x/>text<result xmlns="urn:xmpp:mam:2" queryid="Q" id="1"/><result xmlns="urn:xmpp:mam:2" queryid="Q" id="2"/></message>`)
	f.Add("romeo@montague.lit", `<message xmlns="jabber:client"><result xmlns="urn:xmpp:mam:2" queryid="Q" id="1"/></message>`)
	f.Add("", `<message xmlns="jabber:client"><result xmlns="urn:xmpp:mam:2" queryid="q" id="1"/></message>`)
	f.Add("", `<message xmlns="jabber:client"><x><result xmlns="urn:xmpp:mam:2" queryid="Q" id="1"/></x></message>`)
	f.Fuzz(func(t *testing.T, from, message string) {
		sender := jid.JID{}
		if from != "" {
			var err error
			if sender, err = jid.Parse(from); err != nil {
				return
			}
		}
		w := newWire(t)
		var got []mam.Result
		done := make(chan error, 1)
		go func() {
			var failed error
			for r, err := range w.client.Fetch(t.Context(), w.session, jid.JID{}, mam.Query{}) {
				if err != nil {
					failed = err
					break
				}
				got = append(got, r)
			}
			done <- failed
		}()
		id, query := w.read()
		message = strings.ReplaceAll(message, "Q", query)
		d := xml.NewDecoder(strings.NewReader(message))
		_ = w.client.HandleMessage(stanza.Message{From: sender}, readOnly{d}) // Its only errors are of the XML.
		_, _ = io.WriteString(w.conn, `<iq type='result' id='`+id+`'><fin xmlns='urn:xmpp:mam:2' complete='true'/></iq>`)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 {
			return
		}
		if !sender.Equal(jid.JID{}) && !sender.Equal(juliet) {
			t.Fatalf("%q has sent %+v", from, got)
		}
		if len(got) > 1 || got[0].ID == "" || !strings.Contains(message, query) {
			t.Fatalf("%+v of %q", got, message)
		}
		var b strings.Builder
		e := xml.NewEncoder(&b)
		if _, err := xmlstream.Copy(e, got[0].TokenReader()); err != nil {
			return // Names that cannot be written are only for reading.
		}
		if err := e.Flush(); err == nil && len(got[0].Message) > 0 {
			start, ok := got[0].Message[0].(xml.StartElement)
			if _, end := got[0].Message[len(got[0].Message)-1].(xml.EndElement); !ok || !end || start.Name.Local != "message" {
				t.Fatalf("%q is not a message", b.String())
			}
		}
	})
}

// FuzzRead reads whatever may be delivered: what it takes can be stored and read
// again.
func FuzzRead(f *testing.F) {
	f.Add(`<message xmlns="jabber:client" from="a@b/c" to="d@e" type="chat" id="1"><body>hi</body><store xmlns="urn:xmpp:hints"/></message>`)
	f.Add(`<message xmlns="jabber:client" xmlns:x="urn:x"><x:y x:z="1"><body/></x:y></message>`)
	f.Fuzz(func(t *testing.T, message string) {
		c, raw, err := mam.Read(xml.NewDecoder(strings.NewReader(message)))
		if err != nil {
			return
		}
		again, _, err := mam.Read(xml.NewDecoder(bytes.NewReader(raw)))
		if err != nil {
			t.Fatalf("%v reading %q, which was %q", err, raw, message)
		}
		again.Message.XMLName, c.Message.XMLName = xml.Name{}, xml.Name{}
		if !reflect.DeepEqual(again, c) {
			t.Fatalf("%+v is %+v when it is read again", c, again)
		}
	})
}
