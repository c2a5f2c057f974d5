// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/pipelining"
)

// TestGuess refuses what was sent ahead, and lists something else.
func TestGuess(t *testing.T) {
	guessing := func(d dialect, mechanism string, c *auth.Client) xmpp.Negotiator {
		plan := pipelining.Plan{Mode: pipelining.Full, SASL2: d.plan, Mechanism: mechanism}
		return pipelining.Client(plan, pipelining.ClientConfig{Authenticator: c})
	}
	for _, d := range dialects {
		inBubble(t, "the account has no keys for it, but for what is better, "+d.name, func(t *testing.T) {
			n := guessing(d, auth.ScramSHA1, newClient(auth.ScramSHA256, auth.ScramSHA1))
			s := channel{}.stage().play(t, n, func(a *actor) {
				a.open(d.offer(auth.ScramSHA1, auth.ScramSHA256))
				a.begin(d, auth.ScramSHA1)
				a.say(d.failure(auth.NotAuthorized))
				x := scramFor(t, auth.ScramSHA256, a.begin(d, auth.ScramSHA256))
				a.say(d.challenge(x.challenge()))
				a.say(d.success(x.final(a.response(d), nil)))
				a.settle(d)
			})
			s.welcomed(t, balcony)
		})
		for _, condition := range []string{auth.NotAuthorized, auth.InvalidMechanism} {
			inBubble(t, "D-20 PLAIN is not better, "+condition+", "+d.name, func(t *testing.T) {
				n := guessing(d, auth.ScramSHA256, newClient(auth.ScramSHA256, auth.Plain))
				s := channel{}.stage().play(t, n, func(a *actor) {
					a.open(d.offer(auth.Plain))
					a.begin(d, auth.ScramSHA256)
					a.say(d.failure(condition))
					assert.Empty(t, a.nextIf(d.begin))
				})
				s.turned(t, nil)
				require.ErrorAs(t, s.Err, new(auth.Failure))
				assert.NotContains(t, s.Heard, plain(juliet.Localpart(), password))
			})
		}
	}
}
