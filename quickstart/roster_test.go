// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/quickstart"
)

// newReader returns a dialer that keeps rosters.
func newReader(w *world) *quickstart.Dialer {
	d := newDialer(w)
	d.Roster = true
	return d
}

// versionAsked returns the version that the last get was by, and whether it had one.
func versionAsked(t *testing.T, l *library) (ver string, ok bool) {
	t.Helper()
	asked := gets(l.hear(), "jabber:iq:roster")
	require.Len(t, asked, 1)
	ver, ok = asked[0].Attr["ver"]
	return ver, ok
}

func TestRoster(t *testing.T) {
	nurse, benvolio := jid.MustParse("nurse@im.example.com"), jid.MustParse("benvolio@im.example.com")
	inBubble(t, "all that is in an item", func(t *testing.T) {
		l := newLibrary(newHouse())
		l.edit(benvolio.String(), `subscription='of a kind' approved='1' ask='unsubscribe'><group>a</group><group/><group>b</group><group>a</group>`)
		w := newWorld(t, l.serve)
		s := enter(t, newReader(w), nil)
		defer s.leave()
		want := []quickstart.RosterItem{
			{JID: benvolio, Subscription: quickstart.SubscriptionNone, Approved: true, Groups: []string{"a", "b"}},
			{JID: nurse, Name: "Nurse", Subscription: quickstart.SubscriptionBoth, Groups: []string{"Servants"}},
			{JID: romeo, Name: "Romeo", Subscription: quickstart.SubscriptionTo, Ask: true, Approved: true},
		}
		assert.Equal(t, want, s.settled(t).Items())
		assert.Equal(t, "3", s.Roster.Version())
		item, ok := s.Roster.Item(nurse)
		assert.True(t, ok)
		assert.Equal(t, want[1], item)
		_, ok = s.Roster.Item(juliet)
		assert.False(t, ok)

		s.Roster.Items()[1].Groups[0] = "changed"
		item.Groups[0] = "changed"
		assert.Equal(t, want, s.Roster.Items(), "what is returned is the caller's")
	})
	inBubble(t, "RV-05, RV-06: a push is kept with its version", func(t *testing.T) {
		l := newLibrary(newHouse())
		w := newWorld(t, l.serve)
		var pushed []quickstart.RosterItem
		d := newReader(w)
		d.RosterPush = func(account jid.JID, item quickstart.RosterItem) {
			assert.Equal(t, juliet, account)
			b, err := d.Cache.Get(t.Context(), quickstart.Key{Account: juliet, Name: "roster"})
			assert.NoError(t, err)
			assert.Contains(t, string(b), fmt.Sprintf(`"ver":"%d"`, 3+len(pushed)), "it is called behind the store")
			pushed = append(pushed, item)
		}
		s := enter(t, d, nil)
		s.settled(t)
		l.edit(benvolio.String(), `subscription='from'>`)
		l.edit(nurse.String(), "")
		s.settled(t)
		assert.Equal(t, []string{benvolio.String(), romeo.String()}, names(s.Roster))
		assert.Equal(t, "4", s.Roster.Version())
		var answers []string
		for _, s := range l.hear() {
			if s.Type == "result" {
				answers = append(answers, s.ID)
			}
		}
		assert.Equal(t, []string{"push3", "push4"}, answers, "pushes are answered")
		s.leave()
		assert.Equal(t, []quickstart.RosterItem{
			{JID: benvolio, Subscription: quickstart.SubscriptionFrom},
			{JID: nurse, Subscription: quickstart.SubscriptionRemove},
		}, pushed)

		s = enter(t, d, nil)
		assert.Equal(t, []string{benvolio.String(), romeo.String()}, names(s.Roster), "they are there before the answer")
		s.settled(t)
		ver, _ := versionAsked(t, l)
		assert.Equal(t, "4", ver)
		s.leave()
	})
	inBubble(t, "RV-03: nothing has changed, and then something", func(t *testing.T) {
		l := newLibrary(newHouse())
		w := newWorld(t, l.serve)
		d := newReader(w)
		s := enter(t, d, nil)
		before := s.settled(t).Items()
		s.leave()
		for range 2 {
			s = enter(t, d, nil)
			assert.Equal(t, before, s.settled(t).Items(), "an empty result keeps all")
			s.leave()
		}
		l.edit(benvolio.String(), `subscription='from'>`)
		s = enter(t, d, nil)
		assert.Equal(t, []string{benvolio.String(), nurse.String(), romeo.String()}, names(s.settled(t)))
		assert.Equal(t, "3", s.Roster.Version())
		s.leave()
	})
	inBubble(t, "RV-10: a full result replaces all, and an empty query empties", func(t *testing.T) {
		l := newLibrary(newHouse())
		w := newWorld(t, l.serve)
		d := newReader(w)
		s := enter(t, d, nil)
		s.settled(t)
		s.leave()
		l.version, l.shelf = 1, make(map[string]book) // It does not know the version any more.
		s = enter(t, d, nil)
		assert.Len(t, s.Roster.Items(), 2)
		assert.Empty(t, s.settled(t).Items())
		assert.Equal(t, "1", s.Roster.Version())
		s.leave()
		l.hear()
		s = enter(t, d, nil)
		assert.Empty(t, s.Roster.Items())
		s.settled(t)
		ver, has := versionAsked(t, l)
		assert.True(t, has)
		assert.Empty(t, ver, "an empty roster is asked for as a whole")
		s.leave()
	})
	inBubble(t, "RV-07: versions are opaque", func(t *testing.T) {
		l := newLibrary(newHouse())
		const version, onTheWire = "a'<&>\"\n zz\t", "a&apos;&lt;&amp;&gt;&quot;&#10; zz&#9;"
		l.talks(func(c *clerk, s said) bool {
			if s.Payload.Space == "jabber:iq:roster" {
				c.say("<iq id='%s' type='result'><query xmlns='jabber:iq:roster' ver='%s'>%s</query></iq>", s.ID, onTheWire, items(1, 1))
			}
			return true
		})
		w := newWorld(t, l.serve)
		d := newReader(w)
		for _, want := range []string{"", version} {
			s := enter(t, d, nil)
			assert.Equal(t, version, s.settled(t).Version())
			ver, _ := versionAsked(t, l)
			assert.Equal(t, want, ver)
			s.leave()
		}
	})
	inBubble(t, "RV-02, AQ-15: a server without versions is not told one", func(t *testing.T) {
		l := newLibrary(newHouse())
		w := newWorld(t, l.serve)
		d := newReader(w)
		for _, step := range []struct {
			without bool
			ver     string
			has     bool
		}{{false, "", true}, {false, "2", true}, {true, "", false}, {true, "", false}, {false, "", true}, {false, "2", true}} {
			l.noVersions = step.without
			s := enter(t, d, nil)
			if step.without {
				assert.Empty(t, s.Roster.Version(), "from the beginning")
			}
			s.settled(t)
			ver, has := versionAsked(t, l)
			assert.Equal(t, step.ver, ver)
			assert.Equal(t, step.has, has)
			assert.Equal(t, step.without, s.Roster.Version() == "", "the version is dropped")
			assert.Len(t, s.Roster.Items(), 2)
			s.leave()
		}
	})
}

// TestRosterCut is RV-06: what a session has seen of the changes is good for the next one,
// of another process.
func TestRosterCut(t *testing.T) {
	dir := t.TempDir() + "/cache"
	open := func() *quickstart.FileCache {
		cache, err := quickstart.OpenFileCache(dir)
		require.NoError(t, err)
		return cache
	}
	inBubble(t, "cut after two of four", func(t *testing.T) {
		l := newLibrary(newHouse())
		w := newWorld(t, l.serve)
		d := newReader(w)
		d.Cache = open()
		s := enter(t, d, nil)
		s.settled(t)
		s.leave()
		for i := range 4 {
			l.edit(fmt.Sprintf("guest%d@im.example.com", i), `subscription='none'>`)
		}
		l.hear()

		l.talks(func(c *clerk, s said) bool {
			if s.ID == "push4" {
				_ = c.session.Conn().Close()
			}
			if s.Payload.Space != "jabber:iq:roster" {
				return false
			}
			assert.Equal(t, "2", s.Attr["ver"])
			c.say("<iq id='%s' type='result'/>", s.ID)
			for i := range 2 {
				c.push(c.shelf[fmt.Sprintf("guest%d@im.example.com", i)])
			}
			return true
		})
		s = enter(t, d, nil)
		<-s.done
		require.NoError(t, s.Roster.Wait(t.Context()))
		l.hear()

		l.talks(nil)
		d = newReader(w)
		d.Cache = open()
		s = enter(t, d, nil)
		assert.Len(t, s.Roster.Items(), 4)
		assert.Len(t, s.settled(t).Items(), 6)
		ver, _ := versionAsked(t, l)
		assert.Equal(t, "4", ver, "that of push 2, not that of the result")
		s.leave()
	})
}

// TestRosterSpoofed is RV-09, and AQ-14: only the server changes a roster.
func TestRosterSpoofed(t *testing.T) {
	const push = "<iq id='spoof' type='set'%s><query xmlns='jabber:iq:roster' ver='666'><item jid='tybalt@im.example.com' subscription='both'/></query></iq>"
	for from, taken := range map[string]bool{
		"": true, "juliet@im.example.com": true, "JULIET@im.example.com": true,
		"im.example.com": false, "romeo@im.example.com": false, "juliet@im.example.com/other": false,
		"juliet@example.net": false,
	} {
		inBubble(t, "from "+from, func(t *testing.T) {
			l := newLibrary(newHouse())
			w := newWorld(t, l.serve)
			seen := 0
			s := enter(t, newReader(w), xmpp.HandlerFunc(func(xmlstream.TokenReadEncoder, *xml.StartElement) error {
				seen++
				return nil
			}))
			s.settled(t)
			l.hear()
			attr := ""
			if from != "" {
				attr = " from='" + from + "'"
			}
			l.clerks[0].say(push, attr)
			s.settled(t)
			_, there := s.Roster.Item(jid.MustParse("tybalt@im.example.com"))
			assert.Equal(t, taken, there)
			assert.Equal(t, taken, s.Roster.Version() == "666")
			answers := l.hear()
			require.Len(t, answers, 1)
			assert.Equal(t, "spoof", answers[0].ID)
			assert.Equal(t, map[bool]string{true: "result", false: "error"}[taken], answers[0].Type)
			s.leave()
			assert.Zero(t, seen, "the program does not see it")
		})
	}
	inBubble(t, "an answer from somebody else", func(t *testing.T) {
		l := newLibrary(newHouse())
		l.talks(func(c *clerk, s said) bool {
			if s.Payload.Space == "jabber:iq:roster" && s.Type == "get" {
				for _, from := range []string{"romeo@im.example.com/x", "@", "example.net"} {
					c.say("<iq id='%s' type='result' from='%s'><query xmlns='jabber:iq:roster' ver='666'/></iq>", s.ID, from)
				}
			}
			return false
		})
		w := newWorld(t, l.serve)
		var seen []string
		s := enter(t, newReader(w), xmpp.HandlerFunc(func(_ xmlstream.TokenReadEncoder, start *xml.StartElement) error {
			seen = append(seen, start.Attr[2].Value)
			return nil
		}))
		assert.Equal(t, "2", s.settled(t).Version())
		assert.Len(t, s.Roster.Items(), 2)
		s.leave()
		assert.Equal(t, []string{"romeo@im.example.com/x", "@", "example.net"}, seen, "they are for the program to judge")
	})
}

// TestRosterWait asserts how waits end.
func TestRosterWait(t *testing.T) {
	inBubble(t, "the session ends", func(t *testing.T) {
		l := newLibrary(newHouse())
		l.talks(func(c *clerk, s said) bool { return true })
		w := newWorld(t, l.serve)
		s := enter(t, newReader(w), nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, s.Roster.Wait(ctx), context.DeadlineExceeded)
		time.AfterFunc(time.Second, func() { _ = s.Conn().Close() })
		require.ErrorIs(t, s.Roster.Wait(t.Context()), quickstart.ErrNoAnswer)
		<-s.done
		cancel()
		require.ErrorIs(t, s.Roster.Wait(ctx), quickstart.ErrNoAnswer, "what is known is said whatever the context")
	})
	inBubble(t, "the stream ends within the answer", func(t *testing.T) {
		l := newLibrary(newHouse())
		l.talks(func(c *clerk, s said) bool {
			c.say("<iq id='%s' type='result'><query xmlns='jabber:iq:roster' ver='9'><item jid='a@example.net'/>", s.ID)
			_ = c.session.Conn().Close()
			return true
		})
		w := newWorld(t, l.serve)
		d := newReader(w)
		s := enter(t, d, nil)
		require.ErrorIs(t, s.Roster.Wait(t.Context()), quickstart.ErrNoAnswer)
		<-s.done
		assert.Empty(t, s.Roster.Items(), "what there was of it is not used")
		b, err := d.Cache.Get(t.Context(), quickstart.Key{Account: juliet, Name: "roster"})
		require.NoError(t, err)
		assert.Nil(t, b)
	})
	inBubble(t, "the server refuses", func(t *testing.T) {
		l := newLibrary(newHouse())
		w := newWorld(t, l.serve)
		d := newReader(w)
		s := enter(t, d, nil)
		s.settled(t)
		s.leave()
		l.hear()
		l.talks(func(c *clerk, s said) bool {
			if s.Type == "get" {
				c.say("<iq id='%s' type='error'><error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>", s.ID)
			}
			return true
		})
		s = enter(t, d, nil)
		err := s.Roster.Wait(t.Context())
		require.ErrorIs(t, err, stanza.Error{Type: stanza.Wait, Condition: stanza.ResourceConstraint})
		assert.Equal(t, 1, strings.Count(err.Error(), "quickstart: "), err)
		assert.Len(t, s.Roster.Items(), 2, "what was kept is still there")
		s.leave()
		l.talks(nil)
		l.hear()
		s = enter(t, d, nil)
		s.settled(t)
		ver, _ := versionAsked(t, l)
		assert.Equal(t, "2", ver, "and so is its version")
		s.leave()
	})
}

// TestRosterCrowd reads while changes come in.
func TestRosterCrowd(t *testing.T) {
	inBubble(t, "readers", func(t *testing.T) {
		l := newLibrary(newHouse())
		w := newWorld(t, l.serve)
		s := enter(t, newReader(w), nil)
		s.settled(t)
		var readers sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		for range 3 {
			readers.Go(func() {
				for ctx.Err() == nil {
					assert.GreaterOrEqual(t, len(s.Roster.Items()), 2)
					s.Roster.Item(romeo)
					s.Roster.Version()
					assert.NoError(t, s.Roster.Wait(ctx))
					time.Sleep(time.Millisecond)
				}
			})
		}
		for i := range 50 {
			l.edit(fmt.Sprintf("guest%d@im.example.com", i), `subscription='none'>`)
			time.Sleep(time.Millisecond)
		}
		s.settled(t)
		cancel()
		readers.Wait()
		assert.Len(t, s.Roster.Items(), 52)
		s.leave()
	})
}
