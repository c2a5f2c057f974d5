// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"sync"

	"github.com/xmppext/xmppext/examples/mucroom/groupchat"
)

// maxQueued is how many stanzas may wait before the next one is read: what the service
// makes of a few messages to full rooms. They share most of their bytes.
const maxQueued = 50000

// A queue has what is to be sent, in order. It outlasts connections.
type queue struct {
	mu      sync.Mutex
	all     []groupchat.Stanza
	filled  chan struct{} // gets a value when there is something again
	drained chan struct{} // gets a value when there is nothing any more
}

func newQueue() *queue {
	return &queue{filled: make(chan struct{}, 1), drained: make(chan struct{}, 1)}
}

// put appends stanzas. It does not block.
func (q *queue) put(all ...groupchat.Stanza) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.all = append(q.all, all...)
	if len(q.all) > 0 {
		notify(q.filled)
	}
}

// take returns all that there is.
func (q *queue) take() []groupchat.Stanza {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.all
	q.all = nil
	notify(q.drained)
	return all
}

// wait waits until there is not too much, or until done is closed.
func (q *queue) wait(done <-chan struct{}) {
	for {
		q.mu.Lock()
		full := len(q.all) > maxQueued
		q.mu.Unlock()
		if !full {
			return
		}
		select {
		case <-q.drained:
		case <-done:
			return
		}
	}
}

func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
