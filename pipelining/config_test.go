// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// TestMaxBytes is Config.MaxBytes.
func TestMaxBytes(t *testing.T) {
	whole := logInPlain()
	spaced := opening + strings.Repeat(" ", 100<<10) + strings.TrimPrefix(whole, opening)
	for _, test := range []struct {
		name string
		max  int
		say  string
		ok   bool
	}{
		{"default", 0, whole, true},
		{"default, too much", 0, spaced, false},
		{"enough", len(whole), whole, true},
		{"one too few before auth", len(opening+authPlain("juliet", password)) - 1, whole, false},
		{"enough for auth", len(opening + authPlain("juliet", password)), whole, true},
		{"one", 1, whole, false},
		{"none", -1, spaced, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := host{cfg: pipelining.Config{MaxBytes: test.max}}.visit(t, func(p *peer) {
					p.say(test.say)
					if test.ok {
						p.until("</iq>")
					}
				})
				if test.ok {
					require.NoError(t, v.Err)
					return
				}
				require.ErrorIs(t, v.Err, stream.PolicyViolation)
				assert.Empty(t, v.Decided)
				assert.True(t, strings.HasSuffix(v.Heard, ends("policy-violation")), v.Heard)
			})
		})
	}
	t.Run("not after authentication", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v := host{cfg: pipelining.Config{MaxBytes: 1 << 10}}.visit(t, func(p *peer) {
				p.say(opening, authPlain("juliet", password), strings.Repeat("\n", 10<<10), opening, askBind)
				p.until("</iq>")
			})
			require.NoError(t, v.Err)
		})
	})
	t.Run("STARTTLS does not refill", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v := host{transport: startTLS, cfg: pipelining.Config{MaxBytes: 8 << 10}}.visit(t, func(p *peer) {
				require.NoError(t, p.startTLS(opening+strings.Repeat(" ", 5<<10)+startTag, 0))
				p.try(opening + strings.Repeat(" ", 5<<10) + strings.TrimPrefix(whole, opening))
			})
			require.ErrorIs(t, v.Err, stream.PolicyViolation)
			assert.Empty(t, v.Decided)
		})
	})
}

// TestMaxRestarts is Config.MaxRestarts; a login over STARTTLS has two.
func TestMaxRestarts(t *testing.T) {
	for max, ok := range map[int]bool{0: true, 1: false, 2: true, -1: true} {
		synctest.Test(t, func(t *testing.T) {
			v := host{transport: startTLS, cfg: pipelining.Config{MaxRestarts: max}}.visit(t, func(p *peer) {
				require.NoError(t, p.startTLS(opening+startTag, 0))
				p.say(logInPlain())
				if ok {
					p.until("</iq>")
				}
			})
			if ok {
				require.NoError(t, v.Err)
				return
			}
			require.ErrorIs(t, v.Err, stream.PolicyViolation)
			assert.Equal(t, headed+listsSASL+success+refused("im.example.com")+ends("policy-violation"), v.Heard,
				"behind success a new stream begins")
		})
	}
}

// TestNoAccount is about SASL features that do not say who has authenticated.
func TestNoAccount(t *testing.T) {
	stock := func(d *decisions) []xmpp.StreamFeature {
		return []xmpp.StreamFeature{
			xmpp.SASLServer(func(n *sasl.Negotiator) bool {
				user, pass, _ := n.Credentials()
				d.add("let in", string(user))
				return string(pass) == password
			}, sasl.Plain),
			xmpp.BindCustom(d.bind),
			pipelining.StreamFeature(),
		}
	}
	silent := func(d *decisions) []xmpp.StreamFeature {
		plain := sasl.Plain
		plain.Next = func(*sasl.Negotiator, []byte, any) (bool, []byte, any, error) { return false, nil, nil, nil }
		return []xmpp.StreamFeature{pipelining.SASLServer(d.permit, plain), xmpp.BindCustom(d.bind)}
	}
	offered := strings.Replace(headed+listsSASL, "<mechanism>SCRAM-SHA-256</mechanism>", "", 1)
	t.Run("stock SASLServer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v := host{features: stock}.visit(t, func(p *peer) { p.say(logInPlain()) })
			require.ErrorIs(t, v.Err, pipelining.ErrNoAccount)
			assert.Equal(t, []string{"let in juliet"}, v.Decided)
			assert.Equal(t, offered+success+refused("im.example.com")+ends("internal-server-error"), v.Heard,
				"behind success a new stream begins")
		})
	})
	t.Run("a mechanism that asks nobody", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v := host{features: silent}.visit(t, func(p *peer) { p.say(logInPlain()) })
			require.ErrorIs(t, v.Err, pipelining.ErrNoAccount)
			assert.Empty(t, v.Decided)
		})
	})
	t.Run("TrustFrom", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v := host{features: stock, cfg: pipelining.Config{TrustFrom: true}}.visit(t, func(p *peer) {
				p.say(opening, authPlain("juliet", password), openingFrom("romeo@im.example.com"), askBind)
				p.until("</iq>")
			})
			require.NoError(t, v.Err)
			assert.Equal(t, "romeo@im.example.com", v.Session.RemoteAddr().String())
			assert.Equal(t, []string{"let in juliet", "bind romeo@im.example.com balcony"}, v.Decided)
		})
	})
	t.Run("SASLServer without Negotiator", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			mine, other := entertainSilent(t)
			go func() {
				_, _ = io.WriteString(mine, opening+authPlain("juliet", password))
				_, _ = io.Copy(io.Discard, mine)
			}()
			_, err := xmpp.ReceiveSession(t.Context(), other, xmpp.Secure, xmpptest.Stock(pipelining.SASLServer(permit, sasl.Plain)))
			require.Error(t, err)
			_ = other.Close()
		})
	})
	t.Run("no account", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			nobody := func(*xmpp.Session, *sasl.Negotiator) (jid.JID, bool) { return jid.JID{}, true }
			v := host{features: func(*decisions) []xmpp.StreamFeature {
				return []xmpp.StreamFeature{pipelining.SASLServer(nobody, sasl.Plain), pipelining.StreamFeature()}
			}}.visit(t, func(p *peer) { p.say(logInPlain()) })
			require.Error(t, v.Err)
			assert.NotContains(t, v.Heard, "<success")
		})
	})
}

// TestErrTee is about mellium's tees, under which what was sent ahead is lost.
func TestErrTee(t *testing.T) {
	var b bytes.Buffer
	teed := func(features ...xmpp.StreamFeature) xmpp.Negotiator {
		return xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
			return xmpp.StreamConfig{Features: features, TeeIn: &b, TeeOut: &b}
		})
	}
	t.Run("server", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, other := entertainSilent(t)
			_, err := xmpp.ReceiveSession(t.Context(), other, xmpp.Secure, pipelining.Negotiator(teed(serverFeatures()...), pipelining.Config{}))
			require.ErrorIs(t, err, pipelining.ErrTee)
		})
	})
	t.Run("client", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			mine, _ := entertainSilent(t)
			_, err := xmpp.NewSession(t.Context(), domain, juliet, mine, xmpp.Secure, pipelining.Negotiator(teed(xmpp.BindResource()), pipelining.Config{}))
			require.ErrorIs(t, err, pipelining.ErrTee)
		})
	})
}

// faulty is an XML console that has gone away.
type faulty struct{ calls int }

func (f *faulty) Write([]byte) (int, error) { f.calls++; return 0, errors.New("gone") }

var declaration = regexp.MustCompile(`<\?xml[^>]*>`)

// undeclared leaves XML declarations out, which are no part of a stream.
func undeclared(b *bytes.Buffer) string { return declaration.ReplaceAllString(b.String(), "") }

// TestTee is TeeIn and TeeOut: each side sees what the other has said, in
// plaintext, without TLS, before and after the negotiation.
func TestTee(t *testing.T) {
	for _, tr := range []transport{plainTCP, startTLS, directTLS} {
		for _, mode := range modes {
			t.Run(string(tr)+" "+mode.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var clientIn, clientOut, serverIn, serverOut bytes.Buffer
					cfg := clientConfig(sasl.ScramSha256)
					cfg.TeeIn, cfg.TeeOut = &clientIn, &clientOut
					l := logIn(t, tr,
						func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
							return dial(ctx, tr, c, balcony, pipelining.Client(pipelining.Plan{Mode: mode}, cfg))
						},
						func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
							return serve(ctx, tr, c, pipelining.Config{TeeIn: &serverIn, TeeOut: &serverOut})
						})
					require.NoError(t, errors.Join(l.ClientErr, l.ServerErr))
					served := make(chan error, 1)
					go func() { served <- l.Server.Serve(nil) }()
					require.NoError(t, l.Client.Send(t.Context(), stanza.Message{To: domain}.Wrap(element("", "body"))))
					require.NoError(t, l.Client.Close())
					require.NoError(t, l.Client.Serve(nil))
					require.NoError(t, <-served)

					assert.Equal(t, undeclared(&clientOut), undeclared(&serverIn))
					assert.Equal(t, undeclared(&serverOut), undeclared(&clientIn))
					streams := 2
					if tr == startTLS {
						streams = 3
					}
					assert.Equal(t, streams, strings.Count(clientOut.String(), "<stream:stream "))
					assert.Equal(t, streams, strings.Count(serverOut.String(), "<stream:stream "))
					for _, said := range []string{"<auth", "<response", "</iq>", "</message>", closing} {
						assert.Contains(t, clientOut.String(), said)
					}
					for _, said := range []string{"<challenge", "<success", "<jid>", closing} {
						assert.Contains(t, serverOut.String(), said)
					}
					for _, b := range []*bytes.Buffer{&clientOut, &serverOut} {
						assert.NotContains(t, b.String(), "\x03\x03")
						assert.NotContains(t, b.String(), "\x16\x03")
					}
				})
			})
		}
	}
	t.Run("a tee that fails", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			in, out := new(faulty), new(faulty)
			v := host{cfg: pipelining.Config{TeeIn: in, TeeOut: out}}.visit(t, func(p *peer) {
				p.say(logInPlain())
				p.until("</iq>")
			})
			require.NoError(t, v.Err)
			assert.Equal(t, []int{1, 1}, []int{in.calls, out.calls})
		})
	})
}
