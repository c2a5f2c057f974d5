// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mampg

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"time"
)

// A group is what is stored by one transaction. More jobs would gain little, since
// the disk is then waited for less than the processor.
const (
	maxGroup      = 256
	maxGroupBytes = 4 << 20
)

// A queue holds what is to be appended while a transaction runs. A goroutine works it
// off, and ends when nobody waits any longer.
type queue struct {
	mu      sync.Mutex
	waiting []*job
	running bool
}

// A job is what one caller wants to append.
type job struct {
	letters []letter
	bytes   int
	group   *group // guarded by queue.mu
	state   jobState
	done    chan error
}

// The states of a job, guarded by queue.mu.
type jobState int

const (
	waiting   jobState = iota
	taken              // it may be stored from now on
	abandoned          // it never will be
)

// append stores letters, all or none. If ctx ends before it was begun, none are.
func (a *Archive) append(ctx context.Context, letters []letter) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j := &job{letters: letters, done: make(chan error, 1)}
	for _, l := range letters {
		j.bytes += len(l.xml) + len(l.StanzaID)
	}
	q := &a.queues[binary.BigEndian.Uint32(letters[0].archive[:])%uint32(len(a.queues))]
	q.mu.Lock()
	q.waiting = append(q.waiting, j)
	if !q.running {
		q.running = true
		go q.work(a)
	}
	q.mu.Unlock()

	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		return q.abandon(ctx, j)
	}
}

// abandon leaves a job whose context has ended. If it may be stored already, it waits a
// while to hear.
func (q *queue) abandon(ctx context.Context, j *job) error {
	if !q.leave(j) {
		return ctx.Err()
	}
	wait := time.NewTimer(2 * grace)
	defer wait.Stop()
	select {
	case err := <-j.done:
		switch {
		case errors.Is(err, ErrUncertain):
			return uncertain{ctx.Err()}
		case errors.Is(err, context.Canceled): // by the last who left
			return ctx.Err()
		}
		return err
	case <-wait.C:
		return uncertain{ctx.Err()}
	}
}

// leave says that nobody waits for a job, and reports whether it may be stored
// nonetheless.
func (q *queue) leave(j *job) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if j.group != nil {
		if j.group.left--; j.group.left == 0 {
			j.group.cancel()
		}
	}
	if j.state == taken {
		return true
	}
	j.state = abandoned
	return false
}

// A group is the jobs of one transaction.
type group struct {
	jobs   []*job
	ctx    context.Context
	cancel context.CancelFunc
	left   int // how many are still waited for, guarded by queue.mu
}

// collect returns those that wait, or nil if there are none.
func (q *queue) collect() *group {
	q.mu.Lock()
	defer q.mu.Unlock()
	g := new(group)
	g.ctx, g.cancel = context.WithCancel(context.Background())
	n, bytes := 0, 0
	for _, j := range q.waiting {
		if len(g.jobs) == maxGroup || len(g.jobs) > 0 && bytes+j.bytes > maxGroupBytes {
			break
		}
		if n++; j.state == waiting {
			g.jobs = append(g.jobs, j)
			j.group = g
			bytes += j.bytes
		}
	}
	clear(q.waiting[:n])
	if q.waiting = q.waiting[n:]; len(q.waiting) == 0 {
		q.waiting = nil
	}
	if g.left = len(g.jobs); g.left == 0 {
		g.cancel()
		q.running = false
		return nil
	}
	return g
}

// take says that those of a group who still wait for it will be stored.
func (q *queue) take(g *group) {
	q.mu.Lock()
	defer q.mu.Unlock()
	live := g.jobs[:0]
	for _, j := range g.jobs {
		if j.state == abandoned {
			continue
		}
		j.state = taken
		live = append(live, j)
	}
	g.jobs = live
}

// work runs groups until there are none.
func (q *queue) work(a *Archive) {
	for {
		g := q.collect()
		if g == nil {
			return
		}
		q.finish(g, a.storeGroup(q, g))
		g.cancel()
	}
}

// finish tells each caller what became of it.
func (q *queue) finish(g *group, errs map[*job]error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, j := range g.jobs {
		j.done <- errs[j]
	}
}

// storeGroup stores jobs in one transaction, or if one of them was refused, each in its
// own. It returns what failed.
func (a *Archive) storeGroup(q *queue, g *group) map[*job]error {
	err := a.storeSurely(q, g)
	if err == nil {
		return nil
	}
	errs := make(map[*job]error)
	alone := len(g.jobs) > 1 && definite(err) && !contended(err)
	for _, j := range g.jobs {
		if alone {
			errs[j] = a.storeSurely(q, &group{jobs: []*job{j}, ctx: g.ctx})
		} else {
			errs[j] = err
		}
	}
	return errs
}

// patience is how long one tries to find out what became of a transaction.
const patience = 5 * time.Second

// storeSurely stores jobs in one transaction. If it is not known whether it was
// committed, it finds out.
func (a *Archive) storeSurely(q *queue, g *group) error {
	for attempt := 1; ; attempt++ {
		err := a.with(g.ctx, func(c *conn) error { return c.store(q, g) })

		if !errors.Is(err, ErrUncertain) || g.ctx.Err() != nil {
			return err
		}
		stored, failed := a.findOut(g)
		if stored {
			return nil
		}
		if failed != nil || attempt == maxAttempts {
			return err
		}
	}
}

// findOut reports whether a group was stored whose connection broke while it was.
func (a *Archive) findOut(g *group) (stored bool, err error) {
	ctx, cancel := context.WithTimeout(g.ctx, patience)
	defer cancel()
	l := g.jobs[0].letters[0]
	for wait := 10 * time.Millisecond; ; wait *= 2 {
		err = a.with(ctx, func(c *conn) error {
			var p place
			// Once the lock is ours, the transaction has ended.
			steps := append(beginWrite[:len(beginWrite):len(beginWrite)], lock([][]byte{l.archive[:]}, func(found place) { p = found }))
			if err := c.run(ctx, append(steps, do(existsSQL, l.uid).scan(&stored))...); err != nil {
				return err
			}
			if !stored && p.first > l.position {
				return final{errors.New("it would have been pruned since")}
			}
			return c.run(ctx, rollback)
		})
		if err == nil || !pause(ctx, wait) {
			return stored && err == nil, err
		}
	}
}

const existsSQL = "SELECT EXISTS (SELECT 1 FROM ~.message WHERE uid = $1)"
