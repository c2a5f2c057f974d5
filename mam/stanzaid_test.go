// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam_test

import (
	"bytes"
	"encoding/xml"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

// transform returns what becomes of some XML.
func transform(t testing.TB, in string, transformers ...xmlstream.Transformer) string {
	t.Helper()
	var out bytes.Buffer
	e := xml.NewEncoder(&out)
	r := xml.TokenReader(xml.NewDecoder(strings.NewReader(in)))
	for _, f := range transformers {
		r = f(r)
	}
	_, err := xmlstream.Copy(e, undeclared(r))
	require.NoError(t, err)
	require.NoError(t, e.Flush())
	return out.String()
}

// undeclared leaves out declarations of namespaces, which an encoder makes itself.
func undeclared(r xml.TokenReader) xml.TokenReader {
	return xmlstream.ReaderFunc(func() (xml.Token, error) {
		tok, err := r.Token()
		if start, ok := tok.(xml.StartElement); ok {
			start.Attr = slices.DeleteFunc(start.Attr, func(a xml.Attr) bool { return a.Name.Local == "xmlns" })
			tok = start
		}
		return tok, err
	})
}

func TestStripStanzaIDs(t *testing.T) {
	account := jid.MustParse("ilse@müller.example")
	message := func(inner string) string { return "<message>" + inner + "</message>" }
	forged := func(by string) string { return `<stanza-id xmlns="urn:xmpp:sid:0" by="` + by + `" id="x"></stanza-id>` }

	for _, by := range []string{
		"ilse@müller.example", "ILSE@MÜLLER.example", "ilse@xn--mller-kva.example", " ilse@müller.example ", "ilse@mu\u0308ller.example",
		"@@", // Nobody's.
	} {
		t.Run("SI-02 AA-12 by "+by, func(t *testing.T) {
			assert.Equal(t, message("<body>1</body>"), transform(t, message(forged(by)+"<body>1</body>"+forged(by)), mam.StripStanzaIDs(account)))
		})
	}
	t.Run("SI-03 other people's ids are left alone", func(t *testing.T) {
		kept := message(forged("room@chat.example") + `<origin-id xmlns="urn:xmpp:sid:0" id="o"></origin-id>` + forged("ilse@müller.example/phone"))
		assert.Equal(t, kept, transform(t, kept, mam.StripStanzaIDs(account)))
	})
	t.Run("AA-12 what is forwarded was said by somebody else", func(t *testing.T) {
		kept := message(`<forwarded xmlns="urn:xmpp:forward:0">` + strings.ReplaceAll(message(forged("ilse@müller.example")), "<message>", `<message xmlns="jabber:client">`) + `</forwarded>`)
		assert.Equal(t, kept, transform(t, kept, mam.StripStanzaIDs(account)))
	})
	t.Run("SI-04 SI-05 one id of ours is added", func(t *testing.T) {
		in := message(forged("ilse@müller.example") + forged("ilse@müller.example") + forged("room@chat.example"))
		want := message(forged("room@chat.example") + `<stanza-id xmlns="urn:xmpp:sid:0" by="ilse@müller.example" id="real"></stanza-id>`)
		assert.Equal(t, want, transform(t, in, mam.StripStanzaIDs(account), mam.AddStanzaID(account, "real")))
	})
	t.Run("SI-06 a client's own id", func(t *testing.T) {
		assert.Equal(t, message(`<body>1</body><origin-id xmlns="urn:xmpp:sid:0" id="o"></origin-id>`), transform(t, message("<body>1</body>"), mam.AddOriginID("o")))
	})
	t.Run("SI-03 and the archive's beside it", func(t *testing.T) {
		assert.Equal(t, message(`<origin-id xmlns="urn:xmpp:sid:0" id="o"></origin-id>`+addedID),
			transform(t, message(""), mam.AddOriginID("o"), mam.StripStanzaIDs(account), mam.AddStanzaID(account, "real")))
	})
	t.Run("an empty element", func(t *testing.T) {
		assert.Equal(t, message(addedID), transform(t, "<message/>", mam.StripStanzaIDs(account), mam.AddStanzaID(account, "real")))
	})
}

const addedID = `<stanza-id xmlns="urn:xmpp:sid:0" by="ilse@müller.example" id="real"></stanza-id>`
