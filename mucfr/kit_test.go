// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr_test

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"

	"github.com/xmppext/xmppext/mucfr"
)

var orchard = jid.MustParse("orchard@chat.capulet.lit")

// full returns the address of somebody's client.
func full(name string) jid.JID { return jid.MustParse(name + "@montague.lit/lane") }

// payload reads what is in a stanza.
func payload(t testing.TB, s string) mucfr.Payload {
	t.Helper()
	p, err := mucfr.ReadPayload(xml.NewDecoder(strings.NewReader(s)))
	require.NoError(t, err)
	return p
}

// presence reads what is in a presence.
func presence(t testing.TB, s string) mucfr.Presence {
	t.Helper()
	p, err := mucfr.ReadPresence(xml.NewDecoder(strings.NewReader(s)))
	require.NoError(t, err)
	return p
}

const (
	optIn  = `<presence-session xmlns="urn:xmpp:presence-session:0"/>`
	enters = `<x xmlns="http://jabber.org/protocol/muc"/>`
)

// resume asks for what has changed since a stanza.
func resume(e mucfr.Element) string {
	return fmt.Sprintf(`<presence-session xmlns="urn:xmpp:presence-session:0" session=%q id=%q type="resume"/>`, e.Session, e.ID)
}

// a room, as a test uses it.
type room struct {
	*mucfr.Room
	t    testing.TB
	last map[string]mucfr.Element // by client, of the last stanza
}

func newRoom(t testing.TB, opts mucfr.Options) *room {
	return &room{mucfr.NewRoom(orchard, opts), t, make(map[string]mucfr.Element)}
}

// got returns the stanzas for one, in a few words each, and notes what all have seen.
func (r *room) got(who string) func(to []mucfr.Stanza, err error) []string {
	return func(to []mucfr.Stanza, err error) []string {
		r.t.Helper()
		require.NoError(r.t, err)
		for _, s := range to {
			if e, ok := s.Element(); ok {
				r.last[s.To.String()] = mucfr.Element{Session: e.Session, ID: e.ID, Type: mucfr.Resume}
			}
		}
		return words(r.t, to, full(who))
	}
}

// enter lets somebody in, with elements in the presence, and returns what it gets.
func (r *room) enter(who, nick string, role muc.Role, elements string) []string {
	r.t.Helper()
	return r.got(who)(r.Join(mucfr.Join{
		JID: full(who), Nick: nick, Role: role, Presence: presence(r.t, enters+elements),
	}))
}

// again lets somebody in who resumes at the last stanza.
func (r *room) again(who, nick string, role muc.Role, elements string) []string {
	r.t.Helper()
	return r.enter(who, nick, role, elements+resume(r.last[full(who).String()]))
}

// say lets somebody say something.
func (r *room) say(who, text string) {
	r.t.Helper()
	r.got(who)(r.Say(full(who), "", payload(r.t, "<body>"+text+"</body>")))
}

// stanza is one as a client reads it.
type stanza struct {
	XMLName xml.Name
	From    jid.JID `xml:"from,attr"`
	To      jid.JID `xml:"to,attr"`
	Type    string  `xml:"type,attr"`
	ID      string  `xml:"id,attr"`
	Inner   string  `xml:",innerxml"`
	Body    string  `xml:"body"`
	Subject *string `xml:"subject"`
	Show    string  `xml:"show"`
	Delay   *struct {
		From string `xml:"from,attr"`
	} `xml:"urn:xmpp:delay delay"`
	User *struct {
		Item struct {
			Affiliation string `xml:"affiliation,attr"`
			Role        string `xml:"role,attr"`
			Nick        string `xml:"nick,attr"`
			JID         string `xml:"jid,attr"`
		} `xml:"item"`
		Status []struct {
			Code string `xml:"code,attr"`
		} `xml:"status"`
		Destroy *struct{} `xml:"destroy"`
	} `xml:"http://jabber.org/protocol/muc#user x"`
	Mark []struct {
		Session string `xml:"session,attr"`
		ID      string `xml:"id,attr"`
		Type    string `xml:"type,attr"`
	} `xml:"urn:xmpp:presence-session:0 presence-session"`
}

func read(t testing.TB, s mucfr.Stanza) stanza {
	t.Helper()
	var read stanza
	require.NoError(t, xml.Unmarshal(s.AppendXML(nil), &read), "%s", s.AppendXML(nil))
	require.Equal(t, orchard, read.From.Bare())
	require.Equal(t, s.To, read.To)
	require.Equal(t, s.Presence(), read.XMLName.Local == "presence")
	return read
}

// words describes the stanzas for a client: who they are from, or "room"; what they
// say; in parentheses role and address; codes; and "*" if there is an id.
func words(t testing.TB, to []mucfr.Stanza, client jid.JID) []string {
	t.Helper()
	var all []string
	for _, one := range to {
		if !one.To.Equal(client) {
			continue
		}
		s := read(t, one)
		w := []string{s.From.Resourcepart()}
		if w[0] == "" {
			w[0] = "room"
		}
		if s.Type == "unavailable" {
			w = append(w, "gone")
		}
		if s.Show != "" {
			w = append(w, s.Show)
		}
		if s.XMLName.Local == "message" {
			require.Equal(t, "groupchat", s.Type)
			if s.Body != "" {
				w = append(w, "says "+s.Body)
			}
			if s.Subject != nil {
				w = append(w, strings.TrimSpace("subject "+*s.Subject))
			}
		}
		if s.Delay != nil {
			require.Equal(t, orchard.String(), s.Delay.From)
			w = append(w, "late")
		}
		if s.User != nil {
			if s.XMLName.Local == "presence" {
				w = append(w, "("+strings.TrimSpace(s.User.Item.Role+" "+s.User.Item.JID)+")")
			}
			if s.User.Item.Nick != "" {
				w = append(w, "as "+s.User.Item.Nick)
			}
			for _, code := range s.User.Status {
				w = append(w, code.Code)
			}
		}
		require.LessOrEqual(t, len(s.Mark), 1)
		if len(s.Mark) == 1 {
			if s.Mark[0].Type != "" {
				require.Equal(t, mucfr.Truncated, s.Mark[0].Type)
				require.Empty(t, s.Mark[0].ID+s.Mark[0].Session+s.Body)
				w = append(w, "truncated")
			} else {
				require.NotEmpty(t, s.Mark[0].ID)
				require.NotEmpty(t, s.Mark[0].Session)
				w = append(w, "*")
			}
		}
		all = append(all, strings.Join(w, " "))
	}
	return all
}

// without returns the words of all but the subject, which ends them.
func without(t testing.TB, all []string) []string {
	t.Helper()
	require.NotEmpty(t, all)
	require.True(t, strings.HasPrefix(all[len(all)-1], "room subject"), all[len(all)-1])
	return slices.Clone(all[:len(all)-1])
}

// unheard is for what nobody gets.
func (r *room) unheard(_ []mucfr.Stanza, err error) {
	r.t.Helper()
	require.NoError(r.t, err)
}
