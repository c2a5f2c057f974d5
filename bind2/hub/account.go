// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub

import (
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"sync"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/carbons"
)

// shards is how many locks guard the list of accounts. Each is held for a lookup.
const shards = 64

// accounts are those in use. An account that nobody has the turn of, or waits for, and
// that has no resources is not there.
type accounts struct {
	once   sync.Once
	seed   maphash.Seed
	shards [shards]shard
}

type shard struct {
	mu       sync.Mutex
	accounts map[string]*account
	most     int // that there were since the map was made, which does not shrink
}

// roomy is how many accounts a shard has room for without looking whether there are
// still as many.
const roomy = 64

// delete removes an account. It gives back the room if few are left.
func (s *shard) delete(key string) {
	delete(s.accounts, key)
	if s.most <= roomy || len(s.accounts) > s.most/8 {
		return
	}
	left := make(map[string]*account, len(s.accounts))
	maps.Copy(left, s.accounts)
	s.accounts, s.most = left, len(left)
}

// account is what a hub knows of an account.
type account struct {
	jid   jid.JID
	key   string
	shard *shard
	users int // of this value; guarded by the shard

	turn chan struct{} // has a value in it while somebody has the turn

	// What follows belongs to who has the turn.

	resources []*Resource
	recent    carbons.Recent // what errors may answer

	// seen is the last item of the archive that the resources were told of, or lie
	// behind. It is only known while there are resources.
	seen struct {
		known    bool
		position int64
		id       string
	}
}

// enter waits for the turn of an account. The caller must leave.
func (h *Hub) enter(ctx context.Context, bare jid.JID) (*account, error) {
	a := h.accounts.get(bare)
	select {
	case a.turn <- struct{}{}:
		return a, nil
	default:
	}
	select {
	case a.turn <- struct{}{}:
		return a, nil
	case <-ctx.Done():
		a.release(1)
		return nil, fmt.Errorf("hub: waiting for %s: %w", bare, ctx.Err())
	}
}

// leave ends the turn.
func (a *account) leave() {
	<-a.turn
	a.release(1)
}

func (s *accounts) get(bare jid.JID) *account {
	s.once.Do(func() { s.seed = maphash.MakeSeed() })
	key := bare.String()
	shard := &s.shards[maphash.String(s.seed, key)%shards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	a := shard.accounts[key]
	if a == nil {
		if shard.accounts == nil {
			shard.accounts = make(map[string]*account)
		}
		a = &account{jid: bare, key: key, shard: shard, turn: make(chan struct{}, 1)}
		shard.accounts[key] = a
		shard.most = max(shard.most, len(shard.accounts))
	}
	a.users++
	return a
}

// release ends n uses.
func (a *account) release(n int) {
	a.shard.mu.Lock()
	defer a.shard.mu.Unlock()
	if a.users -= n; a.users == 0 {
		a.shard.delete(a.key)
	}
}

// add makes a resource one of the account's. It is a use of the account.
func (a *account) add(r *Resource) {
	a.resources = append(a.resources, r)
	a.shard.mu.Lock()
	a.users++
	a.shard.mu.Unlock()
}

// remove reports whether the resource was one of the account's.
func (a *account) remove(r *Resource) bool {
	i := slices.Index(a.resources, r)
	if i < 0 {
		return false
	}
	a.resources = slices.Delete(a.resources, i, i+1)
	if len(a.resources) == 0 {
		a.seen.known = false
	}
	a.release(1)
	return true
}

// find returns the resource with a full JID.
func (a *account) find(full jid.JID) *Resource {
	for _, r := range a.resources {
		if r.jid.Equal(full) && !r.ended() {
			return r
		}
	}
	return nil
}
