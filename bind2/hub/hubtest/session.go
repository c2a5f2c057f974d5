// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hubtest

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"sync"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/carbons"
	"github.com/xmppext/xmppext/mam"
)

// ended is a context that has ended: what is called under it does not wait.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// A session is one that was bound.
type session struct {
	p        *person
	plan     plan
	hub      int
	resource Resource
	bound    bind2.Bound
	jid      jid.JID
	cut      bool
	carbons  bool
	end      ending
	stayed   bool // and nothing has ended it

	least, most int64 // where the archive ended before and behind the bind

	cancel context.CancelFunc
	reader sync.WaitGroup
	raw    [][]byte // what was written
	got    []arrival
}

// start begins to take and to write.
func (s *session) start(ctx context.Context) {
	ctx, s.cancel = context.WithCancel(ctx)
	s.reader.Go(func() {
		for ctx.Err() == nil {
			stanzas, err := s.resource.Take(ctx)
			if err != nil {
				return
			}
			s.raw = append(s.raw, stanzas...)
		}
	})
}

// stop ends that.
func (s *session) stop() {
	if s.cancel != nil {
		s.cancel()
	}
	s.wait()
}

func (s *session) wait() { s.reader.Wait() }

// drain takes and writes what there is, and returns why there is no more: that of
// ended, or why the session has gone.
func (s *session) drain() error {
	for {
		stanzas, err := s.resource.Take(ended)
		if err != nil {
			return err
		}
		s.raw = append(s.raw, stanzas...)
	}
}

func (s *session) close(w *world) {
	if err := s.resource.Close(); err != nil {
		w.found.add(ruleBind, "%s cannot be closed: %v", s.jid, err)
	}
}

// An arrival is a message that a session has got.
type arrival struct {
	message   stanza.Message
	direction carbons.Direction // of a copy, or 0
	ids       []id
	delayed   bool // It waited in the offline queue.
}

type id struct{ by, id string }

// read reads what was written.
func (s *session) read(w *world) {
	if s.cancel != nil {
		s.cancel()
	}
	s.got = make([]arrival, 0, len(s.raw))
	for _, b := range s.raw {
		a, err := parse(s.jid, b)
		if err != nil {
			w.found.add(ruleForm, "%s got %s: %v", s.jid, b, err)
			continue
		}
		s.got = append(s.got, a)
	}
	s.raw = nil
}

// parse reads one stanza that a client got.
func parse(own jid.JID, b []byte) (arrival, error) {
	if !bytes.Contains(b, []byte(carbons.NS)) {
		return inspect(own, xml.NewDecoder(bytes.NewReader(b)))
	}
	outer, err := inspect(own, xml.NewDecoder(bytes.NewReader(b)))
	if err != nil {
		return outer, err
	}
	c, err := carbons.Unwrap(own.Bare(), outer.message, xml.NewDecoder(bytes.NewReader(b)))
	switch {
	case errors.Is(err, carbons.ErrNotCarbon):
		return outer, nil
	case err != nil:
		return outer, err
	case !outer.message.To.Equal(own):
		return outer, fmt.Errorf("a copy for %s", outer.message.To)
	case outer.message.Type != c.Message.Type:
		return outer, fmt.Errorf("a copy of type %s", outer.message.Type)
	}
	inner, err := inspect(own, c.TokenReader())
	inner.direction = c.Direction
	return inner, err
}

// inspect reads one message.
func inspect(own jid.JID, r xml.TokenReader) (arrival, error) {
	var (
		a     arrival
		depth int
	)
	for {
		tok, err := r.Token()
		switch t := tok.(type) {
		case xml.StartElement:
			if depth == 0 {
				var err error
				if a.message, err = stanza.NewMessage(t); err != nil {
					return a, err
				}
				if t.Name != (xml.Name{Space: stanza.NSClient, Local: "message"}) {
					return a, fmt.Errorf("it is a %s", t.Name)
				}
			}
			if depth == 1 {
				a.child(own, t)
			}
			depth++
		case xml.EndElement:
			depth--
		}
		switch {
		case errors.Is(err, io.EOF) && depth == 0, tok == nil && err == nil:
			return a, nil
		case err != nil:
			return a, err
		}
	}
}

// child looks at a child of a message.
func (a *arrival) child(own jid.JID, start xml.StartElement) {
	switch start.Name {
	case xml.Name{Space: mam.NSStanzaID, Local: "stanza-id"}:
		i := id{by: attr(start, "by"), id: attr(start, "id")}
		if by, err := jid.Parse(i.by); err != nil || by.Equal(own.Bare()) {
			a.ids = append(a.ids, i)
		}
	case xml.Name{Space: "urn:xmpp:delay", Local: "delay"}:
		a.delayed = true
	}
}

func attr(start xml.StartElement, name string) string {
	for _, a := range start.Attr {
		if a.Name == (xml.Name{Local: name}) {
			return a.Value
		}
	}
	return ""
}
