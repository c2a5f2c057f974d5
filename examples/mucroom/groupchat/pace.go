// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package groupchat

import (
	"time"

	"mellium.im/xmpp/jid"
)

// pace is how often accounts may enter rooms. Each has a bucket of JoinBurst joins,
// into which JoinsEvery drop in a second.
//
// Buckets that have had the time to get full are as if there were none. So there are
// two generations of them, and the older one is forgotten when the newer is that old,
// or when there are too many to remember.
type pace struct {
	now, before map[string]bucket
	begun       time.Time
}

type bucket struct {
	left float64
	at   time.Time
}

const (
	// fills is how long it takes for an empty bucket to be full.
	fills = JoinBurst * time.Second / JoinsEvery

	// maxBuckets bounds one generation. Whoever has so many accounts is not held up by
	// what one of them may do.
	maxBuckets = 10000
)

// take takes a join out of an account's bucket, and reports whether there was one.
func (p *pace) take(account jid.JID, now time.Time) bool {
	if p.now == nil || now.Sub(p.begun) > fills || len(p.now) >= maxBuckets {
		p.now, p.before, p.begun = make(map[string]bucket), p.now, now
	}
	name := account.String()
	b, ok := p.now[name]
	if !ok {
		b, ok = p.before[name]
	}
	if !ok {
		b = bucket{JoinBurst, now}
	}
	b.left = min(JoinBurst, b.left+now.Sub(b.at).Seconds()*JoinsEvery)
	b.at = now
	if ok = b.left >= 1; ok {
		b.left--
	}
	p.now[name] = b
	return ok
}
