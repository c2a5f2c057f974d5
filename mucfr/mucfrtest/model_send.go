// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfrtest

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"

	"github.com/xmppext/xmppext/mucfr"
)

// send delivers stanzas, and compares.
func (m *model) send(to []mucfr.Stanza, err error) error {
	if err != nil {
		if errors.Is(err, mucfr.ErrConflict) || errors.Is(err, mucfr.ErrNotInside) {
			return nil
		}
		return err
	}
	if err := m.pass(to); err != nil {
		return err
	}
	return m.compare()
}

// pass delivers stanzas.
func (m *model) pass(to []mucfr.Stanza) error {
	m.sent++
	for _, s := range to {
		b := s.AppendXML(nil)
		for _, v := range m.viewers {
			if !v.jid.Equal(s.To) {
				continue
			}
			if err := m.hides(v, b); err != nil {
				return fmt.Errorf("%s: %w: %s", v.jid, err, b)
			}
			if e, ok := s.Element(); ok {
				if v.plain {
					return fmt.Errorf("%s has not asked for an id: %s", v.jid, b)
				}
				v.mark, v.marked = e, m.sent
			}
			switch {
			case v.link == 0:
				continue
			case v.lost > 0:
				v.lost--
				continue
			}
			v.link--
			if _, ok := m.room.Client(v.jid); ok {
				v.saw, v.sight = m.sees(v), true
			}
			m.log("  %s", b)
			if err := m.deliver(v, b); err != nil {
				return fmt.Errorf("%s: %w: %s", v.jid, err, b)
			}
		}
	}
	m.visit()
	return nil
}

// compare looks whether all that get everything know what the room knows.
func (m *model) compare() error {
	for _, v := range m.viewers {
		if _, ok := m.room.Client(v.jid); !ok || !v.inside || v.link == 0 || v.early {
			continue
		}
		if err := v.agrees(m.room, m.subject, m.said); err != nil {
			return fmt.Errorf("%s: %w", v.jid, err)
		}
	}
	return nil
}

// hides looks whether a stanza has no address that its receiver may not see. An account
// may see its own.
func (m *model) hides(v *viewer, b []byte) error {
	if m.sees(v) {
		return nil
	}
	own := v.jid.Bare().String()
	s := strings.ReplaceAll(string(b), own, "")
	if strings.Contains(s, "@example.") {
		return errors.New("it sees an address")
	}
	return nil
}

// deliver gives a client one stanza.
func (m *model) deliver(v *viewer, b []byte) error {
	var s received
	if err := xml.Unmarshal(b, &s); err != nil {
		return err
	}
	if !s.From.Bare().Equal(modelRoom) || !s.To.Equal(v.jid) {
		return errors.New("wrong addresses")
	}
	account := func(nick string) string {
		if o, ok := m.room.Occupant(nick); ok {
			return o.JIDs[0].Bare().String()
		}
		return ""
	}
	if v.follower != nil {
		if m.choose(32) == 0 {
			if err := v.distract(m.choose); err != nil {
				return err
			}
		}
		if !m.reflects {
			b = withoutID(b)
		}
		if err := v.apply(b, v.early, m.reflects, account); err != nil {
			return err
		}
	}
	take := func() error { return v.receive(&s, account, m.said) }
	if v.early {
		take = func() error { return v.glimpse(&s, m.said) }
	}
	if err := take(); err != nil || v.follower == nil || m.choose(16) > 0 {
		return err
	}
	m.log("%s keeps what it knows", v.jid)
	return v.keep()
}

// withoutID takes out the id of a presence.
func withoutID(b []byte) []byte {
	i := bytes.Index(b, []byte(` id="join`))
	if i < 0 || !bytes.HasPrefix(b, []byte("<presence")) {
		return b
	}
	j := i + len(` id="`)
	j += bytes.IndexByte(b[j:], '"') + 1
	return append(b[:i:i], b[j:]...)
}

// isReset reports whether a stanza is the one before a whole state.
func isReset(b string) bool {
	return strings.HasPrefix(b, fmt.Sprintf(`<presence from=%q type="unavailable" to=`, modelRoom))
}

// sees reports whether a client may see addresses.
func (m *model) sees(v *viewer) bool {
	o, ok := m.room.Client(v.jid)
	return m.room.Config().NonAnonymous || ok && o.Role == muc.RoleModerator
}

// answers looks whether an answer to a client that resumes is no more than the whole, and
// that to one whose rights have changed.
func (v *viewer) answers(to []mucfr.Stanza, occupants int, sees bool) error {
	n := 0
	for _, s := range to {
		if !s.To.Equal(v.jid) || !s.Presence() {
			continue
		}
		if isReset(string(s.AppendXML(nil))) {
			return nil
		}
		n++
	}
	if v.sight && v.saw != sees {
		return fmt.Errorf("it may see addresses: %t and then %t, and gets a part", v.saw, sees)
	}
	if n > occupants+1 {
		return fmt.Errorf("it gets %d presences as a part of %d", n, occupants)
	}
	return nil
}

// distract gives a client what is not about the room's occupants.
func (v *viewer) distract(choose func(int) int) error {
	const mark = `<presence-session xmlns="urn:xmpp:presence-session:0" session="s" id="i"/>`
	const user = `<x xmlns="http://jabber.org/protocol/muc#user"><item role="none" affiliation="none"/><status code="110"/></x>`
	room, other := modelRoom, jid.MustParse("grove@chat.example")
	b := []string{
		fmt.Sprintf(`<presence from="%s/%s" type="unavailable">%s</presence>`, other, v.nick, user+mark),
		fmt.Sprintf(`<presence from="%s/%s">%s</presence>`, other, v.nick, user+mark),
		fmt.Sprintf(`<presence from=%q type="unavailable"/>`, other),
		fmt.Sprintf(`<message from="%s/%s" type="chat"><body>psst</body>%s</message>`, room, nicks[0], user+mark),
		fmt.Sprintf(`<message from="%s/%s"><subject>psst</subject>%s</message>`, room, nicks[0], mark),
		fmt.Sprintf(`<message from=%q type="error"><subject/>%s</message>`, room, mark),
		fmt.Sprintf(`<message from=%q type="groupchat"><subject/>%s</message>`, other, mark),
		fmt.Sprintf(`<iq from="%s/%s" type="set" id="x">%s</iq>`, room, nicks[0], user+mark),
	}[choose(8)]
	before, err := v.occupancy.MarshalJSON()
	if err != nil {
		return err
	}
	c, err := v.occupancy.Apply(xml.NewDecoder(strings.NewReader(b)))
	if err != nil {
		return err
	}
	after, err := v.occupancy.MarshalJSON()
	if err != nil {
		return err
	}
	if c.Kind != mucfr.NoChange || !bytes.Equal(before, after) {
		return fmt.Errorf("%v by %s", c.Kind, b)
	}
	return nil
}
