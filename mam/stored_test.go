// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/mam"
)

// reencoded returns what encoding/xml makes of a message: nothing, if it is not one
// message element.
func reencoded(t testing.TB, message []byte) string {
	t.Helper()
	var out bytes.Buffer
	d, e := xml.NewDecoder(bytes.NewReader(message)), xml.NewEncoder(&out)
	depth, roots := 0, 0
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) && roots == 1 {
			require.NoError(t, e.Flush())
			return out.String()
		}
		if err != nil {
			return ""
		}
		switch token := tok.(type) {
		case xml.StartElement:
			if depth == 0 {
				roots++
			}
			if roots > 1 || depth == 0 && token.Name.Local != "message" {
				return ""
			}
			depth++
			var attrs []xml.Attr
			for _, a := range token.Attr {
				if a.Name.Space != "xmlns" && a.Name != (xml.Name{Local: "xmlns"}) {
					attrs = append(attrs, a)
				}
			}
			token.Attr = attrs
			tok = token
		case xml.EndElement:
			depth--
		case xml.CharData:
			if depth == 0 {
				continue
			}
		default:
			return ""
		}
		if e.EncodeToken(tok) != nil {
			return ""
		}
	}
}

// served returns the message in the result that an archive with one message gives.
func served(t testing.TB, message []byte) string {
	t.Helper()
	a := new(mam.Memory)
	_, err := a.Append(t.Context(), juliet, mam.Message{With: romeo, XML: message})
	require.NoError(t, err)
	out := ask(t, &mam.Handler{Archive: a, Account: juliet}, query(""))
	_, after, ok := strings.Cut(out, `</delay>`)
	require.True(t, ok, out)
	end := strings.LastIndex(after, `</forwarded>`)
	require.GreaterOrEqual(t, end, 0, out)
	return after[:end]
}

// storedMessages are written in all the ways that somebody may have.
var storedMessages = []string{
	`<message xmlns="jabber:client" from="a@b/c" to='d@e' type="chat" id="1"><body>Hark!</body></message>`,
	`<message><body>a</body></message>`,
	` <message xmlns = 'jabber:client' xml:lang="en"
	><body xml:lang='de' >Ä ö &amp;&lt;&gt;&quot;&apos;&#34;&#39;&#x9;&#xA;&#xD; ]]&gt; </body ><x xmlns="a:b" y="&quot;'>"/></message>
`,
	`<message xmlns="jabber:client"><a xmlns="b"><c/><d xmlns=""><e/></d><f xmlns="jabber:client"/></a>text<g/>more</message>`,
	`<message xmlns="jabber:client"><body/><body></body><body> </body></message>`,
	`<c:message xmlns:c="jabber:client"><c:body>a</c:body></c:message>`,
	`<message xmlns="jabber:client" xmlns:a="b" a:c="d"><e a:f='g'/></message>`,
	`<message xmlns="jabber:client"><body><![CDATA[<a>]]></body></message>`,
	`<message xmlns="jabber:client"><body>&#228;&#xE4;</body></message>`,
	"<message xmlns='jabber:client'><body>a\r\nb\rc</body></message>",
	"<message xmlns='jabber:client' id='a\r\n\tb'><körper/><body>\u20ac\uffe5\ufffd\ufeff\U0001f600</body></message>",
	`<message xmlns="jabber:client" id="1" id="2"a="b"/>`,

	// Nothing of these is served.
	``, ` `, `text`, `<`, `<message`, `<message>`, `<message/`, `</message>`, `<message/ >`, `<message / >`,
	`<iq/>`, `<message/><message/>`, `<message></iq>`, `<message><a></message></a>`, `<message><a></b></message>`,
	`<message a/>`, `<message a=/>`, `<message a=b/>`, `<message a="b/>`, `<message a="<"/>`, `<message a="&b;"/>`,
	`<message>&b;</message>`, `<message>&</message>`, `<message>& amp;</message>`, `<message>]]></message>`,
	`<message><!-- a --></message>`, `<?xml version="1.0"?><message/>`, `<!DOCTYPE a><message/>`,
	`<message xml:="a"/>`, `<message 1a="b"/>`, `<1/>`, `<message>` + "\x01" + `</message>`, `<message>` + "\xff" + `</message>`,
	"<message>\uffff</message>", "<message>\ufffe</message>", `<message>&#1;</message>`, `<message xmlns="jabber:client"></ message>`,
}

func TestStored(t *testing.T) {
	for _, message := range storedMessages {
		t.Run(message, func(t *testing.T) {
			assert.Equal(t, reencoded(t, []byte(message)), served(t, []byte(message)))
		})
	}
}

func FuzzStored(f *testing.F) {
	for _, message := range storedMessages {
		f.Add([]byte(message))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		want := reencoded(t, message)
		if got := served(t, message); got != want {
			t.Errorf("%q is served as %q, not as %q", message, got, want)
		}
	})
}
