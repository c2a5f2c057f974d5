// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/disco"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/quickstart"
)

// TestCapabilitiesNothing is about answers that say nothing.
func TestCapabilitiesNothing(t *testing.T) {
	inBubble(t, "too large", func(t *testing.T) {
		m := meet(t)
		m.says[orchard.String()] = strings.Repeat(`<feature var='a'/>`, 5000)
		i, err := m.Info(t.Context(), m.Session.Session, orchard, quickstart.Caps{})
		require.ErrorIs(t, err, quickstart.ErrUnverified)
		assert.Empty(t, i.Features)
		m.leave()
	})
	inBubble(t, "a result with nothing in it is not kept", func(t *testing.T) {
		m := meet(t)
		m.talks(func(c *clerk, s said) bool {
			c.say("<iq id='%s' type='result' from='%s'/>", s.ID, s.To)
			return s.Payload.Space == disco.NSInfo
		})
		unknown := quickstart.Caps{Hash: "sha-9", Node: "n", Ver: "1"}
		for range 2 {
			_, err := m.Info(t.Context(), m.Session.Session, orchard, unknown)
			require.ErrorIs(t, err, stanza.Error{Condition: stanza.UndefinedCondition})
			assert.Len(t, m.asked(), 1)
		}
		m.leave()
	})
}
