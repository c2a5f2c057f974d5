// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"

	"mellium.im/xmpp/stream"
)

const (
	// maxHeader bounds a stream header, which is held until it is complete.
	// Real ones are some hundred bytes long.
	maxHeader = 8 << 10

	// maxEmptyReads ends a connection that returns nothing and no error.
	maxEmptyReads = 100

	unlimited = math.MaxInt
)

// errHeader means that a peer will not come to the end of its header.
var errHeader = fmt.Errorf("pipelining: stream header over %d bytes: %w", maxHeader, stream.PolicyViolation)

// errIdle ends a server's wait for a feature that cannot come: see [input].
var errIdle = errors.New("pipelining: nothing is left to be negotiated")

// input is the reading side of a Conn: bytes in the order r ≤ vetted ≤ seen.
//
//	buf: …read… r …for the decoder… vetted …held… seen …unseen…
//
// Only vetted bytes are handed to the XML decoder.
// While negotiating, vetting stops at the end of every child of the root, so
// that the bytes behind it are not taken for XML: they may be a ClientHello.
type input struct {
	buf             []byte
	r, vetted, seen int

	negotiating bool
	scan        *scanner // while negotiating
	err         error    // the scanner's, for when what came before is read
	ended       bool     // the root has ended: what follows is dropped
	eof         bool     // the connection has ended
	budget      int      // how many bytes may still be taken off the connection

	// owner weighs a complete stream header, and says what the decoder is to see
	// in its place. Pin tells it when the first byte behind the header is asked for.
	owner *negotiation
	pin   bool

	// stopIdle makes reading fail with errIdle between two elements.
	stopIdle bool

	record  bool // keep what is vetted
	records []byte
	replay  []byte // what the next stream begins with, again
	stale   int    // how much of it is still to come
}

// restart begins a new stream with the bytes that are there.
func (in *input) restart() {
	if in.scan == nil {
		in.scan = new(scanner)
	}
	in.scan.reset()
	in.negotiating, in.ended = true, false
	in.err = nil
	if in.replay != nil {
		in.prepend(in.replay)
		in.replay, in.stale = nil, len(in.replay)
	}
	in.vetted, in.seen = in.r, in.r
	in.record, in.records = false, nil
}

// straight ends the vetting.
func (in *input) straight() {
	in.negotiating, in.scan = false, nil
	in.budget = unlimited
	in.record, in.records = false, nil
}

// take reads past all vetting, for what is not XML.
func (in *input) take(p []byte) int {
	n := copy(p, in.buf[in.r:])
	in.r += n
	in.vetted, in.seen = max(in.vetted, in.r), max(in.seen, in.r)
	if in.r == len(in.buf) {
		// Whoever reads like this goes on reading like this: TLS has its own
		// buffer, and an idle session should not pay for two.
		in.buf, in.r, in.vetted, in.seen = nil, 0, 0, 0
	}
	return n
}

// prepend puts vetted bytes before everything else.
func (in *input) prepend(p []byte) {
	in.buf = append(bytes.Clone(p), in.buf[in.r:]...)
	in.vetted += len(p) - in.r
	in.seen += len(p) - in.r
	in.r = 0
}

// fill reads from the connection, once.
func (in *input) fill(r io.Reader) error {
	if in.budget <= 0 {
		return fmt.Errorf("pipelining: the peer sends too much before authentication: %w", stream.PolicyViolation)
	}
	if in.r > 0 {
		n := copy(in.buf, in.buf[in.r:])
		in.buf = in.buf[:n]
		in.vetted -= in.r
		in.seen -= in.r
		in.r = 0
	}
	if cap(in.buf)-len(in.buf) < readSize/2 {
		grown := make([]byte, len(in.buf), max(readSize, 2*cap(in.buf)))
		copy(grown, in.buf)
		in.buf = grown
	}
	free := in.buf[len(in.buf):cap(in.buf)]
	free = free[:min(len(free), in.budget)]
	for range maxEmptyReads {
		n, err := r.Read(free)
		if n > 0 {
			in.buf = in.buf[:len(in.buf)+n]
			if in.budget != unlimited {
				in.budget -= n
			}
			return nil
		}
		if err != nil {
			in.eof = in.eof || errors.Is(err, io.EOF)
			return err
		}
	}
	return io.ErrNoProgress
}

// vet looks at bytes that are there until some may be handed out, and reports
// whether they may.
func (in *input) vet() (bool, error) {
	if !in.negotiating {
		in.vetted, in.seen = len(in.buf), len(in.buf)
		return in.r < in.vetted, nil
	}
	if in.ended {
		return false, io.EOF
	}
	if in.err != nil {
		return false, in.err
	}
	if in.pin && in.scan.depth > 0 {
		in.pin = false
		in.owner.behindHeader()
	}
	if in.stopIdle && in.scan.depth == 1 && in.scan.outside() {
		return false, errIdle
	}
	for in.seen < len(in.buf) {
		if in.scan.between(in.buf[in.seen]) {
			if in.allow() {
				return true, nil
			}
			in.seen++
			in.r, in.vetted = in.seen, in.seen
			continue
		}
		ev, err := in.scan.step(in.buf[in.seen])
		if err != nil {
			// What came before has its turn first, however it was cut up.
			in.err = err
			break
		}
		in.seen++
		switch ev {
		case evSkip:
			in.r, in.vetted = in.seen, in.seen
			continue
		case evHead, evWhole:
			in.ended = ev == evWhole
			if in.seen-in.r > maxHeader {
				return false, errHeader
			}
			if err := in.weigh(); err != nil {
				return false, err
			}
		case evElement:
		case evEnd:
			in.ended = true
		default:
			continue
		}
		if ready := in.allow(); ready {
			return true, nil
		}
	}
	if in.scan.depth == 0 {
		if in.err != nil {
			return false, in.err
		}
		// The header is weighed as a whole.
		if in.seen-in.r > maxHeader {
			return false, errHeader
		}
		return false, nil
	}
	if ready := in.allow(); ready {
		return true, nil
	}
	return false, in.err
}

// fresh returns what may be handed out and has not been before.
func (in *input) fresh() []byte {
	p := in.buf[in.r:in.vetted]
	n := min(in.stale, len(p))
	in.stale -= n
	return p[n:]
}

// allow vets what was seen.
func (in *input) allow() bool {
	if in.record {
		in.records = append(in.records, in.buf[in.vetted:in.seen]...)
	}
	in.vetted = in.seen
	return in.r < in.vetted
}

// weigh shows a complete header to whoever wants to see it.
func (in *input) weigh() error {
	if in.owner == nil {
		return nil
	}
	raw := in.buf[in.r:in.seen]
	subst, err := in.owner.head(raw)
	if err != nil || bytes.Equal(subst, raw) {
		return err
	}
	rest := in.buf[in.seen:]
	in.buf = append(bytes.Clone(subst), rest...)
	in.r, in.vetted, in.seen = 0, 0, len(subst)
	return nil
}
