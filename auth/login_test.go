// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// TestRoundTrips asserts how long each way to log in takes, TLS and the binding of
// a resource included.
func TestRoundTrips(t *testing.T) {
	for _, test := range []struct {
		name      string
		plan      pipelining.Plan
		mechanism string
		token     bool // there is one from a login before
		inline    bool // the resource is bound inline
		trips     float64
	}{
		{"RFC 6120", pipelining.Plan{Mode: pipelining.Full}, auth.Plain, false, false, 2},
		{"RFC 6120", pipelining.Plan{Mode: pipelining.Full}, auth.ScramSHA256, false, false, 3},
		{"RFC 6120", pipelining.Plan{Mode: pipelining.Full}, auth.ScramSHA256Plus, false, false, 3},
		{"SASL2", pipelining.Plan{Mode: pipelining.Full, SASL2: true}, auth.Plain, false, true, 2},
		{"SASL2", pipelining.Plan{Mode: pipelining.Full, SASL2: true}, auth.ScramSHA256Plus, false, true, 3},
		{"SASL2", pipelining.Plan{Mode: pipelining.Full, SASL2: true}, auth.ScramSHA256Plus, false, false, 4},
		{"FAST", pipelining.Plan{Mode: pipelining.Full, SASL2: true}, auth.ScramSHA256Plus, true, true, 2},
		{"FAST", pipelining.Plan{Mode: pipelining.Paced, SASL2: true}, auth.ScramSHA256Plus, true, true, 2},
		{"FAST", pipelining.Plan{Mode: pipelining.Full, SASL2: true}, auth.ScramSHA256Plus, true, false, 3},

		{"step by step", pipelining.Plan{}, auth.Plain, false, true, 3},
		{"step by step", pipelining.Plan{}, auth.ScramSHA256Plus, false, true, 4},
		{"step by step", pipelining.Plan{}, auth.ScramSHA256Plus, true, true, 3},
		{"step by step", pipelining.Plan{}, auth.ScramSHA256Plus, true, false, 4},
	} {
		name := test.name + " " + test.plan.Mode.String() + " " + test.mechanism
		if test.inline {
			name += " inline"
		}
		if test.token {
			name += " token"
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv, c := newServer(), newClient(test.mechanism)
				srv.Inline = []auth.Inline{ride{}}
				if test.inline {
					c.Inline = []auth.ClientInline{rideAlong{"balcony"}}
				}
				if test.token {
					mustMeet(t, ahead(pipelining.Plan{}, c), negotiator(srv))
				}
				m := mustMeet(t, ahead(test.plan, c), negotiator(srv))
				assert.Equal(t, test.trips, m.Link.RoundTrips(m.Took), "round trips")
				assert.Equal(t, test.inline, m.Client.LocalAddr().Equal(balcony), m.Client.LocalAddr().String())
			})
		})
	}
}

// TestStock lets both ends meet mellium's own.
func TestStock(t *testing.T) {
	t.Run("negotiators", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := mustMeetPlainly(t, stockClient(newClient()), xmpp.NewNegotiator(serverConfig(newServer())))
			assert.Equal(t, juliet, m.Server.RemoteAddr())
		})
	})
	t.Run("server", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server := xmpptest.Stock(xmpp.SASLServer(func(n *sasl.Negotiator) bool {
				user, given, _ := n.Credentials()
				return string(user) == juliet.Localpart() && string(given) == password
			}, sasl.Plain), xmpp.BindResource())
			mustMeetPlainly(t, stockClient(newClient(auth.Plain)), server)
		})
	})
}

// TestStockClients has mellium's clients log in at our server.
func TestStockClients(t *testing.T) {
	for name, m := range map[string]sasl.Mechanism{
		auth.Plain: sasl.Plain, auth.ScramSHA256: sasl.ScramSha256, auth.ScramSHA1: sasl.ScramSha1,
	} {
		for kind, n := range map[string]xmpp.Negotiator{
			"pipelining's": negotiator(newServer()),
			"a stock":      xmpp.NewNegotiator(serverConfig(newServer())),
		} {
			p, err := stockPair(t, xmpp.SASL("", password, m), n)
			require.NoError(t, err, "%s, %s negotiator", name, kind)
			sent := string(p.Link.Sent(xmpptest.Server))
			assert.NotContains(t, sent, ">=</success>", "no data is not the same as data of no length (RFC 6120, section 6.4.6)")
		}
	}
}
