// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr

import (
	"slices"
	"time"

	"mellium.im/xmpp/jid"
)

// A subject is the one that the room has.
type subject struct {
	nick    string // of who has set it; empty if nobody has
	id      string
	payload Payload
	time    time.Time
}

// Say says something to all, in the name of the occupant that a client is, or if the
// address is zero, in that of the room. The id is that of the client's stanza.
//
// Messages with a body are kept for those who come later, and those that are subjects
// are the room's from then on. Private messages are none of the room's business.
// The error is [ErrNotInside].
func (r *Room) Say(full jid.JID, id string, p Payload) ([]Stanza, error) {
	nick := ""
	if !full.Equal(jid.JID{}) {
		c := r.inside[full.String()]
		if c == nil {
			return nil, ErrNotInside
		}
		nick = c.occupant.nick
	}
	m := message{nick: nick, id: id, payload: p, number: r.next(), time: time.Now()}
	switch {
	case p.IsSubject():
		r.subject = subject{nick, id, p, m.time}
	case p.HasBody():
		r.history.all = append(r.history.all, m)
		r.history.bytes += m.size()
		r.touch(keyMessage + numbered(m.number))
		r.forgetOld(m.time)
	}
	one := r.said(m, false)
	return r.each(nil, m.number, func(*client) *part { return one }), nil
}

// said returns a message, with the time if it is sent later.
func (r *Room) said(m message, later bool) *part {
	attr := append(r.fromAttr(m.nick), ` type="groupchat"`...)
	p := &part{name: "message", attr: appendAttr(attr, "id", m.id), body: []byte(m.payload.xml)}
	if later {
		p.body = r.appendDelay(p.body, m.time)
	}
	return p
}

// appendDelay says when something was sent (XEP-0203).
func (r *Room) appendDelay(b []byte, t time.Time) []byte {
	b = append(b, `<delay xmlns="urn:xmpp:delay"`...)
	b = appendAttr(b, "from", r.address.String())
	b = append(b, ` stamp="`...)
	b = t.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	return append(b, `"/>`...)
}

// subjectPart returns the subject for somebody who enters.
func (r *Room) subjectPart() *part {
	attr := append(r.fromAttr(r.subject.nick), ` type="groupchat"`...)
	p := &part{name: "message", attr: appendAttr(attr, "id", r.subject.id), body: []byte("<subject/>")}
	if !r.subject.payload.IsZero() {
		p.body = r.appendDelay([]byte(r.subject.payload.xml), r.subject.time)
	}
	return p
}

// truncated says that messages are missing (XEP-0311, section 4.3).
func truncated(from []byte) *part {
	return &part{
		name: "message", attr: append(from, ` type="groupchat"`...),
		body: []byte(`<presence-session xmlns="` + NS + `" type="` + Truncated + `"/>`),
	}
}

// limit returns the last of the messages, as many as a client wants (XEP-0045,
// section 7.2.15).
func (r *Room) limit(all []message, h History, c *client) []message {
	most := len(all)
	switch {
	case r.opts.Config.History < 0:
		most = 0
	case h.MaxStanzas != nil:
		most = *h.MaxStanzas
	case h.MaxChars != nil, h.Since != nil, h.Last != nil:
	case r.opts.Config.History == 0:
		most = DefaultHistory
	default:
		most = r.opts.Config.History
	}
	since := time.Time{}
	if h.Since != nil {
		since = *h.Since
	}
	if h.Last != nil {
		if t := time.Now().Add(-*h.Last); t.After(since) {
			since = t
		}
	}
	chars, mark := 0, r.mark(point{})
	from := len(all)
	for _, m := range slices.Backward(all) {
		if len(all)-from >= most || m.time.Before(since) {
			break
		}
		if h.MaxChars != nil {
			if chars += r.stanza(c, r.said(m, true), mark).size(); chars > *h.MaxChars {
				break
			}
		}
		from--
	}
	return all[from:]
}
