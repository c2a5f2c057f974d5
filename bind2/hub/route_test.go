// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub_test

import (
	"context"
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

// What a client is that a message is for, or may be for.
type client func(t *testing.T, h *hub.Hub, name string) *hub.Resource

func available(priority int8) client {
	return func(t *testing.T, h *hub.Hub, name string) *hub.Resource {
		r, _ := bind(t, h, bind2.Legacy, named(name))
		return present(t, r, priority)
	}
}

func silent(p bind2.Protocol) client {
	return func(t *testing.T, h *hub.Hub, name string) *hub.Resource {
		r, _ := bind(t, h, p, named(name), withCarbons(false))
		return r
	}
}

func unavailable(t *testing.T, h *hub.Hub, name string) *hub.Resource {
	r := available(0)(t, h, name)
	require.NoError(t, r.SetPresence(t.Context(), false, 0))
	return r
}

// TestRoute is the table of RFC 6121, section 8.5.4. What becomes of a message to the
// bare JID, to client a, and to a resource that is not there: who gets it, whether it
// is kept ("off"), refused, or dropped without a word ("").
func TestRoute(t *testing.T) {
	there := []struct {
		name    string
		clients []client
	}{
		{"nobody", nil},
		{"one", []client{available(0)}},
		{"two of different priorities", []client{available(0), available(5)}},
		{"one of negative priority", []client{available(-1)}},
		{"one, and one of negative priority", []client{available(0), available(-1)}},
		{"a silent one by RFC 6120", []client{silent(bind2.Legacy)}},
		{"a silent one by a cut", []client{silent(bind2.Inline)}},
		{"an unavailable one", []client{unavailable}},
		{"one, and a silent one by a cut", []client{available(0), silent(bind2.Early)}},
		{"one, and a silent one by RFC 6120", []client{available(0), silent(bind2.Legacy)}},
	}
	type row [3]string
	const refused = "refused"
	for _, test := range []struct {
		typ  stanza.MessageType
		want []row // by there
		// without are those that differ without an archive, and so without a cut
		without map[int]row
	}{
		{stanza.NormalMessage, []row{
			{"off", "", refused},
			{"a", "a", refused},
			{"a b", "a", refused},
			{"off", "a", refused},
			{"a", "a", refused},
			{"off", "a", refused},
			{"a off", "a", refused},
			{"off", "a", refused},
			{"a b", "a", refused},
			{"a", "a", refused},
		}, map[int]row{6: {"off", "a", refused}, 8: {"a", "a", refused}}},
		{stanza.ChatMessage, []row{
			{"off", "", "off"},
			{"a", "a", "a"},
			{"a b", "a", "a b"},
			{"off", "a", "off"},
			{"a", "a", "a"},
			{"off", "a", "off"},
			{"a off", "a", "a off"},
			{"off", "a", "off"},
			{"a b", "a", "a b"},
			{"a", "a", "a"},
		}, map[int]row{6: {"off", "a", "off"}, 8: {"a", "a", "a"}}},
		{stanza.GroupChatMessage, []row{
			{refused, "", refused},
			{refused, "a", refused},
			{refused, "a", refused},
			{refused, "a", refused},
			{refused, "a", refused},
			{refused, "a", refused},
			{refused, "a", refused},
			{refused, "a", refused},
			{refused, "a", refused},
			{refused, "a", refused},
		}, nil},
		{stanza.HeadlineMessage, []row{
			{"", "", ""},
			{"a", "a", ""},
			{"a b", "a", ""},
			{"", "a", ""},
			{"a", "a", ""},
			{"", "a", ""},
			{"", "a", ""},
			{"", "a", ""},
			{"a", "a", ""},
			{"a", "a", ""},
		}, nil},
		{stanza.ErrorMessage, []row{
			{"", "", ""},
			{"", "a", ""},
			{"", "a", ""},
			{"", "a", ""},
			{"", "a", ""},
			{"", "a", ""},
			{"", "a", ""},
			{"", "a", ""},
			{"", "a", ""},
			{"", "a", ""},
		}, nil},
	} {
		for i, house := range there {
			for _, archive := range []mam.Archive{new(mam.Memory), nil} {
				want := test.want[i]
				name := string(test.typ) + ", " + house.name + ", archived"
				if archive == nil {
					name = string(test.typ) + ", " + house.name + ", not archived"
					if w, ok := test.without[i]; ok {
						want = w
					}
				}
				t.Run(name, func(t *testing.T) {
					for column, to := range []string{"bare", "there", "gone"} {
						if to == "there" && len(house.clients) == 0 {
							continue
						}
						assert.Equal(t, want[column], route(t, test.typ, to, house.clients, archive), "to the one that is %s", to)
					}
				})
			}
		}
	}
}

// route delivers one message and says what has become of it.
func route(t *testing.T, typ stanza.MessageType, to string, clients []client, archive mam.Archive) string {
	t.Helper()
	if archive != nil {
		archive = new(mam.Memory)
	}
	h := &hub.Hub{Archive: archive, Offline: new(hub.MemoryOffline)}
	names := []string{"a", "b"}
	resources := make([]*hub.Resource, len(clients))
	for i, c := range clients {
		resources[i] = c(t, h, names[i])
	}
	address := romeo
	switch to {
	case "there":
		address = resources[0].JID()
	case "gone":
		address = jid.MustParse(romeo.String() + "/gone")
	}
	err := h.Deliver(t.Context(), romeo, typed(typ, address, "<body>hi</body>"))
	var out []string
	for i, r := range resources {
		got := texts(t, r)
		if len(got) > 0 {
			assert.Equal(t, []string{"hi"}, got)
			out = append(out, names[i])
		}
	}
	if len(waiting(t, h.Offline, romeo)) > 0 {
		out = append(out, "off")
	}
	if err != nil {
		refusedWith(t, err, stanza.ServiceUnavailable)
		assert.Empty(t, out, "what is refused goes nowhere")
		if archive != nil {
			assert.Empty(t, archived(t, archive, romeo), "what is refused is not archived")
		}
		return "refused"
	}
	return strings.Join(out, " ")
}

// TestRouteContent is what hints, preferences and stores change.
func TestRouteContent(t *testing.T) {
	const (
		body    = "<body>hi</body>"
		noStore = `<no-store xmlns="urn:xmpp:hints"/>`
		notLong = `<no-permanent-store xmlns="urn:xmpp:hints"/>`
		store   = `<store xmlns="urn:xmpp:hints"/>`
		state   = `<active xmlns="http://jabber.org/protocol/chatstates"/>`
	)
	full := func() hub.Offline { return &hub.MemoryOffline{MaxMessages: 1} }
	for _, test := range []struct {
		name     string
		inside   string
		typ      stanza.MessageType
		clients  []client
		prefs    mam.Default
		contact  bool
		nothing  bool // is archived
		offline  func() hub.Offline
		none     bool // there is no offline queue
		out      string
		archived bool
		refused  stanza.Condition
	}{
		{name: "no-store, nobody is there", inside: body + noStore, refused: stanza.ServiceUnavailable},
		{name: "no-store, somebody is there", inside: body + noStore, clients: []client{available(0)}, out: "a"},
		{name: "no-store, negative priority", inside: body + noStore, clients: []client{available(-1)}, refused: stanza.ServiceUnavailable},
		{name: "no-store, a silent one by a cut", inside: body + noStore, clients: []client{silent(bind2.Inline)}, refused: stanza.ServiceUnavailable},
		{name: "no-permanent-store, nobody is there", inside: body + notLong, out: "off"},
		{name: "no-permanent-store, a silent one by a cut", inside: body + notLong, clients: []client{silent(bind2.Inline)}, out: "off"},
		{name: "no-permanent-store, somebody is there", inside: body + notLong, clients: []client{available(0)}, out: "a"},
		{name: "store without a body, nobody is there", inside: store, out: "off", archived: true},
		{name: "store without a body, somebody is there", inside: store, clients: []client{available(0)}, out: "a", archived: true},
		{name: "a headline to store, somebody is there and somebody silent", typ: stanza.HeadlineMessage, inside: body + store, clients: []client{available(0), silent(bind2.Inline)}, out: "a b", archived: true},
		{name: "a headline to store, nobody is there", typ: stanza.HeadlineMessage, inside: body + store},
		{name: "without a body, nobody is there", inside: state},
		{name: "without a body, somebody is there", inside: state, clients: []client{available(0)}, out: "a"},
		{name: "an empty body, nobody is there", inside: "<body/>", out: "off", archived: true},
		{name: "preference never, nobody is there", inside: body, prefs: mam.Never, out: "off"},
		{name: "preference never, somebody is there", inside: body, prefs: mam.Never, clients: []client{available(0)}, out: "a"},
		{name: "preference never, a silent one by a cut", inside: body, prefs: mam.Never, clients: []client{silent(bind2.Early)}, out: "off"},
		{name: "preference roster, a contact", inside: body, prefs: mam.Roster, contact: true, out: "off", archived: true},
		{name: "preference roster, a stranger", inside: body, prefs: mam.Roster, out: "off"},
		{name: "a full queue, archived", inside: body, offline: full, out: "off", archived: true},
		{name: "a full queue, not archived", inside: body + notLong, offline: full, out: "off", refused: stanza.ServiceUnavailable},
		{name: "a full queue, somebody is there", inside: body + notLong, clients: []client{available(0)}, offline: full, out: "a off"},
		{name: "no queue, archived", inside: body, none: true, archived: true},
		{name: "no queue, not archived", inside: body, none: true, nothing: true, refused: stanza.ServiceUnavailable},
		{name: "no queue, a silent one by a cut", inside: body, none: true, clients: []client{silent(bind2.Early)}, out: "a", archived: true},
		{name: "no queue, somebody is there", inside: body, none: true, nothing: true, clients: []client{available(0)}, out: "a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			archive := new(mam.Memory)
			require.NoError(t, archive.SetPreferences(t.Context(), romeo, mam.Preferences{Default: test.prefs}))
			h := &hub.Hub{Archive: archive, Offline: new(hub.MemoryOffline)}
			h.InRoster = func(_ context.Context, account, contact jid.JID) bool {
				assert.Equal(t, romeo, account)
				assert.Equal(t, juliet.Bare(), contact)
				return test.contact
			}
			switch {
			case test.offline != nil:
				h.Offline = test.offline()
			case test.none:
				h.Offline = nil
			}
			if test.nothing {
				h.Archive = nil
			}
			var out []string
			resources := make([]*hub.Resource, len(test.clients))
			for i, c := range test.clients {
				resources[i] = c(t, h, []string{"a", "b"}[i])
			}
			if test.offline != nil {
				require.NoError(t, h.Offline.Add(t.Context(), romeo, hub.OfflineMessage{XML: []byte(`<message xmlns="jabber:client"/>`)}))
			}
			typ := test.typ
			if typ == "" {
				typ = stanza.ChatMessage
			}
			err := h.Deliver(t.Context(), romeo, typed(typ, romeo, test.inside))
			for i, r := range resources {
				got := arrived(t, r)
				if len(got) == 0 {
					continue
				}
				require.Len(t, got, 1)
				assert.Equal(t, test.archived, len(got[0].IDs) == 1, "it has the archive's id")
				out = append(out, []string{"a", "b"}[i])
			}
			if h.Offline != nil && len(waiting(t, h.Offline, romeo)) > 0 {
				out = append(out, "off")
			}
			assert.Equal(t, test.out, strings.Join(out, " "))
			assert.Equal(t, test.archived, len(archived(t, archive, romeo)) == 1, "it is archived")
			if test.refused != "" {
				refusedWith(t, err, test.refused)
				return
			}
			assert.NoError(t, err)
		})
	}
}
