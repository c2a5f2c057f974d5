// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// insist is how often a watch repeats itself.
//
// When the context of a negotiation ends, mellium sets a deadline in the past
// and takes it back at once, so that most reads never notice (v0.23.0,
// session.go, setDeadline).
// A deadline that is set again and again wins.
const insist = 5 * time.Millisecond

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// A watch ends the reads and writes of a negotiation with its context.
//
// The time limit is a deadline of the connection, which costs nothing. The end of
// the context that the caller has given needs somebody who waits for it.
type watch struct {
	ctx      context.Context
	cancel   context.CancelFunc
	conn     *Conn
	deadline time.Time
	unhook   func() bool
	done     chan struct{}  // closed by stop
	ended    sync.WaitGroup // until the watch has let go of conn

	stopped bool
	err     error
}

// start watches over conn until stop is called. If limit is positive, the
// negotiation ends when it has passed.
func (w *watch) start(ctx context.Context, limit time.Duration, conn *Conn) {
	w.conn = conn
	if limit > 0 {
		w.ctx, w.cancel = context.WithTimeout(ctx, limit)
	} else {
		w.ctx, w.cancel = context.WithCancel(ctx)
	}
	if d, ok := w.ctx.Deadline(); ok {
		w.deadline = d
		conn.limit.Store(&w.deadline)
	}
	_ = conn.SetDeadline(w.deadline) // A closed connection blocks nobody.
	if ctx.Done() == nil {
		return
	}
	w.done = make(chan struct{})
	w.ended.Add(1)
	// Of the negotiation's own context, which may end a moment after ctx: whoever is
	// interrupted finds that it has.
	w.unhook = context.AfterFunc(w.ctx, w.interrupt)
}

func (w *watch) interrupt() {
	defer w.ended.Done()
	t := time.NewTicker(insist)
	defer t.Stop()
	for {
		if errors.Is(w.conn.SetDeadline(past), net.ErrClosed) {
			return // It blocks nobody any more.
		}
		select {
		case <-w.done:
			return
		case <-t.C:
		}
	}
}

// stop ends the watch and takes the deadline off. If the context has ended before,
// it returns an error that says so. It may be called again and returns the same.
func (w *watch) stop() error {
	if w.stopped {
		return w.err
	}
	w.stopped = true
	if w.unhook != nil && !w.unhook() {
		close(w.done)
		w.ended.Wait()
	}
	w.conn.limit.Store(nil)
	_ = w.conn.SetDeadline(time.Time{})
	err := w.ctx.Err()
	if err == nil && !w.deadline.IsZero() && !time.Now().Before(w.deadline) {
		err = context.DeadlineExceeded // The connection was a moment faster.
	}
	if err != nil {
		w.err = fmt.Errorf("pipelining: negotiation ended: %w", err)
		if cause := context.Cause(w.ctx); cause != nil && !errors.Is(cause, err) {
			w.err = fmt.Errorf("%w: %w", w.err, cause)
		}
	}
	w.cancel()
	return w.err
}
