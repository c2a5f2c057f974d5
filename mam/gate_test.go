// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

// live is a message that has just been delivered, with the archive's id.
func live(by jid.JID, id string) xml.TokenReader {
	return parsed(`<message xmlns="jabber:client"><body>%s</body><stanza-id xmlns="urn:xmpp:sid:0" by="%s" id="%s"/></message>`, id, by, id)
}

func TestGate(t *testing.T) {
	var got []string
	handle := func(r xml.TokenReader) error {
		var m struct {
			Body string `xml:"body"`
		}
		if err := xml.NewTokenDecoder(r).Decode(&m); err != nil {
			return err
		}
		got = append(got, m.Body)
		return nil
	}
	arrive := func(t *testing.T, g *mam.Gate, r xml.TokenReader) {
		t.Helper()
		now, err := g.Hold(r)
		require.NoError(t, err)
		if now != nil {
			require.NoError(t, handle(now))
		}
	}
	start := func() *mam.Gate { got = nil; return &mam.Gate{By: juliet, Size: 3} }

	t.Run("D-06 live messages wait, and come in order and once", func(t *testing.T) {
		g := start()
		arrive(t, g, live(juliet, "a"))
		arrive(t, g, live(juliet, "b"))
		assert.Empty(t, got)
		g.See(mam.Result{ID: "old"})
		g.See(mam.Result{ID: "a"})
		require.NoError(t, g.Open(t.Context(), handle))
		assert.Equal(t, []string{"b"}, got)
		arrive(t, g, live(juliet, "c"))
		assert.Equal(t, []string{"b", "c"}, got)
	})
	t.Run("D-06 what was in the archive arrives behind that", func(t *testing.T) {
		g := start()
		g.See(mam.Result{ID: "a"})
		require.NoError(t, g.Open(t.Context(), handle))
		arrive(t, g, live(juliet, "a"))
		arrive(t, g, live(juliet, "b"))
		assert.Equal(t, []string{"b"}, got)
	})
	t.Run("SI-08 ids of somebody else do not count", func(t *testing.T) {
		g := start()
		g.See(mam.Result{ID: "a"})
		arrive(t, g, live(romeo.Bare(), "a"))
		require.NoError(t, g.Open(t.Context(), handle))
		assert.Equal(t, []string{"a"}, got)
	})
	t.Run("SI-08 MA-08 an archive without ids", func(t *testing.T) {
		start()
		g := new(mam.Gate) // By nobody.
		g.See(mam.Result{ID: "a"})
		arrive(t, g, live(juliet, "a"))
		require.NoError(t, g.Open(t.Context(), handle))
		assert.Equal(t, []string{"a"}, got)
	})
	t.Run("SI-08 an archive of which it is learned late that it has ids", func(t *testing.T) {
		start()
		g := new(mam.Gate)
		held := make(chan struct{})
		go func() { // What serves the session.
			defer close(held)
			for _, id := range []string{"a", "b"} {
				_, err := g.Hold(live(juliet, id))
				assert.NoError(t, err)
			}
		}()
		g.By = juliet
		g.See(mam.Result{ID: "a"})
		<-held
		require.NoError(t, g.Open(t.Context(), handle))
		assert.Equal(t, []string{"b"}, got)
		g.See(mam.Result{ID: "c"})
		arrive(t, g, live(juliet, "c"))
		assert.Equal(t, []string{"b"}, got)
	})
	t.Run("SI-08 what the sender calls an id does not hide the archive's", func(t *testing.T) {
		g := start()
		g.See(mam.Result{ID: "a"})
		for _, by := range []string{`by="@@"`, "", `by="juliet@capulet.lit/chamber"`, `by="xjuliet@capulet.lit"`} {
			arrive(t, g, parsed(`<message xmlns="jabber:client"><body>x</body><stanza-id xmlns="urn:xmpp:sid:0" %s id="x"/>`+
				`<stanza-id xmlns="urn:xmpp:sid:0" by="juliet@capulet.lit" id="a"/></message>`, by))
			arrive(t, g, parsed(`<message xmlns="jabber:client"><body>new</body><stanza-id xmlns="urn:xmpp:sid:0" %s id="a"/></message>`, by))
			require.NoError(t, g.Open(t.Context(), handle))
		}
		assert.Equal(t, []string{"new", "new", "new", "new"}, got)
	})
	t.Run("those that arrive while the gate is opened follow", func(t *testing.T) {
		g := start()
		arrive(t, g, live(juliet, "a"))
		require.NoError(t, g.Open(t.Context(), func(r xml.TokenReader) error {
			if len(got) == 0 {
				arrive(t, g, live(juliet, "b"))
			}
			return handle(r)
		}))
		assert.Equal(t, []string{"a", "b"}, got)
	})
	t.Run("AB-15 a flood", func(t *testing.T) {
		g := start()
		for i := range 3 {
			arrive(t, g, live(juliet, fmt.Sprint(i)))
		}
		for range 5 {
			_, err := g.Hold(live(juliet, "more"))
			require.ErrorIs(t, err, mam.ErrGateFull)
		}
		require.ErrorIs(t, g.Open(t.Context(), handle), mam.ErrGateFull)
		assert.Empty(t, got, "what was lost is in the archive, with what did not fit")
		arrive(t, g, live(juliet, "z"))
		require.NoError(t, g.Open(t.Context(), handle))
		assert.Equal(t, []string{"z"}, got)
	})
	t.Run("an error leaves what was not handled", func(t *testing.T) {
		g := start()
		arrive(t, g, live(juliet, "a"))
		arrive(t, g, live(juliet, "b"))
		broken := errors.New("the disk is full")
		require.ErrorIs(t, g.Open(t.Context(), func(xml.TokenReader) error { return broken }), broken)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, g.Open(ended, handle), context.Canceled)
		require.NoError(t, g.Open(t.Context(), handle))
		assert.Equal(t, []string{"a", "b"}, got)
	})
	t.Run("what is remembered is bounded", func(t *testing.T) {
		g := start()
		for i := range 1000 {
			g.See(mam.Result{ID: fmt.Sprint(i)})
		}
		require.NoError(t, g.Open(t.Context(), handle))
		arrive(t, g, live(juliet, "999"))
		assert.Empty(t, got)
		arrive(t, g, live(juliet, "1"))
		assert.Equal(t, []string{"1"}, got)
	})
}
