// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/pipelining"
)

const (
	benchText    = "But, soft! what light through yonder window breaks?"
	benchMessage = `<message to='im.example.com' type='chat' id='4f6d1a7e'><body>` + benchText + `</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>`
)

// reply answers every message with one.
type reply struct{}

func (reply) HandleXMPP(rw xmlstream.TokenReadEncoder, _ *xml.StartElement) error {
	_, err := xmlstream.Copy(rw, stanza.Message{ID: "c0ffee", To: balcony, Type: stanza.ChatMessage}.Wrap(
		xmlstream.Wrap(xmlstream.Token(xml.CharData(benchText)), xml.StartElement{Name: xml.Name{Local: "body"}})))
	return err
}

// A feed is a replay that goes on with messages, one a read, as many as it is
// asked for.
type feed struct {
	replay
	left int
	more chan int
	done chan struct{}
}

func (f *feed) Read(p []byte) (int, error) {
	if len(f.script) > 0 {
		return f.replay.Read(p)
	}
	if f.left == 0 {
		f.done <- struct{}{}
		f.left = <-f.more
		if f.left == 0 {
			return 0, io.EOF
		}
	}
	f.left--
	n := copy(p, benchMessage)
	if n < len(benchMessage) {
		return 0, io.ErrShortBuffer
	}
	return n, nil
}

// fed serves a session in memory, of which no more is measured than the server.
func fed(tb testing.TB, name string, n maker, script []exchange) contender {
	f := &feed{replay: replay{script: script}, more: make(chan int), done: make(chan struct{})}
	s := receive(tb, f, n())
	served := make(chan error, 1)
	go func() { served <- s.Serve(reply{}) }()
	<-f.done
	tb.Cleanup(func() {
		close(f.more)
		<-served
	})
	return contender{name, func(n int) {
		f.more <- n
		<-f.done
	}}
}

// served serves a session over TCP on this machine, with a client that knows
// nothing of XMPP once it has logged in.
func served(tb testing.TB, name string, tr transport, n maker) contender {
	a, b, err := tcpPipe()
	require.NoError(tb, err)
	client, server := a, b
	if tr == directTLS {
		client = tls.Client(a, clientTLS())
		if name == "ours" {
			b = pipelining.NewConn(b)
		}
		server = tls.Server(b, serverTLS())
	}
	done := make(chan error, 1)
	var s *xmpp.Session
	go func() {
		var err error
		s, err = xmpp.ReceiveSession(context.Background(), server, xmpp.Secure, n())
		done <- err
	}()
	_, err = xmpp.NewSession(context.Background(), domain, balcony, client, xmpp.Secure, benchStockClient()())
	require.NoError(tb, errors.Join(err, <-done))
	go func() { done <- s.Serve(reply{}) }()
	tb.Cleanup(func() {
		_ = client.Close()
		<-done
	})
	buf := make([]byte, 4<<10)
	return contender{name, func(n int) {
		for range n {
			writeTo(tb, client, benchMessage)
			for got := 0; !bytes.HasSuffix(buf[:got], []byte("</message>")); {
				n, err := client.Read(buf[got:])
				require.NoError(tb, err)
				got += n
			}
		}
	}}
}

// stanzas returns who answers messages in a session that is ready, by how they
// come; stock is the first of two.
func stanzas(tb testing.TB, how string) [2]contender {
	stock, ours := benchStockServer(), benchOurServer()
	switch how {
	case "memory":
		return [2]contender{
			fed(tb, "stock", stock, record(tb, benchStockClient(), benchStockServer())),
			fed(tb, "ours", ours, record(tb, benchStockClient(), benchOurServer())),
		}
	case "TCP":
		return [2]contender{served(tb, "stock", plainTCP, stock), served(tb, "ours", plainTCP, ours)}
	}
	return [2]contender{served(tb, "stock", directTLS, stock), served(tb, "ours", directTLS, ours)}
}

var stanzaSources = []string{"memory", "TCP", "TLS"}

// BenchmarkStanza is what a message and its answer cost in a session that is
// ready; over TCP and TLS, both ends together.
func BenchmarkStanza(b *testing.B) {
	for _, how := range stanzaSources {
		for _, c := range stanzas(b, how) {
			b.Run(how+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					c.run(1)
				}
			})
		}
	}
}

// BenchmarkRatioStanza compares what BenchmarkStanza measures.
func BenchmarkRatioStanza(b *testing.B) {
	for _, how := range stanzaSources {
		b.Run(how, func(b *testing.B) {
			pair := stanzas(b, how)
			ratio(b, 1000, pair[1], pair[0])
		})
	}
}
