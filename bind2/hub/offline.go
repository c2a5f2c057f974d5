// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub

import (
	"context"
	"errors"
	"sync"
	"time"

	"mellium.im/xmpp/jid"
)

// Limits of a [MemoryOffline] that sets none.
const (
	// DefaultMaxOffline is how many messages are kept for an account that is away.
	DefaultMaxOffline = 1000

	// DefaultMaxOfflineBytes is how many bytes they may have.
	DefaultMaxOfflineBytes = 1 << 20
)

// ErrOfflineFull means that an offline queue takes no more messages.
var ErrOfflineFull = errors.New("hub: the offline queue is full")

// Offline keeps messages for accounts that are away (XEP-0160). It is safe for
// concurrent use; a hub calls it for one account by one goroutine at a time.
type Offline interface {
	// Add puts a message at the end of an account's queue. It is ErrOfflineFull if
	// there is no room.
	Add(ctx context.Context, account jid.JID, m OfflineMessage) error

	// Take removes from an account's queue the messages whose Position is at least
	// from, all of them if it is 0, and returns them in their order.
	Take(ctx context.Context, account jid.JID, from int64) ([]OfflineMessage, error)
}

// OfflineMessage is a message in an offline queue.
type OfflineMessage struct {
	// Position and ID are those of the message in the account's archive, or zero if
	// it is not archived.
	Position int64
	ID       string

	// Stamp is when it was received.
	Stamp time.Time

	// XML is the whole message, without the archive's id.
	XML []byte
}

// MemoryOffline is an [Offline] in memory: all is lost once the process has ended.
// The zero value is empty and ready to use. It must not be copied after first use.
type MemoryOffline struct {
	// MaxMessages and MaxBytes are what is kept for one account. If they are not
	// positive they are DefaultMaxOffline and DefaultMaxOfflineBytes.
	// They must not change while the queue is in use.
	MaxMessages, MaxBytes int

	mu     sync.Mutex
	queues map[string]*offlineQueue
}

type offlineQueue struct {
	messages []OfflineMessage
	bytes    int
}

// Add puts a message at the end of an account's queue.
func (o *MemoryOffline) Add(ctx context.Context, account jid.JID, m OfflineMessage) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	key := account.Bare().String()
	q := o.queues[key]
	if q == nil {
		q = new(offlineQueue)
	}
	if len(q.messages) >= orDefault(o.MaxMessages, DefaultMaxOffline) ||
		q.bytes+len(m.XML) > orDefault(o.MaxBytes, DefaultMaxOfflineBytes) {
		return ErrOfflineFull
	}
	if o.queues == nil {
		o.queues = make(map[string]*offlineQueue)
	}
	o.queues[key] = q
	q.messages = append(q.messages, m)
	q.bytes += len(m.XML)
	return nil
}

// Take removes messages from an account's queue.
func (o *MemoryOffline) Take(ctx context.Context, account jid.JID, from int64) ([]OfflineMessage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	key := account.Bare().String()
	q := o.queues[key]
	if q == nil {
		return nil, nil
	}
	var taken, kept []OfflineMessage
	q.bytes = 0
	for _, m := range q.messages {
		if m.Position >= from {
			taken = append(taken, m)
			continue
		}
		kept = append(kept, m)
		q.bytes += len(m.XML)
	}
	if q.messages = kept; len(kept) == 0 {
		delete(o.queues, key)
	}
	return taken, nil
}
