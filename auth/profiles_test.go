// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/xmppext/xmppext/auth"
)

// TestProfiles offers other mechanisms in one profile than in the other.
func TestProfiles(t *testing.T) {
	list := features(modern("", auth.Plain), legacy(auth.ScramSHA256, auth.Plain))
	inBubble(t, "SA-28 no PLAIN where there is SCRAM by RFC 6120", func(t *testing.T) {
		c := newClient(auth.ScramSHA256, auth.Plain)
		c.Tokens = nil
		s := channel{}.stage().play(t, stock.negotiator(sasl1, c), func(a *actor) {
			a.open(list)
			x := scramFor(t, auth.ScramSHA256, a.begin(sasl1, auth.ScramSHA256))
			a.say(sasl1.challenge(x.challenge()))
			a.say(sasl1.success(x.final(a.response(sasl1), nil)))
			a.settle(sasl1)
		})
		s.welcomed(t, balcony)
		assert.NotContains(t, s.Heard, plain(juliet.Localpart(), password))
	})
	inBubble(t, "nor if that is refused", func(t *testing.T) {
		s := channel{}.stage().play(t, stock.negotiator(sasl1, newClient(auth.ScramSHA256, auth.Plain)), func(a *actor) {
			a.open(list)
			a.begin(sasl1, auth.ScramSHA256)
			a.say(sasl1.failure(auth.InvalidMechanism))
			assert.Empty(t, a.nextIf(sasl1.begin))
		})
		s.turned(t, auth.ErrNoMechanism)
	})
	inBubble(t, "who names PLAIN first gets it", func(t *testing.T) {
		s := channel{}.stage().play(t, stock.negotiator(sasl2, newClient(auth.Plain, auth.ScramSHA256)), func(a *actor) {
			a.open(list)
			a.begin(sasl2, auth.Plain)
			a.say(sasl2.success(""))
			a.settle(sasl2)
		})
		s.welcomed(t, balcony)
	})
}
