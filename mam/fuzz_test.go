// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam_test

import (
	"bytes"
	"encoding/xml"
	"io"
	"reflect"
	"strings"
	"testing"

	"mellium.im/xmlstream"
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
