// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package carbons_test

import (
	"encoding/xml"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/carbons"
)

var _ mux.MessageHandler = (*carbons.Client)(nil)

// incoming lets romeo's client handle one message, and returns what it took for a
// copy, why it refused what it did, and what it wrote.
func incoming(t testing.TB, s string, options ...mux.Option) (copies []carbons.Copy, refused []error, out string) {
	t.Helper()
	c := &carbons.Client{
		Account: romeo,
		Copied:  func(c carbons.Copy) { copies = append(copies, c) },
		Refused: func(_ stanza.Message, err error) { refused = append(refused, err) },
	}
	out = handle(t, s, append(options, carbons.HandleClient(c))...)
	return copies, refused, out
}

func TestClient(t *testing.T) {
	sent := message("romeo@montague.example/home", "juliet@capulet.example", "chat", body)
	for _, typ := range []string{"", "normal", "chat", "headline", "error", "groupchat"} {
		t.Run("a copy of type "+typ, func(t *testing.T) {
			copies, refused, _ := incoming(t, message("romeo@montague.example", "romeo@montague.example/garden", typ, carbon("sent", sent)))
			require.Len(t, copies, 1)
			assert.Equal(t, carbons.Sent, copies[0].Direction)
			assert.Empty(t, refused)
		})
	}
	t.Run("CA-13: AC-01: a forged copy", func(t *testing.T) {
		copies, refused, out := incoming(t, outer("tybalt@capulet.example", carbon("received", plain)))
		assert.Empty(t, copies)
		require.Len(t, refused, 1)
		assert.ErrorIs(t, refused[0], carbons.ErrForged)
		assert.Empty(t, out, "the forger does not learn of it")
	})
	t.Run("AC-03: a malformed copy", func(t *testing.T) {
		copies, refused, out := incoming(t, outer("romeo@montague.example", carbon("received", plain+plain)))
		assert.Empty(t, copies)
		require.Len(t, refused, 1)
		assert.ErrorIs(t, refused[0], carbons.ErrMalformed)
		assert.Empty(t, out)
	})
	t.Run("AC-03: two copies in one", func(t *testing.T) {
		copies, refused, _ := incoming(t, outer("romeo@montague.example", carbon("received", plain)+carbon("sent", sent)))
		assert.Empty(t, copies)
		assert.NotEmpty(t, refused)
	})
	t.Run("nobody wants to know", func(t *testing.T) {
		for _, from := range []string{"romeo@montague.example", "tybalt@capulet.example"} {
			out := handle(t, outer(from, carbon("received", plain)), carbons.HandleClient(&carbons.Client{Account: romeo}))
			assert.Empty(t, out)
		}
	})
	t.Run("CA-16: CA-20: AC-11: what is in a copy is neither handled nor answered", func(t *testing.T) {
		answer := mux.MessageHandlerFunc(func(m stanza.Message, rw xmlstream.TokenReadEncoder) error {
			_, err := xmlstream.Copy(rw, stanza.Message{To: m.From, Type: stanza.ChatMessage}.Wrap(nil))
			return err
		})
		bot := mux.Message(stanza.ChatMessage, xml.Name{Space: stanza.NSClient, Local: "body"}, answer)
		_, _, out := incoming(t, plain, bot)
		require.Contains(t, out, "juliet@capulet.example", "the bot answers")
		for _, direction := range []string{"received", "sent"} {
			copies, _, out := incoming(t, outer("romeo@montague.example", carbon(direction, message("romeo@montague.example/home", "romeo@montague.example", "chat", body))), bot)
			assert.Len(t, copies, 1)
			assert.Empty(t, out, "a copy that was %s", direction)
		}
	})
	t.Run("CA-09: a message is a copy whatever it is", func(t *testing.T) {
		copies, _, _ := incoming(t, outer("romeo@montague.example", carbon("received", message("coven@chat.example/crone", "romeo@montague.example", "groupchat", body))))
		assert.Len(t, copies, 1, "no set of rules is assumed")
	})
	t.Run("an error of the stream", func(t *testing.T) {
		broken := errors.New("broken")
		err := (&carbons.Client{Account: romeo}).HandleMessage(stanza.Message{}, struct {
			xml.TokenReader
			xmlstream.Encoder
		}{TokenReader: xmlstream.ReaderFunc(func() (xml.Token, error) { return nil, broken })})
		assert.ErrorIs(t, err, broken)
	})
}
