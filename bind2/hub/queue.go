// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub

import (
	"context"
	"sync"
	"time"
)

// DefaultGateTime and DefaultGateSize bound how long and how many messages a [Gate]
// holds back.
const (
	DefaultGateTime = 30 * time.Second
	DefaultGateSize = 500
)

// Gate holds messages back from a client that has bound by XEP-0386, until it has
// read the archive: it sends an available presence, or Resource.Open is called, or
// some time has passed, or too many messages are held.
//
// Stanzas other than messages and presences are never held.
type Gate struct {
	// Time is how long messages are held at most. If it is not positive it is
	// DefaultGateTime.
	Time time.Duration

	// Size is how many stanzas are held at most. If it is not positive it is
	// DefaultGateSize.
	Size int
}

// queue is what is to be sent to a client.
type queue struct {
	maxSize, maxBytes int

	wake chan struct{} // has a value in it if there may be something to take
	gone chan struct{} // closed when the queue has ended

	mu      sync.Mutex
	waiting []queued
	held    []queued // by the gate
	taken   []queued // since the last call of take
	size    int      // of waiting and held, without what needs no room
	bytes   int      // of the same
	why     error    // the queue has ended

	gated    bool
	maxHeld  int
	gateTime *time.Timer
}

// queued is a stanza in a queue.
type queued struct {
	xml  []byte
	hold bool // by the gate
	free bool // needs no room: it is bounded by the offline queue that it comes from

	// share, if not nil, is what to keep if nobody is sent it.
	share *share
}

// share is a message in some queues that is nowhere else.
type share struct {
	message OfflineMessage
	queues  int // that have it, or had it and have sent it. It belongs to who has the turn.
}

// push adds a stanza at the end, and returns how many there are. It reports
// whether there was room.
func (q *queue) push(s queued) (int, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.waiting) + len(q.held)
	if q.why != nil || !s.free && (q.size >= q.maxSize || q.bytes+len(s.xml) > q.maxBytes && q.size > 0) {
		return n, false
	}
	if !s.free {
		q.size++
		q.bytes += len(s.xml)
	}
	if q.gated && s.hold {
		if q.held = append(q.held, s); len(q.held) > q.maxHeld {
			q.release()
		}
		return n + 1, true
	}
	q.waiting = append(q.waiting, s)
	q.signal()
	return n + 1, true
}

// gate begins to hold messages back.
func (q *queue) gate(g Gate) {
	q.mu.Lock()
	defer q.mu.Unlock()
	d := g.Time
	if d <= 0 {
		d = DefaultGateTime
	}
	q.gated, q.maxHeld = true, orDefault(g.Size, DefaultGateSize)
	q.gateTime = time.AfterFunc(d, q.open)
}

// open ends it.
func (q *queue) open() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.release()
}

func (q *queue) release() {
	if !q.gated {
		return
	}
	q.gated = false
	q.gateTime.Stop()
	q.waiting = append(q.waiting, q.held...)
	q.held = nil
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take waits for stanzas and removes all of them.
func (q *queue) take(ctx context.Context) ([][]byte, error) {
	for {
		q.mu.Lock()
		q.taken = nil
		if q.why != nil {
			defer q.mu.Unlock()
			return nil, q.why
		}
		if len(q.waiting) > 0 {
			defer q.mu.Unlock()
			all := make([][]byte, len(q.waiting))
			for i, s := range q.waiting {
				all[i] = s.xml
				if !s.free {
					q.size--
					q.bytes -= len(s.xml)
				}
			}
			q.taken, q.waiting = q.waiting, nil
			return all, nil
		}
		q.mu.Unlock()
		select {
		case <-q.wake:
		case <-q.gone:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// end ends the queue, once.
func (q *queue) end(why error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.why != nil {
		return
	}
	q.why = why
	close(q.gone)
	if q.gateTime != nil {
		q.gateTime.Stop()
	}
}

func (q *queue) cause() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.why
}

// unsent empties a queue that has ended, and returns what is to be kept of it if no
// other queue has it.
func (q *queue) unsent() []*share {
	q.mu.Lock()
	defer q.mu.Unlock()
	var shares []*share
	for _, part := range [][]queued{q.taken, q.waiting, q.held} {
		for _, s := range part {
			if s.share != nil {
				shares = append(shares, s.share)
			}
		}
	}
	q.taken, q.waiting, q.held, q.size, q.bytes = nil, nil, nil, 0, 0
	return shares
}
