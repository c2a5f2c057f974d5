// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam_test

import (
	"context"
	"encoding/xml"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/disco"
	"mellium.im/xmpp/disco/info"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/mam"
)

// talk returns a client of juliet's whose server has an archive, and a function that
// compares what they have said since with a file.
func talk(t *testing.T, h *mam.Handler) (*mam.Client, *xmpp.Session, func(file string)) {
	t.Helper()
	c := new(mam.Client)
	p := xmpptest.NewPair(t, xmpptest.PairConfig{Client: jid.MustParse("juliet@capulet.lit/chamber"), Location: jid.MustParse("capulet.lit")})
	before := len(p.Link.Log())
	p.Serve(mux.New(stanza.NSClient, mam.HandleClient(c)), mux.New(stanza.NSClient, mam.Handle(h),
		mux.IQ(stanza.GetIQ, xml.Name{Space: disco.NSInfo, Local: "query"}, inOrder{h})))
	return c, p.Client, func(file string) {
		t.Helper()
		var said xmpptest.Transcript
		for _, e := range p.Link.Log()[before:] {
			said = append(said, xmpptest.Line{Side: e.From, Text: xmpptest.Literal(string(e.Data))})
		}
		xmpptest.Compare(t, "testdata/"+file, said.SplitElements())
	}
}

// inOrder answers for the features of a handler, in one order.
type inOrder struct{ h *mam.Handler }

func (o inOrder) HandleIQ(iq stanza.IQ, t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	var list []xml.TokenReader
	err := o.h.ForFeatures("", func(f info.Feature) error {
		list = append(list, f.TokenReader())
		return nil
	})
	if err != nil {
		return err
	}
	_, err = xmlstream.Copy(t, iq.Result(xmlstream.Wrap(xmlstream.MultiReader(list...), xml.StartElement{Name: start.Name})))
	return err
}

// dialogue fills juliet's archive with the messages of the specification.
func dialogue(t *testing.T) (*mam.Memory, []mam.Item) {
	archive := new(mam.Memory)
	var items []mam.Item
	for _, m := range []struct {
		stamp   string
		message string
	}{
		{"2010-07-10T23:08:25Z", `<message xmlns="jabber:client" to="juliet@capulet.lit/balcony" from="romeo@montague.lit/orchard" type="chat">` +
			`<body>Call me but love, and I'll be new baptized; Henceforth I never will be Romeo.</body></message>`},
		{"2010-07-10T23:09:32Z", `<message xmlns="jabber:client" to="romeo@montague.lit/orchard" from="juliet@capulet.lit/balcony" type="chat" id="8a54s">` +
			`<body>What man art thou that thus bescreen'd in night so stumblest on my counsel?</body></message>`},
	} {
		c, raw := content(t, m.message)
		message := c.ForArchive(juliet, raw)
		var err error
		message.Stamp, err = time.Parse(time.RFC3339, m.stamp)
		require.NoError(t, err)
		item, err := archive.Append(t.Context(), juliet, message)
		require.NoError(t, err)
		items = append(items, item)
	}
	return archive, items
}

func TestTranscripts(t *testing.T) {
	archive, items := dialogue(t)
	for _, test := range []struct {
		file string
		q    mam.Query
		ids  []string
		err  error
	}{
		{"query.txt", mam.Query{}, []string{items[0].ID, items[1].ID}, nil},
		{"query-pages.txt", mam.Query{Start: epoch, Max: 1}, []string{items[0].ID, items[1].ID}, nil},
		{"query-backwards.txt", mam.Query{Max: 1, From: mam.Cursor{Last: true}}, []string{items[1].ID, items[0].ID}, nil},
		{"query-filters.txt", mam.Query{With: romeo.Bare(), Start: epoch, End: epoch.Add(time.Hour), WithoutGroupChat: true}, []string{items[0].ID, items[1].ID}, nil},
		{"query-extended.txt", mam.Query{AfterID: items[0].ID, IDs: []string{items[1].ID}, Flip: true}, []string{items[1].ID}, nil},
		{"query-nothing.txt", mam.Query{With: nurse}, nil, nil},
		{"query-not-found.txt", mam.Query{Start: epoch, From: mam.Cursor{After: "09af3-cc343-b409f"}}, nil,
			stanza.Error{Condition: stanza.ItemNotFound}},
	} {
		t.Run(test.file, func(t *testing.T) {
			c, s, compare := talk(t, &mam.Handler{Archive: archive, Account: juliet})
			var (
				ids    []string
				failed error
			)
			for r, err := range c.Fetch(t.Context(), s, jid.JID{}, test.q) {
				if failed = err; err == nil {
					ids = append(ids, r.ID)
				}
			}
			require.ErrorIs(t, failed, test.err)
			assert.Equal(t, test.ids, ids)
			compare(test.file)
		})
	}
	t.Run("metadata.txt", func(t *testing.T) {
		c, s, compare := talk(t, &mam.Handler{Archive: archive, Account: juliet})
		_, last, err := c.Metadata(t.Context(), s, jid.JID{})
		require.NoError(t, err)
		assert.Equal(t, items[1].ID, last.ID)
		compare("metadata.txt")
	})
	t.Run("metadata-nothing.txt", func(t *testing.T) {
		c, s, compare := talk(t, &mam.Handler{Archive: new(mam.Memory), Account: juliet})
		_, _, err := c.Metadata(t.Context(), s, jid.JID{})
		require.NoError(t, err)
		compare("metadata-nothing.txt")
	})
	t.Run("preferences.txt", func(t *testing.T) {
		c, s, compare := talk(t, &mam.Handler{Archive: new(mam.Memory), Account: juliet})
		_, err := c.Preferences(t.Context(), s)
		require.NoError(t, err)
		_, err = c.SetPreferences(t.Context(), s, mam.Preferences{
			Default: mam.Roster, Always: []jid.JID{romeo.Bare()}, Never: []jid.JID{jid.MustParse("montague@montague.lit")},
		})
		require.NoError(t, err)
		compare("preferences.txt")
	})
	t.Run("room.txt", func(t *testing.T) {
		rooms := new(mam.Memory)
		h := &mam.Handler{Archive: rooms, Account: juliet, Access: func(context.Context, jid.JID, jid.JID) (mam.View, error) {
			return mam.View{Room: true, RealJIDs: true}, nil
		}}
		message := parsed(`<message xmlns="jabber:client" from="coven@chat.shakespeare.lit/firstwitch" to="coven@chat.shakespeare.lit" ` +
			`id="162BEBB1-F6DB-4D9A-9BD8-CFDCC801A0B2" type="groupchat"><body>Thrice the brinded cat hath mew'd.</body></message>`)
		crone := muc.Item{JID: jid.MustParse("crone1@shakespeare.lit"), Affiliation: muc.AffiliationOwner, Role: muc.RoleParticipant}
		content, raw, err := mam.Read(mam.SetPublisher(crone)(message))
		require.NoError(t, err)
		m := content.InRoom(raw)
		m.Stamp = time.Date(2002, 10, 13, 23, 58, 37, 0, time.UTC)
		_, err = rooms.Append(t.Context(), coven, m)
		require.NoError(t, err)
		c, s, compare := talk(t, h)
		n := 0
		for _, err := range c.Fetch(t.Context(), s, coven, mam.Query{}) {
			require.NoError(t, err)
			n++
		}
		assert.Equal(t, 1, n)
		compare("room.txt")
	})
}
