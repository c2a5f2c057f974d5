// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr_test

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mucfr"
)

// crowd returns a room with so many occupants, who send what clients commonly do, and
// one who has come after them and wants to resume.
func crowd(tb testing.TB, n int, annotate bool) (*mucfr.Room, mucfr.Join) {
	r := mucfr.NewRoom(orchard, mucfr.Options{Limits: mucfr.Limits{Departures: 1 << 20}})
	p := presence(tb, enters)
	if annotate {
		p.Request = new(mucfr.Element)
	}
	p.Payload = payload(tb, `<show>away</show><c xmlns="http://jabber.org/protocol/caps" hash="sha-1" node="https://client.example" ver="QgayPKawpkPSDYmwT/WM94uAlu0="/>`)
	for i := range n {
		_, err := r.Join(mucfr.Join{JID: full(fmt.Sprint("u", i)), Nick: fmt.Sprint("N", i), Role: participant, Presence: p})
		require.NoError(tb, err)
	}
	p.Request = new(mucfr.Element)
	j := mucfr.Join{JID: full("romeo"), Nick: "Romeo", Role: participant, Presence: p}
	to, err := r.Join(j)
	require.NoError(tb, err)
	e, _ := to[len(to)-1].Element()
	e.Type = mucfr.Resume
	j.Presence.Request = &e
	return r, j
}

// change lets an occupant change.
func change(tb testing.TB, r *mucfr.Room, i int) {
	_, err := r.Update(full(fmt.Sprint("u", i)), mucfr.Payload{})
	require.NoError(tb, err)
}

// cost returns how many stanzas and bytes a client gets.
func cost(to []mucfr.Stanza, client jid.JID) (stanzas, bytes int) {
	var b []byte
	for _, s := range to {
		if s.To.Equal(client) {
			b = s.AppendXML(b[:0])
			stanzas, bytes = stanzas+1, bytes+len(b)
		}
	}
	return stanzas, bytes
}

// BenchmarkRejoin brings somebody up to date whose connection was lost, after some have
// changed, and tells how many stanzas and bytes that is, and which part of the whole
// state (in thousandths).
func BenchmarkRejoin(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		r, j := crowd(b, n, true)
		whole := j
		whole.Presence.Request = new(mucfr.Element)
		changed := 0
		for _, changes := range []int{-1, 0, 10, 100, n} {
			name, join := fmt.Sprintf("occupants=%d/changes=%d", n, changes), j
			if changes < 0 {
				name, join = fmt.Sprintf("occupants=%d/whole", n), whole
			}
			for ; changed < changes; changed++ {
				change(b, r, changed)
			}
			all, err := r.Join(whole)
			require.NoError(b, err)
			_, most := cost(all, j.JID)
			b.Run(name, func(b *testing.B) {
				var stanzas, bytes int
				b.ReportAllocs()
				for b.Loop() {
					to, err := r.Join(join)
					if err != nil {
						b.Fatal(err)
					}
					stanzas, bytes = cost(to, j.JID)
				}
				b.ReportMetric(float64(stanzas), "stanzas")
				b.ReportMetric(float64(bytes), "bytes")
				b.ReportMetric(1000*float64(bytes)/float64(most), "‰whole")
			})
		}
	}
}

// BenchmarkBroadcast sends a message to all, with and without ids.
func BenchmarkBroadcast(b *testing.B) {
	for _, annotate := range []bool{false, true} {
		b.Run(fmt.Sprintf("occupants=1000/annotated=%t", annotate), func(b *testing.B) {
			r, _ := crowd(b, 1000, annotate)
			p := payload(b, "<body>A message of the size that messages have in a chat room, more or less.</body>")
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				to, err := r.Say(full("u0"), "m1", p)
				if err != nil {
					b.Fatal(err)
				}
				for _, s := range to {
					buf = s.AppendXML(buf[:0])
				}
			}
		})
	}
}

// BenchmarkMemory tells what an occupant takes, and what somebody who has left does.
func BenchmarkMemory(b *testing.B) {
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const n = 2000
	for range b.N {
		before := heap()
		r, _ := crowd(b, n, true)
		with := heap()
		for i := range n {
			_, err := r.Leave(full(fmt.Sprint("u", i)), mucfr.Payload{})
			require.NoError(b, err)
		}
		gone := heap()
		b.ReportMetric(float64(with-before)/n, "B/occupant")
		b.ReportMetric(float64(gone-before)/n, "B/departure")
		runtime.KeepAlive(r)
	}
}

// TestStorm lets people come and go, and looks at what that leaves. They do so as often as
// XMPPEXT_MUCFR_STORM says, or 200 000 times.
func TestStorm(t *testing.T) {
	events := 200_000
	if s := os.Getenv("XMPPEXT_MUCFR_STORM"); s != "" {
		var err error
		events, err = strconv.Atoi(s)
		require.NoError(t, err)
	} else if testing.Short() {
		events = 20_000
	}
	events /= 2 // for each half
	r := mucfr.NewRoom(orchard, mucfr.Options{Limits: mucfr.Limits{Departures: 100, Visitors: 100}})
	p := presence(t, enters+optIn)
	enter := func(i int) {
		_, err := r.Join(mucfr.Join{JID: full(fmt.Sprint("u", i)), Nick: fmt.Sprint("N", i), Role: participant, Presence: p})
		require.NoError(t, err)
	}
	enter(0)
	storm := func() uint64 {
		for i := range events / 2 {
			enter(i + 1)
			_, err := r.Leave(full(fmt.Sprint("u", i+1)), mucfr.Payload{})
			require.NoError(t, err)
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	first := storm()
	second := storm()
	require.Less(t, second, first+1<<20, "AM-12: a room that %d have left takes as much as one that twice as many have", events/2)
	require.Equal(t, 1, r.Len())
}
