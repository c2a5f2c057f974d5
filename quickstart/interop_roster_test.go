// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/roster"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/internal/interop"
	"github.com/xmppext/xmppext/quickstart"
)

func TestRosterAtProsody(t *testing.T) {
	t.Run("SASL2", func(t *testing.T) {
		s := startProsody(t)
		t.Logf("Prosody %s", s.Version)
		testRosterAt(t, s, nil, bind2.Inline)
	})
	t.Run("RFC 6120, PLAIN", func(t *testing.T) {
		s := interop.Prosody(t, interop.Config{Users: residents, Modules: []string{"carbons"}})
		testRosterAt(t, s, []string{auth.Plain}, bind2.Legacy)
	})
	t.Run("RFC 6120, SCRAM", func(t *testing.T) {
		s := interop.Prosody(t, interop.Config{Users: residents})
		testRosterAt(t, s, []string{auth.ScramSHA256}, bind2.Legacy)
	})
}

func TestRosterAtEjabberd(t *testing.T) {
	s := interop.Ejabberd(t, interop.Config{
		Users: residents,
		Sections: "modules:\n  mod_disco: {}\n  mod_ping: {}\n  mod_caps: {}\n  mod_carboncopy: {}\n" +
			"  mod_auth_fast: {}\n  mod_roster: {versioning: true, store_current_id: true}",
	})
	t.Logf("ejabberd %s", s.Version)
	testRosterAt(t, s, nil, bind2.Inline)
}

// A process is what a program does from its start to its end: one session.
type process struct {
	served
	sent, received synced
	presences      chan string // whom they are from
}

// emptyResult is what a server answers if nothing has changed.
var emptyResult = regexp.MustCompile(`<iq[^>]*type=['"]result['"][^>]*/>`)

// testRosterAt has processes come and go at a server, and one change its roster.
func testRosterAt(t *testing.T, server *interop.Server, mechanisms []string, bind bind2.Protocol) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	account := jid.MustParse(juliet.Localpart() + "@" + server.Domain)
	dir := filepath.Join(t.TempDir(), "cache")
	pushed := make(chan quickstart.RosterItem, 10)
	begin := func(t *testing.T) *process {
		t.Helper()
		cache, err := quickstart.OpenFileCache(dir)
		require.NoError(t, err)
		p := &process{presences: make(chan string, 10)}
		d := &quickstart.Dialer{
			Cache: cache, TLS: &tls.Config{RootCAs: server.Roots}, Address: server.STARTTLS, Security: quickstart.StartTLS,
			Mechanisms: mechanisms, Roster: true, Discover: true, Opening: quickstart.Available,
			RosterPush: func(_ jid.JID, item quickstart.RosterItem) { pushed <- item },
			TeeIn:      &p.received, TeeOut: &p.sent,
		}
		s, err := d.Dial(ctx, account, quickstart.Password(password))
		require.NoError(t, err)
		p.served = served{s, make(chan struct{})}
		go func() {
			defer close(p.done)
			_ = s.Serve(xmpp.HandlerFunc(func(_ xmlstream.TokenReadEncoder, start *xml.StartElement) error {
				if start.Name.Local == "presence" {
					for _, a := range start.Attr {
						if a.Name.Local == "from" {
							p.presences <- a.Value
						}
					}
				}
				return nil
			}))
		}()
		t.Cleanup(p.leave)
		require.NoError(t, s.Roster.Wait(ctx))
		assert.Equal(t, s.LocalAddr().String(), <-p.presences, "the server has the presence")
		assert.Equal(t, bind, s.Protocol)
		i, err := s.Server(ctx)
		require.NoError(t, err, "the server's hash is that of what it says")
		assert.NotEmpty(t, i.Features)
		assert.NotEmpty(t, i.Identity)
		return p
	}
	// elsewhere changes the roster while nobody is there to see it.
	elsewhere := func(item roster.Item) {
		t.Helper()
		d := &quickstart.Dialer{TLS: &tls.Config{RootCAs: server.Roots}, Address: server.STARTTLS, Security: quickstart.StartTLS}
		s, err := d.Dial(ctx, account, quickstart.Password(password))
		require.NoError(t, err)
		o := served{s, make(chan struct{})}
		go func() {
			defer close(o.done)
			_ = s.Serve(nil)
		}()
		require.NoError(t, roster.Set(ctx, s.Session, item))
		o.leave()
	}
	const question = "http://jabber.org/protocol/disco#info"

	p := begin(t)
	assert.Empty(t, p.Roster.Items())
	assert.Contains(t, p.sent.String(), " ver=''", "RV-02")
	assert.Contains(t, p.sent.String(), question)
	assert.False(t, p.Report.Opening)
	p.leave()

	contact := jid.MustParse("romeo@" + server.Domain)
	elsewhere(roster.Item{JID: contact})
	p = begin(t)
	assert.Equal(t, []quickstart.RosterItem{{JID: contact, Subscription: quickstart.SubscriptionNone}}, p.Roster.Items())
	first := p.Roster.Version()
	require.NoError(t, roster.Set(ctx, p.Session.Session, roster.Item{JID: contact, Name: "Romeo <3", Group: []string{"Friends & more"}}))
	want := quickstart.RosterItem{JID: contact, Name: "Romeo <3", Subscription: quickstart.SubscriptionNone, Groups: []string{"Friends & more"}}
	assert.Equal(t, want, <-pushed, "a change of ours comes as a push")
	assert.Equal(t, []quickstart.RosterItem{want}, p.Roster.Items())
	version := p.Roster.Version()
	assert.NotEqual(t, first, version)
	assert.NotEmpty(t, version)
	p.leave()

	for range 2 {
		p = begin(t)
		assert.Equal(t, []quickstart.RosterItem{want}, p.Roster.Items())
		assert.Equal(t, version, p.Roster.Version())
		assert.Contains(t, p.sent.String(), " ver='"+version+"'")
		assert.NotContains(t, p.received.String(), "<item ", "RV-03: nothing is sent again")
		assert.Regexp(t, emptyResult, p.received.String())
		assert.NotContains(t, p.sent.String(), question, "CP-08")
		ahead := len(mechanisms) == 1 && mechanisms[0] == auth.Plain
		assert.Equal(t, ahead, p.Report.Opening)
		if ahead {
			assert.Equal(t, 2, p.Report.Flights)
			_, behind, _ := strings.Cut(p.sent.String(), "urn:ietf:params:xml:ns:xmpp-bind")
			assert.Contains(t, behind, "<presence")
		}
		assert.True(t, p.Report.Held)
		assert.Equal(t, 1, p.Report.Attempts)
		assert.Equal(t, bind == bind2.Legacy, strings.Contains(p.sent.String(), " type='set'><enable xmlns='urn:xmpp:carbons:2'/></iq>"))
		p.leave()
	}

	elsewhere(roster.Item{JID: contact, Subscription: "remove"})
	p = begin(t)
	assert.Contains(t, p.sent.String(), " ver='"+version+"'")
	assert.Eventually(t, func() bool { return len(p.Roster.Items()) == 0 }, 10*time.Second, time.Millisecond)
	assert.NotEqual(t, version, p.Roster.Version())
	p.leave()
}
