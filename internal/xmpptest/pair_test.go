// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package xmpptest_test

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/ping"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/xmppext/xmppext/internal/xmpptest"
)

const oneWay = 50 * time.Millisecond

var rtt = xmpptest.LinkConfig{AtoB: oneWay, BtoA: oneWay}

func TestStockLoginTakesFourRoundTrips(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			p := xmpptest.NewPair(t, xmpptest.PairConfig{Link: rtt})
			assert.Equal(t, 400*time.Millisecond, p.Link.Elapsed())
			assert.Equal(t, 4.0, p.Link.RoundTrips(p.Link.Elapsed()))
			assert.Equal(t, 4, p.Link.Flights(xmpptest.Client), "header, auth, header, bind")
			assert.Equal(t, 4, p.Link.Flights(xmpptest.Server))
		})
	}
}

func TestPairIsNegotiated(t *testing.T) {
	p := xmpptest.NewPair(t, xmpptest.PairConfig{})
	const ready = xmpp.Secure | xmpp.Authn | xmpp.Ready
	assert.Equal(t, ready, p.Client.State())
	assert.Equal(t, ready|xmpp.Received, p.Server.State())
	assert.Equal(t, "juliet@example.net", p.Client.LocalAddr().Bare().String())
	assert.NotEmpty(t, p.Client.LocalAddr().Resourcepart())
	assert.Equal(t, "juliet@example.net", p.Server.RemoteAddr().String())
	assert.NoError(t, p.ClientErr)
	assert.NoError(t, p.ServerErr)
}

func TestPairAddresses(t *testing.T) {
	p := xmpptest.NewPair(t, xmpptest.PairConfig{
		Location: jid.MustParse("example.org"),
		Client:   jid.MustParse("romeo@example.org"),
	})
	assert.Equal(t, "example.org", p.Server.LocalAddr().String())
	assert.Equal(t, "romeo", p.Client.LocalAddr().Localpart())
}

func TestPairServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := xmpptest.NewPair(t, xmpptest.PairConfig{Link: rtt})
		p.Serve(nil, mux.New(stanza.NSClient, ping.Handle()))
		before := p.Link.Elapsed()
		require.NoError(t, ping.Send(t.Context(), p.Client, jid.JID{}))
		assert.Equal(t, 1.0, p.Link.RoundTrips(p.Link.Elapsed()-before))
		require.NoError(t, p.Close())
		require.NoError(t, p.Close(), "closing again")
	})
}

func TestPairReportsErrorsOfBothEnds(t *testing.T) {
	p, err := xmpptest.TryPair(t.Context(), xmpptest.PairConfig{
		ClientNegotiator: xmpptest.Stock(xmpp.SASL("", "wrong", sasl.Plain), xmpp.BindResource()),
	})
	require.Error(t, err)
	defer func() { require.NoError(t, p.Close()) }()
	assert.ErrorIs(t, p.ServerErr, sasl.ErrAuthn)
	assert.ErrorIs(t, err, p.ServerErr)
	assert.ErrorIs(t, err, p.ClientErr)
	assert.ErrorContains(t, err, "client: ")
	assert.ErrorContains(t, err, "server: ")
	assert.NotNil(t, p.Client)
	assert.NotNil(t, p.Server)
}

// mute negotiates nothing, for ever.
func mute(ctx context.Context, _, _ *stream.Info, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, any, error) {
	_, err := io.Copy(io.Discard, s.Conn())
	if err == nil {
		err = io.EOF
	}
	return 0, nil, nil, err
}

func TestPairThatHangsEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := xmpptest.TryPair(t.Context(), xmpptest.PairConfig{ClientNegotiator: mute, ServerNegotiator: mute})
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "no session after 1m0s")
		assert.Equal(t, time.Minute, p.Link.Elapsed())
		require.NoError(t, p.Close())
	})
	t.Run("when its context is canceled", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		enough := errors.New("enough")
		time.AfterFunc(10*time.Millisecond, func() { cancel(enough) })
		p, err := xmpptest.TryPair(ctx, xmpptest.PairConfig{ServerNegotiator: mute})
		assert.ErrorIs(t, err, enough)
		require.NoError(t, p.Close())
	})
}

func TestPairStates(t *testing.T) {
	var seen [2]xmpp.SessionState
	see := func(side xmpptest.Side) xmpp.Negotiator {
		return func(_ context.Context, _, _ *stream.Info, s *xmpp.Session, _ any) (xmpp.SessionState, io.ReadWriter, any, error) {
			seen[side] = s.State()
			return xmpp.Ready, nil, nil, nil
		}
	}
	cfg := xmpptest.PairConfig{ClientNegotiator: see(xmpptest.Client), ServerNegotiator: see(xmpptest.Server)}
	for _, tc := range []struct {
		name           string
		client, server xmpp.SessionState
		insecure       bool
		want           [2]xmpp.SessionState
	}{
		{name: "default", want: [2]xmpp.SessionState{xmpp.Secure, xmpp.Secure | xmpp.Received}},
		{name: "insecure", insecure: true, want: [2]xmpp.SessionState{0, xmpp.Received}},
		{name: "given", client: xmpp.S2S, server: xmpp.Authn, want: [2]xmpp.SessionState{xmpp.S2S, xmpp.Authn | xmpp.Received}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := cfg
			cfg.ClientState, cfg.ServerState, cfg.Insecure = tc.client, tc.server, tc.insecure
			xmpptest.NewPair(t, cfg)
			assert.Equal(t, tc.want, seen)
		})
	}
}

// countingConn counts reads.
type countingConn struct {
	net.Conn
	reads int
}

func (c *countingConn) Read(b []byte) (int, error) {
	c.reads++
	return c.Conn.Read(b)
}

func TestPairWrapConn(t *testing.T) {
	var conns [2]*countingConn
	p := xmpptest.NewPair(t, xmpptest.PairConfig{
		WrapConn: func(side xmpptest.Side, c net.Conn) net.Conn {
			conns[side] = &countingConn{Conn: c}
			return conns[side]
		},
	})
	assert.Same(t, conns[xmpptest.Client], p.Client.Conn())
	assert.Same(t, conns[xmpptest.Server], p.Server.Conn())
	assert.NotZero(t, conns[xmpptest.Client].reads)
	assert.NotZero(t, conns[xmpptest.Server].reads)
}

func TestPairByteByByte(t *testing.T) {
	p := xmpptest.NewPair(t, xmpptest.PairConfig{Link: xmpptest.LinkConfig{Chunk: 1}})
	p.Serve(nil, xmpp.HandlerFunc(func(xmlstream.TokenReadEncoder, *xml.StartElement) error { return nil }))
}
