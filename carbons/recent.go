// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package carbons

import (
	"hash/maphash"
	"slices"
	"sync"

	"mellium.im/xmpp/stanza"
)

// recentSize is how many messages in each direction a [Recent] remembers, in 2 KiB.
// An error comes within seconds, or when a server has given up on another one; a
// person writes fewer messages in that time.
const recentSize = 256

// Recent remembers which messages from and to one account were eligible, because an
// error is copied if it answers one of them (XEP-0280, section 6.1), and does not
// tell itself.
//
// There is one for each account. It knows the last 256 messages in each direction that
// have an id: contacts who send many do not make it forget what the account has sent.
// The zero value is ready for use. A Recent is safe for concurrent use.
type Recent struct {
	mu             sync.Mutex
	seed           maphash.Seed
	received, sent ring
}

// A ring holds the hashes of the last messages.
type ring struct {
	keys []uint64
	next int
}

// Eligible is [Content.Eligible], which it tells of an error whether it answers a
// message that was eligible. It has to be called for each message of the account.
func (r *Recent) Eligible(d Direction, c Content) bool {
	if c.Message.Type == stanza.ErrorMessage {
		c.Answers = c.Answers || r.answers(d, c.Message)
		return c.Eligible(d)
	}
	eligible := c.Eligible(d)
	if eligible && c.Message.ID != "" {
		r.remember(d, c.Message)
	}
	return eligible
}

// answers reports whether an error is about a message that went the other way.
func (r *Recent) answers(d Direction, m stanza.Message) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	from := &r.sent
	if d == Sent {
		from = &r.received
	}
	return slices.Contains(from.keys, r.key(d, m))
}

func (r *Recent) remember(d Direction, m stanza.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	to := &r.received
	if d == Sent {
		to = &r.sent
	}
	key := r.key(d, m)
	if len(to.keys) < recentSize {
		to.keys = append(to.keys, key)
		return
	}
	to.keys[to.next] = key
	to.next = (to.next + 1) % recentSize
}

// key returns the hash of a message: of its id, and of the bare JID at the other end,
// since an error may come from a resource of it or from its server.
func (r *Recent) key(d Direction, m stanza.Message) uint64 {
	if r.seed == (maphash.Seed{}) {
		r.seed = maphash.MakeSeed()
	}
	peer := m.From
	if d == Sent {
		peer = m.To
	}
	var h maphash.Hash
	h.SetSeed(r.seed)
	_, _ = h.WriteString(peer.Bare().String())
	_ = h.WriteByte(0) // In no address.
	_, _ = h.WriteString(m.ID)
	return h.Sum64()
}
