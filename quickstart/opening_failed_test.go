// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"encoding/xml"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/quickstart"
)

// cut is a reader of tokens that has an error only.
type cut struct{ error }

func (c cut) Token() (xml.Token, error) { return nil, c.error }

// TestOpeningCut is about an Opening that fails as networks do: that is not the
// server's fault.
func TestOpeningCut(t *testing.T) {
	inBubble(t, "in the flight of the login", func(t *testing.T) {
		l := newLibrary(newOldHouse().offering(auth.Plain))
		w := newWorld(t, l.serve)
		d := newDialer(w)
		d.Mechanisms = []string{auth.Plain}
		mustDial(t, d)
		before := mustDial(t, d).Report.Plan
		calls := 0
		d.Opening = func() xml.TokenReader { calls++; return cut{io.ErrUnexpectedEOF} }
		_, err := d.Dial(t.Context(), juliet, quickstart.Password(password))
		require.ErrorIs(t, err, quickstart.ErrOpening)
		assert.Equal(t, 1, calls)
		d.Opening = nil
		assert.Equal(t, before, mustDial(t, d).Report.Plan, "the plan was not missed")
	})
}
