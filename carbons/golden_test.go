// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package carbons_test

import (
	"context"
	"encoding/xml"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/carbons"
	"github.com/xmppext/xmppext/internal/xmpptest"
)

// transcript returns the lines of a file in testdata in pairs: what a client says, and
// what the server says to that.
func transcript(t *testing.T, file string) [][2]string {
	t.Helper()
	tr, err := xmpptest.ReadTranscript("testdata/" + file)
	require.NoError(t, err)
	var pairs [][2]string
	for _, line := range tr.Flights() {
		if line.Side == xmpptest.Client {
			pairs = append(pairs, [2]string{line.Text})
		} else if len(pairs) > 0 {
			pairs[len(pairs)-1][1] = line.Text
		} else {
			pairs = append(pairs, [2]string{1: line.Text})
		}
	}
	require.NotEmpty(t, pairs)
	return pairs
}

func TestGoldenEnabling(t *testing.T) {
	t.Run("CA-02: copies are turned on and off", func(t *testing.T) {
		var registry carbons.Registry
		h := &carbons.Handler{Resource: garden, Switch: registry.Switch}
		on := true
		for _, pair := range transcript(t, "enabling.txt") {
			assert.Equal(t, canonical(t, pair[1]), canonical(t, handle(t, pair[0], carbons.Handle(h))))
			assert.Equal(t, on, registry.Enabled(garden))
			on = !on
		}
	})
	t.Run("CA-03: the server forbids it", func(t *testing.T) {
		h := &carbons.Handler{Resource: garden, Switch: func(context.Context, jid.JID, bool) error {
			return stanza.Error{Type: stanza.Auth, Condition: stanza.Forbidden}
		}}
		for _, pair := range transcript(t, "forbidden.txt") {
			assert.Equal(t, canonical(t, pair[1]), canonical(t, handle(t, pair[0], carbons.Handle(h))))
		}
	})
}

func TestGoldenCopies(t *testing.T) {
	pairs := transcript(t, "copies.txt")
	require.Len(t, pairs, 2)
	for i, test := range []struct {
		name string
		d    carbons.Direction
		to   jid.JID
	}{{"CA-11: received", carbons.Received, home}, {"CA-11: sent", carbons.Sent, garden}} {
		t.Run(test.name, func(t *testing.T) {
			original, want := pairs[i][0], pairs[i][1]
			c := read(t, original)
			require.True(t, c.Eligible(test.d))
			got := string(carbons.Append(nil, test.d, test.to, c.Message.Type, []byte(original)))
			assert.Equal(t, canonical(t, want), canonical(t, got))
			assert.Equal(t, canonical(t, want), canonical(t, encode(t, carbons.Wrap(test.d, test.to, c.Message.Type, reader(original)))))

			// The client at the other end.
			message, err := carbons.Unwrap(romeo, envelope(t, want), reader(want))
			require.NoError(t, err)
			assert.Equal(t, test.d, message.Direction)
			assert.Equal(t, c.Message, message.Message)
			assert.Equal(t, canonical(t, original), canonical(t, encode(t, message.TokenReader())))
		})
	}
}

func TestGoldenPrivate(t *testing.T) {
	c := read(t, transcript(t, "private.txt")[0][0])
	assert.False(t, c.Eligible(carbons.Sent), "CA-14: at the sender's server")
	assert.False(t, c.Eligible(carbons.Received), "CA-14: at the recipient's server")
}

func TestGoldenForged(t *testing.T) {
	forged := transcript(t, "forged.txt")[0][1]
	_, err := carbons.Unwrap(romeo, envelope(t, forged), reader(forged))
	require.ErrorIs(t, err, carbons.ErrForged, "CA-13")
}

// envelope returns the envelope of a message.
func envelope(t testing.TB, message string) stanza.Message {
	t.Helper()
	tok, err := reader(message).Token()
	require.NoError(t, err)
	m, err := stanza.NewMessage(tok.(xml.StartElement))
	require.NoError(t, err)
	return m
}
