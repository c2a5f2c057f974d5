// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package xmpptest

import "time"

// half is one direction of a link, guarded by the link's mutex.
type half struct {
	delay time.Duration
	segs  []segment // not yet read, in order of arrival
	size  int       // bytes in segs

	end   error // what reads return behind the last byte; nil: more may come
	endAt time.Time

	stop   error // why writes fail; nil: they do not
	stopAt time.Time

	sent    int64 // bytes accepted in all
	cut     int64 // cut the link when sent reaches this; negative: never
	lost    bool  // accept bytes but do not deliver them
	writing bool  // a write is in progress; others wait for their turn
}

// segment is what one write contributed.
type segment struct {
	at   time.Time // arrival
	data []byte
}

// finish makes reads return err behind the last byte, from t on.
// Only the first call counts.
func (h *half) finish(err error, t time.Time) {
	if h.end == nil {
		h.end, h.endAt = err, t
	}
}

// refuse makes writes fail with err from t on.
// Only the first call counts.
func (h *half) refuse(err error, t time.Time) {
	if h.stop == nil {
		h.stop, h.stopAt = err, t
	}
}

// take moves bytes that have arrived into b.
func (h *half) take(b []byte, now time.Time, one bool) (n int) {
	for n < len(b) && len(h.segs) > 0 && !h.segs[0].at.After(now) {
		s := &h.segs[0]
		c := copy(b[n:], s.data)
		n += c
		s.data = s.data[c:]
		if len(s.data) == 0 {
			h.segs[0] = segment{}
			h.segs = h.segs[1:]
		}
		if one {
			break
		}
	}
	h.size -= n
	return n
}

// room returns how many of n bytes can be accepted.
func (h *half) room(n, limit int) int {
	if limit <= 0 || h.lost {
		return n
	}
	return max(0, min(n, limit-h.size))
}

// earlier returns the earlier of two times, of which zero ones do not count.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// passed reports whether t is set and not in the future.
func passed(t, now time.Time) bool {
	return !t.IsZero() && !t.After(now)
}
