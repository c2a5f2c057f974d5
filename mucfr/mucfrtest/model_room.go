// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfrtest

import (
	"context"
	"encoding/xml"
	"fmt"
	"strings"
	"time"

	"mellium.im/xmpp/muc"

	"github.com/xmppext/xmppext/mucfr"
)

// happen lets something happen to a client, or to the room.
func (m *model) happen(v *viewer) error {
	switch o, inside := m.room.Client(v.jid); m.choose(13) {
	case 0, 1:
		m.log("%s changes its presence", v.jid)
		return m.send(m.room.Update(v.jid, payload("<show>"+shows[m.choose(len(shows))]+"</show>")))
	case 2:
		m.log("%s leaves", v.jid)
		return m.send(m.room.Leave(v.jid, mucfr.Payload{}))
	case 3, 4, 5:
		nick := nicks[m.choose(len(nicks))]
		m.log("%s renames itself to %s", v.jid, nick)
		return m.send(m.room.Rename(v.jid, nick))
	case 6, 7:
		if inside {
			a, role := affiliations[m.choose(len(affiliations))], roles[m.choose(len(roles))]
			m.log("%s is now %s, %s", o.Nick, a, role)
			return m.send(m.room.Set(o.Nick, a, role, mucfr.Why{}))
		}
	case 8:
		if inside {
			code := []int{mucfr.StatusKicked, mucfr.StatusKicked, mucfr.StatusBanned}[m.choose(3)]
			m.log("%s is thrown out, by %d", o.Nick, code)
			return m.send(m.room.Remove(o.Nick, muc.AffiliationNone, mucfr.Why{Codes: []int{code}}))
		}
	case 9:
		cfg := m.room.Config()
		cfg.NonAnonymous, cfg.Logged = m.choose(2) == 0, m.choose(2) == 0
		m.log("non-anonymous: %t", cfg.NonAnonymous)
		return m.send(m.room.Configure(cfg), nil)
	case 10:
		return m.restart()
	case 11:
		if age := m.opts.Limits.Age; age > 0 {
			m.log("time goes by")
			time.Sleep(age / time.Duration(1+m.choose(4)))
		}
	default:
		return m.say(v)
	}
	return nil
}

// restart closes the room, or not, and opens it. Or it is another one then.
func (m *model) restart() error {
	ctx, how := context.Background(), m.choose(7)
	if m.waits() {
		how = []int{0, 6}[how%2]
	}
	switch how {
	case 0, 1, 2:
		m.log("the room is closed, and opened")
		if err := m.room.Close(ctx); err != nil {
			return err
		}
		m.savedSubject = m.subject
		return m.open()
	case 3, 4, 5:
		m.log("the room crashes")
		m.subject = m.savedSubject
		m.cut()
		for _, v := range m.viewers {
			if v.follower != nil {
				v.misled = true
			}
		}
		return m.open()
	}
	m.subject = ""
	if m.waits() {
		m.log("the room is destroyed")
		return m.send(m.room.Destroy(mucfr.Destroyed{}), nil)
	}
	switch m.choose(3) {
	case 0:
		m.log("the room is destroyed")
		return m.send(m.room.Destroy(mucfr.Destroyed{Reason: "for all"}), nil)
	case 1:
		m.log("the room is destroyed, deleted and made anew")
		if err := m.send(m.room.Destroy(mucfr.Destroyed{}), nil); err != nil {
			return err
		}
	default:
		m.log("the room loses its store")
		m.cut()
	}
	m.savedSubject = ""
	if err := m.store.Delete(ctx, modelRoom); err != nil {
		return err
	}
	return m.open()
}

// cut ends all connections.
func (m *model) cut() {
	for _, v := range m.viewers {
		v.link, v.plain, v.sight = 0, false, false
		if v.follower != nil && v.kept != nil {
			v.kept.sight = false
		}
	}
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
	case m.choose(6) == 0 && !m.guesses():
		m.subject = fmt.Sprint("subject ", m.choose(100))
		m.log("%s sets the subject", v.jid)
		return m.send(m.room.Say(v.jid, "", payload("<subject>"+m.subject+"</subject>")))
	case m.choose(8) == 0:
		m.log("%s types", v.jid)
		return m.send(m.room.Say(v.jid, "", payload("<composing xmlns='http://jabber.org/protocol/chatstates'/>")))
	}
	m.log("%s says message %d", v.jid, m.said)
	m.said++
	return m.send(m.room.Say(v.jid, "", payload(fmt.Sprintf("<body>message %d</body>", m.said-1))))
}

// waits reports whether some client waits for an answer. It would never come.
func (m *model) waits() bool {
	for _, v := range m.viewers {
		if v.early {
			return true
		}
	}
	return false
}

// guesses reports whether some client cannot tell a subject from the end of an answer.
func (m *model) guesses() bool {
	for _, v := range m.viewers {
		if v.early && (v.replaced || !v.sure) {
			return true
		}
	}
	return false
}
