// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/mam"
)

// The parties to all tests.
var (
	juliet = jid.MustParse("juliet@capulet.lit")
	romeo  = jid.MustParse("romeo@montague.lit/orchard")
	nurse  = jid.MustParse("nurse@capulet.lit/kitchen")
	coven  = jid.MustParse("coven@chat.shakespeare.lit")
)

// epoch is when the first message of a test was received.
var epoch = time.Date(2010, 7, 10, 23, 8, 25, 0, time.UTC)

// stock appends messages from and to romeo, one a minute, and returns what is stored.
func stock(t testing.TB, a mam.Archive, archive jid.JID, n int) []mam.Item {
	t.Helper()
	var items []mam.Item
	for i := range n {
		item, err := a.Append(t.Context(), archive, mam.Message{
			With:  romeo,
			Stamp: epoch.Add(time.Duration(i) * time.Minute),
			XML:   fmt.Appendf(nil, `<message xmlns="jabber:client" from=%q to=%q type="chat" id="m%d"><body>%d</body></message>`, romeo, juliet, i+1, i+1),
		})
		require.NoError(t, err)
		items = append(items, item)
	}
	return items
}

// ask lets h answer one stanza, and returns all that it wrote.
func ask(t testing.TB, h *mam.Handler, stanzas string) string {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(stanzas))
	tok, err := d.Token()
	require.NoError(t, err)
	start := tok.(xml.StartElement)
	var out bytes.Buffer
	e := xml.NewEncoder(&out)
	rw := struct {
		xml.TokenReader
		xmlstream.Encoder
	}{xmlstream.InnerElement(d), e}
	require.NoError(t, mux.New(stanza.NSClient, mam.Handle(h)).HandleXMPP(rw, &start))
	require.NoError(t, e.Flush())
	return out.String()
}

// query is a query of juliet's with something in it.
func query(inner string) string {
	return `<iq xmlns="jabber:client" type="set" id="q" from="juliet@capulet.lit/chamber"><query xmlns="urn:xmpp:mam:2" queryid="f27">` + inner + `</query></iq>`
}

// form is the form of a query with fields, each NAME=VALUE, or NAME=VALUE|VALUE.
func form(fields ...string) string {
	var b strings.Builder
	b.WriteString(`<x xmlns="jabber:x:data" type="submit"><field var="FORM_TYPE" type="hidden"><value>urn:xmpp:mam:2</value></field>`)
	for _, f := range fields {
		name, values, _ := strings.Cut(f, "=")
		fmt.Fprintf(&b, `<field var=%q>`, name)
		for value := range strings.SplitSeq(values, "|") {
			b.WriteString(`<value>` + value + `</value>`)
		}
		b.WriteString(`</field>`)
	}
	return b.String() + `</x>`
}

// set is a result set element with something in it.
func set(inner string) string {
	return `<set xmlns="http://jabber.org/protocol/rsm">` + inner + `</set>`
}

// An answer is what was returned to a query.
type answer struct {
	Bodies   []string
	IDs      []string
	Complete bool
	First    string
	Index    string
	Last     string
	Count    string
	Err      string // the condition of the error
}

var (
	resultID  = regexp.MustCompile(`<result [^>]* id="([^"]*)"`)
	body      = regexp.MustCompile(`<body[^>]*>([^<]*)</body>`)
	finIndex  = regexp.MustCompile(`<first[^>]* index="([^"]*)"`)
	condition = regexp.MustCompile(`<error [^>]*><([a-z-]+) `)
)

func inside(s, local string) string {
	m := regexp.MustCompile(`<` + local + `(?: [^>]*)?>([^<]*)</` + local + `>`).FindStringSubmatch(s)
	if m == nil {
		return ""
	}
	return m[1]
}

// read takes an answer apart.
func read(out string) answer {
	var a answer
	for _, m := range resultID.FindAllStringSubmatch(out, -1) {
		a.IDs = append(a.IDs, m[1])
	}
	for _, m := range body.FindAllStringSubmatch(out, -1) {
		a.Bodies = append(a.Bodies, m[1])
	}
	a.Complete = strings.Contains(out, `complete="true"`)
	a.First, a.Last, a.Count = inside(out, "first"), inside(out, "last"), inside(out, "count")
	if m := finIndex.FindStringSubmatch(out); m != nil {
		a.Index = m[1]
	}
	if m := condition.FindStringSubmatch(out); m != nil {
		a.Err = m[1]
	}
	return a
}

func bodies(a answer) string { return strings.Join(a.Bodies, " ") }
