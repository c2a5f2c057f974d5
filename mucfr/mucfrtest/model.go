// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfrtest

import (
	"context"
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
// somebody else and sees no address that it may not see. A part is never more than the
// whole, and an id helps nobody whose account could not have got it.
//
// In every other schedule the clients are those of this package: an Occupancy says what
// to ask for, is also given what comes too early, and must know what the room knows. So
// must a program that only knows what has changed. It may be ended, and go on with what it
// has kept at any time. Some rooms do not say which presence they answer.
// In the other schedules they do what a client does that takes every id.
//
// Choose returns a number from 0 to n-1, and so makes the schedule, which has that
// many steps. If the limits have an age, Model sleeps, and is to be called in a bubble
// of package [testing/synctest]. The error says what is wrong, with what has happened
// until then.
func Model(choose func(n int) int, steps int, store mucfr.Store, limits mucfr.Limits) error {
	m := &model{choose: choose, store: store, opts: mucfr.Options{Limits: limits}, visited: make(map[string]int)}
	m.follow, m.reflects = choose(2) == 0, choose(4) > 0
	m.opts.AnnotateAll = choose(4) == 0
	m.opts.Config.History = []int{0, 0, 3, -1}[choose(4)]
	err := m.open()
	if err == nil {
		err = m.invite()
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

	follow   bool // by an Occupancy
	reflects bool // the room says which presence it answers
	joins    int
	room     *mucfr.Room
	viewers  []*viewer
	said     int
	subject  string
	trace    []string

	savedSubject string         // when the room was saved last
	sent         int            // how often something was sent
	visited      map[string]int // by account, when it was last inside
}

func (m *model) log(format string, args ...any) {
	m.trace = append(m.trace, fmt.Sprintf(format, args...))
}

// open opens the room, as it was saved.
func (m *model) open() (err error) {
	m.room, err = mucfr.OpenRoom(context.Background(), modelRoom, m.opts, m.store)
	if err == nil {
		m.visit()
	}
	return err
}

// visit notes who is inside.
func (m *model) visit() {
	for o := range m.room.Occupants() {
		m.visited[o.JIDs[0].Bare().String()] = m.sent
	}
}

// invite makes the clients, and lets others in, which are not looked at.
func (m *model) invite() error {
	const clients = 5
	for n := range clients {
		v := &viewer{
			jid:  jid.MustParse(fmt.Sprintf("user%d@example.net/client%d", n*2/3, n)),
			nick: nicks[m.choose(len(nicks))], messages: messages{have: make(map[int]int)},
		}
		if m.follow {
			at, err := modelRoom.WithResource(v.nick)
			if err != nil {
				return err
			}
			v.follower = newFollower(at, m.choose(4) == 0)
		}
		m.viewers = append(m.viewers, v)
	}
	// With others in the room a part is less than the whole more often.
	for i := range 6 * m.choose(2) {
		_, err := m.room.Join(mucfr.Join{
			JID: jid.MustParse(fmt.Sprintf("guest%d@example.org/x", i)), Nick: fmt.Sprint("guest", i), Role: muc.RoleVisitor,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

var (
	nicks        = []string{"hag", "witch", "crone", "thane"}
	shows        = []string{"away", "chat", "dnd", "xa"}
	roles        = []muc.Role{muc.RoleParticipant, muc.RoleVisitor, muc.RoleModerator}
	affiliations = []muc.Affiliation{muc.AffiliationNone, muc.AffiliationMember, muc.AffiliationAdmin}
)

// step lets one thing happen.
func (m *model) step() error {
	v := m.viewers[m.choose(len(m.viewers))]
	switch m.choose(16) {
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
		if v.link != 0 {
			v.link = m.choose(4)
			m.log("%s will lose the connection after %d stanzas", v.jid, v.link)
		}
	case 5:
		if v.link == 0 {
			v.nick = nicks[m.choose(len(nicks))]
			m.log("%s will be %s", v.jid, v.nick)
		}
	case 6:
		m.log("the room is saved")
		m.savedSubject = m.subject
		return m.room.Save()(context.Background())
	case 7:
		if v.follower != nil {
			m.log("%s keeps what it knows", v.jid)
			return v.keep()
		}
	case 8:
		if v.link == 0 {
			return m.steal(v, m.viewers[m.choose(len(m.viewers))])
		}
	case 9:
		if v.link == 0 {
			return m.replace(v)
		}
	case 10:
		return m.say(v)
	default:
		return m.happen(v)
	}
	return nil
}
