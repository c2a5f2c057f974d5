// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"context"
	"crypto/sha256"
	"encoding/xml"
	"errors"
	"fmt"

	"mellium.im/xmpp"
	"mellium.im/xmpp/disco"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// ErrUnverified means that what an entity says about itself is not what its hash says,
// or names something twice. It was not kept. It may still be the truth: there is
// software that gets its own hash wrong.
var ErrUnverified = errors.New("quickstart: what the entity says is not what its hash says")

// Capabilities knows what entities can do by the hashes that they tell (XEP-0115), and
// asks those whose hash it has not seen. The zero value asks each time.
//
// What was verified by its hash is good for all entities that tell the same hash,
// whichever account has asked. It is verified again when it comes out of the cache. What
// cannot be verified, because the hash function is not known or the hash does not tell
// answers apart, is good for the one entity that has said it, and for the account that
// has asked.
//
// The hash does not tell what is a feature and what is in a form. Somebody who answers
// first may have the type of another's form, and what is behind it, taken for features if
// they would come behind the last feature by order, and may divide what forms say in
// another way. Nobody can add a word of his own.
//
// Hash functions are SHA-1 and those of SHA-2.
//
// A Capabilities may be used by several goroutines and sessions at once.
type Capabilities struct {
	// Cache keeps what was learned. How much that is, is for others to say: anybody may
	// tell any number of hashes. So it should be another than the Dialer's, out of which
	// they would drive tokens, and what is known of servers.
	Cache Cache
}

// Info returns what an entity can do that has told its caps. The zero Caps are those of
// an entity that has told none: it is asked, and nothing is kept.
//
// If there is nothing in the cache the entity is asked, so the session must be served
// by another goroutine, and ctx should have an end: the session's end is none of the
// question. A cache that fails is like an empty one.
//
// If the error is [ErrUnverified], the Info is what the entity has said, and is empty if
// that was too large. Others are the entity's [stanza.Error], that of ctx, and those of
// the session; there is no Info then.
func (c *Capabilities) Info(ctx context.Context, s *xmpp.Session, entity jid.JID, caps Caps) (disco.Info, error) {
	k := keptInfo{c.Cache, s.LocalAddr(), entity, ""}
	if q := k.load(ctx, caps); q != nil {
		return q.info(), nil
	}
	q, err := askInfo(ctx, s, entity, caps)
	if errors.Is(err, errLimit) {
		return disco.Info{}, fmt.Errorf("%w: %w", ErrUnverified, err)
	}
	if err != nil {
		return disco.Info{}, fmt.Errorf("quickstart: asking %s what it can do: %w", entity, within{err})
	}
	_, err = k.verifyAndKeep(ctx, caps, q)
	return q.info(), err
}

// node returns the node to ask for, or nothing.
func (c Caps) node() string {
	if c.Node == "" || c.Ver == "" {
		return ""
	}
	return c.Node + "#" + c.Ver
}

// askInfo asks an entity.
func askInfo(ctx context.Context, s *xmpp.Session, entity jid.JID, caps Caps) (*discoQuery, error) {
	r, err := s.SendIQElement(ctx, disco.InfoQuery{Node: caps.node()}.TokenReader(), stanza.IQ{Type: stanza.GetIQ, To: entity})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	tok, err := r.Token()
	if err != nil {
		return nil, err
	}
	start, ok := tok.(xml.StartElement)
	if !ok {
		return nil, fmt.Errorf("the answer begins with %T", tok)
	}
	// The session looks at the id alone.
	if from := senderOf(start); !from.is(entity) || from.Equal(jid.JID{}) && !entity.Equal(s.LocalAddr().Bare()) && !entity.Equal(s.RemoteAddr()) {
		return nil, fmt.Errorf("the answer is from %q", attribute(start, "from"))
	}
	return readInfo(r, start)
}

// keptInfo is where a cache keeps what an entity can do.
type keptInfo struct {
	cache   Cache
	account jid.JID
	entity  jid.JID
	trust   string
}

// shared is the key of what is good for all entities.
func (keptInfo) shared(caps Caps) Key { return Key{Name: "caps " + caps.Hash + " " + caps.Ver} }

// single is the key of what is good for one entity. Caches need not know whom an account
// talks to.
func (k keptInfo) single(caps Caps) Key {
	h := sha256.New()
	for _, part := range []string{k.entity.String(), caps.Hash, caps.Node, caps.Ver} {
		fmt.Fprintf(h, "%d %s ", len(part), part)
	}
	return Key{Account: k.account.Bare(), Trust: k.trust, Name: fmt.Sprintf("caps of %x", h.Sum(nil))}
}

// load returns what is kept, or nil.
func (k keptInfo) load(ctx context.Context, caps Caps) *discoQuery {
	if k.cache == nil || caps.Hash == "" || caps.Ver == "" {
		return nil
	}
	if caps.sum() != nil {
		if b, err := k.cache.Get(ctx, k.shared(caps)); err == nil {
			if q := decodeInfo(b); q != nil && caps.verify(q) == nil {
				return q
			}
		}
	}
	b, err := k.cache.Get(ctx, k.single(caps))
	if err != nil {
		return nil
	}
	return decodeInfo(b)
}

// verifyAndKeep keeps what an entity has said, for whom it is good. The error is
// ErrUnverified; cacheErr is that of the cache.
func (k keptInfo) verifyAndKeep(ctx context.Context, caps Caps, q *discoQuery) (cacheErr, err error) {
	if caps.Hash == "" || caps.Ver == "" {
		return nil, nil // There is nothing that tells when it changes.
	}
	if hashes[caps.Hash] == nil {
		// The entity is believed about itself (XEP-0115, section 5.4, step 2).
		return k.put(ctx, k.single(caps), q), nil
	}
	switch err := caps.verify(q); {
	case errors.Is(err, errAmbiguous):
		return k.put(ctx, k.single(caps), q), nil
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnverified, err)
	}
	return k.put(ctx, k.shared(caps), q), nil
}

func (k keptInfo) put(ctx context.Context, key Key, q *discoQuery) error {
	if k.cache == nil {
		return nil
	}
	b, err := encodeInfo(q)
	if err != nil {
		return err
	}
	return k.cache.Put(ctx, key, b)
}
