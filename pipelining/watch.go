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
type watch struct {
	ctx    context.Context
	cancel context.CancelFunc
	conn   net.Conn
	unhook func() bool
	done   chan struct{}  // closed by stop
	ended  sync.WaitGroup // until the watch has let go of conn

	stopped bool
	err     error
}

// start watches over conn until stop is called. If limit is positive, the
// negotiation ends when it has passed.
func (w *watch) start(ctx context.Context, limit time.Duration, conn net.Conn) {
	w.conn, w.done = conn, make(chan struct{})
	w.ended.Add(1)
	if limit > 0 {
		w.ctx, w.cancel = context.WithTimeout(ctx, limit)
	} else {
		w.ctx, w.cancel = context.WithCancel(ctx)
	}
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
			_ = w.conn.SetDeadline(time.Time{})
			return
		case <-t.C:
		}
	}
}

// stop ends the watch. If the context has ended before, it returns an error
// that says so. It may be called again and returns the same.
func (w *watch) stop() error {
	if w.stopped {
		return w.err
	}
	w.stopped = true
	if !w.unhook() {
		close(w.done)
		w.ended.Wait()
		w.err = fmt.Errorf("pipelining: negotiation ended: %w", w.ctx.Err())
		if cause := context.Cause(w.ctx); !errors.Is(cause, w.ctx.Err()) {
			w.err = fmt.Errorf("%w: %w", w.err, cause)
		}
	}
	w.cancel()
	return w.err
}
