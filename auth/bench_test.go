// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// These benchmarks are of servers alone: their clients are in memory and play back
// what was recorded, so that neither a network nor TLS is in the way.

// silent is a connection in memory, but for what is read and written.
type silent struct{}

func (silent) Close() error                     { return nil }
func (silent) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (silent) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (silent) SetDeadline(time.Time) error      { return nil }
func (silent) SetReadDeadline(time.Time) error  { return nil }
func (silent) SetWriteDeadline(time.Time) error { return nil }

// A replay is a client in memory. A read returns one flight, once the one before
// is answered.
type replay struct {
	silent
	script  []flight
	answer  []byte // so far, if it matters
	pending int    // how much of an answer is due
}

// A flight is what a client sends at once.
type flight struct {
	data   []byte
	reply  func(answer []byte) []byte // instead of data, to the answer before
	answer int                        // how long the answer is
}

func (r *replay) Read(p []byte) (int, error) {
	switch {
	case r.pending > 0:
		return 0, errors.New("the server asks for more before it has answered")
	case len(r.script) == 0:
		return 0, io.EOF
	}
	f := r.script[0]
	if f.reply != nil {
		f.data = f.reply(r.answer)
	}
	r.script, r.pending, r.answer = r.script[1:], f.answer, r.answer[:0]
	if len(f.data) > len(p) {
		return 0, io.ErrShortBuffer
	}
	return copy(p, f.data), nil
}

func (r *replay) Write(p []byte) (int, error) {
	r.pending -= len(p)
	if len(r.script) > 0 && r.script[0].reply != nil {
		r.answer = append(r.answer, p...)
	}
	return len(p), nil
}

// record returns what a client logs in with. Another login of the same kind goes
// like it: whatever is random has always the same length.
func record(tb testing.TB, client, server xmpp.Negotiator) []flight {
	tb.Helper()
	p, err := xmpptest.TryPair(tb.Context(), xmpptest.PairConfig{
		Location: domain, Client: balcony, ClientNegotiator: client, ServerNegotiator: server,
	})
	require.NoError(tb, err)
	require.NoError(tb, p.Close())
	require.Equal(tb, balcony, p.Client.LocalAddr())
	var all []flight
	last := xmpptest.Server
	for _, e := range p.Link.Log() {
		if e.From == xmpptest.Client && last == xmpptest.Server {
			all = append(all, flight{})
		}
		f := &all[len(all)-1]
		if last = e.From; last == xmpptest.Client {
			f.data = append(f.data, e.Data...)
		} else {
			f.answer += len(e.Data)
		}
	}
	return all
}

var (
	initialResponse = regexp.MustCompile(`(?:<auth [^>]*>|<initial-response>)([A-Za-z0-9+/=]*)<`)
	response        = regexp.MustCompile(`<response[^>]*>([A-Za-z0-9+/=]*)<`)
	challengeStart  = []byte("<challenge")
)

// recordScram is record for SCRAM, where a client's proof is for one login. It is
// computed anew, at as little cost as possible: one HMAC.
func recordScram(tb testing.TB, client, server xmpp.Negotiator, secret secretOf) []flight {
	tb.Helper()
	script := record(tb, client, server)
	var bare string
	for i := range script {
		data := script[i].data
		if m := initialResponse.FindSubmatch(data); m != nil {
			first, err := b64.DecodeString(string(m[1]))
			require.NoError(tb, err)
			bare = strings.TrimPrefix(string(first), "n,,")
		}
		at := response.FindSubmatchIndex(data)
		if at == nil {
			continue
		}
		script[i].reply = func(answer []byte) []byte {
			challenge := answer[bytes.Index(answer, challengeStart):]
			challenge = challenge[bytes.IndexByte(challenge, '>')+1:]
			challenge, err := b64.AppendDecode(nil, challenge[:bytes.IndexByte(challenge, '<')])
			if err != nil {
				panic(err)
			}
			final := []byte("c=biws," + string(challenge[:bytes.IndexByte(challenge, ',')]))
			proof := secret.mac(secret.storedKey, bare+","+string(challenge)+","+string(final))
			subtle.XORBytes(proof, proof, secret.clientKey)
			final = b64.AppendEncode(append(final, ",p="...), proof)
			out := append([]byte(nil), data[:at[2]]...)
			return append(b64.AppendEncode(out, final), data[at[3]:]...)
		}
	}
	require.NotEmpty(tb, bare)
	return script
}

// A contender does the same as others, in its own way, n times.
type contender struct {
	name  string
	block int // how often it is to be done at a time
	run   func(n int)
}

func replaying(tb testing.TB, name string, block int, server func() xmpp.Negotiator, script []flight) contender {
	return contender{name, block, func(n int) {
		for range n {
			_, err := xmpp.ReceiveSession(context.Background(), &replay{script: script}, xmpp.Secure, server())
			require.NoError(tb, err)
		}
	}}
}

// oneAccount are credentials of one account, whose hash is as cheap as wanted.
type oneAccount map[string]auth.Keys

func (o oneAccount) Keys(_ context.Context, account jid.JID, mechanism string) (auth.Keys, error) {
	k, ok := o[mechanism]
	if !ok || !account.Equal(juliet) {
		return auth.Keys{}, auth.ErrUnknownAccount
	}
	return k, nil
}

// bindSame binds what is asked for. Mellium's clients ask for nothing.
func bindSame(account jid.JID, resource string) (jid.JID, error) {
	return account.WithResource(cmp.Or(resource, balcony.Resourcepart()))
}

// servers returns who negotiates as a server with a client that is replayed. The
// first is mellium's, which compares a password with one that is in the clear: it
// has no SCRAM (v0.23.0). Ours hashes it first, for which a client of SCRAM pays
// itself; with one iteration that is left out.
//
// With SASL2 clients send ahead and bind inline; with RFC 6120 they go step by
// step, as stock ones do.
func servers(tb testing.TB) []contender {
	stockFeatures := []xmpp.StreamFeature{
		xmpp.SASLServer(func(n *sasl.Negotiator) bool {
			user, pass, _ := n.Credentials()
			return string(user) == juliet.Localpart() && string(pass) == password
		}, sasl.Plain),
		xmpp.BindCustom(bindSame),
	}
	stock := func() xmpp.Negotiator { return xmpptest.Stock(stockFeatures...) }
	stockClient := xmpptest.Stock(xmpp.SASL("", password, sasl.Plain), xmpp.BindResource())

	server := func(iterations int) (*auth.Server, secretOf) {
		secret := hashPassword(auth.ScramSHA256, password, []byte("0123456789abcdef"), iterations)
		return &auth.Server{
			Credentials: oneAccount{auth.ScramSHA256: secret.keys()},
			Mechanisms:  []string{auth.ScramSHA256, auth.Plain},
			Iterations:  iterations,
			FAST:        &auth.FAST{Store: new(auth.MemoryTokens)},
			Inline:      []auth.Inline{ride{}},
		}, secret
	}
	cheap, _ := server(1)
	dear, secret := server(iterations)
	config := func(srv *auth.Server) func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
		return func(s *xmpp.Session, _ *xmpp.StreamConfig) xmpp.StreamConfig {
			return xmpp.StreamConfig{Features: append(srv.Features(s), xmpp.BindCustom(bindSame), pipelining.StreamFeature())}
		}
	}
	ours := func(srv *auth.Server) func() xmpp.Negotiator {
		n := pipelining.NewNegotiator(config(srv), pipelining.Config{})
		return func() xmpp.Negotiator { return n }
	}
	inStock := func(srv *auth.Server) func() xmpp.Negotiator {
		return func() xmpp.Negotiator { return xmpp.NewNegotiator(config(srv)) }
	}
	verified := func(tls.ConnectionState) error { return nil } // There is none.
	client := func(c *auth.Client) xmpp.Negotiator {
		c.VerifyTLS = verified
		c.Inline = []auth.ClientInline{rideAlong{"balcony"}}
		return pipelining.Client(pipelining.Plan{Mode: pipelining.Full, SASL2: true}, pipelining.ClientConfig{VerifyTLS: verified, Authenticator: c})
	}
	passwordClient := func(mechanism string) xmpp.Negotiator {
		c := newClient(mechanism)
		c.Tokens = nil
		return client(c)
	}
	legacyClient := func(mechanism string) xmpp.Negotiator {
		c := newClient(mechanism)
		c.VerifyTLS = verified
		return xmpptest.Stock(append(slices.DeleteFunc(c.Features(), func(f xmpp.StreamFeature) bool {
			return f.Name.Space == auth.NSSASL2
		}), xmpp.BindResource())...)
	}
	tokenClient := func() xmpp.Negotiator {
		c := newClient(auth.ScramSHA256)
		c.TokenMechanism = auth.HTSHA256None
		n := client(c)
		record(tb, n, ours(dear)()) // It gets the token.
		return n
	}
	return []contender{
		replaying(tb, "stock PLAIN", 200, stock, record(tb, stockClient, stock())),
		replaying(tb, "RFC 6120 PLAIN, 1 iteration, stock negotiator", 200, inStock(cheap), record(tb, legacyClient(auth.Plain), inStock(cheap)())),
		replaying(tb, "RFC 6120 PLAIN, 1 iteration", 200, ours(cheap), record(tb, legacyClient(auth.Plain), ours(cheap)())),
		replaying(tb, "RFC 6120 PLAIN, 4096 iterations", 20, ours(dear), record(tb, legacyClient(auth.Plain), ours(dear)())),
		replaying(tb, "RFC 6120 SCRAM-SHA-256", 200, ours(dear), recordScram(tb, legacyClient(auth.ScramSHA256), ours(dear)(), secret)),
		replaying(tb, "SASL2 PLAIN, 1 iteration", 200, ours(cheap), record(tb, passwordClient(auth.Plain), ours(cheap)())),
		replaying(tb, "SASL2 SCRAM-SHA-256", 200, ours(dear), recordScram(tb, passwordClient(auth.ScramSHA256), ours(dear)(), secret)),
		replaying(tb, "FAST HT-SHA-256-NONE", 200, ours(dear), record(tb, tokenClient(), ours(dear)())),
	}
}

// BenchmarkLogin is what a login costs a server. Beside time it reports how many
// there are to a second of one processor, garbage collection included.
func BenchmarkLogin(b *testing.B) {
	for _, c := range servers(b) {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			before := spent()
			n := 0
			for b.Loop() {
				c.run(1)
				n++
			}
			b.ReportMetric(float64(n)/(spent().minus(before)[0]/float64(time.Second)), "logins/cpu-s")
		})
	}
}

// BenchmarkRatioLogin compares what BenchmarkLogin measures with a stock server.
func BenchmarkRatioLogin(b *testing.B) {
	all := servers(b)
	for _, c := range all[1:] {
		b.Run(c.name, func(b *testing.B) { ratio(b, c, all[0]) })
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
func ratio(b *testing.B, ours, stock contender) {
	b.Helper()
	pair := []contender{ours, stock}
	for _, c := range pair {
		c.run(c.block)
	}
	var ratios [4][]float64
	var last [2]cost
	for i := 0; b.Loop(); i++ {
		for j := range 2 {
			which := (i + j) % 2 // Each comes first as often as the other.
			before := spent()
			pair[which].run(pair[which].block)
			last[which] = spent().minus(before)
		}
		for k := range ratios {
			ratios[k] = append(ratios[k], last[0][k]/float64(ours.block)/(last[1][k]/float64(stock.block)))
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

// A flood is a client that says what it is told to, and does not listen.
type flood struct {
	silent
	io.Reader
	read int
}

func (f *flood) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	f.read += n
	return n, err
}

func (*flood) Write(p []byte) (int, error) { return len(p), nil }

// TestHostileMessagesCost floods a server before a login. However much there is of
// it, what it costs is bounded.
func TestHostileMessagesCost(t *testing.T) {
	const (
		header = `<stream:stream to='im.example.com' from='juliet@im.example.com' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`

		// maxCost is some times what the largest message costs that is let in, which is
		// kept as text, as tokens, and decoded.
		maxCost = 768 << 10
	)
	times := strings.Repeat
	for _, test := range []struct {
		name        string
		front, unit string // what comes once, and what comes again and again
		unlimited   bool   // the connection does not limit it: this package does
	}{
		{"auth", `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>`, "AAAA", false},
		{"auth of SCRAM", `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>biws`, "AAAA", false},
		{"response", `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>` + b64.EncodeToString([]byte("n,,n=juliet,r=abc")) + `</auth><response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>`, "AAAA", false},
		{"initial-response", `<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>`, "AAAA", false},
		{"user-agent", `<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><user-agent><software>`, "Balcony ", false},
		{"attribute", `<authenticate xmlns='urn:xmpp:sasl:2' mechanism='`, "PLAIN", false},
		{"attributes", `<authenticate xmlns='urn:xmpp:sasl:2' `, "a='b' ", false},
		{"mechanisms that are not known", "", `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='X'/>`, true},
		{"children", `<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'>`, "<x/>", true},
		{"children with text", `<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'>`, "<x>" + times("x", 1<<10) + "</x>", true},
		{"children with attributes", `<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'>`, "<x a='" + times("x", 1<<10) + "'/>", true},
		{"depth", `<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'>`, "<x>", true},
		{"tries", "", `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>` + b64.EncodeToString([]byte("n,,n=juliet,r=abc")) + `</auth>`, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := pipelining.Config{}
			if test.unlimited {
				cfg.MaxBytes = -1
			}
			n := pipelining.NewNegotiator(serverConfig(newServer()), cfg)
			var costs []float64
			for _, size := range []int{1 << 20, 1 << 23} {
				again := times(test.unit, size/len(test.unit))
				least := -1.0
				for range 3 { // Others may allocate at the same time.
					f := &flood{Reader: io.MultiReader(strings.NewReader(header), strings.NewReader(test.front), strings.NewReader(again))}
					before := spent()
					_, err := xmpp.ReceiveSession(t.Context(), f, xmpp.Secure, n)
					if c := spent().minus(before)[2]; least < 0 || c < least {
						least = c
					}
					require.Error(t, err)
					assert.Less(t, f.read, size/2, "a server does not listen to the end")
				}
				costs = append(costs, least)
				assert.Less(t, least, float64(maxCost), "bytes allocated for %d", size)
			}
			t.Logf("%.0f kB for 1 MiB, %.0f kB for 8 MiB", costs[0]/1e3, costs[1]/1e3)
			assert.Less(t, costs[1], 1.5*costs[0]+64<<10, "it does not grow")
		})
	}
}
