// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/pipelining"
)

// TestBindingsAhead is about the type of channel binding of a login that is sent
// ahead, at servers that have fewer types than the connection.
func TestBindingsAhead(t *testing.T) {
	const mechanism = auth.ScramSHA256Plus
	lists := func(d dialect, types ...string) string {
		return strings.Replace(d.offer(mechanism), "</stream:features>", bindings(types...)+"</stream:features>", 1)
	}
	begins := func(t *testing.T, a *actor, d dialect, kind string) *scramScript {
		x := scramFor(t, mechanism, a.begin(d, mechanism))
		require.Equal(t, "p="+kind+",,", x.gs2)
		return x
	}
	finish := func(a *actor, d dialect, x *scramScript, kind string) {
		a.say(d.challenge(x.challenge()))
		a.say(d.success(x.final(a.response(d), a.binding(kind, "P-256"))))
		a.settle(d)
	}
	knowing := func(types ...string) *auth.Client {
		c := newClient()
		c.Bindings = types
		return c
	}
	for _, d := range dialects {
		inBubble(t, "SA-30 the type that the server is known to have, "+d.name, func(t *testing.T) {
			s := channel{}.stage().play(t, before.negotiator(d, knowing(endPoint)), func(a *actor) {
				a.open(lists(d, endPoint))
				finish(a, d, begins(t, a, d, endPoint), endPoint)
			})
			s.welcomed(t, balcony)
		})
		for name, c := range map[string]func() *auth.Client{
			"nothing is known":        func() *auth.Client { return newClient() },
			"what is known is no use": func() *auth.Client { return knowing(unique) },
		} {
			inBubble(t, "SA-30 a wrong guess is no wrong password, "+name+", "+d.name, func(t *testing.T) {
				s := channel{}.stage().play(t, before.negotiator(d, c()), func(a *actor) {
					a.open(lists(d, endPoint))
					begins(t, a, d, exporter)
					a.say(d.failure(auth.NotAuthorized))
					finish(a, d, begins(t, a, d, endPoint), endPoint)
				})
				s.welcomed(t, balcony)
			})
		}
		// What the server does not take, some servers refuse with the client's proof.
		for name, test := range map[string]struct{ mechanism, gs2 string }{
			"the type that it does not list": {mechanism, "p=" + exporter + ",,"},
			"that it has no PLUS":            {auth.ScramSHA256, "y,,"},
		} {
			inBubble(t, "SA-31 refused at the end: "+name+", "+d.name, func(t *testing.T) {
				n := pipelining.Client(pipelining.Plan{Mode: pipelining.Full, SASL2: d.plan, Mechanism: test.mechanism},
					pipelining.ClientConfig{Authenticator: newClient()})
				s := channel{}.stage().play(t, n, func(a *actor) {
					a.open(lists(d, endPoint))
					x := scramFor(t, test.mechanism, a.begin(d, test.mechanism))
					require.Equal(t, test.gs2, x.gs2)
					a.say(d.challenge(x.challenge()))
					a.response(d)
					a.say(d.failure(auth.NotAuthorized))
					if d == sasl2 { // With the other one, more has been sent behind the proof.
						finish(a, d, begins(t, a, d, endPoint), endPoint)
					}
				})
				if d == sasl2 {
					s.welcomed(t, balcony)
				} else {
					s.turned(t, pipelining.ErrMispredicted)
				}
			})
		}
		inBubble(t, "a wrong password is one, "+d.name, func(t *testing.T) {
			s := channel{}.stage().play(t, before.negotiator(d, newClient()), func(a *actor) {
				a.open(lists(d, exporter, endPoint))
				x := begins(t, a, d, exporter)
				a.say(d.challenge(x.challenge()))
				a.response(d)
				a.say(d.failure(auth.NotAuthorized))
				if d == sasl2 {
					assert.Empty(t, a.nextIf(d.begin))
				}
			})
			s.turned(t, nil)
			require.ErrorAs(t, s.Err, new(auth.Failure))
			assert.NotErrorIs(t, s.Err, auth.ErrChannelBinding)
			assert.NotErrorIs(t, s.Err, pipelining.ErrMispredicted)
		})
		inBubble(t, "D-20 a type that was known is not given up, "+d.name, func(t *testing.T) {
			s := channel{}.stage().play(t, before.negotiator(d, knowing(endPoint, exporter)), func(a *actor) {
				a.open(lists(d, endPoint))
				begins(t, a, d, exporter)
				a.say(d.failure(auth.NotAuthorized))
				assert.Empty(t, a.nextIf(d.begin))
			})
			s.turned(t, auth.ErrChannelBinding)
		})
		inBubble(t, "D-20 nor step by step, "+d.name, func(t *testing.T) {
			s := channel{}.stage().play(t, stock.negotiator(d, knowing(endPoint, exporter)), func(a *actor) {
				a.open(lists(d, endPoint))
				assert.Empty(t, a.nextIf(d.begin))
			})
			s.turned(t, auth.ErrChannelBinding)
		})
	}
}
