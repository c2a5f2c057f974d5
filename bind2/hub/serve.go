// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"

	"github.com/xmppext/xmppext/carbons"
)

const (
	nsCSI = "urn:xmpp:csi:0" // XEP-0352

	// maxWrite is how many bytes are written at once if more wait.
	maxWrite = 64 << 10

	// stall is how long a client may take to read that much. It is for those that do not
	// read, and whose queue is never full: their session could not even end.
	stall = 2 * time.Minute

	// goodbye is how long a client may take to read why its session has ended.
	goodbye = 2 * time.Second
)

// Serve serves the session of the resource's client, which is Ready, until it ends,
// and closes it and its connection.
//
// It takes the client's messages (see Send), its presences as far as they say where
// messages go, and what it says about carbons and its activity; options register
// handlers for all else, presences included. Carbons and their rules are announced if
// one of them is disco.Handle. What is in the queue is written while the session is
// served.
//
// Serve ends when ctx ends, or the resource goes: a client that was replaced or does
// not read, or takes minutes to read what was written, is told so. The resource is still
// to be closed.
func (r *Resource) Serve(ctx context.Context, s *xmpp.Session, options ...mux.Option) error {
	own := r.JID()
	if own.Equal(jid.JID{}) {
		return ErrUnbound
	}
	outer := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	copies := &carbons.Handler{Resource: own, Rules: true, Switch: func(ctx context.Context, _ jid.JID, on bool) error {
		return r.SetCarbons(ctx, on)
	}}
	// The caller may serve all its sessions with the same slice.
	options = append(slices.Clip(options), carbons.Handle(copies))
	handler := &handler{ctx: ctx, r: r, next: mux.New(stanza.NSClient, options...)}

	var writer sync.WaitGroup
	var cause error
	writer.Go(func() {
		cause = r.write(ctx, s)
		finish(s, cause)
	})
	err := s.Serve(handler)
	cancel()
	writer.Wait()
	_ = s.Conn().Close()
	switch {
	case cause != nil && !errors.Is(cause, context.Canceled):
		return cause
	case outer.Err() != nil:
		return outer.Err()
	}
	return err
}

// write writes what is in the queue. It returns why it does not any more.
func (r *Resource) write(ctx context.Context, s *xmpp.Session) error {
	// A write that waits for the client must not outlive the resource.
	stop := make(chan struct{})
	var guard sync.WaitGroup
	guard.Go(func() {
		select {
		case <-stop:
		case <-ctx.Done():
			_ = s.Conn().SetWriteDeadline(time.Now().Add(goodbye))
		case <-r.Gone():
			_ = s.Conn().SetWriteDeadline(time.Now().Add(goodbye))
		}
	})
	defer guard.Wait()
	defer close(stop)
	for {
		stanzas, err := r.Take(ctx)
		if err != nil {
			return err
		}
		if err := write(s, stanzas); err != nil {
			if cause := r.queue.cause(); cause != nil {
				return cause
			}
			if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
				return ErrSlow
			}
			return err
		}
	}
}

// write writes whole stanzas between those that the session writes itself.
func write(s *xmpp.Session, stanzas [][]byte) error {
	stalled := time.AfterFunc(stall, func() { _ = s.Conn().SetWriteDeadline(time.Now()) })
	defer stalled.Stop()
	w := s.TokenWriter()
	defer w.Close()
	if err := w.Flush(); err != nil {
		return err
	}
	for len(stanzas) > 0 {
		b, n := stanzas[0], 1
		for n < len(stanzas) && len(b)+len(stanzas[n]) <= maxWrite {
			if n == 1 {
				b = bytes.Clone(b) // Others have it too.
			}
			b = append(b, stanzas[n]...)
			n++
		}
		for part := range slices.Chunk(b, maxWrite) {
			stalled.Reset(stall)
			if _, err := s.Conn().Write(part); err != nil {
				return err
			}
		}
		stanzas = stanzas[n:]
	}
	return nil
}

// condition returns what a client is told whose resource has gone, if anything.
func condition(cause error) (stream.Error, bool) {
	switch {
	case errors.Is(cause, ErrReplaced):
		return stream.Conflict, true
	case errors.Is(cause, ErrSlow):
		return stream.PolicyViolation, true
	case errors.Is(cause, ErrLost):
		return stream.Reset, true
	}
	return stream.Error{}, false
}

// finish tells the client why its session ends, and ends it.
func finish(s *xmpp.Session, cause error) {
	conn := s.Conn()
	_ = conn.SetWriteDeadline(time.Now().Add(goodbye))
	if why, ok := condition(cause); ok {
		w := s.TokenWriter()
		_, _ = why.WriteXML(w)
		_ = w.Close()
	}
	_ = s.Close()
	_ = conn.SetReadDeadline(time.Now().Add(goodbye))
}

// handler handles what the hub has to do with, and leaves the rest to next.
type handler struct {
	ctx  context.Context
	r    *Resource
	next xmpp.Handler
}

// HandleXMPP handles one element of the client.
func (h *handler) HandleXMPP(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	err := h.handle(t, start)
	if err == nil {
		return nil
	}
	if h.r.queue.cause() != nil || h.ctx.Err() != nil {
		// Finish ends the session, and tells the client why. What Session.Serve says
		// about an error stays in its buffer (mellium v0.23.0).
		return nil
	}
	return err
}

func (h *handler) handle(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	switch {
	case start.Name == xml.Name{Space: stanza.NSClient, Local: "message"}:
		return h.message(t, start)
	case start.Name == xml.Name{Space: stanza.NSClient, Local: "presence"}:
		return h.presence(t, start)
	case start.Name == xml.Name{Space: nsCSI, Local: "active"}:
		h.r.SetInactive(false)
		return nil
	case start.Name == xml.Name{Space: nsCSI, Local: "inactive"}:
		h.r.SetInactive(true)
		return nil
	}
	return h.next.HandleXMPP(t, start)
}

// message takes a message.
func (h *handler) message(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	var broken error
	inner := xmlstream.InnerElement(t)
	err := h.r.Send(h.ctx, xmlstream.MultiReader(xmlstream.Token(*start), tokenFunc(func() (xml.Token, error) {
		tok, err := inner.Token()
		if err != nil && !errors.Is(err, io.EOF) {
			broken = err
		}
		return tok, err
	})))
	var refused stanza.Error
	switch {
	case err == nil:
		return nil
	case h.ctx.Err() != nil, h.r.queue.cause() != nil:
		return err
	case broken != nil:
		return broken // The stream is, not only the message.
	case !errors.As(err, &refused):
		refused = stanza.Error{Type: stanza.Wait, Condition: stanza.InternalServerError}
	}
	answer := stanza.Message{To: h.r.JID(), Type: stanza.ErrorMessage}
	for _, a := range start.Attr {
		switch a.Name {
		case xml.Name{Local: "id"}:
			answer.ID = a.Value
		case xml.Name{Local: "to"}:
			answer.From, _ = jid.Parse(a.Value) // If it is none, the answer says nothing.
		case xml.Name{Local: "type"}:
			if a.Value == string(stanza.ErrorMessage) {
				return nil // Nobody answers errors.
			}
		}
	}
	_, err = xmlstream.Copy(t, answer.Wrap(refused.TokenReader()))
	return err
}

// maxPresence bounds a presence, in tokens.
const maxPresence = 16 << 10

// presence notes what a presence says, and passes it on.
func (h *handler) presence(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	p, err := stanza.NewPresence(*start)
	if err != nil {
		return h.next.HandleXMPP(t, start)
	}
	tokens, err := xmlstream.ReadAll(xmlstream.LimitReader(xmlstream.InnerElement(t), maxPresence))
	if err != nil {
		return err
	}
	available := p.Type == stanza.AvailablePresence
	if available || p.Type == stanza.UnavailablePresence {
		if p.To.Equal(jid.JID{}) {
			err = h.r.SetPresence(h.ctx, available, priority(tokens))
		} else if p.To.Resourcepart() != "" {
			err = h.r.SetOccupant(h.ctx, p.To, available)
		}
		if err != nil {
			return err
		}
	}
	return h.next.HandleXMPP(&replay{t, tokens}, start)
}

// priority returns the priority that is in a presence (RFC 6121, section 4.7.2.3), or
// 0.
func priority(tokens []xml.Token) int8 {
	depth := 0
	for i, tok := range tokens {
		switch t := tok.(type) {
		case xml.StartElement:
			if depth == 0 && t.Name == (xml.Name{Space: stanza.NSClient, Local: "priority"}) && i+1 < len(tokens) {
				text, _ := tokens[i+1].(xml.CharData)
				n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 8) // Without one it is 0.
				return int8(n)
			}
			depth++
		case xml.EndElement:
			depth--
		}
	}
	return 0
}

// replay reads tokens that were read before.
type replay struct {
	xmlstream.TokenReadEncoder
	tokens []xml.Token
}

// Token reads the next token.
func (r *replay) Token() (xml.Token, error) {
	if len(r.tokens) == 0 {
		return r.TokenReadEncoder.Token()
	}
	tok := r.tokens[0]
	r.tokens = r.tokens[1:]
	return tok, nil
}
