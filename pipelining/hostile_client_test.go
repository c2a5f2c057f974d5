// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/stream"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// hostileServers are what a client may meet in place of a stream header.
var hostileServers = map[string]string{
	"comment":                     `<!-- c -->` + answering,
	"instruction":                 `<?xml version='1.0'?><?p i?>` + answering,
	"DTD":                         `<!DOCTYPE s [<!ENTITY e "e">]>` + answering,
	"CDATA":                       `<![CDATA[ ]]>` + answering,
	"text":                        `hello` + answering,
	"NUL":                         "\x00" + answering,
	"HTTP":                        "HTTP/1.1 400 Bad Request\r\n\r\n",
	"TLS alert":                   "\x15\x03\x01\x00\x02\x02\x46",
	"long header":                 strings.TrimSuffix(answering, ">") + " a='" + strings.Repeat("A", 64<<10) + "'>",
	"stream error":                streamError,
	"empty stream error":          `<stream:error xmlns:stream='http://etherx.jabber.org/streams'/>`,
	"stream error of nobody":      `<stream:error/>`,
	"half a stream error":         `<stream:error xmlns:stream='http://etherx.jabber.org/streams'><host-gone`,
	"empty stream":                strings.TrimSuffix(answering, ">") + "/>",
	"closing tag":                 closing,
	"features":                    offersSASL,
	"success":                     accepts,
	"end":                         "",
	"header of another version":   strings.Replace(answering, "1.0", "2.0", 1) + offersSASL,
	"header of another host":      strings.Replace(answering, "im.example.com", "verona.example", 1) + offersSASL,
	"header to another account":   strings.Replace(answering, " id=", " to='romeo@im.example.com' id=", 1) + offersSASL,
	"header without id":           strings.Replace(answering, " id='s1'", "", 1) + offersSASL,
	"header in another namespace": strings.Replace(answering, "etherx.jabber.org/streams", "example.com/streams", 1) + offersSASL,
	"comment behind the header":   answering + `<!-- c -->` + offersSASL,
	"comment in the features":     answering + strings.Replace(offersSASL, "<mechanisms", "<!-- c --><mechanisms", 1),
	"text behind the header":      answering + `hello` + offersSASL,
	"second header":               answering + answering + offersSASL,
	"no features":                 answering + accepts,
	"half of the features":        answering + offersSASL[:80],
	"closing tag for features":    answering + closing + offersSASL,
}

// TestHostileServer lets a client meet servers that do not speak XMPP. It must
// notice at once, without believing anything.
func TestHostileServer(t *testing.T) {
	for _, tr := range []transport{plainTCP, startTLS, directTLS} {
		for _, mode := range modes {
			for name, say := range hostileServers {
				t.Run(string(tr)+" "+mode.String()+" "+name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						c := pipelining.Client(pipelining.Plan{Mode: mode}, clientConfig(sasl.Plain))
						g := entertain(t, tr, c, func(p *peer) {
							if tr == directTLS {
								require.NoError(t, p.acceptTLS())
							}
							p.header()
							p.try(say)
							_ = p.Conn.(interface{ CloseWrite() error }).CloseWrite()
						})
						require.Error(t, g.Err)
						assert.Zero(t, g.Session.State()&(xmpp.Authn|ready))
						assert.Equal(t, balcony, g.Session.LocalAddr())
						assert.LessOrEqual(t, g.Took, time.Second)
						switch {
						case name == "stream error":
							assert.ErrorIs(t, g.Err, stream.HostGone)
							assert.NotErrorIs(t, g.Err, pipelining.ErrMispredicted)
						case name == "header of another version" && tr != startTLS:
							assert.ErrorIs(t, g.Err, stream.UnsupportedVersion)
						case mode != pipelining.Off:
							assert.ErrorIs(t, g.Err, pipelining.ErrMispredicted)
						}
					})
				})
			}
		}
	}
}

// TestSilentServer lets a client meet servers that stop to speak.
func TestSilentServer(t *testing.T) {
	stages := map[string]func(p *peer){
		"at once":              func(*peer) {},
		"behind its header":    func(p *peer) { p.header(); p.say(answering) },
		"within the features":  func(p *peer) { p.header(); p.say(answering, offersSASL[:100]) },
		"behind its features":  func(p *peer) { p.header(); p.say(answering, offersSASL) },
		"behind success":       func(p *peer) { p.header(); p.say(answering, offersSASL); p.auth("auth"); p.say(accepts) },
		"before the last word": func(p *peer) { p.header(); p.say(answering, offersSASL, accepts, answering, offersBind) },
		"within the last word": func(p *peer) { p.header(); p.say(answering, offersSASL, accepts, answering, offersBind, "<iq") },
	}
	for _, mode := range []pipelining.Mode{pipelining.Full, pipelining.Paced} {
		for name, stage := range stages {
			t.Run(mode.String()+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := entertain(t, plainTCP, pipelining.Client(pipelining.Plan{Mode: mode}, clientConfig(sasl.Plain)), stage)
					require.ErrorIs(t, g.Err, pipelining.ErrMispredicted)
					assert.Zero(t, g.Session.State()&ready)
					assert.LessOrEqual(t, g.Took, pipelining.DefaultAnswerTimeout+time.Second)
				})
			})
		}
		t.Run(mode.String()+" within TLS", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := entertain(t, startTLS, pipelining.Client(pipelining.Plan{Mode: mode}, clientConfig(sasl.Plain)), func(p *peer) {
					p.header()
					p.say(answering, offersTLS, proceed)
				})
				require.ErrorIs(t, g.Err, pipelining.ErrMispredicted)
				g.keepsSecret(t)
				assert.LessOrEqual(t, g.Took, pipelining.DefaultAnswerTimeout+time.Second)
			})
		})
	}
}

// TestErrNotBound is the trap that an informational feature sets to a stock
// negotiator: a server that offers nothing else.
func TestErrNotBound(t *testing.T) {
	only := `<stream:features><pipelining xmlns='urn:xmpp:features:pipelining'/></stream:features>`
	script := func(p *peer) {
		p.header()
		p.say(answering, offersSASL)
		p.auth("auth")
		p.say(accepts)
		p.header()
		p.try(answering + only)
	}
	stock := pipelining.Negotiator(xmpptest.Stock(
		pipelining.StreamFeature(), xmpp.SASL("", password, sasl.Plain), xmpp.BindResource(),
	), pipelining.Config{})
	for name, c := range map[string]xmpp.Negotiator{
		"Negotiator": stock,
		"Client":     pipelining.Client(pipelining.Plan{}, clientConfig(sasl.Plain)),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := entertain(t, plainTCP, c, script)
				require.ErrorIs(t, g.Err, pipelining.ErrNotBound)
				assert.Zero(t, g.Session.State()&ready)
			})
		})
	}
	t.Run("Client ahead", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := entertain(t, plainTCP, pipelining.Client(pipelining.Plan{Mode: pipelining.Full}, clientConfig(sasl.Plain)), script)
			require.ErrorIs(t, g.Err, pipelining.ErrMispredicted)
			assert.Zero(t, g.Session.State()&ready)
		})
	})
	t.Run("before authentication", func(t *testing.T) {
		for _, mode := range modes {
			synctest.Test(t, func(t *testing.T) {
				g := entertain(t, plainTCP, pipelining.Client(pipelining.Plan{Mode: mode}, clientConfig(sasl.Plain)), func(p *peer) {
					p.header()
					p.say(answering, only)
				})
				require.Error(t, g.Err)
				assert.Zero(t, g.Session.State()&(xmpp.Authn|ready))
			})
		}
	})
}
