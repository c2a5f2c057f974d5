// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2_test

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/internal/interop"
	"github.com/xmppext/xmppext/pipelining"
)

var users = map[string]string{"juliet": password, "romeo": password}

func TestProsody(t *testing.T) {
	s := interop.Prosody(t, interop.Config{
		Users:   users,
		Modules: []string{"sasl2", "sasl2_bind2", "sasl2_sm", "smacks", "carbons", "csi", "csi_simple", "mam"},
	})
	t.Logf("Prosody %s", s.Version)
	testServer(t, s)
}

func TestEjabberd(t *testing.T) {
	s := interop.Ejabberd(t, interop.Config{
		Users:   users,
		Modules: []string{"carboncopy", "client_state", "mam", "stream_mgmt"},
	})
	t.Logf("ejabberd %s", s.Version)
	testServer(t, s)
}

// A visit is one login at a real server.
type visit struct {
	*xmpp.Session
	seen   func() []told
	copies chan string // the bodies of messages that were copied
}

// call logs in and begins to listen.
func call(t *testing.T, server *interop.Server, plan pipelining.Plan, sasl2 bool, c *bind2.Client, id string) *visit {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", server.DirectTLS)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	config := &tls.Config{RootCAs: server.Roots, ServerName: server.Domain}
	observer, seen := newClient()
	c.Observe = observer.Observe
	login := &auth.Client{
		Password:   auth.Password(password),
		Mechanisms: []string{auth.Plain},
		UserAgent:  auth.UserAgent{ID: id, Software: "Example"},
	}
	if sasl2 {
		login.Inline = []auth.ClientInline{c.Inline()}
	}
	account := jid.MustParse("juliet@" + server.Domain)
	s, err := xmpp.NewSession(ctx, account.Domain(), account, tls.Client(pipelining.NewConn(conn), config), 0, pipelining.Client(plan, pipelining.ClientConfig{
		Authenticator: login, Binder: c.Binder(), Features: c.Prefer(xmpp.BindResource()), Pace: 100 * time.Millisecond,
	}))
	require.NoError(t, err)
	v := &visit{s, seen, make(chan string, 8)}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(xmpp.HandlerFunc(v.hear))
	}()
	t.Cleanup(func() {
		_ = s.Close()
		_ = conn.Close()
		<-served
	})
	return v
}

// hear reads copies of messages.
func (v *visit) hear(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	m := struct {
		Body string `xml:"sent>forwarded>message>body"`
	}{}
	if err := xml.NewTokenDecoder(xmlstream.MultiReader(xmlstream.Token(*start), t)).Decode(&m); err != nil {
		return err
	}
	if start.Name.Local == "message" && m.Body != "" {
		v.copies <- m.Body
	}
	return nil
}

// say sends a chat message.
func (v *visit) say(t *testing.T, to jid.JID, body string) {
	t.Helper()
	require.NoError(t, v.Send(t.Context(), stanza.Message{To: to, Type: stanza.ChatMessage}.Wrap(
		xmlstream.Wrap(xmlstream.Token(xml.CharData(body)), xml.StartElement{Name: xml.Name{Local: "body"}}))))
}

// ping asks the server something.
func (v *visit) ping(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, v.UnmarshalIQ(ctx, stanza.IQ{Type: stanza.GetIQ, To: v.LocalAddr().Domain()}.Wrap(
		xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Space: "urn:xmpp:ping", Local: "ping"}})), nil))
}

func testServer(t *testing.T, server *interop.Server) {
	const otherID = "b1a2c3d4-4d72-4749-b3d3-740edbf87770"
	account, other := jid.MustParse("juliet@"+server.Domain), jid.MustParse("romeo@"+server.Domain)
	for _, plan := range []pipelining.Plan{{}, {Mode: pipelining.Full, SASL2: true}} {
		t.Run("Inline "+plan.Mode.String(), func(t *testing.T) {
			var answers []string
			first := call(t, server, plan, true, &bind2.Client{
				Tag: "Example", Inactive: true, Features: []bind2.ClientFeature{askSM{answers: &answers}},
			}, agentID)
			require.Len(t, first.seen(), 1)
			bound := first.seen()[0]
			assert.Equal(t, bind2.Inline, bound.Protocol)
			assert.True(t, first.LocalAddr().Equal(bound.JID))
			assert.True(t, bound.JID.Bare().Equal(account))
			assert.Contains(t, bound.JID.Resourcepart(), "Example")
			assert.Equal(t, []string{"enabled " + bound.JID.String()}, answers)
			t.Logf("%s, archived: %t", bound.JID, bound.Archived)
			first.ping(t)

			// Without another word, it gets copies.
			second := call(t, server, plan, true, &bind2.Client{Tag: "Other"}, otherID)
			require.Len(t, second.seen(), 1)
			assert.NotEqual(t, bound.JID.String(), second.LocalAddr().String())
			body := "hello from " + second.LocalAddr().Resourcepart()
			require.NoError(t, first.Send(t.Context(), stanza.Presence{}.Wrap(nil)))
			first.ping(t)
			second.say(t, other, body)
			second.ping(t)
			// What a server keeps back for a client that is inactive comes when it is not.
			require.NoError(t, first.Send(t.Context(), xmlstream.Wrap(nil, xml.StartElement{Name: xml.Name{Space: "urn:xmpp:csi:0", Local: "active"}})))
			select {
			case got := <-first.copies:
				assert.Equal(t, body, got)
			case <-time.After(10 * time.Second):
				assert.Fail(t, "no copy came")
			}
		})
	}
	t.Run("Legacy, as nothing else is offered as a stream feature", func(t *testing.T) {
		v := call(t, server, pipelining.Plan{}, false, new(bind2.Client), agentID)
		assert.Equal(t, []told{{bind2.Legacy, bind2.Bound{JID: v.LocalAddr()}}}, v.seen())
		v.ping(t)
	})
}
