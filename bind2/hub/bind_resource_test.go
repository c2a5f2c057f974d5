// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/bind2/hub"
	"github.com/xmppext/xmppext/mam"
)

func TestBindResource(t *testing.T) {
	t.Run("BN-17: what the same client has bound before is replaced", func(t *testing.T) {
		var seen events
		h := &hub.Hub{Archive: new(mam.Memory), Offline: new(hub.MemoryOffline), Observe: seen.observe}
		old, _ := bind(t, h, bind2.Inline, byClient(phone, "Gajim"))
		other, _ := bind(t, h, bind2.Inline, byClient(laptop, "Gajim"))
		none, _ := bind(t, h, bind2.Inline)
		newer, _ := bind(t, h, bind2.Inline, byClient(phone, "Gajim"))
		_, err := old.Take(t.Context())
		assert.ErrorIs(t, err, hub.ErrReplaced)
		require.Len(t, seen.of(hub.UnboundResource), 1)
		assert.ErrorIs(t, seen.of(hub.UnboundResource)[0].Err, hub.ErrReplaced)
		assert.Equal(t, old.JID(), seen.of(hub.UnboundResource)[0].Resource)
		for _, r := range []*hub.Resource{other, none, newer} {
			assert.NoError(t, r.SetPresence(t.Context(), true, 0))
		}
		assert.ErrorIs(t, old.SetPresence(t.Context(), true, 0), hub.ErrReplaced)
		assert.ErrorIs(t, old.Send(t.Context(), parsed(`<message xmlns="jabber:client"><body>x</body></message>`)), hub.ErrReplaced)
	})
	t.Run("AB-09: the id of a client of another account replaces nobody", func(t *testing.T) {
		h := new(hub.Hub)
		mine, _ := bind(t, h, bind2.Inline, byClient(phone, ""))
		bind(t, h, bind2.Inline, byClient(phone, ""), of(jid.MustParse("tybalt@montague.example")))
		assert.NoError(t, mine.SetPresence(t.Context(), true, 0))
	})
	t.Run("BN-20, BN-22: resources are random, and tell nothing of the client", func(t *testing.T) {
		h := new(hub.Hub)
		parts := make(map[string]bool)
		for range 100 {
			_, b := bind(t, h, bind2.Inline, byClient(phone, "Gajim"))
			part := b.JID.Resourcepart()
			parts[part] = true
			assert.True(t, strings.HasPrefix(part, "Gajim/"))
			plain := strings.ReplaceAll(phone, "-", "")
			raw, err := hex.DecodeString(plain)
			require.NoError(t, err)
			for _, told := range []string{phone, plain, string(raw)} {
				assert.NotContains(t, strings.ToLower(part), told)
			}
		}
		assert.Len(t, parts, 100)
	})
	stable := func(r bind2.Request) string {
		return bind2.StableResource([]byte("0123456789abcdef"), r.Account, r.Client, r.Tag)
	}
	t.Run("BN-21: stable resources", func(t *testing.T) {
		h := &hub.Hub{Resourcepart: stable}
		a, _ := bind(t, h, bind2.Inline, byClient(phone, "Gajim"))
		b, _ := bind(t, h, bind2.Inline, byClient(laptop, "Gajim"))
		c, _ := bind(t, h, bind2.Inline, byClient(phone, "Gajim"))
		assert.Equal(t, a.JID(), c.JID())
		assert.NotEqual(t, a.JID(), b.JID())
		deliver(t, h, c.JID(), "hi")
		assert.Equal(t, []string{"hi"}, texts(t, c))
	})
	t.Run("D-08: a stable resource that somebody else has by name is not taken away", func(t *testing.T) {
		h := &hub.Hub{Resourcepart: stable}
		want := stable(bind2.Request{Account: romeo, Client: phone, Tag: "Gajim"})
		other := legacy(t, h, want, 0)
		mine, b := bind(t, h, bind2.Inline, byClient(phone, "Gajim"))
		assert.NotEqual(t, want, b.JID.Resourcepart())
		assert.True(t, strings.HasPrefix(b.JID.Resourcepart(), "Gajim/"))
		assert.NoError(t, other.SetPresence(t.Context(), true, 0))
		assert.NoError(t, mine.SetPresence(t.Context(), true, 0))
	})
	t.Run("AB-06: a function that gives everybody the same resource", func(t *testing.T) {
		h := &hub.Hub{Resourcepart: func(bind2.Request) string { return "same" }}
		a, _ := bind(t, h, bind2.Early)
		b, _ := bind(t, h, bind2.Early)
		assert.NotEqual(t, a.JID(), b.JID())
		assert.NoError(t, a.SetPresence(t.Context(), true, 0))
	})
	for name, part := range map[string]string{"NUL": "a\x00b", "nothing": "", "too long": strings.Repeat("x", 2000)} {
		t.Run("AB-06: a resource that is none: "+name, func(t *testing.T) {
			h := &hub.Hub{Resourcepart: func(bind2.Request) string { return part }}
			_, err := h.Bind(h.NewResource().Context(t.Context()), bind2.Request{Account: romeo, Protocol: bind2.Inline})
			assert.Error(t, err)
		})
	}
	t.Run("RFC 6120: who asks for a resource that is in use replaces", func(t *testing.T) {
		h := new(hub.Hub)
		old := legacy(t, h, "orchard", 0)
		newer := legacy(t, h, "orchard", 0)
		_, err := old.Take(t.Context())
		assert.ErrorIs(t, err, hub.ErrReplaced)
		deliver(t, h, romeo, "hi")
		assert.Equal(t, []string{"hi"}, texts(t, newer))
	})
	t.Run("RFC 6120: a resource that is none", func(t *testing.T) {
		h := new(hub.Hub)
		_, err := h.Bind(h.NewResource().Context(t.Context()), bind2.Request{Account: romeo, Protocol: bind2.Legacy, Resource: "a\x00b"})
		refusedWith(t, err, stanza.BadRequest)
	})
	t.Run("RFC 6120: no resource is asked for", func(t *testing.T) {
		h := new(hub.Hub)
		a, _ := bind(t, h, bind2.Legacy)
		b, _ := bind(t, h, bind2.Legacy)
		assert.NotEqual(t, a.JID(), b.JID())
	})
	t.Run("D-09: no more than MaxResources, but who replaces somebody may", func(t *testing.T) {
		h := &hub.Hub{MaxResources: 2}
		legacy(t, h, "orchard", 0)
		bind(t, h, bind2.Inline, byClient(phone, ""))
		_, err := h.Bind(h.NewResource().Context(t.Context()), bind2.Request{Account: romeo, Protocol: bind2.Early})
		refusedWith(t, err, stanza.ResourceConstraint)
		bind(t, h, bind2.Inline, byClient(phone, ""))
		legacy(t, h, "orchard", 0)
		r, _ := bind(t, h, bind2.Early, of(juliet.Bare()))
		require.NoError(t, r.Close())
		assert.NotZero(t, r.JID())
	})
}
