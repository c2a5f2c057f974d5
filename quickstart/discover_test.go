// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp"
	"mellium.im/xmpp/disco"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/quickstart"
)

// tells makes a library say what it can do, and the hash of that.
func (l *library) tells(info string, caps quickstart.Caps) { l.info, l.caps = info, caps }

// discovered returns how many features the server of a session has. The session ends.
func discovered(t *testing.T, s served) (features int, err error) {
	t.Helper()
	defer s.leave()
	i, err := s.Server(t.Context())
	return len(i.Features), err
}

func TestDiscover(t *testing.T) {
	simpleCaps := capsOf("sha-1", simpleString)
	other, otherCaps := simple+`<feature var='urn:c'/>`, capsOf("sha-1", simpleString+"urn:c<")
	newDiscoverer := func(t *testing.T, h *house) (*library, *quickstart.Dialer) {
		l := newLibrary(h)
		d := newDialer(newWorld(t, l.serve))
		d.Discover = true
		return l, d
	}
	questions := func(l *library) []string {
		var all []string
		for _, s := range gets(l.hear(), disco.NSInfo) {
			all = append(all, strings.TrimSpace(s.To+" "+s.Attr["node"]))
		}
		return all
	}
	const at = "im.example.com"
	node := func(c quickstart.Caps) string { return at + " " + c.Node + "#" + c.Ver }

	for kind, house := range kinds {
		inBubble(t, "PL-02, CP-08: once for each hash, "+kind, func(t *testing.T) {
			l, d := newDiscoverer(t, house())
			l.tells(simple, simpleCaps)
			for _, want := range [][]string{{node(simpleCaps)}, nil, nil} {
				s := enter(t, d, nil)
				n, err := discovered(t, s)
				require.NoError(t, err)
				assert.Equal(t, 3, n)
				assert.Equal(t, want, questions(l), "CP-02: the server is asked by the address in its header")
			}
			l.tells(other, otherCaps)
			for _, want := range [][]string{{node(otherCaps)}, nil} {
				n, err := discovered(t, enter(t, d, nil))
				require.NoError(t, err)
				assert.Equal(t, 4, n)
				assert.Equal(t, want, questions(l))
			}
			l.tells(simple, simpleCaps)
			n, err := discovered(t, enter(t, d, nil))
			require.NoError(t, err)
			assert.Equal(t, 3, n)
			assert.Empty(t, questions(l), "what was known before is still known")
		})
	}
	inBubble(t, "CP-04: what was verified is good for other accounts, and stays", func(t *testing.T) {
		l, d := newDiscoverer(t, newHouse())
		l.tells(simple, simpleCaps)
		_, err := discovered(t, enter(t, d, nil))
		require.NoError(t, err)
		require.NoError(t, d.Forget(t.Context(), juliet))
		questions(l)
		for range 2 {
			s, err := d.Dial(t.Context(), romeo, quickstart.Password(password))
			require.NoError(t, err)
			i, err := s.Server(t.Context())
			require.NoError(t, err)
			assert.Len(t, i.Features, 3)
		}
		time.Sleep(roundTrip)
		assert.Empty(t, questions(l))
	})
	inBubble(t, "CP-04: another hash", func(t *testing.T) {
		l, d := newDiscoverer(t, newHouse())
		l.tells(other, simpleCaps)
		for range 2 {
			n, err := discovered(t, enter(t, d, nil))
			require.ErrorIs(t, err, quickstart.ErrUnverified)
			assert.Equal(t, 4, n, "it is there if somebody wants it")
			assert.Len(t, questions(l), 1)
		}
	})
	inBubble(t, "CP-06: a hash function that is not known", func(t *testing.T) {
		l, d := newDiscoverer(t, newHouse())
		caps := quickstart.Caps{Hash: "sha-9", Node: "n", Ver: "1"}
		l.tells(simple, caps)
		for _, want := range [][]string{{node(caps)}, nil} {
			n, err := discovered(t, enter(t, d, nil))
			require.NoError(t, err, "it does not end the login either")
			assert.Equal(t, 3, n)
			assert.Equal(t, want, questions(l))
		}
	})
	inBubble(t, "a server that tells no hash is asked each time, in the flight of the login", func(t *testing.T) {
		l, d := newDiscoverer(t, newOldHouse())
		d.Mechanisms = []string{auth.Plain}
		l.tells(simple, quickstart.Caps{})
		for i := range 3 {
			s := enter(t, d, nil)
			n, err := discovered(t, s)
			require.NoError(t, err)
			assert.Equal(t, 3, n)
			assert.Equal(t, []string{at}, questions(l))
			assert.Equal(t, i > 0, s.Report.Opening)
			if i > 0 {
				assert.Equal(t, 2, s.Report.Flights)
			}
		}
		l.tells(simple, simpleCaps)
		for _, want := range [][]string{{at}, nil} {
			n, err := discovered(t, enter(t, d, nil))
			require.NoError(t, err)
			assert.Equal(t, 3, n)
			assert.Equal(t, want, questions(l), "what was asked ahead is verified by the hash")
		}
		l.tells(other, otherCaps)
		s := enter(t, d, nil)
		assert.Equal(t, 3, s.Report.Flights, "that there is another hash shows behind the login")
		n, err := discovered(t, s)
		require.NoError(t, err)
		assert.Equal(t, 4, n)
		assert.Equal(t, []string{node(otherCaps)}, questions(l))
	})
	inBubble(t, "the program's own feature", func(t *testing.T) {
		l, d := newDiscoverer(t, newHouse())
		d.Features = []xmpp.StreamFeature{disco.StreamFeature()}
		l.tells(simple, simpleCaps)
		for _, want := range [][]string{{node(simpleCaps)}, nil} {
			s := enter(t, d, nil)
			c, ok := disco.ServerCaps(s.Session.Session)
			assert.True(t, ok)
			assert.Equal(t, simpleCaps.Ver, c.Ver)
			n, err := discovered(t, s)
			require.NoError(t, err)
			assert.Equal(t, 3, n)
			assert.Equal(t, want, questions(l))
		}
	})
}

func TestDiscoverWait(t *testing.T) {
	inBubble(t, "not told to", func(t *testing.T) {
		l := newLibrary(newHouse())
		d := newReader(newWorld(t, l.serve))
		for _, roster := range []bool{true, false} {
			d.Roster = roster
			_, err := mustDial(t, d).Server(t.Context())
			require.ErrorIs(t, err, quickstart.ErrNotDiscovered)
		}
	})
	for name, test := range map[string]struct {
		answer string
		err    error
	}{
		"refused": {`<iq id='%s' type='error' from='im.example.com'><error type='auth'><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>no</text><x xmlns='other'/><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
			stanza.Error{Type: stanza.Auth, Condition: stanza.Forbidden}},
		"refused without a reason": {`<iq id='%s' type='error'/>`, stanza.Error{Condition: stanza.UndefinedCondition}},
		"too large":                {`<iq id='%s' type='result'><query xmlns='http://jabber.org/protocol/disco#info' node='` + strings.Repeat("x", 70<<10) + `'/></iq>`, quickstart.ErrUnverified},
		"the session ends":         {`</stream:stream><!-- %s -->`, quickstart.ErrNoAnswer},
		"it ends within":           {`<iq id='%s' type='result'><query xmlns='http://jabber.org/protocol/disco#info'></stream:stream>`, quickstart.ErrNoAnswer},
		"nothing":                  {`<!-- %s -->`, context.DeadlineExceeded},
	} {
		inBubble(t, name, func(t *testing.T) {
			l := newLibrary(newHouse())
			l.talks(func(c *clerk, s said) bool {
				if s.Payload.Space == disco.NSInfo && test.answer != `<!-- %s -->` {
					c.say(test.answer, s.ID)
				}
				return true
			})
			d := newDialer(newWorld(t, l.serve))
			d.Discover = true
			s := enter(t, d, nil)
			defer s.leave()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			i, err := s.Server(ctx)
			require.ErrorIs(t, err, test.err)
			assert.Empty(t, i.Features)
			assert.LessOrEqual(t, strings.Count(err.Error(), "quickstart: "), 1, err)
		})
	}
}

// TestAnnounced is RV-01 and CP-01 with our servers: what they announce is there behind
// all ways to log in.
func TestAnnounced(t *testing.T) {
	for kind, house := range kinds {
		inBubble(t, kind, func(t *testing.T) {
			l := newLibrary(house())
			caps := capsOf("sha-1", simpleString)
			l.tells(simple, caps)
			d := newDialer(newWorld(t, l.serve))
			d.Discover = true
			for range 2 {
				s := mustDial(t, d)
				_, ok := s.Feature("urn:xmpp:features:rosterver")
				assert.True(t, ok, "RV-01: in the last features")
				told, ok := s.Feature(quickstart.NSCaps)
				assert.True(t, ok, "CP-01")
				assert.Equal(t, caps, told)
			}
		})
	}
}
