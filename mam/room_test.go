// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"
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

// TestRoomKeeps follows messages from a room's occupants through its archive.
func TestRoomKeeps(t *testing.T) {
	const spoof = `<x xmlns="http://jabber.org/protocol/muc#user"><item affiliation="owner" jid="hecate@shakespeare.lit/sky"/></x>`
	hag := muc.Item{JID: jid.MustParse("crone1@shakespeare.lit/desktop"), Affiliation: muc.AffiliationMember, Role: muc.RoleParticipant}
	archive := new(mam.Memory)
	// The room delivers a message, and archives it.
	deliver := func(typ, inner string, publisher muc.Item) {
		message := parsed(`<message xmlns="jabber:client" id="m1" from="coven@chat.shakespeare.lit/hag" to="coven@chat.shakespeare.lit" type="%s">%s</message>`, typ, inner)
		c, raw, err := mam.Read(mam.SetPublisher(publisher)(mam.StripStanzaIDs(coven)(message)))
		require.NoError(t, err)
		if c.ForRoom() {
			_, err = archive.Append(t.Context(), coven, c.InRoom(raw))
			require.NoError(t, err)
		}
	}
	deliver("groupchat", `<body>brew</body>`+spoof+spoof, hag)
	deliver("groupchat", `<subject>tea</subject>`+spoof, muc.Item{})
	deliver("groupchat", `<composing xmlns="http://jabber.org/protocol/chatstates"/>`, hag)
	deliver("chat", `<body>psst</body>`+spoof, hag)

	ask := func(v mam.View, inner string) string {
		return ask(t, &mam.Handler{Archive: archive, Access: func(context.Context, jid.JID, jid.JID) (mam.View, error) { return v, nil }},
			`<iq xmlns="jabber:client" type="set" id="q" from="juliet@capulet.lit/chamber" to="coven@chat.shakespeare.lit"><query xmlns="urn:xmpp:mam:2">`+inner+`</query></iq>`)
	}
	owner, visitor := ask(mam.View{Room: true, RealJIDs: true}, ""), ask(mam.View{Room: true}, "")
	t.Run("AA-13 MA-44 nobody says who somebody is but the room", func(t *testing.T) {
		for _, out := range []string{owner, visitor} {
			assert.NotContains(t, out, "hecate")
		}
		assert.Equal(t, 1, strings.Count(owner, "<x "))
		assert.Contains(t, owner, `<x xmlns="http://jabber.org/protocol/muc#user"><item xmlns="http://jabber.org/protocol/muc#user" affiliation="member" jid="crone1@shakespeare.lit/desktop" role="participant"></item></x>`)
		assert.NotContains(t, visitor, "crone1")
	})
	t.Run("MA-40 MA-41 what is said to all", func(t *testing.T) {
		assert.Len(t, read(owner).IDs, 2)
		assert.Equal(t, "brew", bodies(read(owner)))
		assert.Contains(t, owner, "tea")
	})
	t.Run("MA-38 MA-43 once, from the occupant, to nobody", func(t *testing.T) {
		assert.Equal(t, 2, strings.Count(owner, `from="coven@chat.shakespeare.lit/hag" type="groupchat">`))
		assert.NotContains(t, owner, `to="coven@`)
	})
	t.Run("MA-45 MA-18 who may know asks for an occupant", func(t *testing.T) {
		assert.Len(t, read(ask(mam.View{Room: true, RealJIDs: true}, form("with=coven@chat.shakespeare.lit/hag"))).IDs, 2)
		assert.Empty(t, read(ask(mam.View{Room: true, RealJIDs: true}, form("with=coven@chat.shakespeare.lit/other"))).IDs)
	})
	t.Run("MA-05 D-24 its address", func(t *testing.T) {
		assert.Contains(t, owner, `<message xmlns="jabber:client" from="coven@chat.shakespeare.lit" to="juliet@capulet.lit/chamber"><result`)
	})
}
