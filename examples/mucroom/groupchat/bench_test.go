// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat_test

import (
	"encoding/xml"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/examples/mucroom/groupchat"
)

// BenchmarkEnter enters a room of a thousand, with and without what is known of it.
func BenchmarkEnter(b *testing.B) {
	for _, known := range []bool{false, true} {
		b.Run(map[bool]string{false: "first", true: "again"}[known], func(b *testing.B) {
			stanzas, bytes := 0, 0
			var sent []byte
			s, err := groupchat.Open(b.Context(), jid.MustParse(domain), groupchat.Options{Send: func(all ...groupchat.Stanza) {
				for _, one := range all {
					sent = one.AppendXML(sent[:0])
					stanzas, bytes = stanzas+1, bytes+len(sent)
				}
			}})
			require.NoError(b, err)
			handle := func(text string) {
				d := xml.NewDecoder(strings.NewReader(header + text))
				_, _ = d.Token()
				t, err := d.Token()
				require.NoError(b, err)
				s.Handle(t.(xml.StartElement), xmlstream.Inner(d))
			}
			enter := func(i int, children string) {
				handle(fmt.Sprintf(`<presence from="toad%d@shakespeare.example/pond" to="%s/toad%d">%s</presence>`, i, cave, i, children))
			}
			for i := range groupchat.DefaultMaxOccupants {
				enter(i, fast)
				if i == 0 {
					handle(`<iq type="set" from="toad0@shakespeare.example/pond" to="` + cave + `" id="own">` +
						owned(`<x xmlns="jabber:x:data" type="submit"><field var="muc#roomconfig_maxusers"><value>1000</value></field></x>`) + `</iq>`)
				}
			}
			children := fast
			if known {
				var last session
				_, rest, _ := strings.Cut(string(sent), `session="`)
				last.Session, rest, _ = strings.Cut(rest, `"`)
				_, rest, _ = strings.Cut(rest, `id="`)
				last.ID, _, _ = strings.Cut(rest, `"`)
				children = plain + last.resume()
			}
			stanzas, bytes = 0, 0
			for i := 0; b.Loop(); i++ {
				enter(i%groupchat.DefaultMaxOccupants, children) // They take turns, so that none is slowed down.
			}
			b.ReportMetric(float64(stanzas)/float64(b.N), "stanzas/op")
			b.ReportMetric(float64(bytes)/float64(b.N), "bytes/op")
		})
	}
}
