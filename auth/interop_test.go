// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/internal/interop"
	"github.com/xmppext/xmppext/pipelining"
)

func TestProsody(t *testing.T) {
	s := interop.Prosody(t, interop.Config{
		Users:   map[string]string{"juliet": password},
		Modules: []string{"sasl2", "sasl2_bind2", "sasl2_sm", "sasl2_fast"},
	})
	t.Logf("Prosody %s", s.Version)
	testServer(t, s)
}

func TestEjabberd(t *testing.T) {
	s := interop.Ejabberd(t, interop.Config{
		Users:   map[string]string{"juliet": password},
		Modules: []string{"auth_fast"},
	})
	t.Logf("ejabberd %s", s.Version)
	testServer(t, s)
}

// tag is Bind 2 as far as these tests need it.
type tag struct{ name string }

func (tag) Feature() xml.Name { return xml.Name{Space: "urn:xmpp:bind:0", Local: "bind"} }

func (b tag) Request(jid.JID, xml.TokenReader) ([]byte, func(*xml.Decoder, xml.StartElement, jid.JID) (jid.JID, error), error) {
	return []byte("<bind xmlns='urn:xmpp:bind:0'><tag>" + b.name + "</tag></bind>"),
		func(_ *xml.Decoder, _ xml.StartElement, address jid.JID) (jid.JID, error) { return address, nil }, nil
}

// renew asks for a new token with a token.
type renew struct{ mechanism string }

func (renew) Feature() xml.Name { return xml.Name{Space: auth.NSFAST, Local: "fast"} }

func (r renew) Request(jid.JID, xml.TokenReader) ([]byte, func(*xml.Decoder, xml.StartElement, jid.JID) (jid.JID, error), error) {
	return []byte("<request-token xmlns='" + auth.NSFAST + "' mechanism='" + r.mechanism + "'/>"), nil, nil
}

// A visit is one login at a real server.
type visit struct {
	server  *interop.Server
	client  *auth.Client
	plan    pipelining.Plan
	version uint16 // of TLS, at most
	direct  bool
	logins  []auth.Login
	flights int
}

// try logs in, and pings the server if that went well.
func (v *visit) try(t *testing.T) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	account := jid.MustParse("juliet@" + v.server.Domain)
	addr := v.server.STARTTLS
	if v.direct {
		addr = v.server.DirectTLS
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	v.client.Observe = func(_ *xmpp.Session, l auth.Login) { v.logins = append(v.logins, l) }
	counted := &flightConn{Conn: conn}
	config := &tls.Config{RootCAs: v.server.Roots, ServerName: v.server.Domain, MaxVersion: v.version}
	var rw io.ReadWriter = counted
	if v.direct {
		rw = tls.Client(pipelining.NewConn(counted), config)
	}
	s, err := xmpp.NewSession(ctx, account.Domain(), account, rw, 0, pipelining.Client(v.plan, pipelining.ClientConfig{
		TLS: config, Authenticator: v.client, Pace: 100 * time.Millisecond,
	}))
	v.flights = counted.flights
	if err != nil {
		return err
	}
	pingServer(ctx, t, s)
	_ = s.Close()
	return nil
}

// last is the last login that was successful.
func (v *visit) last() auth.Login { return v.logins[len(v.logins)-1] }

func testServer(t *testing.T, server *interop.Server) {
	visitor := func(mechanisms ...string) *visit {
		return &visit{server: server, client: newClient(mechanisms...), direct: true}
	}

	for _, mechanism := range []string{auth.Plain, auth.ScramSHA1, auth.ScramSHA256, auth.ScramSHA1Plus, auth.ScramSHA256Plus} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, mode := range []pipelining.Mode{pipelining.Off, pipelining.Paced} {
				for _, modern := range []bool{false, true} {
					name := mechanism + " " + tls.VersionName(version) + " " + mode.String()
					if modern {
						name += " SASL2"
					}
					t.Run(name, func(t *testing.T) {
						v := visitor(mechanism)
						v.version, v.plan = version, pipelining.Plan{Mode: mode, SASL2: modern}
						if modern {
							v.client.Inline = []auth.ClientInline{tag{"auth"}}
						}
						require.NoError(t, v.try(t))
						assert.Equal(t, mechanism, v.last().Mechanism)
						if modern || mode == pipelining.Off {
							assert.Equal(t, auth.SASL2, v.last().Profile, "it is preferred")
						}
						t.Logf("%d flights", v.flights)
					})
				}
			}
		}
	}

	t.Run("a wrong password fails clearly", func(t *testing.T) {
		for _, mechanism := range []string{auth.Plain, auth.ScramSHA256Plus} {
			for _, plan := range []pipelining.Plan{{}, {Mode: pipelining.Paced, SASL2: true}} {
				v := visitor(mechanism)
				v.plan = plan
				v.client.Password = auth.Password("wrong")
				var f auth.Failure
				require.ErrorAs(t, v.try(t), &f, mechanism)
				assert.Equal(t, auth.NotAuthorized, f.Condition)
			}
		}
	})

	t.Run("FAST", func(t *testing.T) {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			v := visitor()
			v.version = version
			v.client.Inline = []auth.ClientInline{tag{"fast"}}
			require.NoError(t, v.try(t), "the first login is by password")
			assert.NotContains(t, v.last().Mechanism, "HT-")
			token, err := v.client.Tokens.Token(t.Context(), jid.MustParse("juliet@"+server.Domain))
			require.NoError(t, err)
			require.False(t, token.IsZero(), "it brings a token")
			assert.Less(t, time.Now(), token.Expires)

			asked := 0
			v.client.Password = func(context.Context) (string, error) { asked++; return password, nil }
			for _, mode := range []pipelining.Mode{pipelining.Off, pipelining.Full} {
				v.plan = pipelining.Plan{Mode: mode, SASL2: true}
				require.NoError(t, v.try(t), mode.String())
				assert.Equal(t, token.Mechanism, v.last().Mechanism)
				assert.NotEmpty(t, v.last().Bound.Resourcepart())
				t.Logf("%s %s %s: %d flights", token.Mechanism, tls.VersionName(version), mode, v.flights)
			}
			assert.Zero(t, asked, "no password is needed")

			if version == tls.VersionTLS13 {
				v.plan, v.direct = pipelining.Plan{Mode: pipelining.Paced, SASL2: true}, false
				require.NoError(t, v.try(t), "STARTTLS")
				assert.Equal(t, token.Mechanism, v.last().Mechanism)
				t.Logf("%s STARTTLS %s: %d flights", token.Mechanism, v.plan.Mode, v.flights)
				v.direct = true
			}

			t.Run("a token is replaced, and good until the new one is used", func(t *testing.T) {
				account := jid.MustParse("juliet@" + server.Domain)
				v.plan = pipelining.Plan{Mode: pipelining.Full, SASL2: true}
				v.client.Inline = append(v.client.Inline, renew{token.Mechanism})
				require.NoError(t, v.try(t))
				v.client.Inline = v.client.Inline[:1]
				fresh, err := v.client.Tokens.Token(t.Context(), account)
				require.NoError(t, err)
				require.NotEqual(t, string(token.Secret), string(fresh.Secret))

				for _, use := range []struct {
					token auth.Token
					good  bool
				}{{token, true}, {fresh, true}, {fresh, true}, {token, false}} {
					require.NoError(t, v.client.Tokens.SetToken(t.Context(), account, use.token))
					require.NoError(t, v.try(t))
					assert.Equal(t, use.good, v.last().Mechanism == token.Mechanism)
				}
			})

			t.Run("a wrong token falls back to the password, on the same stream", func(t *testing.T) {
				bad := token
				bad.Secret = "wrong"
				for _, mode := range []pipelining.Mode{pipelining.Off, pipelining.Full} {
					require.NoError(t, v.client.Tokens.SetToken(t.Context(), jid.MustParse("juliet@"+server.Domain), bad))
					v.plan = pipelining.Plan{Mode: mode, SASL2: true}
					require.NoError(t, v.try(t), mode.String())
					assert.NotContains(t, v.last().Mechanism, "HT-")
				}
			})

			t.Run("a token that is invalidated is of no more use", func(t *testing.T) {
				v.client.Invalidate = true
				old, err := v.client.Tokens.Token(t.Context(), jid.MustParse("juliet@"+server.Domain))
				require.NoError(t, err)
				require.False(t, old.IsZero())
				require.NoError(t, v.try(t))
				assert.Contains(t, v.last().Mechanism, "HT-")
				none, err := v.client.Tokens.Token(t.Context(), jid.MustParse("juliet@"+server.Domain))
				require.NoError(t, err)
				assert.True(t, none.IsZero(), "it is forgotten")

				v.client.Invalidate = false
				require.NoError(t, v.client.Tokens.SetToken(t.Context(), jid.MustParse("juliet@"+server.Domain), old))
				require.NoError(t, v.try(t))
				assert.NotContains(t, v.last().Mechanism, "HT-", "the old one is refused")
			})
		}
	})
}

// flightConn counts the flights of its own side: writes that follow a read.
type flightConn struct {
	net.Conn
	writing bool
	flights int
}

func (c *flightConn) Write(p []byte) (int, error) {
	if !c.writing {
		c.flights++
	}
	c.writing = true
	return c.Conn.Write(p)
}

func (c *flightConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.writing = false
	return n, err
}

// pingServer exchanges a stanza with the server.
func pingServer(ctx context.Context, t *testing.T, s *xmpp.Session) {
	t.Helper()
	go func() { _ = s.Serve(nil) }()
	r, err := s.SendIQ(ctx, stanza.IQ{Type: stanza.GetIQ, To: s.LocalAddr().Domain()}.Wrap(pinging()))
	require.NoError(t, err)
	defer r.Close()
	tok, err := r.Token()
	require.NoError(t, err)
	start, ok := tok.(xml.StartElement)
	require.True(t, ok)
	iq, err := stanza.NewIQ(start)
	require.NoError(t, err)
	assert.Equal(t, stanza.ResultIQ, iq.Type)
}

func pinging() xml.TokenReader {
	return xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Space: "urn:xmpp:ping", Local: "ping"}})
}
