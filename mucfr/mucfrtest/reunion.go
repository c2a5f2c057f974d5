// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfrtest

import (
	"context"
	"encoding/xml"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"

	"github.com/xmppext/xmppext/mucfr"
)

var reunionRules = []rule[mucfr.Store]{
	{
		name: "a room that was closed",
		says: "A room that was closed is the same when it is opened again: who comes back gets what has changed, and no more.",
		check: func(ctx context.Context, t testing.TB, s mucfr.Store) {
			p := openParty(ctx, t, s)
			p.happen(t)
			want := p.describe()
			require.NoError(t, p.room.Close(ctx))
			p.reopen(ctx, t, s)
			require.Equal(t, want, p.describe())
			p.assertResumes(t, false)
		},
	},
	{
		name: "a room that was lost",
		says: "A room that was not closed is what it was when it was saved last, as often as that happens.",
		check: func(ctx context.Context, t testing.TB, s mucfr.Store) {
			p := openParty(ctx, t, s)
			p.happen(t)
			require.NoError(t, p.room.Save()(ctx))
			want := p.describe()
			for range 3 {
				_, err := p.room.Say(jid.JID{}, "", read(t, "<body>nobody will know</body>"))
				require.NoError(t, err)
				_, err = p.room.Remove("nobody", muc.AffiliationOutcast, mucfr.Why{})
				require.NoError(t, err)
				p.reopen(ctx, t, s)
				require.Equal(t, want, p.describe())
			}
			p.assertResumes(t, true)
		},
	},
	{
		name: "a room that was deleted",
		says: "A room that was deleted is a new one when it is opened again, without anybody inside.",
		check: func(ctx context.Context, t testing.TB, s mucfr.Store) {
			p := openParty(ctx, t, s)
			p.happen(t)
			require.NoError(t, p.room.Close(ctx))
			require.NoError(t, s.Delete(ctx, p.room.Address()))
			was := p.room.Session()
			p.reopen(ctx, t, s)
			require.NotEqual(t, was, p.room.Session())
			require.Zero(t, p.room.Len())
		},
	},
}

// oddNicks are nicknames that a store may stumble over.
var oddNicks = []string{"hag", "Hag", "o'hag", `"hag"`, "hag/thane", "e\u0301clair", "\u65e5\u672c \U0001f642", "nobody"}

// A party is a room in which something happens.
type party struct {
	room  *mucfr.Room
	marks map[string]mucfr.Element // the last of each client
}

func openParty(ctx context.Context, t testing.TB, s mucfr.Store) *party {
	t.Helper()
	p := &party{marks: make(map[string]mucfr.Element)}
	p.reopen(ctx, t, s)
	for i, nick := range oddNicks {
		p.enter(t, i, p.prepared(t, nick), mucfr.Element{})
	}
	return p
}

func (p *party) reopen(ctx context.Context, t testing.TB, s mucfr.Store) {
	t.Helper()
	r, err := mucfr.OpenRoom(ctx, address(t, "coven@chat.example"), mucfr.Options{}, s)
	require.NoError(t, err)
	p.room = r
}

// prepared returns a nickname as rooms want it.
func (p *party) prepared(t testing.TB, nick string) string {
	t.Helper()
	at, err := p.room.Address().WithResource(nick)
	require.NoError(t, err)
	return at.Resourcepart()
}

// client returns the address of the ith client.
func client(t testing.TB, i int) jid.JID {
	t.Helper()
	return address(t, fmt.Sprintf("user%d@example.net/client", i))
}

// enter lets the ith client enter, and returns what it gets.
func (p *party) enter(t testing.TB, i int, nick string, ask mucfr.Element) (own []mucfr.Stanza) {
	t.Helper()
	full := client(t, i)
	all, err := p.room.Join(mucfr.Join{
		JID: full, Nick: nick, Role: muc.RoleParticipant,
		Presence: mucfr.Presence{MUC: true, Request: &ask, Payload: read(t, "<show>away</show>")},
	})
	p.hear(t, all, err)
	for _, s := range all {
		if s.To.Equal(full) {
			own = append(own, s)
		}
	}
	return own
}

// hear notes the last annotation of each client.
func (p *party) hear(t testing.TB, all []mucfr.Stanza, err error) {
	t.Helper()
	require.NoError(t, err)
	for _, s := range all {
		if e, ok := s.Element(); ok {
			e.Type = mucfr.Resume
			p.marks[s.To.String()] = e
		}
	}
}

// happen lets something of every kind happen. The first client is cut off in the
// middle of it.
func (p *party) happen(t testing.TB) {
	t.Helper()
	say := func(i int, children string) {
		all, err := p.room.Say(client(t, i), fmt.Sprint("id'", i), read(t, children))
		p.hear(t, all, err)
	}
	say(1, "<body>before</body>")
	say(2, "<subject>toil &amp; trouble</subject>")
	mark := p.marks[client(t, 0).String()]
	say(3, "<body>after \U0001f642</body>")
	all, err := p.room.Leave(client(t, 5), mucfr.Payload{})
	p.hear(t, all, err)
	all, err = p.room.Rename(client(t, 2), "a/ 'second' <witch>")
	p.hear(t, all, err)
	all, err = p.room.Set(`"hag"`, muc.AffiliationOwner, muc.RoleModerator, mucfr.Why{})
	p.hear(t, all, err)
	all, err = p.room.Update(client(t, 4), read(t, "<status>"+strings.Repeat("long ", 1000)+"</status>"))
	p.hear(t, all, err)
	p.marks[client(t, 0).String()] = mark
}

// describe returns what can be seen of the room.
func (p *party) describe() []string {
	all := []string{p.room.Session(), fmt.Sprint(p.room.Config())}
	for o := range p.room.Occupants() {
		all = append(all, fmt.Sprint(o.Nick, o.JIDs, o.Affiliation, o.Role, o.Payload))
	}
	return all
}

// assertResumes lets the first client come back, which gets what it has missed, and is
// told if it may miss more.
func (p *party) assertResumes(t testing.TB, lost bool) {
	t.Helper()
	var got strings.Builder
	for _, s := range p.enter(t, 0, "hag", p.marks[client(t, 0).String()]) {
		got.Write(s.AppendXML(nil))
	}
	for text, want := range map[string]bool{
		`<presence from="coven@chat.example" type="unavailable"`: false, // It is not reset.
		"from=\"coven@chat.example/\u00e9clair\" type=\"unavail": true,
		`nick="a/ &#39;second&#39; &lt;witch&gt;"`:               true,
		`<body>before</body>`:                                    false,
		"<body>after \U0001f642</body>":                          true,
		`<subject>toil &amp; trouble</subject>`:                  true,
		`affiliation="owner" role="moderator"`:                   true,
		`coven@chat.example/nobody`:                              false, // It has not changed.
		`type="truncated"`:                                       lost,
	} {
		if strings.Contains(got.String(), text) != want {
			t.Errorf("%q is among what it gets: %t, want %t", text, !want, want)
		}
	}
	if t.Failed() {
		t.Logf("It gets:\n%s", strings.ReplaceAll(got.String(), "><presence ", ">\n<presence "))
	}
}

// read returns a payload.
func read(t testing.TB, children string) mucfr.Payload {
	t.Helper()
	p, err := mucfr.ReadPayload(xml.NewDecoder(strings.NewReader(children)))
	require.NoError(t, err)
	return p
}
