// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam_test

import (
	"bufio"
	"encoding/xml"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/mam"
)

// A wire is a client of juliet's whose server is the test, byte by byte.
type wire struct {
	client  *mam.Client
	session *xmpp.Session
	conn    net.Conn
	d       *xml.Decoder
	served  chan struct{} // is closed when the session has ended
}

const streamHeader = `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' id='1' from='capulet.lit' to='juliet@capulet.lit/chamber'>`

func newWire(t testing.TB) *wire {
	t.Helper()
	link := xmpptest.NewLink(xmpptest.LinkConfig{})
	w := &wire{client: new(mam.Client), conn: link.End(xmpptest.Server), served: make(chan struct{})}
	me := jid.MustParse("juliet@capulet.lit/chamber")
	_, err := io.WriteString(w.conn, streamHeader+"<stream:features/>")
	require.NoError(t, err)
	w.session, err = xmpp.NewSession(t.Context(), me.Domain(), me, link.End(xmpptest.Client), xmpp.Secure|xmpp.Authn, xmpptest.Stock())
	require.NoError(t, err)
	go func() {
		defer close(w.served)
		_ = w.session.Serve(mux.New(stanza.NSClient, mam.HandleClient(w.client)))
	}()
	t.Cleanup(func() {
		_ = link.Close()
		<-w.served
	})
	w.d = xml.NewDecoder(bufio.NewReader(w.conn))
	for { // The header is no element of its own.
		tok, err := w.d.Token()
		require.NoError(t, err)
		if _, ok := tok.(xml.StartElement); ok {
			return w
		}
	}
}

// request reads a request and returns its id.
func (w *wire) request(t testing.TB) string {
	t.Helper()
	id, _ := w.read()
	require.NotEmpty(t, id)
	return id
}

// read reads a request, of which it returns the id and the queryid.
func (w *wire) read() (id, query string) {
	for {
		tok, err := w.d.Token()
		if err != nil {
			return "", ""
		}
		start, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		id = attribute(start, "id")
		inner := xmlstream.Inner(w.d)
		if tok, err = inner.Token(); err == nil {
			start, _ = tok.(xml.StartElement)
			query = attribute(start, "queryid")
			_, err = xmlstream.Copy(xmlstream.Discard(), inner)
		}
		if err != nil {
			return "", ""
		}
		return id, query
	}
}

func attribute(start xml.StartElement, local string) string {
	for _, a := range start.Attr {
		if a.Name.Local == local {
			return a.Value
		}
	}
	return ""
}

// say writes some bytes.
func (w *wire) say(t testing.TB, bytes string) {
	t.Helper()
	_, err := io.WriteString(w.conn, bytes)
	require.NoError(t, err)
}
