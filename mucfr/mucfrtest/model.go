// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfrtest

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"

	"github.com/xmppext/xmppext/mucfr"
)

// Model lets people come to a room, talk, change and leave, lets their clients lose the
// connection after any stanza and come back, restarts the room, with and without a
// crash, and compares: a client that gets everything knows what the room knows, has
// every message or was told that some are missing, has none twice, takes nobody for
// somebody else and sees no address that it may not see.
//
// In every other schedule the clients are those of this package: an Occupancy says what
// to ask for, is also given what comes too early, and must know what the room knows.
// In the others they do what a client does that takes every id.
//
// Choose returns a number from 0 to n-1, and so makes the schedule, which has that
// many steps. The error says what is wrong, with what has happened until then.
func Model(choose func(n int) int, steps int, store mucfr.Store, limits mucfr.Limits) error {
	m := &model{choose: choose, store: store, opts: mucfr.Options{Limits: limits}}
	m.follow = choose(2) == 0
	err := m.open()
	// With others in the room a part is less than the whole more often.
	for i := range 6 * choose(2) {
		if err == nil {
			_, err = m.room.Join(mucfr.Join{
				JID: jid.MustParse(fmt.Sprintf("guest%d@example.org/x", i)), Nick: fmt.Sprint("guest", i), Role: muc.RoleVisitor,
			})
		}
	}
	for i := 0; err == nil && i < steps; i++ {
		err = m.step()
	}
	// In the end everybody comes back.
	for _, v := range m.viewers {
		if err == nil {
			err = m.join(v, -1, true)
		}
	}
	if err != nil {
		return fmt.Errorf("%w, after:\n%s", err, strings.Join(m.trace, "\n"))
	}
	return nil
}

var modelRoom = jid.MustParse("coven@chat.example")

type model struct {
	choose func(int) int
	store  mucfr.Store
	opts   mucfr.Options

	follow  bool // by an Occupancy
	joins   int
	room    *mucfr.Room
	viewers []*viewer
	said    int
	subject string
	trace   []string

	savedSubject string // when the room was saved last
}

func (m *model) log(format string, args ...any) {
	m.trace = append(m.trace, fmt.Sprintf(format, args...))
}

// open opens the room, as it was saved.
func (m *model) open() (err error) {
	m.room, err = mucfr.OpenRoom(context.Background(), modelRoom, m.opts, m.store)
	return err
}

var (
	nicks        = []string{"hag", "witch", "crone", "thane"}
	shows        = []string{"away", "chat", "dnd", "xa"}
	roles        = []muc.Role{muc.RoleParticipant, muc.RoleVisitor, muc.RoleModerator}
	affiliations = []muc.Affiliation{muc.AffiliationNone, muc.AffiliationMember, muc.AffiliationAdmin}
)

// step lets one thing happen.
func (m *model) step() error {
	const clients = 5
	who := m.choose(clients)
	for len(m.viewers) < clients {
		n := len(m.viewers)
		full := jid.MustParse(fmt.Sprintf("user%d@example.net/client%d", n*2/3, n))
		v := &viewer{jid: full, nick: nicks[m.choose(len(nicks))], link: -1}
		if m.follow {
			at, err := modelRoom.WithResource(v.nick)
			if err != nil {
				return err
			}
			v.occupancy = mucfr.NewOccupancy(at)
		}
		m.viewers = append(m.viewers, v)
	}
	v := m.viewers[who]
	switch m.choose(18) {
	case 0, 1, 2, 3:
		if v.inside && v.link != 0 {
			return m.say(v)
		}
		link := -1
		if m.choose(2) == 0 {
			link = m.choose(2 + 10*m.choose(2))
		}
		return m.join(v, link, m.choose(8) > 0)
	case 4:
		return m.send(m.room.Update(v.jid, payload("<show>"+shows[m.choose(len(shows))]+"</show>")))
	case 5:
		m.log("%s leaves", v.jid)
		return m.send(m.room.Leave(v.jid, mucfr.Payload{}))
	case 6, 16, 17:
		nick := nicks[m.choose(len(nicks))]
		m.log("%s renames itself to %s", v.jid, nick)
		return m.send(m.room.Rename(v.jid, nick))
	case 7:
		if o, ok := m.room.Client(v.jid); ok {
			a, role := affiliations[m.choose(len(affiliations))], roles[m.choose(len(roles))]
			m.log("%s is now %s, %s", o.Nick, a, role)
			return m.send(m.room.Set(o.Nick, a, role, mucfr.Why{}))
		}
	case 8:
		if o, ok := m.room.Client(v.jid); ok {
			m.log("%s is thrown out", o.Nick)
			return m.send(m.room.Remove(o.Nick, muc.AffiliationNone, mucfr.Why{Codes: []int{mucfr.StatusKicked}}))
		}
	case 9:
		if v.link == 0 {
			return nil // It has lost it.
		}
		v.link = m.choose(4)
		m.log("%s will lose the connection after %d stanzas", v.jid, v.link)
	case 10:
		cfg := m.room.Config()
		cfg.NonAnonymous = m.choose(2) == 0
		m.log("non-anonymous: %t", cfg.NonAnonymous)
		return m.send(m.room.Configure(cfg), nil)
	case 11:
		return m.restart()
	case 12:
		m.log("the room is saved")
		m.savedSubject = m.subject
		return m.room.Save()(context.Background())
	case 13:
		if v.link == 0 { // It tries another name.
			v.nick = nicks[m.choose(len(nicks))]
		}
	default:
		return m.say(v)
	}
	return nil
}

// restart closes the room, or not, and opens it.
func (m *model) restart() error {
	if m.choose(2) == 0 {
		m.log("the room is closed, and opened")
		if err := m.room.Close(context.Background()); err != nil {
			return err
		}
		m.savedSubject = m.subject
		return m.open()
	}
	m.log("the room crashes")
	m.subject = m.savedSubject
	for _, v := range m.viewers {
		v.link = 0
	}
	return m.open()
}

func payload(s string) mucfr.Payload {
	p, err := mucfr.ReadPayload(xml.NewDecoder(strings.NewReader(s)))
	if err != nil {
		panic("mucfrtest: " + err.Error()) // Only of what is written here.
	}
	return p
}

// say lets a client say something.
func (m *model) say(v *viewer) error {
	switch _, ok := m.room.Client(v.jid); {
	case !ok:
		return nil
	case m.choose(8) == 0:
		m.subject = fmt.Sprint("subject ", m.choose(100))
		m.log("%s sets the subject", v.jid)
		return m.send(m.room.Say(v.jid, "", payload("<subject>"+m.subject+"</subject>")))
	case m.choose(8) == 0:
		m.log("%s types", v.jid)
		return m.send(m.room.Say(v.jid, "", payload("<composing xmlns='http://jabber.org/protocol/chatstates'/>")))
	}
	return m.talk(v)
}

// talk lets a client say something that is kept.
func (m *model) talk(v *viewer) error {
	if _, ok := m.room.Client(v.jid); !ok {
		return nil
	}
	m.log("%s says message %d", v.jid, m.said)
	m.said++
	return m.send(m.room.Say(v.jid, "", payload(fmt.Sprintf("<body>message %d</body>", m.said-1))))
}

// join lets a client come, or come back, over a connection that carries so many
// stanzas. What it was sent before over the last one is lost.
func (m *model) join(v *viewer, link int, resume bool) error {
	nick := v.nick
	v.link, v.inside = 0, false
	if o, ok := m.room.Client(v.jid); ok && o.Nick != nick {
		if err := m.send(m.room.Leave(v.jid, mucfr.Payload{})); err != nil {
			return err
		}
	}
	ask, err := m.ask(v, resume)
	if err != nil {
		return err
	}
	v.pending = ask.Type == mucfr.Resume
	if !v.pending {
		v.others, v.have, v.last = make(map[string]other), make(map[int]int), mucfr.Element{}
		v.start, v.excused, v.checked = m.said, 0, 0
	}
	j := mucfr.Join{
		JID: v.jid, Nick: nick, ID: m.id(), Affiliation: muc.AffiliationNone, Role: roles[m.choose(len(roles))],
		Presence: mucfr.Presence{MUC: true, Request: &ask, Payload: payload("<show>" + shows[m.choose(len(shows))] + "</show>")},
	}
	switch m.choose(4) {
	case 0:
		n := m.choose(3)
		j.Presence.History.MaxStanzas = &n
	case 1:
		j.Presence.History = mucfr.None()
	}
	if o, ok := m.room.Occupant(nick); ok && o.JIDs[0].Bare().Equal(v.jid.Bare()) {
		j.Affiliation, j.Role = o.Affiliation, o.Role // As a service would have it.
	}
	v.link = link
	m.log("%s enters as %s with %v, for %d stanzas", v.jid, nick, ask, v.link)
	to, err := m.room.Join(j)
	if errors.Is(err, mucfr.ErrConflict) {
		v.pending, v.link = false, 0
		if m.follow {
			v.occupancy.Lost()
		}
		return nil
	}
	return m.send(to, err)
}

// id returns the id of the last presence by which somebody has entered.
func (m *model) id() string { return fmt.Sprint("join", m.joins) }

// ask returns what a client asks for who enters.
func (m *model) ask(v *viewer, resume bool) (ask mucfr.Element, err error) {
	if !m.follow {
		if resume && v.last.ID != "" {
			ask = v.last
		}
		return ask, nil
	}
	v.occupancy.Lost()
	if m.choose(4) == 0 {
		m.log("%s is started again", v.jid)
		b, err := v.occupancy.MarshalJSON()
		if err != nil {
			return ask, err
		}
		v.occupancy = new(mucfr.Occupancy)
		if err := v.occupancy.UnmarshalJSON(b); err != nil {
			return ask, err
		}
	}
	if err := v.occupancy.SetNick(v.nick); err != nil {
		return ask, err
	}
	m.joins++
	ask = v.occupancy.Join(m.id())
	// The room may still talk to the connection that was lost, to the same address.
	v.early = true
	for _, other := range m.viewers {
		if other != v && m.choose(4) == 0 {
			v.link = m.choose(4)
			if err := m.send(m.room.Update(other.jid, payload("<show>"+shows[m.choose(len(shows))]+"</show>"))); err != nil {
				return ask, err
			}
			v.link = m.choose(4)
			if err := m.talk(other); err != nil {
				return ask, err
			}
		}
	}
	v.link = m.choose(4)
	switch o, ok := m.room.Client(v.jid); {
	case ok && m.choose(8) == 0:
		m.log("%s leaves by the connection that it has lost", v.jid)
		err = m.send(m.room.Leave(v.jid, mucfr.Payload{}))
	case ok && m.choose(8) == 0:
		m.log("%s is thrown out", o.Nick)
		err = m.send(m.room.Remove(o.Nick, muc.AffiliationNone, mucfr.Why{Codes: []int{mucfr.StatusKicked}}))
	}
	if err != nil {
		return ask, err
	}
	v.early, v.link = false, 0
	return ask, nil
}

// send delivers stanzas, and compares.
func (m *model) send(to []mucfr.Stanza, err error) error {
	if err != nil {
		if errors.Is(err, mucfr.ErrConflict) || errors.Is(err, mucfr.ErrNotInside) {
			return nil
		}
		return err
	}
	for _, s := range to {
		b := s.AppendXML(nil)
		for _, v := range m.viewers {
			if !v.jid.Equal(s.To) || v.link == 0 {
				continue
			}
			v.link--
			m.log("  %s", b)
			if err := m.deliver(v, b); err != nil {
				return fmt.Errorf("%s: %w: %s", v.jid, err, b)
			}
		}
	}
	for _, v := range m.viewers {
		if _, ok := m.room.Client(v.jid); !ok || !v.inside || v.link == 0 {
			continue
		}
		if err := v.agrees(m.room, m.subject, m.said); err != nil {
			return fmt.Errorf("%s: %w", v.jid, err)
		}
	}
	return nil
}

// deliver gives a client one stanza.
func (m *model) deliver(v *viewer, b []byte) error {
	var s received
	if err := xml.Unmarshal(b, &s); err != nil {
		return err
	}
	if m.follow {
		if _, err := v.occupancy.Apply(xml.NewDecoder(bytes.NewReader(b))); err != nil {
			return err
		}
		if v.early {
			return nil
		}
	}
	if !s.From.Bare().Equal(modelRoom) || !s.To.Equal(v.jid) {
		return errors.New("wrong addresses")
	}
	if s.User != nil && s.User.Item.JID != "" && !s.has(mucfr.StatusSelf) && !m.room.Config().NonAnonymous {
		if o, ok := m.room.Client(v.jid); !ok || o.Role != muc.RoleModerator {
			return errors.New("it sees an address")
		}
	}
	return v.receive(&s, func(nick string) string {
		if o, ok := m.room.Occupant(nick); ok {
			return o.JIDs[0].Bare().String()
		}
		return ""
	}, m.said)
}
