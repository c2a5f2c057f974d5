// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// TestAttackProactive is AP-16: a server that speaks first behind TLS never
// says it twice.
func TestAttackProactive(t *testing.T) {
	clients := map[string]xmpp.Negotiator{"stock": stockClient()}
	for _, m := range []sasl.Mechanism{sasl.Plain, sasl.ScramSha256} {
		for _, mode := range []pipelining.Mode{pipelining.Off, pipelining.Paced, pipelining.Full} {
			clients[mode.String()+" "+m.Name] = pipelining.Client(pipelining.Plan{Mode: mode}, clientConfig(m))
		}
	}
	for name, client := range clients {
		t.Run("AP-16 "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var said bytes.Buffer
				l := logIn(t, startTLS,
					func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
						return dial(ctx, startTLS, c, balcony, client)
					},
					func(ctx context.Context, c net.Conn) (*xmpp.Session, error) {
						return serve(ctx, startTLS, c, pipelining.Config{Proactive: true, TeeOut: &said})
					})
				require.NoError(t, errors.Join(l.ClientErr, l.ServerErr))
				assert.Equal(t, 3, strings.Count(said.String(), "<stream:stream "), said.String())
				assert.Equal(t, 3, strings.Count(said.String(), "<stream:features>"), said.String())
				assert.Equal(t, l.Server.Out().ID, l.Client.In().ID)
				assert.Equal(t, juliet, l.Server.RemoteAddr())
				assert.Equal(t, juliet, l.Client.LocalAddr().Bare())
			})
		})
	}

	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		proactive := host{
			transport: startTLS, cfg: pipelining.Config{Proactive: true},
			link: xmpptest.LinkConfig{AtoB: oneWay, BtoA: oneWay},
		}
		named := openingFrom("juliet@im.example.com")
		for _, test := range []struct {
			name, before, behind, heard string
			decided                     []string
		}{
			{
				name: "the same header", before: opening, behind: opening,
				heard: success + headedTo("juliet@im.example.com") + listsBind + bound,
			},
			{
				name: "the account is said within TLS", before: opening, behind: named,
				heard: success + headedTo("juliet@im.example.com") + listsBind + bound,
			},
			{
				name: "the account is said before TLS", before: named, behind: named,
				heard: success + headedTo("juliet@im.example.com") + listsBind + bound,
			},
			{
				name: "the account is said no more", before: named, behind: opening,
				heard: success + headedTo("juliet@im.example.com") + listsBind + bound,
			},
			{name: "another host", before: opening, behind: strings.Replace(opening, "im.example.com", "verona.example", 1), heard: ends("host-unknown")},
			{name: "another account", before: named, behind: openingFrom("romeo@im.example.com"), heard: ends("invalid-from")},
			{name: "another version", before: opening, behind: strings.Replace(opening, "1.0", "0.9", 1), heard: ends("bad-format")},
			{name: "another namespace", before: opening, behind: strings.Replace(opening, "jabber:client", "jabber:server", 1), heard: ends("bad-format")},
			{name: "no header", before: opening, behind: "", heard: ends("bad-format")},
			{name: "closing tag", before: opening, behind: closing, heard: closing},
		} {
			t.Run("AP-16 "+tls.VersionName(version)+" "+test.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					to := ""
					v := proactive.visit(t, func(p *peer) {
						require.NoError(t, p.startTLS(test.before+startTag, version))
						p.until("</stream:features>") // which was not asked for
						to = p.all()
						p.heard.Reset()
						p.say(test.behind, authPlain("juliet", password), test.behind, askBind)
						if test.heard[:5] == success[:5] {
							p.until("</iq>")
						}
					})
					want := headed
					if test.before == named {
						want = headedTo("juliet@im.example.com")
					}
					assert.Equal(t, want+listsSASL, to)
					assert.Equal(t, test.heard, v.Heard)
					if test.heard[:5] == success[:5] {
						require.NoError(t, v.Err)
						assert.Equal(t, juliet, v.Session.RemoteAddr())
						assert.Equal(t, []string{"let in juliet", "bind juliet@im.example.com balcony"}, v.Decided)
					} else {
						require.Error(t, v.Err)
						assert.Empty(t, v.Decided)
					}
				})
			})
		}
		t.Run("AP-16 "+tls.VersionName(version)+" nothing unasked to a ClientHello that waited", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := proactive.visit(t, func(p *peer) {
					p.say(opening, startTag)
					p.until(proceed)
					config := clientTLS()
					config.MaxVersion = version
					c := tls.Client(p.Conn, config)
					require.NoError(t, c.Handshake())
					p.Conn = c
					p.heard.Reset()
					require.NoError(t, c.SetReadDeadline(time.Now().Add(10*roundTrip)))
					n, err := c.Read(make([]byte, 1))
					assert.Zero(t, n)
					require.ErrorIs(t, err, os.ErrDeadlineExceeded)
					require.NoError(t, c.SetReadDeadline(time.Time{}))
					p.say(logInPlain())
					p.until("</iq>")
				})
				require.NoError(t, v.Err)
				assert.Equal(t, headed+listsSASL+success+headedTo("juliet@im.example.com")+listsBind+bound, v.Heard)
			})
		})
	}
}
