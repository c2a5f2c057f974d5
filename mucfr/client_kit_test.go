// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/mucfr"
)

// A clientService is a chat service with the room occRoom, as the handler of a server with
// one client.
type clientService struct {
	room *mucfr.Room

	// answer, if set, answers in place of the room, and says false to leave it to that.
	answer func(to, typ, id, presence string) (stanzas []string, ok bool)

	mu   sync.Mutex
	sent []string // by the client, to the room
}

func newClientService() *clientService {
	return &clientService{room: mucfr.NewRoom(occRoom.Bare(), mucfr.Options{})}
}

// clientJID is the address of the only client.
var clientJID = jid.MustParse("romeo@montague.example/lane")

// HandleXMPP answers a presence.
func (s *clientService) HandleXMPP(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	var b bytes.Buffer
	e := xml.NewEncoder(&b)
	plain := xmlstream.RemoveAttr(func(_ xml.StartElement, a xml.Attr) bool {
		return a.Name.Space == "xmlns" || a.Name.Local == "xmlns" // The encoder declares them, too.
	})
	if _, err := xmlstream.Copy(e, plain(xmlstream.MultiReader(xmlstream.Token(*start), t))); err != nil {
		return err
	}
	if err := e.Flush(); err != nil {
		return err
	}
	var p struct {
		To    jid.JID `xml:"to,attr"`
		Type  string  `xml:"type,attr"`
		ID    string  `xml:"id,attr"`
		Inner string  `xml:",innerxml"`
	}
	if err := xml.Unmarshal(b.Bytes(), &p); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, b.String())
	if s.answer != nil {
		if stanzas, ok := s.answer(p.To.String(), p.Type, p.ID, p.Inner); ok {
			for _, stanza := range stanzas {
				if _, err := xmlstream.Copy(t, occTokens(stanza)); err != nil {
					return err
				}
			}
			return nil
		}
	}
	stanzas, err := s.heard(p.To, p.Type, p.Inner)
	if err != nil {
		return err
	}
	for _, stanza := range stanzas {
		if !stanza.To.Equal(clientJID) {
			continue
		}
		if _, err := stanza.WriteXML(t); err != nil {
			return err
		}
	}
	return nil
}

// heard tells the room what the client has sent.
func (s *clientService) heard(to jid.JID, typ, inner string) ([]mucfr.Stanza, error) {
	p, err := mucfr.ReadPresence(occTokens(inner))
	if err != nil {
		return nil, err
	}
	if typ == "unavailable" {
		return s.room.Leave(clientJID, p.Payload)
	}
	return s.room.Join(mucfr.Join{JID: clientJID, Nick: to.Resourcepart(), Role: muc.RoleParticipant, Presence: p})
}

// enter lets others in, of whom the client is not told.
func (s *clientService) enter(t testing.TB, nicks ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, nick := range nicks {
		_, err := s.room.Join(mucfr.Join{JID: jid.MustParse(strings.ToLower(nick) + "@capulet.example/balcony"), Nick: nick, Role: muc.RoleParticipant})
		require.NoError(t, err)
	}
}

// lastSent returns what the client has sent last.
func (s *clientService) lastSent(t testing.TB) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NotEmpty(t, s.sent)
	return s.sent[len(s.sent)-1]
}

// clientCalls returns a session of the client with a server, both of which are served.
func clientCalls(t testing.TB, c *mucfr.Client, next xmpp.Handler, server xmpp.Handler) *xmpptest.Pair {
	t.Helper()
	p := xmpptest.NewPair(t, xmpptest.PairConfig{
		Location: jid.MustParse("montague.example"), Client: clientJID.Bare(),
	})
	p.Serve(c.Handler(next), server)
	return p
}

// clientContext ends a test that hangs.
func clientContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// arrives sends stanzas to the client.
func arrives(t testing.TB, p *xmpptest.Pair, stanzas ...string) {
	t.Helper()
	for _, s := range stanzas {
		require.NoError(t, p.Server.Send(clientContext(t), occTokens(s)))
	}
}

// A changes notes what a Client tells.
type changes chan mucfr.Change

func (c changes) changed(_ *mucfr.Occupancy, one mucfr.Change) { c <- one }

// next returns the next change.
func (c changes) next(t testing.TB) mucfr.Change {
	t.Helper()
	select {
	case one := <-c:
		return one
	case <-clientContext(t).Done():
		require.FailNow(t, "nothing has changed")
		return mucfr.Change{}
	}
}

// until returns the next change of a kind.
func (c changes) until(t testing.TB, kind mucfr.ChangeKind) mucfr.Change {
	t.Helper()
	for {
		if one := c.next(t); one.Kind == kind {
			return one
		}
	}
}

// clientCanonical returns some XML in a form that is the same for all ways to write it.
func clientCanonical(t testing.TB, s string) string {
	t.Helper()
	var b strings.Builder
	for r := occTokens(s); ; {
		tok, err := r.Token()
		switch tok := tok.(type) {
		case xml.StartElement:
			var attrs []string
			for _, a := range tok.Attr {
				if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" {
					attrs = append(attrs, fmt.Sprintf(" %s %s=%q", a.Name.Space, a.Name.Local, a.Value))
				}
			}
			slices.Sort(attrs)
			fmt.Fprintf(&b, "<%s %s%s>\n", tok.Name.Space, tok.Name.Local, strings.Join(attrs, ""))
		case xml.EndElement:
			fmt.Fprintf(&b, "</%s>\n", tok.Name.Local)
		case xml.CharData:
			if text := strings.TrimSpace(string(tok)); text != "" {
				fmt.Fprintf(&b, "%q\n", text)
			}
		}
		if err == io.EOF {
			return b.String()
		}
		require.NoError(t, err, s)
	}
}
