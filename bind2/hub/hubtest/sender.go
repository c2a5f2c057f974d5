// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hubtest

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/carbons"
	"github.com/xmppext/xmppext/mam"
)

// message is one that was sent.
type message struct {
	key       string // its id
	from, to  jid.JID
	typ       stanza.MessageType
	body      bool
	private   bool   // must not be copied
	transient bool   // must not be archived
	now       bool   // must not even be kept
	displayed string // the message that it says to have read
	forged    bool   // has an id that claims to be by the account

	hub int
	own *session // that has sent it, if any
	err error
}

// xml returns the message as it is sent.
func (m *message) xml() xml.TokenReader {
	var b strings.Builder
	fmt.Fprintf(&b, `<message xmlns="jabber:client" id="%s" type="%s" from="%s" to="%s">`, m.key, m.typ, m.from, m.to)
	if m.body {
		fmt.Fprintf(&b, `<body>%s</body>`, m.key)
	}
	if m.private {
		b.WriteString(`<private xmlns="` + carbons.NS + `"/>`)
	}
	if m.transient {
		b.WriteString(`<no-permanent-store xmlns="urn:xmpp:hints"/>`)
	}
	if m.now {
		b.WriteString(`<no-store xmlns="urn:xmpp:hints"/>`)
	}
	if m.displayed != "" {
		fmt.Fprintf(&b, `<displayed xmlns="urn:xmpp:chat-markers:0" id="%s"/><store xmlns="urn:xmpp:hints"/>`, m.displayed)
	}
	if m.forged {
		for _, by := range []jid.JID{m.from.Bare(), m.to.Bare()} {
			fmt.Fprintf(&b, `<stanza-id xmlns="%s" by="%s" id="forged"/>`, mam.NSStanzaID, by)
		}
	}
	b.WriteString(`</message>`)
	return xml.NewDecoder(strings.NewReader(b.String()))
}

// storable reports whether the message is to be archived, if the account wants it.
func (m *message) storable() bool { return !m.transient && !m.now }

// keepable reports whether the message may wait in the offline queue.
func (m *message) keepable() bool { return m.body && !m.now }

// wants reports whether somebody's preferences allow a message to be archived.
func (p *person) wants(m *message) bool {
	with := m.from
	if m.from.Bare().Equal(p.jid) {
		with = m.to
	}
	return m.storable() && p.prefs.Allow(with, nil)
}

// A sender sends messages one after the other.
type sender struct {
	w    *world
	n    int
	lots *rand.Rand
	seen [accounts]map[int]string // by account and contact, what was delivered last
}

func (s *sender) write(ctx context.Context, n int) {
	for i := range n {
		if ctx.Err() != nil {
			return
		}
		m := &message{key: fmt.Sprintf("m%d-%d", s.n, i), typ: stanza.ChatMessage, body: true}
		p := s.w.people[s.lots.IntN(accounts)]
		m.forged = s.lots.IntN(16) == 0
		switch lot := s.lots.IntN(100); {
		case lot < 8:
			m.private = true
		case lot < 16:
			m.transient = true
		case lot < 19:
			m.now = true
		case lot < 30:
			m.typ = stanza.NormalMessage
		}
		if own := p.pick(s.lots); own != nil && s.lots.IntN(100) < 40 {
			s.send(ctx, p, own, m)
		} else {
			s.deliver(ctx, p, m)
		}
		s.w.sent[s.n] = append(s.w.sent[s.n], m)
		s.w.ticks.add()
	}
}

// deliver sends a message from elsewhere.
func (s *sender) deliver(ctx context.Context, p *person, m *message) {
	contact := s.lots.IntN(len(s.w.contacts))
	m.from, m.to, m.hub = s.w.contacts[contact], s.address(p), s.lots.IntN(len(s.w.hubs))
	m.err = s.w.hubs[m.hub].Deliver(ctx, p.jid, m.xml())
	switch {
	case m.err == nil && p.wants(m):
		if s.seen[p.at] == nil {
			s.seen[p.at] = make(map[int]string)
		}
		s.seen[p.at][contact] = m.key
	case m.err != nil && !errors.As(m.err, new(stanza.Error)):
		s.w.found.add(ruleProgress, "the message %s was not delivered: %v", m.key, m.err)
	}
}

// send sends a message by a session: to another account, to the own one or to
// elsewhere.
func (s *sender) send(ctx context.Context, p *person, own *session, m *message) {
	m.from, m.own, m.hub = own.jid, own, own.hub
	contact := s.lots.IntN(len(s.w.contacts))
	switch lot := s.lots.IntN(100); {
	case lot < 60:
		m.to = s.address(s.w.people[s.lots.IntN(accounts)])
	case lot < 75:
		m.to = s.address(p)
	default:
		m.to = s.w.contacts[contact]
		if key := s.seen[p.at][contact]; key != "" && p.at != listed && s.lots.IntN(2) == 0 {
			m.typ, m.displayed, m.body, m.private, m.transient, m.now = stanza.ChatMessage, key, false, false, false, false
		}
	}
	// Whatever it fails with is for the session that has ended, or for whom it is to.
	m.err = own.resource.Send(ctx, m.xml())
	if errors.Is(m.err, context.DeadlineExceeded) {
		s.w.found.add(ruleProgress, "the message %s was not sent: %v", m.key, m.err)
	}
}

// address returns the bare JID of an account, or the full one of a session, which may
// have ended by then.
func (s *sender) address(p *person) jid.JID {
	if to := p.pick(s.lots); to != nil && s.lots.IntN(4) == 0 {
		return to.jid
	}
	return p.jid
}
