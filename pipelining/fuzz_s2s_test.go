// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// FuzzServerToServer is FuzzServer for another server, which the wrapper has to
// look at before mellium does, and to make ready by itself.
func FuzzServerToServer(f *testing.F) {
	const (
		header = `<stream:stream from='verona.example' to='im.example.com' version='1.0' xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>`
		auth   = `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>`
		stanza = `<message from='verona.example' to='im.example.com'/>`
	)
	for _, seed := range []string{
		header + auth + header + stanza,
		"<?xml version='1.0'?>" + header + "\n" + auth + "\n<?xml version='1.0'?>\n" + header + "\n" + stanza,
		header + auth + strings.Replace(header, "verona", "padua", 1),
		header + auth + strings.Replace(header, " from='verona.example'", "", 1) + stanza,
		strings.Replace(header, "verona.example", "verona.example/a&apos;&gt;", 1) + auth + header,
		strings.Replace(header, "verona.example", "padua.example", 1) + auth + header,
		header + stanza, header + header, header + auth + auth, header + auth + header + "</stream:stream>",
		`<stream:error xmlns:stream='http://etherx.jabber.org/streams'/>`, "",
	} {
		f.Add([]byte(seed))
	}
	verona := jid.MustParse("verona.example")
	run := func(data []byte, chunk int) (*tape, *xmpp.Session, error) {
		c := &tape{in: bytes.NewReader(data), chunk: chunk}
		s, err := xmpp.ReceiveSession(context.Background(), c, xmpp.Secure|xmpp.S2S, pipelining.Negotiator(xmpptest.Stock(
			pipelining.StreamFeature(),
			pipelining.SASLServer(func(s *xmpp.Session, _ *sasl.Negotiator) (jid.JID, bool) {
				return s.RemoteAddr(), s.RemoteAddr().Equal(verona)
			}, external),
		), pipelining.Config{}))
		return c, s, err
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		whole, s, err := run(data, 0)
		if err == nil {
			assert.NotZero(t, s.State()&xmpp.Authn, "ready means authenticated")
			assert.Equal(t, verona, s.RemoteAddr(), "the only peer that there is")
		}
		pieces, _, err2 := run(data, 1)
		assert.Equal(t, err == nil, err2 == nil, "%v, but byte by byte %v", err, err2)
		assert.Equal(t, random.ReplaceAllString(whole.out.String(), ""), random.ReplaceAllString(pieces.out.String(), ""))
	})
}
