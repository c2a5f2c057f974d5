// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"slices"
)

// A point is what somebody knows of a room who has received a stanza, in numbers of
// the room's events. What is sent to somebody who enters comes in parts, and may be
// cut off in between; so these differ.
type point struct {
	// All occupants are known that had not changed after presence, as it was when seen was
	// the last event.
	presence, seen uint64

	// All is known of who has left until seen, or if it is partial, until presence.
	partial bool

	// All messages are known up to message.
	message uint64
}

// at is the point of a stanza that is sent when it happens.
func at(number uint64) point { return point{presence: number, seen: number, message: number} }

// gone is the event up to which it is known who has left.
func (p point) gone() uint64 {
	if p.partial {
		return p.presence
	}
	return p.seen
}

// newest is the number of the last event that a point is about.
func (p point) newest() uint64 { return max(p.presence, p.seen, p.message) }

const (
	keySize     = 16
	numberBytes = 5

	// maxNumber is the last number that an id has space for. Ids of later ones are
	// understood by nobody. A room with a thousand events a second takes 34 years.
	maxNumber = 1<<(8*numberBytes) - 1

	// maxRuns is how many runs of a room are remembered. A service that restarts that often
	// in a day has other problems.
	maxRuns = 8
)

// A run is a room from when it was opened on. Each has a key of its own, so that no
// id is understood that was given out by one that nothing was stored of: its numbers
// mean something else by now.
type run struct {
	key   []byte
	block cipher.Block
	end   uint64 // the last event, of those that are over
}

// newRun returns a run with a key. If it is not one, ok is false.
func newRun(key []byte) (_ run, ok bool) {
	if len(key) != keySize {
		return run{}, false
	}
	block, err := aes.NewCipher(key)
	return run{key: key, block: block}, err == nil
}

// encode returns the id of a point. It tells nobody but the room how many events there
// were.
func (r run) encode(p point) string {
	var b [aes.BlockSize]byte
	if p.partial {
		b[0] = 1
	}
	for i, n := range [...]uint64{p.presence, p.seen, p.message} {
		for j := range numberBytes {
			b[1+i*numberBytes+j] = byte(n >> (8 * j))
		}
	}
	r.block.Encrypt(b[:], b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// decode returns what an id of the run was made of, or if it is not one, ok as false or
// numbers that no room has reached.
func (r run) decode(id [aes.BlockSize]byte) (p point, ok bool) {
	var b [aes.BlockSize]byte
	r.block.Decrypt(b[:], id[:])
	var n [3]uint64
	for i := range n {
		for j := range numberBytes {
			n[i] |= uint64(b[1+i*numberBytes+j]) << (8 * j)
		}
	}
	return point{presence: n[0], seen: n[1], message: n[2], partial: b[0] == 1}, b[0] <= 1
}

// understand returns what an id was made of, if one of the runs has given it out until
// the event now.
func understand(runs []run, id string, now uint64) (p point, ok bool) {
	var b [aes.BlockSize]byte
	if len(id) != base64.RawURLEncoding.EncodedLen(len(b)) {
		return point{}, false
	}
	if _, err := base64.RawURLEncoding.Strict().Decode(b[:], []byte(id)); err != nil {
		return point{}, false
	}
	for i, r := range slices.Backward(runs) {
		end := r.end
		if i == len(runs)-1 {
			end = now
		}
		if p, ok := r.decode(b); ok && p.newest() <= end {
			return p, true
		}
	}
	return point{}, false
}

// random returns n random bytes.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // It never fails.
	return b
}
