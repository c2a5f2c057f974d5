// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfrtest

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"

	"mellium.im/xmpp/muc"

	"github.com/xmppext/xmppext/mucfr"
)

// join lets a client come, or come back, over a connection that carries so many
// stanzas. What it was sent before over the last one is lost.
func (m *model) join(v *viewer, link int, resume bool) error {
	v.link, v.inside = 0, false
	ask := &mucfr.Element{}
	switch {
	case m.follow:
		var err error
		if ask, err = m.ask(v); err != nil {
			return err
		}
	case m.choose(10) == 0:
		ask, v.last = nil, mucfr.Element{} // It does not want ids.
	case resume && v.last.ID != "":
		ask = &v.last
	}
	if !m.follow {
		v.begin(ask, m.said)
	}
	to, err := m.enter(v, m.id(), ask)
	if v.early, v.link = false, link; m.follow && v.quit {
		v.link = 0
	}
	if errors.Is(err, mucfr.ErrConflict) {
		return m.refuse(v)
	}
	if err != nil {
		return err
	}
	v.replaced = false
	if v.pending {
		if err := v.answers(to, m.room.Len(), m.sees(v)); err != nil {
			return fmt.Errorf("%s: %w", v.jid, err)
		}
	}
	m.log("it is answered by %d stanzas at most", v.link)
	return m.send(to, nil)
}

// id returns the id of the last presence by which somebody has entered.
func (m *model) id() string { return fmt.Sprint("join", m.joins) }

// enter gives the room the presence by which a client enters, and returns what it sends.
func (m *model) enter(v *viewer, id string, ask *mucfr.Element) ([]mucfr.Stanza, error) {
	nick := v.nick
	if v.early && !v.pending {
		v.from = m.said // It does not know of what was said before.
	}
	if o, ok := m.room.Client(v.jid); ok && o.Nick != nick {
		if other, taken := m.room.Occupant(nick); taken && !other.JIDs[0].Bare().Equal(v.jid.Bare()) && m.choose(2) == 0 {
			return nil, mucfr.ErrConflict // It stays who it is.
		}
		if v.early && v.link == 0 && m.choose(2) == 0 {
			v.link = -1
		}
		m.log("%s has to leave first", v.jid)
		if err := m.send(m.room.Leave(v.jid, mucfr.Payload{})); err != nil {
			return nil, err
		}
	}
	j := mucfr.Join{
		JID: v.jid, Nick: nick, ID: id, Affiliation: muc.AffiliationNone, Role: roles[m.choose(len(roles))],
		Presence: mucfr.Presence{MUC: true, Request: ask, Payload: payload("<show>" + shows[m.choose(len(shows))] + "</show>")},
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
	m.log("%s enters as %s with %v and %s", v.jid, nick, ask, id)
	to, err := m.room.Join(j)
	if err == nil {
		v.plain = ask == nil && !m.opts.AnnotateAll
	}
	return to, err
}

// refuse lets the room answer by an error.
func (m *model) refuse(v *viewer) error {
	m.log("the nickname is taken")
	v.pending, v.link = false, 0
	if v.follower == nil {
		return nil
	}
	if m.choose(4) == 0 {
		v.occupancy.Lost() // It did not arrive.
		return nil
	}
	id := m.id()
	if !m.reflects {
		id = ""
	}
	b := fmt.Sprintf(`<presence from=%q to=%q id=%q type="error"><error type="cancel"><conflict xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></presence>`,
		v.occupancy.Address(), v.jid, id)
	c, err := v.occupancy.Apply(xml.NewDecoder(bytes.NewReader([]byte(b))))
	if err != nil {
		return err
	}
	if c.Kind != mucfr.RoomRefused && m.reflects && !v.quit {
		return fmt.Errorf("%s was refused, and takes it for %v", v.jid, c.Kind)
	}
	return nil
}

// ask returns what a client of this package asks for who enters, and what the room may
// say before it answers.
func (m *model) ask(v *viewer) (*mucfr.Element, error) {
	if m.choose(4) > 0 {
		v.occupancy.Lost()
	}
	switch m.choose(8) {
	case 0, 1:
		m.log("%s is started again", v.jid)
		if err := v.keep(); err != nil {
			return nil, err
		}
		if err := v.start(); err != nil {
			return nil, err
		}
	case 2, 3:
		m.log("%s is started again, with what it has kept", v.jid)
		if err := v.start(); err != nil {
			return nil, err
		}
	}
	if m.choose(4) == 0 {
		v.nick = v.occupancy.Address().Resourcepart() // As the room has said.
	} else if err := v.occupancy.SetNick(v.nick); err != nil {
		return nil, err
	}
	m.joins++
	ask := v.occupancy.Join(m.id())
	v.begin(&ask, m.said)
	m.log("%s asks with %s", v.jid, m.id())
	v.early = true
	if err := m.before(v); err != nil {
		return nil, err
	}
	if v.sure && m.choose(6) == 0 {
		var err error
		if ask, err = m.again(v, ask); err != nil {
			return nil, err
		}
	}
	return &ask, nil
}

// before lets the room talk to the connection that was lost, of the same address. What is
// sent since some time comes by the next one.
func (m *model) before(v *viewer) error {
	happens := m.choose(4) * m.choose(2)
	if v.replaced && !v.sure {
		happens = 0 // It would take the room for one that gives no ids.
	}
	for since := m.choose(happens + 1); happens > 0; happens-- {
		if v.link == 0 && happens <= since {
			v.link, v.lost = -1, m.choose(3)
		}
		what, other := m.happen, m.viewers[m.choose(len(m.viewers))]
		if m.choose(4) == 0 {
			other = v // Whose connection it is.
		}
		if other.link == 0 && other != v && m.choose(3) == 0 {
			what = m.replace
		}
		if err := what(other); err != nil {
			return err
		}
		v.lost = 0
	}
	if m.choose(8) == 0 && (v.sure || !v.replaced) {
		return m.miss(v)
	}
	return nil
}

// miss lets somebody come, whom a client sees, and go again when it does not, as it has gone
// itself by the connection that was lost.
func (m *model) miss(v *viewer) error {
	other := m.viewers[m.choose(len(m.viewers))]
	_, inside := m.room.Client(other.jid)
	o, ok := m.room.Client(v.jid)
	if inside || !ok || other.link != 0 {
		return nil
	}
	m.log("%s will miss %s", v.jid, other.jid)
	v.link = -1
	if err := m.replace(other); err != nil {
		return err
	}
	if err := m.send(m.room.Remove(o.Nick, muc.AffiliationNone, mucfr.Why{Codes: []int{mucfr.StatusKicked}})); err != nil {
		return err
	}
	return m.send(m.room.Leave(other.jid, mucfr.Payload{}))
}

// again lets a client enter once more before there is an answer, or all of it.
func (m *model) again(v *viewer, first mucfr.Element) (mucfr.Element, error) {
	to, err := m.enter(v, m.id(), &first)
	if err != nil {
		if errors.Is(err, mucfr.ErrConflict) {
			err = nil // It is told so by the next one.
		}
		return first, err
	}
	// A part of it may have come before, or gone to the connection that was lost.
	split, lost := m.choose(len(to)+1), m.choose(3)*m.choose(3)
	v.link, v.due = -1, true
	if err := m.pass(to[:split]); err != nil {
		return mucfr.Element{}, err
	}
	v.due = false
	m.joins++
	second := v.occupancy.Join(m.id())
	v.begin(&second, m.said)
	m.log("%s asks once more, with %s, and will not see %d", v.jid, m.id(), lost)
	v.lost = lost
	if err := m.pass(to[split:]); err != nil {
		return mucfr.Element{}, err
	}
	v.lost = 0
	if err := m.compare(); err != nil {
		return mucfr.Element{}, err
	}
	return second, m.before(v)
}

// replace lets another program of the same address enter, and be gone.
func (m *model) replace(v *viewer) error {
	var ask *mucfr.Element
	if m.choose(2) == 0 {
		ask = &mucfr.Element{}
	}
	m.log("another program of %s enters", v.jid)
	to, err := m.enter(v, "other", ask)
	v.inside = false
	v.replaced = v.replaced || ask == nil
	return m.send(to, err)
}

// steal lets a client whose account is not inside try an id that another one has got.
func (m *model) steal(v, from *viewer) error {
	for o := range m.room.Occupants() {
		if o.JIDs[0].Bare().Equal(v.jid.Bare()) {
			return nil
		}
	}
	if from.mark.ID == "" || from.marked <= m.visited[v.jid.Bare().String()]+1 {
		return nil
	}
	ask := from.mark
	ask.Type = mucfr.Resume
	m.log("%s tries what %s has got", v.jid, from.jid)
	to, err := m.enter(v, "thief", &ask)
	v.inside = false
	if err != nil {
		return m.send(nil, err)
	}
	for _, s := range to {
		if !s.To.Equal(v.jid) {
			continue
		}
		if b := string(s.AppendXML(nil)); !isReset(b) {
			return fmt.Errorf("%s was believed to have got an id: %s", v.jid, b)
		}
		break
	}
	return m.send(to, nil)
}
