// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/quickstart"
)

// picky is a cache that has something against rosters.
type picky struct {
	quickstart.Cache
	get, put error
}

func (p *picky) Get(ctx context.Context, k quickstart.Key) ([]byte, error) {
	if k.Name == "roster" && p.get != nil {
		return nil, p.get
	}
	return p.Cache.Get(ctx, k)
}

func (p *picky) Put(ctx context.Context, k quickstart.Key, value []byte) error {
	if k.Name == "roster" && p.put != nil {
		return p.put
	}
	return p.Cache.Put(ctx, k, value)
}

// items returns so many items, each with a name of so many bytes.
func items(n, name int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "<item jid='g%d@example.net' name='%s'/>", i, strings.Repeat("x", name))
	}
	return b.String()
}

// lends makes a library answer requests for the roster by a query of its own.
func lends(query string) func(c *clerk, s said) bool {
	return func(c *clerk, s said) bool {
		if s.Payload.Space != "jabber:iq:roster" {
			return false
		}
		c.say("<iq id='%s' type='result'><query xmlns='jabber:iq:roster' ver='big'>%s</query></iq>", s.ID, query)
		return true
	}
}

// TestRosterTooLarge asserts what becomes of answers that nobody should take.
func TestRosterTooLarge(t *testing.T) {
	for name, query := range map[string]string{
		"items":  items(quickstart.MaxRosterItems+1, 0),
		"text":   items(2100, 4000),
		"tokens": strings.Repeat("<x/>", 8*quickstart.MaxRosterItems),
		"chatter": strings.Repeat("<x>"+strings.Repeat("y", 1000)+"</x>", 9000) +
			items(1, 0),
	} {
		inBubble(t, name, func(t *testing.T) {
			l := newLibrary(newHouse())
			w := newWorld(t, l.serve)
			d := newReader(w)
			s := enter(t, d, nil)
			s.settled(t)
			s.leave()

			l.talks(lends(query))
			s = enter(t, d, nil)
			require.ErrorIs(t, s.Roster.Wait(t.Context()), quickstart.ErrRoster)
			assert.Len(t, s.Roster.Items(), 2, "what was kept is still there")
			l.hear()
			l.clerks[1].say("<iq id='alive' type='get'><x xmlns='y'/></iq>")
			time.Sleep(2 * roundTrip)
			answers := l.hear()
			require.Len(t, answers, 1, "the session goes on")
			assert.Equal(t, "alive", answers[0].ID)
			l.talks(nil)
			l.edit("benvolio@im.example.com", `subscription='from'>`)
			s.leave()

			l.hear()
			s = enter(t, d, nil)
			s.settled(t)
			ver, _ := versionAsked(t, l)
			assert.Equal(t, "2", ver, "and so is its version")
			s.leave()
		})
	}
	inBubble(t, "one that is just not too large", func(t *testing.T) {
		l := newLibrary(newHouse())
		l.talks(lends(items(quickstart.MaxRosterItems, 0)))
		w := newWorld(t, l.serve)
		s := enter(t, newReader(w), nil)
		assert.Len(t, s.settled(t).Items(), quickstart.MaxRosterItems)

		l.talks(nil)
		push := func(contact, rest string) (answer string) {
			l.clerks[0].say("<iq id='p' type='set'><query xmlns='jabber:iq:roster' ver='next'><item jid='%s' %s/></query></iq>", contact, rest)
			s.settled(t)
			for _, s := range l.hear() {
				if s.ID == "p" {
					answer = s.Type
				}
			}
			return answer
		}
		assert.Equal(t, "result", push("g1@example.net", "name='y'"), "a change")
		assert.Equal(t, "next", s.Roster.Version())
		assert.Equal(t, "error", push("more@example.net", ""), "one more")
		assert.Len(t, s.Roster.Items(), quickstart.MaxRosterItems)
		assert.Empty(t, s.Roster.Version(), "no version is that of the items any more")
		assert.Equal(t, "result", push("g1@example.net", "subscription='remove'"))
		assert.Len(t, s.Roster.Items(), quickstart.MaxRosterItems-1)
		assert.Equal(t, "result", push("more@example.net", ""))
		assert.Empty(t, s.Roster.Version(), "a change is missing")
		s.leave()
	})
}

// TestRosterFull is about pushes to a roster that is nearly as large as it may be.
func TestRosterFull(t *testing.T) {
	inBubble(t, "text", func(t *testing.T) {
		l := newLibrary(newHouse())
		w := newWorld(t, l.serve)
		d := newReader(w)
		l.talks(lends(items(4000, 60)))
		s := enter(t, d, nil)
		s.settled(t)
		s.leave()
		l.talks(lends(items(2040, 4080))) // That is 8 MiB but for 10 KB or so.
		s = enter(t, d, nil)
		require.Len(t, s.Roster.Items(), 4000, "what is replaced does not count")
		s.settled(t)
		l.talks(nil)
		l.mu.Lock()
		l.clerks[1].interested = true
		l.mu.Unlock()
		has := func(contact, rest string) bool {
			l.edit(contact, rest)
			s.settled(t)
			item, _ := s.Roster.Item(jid.MustParse(contact))
			return strings.HasPrefix(item.Name, "y")
		}
		name := "name='" + strings.Repeat("y", 4080) + "'>"
		assert.Len(t, s.Roster.Items(), 2040)
		added := 0
		for added < 20 && has(fmt.Sprintf("more%d@example.net", added), name) {
			added++
		}
		assert.Positive(t, added)
		assert.Less(t, added, 10)
		assert.Empty(t, s.Roster.Version())
		assert.True(t, has("g1@example.net", name), "a change of the same size")
		assert.False(t, has("g2@example.net", ""))
		assert.True(t, has("again@example.net", name), "in place of one that has gone")
		assert.False(t, has("last@example.net", name))
		s.leave()
	})
}

// TestRosterPartial asserts that there is no version with items that it is not of.
func TestRosterPartial(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for name, query := range map[string]string{
		"an address that is none": "<item jid='@'/>",
		"a long name":             "<item jid='g@example.net' name='" + long + "'/>",
		"a long group":            "<item jid='g@example.net'><group>" + long + "</group></item>",
		"many groups":             "<item jid='g@example.net'>" + strings.Repeat("<group>x</group>", 101) + "</item>",
	} {
		inBubble(t, name+" in a result", func(t *testing.T) {
			l := newLibrary(newHouse())
			l.talks(lends(items(3, 1) + query))
			w := newWorld(t, l.serve)
			d := newReader(w)
			for range 2 {
				s := enter(t, d, nil)
				assert.Len(t, s.settled(t).Items(), 3, "the others are used")
				ver, has := versionAsked(t, l)
				assert.True(t, has)
				assert.Empty(t, ver)
				s.leave()
			}
		})
	}
	for name, query := range map[string]string{
		"an address that is none": "<item jid='@'/>",
		"no address":              "<item/>",
		"no item":                 "",
		"two items":               "<item jid='a@example.net'/><item jid='b@example.net'/>",
		"a foreign item":          "<item jid='a@example.net' xmlns='other'/>",
		"a long name":             "<item jid='g@example.net' name='" + long + "'/>",
		"much else":               "<item jid='a@example.net'>" + strings.Repeat("<x/>", 1000) + "</item>",
	} {
		inBubble(t, name+" in a push", func(t *testing.T) {
			l := newLibrary(newHouse())
			w := newWorld(t, l.serve)
			d := newReader(w)
			d.RosterPush = func(_ jid.JID, item quickstart.RosterItem) {
				assert.Equal(t, "benvolio@im.example.com", item.JID.String())
			}
			s := enter(t, d, nil)
			s.settled(t)
			l.hear()
			l.clerks[0].say("<iq id='p' type='set'><query xmlns='jabber:iq:roster' ver='bad'>%s</query></iq>", query)
			assert.Len(t, s.settled(t).Items(), 2)
			answers := l.hear()
			require.Len(t, answers, 1)
			assert.Equal(t, "error", answers[0].Type)
			assert.Equal(t, "p", answers[0].ID)

			l.edit("benvolio@im.example.com", `subscription='from'>`)
			assert.Len(t, s.settled(t).Items(), 3, "what follows is taken in")
			assert.Empty(t, s.Roster.Version(), "but its version is not that of the items")
			s.leave()
			l.hear()
			s = enter(t, d, nil)
			s.settled(t)
			ver, _ := versionAsked(t, l)
			assert.Empty(t, ver, "all of it is asked for")
			assert.Equal(t, "3", s.Roster.Version())
			s.leave()
		})
	}
}

// TestRosterNotKept is about caches that do not do what they should.
func TestRosterNotKept(t *testing.T) {
	broken := errors.New("the disk is full")
	inBubble(t, "one that fails", func(t *testing.T) {
		l := newLibrary(newHouse())
		w := newWorld(t, l.serve)
		d := newReader(w)
		d.Cache = &picky{d.Cache, broken, broken}
		for range 2 {
			s := enter(t, d, nil)
			assert.Len(t, s.settled(t).Items(), 2)
			assert.Equal(t, "2", s.Roster.Version())
			ver, _ := versionAsked(t, l)
			assert.Empty(t, ver)
			s.leave()
		}
	})
	for _, err := range []error{broken, quickstart.ErrTooLarge} {
		inBubble(t, "one that keeps no changes: "+err.Error(), func(t *testing.T) {
			l := newLibrary(newHouse())
			w := newWorld(t, l.serve)
			d := newReader(w)
			cache := &picky{Cache: d.Cache}
			d.Cache = cache
			s := enter(t, d, nil)
			s.settled(t)
			cache.put = err
			l.edit("benvolio@im.example.com", `subscription='from'>`)
			assert.Len(t, s.settled(t).Items(), 3)
			s.leave()
			l.hear()
			s = enter(t, d, nil)
			assert.Len(t, s.Roster.Items(), 2, "items of the version that is asked by")
			assert.Len(t, s.settled(t).Items(), 3)
			ver, _ := versionAsked(t, l)
			assert.Equal(t, "2", ver)
			s.leave()
		})
	}
	inBubble(t, "a roster that would drive out what logins need", func(t *testing.T) {
		l := newLibrary(newHouse())
		l.talks(lends(items(10_000, 30)))
		w := newWorld(t, l.serve)
		d := newReader(w)
		for range 2 {
			s := enter(t, d, nil)
			assert.Len(t, s.settled(t).Items(), 10_000)
			assert.Equal(t, "big", s.Roster.Version())
			ver, _ := versionAsked(t, l)
			assert.Empty(t, ver)
			s.leave()
		}
		assert.True(t, mustDial(t, d).Report.Held)
	})
	inBubble(t, "values that are none of ours", func(t *testing.T) {
		for _, value := range []string{
			"", "{", `{"form":2,"ver":"2","items":[]}`, `{"form":1,"ver":"2","items":[{"jid":"@","sub":"both"}]}`, "null", "[]",
		} {
			l := newLibrary(newHouse())
			w := newWorld(t, l.serve)
			d := newReader(w)
			key := quickstart.Key{Account: juliet, Name: "roster"}
			require.NoError(t, d.Cache.Put(t.Context(), key, []byte(value)))
			s := enter(t, d, nil)
			assert.Len(t, s.settled(t).Items(), 2)
			ver, _ := versionAsked(t, l)
			assert.Empty(t, ver, value)
			s.leave()
		}
	})
	inBubble(t, "Forget", func(t *testing.T) {
		l := newLibrary(newHouse())
		w := newWorld(t, l.serve)
		d := newReader(w)
		s := enter(t, d, nil)
		s.settled(t)
		s.leave()
		require.NoError(t, d.Forget(t.Context(), juliet))
		b, err := d.Cache.Get(t.Context(), quickstart.Key{Account: juliet, Name: "roster"})
		require.NoError(t, err)
		assert.Nil(t, b)
		l.hear()
		s = enter(t, d, nil)
		assert.Empty(t, s.Roster.Items())
		s.settled(t)
		ver, _ := versionAsked(t, l)
		assert.Empty(t, ver)
		s.leave()
	})
	inBubble(t, "another configuration of TLS", func(t *testing.T) {
		l := newLibrary(newHouse())
		w := newWorld(t, l.serve)
		d := newReader(w)
		s := enter(t, d, nil)
		s.settled(t)
		s.leave()
		other := newReader(w)
		other.Cache, other.Trust = d.Cache, "other"
		s = enter(t, other, nil)
		assert.Empty(t, s.Roster.Items())
		s.leave()
	})
}
