// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr

import (
	"encoding/xml"
	"errors"
	"io"
	"sync"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
)

// Errors of a [Client].
var (
	// ErrBusy means that the client is about to enter or to leave the room already.
	ErrBusy = errors.New("mucfr: another call waits for the room")

	// ErrRemoved means that the room has let the client go while it entered, and will not
	// let it in: it is no more, or the client may not be there, or the service ends.
	ErrRemoved = errors.New("mucfr: the room has removed the client")
)

// maxHeld bounds what is held of a stanza before it is passed on. A larger one is passed
// on first, and then taken in. Servers commonly allow less to be sent.
const maxHeld = 256 << 10

// Client follows rooms on a session. The zero value is ready for use, once the session is
// served by what [Client.Handler] returns.
//
// A Client is for one session, and a new one for the next. What is known of the rooms is
// in each [Occupancy], which goes on from one to the other:
//
//	c := new(mucfr.Client)
//	go session.Serve(c.Handler(mux))
//	err := c.Join(ctx, session, orchard, mucfr.JoinOptions{})
//
// The same calls on the next session resume. Nobody tells an Occupancy that a session has
// ended but [Occupancy.Lost], or the next Join.
//
// Mellium's muc.Client can be registered on the handler below: it gets all that it gets
// without a Client, such as invitations. It has no place for what is needed to resume,
// though, so that its Join enters anew, and does not know of a room that was entered by
// a Client. What sets its presences together itself sends [Occupancy.Join] along, and
// calls [Client.Follow] before.
//
// All methods may be called at the same time.
type Client struct {
	// Changed is called with all that changes in a room that is followed, in the order in
	// which it is received, before the next stanza is. It may ask the Occupancy what it
	// likes, but must not wait for anything from the session, as all methods of a Client
	// with a context do.
	// It must not be changed once the Client is in use. If it is nil nobody is told.
	Changed func(o *Occupancy, c Change)

	mu    sync.Mutex
	rooms map[string]*followed // by bare address
}

// followed is a room that is followed.
type followed struct {
	occupancy *Occupancy
	wait      *wait // locked by the Client; nil if no call waits
}

// Follow takes what comes from a room from now on into o, in place of any other
// Occupancy of that room. [Client.Join] does it by itself.
func (c *Client) Follow(o *Occupancy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.follow(o)
}

func (c *Client) follow(o *Occupancy) *followed {
	room := o.Address().Bare().String()
	f := c.rooms[room]
	if f == nil || f.occupancy != o {
		f = &followed{occupancy: o}
		if c.rooms == nil {
			c.rooms = make(map[string]*followed)
		}
		c.rooms[room] = f
	}
	return f
}

// Forget ends what Follow or Join has begun. The client does not leave the room by it.
func (c *Client) Forget(o *Occupancy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	room := o.Address().Bare().String()
	if f := c.rooms[room]; f != nil && f.occupancy == o {
		delete(c.rooms, room)
		o.Lost()
	}
}

// Handler returns a handler that takes in what comes from rooms that are followed, and
// then passes it on to next, as it passes on everything else. If next is nil that is all.
// What a peer sends is no reason for an error.
func (c *Client) Handler(next xmpp.Handler) xmpp.Handler {
	if next == nil {
		next = xmpp.HandlerFunc(func(xmlstream.TokenReadEncoder, *xml.StartElement) error { return nil })
	}
	return xmpp.HandlerFunc(func(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
		f, h := c.of(start)
		if f == nil {
			return next.HandleXMPP(t, start)
		}
		again := &repeater{TokenReadEncoder: t, heard: h}
		again.hold()
		taken := h.whole()
		if taken {
			c.take(f, h)
		}
		err := next.HandleXMPP(again, start)
		if err == nil && !taken && again.drain() {
			c.take(f, h)
		}
		return err
	})
}

// of returns the room that a stanza is from, if it is followed, and what has been read of
// the stanza.
func (c *Client) of(start *xml.StartElement) (*followed, *heard) {
	c.mu.Lock()
	none := len(c.rooms) == 0
	c.mu.Unlock()
	if none {
		return nil, nil
	}
	h := hear(*start)
	if !h.presence && !h.groups {
		return nil, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rooms[h.from.Bare().String()], h
}

// take takes a stanza in.
func (c *Client) take(f *followed, h *heard) {
	change := f.occupancy.apply(h)
	if c.Changed != nil && change.Kind != NoChange {
		c.Changed(f.occupancy, change)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.wait != nil && f.wait.tell(h, change) {
		f.wait = nil
	}
}

// A repeater is a stanza that has been read before it is passed on, or as far as that was
// done, and reads on while the rest is.
type repeater struct {
	xmlstream.TokenReadEncoder
	heard *heard
	held  []xml.Token
	bytes int
	err   error // behind what is held
}

// hold reads the stanza.
func (r *repeater) hold() {
	for r.err == nil && !r.heard.whole() && r.bytes <= maxHeld {
		var t xml.Token
		switch t, r.err = r.read(); {
		case t != nil:
			r.held = append(r.held, xml.CopyToken(t))
			r.bytes += weight(t)
		case r.err == nil:
			r.err = io.ErrNoProgress
		}
	}
}

// read reads on in the session.
func (r *repeater) read() (xml.Token, error) {
	t, err := r.TokenReadEncoder.Token()
	if t != nil && !r.heard.whole() {
		r.heard.take(t)
	}
	return t, err
}

// Token returns the tokens once more, and then what has not been read.
func (r *repeater) Token() (xml.Token, error) {
	if len(r.held) > 0 {
		t := r.held[0]
		r.held = r.held[1:]
		return t, nil
	}
	if r.err != nil {
		return nil, r.err
	}
	return r.read()
}

// drain reads what nobody has read. It reports whether the stanza is whole.
func (r *repeater) drain() bool {
	for !r.heard.whole() {
		if t, err := r.read(); err != nil || t == nil {
			break
		}
	}
	return r.heard.whole()
}

// weight is about what it takes to hold a token.
func weight(t xml.Token) int {
	const each = 64
	switch t := t.(type) {
	case xml.StartElement:
		n := each + len(t.Name.Space) + len(t.Name.Local)
		for _, a := range t.Attr {
			n += each + len(a.Name.Space) + len(a.Name.Local) + len(a.Value)
		}
		return n
	case xml.CharData:
		return each + len(t)
	case xml.Comment:
		return each + len(t)
	}
	return each
}
