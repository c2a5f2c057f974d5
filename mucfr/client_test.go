// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"
	mstanza "mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/mucfr"
)

func TestClientJoin(t *testing.T) {
	t.Run("MF-08: the next session resumes", func(t *testing.T) {
		service := newClientService()
		service.enter(t, "Juliet", "Tybalt")
		o := mucfr.NewOccupancy(occRoom)
		for visit, want := range []string{"Juliet Romeo Tybalt", "Juliet Mercutio Romeo Tybalt", "Benvolio Juliet Mercutio Romeo Tybalt"} {
			told := make(changes, 100)
			c := &mucfr.Client{Changed: told.changed}
			p := clientCalls(t, c, nil, service)
			require.NoError(t, c.Join(clientContext(t), p.Client, o, mucfr.JoinOptions{}))
			assert.True(t, o.Inside())
			assert.True(t, o.Supported())
			assert.Equal(t, visit > 0, told.until(t, mucfr.RoomJoined).Resumed)
			assert.Equal(t, want, strings.Join(occNicks(o), " "))
			told.until(t, mucfr.SubjectChanged)
			require.NoError(t, p.Close())
			service.enter(t, []string{"Mercutio", "Benvolio", "Paris"}[visit])
		}
	})
	t.Run("MF-29: on the same session, too", func(t *testing.T) {
		told := make(changes, 100)
		c := &mucfr.Client{Changed: told.changed}
		p := clientCalls(t, c, nil, newClientService())
		o := mucfr.NewOccupancy(occRoom)
		for _, resumed := range []bool{false, true, true} {
			require.NoError(t, c.Join(clientContext(t), p.Client, o, mucfr.JoinOptions{}))
			assert.Equal(t, resumed, told.until(t, mucfr.RoomJoined).Resumed)
			told.until(t, mucfr.SubjectChanged)
		}
	})
	t.Run("MF-02: a room without fast reconnects", func(t *testing.T) {
		service := newClientService()
		service.answer = func(_, _, _, presence string) ([]string, bool) {
			assert.NotContains(t, presence, "resume")
			return []string{occHere("Juliet", ""), occHere("Romeo", "", self), occMessage("", "<subject/>")}, true
		}
		c := new(mucfr.Client)
		p := clientCalls(t, c, nil, service)
		o := mucfr.NewOccupancy(occRoom)
		for range 2 {
			require.NoError(t, c.Join(clientContext(t), p.Client, o, mucfr.JoinOptions{}))
			assert.False(t, o.Supported())
			assert.Equal(t, []string{"Juliet", "Romeo"}, occNicks(o))
		}
	})
	t.Run("MF-03: what is sent", func(t *testing.T) {
		service := newClientService()
		c := new(mucfr.Client)
		p := clientCalls(t, c, nil, service)
		var (
			three, none = 3, 0
			half        = 1500 * time.Millisecond
			since       = time.Date(2026, 6, 24, 20, 15, 0, 5e8, time.FixedZone("", 7200))
		)
		for rule, test := range map[string]struct {
			opts mucfr.JoinOptions
			want string
		}{
			"nothing in particular": {mucfr.JoinOptions{}, `<x xmlns="http://jabber.org/protocol/muc"/>` + optIn},
			"all that there is": {
				mucfr.JoinOptions{
					Password: "cauldron<>",
					History:  mucfr.History{MaxStanzas: &three, MaxChars: &none, Last: &half, Since: &since},
					Payload:  payload(t, `<show>away</show><c xmlns="http://jabber.org/protocol/caps" xmlns:p="urn:example:0" p:node="n" xml:lang="it" ver="v"><d/></c>`),
				},
				`<x xmlns="http://jabber.org/protocol/muc"><history maxchars="0" maxstanzas="3" seconds="2" since="2026-06-24T18:15:00.5Z"/><password>cauldron&lt;&gt;</password></x>` +
					optIn + `<show>away</show><c xmlns="http://jabber.org/protocol/caps" xmlns:p="urn:example:0" p:node="n" xml:lang="it" ver="v"><d/></c>`,
			},
			"no history": {mucfr.JoinOptions{History: mucfr.None()}, `<x xmlns="http://jabber.org/protocol/muc"><history maxchars="0"/></x>` + optIn},
		} {
			t.Run(rule, func(t *testing.T) {
				require.NoError(t, c.Join(clientContext(t), p.Client, mucfr.NewOccupancy(occRoom), test.opts))
				sent := service.lastSent(t)
				var got struct {
					To   string `xml:"to,attr"`
					Type string `xml:"type,attr"`
					ID   string `xml:"id,attr"`
				}
				require.NoError(t, xml.Unmarshal([]byte(sent), &got))
				assert.Equal(t, occRoom.String(), got.To)
				assert.Empty(t, got.Type)
				want := fmt.Sprintf(`<presence xmlns="jabber:client" to=%q id=%q>%s</presence>`, got.To, got.ID, test.want)
				assert.Equal(t, clientCanonical(t, want), clientCanonical(t, sent))
				assert.NotContains(t, string(p.Link.Sent(xmpptest.Client)), "_xmlns", "a namespace is declared once")
			})
		}
	})
	t.Run("several rooms at once", func(t *testing.T) {
		service := newClientService()
		service.answer = func(to, _, _, _ string) ([]string, bool) {
			room, _, _ := strings.Cut(to, "@")
			return []string{strings.Replace(occHere("Romeo", "1", self), "grove@", room+"@", 1)}, true
		}
		c := new(mucfr.Client)
		p := clientCalls(t, c, nil, service)
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				o := mucfr.NewOccupancy(jid.MustParse(fmt.Sprintf("room%d@chat.example/Romeo", i)))
				assert.NoError(t, c.Join(clientContext(t), p.Client, o, mucfr.JoinOptions{}))
				assert.True(t, o.Inside())
			})
		}
		wg.Wait()
	})
}

func TestClientJoinFails(t *testing.T) {
	refusal := func(id, condition string) string {
		return strings.Replace(occPresence("Romeo", "error", `<error type="cancel"><`+condition+` xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error>`), " to=", fmt.Sprintf(" id=%q to=", id), 1)
	}
	t.Run("MF-25: the room refuses, and another nickname does it", func(t *testing.T) {
		service := newClientService()
		service.answer = func(to, _, id, _ string) ([]string, bool) {
			return []string{refusal("other", "forbidden"), refusal(id, "conflict")}, strings.HasSuffix(to, "/Romeo")
		}
		c := new(mucfr.Client)
		p := clientCalls(t, c, nil, service)
		o := mucfr.NewOccupancy(occRoom)
		err := c.Join(clientContext(t), p.Client, o, mucfr.JoinOptions{})
		require.ErrorIs(t, err, mstanza.Error{Condition: mstanza.Conflict}, "of the error that answers this presence")
		assert.Contains(t, err.Error(), "mucfr: entering grove@chat.example/Romeo: ")
		assert.False(t, o.Inside())
		require.NoError(t, o.SetNick("Ro"))
		require.NoError(t, c.Join(clientContext(t), p.Client, o, mucfr.JoinOptions{}))
		assert.Equal(t, "Ro", o.Nick())
	})
	t.Run("the room removes the client meanwhile", func(t *testing.T) {
		service := newClientService()
		service.answer = func(string, string, string, string) ([]string, bool) {
			return []string{occGone("Romeo", "", self, mucfr.StatusBanned)}, true
		}
		c := new(mucfr.Client)
		p := clientCalls(t, c, nil, service)
		require.ErrorIs(t, c.Join(clientContext(t), p.Client, mucfr.NewOccupancy(occRoom), mucfr.JoinOptions{}), mucfr.ErrRemoved)
	})
	t.Run("it does not wait for longer than it may, and a late answer is taken", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			service := newClientService()
			service.answer = func(string, string, string, string) ([]string, bool) { return nil, true }
			told := make(changes, 100)
			c := &mucfr.Client{Changed: told.changed}
			p := clientCalls(t, c, nil, service)
			o := mucfr.NewOccupancy(occRoom)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begin := time.Now()
			done := make(chan error)
			go func() { done <- c.Join(ctx, p.Client, o, mucfr.JoinOptions{}) }()
			synctest.Wait()
			require.ErrorIs(t, c.Join(ctx, p.Client, o, mucfr.JoinOptions{}), mucfr.ErrBusy)
			require.ErrorIs(t, <-done, context.DeadlineExceeded)
			assert.Equal(t, time.Second, time.Since(begin))
			assert.False(t, o.Inside())
			arrives(t, p, occHere("Romeo", "1", self))
			told.until(t, mucfr.RoomJoined)
			assert.True(t, o.Inside())
			service.mu.Lock()
			service.answer = nil
			service.mu.Unlock()
			require.NoError(t, c.Join(t.Context(), p.Client, o, mucfr.JoinOptions{}), "and may be asked again")
			require.NoError(t, p.Close())
		})
	})
	t.Run("nothing can be sent", func(t *testing.T) {
		c := new(mucfr.Client)
		p := clientCalls(t, c, nil, newClientService())
		o := mucfr.NewOccupancy(occRoom)
		require.NoError(t, c.Join(clientContext(t), p.Client, o, mucfr.JoinOptions{}))
		require.NoError(t, p.Close())
		for range 2 {
			err := c.Join(clientContext(t), p.Client, o, mucfr.JoinOptions{})
			require.Error(t, err)
			require.NotErrorIs(t, err, mucfr.ErrBusy)
			assert.False(t, o.Inside())
			assert.Equal(t, []string{"Romeo"}, occNicks(o), "what was known is kept")
			assert.Equal(t, mucfr.Change{}, occApply(t, o, occHere("Romeo", "9", self)), "nothing answers it")
		}
	})
	t.Run("there is no nickname", func(t *testing.T) {
		p := clientCalls(t, new(mucfr.Client), nil, nil)
		for _, o := range []*mucfr.Occupancy{mucfr.NewOccupancy(occRoom.Bare()), new(mucfr.Occupancy)} {
			require.ErrorIs(t, new(mucfr.Client).Join(clientContext(t), p.Client, o, mucfr.JoinOptions{}), mucfr.ErrAddress)
		}
	})
}

func TestClientLeave(t *testing.T) {
	t.Run("what the room says is where to resume", func(t *testing.T) {
		service := newClientService()
		service.enter(t, "Juliet")
		told := make(changes, 100)
		c := &mucfr.Client{Changed: told.changed}
		p := clientCalls(t, c, nil, service)
		o := mucfr.NewOccupancy(occRoom)
		require.ErrorIs(t, c.Leave(clientContext(t), p.Client, o, ""), mucfr.ErrNotInside)
		require.NoError(t, c.Join(clientContext(t), p.Client, o, mucfr.JoinOptions{}))
		require.NoError(t, c.Leave(clientContext(t), p.Client, o, "Parting & sorrow"))
		assert.False(t, o.Inside())
		assert.Contains(t, service.lastSent(t), "Parting &amp; sorrow</status>")
		assert.Equal(t, mucfr.Change{Kind: mucfr.RoomLeft, Nick: "Romeo", Codes: []int{self}}, told.until(t, mucfr.RoomLeft))
		require.NoError(t, c.Join(clientContext(t), p.Client, o, mucfr.JoinOptions{}))
		assert.True(t, told.until(t, mucfr.RoomJoined).Resumed)
		require.NoError(t, c.Leave(clientContext(t), p.Client, o, ""))
		assert.NotContains(t, service.lastSent(t), "status")
	})
	t.Run("the room does not let it go", func(t *testing.T) {
		service := newClientService()
		service.answer = func(_, typ, id, _ string) ([]string, bool) {
			return []string{fmt.Sprintf(`<presence xmlns="jabber:client" from="grove@chat.example/Romeo" type="error" id=%q><error type="wait"><resource-constraint xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></presence>`, id)}, typ == "unavailable"
		}
		c := new(mucfr.Client)
		p := clientCalls(t, c, nil, service)
		o := mucfr.NewOccupancy(occRoom)
		require.NoError(t, c.Join(clientContext(t), p.Client, o, mucfr.JoinOptions{}))
		err := c.Leave(clientContext(t), p.Client, o, "")
		require.ErrorIs(t, err, mstanza.Error{Condition: mstanza.ResourceConstraint})
		assert.True(t, o.Inside())
	})
}
