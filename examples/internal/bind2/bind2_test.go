// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2_test

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/examples/internal/bind2"
	"github.com/xmppext/xmppext/pipelining"
)

var (
	_ auth.Inline       = bind2.Server{}
	_ auth.ClientInline = bind2.Client{}
)

var juliet = jid.MustParse("juliet@example.net")

// TestBind logs in with different tags, over a pipe that is declared to be secure.
func TestBind(t *testing.T) {
	accounts := &auth.Accounts{Iterations: 4096}
	require.NoError(t, accounts.SetPassword(juliet, "r0m30"))
	server := &auth.Server{Credentials: accounts, Inline: []auth.Inline{bind2.Server{}}}
	receive := pipelining.NewNegotiator(func(s *xmpp.Session, _ *xmpp.StreamConfig) xmpp.StreamConfig {
		return xmpp.StreamConfig{Features: append(server.Features(s), xmpp.BindResource())}
	}, pipelining.Config{})

	for _, test := range []struct{ name, tag, resource string }{
		{"a tag", "balcony", `^balcony\.\w{8}$`},
		{"a tag that XML would not take as it is", "<&'\">", `^<&'">\.\w{8}$`},
		{"no tag", "", `^\w{8}$`},
		{"a tag that is too long", strings.Repeat("x", 2000), `^\w{8}$`},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			a, b := net.Pipe()
			defer a.Close()
			received := make(chan error, 1)
			go func() {
				defer b.Close()
				_, err := xmpp.ReceiveSession(ctx, b, xmpp.Secure, receive)
				received <- err
			}()
			s, err := xmpp.NewSession(ctx, juliet.Domain(), juliet, a, xmpp.Secure, pipelining.Client(
				pipelining.Plan{Mode: pipelining.Full, SASL2: true},
				pipelining.ClientConfig{Authenticator: &auth.Client{
					Password:   auth.Password("r0m30"),
					Mechanisms: []string{auth.ScramSHA256},
					Inline:     []auth.ClientInline{bind2.Client{Tag: test.tag}},
					VerifyTLS:  func(tls.ConnectionState) error { return nil },
				}},
			))
			require.NoError(t, err)
			require.NoError(t, <-received)
			assert.True(t, s.LocalAddr().Bare().Equal(juliet))
			assert.Regexp(t, test.resource, s.LocalAddr().Resourcepart())
			_, offered := s.Feature("urn:ietf:params:xml:ns:xmpp-bind")
			assert.False(t, offered, "there is nothing to bind any more")
		})
	}
}
