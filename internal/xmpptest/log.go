// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package xmpptest

import (
	"bytes"
	"slices"
	"time"
)

// Event is one call of Write on a [Link].
type Event struct {
	// From is the side that wrote.
	From Side

	// At is the time of the write, counted from the creation of the link.
	At time.Duration

	// Data is what was written.
	// It includes bytes that a cut or a closed peer lost, but not bytes that the
	// call did not write because it failed.
	Data []byte
}

// Log returns a copy of all writes so far, of both sides, in order.
// Empty writes and writes that failed at once are not logged.
func (l *Link) Log() []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	log := slices.Clone(l.log)
	for i := range log {
		log[i].Data = bytes.Clone(log[i].Data)
	}
	return log
}

// Writes returns what a side has written, one element per write.
func (l *Link) Writes(from Side) [][]byte {
	var writes [][]byte
	for _, e := range l.Log() {
		if e.From == from {
			writes = append(writes, e.Data)
		}
	}
	return writes
}

// Sent returns everything that a side has written, in one piece.
func (l *Link) Sent(from Side) []byte {
	return bytes.Join(l.Writes(from), nil)
}

// Flights returns how many flights a side has sent.
// A flight is a longest run of writes by one side during which that side read
// nothing from the link.
func (l *Link) Flights(from Side) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ends[from&1].flights
}

// Elapsed returns the time since the creation of the link.
func (l *Link) Elapsed() time.Duration { return time.Since(l.start) }

// RoundTrips returns d as a multiple of the time that a byte needs to the other
// end and back; 0 if the link has no delay.
func (l *Link) RoundTrips(d time.Duration) float64 {
	rtt := l.cfg.AtoB + l.cfg.BtoA
	if rtt <= 0 {
		return 0
	}
	return float64(d) / float64(rtt)
}
