// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/examples/mucroom/groupchat"
)

// court is a room with somebody of each kind: owner, owner2, admin, admin2, member,
// moderator (who is no member), participant and visitor.
func court(t *testing.T) (h *house, all map[string]*client) {
	t.Helper()
	h = open(t, groupchat.Options{})
	all = make(map[string]*client)
	for _, who := range []string{"owner", "owner2", "admin", "admin2", "member", "moderator", "participant", "visitor"} {
		c := h.client(who + "@shakespeare.example/desk")
		all[who] = c
		c.join(who, fast)
		if who == "owner" {
			c.configure()
		}
	}
	require.Empty(t, all["owner"].admin(
		`<item affiliation="owner" jid="owner2@shakespeare.example"/>`+
			`<item affiliation="admin" jid="admin@shakespeare.example"/>`+
			`<item affiliation="admin" jid="admin2@shakespeare.example"/>`+
			`<item affiliation="member" jid="member@shakespeare.example"/>`+
			`<item affiliation="outcast" jid="outcast@shakespeare.example"/>`))
	require.Empty(t, all["owner"].admin(`<item role="moderator" nick="moderator"/><item role="visitor" nick="visitor"/>`))
	h.quiet()
	return h, all
}

func TestRoles(t *testing.T) {
	for _, tc := range []struct{ by, role, nick, want string }{
		// Kicks.
		{"owner", "none", "owner2", ""},
		{"owner", "none", "admin", ""},
		{"owner", "none", "moderator", ""},
		{"admin", "none", "owner", "not-allowed"},
		{"admin", "none", "admin2", ""},
		{"admin", "none", "moderator", ""},
		{"admin", "none", "member", ""},
		{"moderator", "none", "owner", "not-allowed"},
		{"moderator", "none", "admin", "not-allowed"},
		{"moderator", "none", "member", "not-allowed"},
		{"moderator", "none", "participant", ""},
		{"moderator", "none", "visitor", ""},
		{"moderator", "none", "moderator", "not-allowed"},
		{"member", "none", "visitor", "forbidden"},
		{"participant", "none", "visitor", "forbidden"},
		{"visitor", "none", "participant", "forbidden"},
		// Voice.
		{"moderator", "participant", "visitor", ""},
		{"moderator", "visitor", "participant", "not-allowed"},
		{"moderator", "visitor", "member", "not-allowed"},
		{"admin", "visitor", "member", ""},
		{"admin", "visitor", "participant", ""},
		{"admin", "visitor", "admin2", "not-allowed"},
		{"owner", "visitor", "admin", "not-allowed"},
		{"participant", "participant", "visitor", "forbidden"},
		// Moderators.
		{"owner", "moderator", "participant", ""},
		{"admin", "moderator", "visitor", ""},
		{"admin", "participant", "moderator", ""},
		{"admin", "participant", "admin2", "not-allowed"},
		{"owner", "participant", "admin", "not-allowed"},
		{"moderator", "moderator", "participant", "forbidden"},
		{"moderator", "participant", "moderator", "forbidden"},
		{"member", "moderator", "member", "forbidden"},
		// What is not there.
		{"owner", "participant", "nobody", "item-not-found"},
		{"owner", "king", "member", "bad-request"},
		{"owner", "participant", "participant", ""},
	} {
		t.Run(fmt.Sprintf("%s makes %s %s", tc.by, tc.nick, tc.role), func(t *testing.T) {
			h, all := court(t)
			said := all[tc.by].admin(`<item role="` + tc.role + `" nick="` + tc.nick + `"><reason>Boil</reason></item>`)
			assert.Equal(t, tc.want, said)
			watcher := all["owner"]
			var heard []string
			for _, one := range watcher.inbox {
				if one.XMLName.Local == "presence" {
					heard = append(heard, one.String())
				}
			}
			switch {
			case tc.want != "" || tc.role == tc.nick:
				assert.Empty(t, heard, "nothing has changed")
			case tc.role == "none":
				require.Len(t, heard, 1)
				assert.Contains(t, heard[0], tc.nick+" unavailable ")
				assert.Contains(t, heard[0], "/none jid="+tc.nick+"@shakespeare.example/desk actor="+tc.by+" reason=Boil 307 *")
				self := all[tc.nick].hears()
				assert.Contains(t, self[len(self)-1], "reason=Boil 110 307 *")
			default:
				require.Len(t, heard, 1)
				assert.Contains(t, heard[0], "/"+tc.role+" ")
			}
			h.quiet()
		})
	}
}

func TestAffiliations(t *testing.T) {
	for _, tc := range []struct{ by, affiliation, who, want string }{
		{"owner", "owner", "admin", ""},
		{"owner", "admin", "owner2", ""},
		{"owner", "none", "owner2", ""},
		{"owner", "none", "owner", ""},
		{"owner", "outcast", "admin", ""},
		{"owner", "outcast", "owner", "conflict"},
		{"owner", "admin", "participant", ""},
		{"admin", "member", "participant", ""},
		{"admin", "none", "member", ""},
		{"admin", "outcast", "participant", ""},
		{"admin", "outcast", "stranger", ""},
		{"admin", "none", "outcast", ""},
		{"admin", "outcast", "admin", "conflict"},
		{"admin", "outcast", "owner", "not-allowed"},
		{"admin", "outcast", "admin2", "not-allowed"},
		{"admin", "member", "admin2", "not-allowed"},
		{"admin", "admin", "participant", "forbidden"},
		{"admin", "owner", "participant", "forbidden"},
		{"admin", "none", "owner", "not-allowed"},
		{"member", "member", "participant", "forbidden"},
		{"moderator", "outcast", "visitor", "forbidden"},
		{"stranger", "owner", "stranger", "forbidden"},
		{"owner", "king", "member", "bad-request"},
	} {
		t.Run(fmt.Sprintf("%s makes %s %s", tc.by, tc.who, tc.affiliation), func(t *testing.T) {
			h, all := court(t)
			if tc.by == "stranger" {
				all[tc.by] = h.client("stranger@shakespeare.example/desk")
			}
			item := `<item affiliation="` + tc.affiliation + `" jid="` + tc.who + `@shakespeare.example"/>`
			assert.Equal(t, tc.want, all[tc.by].admin(item))
			list := all["owner2"].ask("get", cave, `<query xmlns="http://jabber.org/protocol/muc#admin"><item affiliation="`+tc.affiliation+`"/></query>`).text
			if tc.want == "" && tc.affiliation != "none" && tc.who != "owner2" {
				assert.Contains(t, list, tc.who+"@shakespeare.example")
			} else if tc.who != tc.by && tc.who != "owner2" {
				assert.NotContains(t, list, tc.who+"@shakespeare.example")
			}
		})
	}
	t.Run("who is banned is taken out, on all nicknames and clients", func(t *testing.T) {
		h, all := court(t)
		other := h.client("member@shakespeare.example/other")
		other.join("second", plain)
		h.quiet()
		require.Empty(t, all["owner"].admin(`<item affiliation="outcast" nick="member"><reason>Boil</reason></item>`))
		assert.Equal(t, []string{"member unavailable outcast/none actor=owner reason=Boil 110 301 *"}, all["member"].hears())
		assert.Equal(t, []string{
			"member unavailable outcast/none actor=owner reason=Boil 301",
			"second unavailable outcast/none actor=owner reason=Boil 110 301",
		}, other.hears())
		assert.Equal(t, []string{"member presence error forbidden"}, all["member"].join("member", plain))
	})
	t.Run("roles go with affiliations", func(t *testing.T) {
		_, all := court(t)
		require.Empty(t, all["owner"].admin(
			`<item affiliation="admin" jid="visitor@shakespeare.example"/>`+
				`<item affiliation="none" jid="admin@shakespeare.example"/>`+
				`<item affiliation="member" jid="moderator@shakespeare.example"/>`))
		assert.Equal(t, []string{
			"visitor admin/moderator actor=owner *",
			"admin none/participant actor=owner *",
			"moderator member/moderator actor=owner *",
		}, all["participant"].hears())
	})
	t.Run("members have voice", func(t *testing.T) {
		_, all := court(t)
		all["owner"].configure("moderatedroom", "1")
		require.Empty(t, all["owner"].admin(`<item affiliation="member" jid="visitor@shakespeare.example"/>`))
		assert.Equal(t, []string{"visitor member/participant actor=owner *"}, all["participant"].hears())
	})
	t.Run("who is no member any more leaves a room of members", func(t *testing.T) {
		_, all := court(t)
		all["owner"].configure("membersonly", "1")
		assert.Contains(t, all["participant"].hears(), "participant unavailable none/none 110 322 *")
		all["admin"].hears()
		require.Empty(t, all["owner"].admin(`<item affiliation="none" jid="member@shakespeare.example"/>`))
		assert.Equal(t, []string{"member unavailable none/none actor=owner 110 321 *"}, all["member"].hears()[3:])
		assert.Equal(t, []string{"member unavailable none/none jid=member@shakespeare.example/desk actor=owner 321 *"}, all["admin"].hears())
	})
	t.Run("there is an owner always", func(t *testing.T) {
		_, crone := coven(t)
		assert.Equal(t, "conflict", crone.admin(`<item affiliation="none" jid="crone@shakespeare.example"/>`))
		assert.Equal(t, "conflict", crone.admin(`<item affiliation="owner" jid="hag@shakespeare.example"/>`+
			`<item affiliation="none" jid="hag@shakespeare.example"/><item affiliation="admin" jid="crone@shakespeare.example"/>`))
		assert.Empty(t, crone.admin(`<item affiliation="owner" jid="hag@shakespeare.example"/><item affiliation="admin" jid="crone@shakespeare.example"/>`))
	})
	t.Run("of several changes all are made or none", func(t *testing.T) {
		h, crone, hag := pair(t)
		assert.Equal(t, "item-not-found", crone.admin(`<item affiliation="outcast" jid="hag@shakespeare.example"/><item role="none" nick="nobody"/>`))
		assert.Empty(t, hag.hears())
		toad := h.client("hag@shakespeare.example/other")
		assert.Contains(t, toad.join("hag", plain), "hag none/participant 110")
	})
	t.Run("there are not too many", func(t *testing.T) {
		_, crone := coven(t)
		refused := ""
		for i := 0; refused == "" && i <= groupchat.MaxAffiliations; i += groupchat.MaxItems {
			var items strings.Builder
			for j := range groupchat.MaxItems {
				fmt.Fprintf(&items, `<item affiliation="member" jid="toad%d@shakespeare.example"/>`, i+j)
			}
			refused = crone.admin(items.String())
		}
		assert.Equal(t, "resource-constraint", refused)
		assert.Equal(t, "bad-request", crone.admin(strings.Repeat(`<item affiliation="none" jid="toad1@shakespeare.example"/>`, groupchat.MaxItems+1)))
		assert.Empty(t, crone.admin(`<item affiliation="none" jid="toad1@shakespeare.example"/>`))
	})
	for rule, item := range map[string]string{
		"bad-request":      `<item/>`,
		"bad-request both": `<item role="visitor" affiliation="none" nick="member"/>`,
		"bad-request none": ``,
		"bad-request role": `<item role="visitor"/>`,
		"jid-malformed":    `<item affiliation="member" jid="@"/>`,
		"jid-malformed no": `<item affiliation="member"/>`,
		"policy-violation": `<item affiliation="member" jid="toad@shakespeare.example"><reason>` + strings.Repeat("x", groupchat.MaxText+1) + `</reason></item>`,
	} {
		t.Run("what cannot be is refused: "+rule, func(t *testing.T) {
			_, all := court(t)
			want, _, _ := strings.Cut(rule, " ")
			assert.Equal(t, want, all["owner"].admin(item))
		})
	}
}

func TestLists(t *testing.T) {
	for _, tc := range []struct{ item, by, want string }{
		{`affiliation="owner"`, "owner", "owner2 owner"},
		{`affiliation="owner"`, "admin", "forbidden"},
		{`affiliation="admin"`, "owner", "admin2 admin"},
		{`affiliation="admin"`, "admin", "forbidden"},
		{`affiliation="member"`, "admin", "member"},
		{`affiliation="member"`, "member", "forbidden"},
		{`affiliation="outcast"`, "admin", "outcast"},
		{`affiliation="outcast"`, "moderator", "forbidden"},
		{`affiliation="none"`, "owner", "bad-request"},
		{`role="moderator"`, "admin", "admin admin2 moderator owner owner2"},
		{`role="moderator"`, "moderator", "forbidden"},
		{`role="participant"`, "moderator", "member participant"},
		{`role="visitor"`, "moderator", "visitor"},
		{`role="visitor"`, "participant", "forbidden"},
		{`role="none"`, "owner", "bad-request"},
		{``, "owner", "bad-request"},
	} {
		t.Run(tc.by+" asks for "+tc.item, func(t *testing.T) {
			_, all := court(t)
			said := all[tc.by].ask("get", cave, `<query xmlns="http://jabber.org/protocol/muc#admin"><item `+tc.item+`/></query>`)
			if said.Type == "error" {
				assert.Equal(t, tc.want, said.condition())
				return
			}
			var names []string
			for _, part := range strings.Split(said.text, ` jid="`)[1:] {
				name, _, _ := strings.Cut(part, "@")
				names = append(names, name)
			}
			assert.Equal(t, tc.want, strings.Join(names, " "))
		})
	}
	t.Run("members see members where all see all", func(t *testing.T) {
		_, all := court(t)
		all["owner"].configure("membersonly", "1", "whois", "anyone")
		const query = `<query xmlns="http://jabber.org/protocol/muc#admin"><item affiliation="member"/></query>`
		assert.Equal(t, "result", all["member"].ask("get", cave, query).Type)
		assert.Equal(t, "forbidden", all["participant"].ask("get", cave, query).condition())
	})
}
