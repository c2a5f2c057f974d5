// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam

import (
	"context"
	"encoding/xml"
	"errors"
	"sync"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
)

// DefaultGateSize is how many live messages a [Gate] holds back. A client that
// catches up over a bad link has about a minute for that in a busy account.
const DefaultGateSize = 1000

// ErrGateFull means that a [Gate] cannot hold back more messages. The ones that it
// holds and the one that did not fit are in the archive: catch up again.
var ErrGateFull = errors.New("mam: too many messages while catching up")

// Gate holds live messages back until a client has caught up with the archive, and
// lets them go in their order, without those that the archive has returned.
//
// From its first message on, a client hands each live one to Hold, and each result of
// CatchUp to See; behind the last of these it calls Open.
//
// The zero value is a closed gate. A Gate is safe for concurrent use.
type Gate struct {
	// By is the archive's address, whose ids tell messages apart: the account's bare
	// JID, or that of a room. Only ids by it count. Leave it empty unless
	// [Support.IDs] is set: then nothing tells them apart, and what was held comes
	// twice if the archive has returned it.
	// It may be set while messages are held already, by who then calls Open.
	By jid.JID

	// Size is how many messages are held at most, which may take some dozens of
	// megabytes. If it is not positive it is DefaultGateSize.
	Size int

	mu     sync.Mutex
	open   bool
	held   []held
	weight int             // of those
	seen   map[string]bool // ids that the archive has returned lately
	recent []string        // the same, oldest first
	lost   bool
}

type held struct {
	tokens []xml.Token
	weight int
}

// Hold takes a live message, all of which it reads, unless it is too large to be
// held. It returns the message if it is to be handled now, and nil if it is held
// back, or the archive has returned it.
//
// It is ErrGateFull if there is no room; all messages that are held are then lost
// to the gate, and Open will say so.
func (g *Gate) Hold(message xml.TokenReader) (xml.TokenReader, error) {
	tokens, err := drain(message, maxWeight)
	tooLarge := errors.Is(err, ErrTooLarge)
	if err != nil && !tooLarge {
		return nil, err
	}
	h := held{tokens: tokens}
	for _, tok := range tokens {
		h.weight += weigh(tok)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.open && g.double(tokens):
		return nil, nil
	case g.open && tooLarge:
		return xmlstream.MultiReader(tokenReader(tokens), message), nil
	case g.open:
		return tokenReader(tokens), nil
	case g.lost || len(g.held) >= g.size() || g.weight+h.weight > maxWeight:
		g.held, g.weight, g.lost = nil, 0, true
		return nil, ErrGateFull
	}
	g.held = append(g.held, h)
	g.weight += h.weight
	return nil, nil
}

func (g *Gate) size() int { return orDefault(g.Size, DefaultGateSize) }

// double reports whether the archive has returned a message. It is called with the lock
// held, and not before the gate is being opened: until then By may change.
func (g *Gate) double(tokens []xml.Token) bool {
	id := g.idOf(tokens)
	return id != "" && g.seen[id]
}

// idOf returns the id that the archive has given to a message, or nothing.
func (g *Gate) idOf(tokens []xml.Token) string {
	depth := 0
	for _, tok := range tokens {
		switch t := tok.(type) {
		case xml.StartElement:
			if by, err := idBy(t); depth == 1 && err == nil && by.Equal(g.By) {
				return valueOf(t, "id")
			}
			depth++
		case xml.EndElement:
			depth--
		}
	}
	return ""
}

// See notes that the archive has returned a message. It remembers the last ones
// only, twice as many as the gate can hold: live messages are the archive's newest.
func (g *Gate) See(r Result) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.ID == "" || g.seen[r.ID] {
		return
	}
	if g.seen == nil {
		g.seen = make(map[string]bool)
	}
	g.seen[r.ID] = true
	if g.recent = append(g.recent, r.ID); len(g.recent) > 2*g.size() {
		delete(g.seen, g.recent[0])
		g.recent = g.recent[1:]
	}
}

// Open calls handle with each message that was held back and that the archive has
// not returned, in their order, and opens the gate behind the last.
// Messages that arrive meanwhile are held and follow.
//
// It is ErrGateFull if messages were lost to the gate, which stays closed and is
// empty then: the client catches up again and opens it again.
// It ends early with an error of handle or of ctx; what was not handled stays held.
// It must not be called twice at once.
func (g *Gate) Open(ctx context.Context, handle func(xml.TokenReader) error) error {
	for {
		g.mu.Lock()
		switch {
		case g.lost:
			g.lost = false
			g.mu.Unlock()
			return ErrGateFull
		case len(g.held) == 0:
			g.open, g.held = true, nil
			g.mu.Unlock()
			return nil
		}
		next := g.held[0]
		double := g.double(next.tokens)
		g.mu.Unlock()
		if err := ctx.Err(); err != nil {
			return err
		}
		if !double {
			if err := handle(tokenReader(next.tokens)); err != nil {
				return err
			}
		}
		g.mu.Lock()
		if len(g.held) > 0 { // It was not lost meanwhile.
			g.weight -= next.weight
			g.held[0] = held{} // Nor is it kept by the slice.
			g.held = g.held[1:]
		}
		g.mu.Unlock()
	}
}
