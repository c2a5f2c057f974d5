// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/pipelining"
)

// Types of channel bindings.
const (
	exporter = "tls-exporter"
	unique   = "tls-unique"
	endPoint = "tls-server-end-point"
)

// authorities are like pki, with other kinds of keys.
var authorities = sync.OnceValue(func() map[string]authority {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		panic(err)
	}
	rsa2048, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	all := map[string]authority{"P-256": pki()}
	for name, key := range map[string]crypto.Signer{"P-384": p384, "RSA": rsa2048, "Ed25519": edwards} {
		template := &x509.Certificate{
			SerialNumber:          big.NewInt(1),
			Subject:               pkix.Name{CommonName: "test"},
			NotBefore:             time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC),
			NotAfter:              time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC),
			DNSNames:              []string{domain.String()},
			IsCA:                  true,
			BasicConstraintsValid: true,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			panic(err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			panic(err)
		}
		pool := x509.NewCertPool()
		pool.AddCert(leaf)
		all[name] = authority{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool}
	}
	return all
})

// A channel is a TLS connection of some kind. The zero value is the usual one.
type channel struct {
	key     string // P-256 if it is empty
	version uint16 // TLS 1.3 if it is zero
}

func (c channel) stage() stage {
	if c.key == "" {
		c.key = "P-256"
	}
	a := authorities()[c.key]
	return stage{
		tls:    &tls.Config{RootCAs: a.pool, ServerName: domain.String()},
		answer: &tls.Config{Certificates: []tls.Certificate{a.cert}, MaxVersion: c.version, CurvePreferences: []tls.CurveID{tls.X25519}},
	}
}

// binding returns what a client must bind to, as it is written in RFC 5929 and RFC
// 9266.
func (a *actor) binding(kind, key string) []byte {
	a.t.Helper()
	state := a.Conn.(*tls.Conn).ConnectionState()
	switch kind {
	case exporter:
		data, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", []byte{}, 32)
		require.NoError(a.t, err)
		return data
	case unique:
		require.NotEmpty(a.t, state.TLSUnique)
		return state.TLSUnique
	case endPoint:
		raw := authorities()[key].cert.Certificate[0]
		if key == "P-384" {
			h := sha512.Sum384(raw)
			return h[:]
		}
		h := sha256.Sum256(raw)
		return h[:]
	}
	return nil
}

// A bindingTest is a row in the table of what a client makes of a server's lists.
type bindingTest struct {
	name       string
	channel    channel
	mechanisms []string // the client's, if not the default
	offers     []string
	types      []string // nil: there is no list
	tokens     []string // of FAST
	only       string   // the profile
	want, gs2  string   // the mechanism, and what the client says about channel binding
	abort      bool
}

// run runs the test for both profiles.
func (test bindingTest) run(t *testing.T) {
	for _, d := range dialects {
		if test.only != "" && test.only != d.name {
			continue
		}
		for _, w := range []route{stock, stepwise} {
			t.Run(test.name+", "+w.name+" "+d.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { test.play(t, w, d) })
			})
		}
	}
}

func (test bindingTest) play(t *testing.T, w route, d dialect) {
	list := legacy(test.offers...)
	if d == sasl2 {
		inline := ""
		if test.tokens != nil {
			inline = fast(test.tokens...)
		}
		list = modern(inline, test.offers...)
	}
	if test.types != nil {
		list += bindings(test.types...)
	}
	key := test.channel.key
	if key == "" {
		key = "P-256"
	}
	c := newClient(test.mechanisms...)
	c.Tokens = nil
	s := test.channel.stage().play(t, w.negotiator(d, c), func(a *actor) {
		a.open(features(list))
		if test.abort {
			return
		}
		x := scramFor(t, test.want, a.begin(d, test.want))
		assert.Equal(t, test.gs2, x.gs2)
		kind, _ := strings.CutPrefix(strings.TrimSuffix(x.gs2, ",,"), "p=")
		a.say(d.challenge(x.challenge()))
		a.say(d.success(x.final(a.response(d), a.binding(kind, key))))
		a.settle(d)
	})
	if test.abort {
		s.turned(t, auth.ErrChannelBinding)
		s.keepsSecrets(t)
		return
	}
	s.welcomed(t, balcony)
}

const (
	plus, bare   = auth.ScramSHA256Plus, auth.ScramSHA256
	plus1, bare1 = auth.ScramSHA1Plus, auth.ScramSHA1
)

// TestChannelBinding is the table of XEP-0440, section 4.
func TestChannelBinding(t *testing.T) {
	both := []string{plus, plus1, bare, bare1}
	for _, test := range []bindingTest{
		{name: "SA-32 exporter before end-point", offers: both, types: []string{endPoint, exporter}, want: plus, gs2: "p=tls-exporter,,"},
		{name: "SA-32 exporter alone", offers: both, types: []string{exporter}, want: plus, gs2: "p=tls-exporter,,"},
		{name: "SA-32 exporter before unique", offers: both, types: []string{unique, endPoint, exporter}, want: plus, gs2: "p=tls-exporter,,"},
		{name: "end-point alone", offers: both, types: []string{endPoint}, want: plus, gs2: "p=tls-server-end-point,,"},
		{name: "end-point among unknown ones", offers: both, types: []string{"tls-x", endPoint, ""}, want: plus, gs2: "p=tls-server-end-point,,"},
		{name: "end-point of P-384", channel: channel{key: "P-384"}, offers: both, types: []string{endPoint}, want: plus, gs2: "p=tls-server-end-point,,"},
		{name: "end-point of RSA", channel: channel{key: "RSA"}, offers: both, types: []string{endPoint}, want: plus, gs2: "p=tls-server-end-point,,"},
		{name: "exporter with Ed25519", channel: channel{key: "Ed25519"}, offers: both, types: []string{endPoint, exporter}, want: plus, gs2: "p=tls-exporter,,"},
		{name: "unique of TLS 1.2", channel: channel{version: tls.VersionTLS12}, offers: both, types: []string{endPoint, exporter, unique}, want: plus, gs2: "p=tls-unique,,"},
		{name: "end-point of TLS 1.2", channel: channel{version: tls.VersionTLS12}, offers: both, types: []string{endPoint, exporter}, want: plus, gs2: "p=tls-server-end-point,,"},
		{name: "the client's order", offers: []string{bare, plus1}, types: []string{exporter}, want: plus1, gs2: "p=tls-exporter,,"},
		{name: "PLUS only", mechanisms: []string{plus}, offers: both, types: []string{exporter}, want: plus, gs2: "p=tls-exporter,,"},

		{name: "SA-31 types without PLUS", offers: []string{bare, bare1}, types: []string{endPoint, exporter}, abort: true},
		{name: "SA-31 types without PLUS, unknown ones", offers: []string{bare}, types: []string{"tls-x"}, abort: true},
		{name: "SA-31 PLUS without types", only: "SASL2", offers: both, abort: true},
		{name: "SA-31 PLUS with an empty list", only: "SASL2", offers: both, types: []string{}, abort: true},
		{name: "SA-31 PLUS without types", only: "RFC 6120", offers: both, want: plus, gs2: "p=tls-exporter,,"},
		{name: "SA-31 PLUS without types, TLS 1.2", only: "RFC 6120", channel: channel{version: tls.VersionTLS12}, offers: both, want: plus, gs2: "p=tls-unique,,"},
		{name: "SA-31 tokens that bind without types", only: "SASL2", offers: []string{bare}, tokens: []string{auth.HTSHA256EndPoint, auth.HTSHA256None}, abort: true},
		{name: "SA-31 types without tokens that bind", only: "SASL2", offers: []string{bare}, types: []string{exporter}, tokens: []string{auth.HTSHA256None}, abort: true},
		{name: "SA-31 no common type and no end-point", offers: both, types: []string{unique}, abort: true},
		{name: "SA-31 no common type and no end-point", offers: both, types: []string{"tls-x", "tls-y"}, abort: true},
		{name: "SA-31 no common type and no end-point, TLS 1.2", channel: channel{version: tls.VersionTLS12}, offers: both, types: []string{exporter}, abort: true},
		{name: "SA-31 no common type and no end-point, PLUS only", mechanisms: []string{plus}, offers: both, types: []string{unique}, abort: true},
		{name: "SA-31 none offered", offers: []string{bare, bare1}, want: bare, gs2: "y,,"},
		{name: "SA-31 none offered, an empty list", offers: []string{bare, bare1}, types: []string{}, want: bare, gs2: "y,,"},
		{name: "SA-31 none offered, tokens without", only: "SASL2", offers: []string{bare}, tokens: []string{auth.HTSHA256None}, want: bare, gs2: "y,,"},
		{name: "SA-31 none offered, and none wanted", mechanisms: []string{bare}, offers: []string{bare}, want: bare, gs2: "n,,"},
		{name: "SA-31 not configured", mechanisms: []string{bare, bare1}, offers: both, types: []string{exporter, endPoint}, want: bare, gs2: "n,,"},
		{name: "SA-31 not configured, types without PLUS", mechanisms: []string{bare}, offers: []string{bare}, types: []string{exporter}, want: bare, gs2: "n,,"},
		{name: "SA-31 not configured, PLUS without types", mechanisms: []string{bare}, offers: both, want: bare, gs2: "n,,"},
		{name: "SA-31 not configured, no common type", mechanisms: []string{bare}, offers: both, types: []string{"tls-x"}, want: bare, gs2: "n,,"},
		{name: "SA-31 PLUS stripped, but not of the tokens", only: "SASL2", offers: []string{bare}, types: []string{exporter}, tokens: []string{auth.HTSHA256Exporter}, want: bare, gs2: "y,,"},
	} {
		test.run(t)
	}
}

// TestChannelBindingRefused is about somebody in the middle who leaves the lists
// as they are, but refuses what binds.
func TestChannelBindingRefused(t *testing.T) {
	for _, condition := range []string{auth.InvalidMechanism, auth.MechanismTooWeak} {
		for _, d := range dialects {
			for _, w := range routes {
				t.Run("RFC 5802, section 6: "+condition+", "+w.name+" "+d.name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						list := d.offer(auth.ScramSHA256Plus, auth.ScramSHA256)
						list = strings.Replace(list, "</stream:features>", bindings(exporter)+"</stream:features>", 1)
						s := channel{}.stage().play(t, w.negotiator(d, newClient(auth.ScramSHA256Plus, auth.ScramSHA256)), func(a *actor) {
							a.open(list)
							a.begin(d, auth.ScramSHA256Plus)
							assert.Empty(t, a.refuse(d, auth.ScramSHA256Plus, condition))
						})
						s.turned(t, auth.ErrChannelBinding)
						assert.NotContains(t, s.Heard, "'SCRAM-SHA-256'")
					})
				})
			}
		}
	}
}

// TestChannelBindingAhead is about what is said before the server has said
// anything.
func TestChannelBindingAhead(t *testing.T) {
	for _, d := range dialects {
		for _, test := range []struct {
			name       string
			channel    channel
			mechanisms []string
			want, gs2  string
		}{
			{"the best there is", channel{}, nil, auth.ScramSHA256Plus, "p=tls-exporter,,"},
			{"the best there is of TLS 1.2", channel{version: tls.VersionTLS12}, nil, auth.ScramSHA256Plus, "p=tls-unique,,"},
			{"without, if so configured", channel{}, []string{auth.ScramSHA1}, auth.ScramSHA1, "n,,"},
		} {
			t.Run(test.name+", "+d.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := test.channel.stage().play(t, before.negotiator(d, newClient(test.mechanisms...)), func(a *actor) {
						a.open(d.offer(test.want)) // The client has not waited for it.
						x := scramFor(t, test.want, a.begin(d, test.want))
						assert.Equal(t, test.gs2, x.gs2)
						kind, _ := strings.CutPrefix(strings.TrimSuffix(x.gs2, ",,"), "p=")
						a.say(d.challenge(x.challenge()))
						a.say(d.success(x.final(a.response(d), a.binding(kind, "P-256"))))
						a.settle(d)
					})
					s.welcomed(t, balcony)
				})
			})
		}
		t.Run("PLUS that the server does not have, "+d.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := channel{}.stage().play(t, before.negotiator(d, newClient()), func(a *actor) {
					a.open(d.offer(auth.ScramSHA256))
					a.begin(d, auth.ScramSHA256Plus)
					a.say(d.failure(auth.InvalidMechanism))
					x := scramFor(t, auth.ScramSHA256, a.begin(d, auth.ScramSHA256))
					assert.Equal(t, "y,,", x.gs2, "SA-31 the list has come in the meantime")
					a.say(d.challenge(x.challenge()))
					a.say(d.success(x.final(a.response(d), nil)))
					a.settle(d)
				})
				s.welcomed(t, balcony)
			})
		})
	}
	t.Run("SA-31 nothing to bind to, but end-point is there", func(t *testing.T) {
		for _, d := range dialects {
			synctest.Test(t, func(t *testing.T) {
				play(t, stock.negotiator(d, trusting(newClient())), func(a *actor) {
					list := d.offer(plus, bare)
					a.open(strings.Replace(list, "</stream:features>", bindings(exporter, endPoint)+"</stream:features>", 1))
					assert.Equal(t, "n,,", scramFor(t, bare, a.begin(d, bare)).gs2)
				})
			})
		}
	})
	t.Run("nothing to bind to", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			play(t, before.negotiator(sasl2, trusting(newClient())), func(a *actor) {
				a.open(sasl2.offer(auth.ScramSHA256))
				a.begin(sasl2, auth.ScramSHA256)
			})
		})
	})
}

// TestTokenMechanism is about which mechanism a token is asked for.
func TestTokenMechanism(t *testing.T) {
	const expr, uniq, endp, none = auth.HTSHA256Exporter, auth.HTSHA256Unique, auth.HTSHA256EndPoint, auth.HTSHA256None
	for _, test := range []struct {
		name    string
		channel channel
		offers  []string
		want    string
	}{
		{"exporter", channel{}, []string{none, endp, expr}, expr},
		{"exporter before unique", channel{}, []string{uniq, none, expr}, expr},
		{"end-point", channel{}, []string{none, endp}, endp},
		{"end-point of TLS 1.2", channel{version: tls.VersionTLS12}, []string{none, endp, expr}, endp},
		{"unique of TLS 1.2", channel{version: tls.VersionTLS12}, []string{none, endp, expr, uniq}, uniq},
		{"none, as there is no hash of Ed25519", channel{key: "Ed25519"}, []string{none, endp}, none},
		{"none, as nothing else is offered", channel{}, []string{none}, none},
		{"no token, as none can be used", channel{}, []string{uniq}, ""},
		{"no token, as none is known", channel{}, []string{"HT-SHA3-512-EXPR", "X"}, ""},
		{"no token, as none is offered", channel{}, nil, ""},
	} {
		for _, w := range []route{stock, stepwise} {
			t.Run("FA-04 FA-22 "+test.name+", "+w.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					inline := ""
					if test.offers != nil {
						inline = fast(test.offers...)
					}
					test.channel.stage().play(t, w.negotiator(sasl2, newClient(auth.Plain)), func(a *actor) {
						a.open(features(modern(inline, auth.Plain)))
						e := a.next("authenticate")
						if test.want == "" {
							assert.NotContains(t, e, "request-token")
						} else {
							assert.Contains(t, e, "<request-token xmlns='urn:xmpp:fast:0' mechanism='"+test.want+"'/>")
						}
					})
				})
			})
		}
		t.Run("FA-22 ahead "+test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(auth.Plain)
				c.TokenMechanism = expr
				test.channel.stage().play(t, before.of(sasl2, pipelining.Full, c), func(a *actor) {
					a.header()
					e := a.next("authenticate")
					// What the connection cannot do is not asked for.
					assert.Equal(t, test.channel.version == 0, strings.Contains(e, "request-token"), e)
				})
			})
		})
	}
	for name, change := range map[string]func(c *auth.Client){
		"no cache": func(c *auth.Client) { c.Tokens = nil },
		"no id":    func(c *auth.Client) { c.UserAgent.ID = "" },
	} {
		t.Run("FA-18 no token without "+strings.TrimPrefix(name, "no "), func(t *testing.T) {
			for _, w := range routes {
				synctest.Test(t, func(t *testing.T) {
					c := trusting(newClient(auth.Plain))
					c.TokenMechanism = none
					change(c)
					play(t, w.negotiator(sasl2, c), func(a *actor) {
						a.open(features(modern(fast(none), auth.Plain)))
						assert.NotContains(t, a.next("authenticate"), "urn:xmpp:fast:0")
					})
				})
			}
		})
	}
}
