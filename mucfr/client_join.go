// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr

import (
	"context"
	"crypto/rand"
	"encoding/xml"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"
	"mellium.im/xmpp/stanza"
)

// JoinOptions are what a client has to say to a room, apart from what to resume.
type JoinOptions struct {
	// Password is that of the room, if it has one.
	Password string

	// History limits the messages that the room sends. Of a client that resumes it is
	// asked to send those only that the client has not seen, and to say if that is not all.
	History History

	// Payload is what else is in the client's presence, such as show and status.
	Payload Payload
}

// Join enters a room, or enters it again, and waits until the client is inside and all
// occupants are known, or it is refused. Messages, and then the subject, come later.
// It resumes if the Occupancy knows where, and the room decides whether it does so.
//
// The session must be served by the [Client.Handler] meanwhile. Nobody tells who waits that
// it has ended: the context has to end with it. If it ends before the room has answered
// the answer is still taken in when it comes.
//
// A room that did not exist may be made by it, and is commonly locked then: nobody else
// gets in before its owner has configured it (XEP-0045, section 10.1). If [StatusCreated]
// is among [Occupancy.Codes], mellium's muc.SetConfig does so; an empty form takes the
// room as it is.
//
// That the room does not let the client in is a [stanza.Error], such as conflict for a
// nickname that is somebody else's: use [Occupancy.SetNick]. Other errors are ErrRemoved,
// ErrBusy, [ErrAddress] if the Occupancy has no nickname, and those of the session and
// the context.
func (c *Client) Join(ctx context.Context, s *xmpp.Session, o *Occupancy, opts JoinOptions) error {
	to := o.Address()
	if to.Resourcepart() == "" {
		return fmt.Errorf("%w: there is no nickname", ErrAddress)
	}
	w, err := c.wait(o, false)
	if err != nil {
		return err
	}
	presence := stanza.Presence{ID: w.id, To: to}
	err = s.Send(ctx, presence.Wrap(concat(opts.reader(), o.Join(w.id).TokenReader(), opts.Payload.reader())))
	if err != nil {
		o.Lost()
	}
	if err = w.end(ctx, err); err != nil {
		return fmt.Errorf("mucfr: entering %s: %w", to, err)
	}
	return nil
}

// Leave leaves a room, with a status for the others unless it is empty, and waits until
// the room says so. What it says then is where to resume at.
//
// The session must be served as for [Client.Join], of which the errors are, too. If the
// client is not inside it is [ErrNotInside].
func (c *Client) Leave(ctx context.Context, s *xmpp.Session, o *Occupancy, status string) error {
	if !o.Inside() {
		return ErrNotInside
	}
	w, err := c.wait(o, true)
	if err != nil {
		return err
	}
	presence := stanza.Presence{ID: w.id, To: o.self(), Type: stanza.UnavailablePresence}
	err = s.Send(ctx, presence.Wrap(concat(optional("", "status", status))))
	if err = w.end(ctx, err); err != nil {
		return fmt.Errorf("mucfr: leaving %s: %w", presence.To, err)
	}
	return nil
}

// self returns the client's address in the room.
func (o *Occupancy) self() jid.JID {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.address(o.nick)
}

// A wait is a call that waits for what a room says to a presence.
type wait struct {
	client  *Client
	room    *followed
	id      string // of the presence
	leaving bool
	done    chan error // takes one
}

// wait begins to wait. The presence is to be sent next.
func (c *Client) wait(o *Occupancy, leaving bool) (*wait, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.follow(o)
	if f.wait != nil {
		return nil, ErrBusy
	}
	f.wait = &wait{client: c, room: f, id: rand.Text(), leaving: leaving, done: make(chan error, 1)}
	return f.wait, nil
}

// end waits, unless the presence could not be sent.
func (w *wait) end(ctx context.Context, err error) error {
	if err == nil {
		select {
		case err := <-w.done:
			return err
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	w.client.mu.Lock()
	defer w.client.mu.Unlock()
	if w.room.wait != w {
		return <-w.done // It was told just now.
	}
	w.room.wait = nil
	return err
}

// tell says to the call what a stanza has changed, if that is what it waits for.
func (w *wait) tell(h *heard, c Change) (told bool) {
	switch {
	case c.Kind == RoomJoined && !w.leaving, c.Kind == RoomLeft && w.leaving:
		w.done <- nil
	case c.Kind == RoomRefused:
		w.done <- c.Err
	case c.Kind == RoomLeft:
		w.done <- ErrRemoved
	case h.presence && h.typ == string(stanza.ErrorPresence) && h.id == w.id:
		w.done <- h.err()
	default:
		return false
	}
	return true
}

// reader returns the element by which a client asks to enter.
func (o JoinOptions) reader() xml.TokenReader {
	return xmlstream.Wrap(concat(o.History.reader(), optional(muc.NS, "password", o.Password)),
		xml.StartElement{Name: xml.Name{Space: muc.NS, Local: "x"}})
}

// reader returns the limits as an element, or nil if there are none.
func (h History) reader() xml.TokenReader {
	start := xml.StartElement{Name: xml.Name{Space: muc.NS, Local: "history"}}
	add := func(local, value string) {
		start.Attr = append(start.Attr, xml.Attr{Name: xml.Name{Local: local}, Value: value})
	}
	if h.MaxChars != nil {
		add("maxchars", strconv.Itoa(max(0, *h.MaxChars)))
	}
	if h.MaxStanzas != nil {
		add("maxstanzas", strconv.Itoa(max(0, *h.MaxStanzas)))
	}
	if h.Last != nil {
		// What was sent in a part of a second is wanted, too.
		n := max(0, *h.Last)
		seconds := int64(n / time.Second)
		if n%time.Second > 0 {
			seconds++
		}
		add("seconds", strconv.FormatInt(seconds, 10))
	}
	if h.Since != nil {
		add("since", h.Since.UTC().Format("2006-01-02T15:04:05.999Z"))
	}
	if start.Attr == nil {
		return nil
	}
	return xmlstream.Wrap(nil, start)
}

// reader returns what a presence has in it as tokens.
func (p Payload) reader() xml.TokenReader {
	return xmlstream.RemoveAttr(func(_ xml.StartElement, a xml.Attr) bool {
		return a.Name.Space == "xmlns" || a.Name.Local == "xmlns" // Names have it, too.
	})(xml.NewDecoder(strings.NewReader(p.xml)))
}

// optional returns an element with a text, or nil if that is empty.
func optional(space, local, s string) xml.TokenReader {
	if s == "" {
		return nil
	}
	return xmlstream.Wrap(xmlstream.Token(xml.CharData(s)), xml.StartElement{Name: xml.Name{Space: space, Local: local}})
}

// concat reads from one reader after the other, but for those that are nil.
func concat(all ...xml.TokenReader) xml.TokenReader {
	return xmlstream.MultiReader(slices.DeleteFunc(all, func(r xml.TokenReader) bool { return r == nil })...)
}
