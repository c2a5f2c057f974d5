// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/mam"
)

func TestRoom(t *testing.T) {
	archive := new(mam.Memory)
	_, err := archive.Append(t.Context(), coven, mam.Message{
		With: jid.MustParse("coven@chat.shakespeare.lit/hag"), Stamp: epoch, GroupChat: true,
		XML: []byte(`<message xmlns="jabber:client" from="coven@chat.shakespeare.lit/hag" to="coven@chat.shakespeare.lit" type="groupchat">` +
			`<body>brew</body><x xmlns="http://jabber.org/protocol/muc#user"><item jid="hecate@shakespeare.lit"/></x></message>`),
	})
	require.NoError(t, err)

	ask := func(access func(context.Context, jid.JID, jid.JID) (mam.View, error), inner string) string {
		return ask(t, &mam.Handler{Archive: archive, Access: access},
			`<iq xmlns="jabber:client" type="set" id="q" from="juliet@capulet.lit/chamber" to="coven@chat.shakespeare.lit"><query xmlns="urn:xmpp:mam:2">`+inner+`</query></iq>`)
	}
	sees := func(v mam.View) func(context.Context, jid.JID, jid.JID) (mam.View, error) {
		return func(_ context.Context, reader, of jid.JID) (mam.View, error) {
			assert.Equal(t, "juliet@capulet.lit/chamber", reader.String())
			assert.Equal(t, coven, of)
			return v, nil
		}
	}

	t.Run("MA-43 MA-44 a visitor", func(t *testing.T) {
		out := ask(sees(mam.View{Room: true}), "")
		assert.Contains(t, out, `<message from="coven@chat.shakespeare.lit" to="juliet@capulet.lit/chamber">`[len(`<message `):])
		assert.Contains(t, out, `<message xmlns="jabber:client" from="coven@chat.shakespeare.lit/hag" type="groupchat"><body`)
		assert.NotContains(t, out, "hecate")
		assert.NotContains(t, out, `to="coven@`)
	})
	t.Run("MA-44 an owner", func(t *testing.T) {
		assert.Contains(t, ask(sees(mam.View{Room: true, RealJIDs: true}), ""), "hecate@shakespeare.lit")
	})
	t.Run("MA-45 AA-16 a visitor asks for somebody", func(t *testing.T) {
		assert.Equal(t, "forbidden", read(ask(sees(mam.View{Room: true}), form("with=hecate@shakespeare.lit"))).Err)
		assert.Empty(t, read(ask(sees(mam.View{Room: true, RealJIDs: true}), form("with=hecate@shakespeare.lit"))).Err)
	})
	t.Run("MA-42 who may not enter", func(t *testing.T) {
		assert.Equal(t, "forbidden", read(ask(nil, "")).Err)
		assert.Equal(t, "forbidden", read(ask(func(context.Context, jid.JID, jid.JID) (mam.View, error) { return mam.View{}, errors.New("an outcast") }, "")).Err)
		assert.Equal(t, "registration-required", read(ask(func(context.Context, jid.JID, jid.JID) (mam.View, error) {
			return mam.View{}, stanza.Error{Type: stanza.Auth, Condition: stanza.RegistrationRequired}
		}, "")).Err)
	})
	t.Run("MA-24 without groupchat", func(t *testing.T) {
		assert.Equal(t, "brew", bodies(read(ask(sees(mam.View{Room: true}), form("include-groupchat=true")))))
		assert.Empty(t, bodies(read(ask(sees(mam.View{Room: true}), form("include-groupchat=false")))))
	})
}
