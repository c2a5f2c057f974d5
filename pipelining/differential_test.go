// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// extra is an informational feature with something to be parsed.
func extra() xmpp.StreamFeature {
	return xmpp.StreamFeature{
		Name: xml.Name{Space: "http://jabber.org/protocol/caps", Local: "c"},
		List: func(_ context.Context, e xmlstream.TokenWriter, start xml.StartElement) (bool, error) {
			start.Attr = []xml.Attr{{Name: xml.Name{Local: "ver"}, Value: "ItBTI0XLDFvVxZ72NQElAzKS9sU="}}
			if err := e.EncodeToken(start); err != nil {
				return false, err
			}
			return false, e.EncodeToken(start.End())
		},
		Parse: func(_ context.Context, d *xml.Decoder, start *xml.StartElement) (bool, any, error) {
			return false, start.Attr[len(start.Attr)-1].Value, d.Skip()
		},
	}
}

// A deal is what a client and a server have in common.
type deal struct {
	name       string
	transport  transport
	mechanisms []sasl.Mechanism // of the server
	client     []sasl.Mechanism
	extra      bool
	custom     bool // the server binds what was asked for
	resource   bool // the client asks for one
	link       xmpptest.LinkConfig
}

// deals are all combinations.
func deals() (all []deal) {
	lists := []struct {
		name           string
		server, client []sasl.Mechanism
	}{
		{"PLAIN", []sasl.Mechanism{sasl.Plain}, []sasl.Mechanism{sasl.Plain}},
		{"SCRAM", []sasl.Mechanism{scramServer()}, []sasl.Mechanism{sasl.ScramSha256}},
		{"both", []sasl.Mechanism{scramServer(), sasl.Plain}, []sasl.Mechanism{sasl.Plain, sasl.ScramSha256}},
	}
	for _, tr := range []transport{plainTCP, startTLS, directTLS} {
		for _, list := range lists {
			if list.name == "SCRAM" && tr != plainTCP {
				// One that works less; within TLS nothing else is different.
				list.server, list.client = []sasl.Mechanism{fixed}, []sasl.Mechanism{fixed}
			}
			for bits := range 8 {
				d := deal{
					transport: tr, mechanisms: list.server, client: list.client,
					extra: bits&1 != 0, custom: bits&2 != 0, resource: bits&4 != 0,
				}
				d.name = string(tr) + " " + list.name
				for bit, name := range []string{" with caps", " custom", " with resource"} {
					if bits&(1<<bit) != 0 {
						d.name += name
					}
				}
				all = append(all, d)
			}
		}
	}
	return all
}

// An outcome is all that can be told of a login afterwards.
type outcome struct {
	ClientState, ServerState   xmpp.SessionState
	Account, Peer              string // the server's view
	Local, Remote              string // the client's view
	ClientIn, ServerIn         stream.Info
	ClientOut, ServerOut       stream.Info
	SameID                     bool
	Features                   map[string]any
	Replies                    string
	Streams, DistinctStreamIDs int
}

var (
	headerTo  = regexp.MustCompile(`(<stream:stream[^>]*) to='[^']*'`)
	iqID      = regexp.MustCompile(`<iq [^>]*>`)
	iqJID     = regexp.MustCompile(`<jid>([^/]*)/[^<]*</jid>`)
	saslData  = regexp.MustCompile(`(<(?:challenge|success)[^>]*>)[^<]+<`)
	streamIDs = regexp.MustCompile(`<stream:stream[^>]* id='([^']*)'`)
)

// try negotiates once, with the client n.
func (d deal) try(t *testing.T, n xmpp.Negotiator) outcome {
	t.Helper()
	link := xmpptest.NewLink(d.link)
	defer link.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	features := []xmpp.StreamFeature{xmpp.StartTLS(serverTLS()), pipelining.SASLServer(permit, d.mechanisms...), pipelining.StreamFeature()}
	if d.extra {
		features = append(features, extra())
	}
	if d.custom {
		features = append(features, xmpp.BindCustom(bindAsked))
	} else {
		features = append(features, xmpp.BindResource())
	}
	var said bytes.Buffer
	var server *xmpp.Session
	var serverErr error
	done := make(chan struct{})
	go func() {
		defer close(done)
		server, serverErr = serve(ctx, d.transport, link.B, pipelining.Config{TeeOut: &said}, features...)
		if serverErr != nil {
			_ = link.B.Close()
		}
	}()
	client, err := dial(ctx, d.transport, link.A, d.origin(), n)
	if err != nil {
		_ = link.A.Close()
	}
	<-done
	require.NoError(t, errors.Join(err, serverErr))

	o := outcome{
		ClientState: client.State(), ServerState: server.State(),
		Account: server.RemoteAddr().String(), Peer: server.LocalAddr().String(),
		Local: client.LocalAddr().String(), Remote: client.RemoteAddr().String(),
		ClientIn: client.In(), ClientOut: client.Out(), ServerIn: server.In(), ServerOut: server.Out(),
		SameID:   client.In().ID == server.Out().ID,
		Features: make(map[string]any),
	}
	for _, ns := range []string{
		pipelining.NS, extra().Name.Space, "urn:ietf:params:xml:ns:xmpp-tls",
		"urn:ietf:params:xml:ns:xmpp-sasl", "urn:ietf:params:xml:ns:xmpp-bind",
	} {
		if data, ok := client.Feature(ns); ok {
			o.Features[ns] = data
		}
	}
	ids := make(map[string]bool)
	for _, m := range streamIDs.FindAllStringSubmatch(said.String(), -1) {
		o.Streams++
		ids[m[1]] = true
	}
	o.DistinctStreamIDs = len(ids)

	// What is random is left out, and the client's name in the server's headers:
	// not every client says in every header who it is.
	o.ClientIn.ID, o.ServerOut.ID = "", ""
	o.Replies = headerTo.ReplaceAllString(withoutIDs(said.Bytes()), "$1")
	o.Replies = iqID.ReplaceAllString(o.Replies, "<iq>")
	o.Replies = saslData.ReplaceAllString(o.Replies, "$1<")
	if !d.custom {
		anonymous := regexp.MustCompile(`/.*`)
		o.Replies = iqJID.ReplaceAllString(o.Replies, "<jid>$1/</jid>")
		o.Local = anonymous.ReplaceAllString(o.Local, "/")
		o.ClientIn.To, o.ClientOut.From = o.ClientIn.To.Bare(), o.ClientOut.From.Bare()
	}
	return o
}

func (d deal) origin() jid.JID {
	if d.resource {
		return balcony
	}
	return juliet
}

// ours is our client in some mode.
func (d deal) ours(mode pipelining.Mode) xmpp.Negotiator {
	cfg := clientConfig(d.client...)
	if d.extra {
		cfg.Features = []xmpp.StreamFeature{extra()}
	}
	return pipelining.Client(pipelining.Plan{Mode: mode}, cfg)
}

// stock is mellium's.
func (d deal) stock() xmpp.Negotiator {
	features := []xmpp.StreamFeature{
		xmpp.StartTLS(clientTLS()), xmpp.SASL("", password, d.client...), xmpp.BindResource(), pipelining.StreamFeature(),
	}
	if d.extra {
		features = append(features, extra())
	}
	return xmpptest.Stock(features...)
}

// withoutResource leaves out what mellium's client does not ask for.
func (o outcome) withoutResource() outcome {
	o.Replies = iqJID.ReplaceAllString(o.Replies, "<jid>$1/</jid>")
	o.Local, _, _ = strings.Cut(o.Local, "/")
	o.ClientIn.To, o.ClientOut.From = o.ClientIn.To.Bare(), o.ClientOut.From.Bare()
	return o
}

// TestDifferential is PL-24: what is sent ahead changes nothing but the time.
func TestDifferential(t *testing.T) {
	for _, d := range deals() {
		t.Run("PL-24 "+d.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				want := d.try(t, d.ours(pipelining.Off))
				assert.Equal(t, want, d.try(t, d.ours(pipelining.Full)), "full")
				assert.Equal(t, want, d.try(t, d.ours(pipelining.Paced)), "paced")
				assert.Equal(t, want.withoutResource(), d.try(t, d.stock()).withoutResource(), "stock")

				assert.Equal(t, juliet.String(), want.Account)
				assert.Equal(t, xmpp.Secure|xmpp.Authn|xmpp.Ready, want.ClientState)
				assert.Equal(t, xmpp.Secure|xmpp.Authn|xmpp.Ready|xmpp.Received, want.ServerState)
				assert.True(t, want.SameID)
				if d.custom && d.resource {
					assert.Equal(t, balcony.String(), want.Local)
				}
				streams := 2
				if d.transport == startTLS {
					streams = 3
				}
				assert.Equal(t, streams, want.Streams)
				assert.Equal(t, streams, want.DistinctStreamIDs, "PL-23")
				if d.extra {
					assert.Equal(t, "ItBTI0XLDFvVxZ72NQElAzKS9sU=", want.Features[extra().Name.Space])
				}
			})
		})
	}
}

// TestDifferentialChunks is PL-07 with both directions cut into pieces.
func TestDifferentialChunks(t *testing.T) {
	for _, d := range deals() {
		if !d.custom || !d.resource || !d.extra || len(d.client) > 1 {
			continue
		}
		for _, mode := range modes {
			t.Run("PL-07 "+d.name+" "+mode.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					want := d.try(t, d.ours(mode))
					for _, chunk := range []int{1, 7} {
						d.link = xmpptest.LinkConfig{Chunk: chunk}
						assert.Equal(t, want, d.try(t, d.ours(mode)), "chunks of %d", chunk)
					}
					d.link = xmpptest.LinkConfig{Segments: true, Limit: 4 << 10}
					assert.Equal(t, want, d.try(t, d.ours(mode)), "segments and small buffers")
				})
			})
		}
	}
}
