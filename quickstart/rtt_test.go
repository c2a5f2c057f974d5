// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
	"github.com/xmppext/xmppext/quickstart"
)

// kinds are the servers of TestRoundTrips.
var kinds = map[string]func() *house{
	"SASL2 with tokens": newHouse,
	"SASL2": func() *house {
		h := newHouse()
		h.logins.FAST = nil
		return h
	},
	"bind2:0": func() *house {
		h := newOldHouse()
		h.noEarly = false
		return h
	},
	"RFC 6120": newOldHouse,
	"RFC 6120, nothing announced": func() *house {
		h := newOldHouse()
		h.noPipelining = true
		return h
	},
}

// stockMechanisms are mellium's.
var stockMechanisms = map[string]sasl.Mechanism{
	auth.Plain: sasl.Plain, auth.ScramSHA256: sasl.ScramSha256, auth.ScramSHA256Plus: sasl.ScramSha256Plus,
}

// TestRoundTrips asserts what this package is for: how many flights the first login and
// the later ones take, and those of mellium alone. A round trip for the connection
// comes on top.
func TestRoundTrips(t *testing.T) {
	const token = auth.HTSHA256Exporter
	for _, test := range []struct {
		kind                string
		direct              bool
		mechanism           string
		stock, first, later int
		with                string // mechanism of later logins
		bind                bind2.Protocol
		pauses              int // in later logins
	}{
		{"SASL2 with tokens", false, auth.Plain, 7, 5, 2, token, bind2.Inline, 0},
		{"SASL2 with tokens", false, auth.ScramSHA256, 8, 6, 2, token, bind2.Inline, 0},
		{"SASL2 with tokens", false, auth.ScramSHA256Plus, 8, 6, 2, token, bind2.Inline, 0},
		{"SASL2 with tokens", true, auth.Plain, 5, 3, 2, token, bind2.Inline, 0},
		{"SASL2 with tokens", true, auth.ScramSHA256, 6, 4, 2, token, bind2.Inline, 0},
		{"SASL2 with tokens", true, auth.ScramSHA256Plus, 6, 4, 2, token, bind2.Inline, 0},

		{"SASL2", false, auth.Plain, 7, 5, 2, auth.Plain, bind2.Inline, 0},
		{"SASL2", false, auth.ScramSHA256, 8, 6, 3, auth.ScramSHA256, bind2.Inline, 0},
		{"SASL2", true, auth.Plain, 5, 3, 2, auth.Plain, bind2.Inline, 0},
		{"SASL2", true, auth.ScramSHA256Plus, 6, 4, 3, auth.ScramSHA256Plus, bind2.Inline, 0},

		{"bind2:0", false, auth.Plain, 7, 7, 2, auth.Plain, bind2.Early, 0},
		{"bind2:0", false, auth.ScramSHA256, 8, 8, 3, auth.ScramSHA256, bind2.Early, 0},
		{"bind2:0", true, auth.Plain, 5, 5, 2, auth.Plain, bind2.Early, 0},
		{"bind2:0", true, auth.ScramSHA256Plus, 6, 6, 3, auth.ScramSHA256Plus, bind2.Early, 0},

		{"RFC 6120", false, auth.Plain, 7, 7, 2, auth.Plain, bind2.Legacy, 0},
		{"RFC 6120", false, auth.ScramSHA256, 8, 8, 3, auth.ScramSHA256, bind2.Legacy, 0},
		{"RFC 6120", true, auth.Plain, 5, 5, 2, auth.Plain, bind2.Legacy, 0},
		{"RFC 6120", true, auth.ScramSHA256, 6, 6, 3, auth.ScramSHA256, bind2.Legacy, 0},
		{"RFC 6120", true, auth.ScramSHA256Plus, 6, 6, 3, auth.ScramSHA256Plus, bind2.Legacy, 0},

		{"RFC 6120, nothing announced", false, auth.Plain, 7, 7, 2, auth.Plain, bind2.Legacy, 2},
		{"RFC 6120, nothing announced", false, auth.ScramSHA256, 8, 8, 3, auth.ScramSHA256, bind2.Legacy, 2},
		{"RFC 6120, nothing announced", true, auth.Plain, 5, 5, 2, auth.Plain, bind2.Legacy, 1},
		{"RFC 6120, nothing announced", true, auth.ScramSHA256, 6, 6, 3, auth.ScramSHA256, bind2.Legacy, 1},
	} {
		for _, version := range []uint16{tls.VersionTLS13, tls.VersionTLS12} {
			if version == tls.VersionTLS12 && (strings.HasSuffix(test.mechanism, "-PLUS") || test.with == token) {
				continue // There it needs another kind of channel binding, which is for package auth to test.
			}
			name := fmt.Sprintf("%s, STARTTLS, %s, %s", test.kind, tls.VersionName(version), test.mechanism)
			if test.direct {
				name = strings.Replace(name, "STARTTLS", "direct TLS", 1)
			}
			inBubble(t, name, func(t *testing.T) {
				h := kinds[test.kind]()
				h.direct = test.direct
				h.tls.MaxVersion = version
				w := newWorld(t, h.serve)
				d := newDialer(w)
				d.Mechanisms = []string{test.mechanism}
				d.NoCarbons = true // They are asked for behind the login where nothing else does.
				if test.direct {
					d.Security = quickstart.DirectTLS
				}
				// TLS 1.2 takes another flight unless a session is taken up again.
				more := int(tls.VersionTLS13 - version)

				assert.Equal(t, test.stock+more, stockLogin(t, w, test.direct, test.mechanism), "flights of mellium")

				login := func(flights int, pauses time.Duration) quickstart.Report {
					begin := time.Now()
					r := mustDial(t, d).Report
					took := time.Since(begin)
					assert.Equal(t, flights, r.Flights, "flights")
					assert.Equal(t, float64(flights+1), float64(took-pauses*pipelining.DefaultPace)/float64(roundTrip), "round trips")
					assert.Equal(t, w.last().Flights(xmpptest.Client), r.Flights, "those of the network")
					assert.Equal(t, took, r.Total)
					assert.EqualValues(t, len(w.last().Sent(xmpptest.Client)), r.Sent)
					assert.Equal(t, 1, r.Attempts)
					assert.Equal(t, test.direct, r.Direct)
					assert.Equal(t, test.bind, r.Bind)
					return r
				}
				r := login(test.first+more, 0)
				assert.Equal(t, test.mechanism, r.Mechanism)
				assert.False(t, r.Resumed || r.Held)
				assert.LessOrEqual(t, r.Flights, test.stock+more, "never more than mellium")
				for range 3 {
					r := login(test.later, time.Duration(test.pauses))
					assert.Equal(t, test.with, r.Mechanism)
					assert.True(t, r.Held, "as planned")
					assert.True(t, r.Resumed, "PL-16: TLS sessions are taken up again")
				}

				d.Cache = new(quickstart.MemoryCache)
				login(test.first+more, 0) // It has been the Cache.
			})
		}
	}
}

// stockLogin logs in with mellium alone, and returns the flights.
func stockLogin(t *testing.T, w *world, direct bool, mechanism string) int {
	t.Helper()
	conn, err := w.dial(t.Context(), "tcp", homeAddress)
	require.NoError(t, err)
	var (
		rw       io.ReadWriter = conn
		state    xmpp.SessionState
		cfg      = &tls.Config{RootCAs: pki().pool, ServerName: juliet.Domainpart()}
		features = []xmpp.StreamFeature{xmpp.SASL("", password, stockMechanisms[mechanism]), xmpp.BindResource()}
	)
	if direct {
		secure := tls.Client(conn, cfg)
		require.NoError(t, secure.HandshakeContext(t.Context()))
		rw, state = secure, xmpp.Secure
	} else {
		features = append(features, xmpp.StartTLS(cfg))
	}
	_, err = xmpp.NewSession(t.Context(), juliet.Domain(), juliet, rw, state, xmpptest.Stock(features...))
	require.NoError(t, err)
	return w.last().Flights(xmpptest.Client)
}

// TestPhases asserts what a report says about time.
func TestPhases(t *testing.T) {
	inBubble(t, "direct TLS, with DNS", func(t *testing.T) {
		h := newHouse()
		h.direct = true
		w := newWorld(t, nil)
		w.put(at("192.0.2.7", 5223), h.serve)
		w.record("xmpps-client", "xmpp.im.example.com.", 5223, 0, 0)
		w.name("xmpp.im.example.com", "192.0.2.7")
		var events []string
		d := newDialer(w)
		d.Address = ""
		d.Trace = &quickstart.Trace{
			PhaseStart: func(name string) { events = append(events, "<"+name) },
			PhaseDone:  func(name string) { events = append(events, name+">") },
		}
		r := mustDial(t, d).Report
		assert.Equal(t, []quickstart.Phase{
			{Name: "dns", Start: 0, End: 2 * roundTrip}, // Services, and then addresses.
			{Name: "tcp", Start: 2 * roundTrip, End: 3 * roundTrip},
			{Name: "tls", Start: 3 * roundTrip, End: 4 * roundTrip},
			{Name: "login", Start: 4 * roundTrip, End: 7 * roundTrip},
		}, r.Phases)
		assert.Equal(t, 7*roundTrip, r.Total)
		assert.Equal(t, "192.0.2.7:5223", r.Server)
		assert.Equal(t, []string{"<dns", "dns>", "<tcp", "tcp>", "<tls", "tls>", "<login", "login>"}, events)

		r = mustDial(t, d).Report
		assert.Equal(t, []quickstart.Phase{
			{Name: "tcp", Start: 0, End: roundTrip},
			{Name: "tls", Start: roundTrip, End: 2 * roundTrip},
			{Name: "login", Start: 2 * roundTrip, End: 3 * roundTrip},
		}, r.Phases, "D-18: DNS is not asked again")
	})
	inBubble(t, "STARTTLS", func(t *testing.T) {
		w := newWorld(t, newHouse().serve)
		d := newDialer(w)
		mustDial(t, d)
		assert.Equal(t, []quickstart.Phase{
			{Name: "tcp", Start: 0, End: roundTrip},
			{Name: "tls", Start: roundTrip, End: 2 * roundTrip},
			{Name: "login", Start: 2 * roundTrip, End: 3 * roundTrip},
		}, mustDial(t, d).Report.Phases)
	})
}
