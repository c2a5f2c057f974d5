// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub_test

import (
	"encoding/xml"
	"fmt"
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

var (
	romeo  = jid.MustParse("romeo@montague.example")
	juliet = jid.MustParse("juliet@capulet.example/balcony")
)

// parsed returns a reader of one element.
func parsed(format string, args ...any) xml.TokenReader {
	return xml.NewDecoder(strings.NewReader(fmt.Sprintf(format, args...)))
}

// chat returns a message from juliet to somebody.
func chat(to jid.JID, body string) xml.TokenReader {
	return parsed(`<message xmlns="jabber:client" type="chat" from="%s" to="%s"><body>%s</body></message>`, juliet, to, body)
}

// bind binds a new resource of romeo's.
func bind(t *testing.T, h *hub.Hub, p bind2.Protocol, change ...func(*bind2.Request)) (*hub.Resource, bind2.Bound) {
	t.Helper()
	r := h.NewResource()
	t.Cleanup(func() { assert.NoError(t, r.Close()) })
	request := bind2.Request{Account: romeo, Protocol: p, Carbons: p != bind2.Legacy}
	for _, c := range change {
		c(&request)
	}
	b, err := h.Bind(r.Context(t.Context()), request)
	require.NoError(t, err)
	return r, b
}

// pending returns what is in a resource's queue.
func pending(t *testing.T, r *hub.Resource, n int) []string {
	t.Helper()
	var all []string
	for len(all) < n {
		stanzas, err := r.Take(t.Context())
		require.NoError(t, err)
		for _, s := range stanzas {
			all = append(all, string(s))
		}
	}
	require.Len(t, all, n)
	return all
}

func TestBind(t *testing.T) {
	archive := new(mam.Memory)
	h := &hub.Hub{Archive: archive, Offline: new(hub.MemoryOffline)}
	require.NoError(t, h.Deliver(t.Context(), romeo, chat(romeo, "before")))

	r, b := bind(t, h, bind2.Early)
	assert.Equal(t, r.JID(), b.JID)
	assert.True(t, b.Archived)
	assert.Equal(t, b.First, b.Last)
	require.Len(t, b.Unreads, 1)
	assert.Equal(t, bind2.Unread{JID: juliet.Bare(), Count: 1}, b.Unreads[0])

	require.NoError(t, h.Deliver(t.Context(), romeo, chat(romeo, "behind")))
	require.NoError(t, r.SetPresence(t.Context(), true, 0))
	got := pending(t, r, 1)
	assert.Contains(t, got[0], "<body>behind</body><stanza-id ")
	_, last, err := archive.Ends(t.Context(), romeo)
	require.NoError(t, err)
	assert.Contains(t, got[0], last.ID)
}

func TestLegacyBind(t *testing.T) {
	h := &hub.Hub{Archive: new(mam.Memory), Offline: new(hub.MemoryOffline)}
	require.NoError(t, h.Deliver(t.Context(), romeo, chat(romeo, "before")))
	r, b := bind(t, h, bind2.Legacy, func(r *bind2.Request) { r.Resource = "orchard" })
	assert.Equal(t, "orchard", b.JID.Resourcepart())
	require.NoError(t, r.SetPresence(t.Context(), true, 0))
	got := pending(t, r, 1)
	assert.Contains(t, got[0], "<body>before</body><stanza-id ")
	assert.Contains(t, got[0], "<delay ")

	err := h.Deliver(t.Context(), romeo, parsed(`<message xmlns="jabber:client" type="groupchat" from="%s" to="%s"><body>x</body></message>`, juliet, romeo))
	assert.ErrorIs(t, err, stanza.Error{Condition: stanza.ServiceUnavailable})
}
