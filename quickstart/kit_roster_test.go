// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/roster"

	"github.com/xmppext/xmppext/pipelining"
	"github.com/xmppext/xmppext/quickstart"
)

// A library is a house that goes on talking when its visitors have come in: it has a
// roster with versions, and says what it can do.
type library struct {
	*house
	noVersions bool
	caps       quickstart.Caps // told as a stream feature, if there are any
	info       string          // what is in a query of what it can do

	mu      sync.Mutex
	talk    func(c *clerk, s said) bool // see talks
	version int
	shelf   map[string]book // by JID
	clerks  []*clerk
	said    []said
}

type book struct {
	version int
	item    string
	gone    bool
}

// said is a stanza of a client.
type said struct {
	Name, ID, Type, To string
	Payload            xml.Name
	Attr               map[string]string // of the payload
	At                 time.Time
}

// newLibrary returns one with a roster of two.
func newLibrary(h *house) *library {
	l := &library{house: h, shelf: make(map[string]book)}
	l.edit("nurse@im.example.com", `subscription='both' name='Nurse'><group>Servants</group>`)
	l.edit("romeo@im.example.com", `subscription='to' ask='subscribe' approved='true' name='Romeo'>`)
	h.logins.Announce = func(*xmpp.Session) []xmpp.StreamFeature { return l.announced() }
	return l
}

// announced are the features that say something.
func (l *library) announced() []xmpp.StreamFeature {
	var features []xmpp.StreamFeature
	if !l.noVersions {
		features = append(features, roster.Versioning())
	}
	if l.caps != (quickstart.Caps{}) {
		features = append(features, xmpp.StreamFeature{
			Name: xml.Name{Space: quickstart.NSCaps, Local: "c"},
			List: func(_ context.Context, w xmlstream.TokenWriter, start xml.StartElement) (bool, error) {
				for name, value := range map[string]string{"hash": l.caps.Hash, "node": l.caps.Node, "ver": l.caps.Ver} {
					start.Attr = append(start.Attr, xml.Attr{Name: xml.Name{Local: name}, Value: value})
				}
				_, err := xmlstream.Copy(w, xmlstream.Wrap(nil, start))
				return false, err
			},
		})
	}
	return features
}

// serve negotiates a session and talks.
func (l *library) serve(ctx context.Context, conn net.Conn) {
	var (
		rw    io.ReadWriter = conn
		state xmpp.SessionState
	)
	if l.direct {
		secure := tls.Server(pipelining.NewConn(conn), l.tls)
		if secure.HandshakeContext(ctx) != nil {
			_ = conn.Close()
			return
		}
		rw, state = secure, xmpp.Secure
	}
	s, err := xmpp.ReceiveSession(ctx, rw, state, pipelining.NewNegotiator(func(s *xmpp.Session, cfg *xmpp.StreamConfig) xmpp.StreamConfig {
		c := l.features(s, cfg)
		c.Features = append(c.Features, l.announced()...)
		return c
	}, pipelining.Config{TeeIn: &l.heard}))
	if err != nil {
		_ = conn.Close()
		return
	}
	c := &clerk{library: l, session: s, d: xml.NewDecoder(s.Conn())}
	l.mu.Lock()
	l.clerks = append(l.clerks, c)
	l.mu.Unlock()
	for {
		said, err := c.listen()
		if err != nil {
			_ = conn.Close()
			return
		}
		l.mu.Lock()
		l.said = append(l.said, said)
		talk := l.talk
		l.mu.Unlock()
		if talk == nil || !talk(c, said) {
			c.answer(said)
		}
	}
}

// talks has something said to a stanza in place of what the library says by itself, if
// it returns true.
func (l *library) talks(talk func(c *clerk, s said) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.talk = talk
}

// hear returns what clients have said since the last time, and forgets it.
func (l *library) hear() []said {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.said
	l.said = nil
	return all
}

// edit changes a contact, and tells those that are there. Rest is what is behind the
// address in an item, without its end. If it is empty the contact is removed.
func (l *library) edit(contact, rest string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.version++
	b := book{l.version, fmt.Sprintf("<item jid='%s' %s</item>", contact, rest), rest == ""}
	if b.gone {
		b.item = fmt.Sprintf("<item jid='%s' subscription='remove'/>", contact)
	}
	l.shelf[contact] = b
	for _, c := range l.clerks {
		if c.interested {
			c.push(b)
		}
	}
}

// A clerk talks to one client.
type clerk struct {
	*library
	session    *xmpp.Session
	d          *xml.Decoder
	interested bool // in changes; guarded by the library
}

// listen reads one stanza.
func (c *clerk) listen() (said, error) {
	for {
		tok, err := c.d.Token()
		if err != nil {
			return said{}, err
		}
		start, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		s := said{Name: start.Name.Local, Attr: make(map[string]string), At: time.Now()}
		for _, a := range start.Attr {
			switch a.Name.Local {
			case "id":
				s.ID = a.Value
			case "type":
				s.Type = a.Value
			case "to":
				s.To = a.Value
			}
		}
		for depth := 1; depth > 0; {
			tok, err := c.d.Token()
			if err != nil {
				return said{}, err
			}
			switch tok := tok.(type) {
			case xml.StartElement:
				if depth++; depth == 2 {
					s.Payload = tok.Name
					for _, a := range tok.Attr {
						s.Attr[a.Name.Local] = a.Value
					}
				}
			case xml.EndElement:
				depth--
			}
		}
		return s, nil
	}
}

// say sends something.
func (c *clerk) say(format string, args ...any) {
	_, _ = fmt.Fprintf(c.session.Conn(), format, args...) // Who has gone does not hear it.
}

func (c *clerk) push(b book) {
	c.say("<iq id='push%d' type='set'><query xmlns='jabber:iq:roster' ver='%[1]d'>%[2]s</query></iq>", b.version, b.item)
}

// answer says what a server does by itself.
func (c *clerk) answer(s said) {
	if s.Name != "iq" || s.Type != "get" && s.Type != "set" {
		return
	}
	switch s.Payload.Space {
	case "jabber:iq:roster":
		c.lend(s)
	case "http://jabber.org/protocol/disco#info":
		c.say("<iq id='%s' type='result' from='im.example.com'><query xmlns='http://jabber.org/protocol/disco#info' node='%s'>%s</query></iq>", s.ID, s.Attr["node"], c.info)
	default:
		c.say("<iq id='%s' type='result'/>", s.ID)
	}
}

// lend answers a request for the roster: with all of it, or with changes.
func (c *clerk) lend(s said) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interested = true
	books := make([]book, 0, len(c.shelf))
	for _, b := range c.shelf {
		books = append(books, b)
	}
	slices.SortFunc(books, func(a, b book) int { return a.version - b.version })
	since, err := strconv.Atoi(s.Attr["ver"])
	if _, asked := s.Attr["ver"]; !asked || c.noVersions || err != nil || since > c.version {
		var items string
		for _, b := range books {
			if !b.gone {
				items += b.item
			}
		}
		version := fmt.Sprintf(" ver='%d'", c.version)
		if c.noVersions {
			version = ""
		}
		c.say("<iq id='%s' type='result'><query xmlns='jabber:iq:roster'%s>%s</query></iq>", s.ID, version, items)
		return
	}
	c.say("<iq id='%s' type='result'/>", s.ID)
	for _, b := range books {
		if b.version > since {
			c.push(b)
		}
	}
}

// served is a session that is served.
type served struct {
	*quickstart.Session
	done chan struct{}
}

// enter dials and serves.
func enter(t testing.TB, d *quickstart.Dialer, h xmpp.Handler) served {
	t.Helper()
	s := served{mustDial(t, d), make(chan struct{})}
	go func() {
		defer close(s.done)
		_ = s.Serve(h) // It ends with the connection.
	}()
	return s
}

// leave ends the connection, and waits until nothing is served any more.
func (s served) leave() {
	_ = s.Conn().Close()
	<-s.done
}

// settled waits for the roster, and until all changes have come.
func (s served) settled(t testing.TB) *quickstart.Roster {
	t.Helper()
	require.NoError(t, s.Roster.Wait(t.Context()))
	time.Sleep(10 * roundTrip)
	return s.Roster
}

// names returns the addresses of contacts.
func names(r *quickstart.Roster) []string {
	var all []string
	for _, item := range r.Items() {
		all = append(all, item.JID.String())
	}
	return all
}

// gets returns the stanzas with some payload among what was said.
func gets(all []said, space string) []said {
	var some []said
	for _, s := range all {
		if s.Payload.Space == space && (s.Type == "get" || s.Type == "set") {
			some = append(some, s)
		}
	}
	return some
}
