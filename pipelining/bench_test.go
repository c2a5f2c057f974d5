// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// Stock servers and ours differ in these benchmarks as they do in a program that
// takes up this package; all else is the same.
// A stock negotiator is for one session, as those of mellium v0.23.0 are not safe
// for concurrent use; one of ours is for all of them.

// A maker returns the negotiator for a session.
type maker func() xmpp.Negotiator

func benchStockServer(features ...xmpp.StreamFeature) maker {
	features = append(slices.Clip(features),
		xmpp.SASLServer(func(n *sasl.Negotiator) bool {
			user, pass, _ := n.Credentials()
			return string(user) == juliet.Localpart() && string(pass) == password
		}, sasl.Plain),
		xmpp.BindCustom(bindAsked))
	return func() xmpp.Negotiator { return xmpptest.Stock(features...) }
}

func benchOurServer(features ...xmpp.StreamFeature) maker {
	features = append(slices.Clip(features),
		pipelining.SASLServer(func(_ *xmpp.Session, n *sasl.Negotiator) (jid.JID, bool) {
			user, pass, _ := n.Credentials()
			return juliet, string(user) == juliet.Localpart() && string(pass) == password
		}, sasl.Plain),
		xmpp.BindCustom(bindAsked),
		pipelining.StreamFeature())
	n := pipelining.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
		return xmpp.StreamConfig{Features: features}
	}, pipelining.Config{})
	return func() xmpp.Negotiator { return n }
}

func benchStockClient(features ...xmpp.StreamFeature) maker {
	features = append(slices.Clip(features), xmpp.SASL("", password, sasl.Plain), xmpp.BindResource())
	return func() xmpp.Negotiator { return xmpptest.Stock(features...) }
}

func benchOurClient() maker {
	n := pipelining.Client(pipelining.Plan{Mode: pipelining.Full}, clientConfig(sasl.Plain))
	return func() xmpp.Negotiator { return n }
}

// A replay is a client in memory. A read returns one flight, once the one before
// is answered.
type replay struct {
	script  []exchange
	pending int // how much of an answer is due
}

func (r *replay) Read(p []byte) (int, error) {
	switch {
	case r.pending > 0:
		return 0, errors.New("the server asks for more before it has answered")
	case len(r.script) == 0:
		return 0, io.EOF
	}
	x := r.script[0]
	n := copy(p, x.flight)
	if n < len(x.flight) {
		return 0, io.ErrShortBuffer
	}
	r.script, r.pending = r.script[1:], x.answer
	return n, nil
}

func (r *replay) Write(p []byte) (int, error) {
	r.pending -= len(p)
	return len(p), nil
}

func (*replay) Close() error                     { return nil }
func (*replay) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (*replay) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (*replay) SetDeadline(time.Time) error      { return nil }
func (*replay) SetReadDeadline(time.Time) error  { return nil }
func (*replay) SetWriteDeadline(time.Time) error { return nil }

// An exchange is a flight of the client, and how long its answer is.
type exchange struct {
	flight []byte
	answer int
}

// record returns what a client logs in with. Another login of the same kind goes
// like it: whatever is random has always the same length.
func record(tb testing.TB, client, server maker) []exchange {
	tb.Helper()
	p, err := xmpptest.TryPair(tb.Context(), xmpptest.PairConfig{
		Location: domain, Client: balcony, ClientNegotiator: client(), ServerNegotiator: server(),
	})
	require.NoError(tb, err)
	require.NoError(tb, p.Close())
	var all []exchange
	last := xmpptest.Server
	for _, e := range p.Link.Log() {
		if e.From == xmpptest.Client && last == xmpptest.Server {
			all = append(all, exchange{})
		}
		x := &all[len(all)-1]
		if last = e.From; last == xmpptest.Client {
			x.flight = append(x.flight, e.Data...)
		} else {
			x.answer += len(e.Data)
		}
	}
	return all
}

// receive negotiates a session with a client that is replayed.
func receive(tb testing.TB, c net.Conn, n xmpp.Negotiator) *xmpp.Session {
	s, err := xmpp.ReceiveSession(context.Background(), c, xmpp.Secure, n)
	require.NoError(tb, err)
	return s
}

// A contender does the same as others, in its own way, n times.
type contender struct {
	name string
	run  func(n int)
}

// serverAlone returns who negotiates as a server with a client that is replayed,
// from memory or over TCP on this machine; stock is the first.
//
// In memory, reading and writing costs nothing, of which a stock server does
// more. Over TCP, the client costs as little as it can.
func serverAlone(tb testing.TB, how string) []contender {
	stock, ours := benchStockServer(), benchOurServer()
	lockstep := record(tb, benchStockClient(), stock)
	require.Len(tb, lockstep, 4)
	behind := record(tb, benchStockClient(), ours)
	require.Len(tb, behind, 4)
	ahead := record(tb, benchOurClient(), ours)
	require.Len(tb, ahead, 1)

	alone := func(n maker, script []exchange, wrap func(net.Conn) net.Conn) func(int) {
		once := func() { receive(tb, wrap(&replay{script: script}), n()) }
		if how == "TCP" {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(tb, err)
			tb.Cleanup(func() { _ = l.Close() })
			buf := make([]byte, 4<<10)
			once = func() {
				done := make(chan error, 1)
				go func() { done <- talk(l.Addr().String(), script, buf) }()
				c, err := l.Accept()
				require.NoError(tb, err)
				receive(tb, wrap(c), n())
				require.NoError(tb, errors.Join(<-done, c.Close()))
			}
		}
		return func(times int) {
			for range times {
				once()
			}
		}
	}
	same := func(c net.Conn) net.Conn { return c }
	wrap := func(c net.Conn) net.Conn { return pipelining.NewConn(c) }
	return []contender{
		{"stock client, stock server", alone(stock, lockstep, same)},
		{"stock client, our server", alone(ours, behind, same)},
		{"stock client, our server on a Conn", alone(ours, behind, wrap)},
		{"our client, our server", alone(ours, ahead, same)},
		{"our client, our server on a Conn", alone(ours, ahead, wrap)},
	}
}

// talk replays a client over TCP.
func talk(addr string, script []exchange, buf []byte) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	for _, x := range script {
		if _, err := c.Write(x.flight); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, buf[:x.answer]); err != nil {
			return err
		}
	}
	// Ports that wait for stragglers would run out.
	return errors.Join(c.(*net.TCPConn).SetLinger(0), c.Close())
}

var aloneSources = []string{"memory", "TCP"}

// BenchmarkServerAlone is what the negotiation costs a server.
func BenchmarkServerAlone(b *testing.B) {
	for _, how := range aloneSources {
		for _, c := range serverAlone(b, how) {
			b.Run(how+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					c.run(1)
				}
			})
		}
	}
}

// BenchmarkRatioServerAlone compares what BenchmarkServerAlone measures.
func BenchmarkRatioServerAlone(b *testing.B) {
	for _, how := range aloneSources {
		all := serverAlone(b, how)
		for _, c := range all[1:] {
			b.Run(how+"/"+c.name, func(b *testing.B) { ratio(b, 200, c, all[0]) })
		}
	}
}

// logins returns who negotiates over TCP on this machine, both ends of it; stock
// is the first.
func logins(tb testing.TB, tr transport) []contender {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = l.Close() })
	var serverFeatures, clientFeatures []xmpp.StreamFeature
	state := xmpp.Secure
	if tr == startTLS {
		state = 0
		serverFeatures = append(serverFeatures, xmpp.StartTLS(serverTLS()))
		clientFeatures = append(clientFeatures, xmpp.StartTLS(clientTLS()))
	}
	both := func(client, server maker) func(int) {
		return func(times int) {
			for range times {
				done := make(chan error, 1)
				go func() {
					c, err := l.Accept()
					if err == nil {
						defer c.Close()
						_, err = xmpp.ReceiveSession(context.Background(), c, state, server())
					}
					done <- err
				}()
				c, err := net.Dial("tcp", l.Addr().String())
				require.NoError(tb, err)
				_, err = xmpp.NewSession(context.Background(), domain, balcony, c, state, client())
				require.NoError(tb, errors.Join(err, <-done))
				// Ports that wait for stragglers would run out.
				require.NoError(tb, c.(*net.TCPConn).SetLinger(0))
				require.NoError(tb, c.Close())
			}
		}
	}
	stock, ours := benchStockServer(serverFeatures...), benchOurServer(serverFeatures...)
	stockClient := benchStockClient(clientFeatures...)
	return []contender{
		{"stock client, stock server", both(stockClient, stock)},
		{"stock client, our server", both(stockClient, ours)},
		{"our client, our server", both(benchOurClient(), ours)},
	}
}

// BenchmarkServerNegotiation is what a login costs both ends together.
func BenchmarkServerNegotiation(b *testing.B) {
	for _, tr := range []transport{plainTCP, startTLS} {
		for _, c := range logins(b, tr) {
			b.Run(string(tr)+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					c.run(1)
				}
			})
		}
	}
}

// BenchmarkRatioServerNegotiation compares what BenchmarkServerNegotiation
// measures.
func BenchmarkRatioServerNegotiation(b *testing.B) {
	for _, tr := range []transport{plainTCP, startTLS} {
		all := logins(b, tr)
		for _, c := range all[1:] {
			b.Run(string(tr)+"/"+c.name, func(b *testing.B) { ratio(b, 50, c, all[0]) })
		}
	}
}

// ratio compares ours with stock, on a machine that has other things to do: both
// run in turns, block by block, and what counts is the median of the ratios of
// neighbours. It reports
//
//	x-stock         processor time of the whole process, or where the system
//	                does not tell it, time
//	x-stock-time    time
//	x-stock-B       bytes allocated
//	x-stock-allocs  allocations
func ratio(b *testing.B, block int, ours, stock contender) {
	b.Helper()
	ours.run(block)
	stock.run(block)
	var ratios [4][]float64
	var last [2]cost
	for i := 0; b.Loop(); i++ {
		for j := range 2 {
			which := (i + j) % 2 // Each comes first as often as the other.
			before := spent()
			[]contender{ours, stock}[which].run(block)
			last[which] = spent().minus(before)
		}
		for k := range ratios {
			ratios[k] = append(ratios[k], last[0][k]/last[1][k])
		}
	}
	b.ReportMetric(0, "ns/op") // a pair of blocks: it says nothing
	for k, unit := range []string{"x-stock", "x-stock-time", "x-stock-B", "x-stock-allocs"} {
		b.ReportMetric(median(ratios[k]), unit)
	}
}

// A cost is processor time, time, bytes and allocations.
type cost [4]float64

func spent() cost {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	now := float64(time.Since(benchStart))
	return cost{cmp.Or(float64(cpuTime()), now), now, float64(m.TotalAlloc), float64(m.Mallocs)}
}

var benchStart = time.Now()

func (c cost) minus(d cost) cost {
	for i := range c {
		c[i] -= d[i]
	}
	return c
}

func median(v []float64) float64 {
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
