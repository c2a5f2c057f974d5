// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/bind2/hub"
	"github.com/xmppext/xmppext/mam"
)

// TestCatchUp is what two hubs do with one archive.
func TestCatchUp(t *testing.T) {
	two := func() (*brokenArchive, *hub.Hub, *hub.Hub) {
		archive, offline := new(brokenArchive), new(hub.MemoryOffline)
		return archive, &hub.Hub{Archive: archive, Offline: offline}, &hub.Hub{Archive: archive, Offline: offline}
	}
	t.Run("at the next message, in order, once", func(t *testing.T) {
		_, here, there := two()
		r, _ := bind(t, here, bind2.Early)
		present(t, r, 0)
		deliver(t, there, romeo, "1")
		deliver(t, there, romeo, "2")
		assert.Empty(t, arrived(t, r))
		deliver(t, here, romeo, "3")
		got := arrived(t, r)
		require.Len(t, got, 3)
		for i, a := range got {
			assert.Equal(t, fmt.Sprint(i+1), a.String())
			require.Len(t, a.IDs, 1)
		}
		deliver(t, here, romeo, "4")
		assert.Equal(t, []string{"4"}, texts(t, r))
	})
	t.Run("at the next bind, for those who were there before", func(t *testing.T) {
		_, here, there := two()
		old, _ := bind(t, here, bind2.Early)
		present(t, old, 0)
		deliver(t, there, romeo, "1")
		newer, b := bind(t, here, bind2.Early)
		_, last, err := here.Archive.Ends(t.Context(), romeo)
		require.NoError(t, err)
		assert.Equal(t, last.ID, b.Last.ID)
		assert.Equal(t, []string{"1"}, texts(t, old))
		present(t, newer, 0)
		deliver(t, here, romeo, "2")
		assert.Equal(t, []string{"2"}, texts(t, newer))
	})
	t.Run("more than a page", func(t *testing.T) {
		_, here, there := two()
		deliver(t, here, romeo, "before")
		r, _ := bind(t, here, bind2.Early)
		present(t, r, 0)
		want := make([]string, 0, 251)
		for i := range 250 {
			want = append(want, fmt.Sprint(i))
			deliver(t, there, romeo, want[i])
		}
		deliver(t, here, romeo, "last")
		assert.Equal(t, append(want, "last"), texts(t, r))
	})
	t.Run("what the account has sent elsewhere", func(t *testing.T) {
		_, here, there := two()
		for _, h := range []*hub.Hub{here, there} {
			h.Remote = func(context.Context, jid.JID, []byte) error { return nil }
		}
		r, _ := bind(t, here, bind2.Early)
		present(t, r, 0)
		sender, _ := bind(t, there, bind2.Early)
		require.NoError(t, send(t, sender, toJuliet(`type="chat"`), "<body>1</body>"))
		deliver(t, here, romeo, "2")
		assert.Equal(t, []string{"sent 1", "2"}, texts(t, r))
	})
	t.Run("what was redacted is passed over", func(t *testing.T) {
		archive, here, _ := two()
		r, _ := bind(t, here, bind2.Early)
		present(t, r, 0)
		_, err := archive.Append(t.Context(), romeo, mam.Message{With: juliet})
		require.NoError(t, err)
		deliver(t, here, romeo, "2")
		assert.Equal(t, []string{"2"}, texts(t, r))
	})
	t.Run("what one hub has taken another one takes, whatever it has become by being written", func(t *testing.T) {
		_, here, there := two()
		r, _ := bind(t, here, bind2.Early)
		present(t, r, 0)
		const n = 8000
		require.NoError(t, there.Deliver(t.Context(), romeo, parsed(`<message xmlns="jabber:client" xmlns:p="%s" type="chat" from="%s" to="%s"><body>1</body>%s</message>`,
			strings.Repeat("u", 100), juliet, romeo, strings.Repeat("<p:x/>", n))))
		deliver(t, here, romeo, "2")
		got := arrived(t, r)
		require.Len(t, got, 2)
		assert.Equal(t, n, strings.Count(got[0].raw, "<x "))
	})
	t.Run("who is there comes first, and misses nothing, at the first message ever", func(t *testing.T) {
		_, here, there := two()
		r, b := bind(t, here, bind2.Early)
		assert.Zero(t, b.Last)
		deliver(t, there, romeo, "1")
		assert.Empty(t, arrived(t, r))
		deliver(t, here, romeo, "2")
		assert.Equal(t, []string{"1", "2"}, texts(t, r))
	})
	t.Run("B2-12: the first message ever comes once, also if the other hub has kept it", func(t *testing.T) {
		_, here, there := two()
		r, b := bind(t, here, bind2.Early)
		assert.Zero(t, b.Last)
		deliver(t, there, romeo, "1")
		present(t, r, 0)
		deliver(t, here, romeo, "2")
		assert.Equal(t, []string{"1", "2"}, texts(t, r))
		assert.Empty(t, waiting(t, here.Offline, romeo))
	})
	t.Run("D-03: what was kept and pruned before a bind comes late, beside what came behind it", func(t *testing.T) {
		archive, here, there := two()
		deliver(t, here, romeo, "0")
		_, err := archive.Prune(t.Context(), romeo, time.Time{}, 0)
		require.NoError(t, err)
		r, b := bind(t, here, bind2.Early)
		assert.Zero(t, b.Last)
		deliver(t, there, romeo, "1")
		present(t, r, 0)
		deliver(t, here, romeo, "2")
		assert.Equal(t, []string{"1", "late 0", "2"}, texts(t, r))
	})
	t.Run("what cannot be told apart stays where it is", func(t *testing.T) {
		archive, here, there := two()
		r, _ := bind(t, here, bind2.Early)
		deliver(t, there, romeo, "1")
		archive.breakAt("Query")
		present(t, r, 0)
		_, err := r.Take(t.Context())
		require.ErrorIs(t, err, hub.ErrLost)
		assert.Equal(t, []string{"1"}, waiting(t, here.Offline, romeo))
	})
	lost := func(t *testing.T, r *hub.Resource) {
		t.Helper()
		_, err := r.Take(t.Context())
		assert.ErrorIs(t, err, hub.ErrLost)
	}
	t.Run("what cannot be read any more ends those who have missed it", func(t *testing.T) {
		archive, here, there := two()
		deliver(t, here, romeo, "0")
		r, _ := bind(t, here, bind2.Early)
		present(t, r, 0)
		deliver(t, there, romeo, "1")
		_, err := archive.Prune(t.Context(), romeo, time.Time{}, 0)
		require.NoError(t, err)
		deliver(t, here, romeo, "2")
		lost(t, r)
		assert.Contains(t, archived(t, archive, romeo), "2")

		again, _ := bind(t, here, bind2.Early)
		present(t, again, 0)
		arrived(t, again)
		deliver(t, here, romeo, "3")
		assert.Equal(t, []string{"3"}, texts(t, again))
	})
	t.Run("an archive that fails ends those who have missed something, at a message", func(t *testing.T) {
		archive, here, there := two()
		r, _ := bind(t, here, bind2.Early)
		present(t, r, 0)
		deliver(t, there, romeo, "1")
		archive.breakAt("Query")
		deliver(t, here, romeo, "2")
		lost(t, r)
		archive.breakAt("")
		assert.Equal(t, []string{"1", "2"}, archived(t, archive, romeo))
	})
	t.Run("an archive that fails ends those who have missed something, at a bind", func(t *testing.T) {
		archive, here, there := two()
		r, _ := bind(t, here, bind2.Early)
		present(t, r, 0)
		deliver(t, there, romeo, "1")
		archive.breakAt("Query")
		_, err := here.Bind(here.NewResource().Context(t.Context()), bind2.Request{Account: romeo, Protocol: bind2.Early})
		assert.ErrorIs(t, err, hub.ErrLost)
		assert.ErrorIs(t, err, errBroken)
		lost(t, r)
	})
	t.Run("what comes after an archive was pruned wholly is not lost, by whomever", func(t *testing.T) {
		archive, here, there := two()
		deliver(t, here, romeo, "1")
		_, err := archive.Prune(t.Context(), romeo, time.Time{}, 0)
		require.NoError(t, err)
		r, _ := bind(t, here, bind2.Early)
		deliver(t, there, romeo, "2")
		deliver(t, here, romeo, "3")
		assert.Equal(t, []string{"2", "3"}, texts(t, r))
	})
	t.Run("an archive that was pruned wholly is not lost", func(t *testing.T) {
		archive, here, _ := two()
		for _, body := range []string{"1", "2", "3"} {
			deliver(t, here, romeo, body)
		}
		first, _ := bind(t, here, bind2.Early)
		present(t, first, 0)
		_, err := archive.Prune(t.Context(), romeo, time.Time{}, 0)
		require.NoError(t, err)
		second, b := bind(t, here, bind2.Early)
		assert.Zero(t, b.Last)
		present(t, second, 0)
		arrived(t, second)
		arrived(t, first)
		deliver(t, here, romeo, "4")
		deliver(t, here, romeo, "5")
		assert.Equal(t, []string{"4", "5"}, texts(t, first))
		assert.Equal(t, []string{"4", "5"}, texts(t, second))
	})
}
