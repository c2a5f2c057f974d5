// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/quickstart"
)

// TestRosterUnanswered is about changes that come when the server has not said what they
// are changes of: their versions are of more than the client has.
func TestRosterUnanswered(t *testing.T) {
	const all = "benvolio@im.example.com mercutio@im.example.com nurse@im.example.com romeo@im.example.com"
	const other = `subscription='from'>`
	first := func(c *clerk, s said) bool {
		if s.Payload.Space == "jabber:iq:roster" && s.Type == "get" {
			c.push(c.shelf["mercutio@im.example.com"])
		}
		return s.Payload.Space == "jabber:iq:roster"
	}
	for name, talk := range map[string]func(c *clerk, s said) bool{
		"no answer": first,
		"an error": func(c *clerk, s said) bool {
			if s.Type == "get" {
				c.say("<iq id='%s' type='error'><error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>", s.ID)
			}
			return first(c, s)
		},
		"too much": func(c *clerk, s said) bool {
			return lends(strings.Repeat("<x/>", 8*quickstart.MaxRosterItems))(c, s) && first(c, s)
		},
	} {
		for _, known := range []bool{false, true} {
			what := ", nothing kept"
			if known {
				what = ", some kept"
			}
			inBubble(t, "RV-10, D-22: "+name+what, func(t *testing.T) {
				l := newLibrary(newHouse())
				w := newWorld(t, l.serve)
				d := newReader(w)
				if known {
					s := enter(t, d, nil)
					s.settled(t)
					s.leave()
				}
				l.edit("benvolio@im.example.com", other)
				l.edit("mercutio@im.example.com", other)
				l.talks(talk)
				s := enter(t, d, nil)
				time.Sleep(10 * roundTrip)
				assert.Contains(t, names(s.Roster), "mercutio@im.example.com", "it is there meanwhile")
				assert.Empty(t, s.Roster.Version())
				s.leave()

				l.talks(nil)
				s = enter(t, d, nil)
				assert.Equal(t, strings.Fields(all), names(s.settled(t)), "nothing is missing the next time")
				s.leave()
			})
		}
	}
	inBubble(t, "a push in front of the empty answer", func(t *testing.T) {
		l := newLibrary(newHouse())
		w := newWorld(t, l.serve)
		d := newReader(w)
		s := enter(t, d, nil)
		s.settled(t)
		s.leave()
		l.edit("benvolio@im.example.com", other)
		l.edit("mercutio@im.example.com", other)
		l.talks(func(c *clerk, s said) bool {
			if s.Type == "get" {
				c.push(c.shelf["mercutio@im.example.com"])
				c.say("<iq id='%s' type='result'/>", s.ID)
			}
			return true
		})
		s = enter(t, d, nil)
		s.settled(t)
		s.leave() // Before the push of the first change.
		l.talks(nil)
		s = enter(t, d, nil)
		assert.Equal(t, strings.Fields(all), names(s.settled(t)))
		s.leave()
	})
	inBubble(t, "nothing has changed since nothing", func(t *testing.T) {
		l := newLibrary(newHouse())
		w := newWorld(t, l.serve)
		d := newReader(w)
		l.talks(func(c *clerk, s said) bool {
			if s.Type == "get" {
				c.say("<iq id='%s' type='result'/>", s.ID)
				c.push(c.shelf[romeo.String()])
			}
			return true
		})
		s := enter(t, d, nil)
		s.settled(t)
		s.leave()
		l.talks(nil)
		s = enter(t, d, nil)
		require.Len(t, s.settled(t).Items(), 2)
		s.leave()
	})
}
