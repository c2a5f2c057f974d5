// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// stockClient is mellium's own negotiator with what it needs to log in.
func stockClient() xmpp.Negotiator { return xmpptest.Stock(stockClientFeatures()...) }

func stockClientFeatures() []xmpp.StreamFeature {
	return []xmpp.StreamFeature{xmpp.StartTLS(clientTLS()), xmpp.SASL("", password, sasl.Plain), xmpp.BindResource()}
}

// serveStock negotiates as a server that has nothing of this package.
func serveStock(ctx context.Context, tr transport, c net.Conn) (*xmpp.Session, error) {
	var rw io.ReadWriter = c
	var state xmpp.SessionState
	switch tr {
	case plainTCP:
		state = xmpp.Secure
	case directTLS:
		rw = tls.Server(c, serverTLS())
	}
	return xmpp.ReceiveSession(ctx, rw, state, xmpptest.Stock(
		xmpp.StartTLS(serverTLS()),
		xmpp.SASLServer(func(n *sasl.Negotiator) bool {
			_, pass, _ := n.Credentials()
			return string(pass) == password
		}, sasl.Plain),
		xmpp.BindCustom(bindAsked)))
}

// TestStockClient lets stock mellium log in to our server.
func TestStockClient(t *testing.T) {
	for tr, trips := range map[transport]float64{plainTCP: 4, startTLS: 7, directTLS: 5} {
		t.Run(string(tr), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := logIn(t, tr,
					func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
						return dial(ctx, tr, c, balcony, stockClient())
					},
					func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
						return serve(ctx, tr, c, pipelining.Config{})
					})
				require.NoError(t, errors.Join(l.ClientErr, l.ServerErr))
				assert.Equal(t, trips, l.Link.RoundTrips(l.Took))
				assert.Equal(t, juliet, l.Server.RemoteAddr())
				assert.Equal(t, juliet, l.Client.LocalAddr().Bare())
			})
		})
	}
}

// TestStockBothEnds is the control: what a login costs without this package.
func TestStockBothEnds(t *testing.T) {
	for tr, trips := range map[transport]float64{plainTCP: 4, startTLS: 7, directTLS: 5} {
		t.Run(string(tr), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := logIn(t, tr,
					func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
						return dial(ctx, tr, c, juliet, stockClient())
					},
					func(ctx context.Context, c net.Conn) (*xmpp.Session, error) { return serveStock(ctx, tr, c) })
				require.NoError(t, errors.Join(l.ClientErr, l.ServerErr))
				assert.Equal(t, trips, l.Link.RoundTrips(l.Took))
			})
		})
	}
}

// TestStockServer lets our client log in to stock mellium, which drops what
// shares a read with an element that restarts the stream.
func TestStockServer(t *testing.T) {
	try := func(t *testing.T, tr transport, plan pipelining.Plan) *login {
		return logIn(t, tr,
			func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
				return dial(ctx, tr, c, juliet, pipelining.Client(plan, clientConfig(sasl.Plain)))
			},
			func(ctx context.Context, c net.Conn) (*xmpp.Session, error) { return serveStock(ctx, tr, c) })
	}
	for _, tr := range []transport{plainTCP, startTLS, directTLS} {
		t.Run(string(tr)+" off", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := try(t, tr, pipelining.Plan{})
				require.NoError(t, errors.Join(l.ClientErr, l.ServerErr))
				assert.Equal(t, juliet, l.Client.LocalAddr().Bare())
			})
		})
		t.Run(string(tr)+" paced", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := try(t, tr, pipelining.Plan{Mode: pipelining.Paced})
				require.NoError(t, errors.Join(l.ClientErr, l.ServerErr))
				trips := map[transport]float64{plainTCP: 1, startTLS: 2, directTLS: 2}[tr]
				pauses := map[transport]time.Duration{plainTCP: 1, startTLS: 2, directTLS: 1}[tr]
				assert.Equal(t, trips, l.Link.RoundTrips(l.Took-pauses*pipelining.DefaultPace))
			})
		})
		t.Run(string(tr)+" full", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := try(t, tr, pipelining.Plan{Mode: pipelining.Full})
				require.ErrorIs(t, l.ClientErr, pipelining.ErrMispredicted)
				assert.LessOrEqual(t, l.Took, pipelining.DefaultAnswerTimeout+2*roundTrip)
				if tr == startTLS {
					assert.NotContains(t, string(l.Link.Sent(xmpptest.Client)), "<auth")
				}
			})
		})
	}
}
