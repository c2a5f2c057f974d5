// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam_test

import (
	"encoding/xml"
	"sync"
	"testing"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/mam"
)

// A sent is a request as it came over the wire.
type sent struct {
	XMLName xml.Name
	ID      string `xml:"queryid,attr"`
	Form    struct {
		Fields []struct {
			Var    string   `xml:"var,attr"`
			Values []string `xml:"value"`
		} `xml:"field"`
	} `xml:"jabber:x:data x"`
	Set struct {
		Max    *string `xml:"max"`
		After  *string `xml:"after"`
		Before *string `xml:"before"`
		Index  *string `xml:"index"`
	} `xml:"http://jabber.org/protocol/rsm set"`
}

// field returns the values of a field of the form.
func (s sent) field(name string) []string {
	for _, f := range s.Form.Fields {
		if f.Var == name {
			return f.Values
		}
	}
	return nil
}

// A script is a server that answers any request as it likes.
type script func(iq stanza.IQ, q sent, say func(xml.TokenReader))

func (f script) HandleIQ(iq stanza.IQ, t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	var q sent
	d := xml.NewTokenDecoder(xmlstream.MultiReader(xmlstream.Token(*start), xmlstream.InnerElement(t)))
	if err := d.Decode(&q); err != nil {
		return err
	}
	var failed error
	f(iq, q, func(r xml.TokenReader) {
		if _, err := xmlstream.Copy(t, r); err != nil {
			failed = err
		}
	})
	return failed
}

// scripted returns a client of juliet's whose server answers all requests by a
// script, and what it was asked.
func scripted(t testing.TB, f script) (*mam.Client, *xmpp.Session, func() []sent) {
	t.Helper()
	var (
		mu  sync.Mutex
		all []sent
	)
	noted := script(func(iq stanza.IQ, q sent, say func(xml.TokenReader)) {
		mu.Lock()
		all = append(all, q)
		mu.Unlock()
		f(iq, q, say)
	})
	c := new(mam.Client)
	p := xmpptest.NewPair(t, xmpptest.PairConfig{Client: jid.MustParse("juliet@capulet.lit/chamber")})
	p.Serve(mux.New(stanza.NSClient, mam.HandleClient(c)), mux.New(stanza.NSClient,
		mux.IQ(stanza.GetIQ, xml.Name{}, noted), mux.IQ(stanza.SetIQ, xml.Name{}, noted)))
	return c, p.Client, func() []sent {
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

// features answers a request for features.
func features(iq stanza.IQ, names ...string) xml.TokenReader {
	inner := ""
	for _, n := range names {
		inner += `<feature var="` + n + `"/>`
	}
	return iq.Result(parsed(`<query xmlns="http://jabber.org/protocol/disco#info">%s</query>`, inner))
}

// refusal answers a request with an error.
func refusal(iq stanza.IQ, condition stanza.Condition) xml.TokenReader {
	return iq.Error(stanza.Error{Type: stanza.Cancel, Condition: condition})
}
