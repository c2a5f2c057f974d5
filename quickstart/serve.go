// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"context"
	"encoding/xml"
	"errors"
	"sync"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// Serve serves the session as [xmpp.Session.Serve] does, with a handler for what comes
// in, and takes in by itself what the Dialer has asked for: the answers to that, and with
// Dialer.Roster, roster pushes, which it also answers. A push that is not the server's
// is no push (RFC 6121, section 2.1.6), and is refused like any request that nobody
// handles. All else goes to h as it is. If h is nil requests are refused.
//
// Who calls Serve of the Session in it gets all of that by himself, and waits in vain
// for Roster.Wait and for Server.
func (s *Session) Serve(h xmpp.Handler) error {
	if s.served != nil {
		defer s.served()
	}
	if s.inbox == nil {
		return s.Session.Serve(h)
	}
	defer s.inbox.end()
	return s.Session.Serve(taking{s.inbox, h})
}

// inbox is what a session takes in by itself.
type inbox struct {
	ctx     context.Context // for the cache; it does not end
	account jid.JID         // bare
	server  jid.JID
	log     func(text string, err error)

	roster    *Roster    // or nil
	discovery *discovery // or nil
	kept      keptInfo   // where it is kept what the server can do
	caps      Caps       // what it says that to be
	asked     bool       // it was asked

	mu      sync.Mutex
	waiting map[string]question // by id
}

// A question is one that the server was asked, and has not answered. Its functions are
// called once, by the goroutine that serves.
type question struct {
	// take takes the answer. An error of it ends the session: it is that of the stream.
	take func(r xml.TokenReader, start xml.StartElement) error
	// lost is called if there will be none. It may be nil.
	lost func()
}

// wait adds a question.
func (b *inbox) wait(id string, q question) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting == nil {
		b.waiting = make(map[string]question)
	}
	b.waiting[id] = q
}

// idle reports whether there is nothing to take in.
func (b *inbox) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.roster == nil && b.discovery == nil && len(b.waiting) == 0
}

// answered returns the question that a stanza is the answer to.
func (b *inbox) answered(start xml.StartElement) (q question, ok bool) {
	id := attribute(start, "id")
	b.mu.Lock()
	defer b.mu.Unlock()
	if q, ok = b.waiting[id]; !ok || !senderOf(start).is(b.account, b.server) {
		return question{}, false
	}
	delete(b.waiting, id)
	return q, true
}

// end gives up all questions.
func (b *inbox) end() {
	b.mu.Lock()
	waiting := b.waiting
	b.waiting = nil
	b.mu.Unlock()
	for _, q := range waiting {
		if q.lost != nil {
			q.lost()
		}
	}
}

// taking is the handler of a session that takes in something by itself.
type taking struct {
	*inbox
	next xmpp.Handler
}

// HandleXMPP handles one element.
func (t taking) HandleXMPP(rw xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	if start.Name == (xml.Name{Space: stanza.NSClient, Local: "iq"}) {
		switch attribute(*start, "type") {
		case string(stanza.ResultIQ), string(stanza.ErrorIQ):
			if q, ok := t.answered(*start); ok {
				return q.take(rw, *start)
			}
		case string(stanza.SetIQ):
			if t.roster == nil {
				break
			}
			p := &peeked{TokenReadEncoder: rw}
			if p.payload() == (xml.Name{Space: nsRoster, Local: "query"}) {
				return t.push(p, *start)
			}
			rw = p
		}
	}
	if t.next == nil {
		return nil
	}
	return t.next.HandleXMPP(rw, start)
}

// push handles a roster push.
func (t taking) push(rw xmlstream.TokenReadEncoder, start xml.StartElement) error {
	if !senderOf(start).is(t.account) {
		return nil // mellium answers what nobody has.
	}
	iq := stanza.IQ{ID: attribute(start, "id"), Type: stanza.SetIQ}
	version, item, err := readRosterPush(rw, start)
	switch {
	case errors.Is(err, ErrRoster):
		t.roster.lose()
	case err != nil:
		return err
	case !t.roster.push(version, item):
		err = ErrRoster
	}
	answer := iq.Result(nil)
	if err != nil {
		t.log("a change of the roster is left out", err)
		answer = iq.Error(stanza.Error{Type: stanza.Cancel, Condition: stanza.NotAcceptable})
	}
	// Not until here, because writing locks the session.
	_, err = xmlstream.Copy(rw, answer)
	return err
}

// maxPeeked is how much is looked at in front of a payload, which is white space at
// most.
const maxPeeked = 4

// peeked is a stanza whose payload was looked at.
type peeked struct {
	xmlstream.TokenReadEncoder
	seen []xml.Token
	err  error // that came with the last of seen, or behind it
	end  bool  // err is set
}

// payload returns the name of the first child, or nothing if there is none.
func (p *peeked) payload() xml.Name {
	for range maxPeeked {
		tok, err := p.TokenReadEncoder.Token()
		if tok != nil {
			p.seen = append(p.seen, xml.CopyToken(tok))
		}
		if err != nil {
			p.err, p.end = err, true
			return xml.Name{}
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			return tok.Name
		case xml.EndElement:
			return xml.Name{}
		}
	}
	return xml.Name{}
}

// Token returns what was seen, and what follows.
func (p *peeked) Token() (xml.Token, error) {
	if len(p.seen) > 0 {
		tok := p.seen[0]
		p.seen = p.seen[1:]
		return tok, nil
	}
	if p.end {
		return nil, p.err
	}
	return p.TokenReadEncoder.Token()
}
