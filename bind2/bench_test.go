// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2_test

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"mellium.im/xmpp"

	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/pipelining"
)

// A contender is a server that a client logs in at in one flight, over memory and
// with a password that is not checked, so that the bind is as much of it as can be.
type contender struct {
	name   string
	server xmpp.Negotiator
	says   string
}

func contenders() []contender {
	store := binding("balcony", bind2.Bound{
		Archived: true, First: bind2.Entry{ID: "first", Time: time.Unix(1e9, 0)}, Last: bind2.Entry{ID: "last", Time: time.Unix(2e9, 0)},
		Unreads: []bind2.Unread{{JID: romeo, ReadID: "read", Count: 3}},
	})
	store.forgetful = true
	h := open(newHouse(store))
	login := plain("juliet", password)
	return []contender{
		{"stock RFC 6120", pipelining.NewNegotiator(func(s *xmpp.Session, _ *xmpp.StreamConfig) xmpp.StreamConfig {
			return xmpp.StreamConfig{Features: append(h.logins.Features(s), xmpp.BindResource(), pipelining.StreamFeature())}
		}, pipelining.Config{}), opening + login + opening + askLegacy},
		{"RFC 6120", h.negotiator(), opening + login + opening + askLegacy},
		{"bind2:0", h.negotiator(), opening + login + opening + askEarly},
		{"bind:0", h.negotiator(), opening + plain2("juliet", password, agent, askInline("<tag>X</tag><enable xmlns='urn:xmpp:carbons:2'/>"))},
	}
}

func (c contender) run(tb testing.TB, n int) {
	for range n {
		_, err := xmpp.ReceiveSession(context.Background(), &tape{in: strings.NewReader(c.says)}, xmpp.Secure, c.server)
		require.NoError(tb, err)
	}
}

// BenchmarkLogin is what a login costs a server.
func BenchmarkLogin(b *testing.B) {
	for _, c := range contenders() {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.run(b, 1)
			}
		})
	}
}

// BenchmarkRatioLogin compares what BenchmarkLogin measures with a stock bind, on a
// machine that has other things to do: both run in turns, block by block, and what
// counts is the median of the ratios of neighbours.
func BenchmarkRatioLogin(b *testing.B) {
	const block = 200
	all := contenders()
	spend := func(c contender) [3]float64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		c.run(b, block)
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		return [3]float64{float64(took), float64(after.TotalAlloc - before.TotalAlloc), float64(after.Mallocs - before.Mallocs)}
	}
	for _, c := range all[1:] {
		b.Run(c.name, func(b *testing.B) {
			var ratios [3][]float64
			for first := false; b.Loop(); first = !first {
				var ours, stock [3]float64
				if first {
					ours = spend(c)
				}
				stock = spend(all[0])
				if !first {
					ours = spend(c)
				}
				for i := range ratios {
					ratios[i] = append(ratios[i], ours[i]/stock[i])
				}
			}
			b.ReportMetric(0, "ns/op") // a pair of blocks: it says nothing
			for i, unit := range []string{"x-stock-time", "x-stock-B", "x-stock-allocs"} {
				slices.Sort(ratios[i])
				b.ReportMetric(ratios[i][len(ratios[i])/2], unit)
			}
		})
	}
}
