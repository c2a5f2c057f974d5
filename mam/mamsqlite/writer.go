// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamsqlite

import (
	"context"
	"sync/atomic"
)

// maxGroup is how many jobs share a transaction. More would gain little, since
// the disk is then waited for less than the processor.
const maxGroup = 256

// A job is what somebody wants written.
type job struct {
	// run writes. It may be called again, in another transaction.
	// An error of it undoes the transaction: what is wrong with the job alone
	// is kept by it elsewhere.
	run   func(*tx) error
	state atomic.Int32
	done  chan error
}

// The states of a job.
const (
	waiting = iota
	taken
	abandoned
)

// write has the owner of the writer run something, and returns when it is stored.
// If ctx ends before it was begun, it never will be.
func (a *Archive) write(ctx context.Context, run func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-a.closing:
		return ErrClosed
	default:
	}
	j := &job{run: run, done: make(chan error, 1)}
	select {
	case a.jobs <- j:
	case <-a.stopped:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-j.done:
		return err
	case <-a.stopped:
		// It was the last, or came too late.
		select {
		case err := <-j.done:
			return err
		default:
			return ErrClosed
		}
	case <-ctx.Done():
		if j.state.CompareAndSwap(waiting, abandoned) {
			return ctx.Err()
		}
		return <-j.done
	}
}

// own runs jobs until the archive is closed. It is the only one who writes.
func (a *Archive) own() {
	defer close(a.stopped)
	for {
		select {
		case j := <-a.jobs:
			a.runAll(a.collect(j))
		case <-a.closing:
			for {
				select {
				case j := <-a.jobs:
					a.runAll(a.collect(j))
				default:
					return
				}
			}
		}
	}
}

// collect returns a job and those that wait behind it.
func (a *Archive) collect(first *job) []*job {
	group := []*job{first}
	for len(group) < maxGroup {
		select {
		case j := <-a.jobs:
			group = append(group, j)
		default:
			return group
		}
	}
	return group
}

// runAll runs jobs in one transaction, or if one of them fails, each in its own.
func (a *Archive) runAll(group []*job) {
	err := a.transaction(func(t *tx) error {
		// While another process kept us waiting, some may have given up.
		live := group[:0]
		for _, j := range group {
			if j.state.Load() == taken || j.state.CompareAndSwap(waiting, taken) {
				live = append(live, j)
			}
		}
		group = live
		for _, j := range group {
			if err := j.run(t); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && len(group) > 1 && !hasCode(err, codeBusy) {
		for _, j := range group {
			a.runAll([]*job{j})
		}
		return
	}
	for _, j := range group {
		j.done <- err
	}
}

// transaction runs f in a transaction that may write.
func (a *Archive) transaction(f func(*tx) error) error {
	ctx := context.Background()
	sc, err := a.writer.Conn(ctx)
	if err != nil {
		return err
	}
	defer sc.Close()
	t := &tx{conn: &conn{sc}}
	if err := t.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err = f(t)
	if err == nil {
		err = t.flush()
	}
	if err == nil {
		err = t.exec("COMMIT")
	}
	if err != nil {
		// SQLite may have done so already, if there is no space left.
		_ = t.exec("ROLLBACK")
	}
	return err
}
