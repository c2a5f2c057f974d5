// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"time"

	"mellium.im/xmpp"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/bind2"
)

const (
	nsCarbons  = "urn:xmpp:carbons:2"
	nsVersions = "urn:xmpp:features:rosterver"
)

// ErrOpening means that what Dialer.Opening has returned are no stanzas. Nothing of it
// was sent.
var ErrOpening = errors.New("quickstart: what a session is to begin with are no stanzas")

// Available returns the presence of somebody who is there, which says no more than that
// (RFC 6121, section 4.2). It is for Dialer.Opening.
func Available() xml.TokenReader { return stanza.Presence{}.Wrap(nil) }

// facts are what is known of a server when the opening is put together.
type facts struct {
	legacy   bool // the resource is bound by RFC 6120
	versions bool // of rosters
	ask      bool // what it can do, of which caps are the hash if it has told one
	caps     Caps
}

// prepare makes ready for what a session begins with, on one connection.
func (l *login) prepare(ctx context.Context) {
	l.opened, l.report.Opening = false, false
	ctx = context.WithoutCancel(ctx)
	d, account := l.d, l.account.Bare() // The session has no use for the credentials.
	l.inbox = &inbox{
		ctx: ctx, account: account, server: account.Domain(),
		kept: keptInfo{l.cache, account, account.Domain(), d.Trust},
		log:  func(text string, err error) { d.log(ctx, text, "account", account, "err", err) },
	}
	if d.Roster {
		l.inbox.roster = newRoster(account, l.roster, keepRoster(ctx, d, account), d.RosterPush)
	}
	if d.Discover {
		l.inbox.discovery = newDiscovery()
	}
}

// ahead returns what is sent in the flight of the login, by what is known of the login
// before.
func (l *login) ahead() ([]byte, error) {
	l.opened = true
	b, err := l.opening(facts{
		legacy:   l.d.Legacy || l.known.Bind == bind2.Legacy,
		versions: l.known.RosterVersions,
		// A server that tells a hash need not be asked, or is asked by that.
		ask: l.d.Discover && l.known.Caps == Caps{},
	})
	l.report.Opening = err == nil && len(b) > 0
	return b, err
}

// open sends what the session begins with, unless that was sent ahead, and asks the
// server what it can do, unless it was asked or that is known.
func (l *login) open(ctx context.Context, s *Session) error {
	var f facts
	if in := l.inbox; in.discovery != nil {
		in.caps = serverCaps(s.Session)
		f.caps, f.ask = in.caps, !in.recall(ctx) && !in.asked
	}
	var b []byte
	switch {
	case !l.opened:
		var err error
		_, f.versions = s.Feature(nsVersions)
		f.legacy = l.protocol == 0 || l.protocol == bind2.Legacy // What is bound ahead by it goes unobserved.
		if b, err = l.opening(f); err != nil {
			return err
		}
	case f.ask:
		b = l.inbox.askServer(f.caps)
	}
	if !l.inbox.idle() {
		s.inbox = l.inbox
	}
	s.Roster = l.inbox.roster
	if len(b) == 0 {
		return nil
	}
	return writeRaw(ctx, s.Session, b)
}

// opening puts together what a session begins with, in the order in which the server is
// to handle it: copies of messages are wanted from the first one on, and a roster is
// asked for before contacts see the presence (RFC 6121, section 2.2).
func (l *login) opening(f facts) ([]byte, error) {
	var b bytes.Buffer
	if f.legacy && !l.d.NoCarbons {
		b.Write(l.inbox.wish())
	}
	if l.d.Roster {
		b.Write(l.inbox.askRoster(f.versions))
	}
	if l.d.Opening != nil {
		if err := encodeStanzas(&b, l.d.Opening()); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrOpening, err)
		}
	}
	if f.ask {
		b.Write(l.inbox.askServer(f.caps))
	}
	return b.Bytes(), nil
}

// wish asks for copies of messages.
func (b *inbox) wish() []byte {
	id := rand.Text()
	b.wait(id, question{take: b.takeCarbons})
	return fmt.Appendf(nil, `<iq id='%s' type='set'><enable xmlns='%s'/></iq>`, id, nsCarbons)
}

// takeCarbons takes the answer to the wish for copies of messages. Who has to know
// whether there are any must ask the server itself: they are none the worse without.
func (b *inbox) takeCarbons(r xml.TokenReader, start xml.StartElement) error {
	if !isError(start) {
		return nil
	}
	iq := struct {
		Error *wireError `xml:"jabber:client error"`
	}{}
	err := decode(r, start, limits{tokens: pushTokens, text: maxRosterText}, &iq)
	if err != nil && !errors.Is(err, errLimit) {
		return err
	}
	b.log("the server does not copy messages", answerError(iq.Error))
	return nil
}

// encodeStanzas writes stanzas as a client sends them.
func encodeStanzas(w io.Writer, r xml.TokenReader) error {
	if r == nil {
		return nil
	}
	e, depth := xml.NewEncoder(w), 0
	for {
		tok, err := r.Token()
		switch tok := tok.(type) {
		case nil:
			if err == nil {
				continue
			}
		case xml.StartElement:
			tok = withoutDuplicates(tok)
			if depth++; depth == 1 {
				if !isStanza(tok.Name) {
					return fmt.Errorf("<%s/> in the namespace %q", tok.Name.Local, tok.Name.Space)
				}
				if tok.Name.Local == "iq" && attribute(tok, "id") == "" {
					tok.Attr = append(tok.Attr, xml.Attr{Name: xml.Name{Local: "id"}, Value: rand.Text()})
				}
			}
			if err := e.EncodeToken(tok); err != nil {
				return err
			}
		case xml.EndElement:
			depth--
			if err := e.EncodeToken(tok); err != nil {
				return err
			}
		case xml.CharData:
			if depth == 0 && len(bytes.TrimSpace(tok)) > 0 {
				return errors.New("text outside of a stanza")
			}
			if err := e.EncodeToken(tok); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%T is no part of a stanza", tok) // RFC 6120, section 11.1
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err != nil {
			return e.Close() // Which knows whether something is left open.
		}
	}
}

func isStanza(name xml.Name) bool {
	if name.Space != "" && name.Space != stanza.NSClient {
		return false
	}
	return name.Local == "iq" || name.Local == "message" || name.Local == "presence"
}

// withoutDuplicates returns a tag without the xmlns that decoders put among the
// attributes besides.
func withoutDuplicates(start xml.StartElement) xml.StartElement {
	attrs := make([]xml.Attr, 0, len(start.Attr)+1)
	for _, a := range start.Attr {
		if a.Name.Space == "" && a.Name.Local == "xmlns" && start.Name.Space != "" {
			continue
		}
		attrs = append(attrs, a)
	}
	start.Attr = attrs
	return start
}

// writeRaw writes stanzas between those of others.
func writeRaw(ctx context.Context, s *xmpp.Session, b []byte) error {
	w := s.TokenWriter()
	defer w.Close()
	if err := w.Flush(); err != nil {
		return err
	}
	conn := s.Conn()
	limit, _ := ctx.Deadline()
	_ = conn.SetWriteDeadline(limit) // A connection that is closed says so itself.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetWriteDeadline(time.Unix(1, 0)) })
	_, err := conn.Write(b)
	if stop() {
		_ = conn.SetWriteDeadline(time.Time{})
	} else if err == nil {
		err = ctx.Err() // The deadline may be there to stay.
	}
	return err
}
