// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"mellium.im/sasl"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// TestRoundTrips asserts what this package is for.
func TestRoundTrips(t *testing.T) {
	for _, test := range []struct {
		transport transport
		mode      pipelining.Mode
		mechanism sasl.Mechanism
		trips     float64
		pauses    time.Duration
	}{
		{plainTCP, pipelining.Full, sasl.Plain, 1, 0},
		{plainTCP, pipelining.Full, sasl.ScramSha256, 2, 0},
		{startTLS, pipelining.Full, sasl.Plain, 2, 0},
		{startTLS, pipelining.Full, sasl.ScramSha256, 3, 0},
		{directTLS, pipelining.Full, sasl.Plain, 2, 0},
		{directTLS, pipelining.Full, sasl.ScramSha256, 3, 0},

		{plainTCP, pipelining.Paced, sasl.Plain, 1, 1},
		{plainTCP, pipelining.Paced, sasl.ScramSha256, 2, 1},
		{startTLS, pipelining.Paced, sasl.Plain, 2, 2},
		{startTLS, pipelining.Paced, sasl.ScramSha256, 3, 2},
		{directTLS, pipelining.Paced, sasl.Plain, 2, 1},
		{directTLS, pipelining.Paced, sasl.ScramSha256, 3, 1},

		{plainTCP, pipelining.Off, sasl.Plain, 4, 0},
		{startTLS, pipelining.Off, sasl.Plain, 7, 0},
		{startTLS, pipelining.Off, sasl.ScramSha256, 8, 0},
		{directTLS, pipelining.Off, sasl.Plain, 5, 0},
		{directTLS, pipelining.Off, sasl.ScramSha256, 6, 0},
	} {
		t.Run(string(test.transport)+" "+test.mode.String()+" "+test.mechanism.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := mustLogIn(t, test.transport, pipelining.Client(pipelining.Plan{Mode: test.mode}, clientConfig(test.mechanism)))
				assert.Equal(t, test.trips, l.Link.RoundTrips(l.Took-test.pauses*pipelining.DefaultPace), "round trips")
				// What comes in two writes by intention is answered in two.
				assert.Equal(t, l.Link.Flights(xmpptest.Client)+int(test.pauses), len(l.Link.Writes(xmpptest.Server)),
					"each flight of the client is answered by one write")
				assert.Equal(t, balcony, l.Client.LocalAddr())
				assert.Equal(t, juliet, l.Server.RemoteAddr())
				if t.Failed() {
					for _, e := range l.Link.Log() {
						t.Logf("%v %v %d %.300q", e.At, e.From, len(e.Data), e.Data)
					}
				}
			})
		})
	}
}
