// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package carbons_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/carbons"
)

// The parties to all tests: romeo's account, two of its resources, and others.
var (
	romeo   = jid.MustParse("romeo@montague.example")
	garden  = jid.MustParse("romeo@montague.example/garden")
	home    = jid.MustParse("romeo@montague.example/home")
	balcony = jid.MustParse("juliet@capulet.example/balcony")
	tybalt  = jid.MustParse("tybalt@capulet.example/home")
)

// read reads a message for its content.
func read(t testing.TB, message string) carbons.Content {
	t.Helper()
	c, err := carbons.Read(reader(message))
	require.NoError(t, err, message)
	return c
}

// message is a message of a type to or from somebody with something in it.
func message(from, to, typ, inner string) string {
	if typ != "" {
		typ = ` type="` + typ + `"`
	}
	return fmt.Sprintf(`<message xmlns="jabber:client" from=%q to=%q%s>%s</message>`, from, to, typ, inner)
}

func reader(s string) xml.TokenReader { return xml.NewDecoder(strings.NewReader(s)) }

// encode returns what an encoder writes of tokens.
func encode(t testing.TB, r xml.TokenReader) string {
	t.Helper()
	var out bytes.Buffer
	e := xml.NewEncoder(&out)
	_, err := xmlstream.Copy(e, r)
	require.NoError(t, err)
	require.NoError(t, e.Flush())
	return out.String()
}

// all reads all tokens, and the error that they end with.
func all(r xml.TokenReader) ([]xml.Token, error) {
	var tokens []xml.Token
	for {
		tok, err := r.Token()
		if tok != nil {
			tokens = append(tokens, xml.CopyToken(tok))
		}
		if err != nil || tok == nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return tokens, err
		}
	}
}

// canonical returns some XML in a form that is the same for all ways to write it:
// names with their namespaces, attributes in order, no white space between elements.
func canonical(t testing.TB, s string) string {
	t.Helper()
	tokens, err := all(reader(s))
	require.NoError(t, err, s)
	var b strings.Builder
	for _, tok := range tokens {
		switch tok := tok.(type) {
		case xml.StartElement:
			var attrs []string
			for _, a := range tok.Attr {
				if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" {
					attrs = append(attrs, fmt.Sprintf(" %s%s=%q", a.Name.Space, a.Name.Local, a.Value))
				}
			}
			slices.Sort(attrs)
			fmt.Fprintf(&b, "<%s %s%s>\n", tok.Name.Space, tok.Name.Local, strings.Join(attrs, ""))
		case xml.EndElement:
			fmt.Fprintf(&b, "</%s>\n", tok.Name.Local)
		case xml.CharData:
			if text := strings.TrimSpace(string(tok)); text != "" {
				fmt.Fprintf(&b, "%q\n", text)
			}
		}
	}
	return b.String()
}

// handle lets a mux handle one stanza, and returns all that was written.
func handle(t testing.TB, in string, options ...mux.Option) string {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(in))
	tok, err := d.Token()
	require.NoError(t, err)
	start := tok.(xml.StartElement)
	var out bytes.Buffer
	e := xml.NewEncoder(&out)
	rw := struct {
		xml.TokenReader
		xmlstream.Encoder
	}{xmlstream.InnerElement(d), e}
	require.NoError(t, mux.New(stanza.NSClient, options...).HandleXMPP(rw, &start))
	require.NoError(t, e.Flush())
	return out.String()
}
