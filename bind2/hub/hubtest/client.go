// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hubtest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"

	"github.com/xmppext/xmppext/bind2"
)

// An ending is how a session ends.
type ending int

const (
	quietly   ending = iota // having read all that it took
	abruptly                // while it reads, and sends a presence
	unwritten               // between taking and writing
	replaced                // by the next session of the same installation
	atOnce                  // between its bind and the first Take
	meanwhile               // while it binds
	before                  // before it binds
	unread                  // because it does not read, or before that
	stayed                  // not before all others
	endings
)

// String returns the name of the ending.
func (e ending) String() string {
	return [...]string{"quietly", "abruptly", "unwritten", "replaced", "at once", "meanwhile", "before", "unread", "stayed"}[e]
}

// A plan is what a session is to do.
type plan struct {
	request bind2.Request
	hub     int
	end     ending
	ticks   int // how long it lives
	says    []presence
}

type presence struct {
	available bool
	priority  int8
}

// unreachable reports whether some presence says that messages to the bare JID are
// not for the session.
func (p plan) unreachable() bool {
	for _, s := range p.says {
		if !s.available || s.priority < 0 {
			return true
		}
	}
	return false
}

// A client binds one session after the other.
type client struct {
	w    *world
	p    *person
	lots *rand.Rand
	id   string // of the installation

	old *session // to be replaced by the next one
}

// live binds sessions until all messages were sent.
func (c *client) live(ctx context.Context) {
	for goesOn := true; goesOn; {
		goesOn = c.session(ctx, c.plan())
	}
}

// plan draws lots for the next session.
func (c *client) plan() plan {
	p := plan{
		hub: c.lots.IntN(len(c.w.hubs)),
		end: ending(c.lots.IntN(int(stayed))), ticks: 1 + c.lots.IntN(c.w.o.Messages*c.p.clients/60+1),
		request: bind2.Request{Account: c.p.jid, Protocol: bind2.Protocol(1 + c.lots.IntN(3))},
	}
	if c.p.clients == few && c.lots.IntN(3) == 0 {
		p.end = unread // Often nobody else has got what it has not read.
	}
	if c.p.at == legacy {
		p.request.Protocol = bind2.Legacy
	}
	if c.old != nil {
		p.hub, p.request.Protocol, p.request.Client = c.old.hub, bind2.Inline, c.id
		if p.end == meanwhile || p.end == before {
			p.end = quietly
		}
	}
	switch p.request.Protocol {
	case bind2.Legacy:
		if p.end == before {
			p.request.Protocol = bind2.Early // so that there is something to be cleared
		}
	case bind2.Early:
		p.request.Carbons = true
	case bind2.Inline:
		p.request.Carbons, p.request.Client, p.request.Tag = c.lots.IntN(10) < 7, c.id, "tag"
	}
	if p.end == replaced && p.request.Protocol != bind2.Inline {
		p.end = quietly
	}
	says := [...][]presence{
		{}, {{true, 0}}, {{true, 5}, {true, 0}}, {{true, -1}}, {{true, -1}, {true, 1}}, {{true, 1}, {}}, {{true, 0}, {true, -1}},
	}
	p.says = says[c.lots.IntN(len(says))]
	return p
}

// session binds a session and lets it live as planned. It reports whether there is
// to be another one.
func (c *client) session(ctx context.Context, p plan) bool {
	s := &session{
		p: c.p, plan: p, hub: p.hub, end: p.end, resource: c.w.hubs[p.hub].NewResource(),
		cut: p.request.Protocol != bind2.Legacy, carbons: p.request.Carbons,
	}
	var closing sync.WaitGroup
	switch p.end {
	case before:
		s.close(c.w)
	case meanwhile:
		closing.Go(func() { s.close(c.w) })
	}
	var err error
	s.least = c.end(ctx, p.hub)
	s.bound, err = s.resource.Bind(ctx, p.request)
	s.most = c.end(ctx, p.hub)
	closing.Wait()
	switch {
	case p.end == before && err == nil:
		c.w.found.add(ruleBind, "a resource that was closed was bound: %s", s.bound.JID)
	case p.end != before && p.end != meanwhile && err != nil:
		c.w.found.add(ruleBind, "%s: %v", c.p.jid, err)
	}
	if c.old != nil {
		c.replaced(err == nil)
	}
	if err != nil {
		return c.goOn(1)
	}
	s.jid = s.bound.JID
	c.p.come(s)
	switch p.end {
	case meanwhile, atOnce, before:
		c.bury(s)
		return c.goOn(1)
	}
	return c.through(ctx, s)
}

// end returns the last position in the archive.
func (c *client) end(ctx context.Context, hub int) int64 {
	_, last, err := c.w.archives[hub].Ends(ctx, c.p.jid)
	if err != nil {
		c.w.found.add(ruleProgress, "the archive fails: %v", err)
	}
	return last.Position
}

// through takes a session through its life.
func (c *client) through(ctx context.Context, s *session) bool {
	if s.end != unread {
		s.start(ctx)
	}
	left := s.plan.ticks
	for _, says := range s.plan.says {
		n := c.lots.IntN(left/2 + 1)
		left -= n
		if n > 0 && !c.w.ticks.wait(n) {
			return c.stay(s)
		}
		_ = s.resource.SetPresence(ctx, says.available, says.priority) // It may have been lost.
	}
	if !c.w.ticks.wait(left) {
		return c.stay(s)
	}
	switch s.end {
	case replaced:
		c.old = s
		return true
	case abruptly:
		var saying sync.WaitGroup
		saying.Go(func() { _ = s.resource.SetPresence(ctx, true, 1) })
		s.close(c.w)
		saying.Wait()
		s.wait()
	case unwritten:
		s.stop()
		_, _ = s.resource.Take(ended)
	case unread:
		s.drain()
	default:
		s.stop()
	}
	c.bury(s)
	return c.goOn(1)
}

// bury ends a session.
func (c *client) bury(s *session) {
	c.p.leave(s)
	s.close(c.w)
	s.read(c.w)
	c.p.bury(s)
}

// goOn waits a little, and reports whether there is to be another session.
func (c *client) goOn(n int) bool {
	if c.w.ticks.wait(n) {
		return true
	}
	c.w.settled.Done()
	return false
}

// stay lets a session live until the last message.
func (c *client) stay(s *session) bool {
	s.stop()
	c.w.settled.Done()
	<-c.w.over
	s.end = stayed
	s.stayed = errors.Is(s.drain(), context.Canceled)
	c.bury(s)
	return false
}

// replaced looks at a session that was replaced, if the bind of the next one has not
// failed.
func (c *client) replaced(bound bool) {
	s := c.old
	c.old = nil
	s.stop()
	if cause := s.drain(); bound && errors.Is(cause, context.Canceled) {
		c.w.found.add(ruleReplaced, "%s lives on", s.jid)
	}
	c.bury(s)
}

// come puts a session among those to whom others write.
func (p *person) come(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.binds++
	p.online = append(p.online, s)
}

func (p *person) leave(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, other := range p.online {
		if other == s {
			p.online = append(p.online[:i:i], p.online[i+1:]...)
			return
		}
	}
}

func (p *person) bury(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sessions = append(p.sessions, s)
}
