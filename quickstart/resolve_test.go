// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/quickstart"
)

// servfail is what DNS says if it cannot say.
var servfail = &net.DNSError{Err: "server misbehaving", Name: juliet.Domainpart(), IsTemporary: true}

// newSeeker returns what asks DNS where the server is.
func newSeeker(w *world) *quickstart.Dialer {
	d := newDialer(w)
	d.Address = ""
	return d
}

// newEmptyWorld returns a world in which nobody answers and nothing has a name.
func newEmptyWorld(t testing.TB) *world {
	w := newWorld(t, nil)
	delete(w.hosts, homeAddress)
	return w
}

// order returns the addresses that are tried, in a world in which all refuse.
func order(t *testing.T, w *world, d *quickstart.Dialer) []string {
	t.Helper()
	before := len(w.tries())
	_, err := d.Dial(t.Context(), juliet, quickstart.Password(password))
	require.Error(t, err)
	var addrs []string
	for _, d := range w.tries()[before:] {
		addrs = append(addrs, d.Addr)
	}
	return addrs
}

func TestResolve(t *testing.T) {
	inBubble(t, "DT-01: both services are merged by priority", func(t *testing.T) {
		w := newEmptyWorld(t)
		w.record("xmpp-client", "a.example.", 5222, 10, 0)
		w.record("xmpp-client", "b.example.", 5222, 30, 0)
		w.record("xmpps-client", "c.example.", 5223, 20, 0)
		w.record("xmpps-client", "a.example.", 443, 5, 0)
		for i, host := range []string{"a.example", "b.example", "c.example"} {
			w.name(host, fmt.Sprintf("192.0.2.%d", 10+i))
		}
		assert.Equal(t, []string{"192.0.2.10:443", "192.0.2.10:5222", "192.0.2.12:5223", "192.0.2.11:5222"}, order(t, w, newSeeker(w)))
		assert.Equal(t, []string{"a.example", "b.example", "c.example", "xmpp-client", "xmpps-client"}, w.questions(),
			"nothing is asked twice")
	})
	inBubble(t, "DT-01: weights decide among equals", func(t *testing.T) {
		w := newEmptyWorld(t)
		w.record("xmpp-client", "a.example.", 1, 10, 10)
		w.record("xmpps-client", "a.example.", 2, 10, 30)
		w.record("xmpps-client", "a.example.", 3, 10, 0)
		w.name("a.example", "192.0.2.10")
		d := newSeeker(w)
		firsts := make(map[string]int)
		const tries = 600
		for range tries {
			addrs := order(t, w, d)
			require.Len(t, addrs, 3)
			firsts[addrs[0]]++
		}
		// Six standard deviations are 64.
		assert.InDelta(t, tries/4, firsts["192.0.2.10:1"], 64)
		assert.InDelta(t, tries*3/4, firsts["192.0.2.10:2"], 64)
		assert.Zero(t, firsts["192.0.2.10:3"], "a weight of zero is little")
	})
	inBubble(t, "weights of zero are all the same", func(t *testing.T) {
		w := newEmptyWorld(t)
		w.record("xmpp-client", "a.example.", 1, 10, 0)
		w.record("xmpps-client", "a.example.", 2, 10, 0)
		w.name("a.example", "192.0.2.10")
		d := newSeeker(w)
		firsts := make(map[string]int)
		for range 200 {
			firsts[order(t, w, d)[0]]++
		}
		assert.InDelta(t, 100, firsts["192.0.2.10:1"], 43)
	})
	inBubble(t, "DT-02: TLS begins as the service says", func(t *testing.T) {
		for _, direct := range []bool{false, true} {
			h := newHouse()
			h.direct = direct
			w := newWorld(t, h.serve)
			service, first := "xmpp-client", byte('<')
			if direct {
				service, first = "xmpps-client", 0x16
			}
			w.record(service, "home.example.", 5222, 0, 0)
			w.name("home.example", "192.0.2.1")
			s := mustDial(t, newSeeker(w))
			assert.Equal(t, first, w.last().Sent(xmpptest.Client)[0], service)
			assert.Equal(t, direct, s.Report.Direct)
			assert.Equal(t, homeAddress, s.Report.Server)
		}
	})
	inBubble(t, "without records it is the domain itself", func(t *testing.T) {
		for want, port := range map[quickstart.Security]int{quickstart.Any: 5222, quickstart.StartTLS: 5222, quickstart.DirectTLS: 5223} {
			w := newEmptyWorld(t)
			w.name(juliet.Domainpart(), "192.0.2.10")
			d := newSeeker(w)
			d.Security = want
			assert.Equal(t, []string{at("192.0.2.10", port)}, order(t, w, d))
		}
	})
	inBubble(t, "only what may be used is asked for", func(t *testing.T) {
		for want, service := range map[quickstart.Security]string{quickstart.StartTLS: "xmpp-client", quickstart.DirectTLS: "xmpps-client"} {
			w := newEmptyWorld(t)
			w.record("xmpp-client", "a.example.", 5222, 0, 0)
			w.record("xmpps-client", "a.example.", 5223, 0, 0)
			w.name("a.example", "192.0.2.10")
			d := newSeeker(w)
			d.Security = want
			assert.Len(t, order(t, w, d), 1)
			assert.Equal(t, []string{"a.example", service}, w.questions())
		}
	})
	inBubble(t, "a flood of records is cut", func(t *testing.T) {
		w := newEmptyWorld(t)
		for i := range 100 {
			host := fmt.Sprintf("h%d.example", i)
			w.record("xmpp-client", host+".", 5222, uint16(i), 0)
			for j := range 10 {
				w.name(host, fmt.Sprintf("192.0.2.%d", 10*(i%20)+j))
			}
		}
		assert.Len(t, order(t, w, newSeeker(w)), 16)
		assert.Len(t, w.questions(), 2+8)
	})
	inBubble(t, "addresses are asked for at the same time", func(t *testing.T) {
		w := newEmptyWorld(t)
		for i := range 8 {
			host := fmt.Sprintf("h%d.example", i)
			w.record("xmpp-client", host+".", 5222, uint16(i), 0)
			w.name(host, fmt.Sprintf("192.0.2.%d", i))
		}
		order(t, w, newSeeker(w))
		assert.Equal(t, 2*roundTrip, w.tries()[0].At, "one round trip for the services, one for the addresses")
	})
	inBubble(t, "a host whose name takes long is done without", func(t *testing.T) {
		w := newWorld(t, newHouse().serve)
		w.record("xmpp-client", "slow.example.", 5222, 1, 0)
		w.record("xmpp-client", "home.example.", 5222, 2, 0)
		w.name("slow.example", "192.0.2.10")
		w.name("home.example", "192.0.2.1")
		w.slow["slow.example"] = time.Hour
		d := newSeeker(w)
		mustDial(t, d)
		assert.Equal(t, 2*roundTrip+250*time.Millisecond, w.tries()[0].At)
		w.questions()
		mustDial(t, d)
		assert.NotEmpty(t, w.questions(), "what was not all is not remembered")
	})
	inBubble(t, "a host without addresses is passed over", func(t *testing.T) {
		w := newWorld(t, newHouse().serve)
		w.record("xmpp-client", "gone.example.", 5222, 1, 0)
		w.record("xmpp-client", "home.example.", 5222, 2, 0)
		w.name("home.example", "192.0.2.1")
		d := newSeeker(w)
		mustDial(t, d)
		w.questions()
		mustDial(t, d)
		assert.Empty(t, w.questions(), "DNS has said so, and that is remembered")
	})
	inBubble(t, "no host has an address", func(t *testing.T) {
		w := newEmptyWorld(t)
		w.record("xmpp-client", "gone.example.", 5222, 1, 0)
		_, err := newSeeker(w).Dial(t.Context(), juliet, quickstart.Password(password))
		var missing *net.DNSError
		require.ErrorAs(t, err, &missing)
		assert.Equal(t, "gone.example", missing.Name)
		assert.NotErrorIs(t, err, quickstart.ErrNoService, "nobody has said that")
	})
}

func TestNoService(t *testing.T) {
	const dot = "."
	for _, test := range []struct {
		name        string
		xmpp, xmpps string // targets: a host, the dot, nothing, or an error
		want        quickstart.Security
		tried       []string
		refused     bool
	}{
		{"DT-06: direct TLS is denied", "a.example.", dot, quickstart.Any, []string{"192.0.2.10:5222"}, false},
		{"DT-06: STARTTLS is denied", dot, "a.example.", quickstart.Any, []string{"192.0.2.10:5223"}, false},
		{"DT-06: both are denied", dot, dot, quickstart.Any, nil, true},
		{"DT-06: one is denied and there is no other", "", dot, quickstart.Any, nil, true},
		{"DT-06: the other way round", dot, "", quickstart.Any, nil, true},
		{"only direct TLS may be used", "a.example.", dot, quickstart.DirectTLS, nil, true},
		{"only STARTTLS may be used", dot, "a.example.", quickstart.StartTLS, nil, true},
	} {
		inBubble(t, test.name, func(t *testing.T) {
			w := newEmptyWorld(t)
			w.name("a.example", "192.0.2.10")
			w.name(juliet.Domainpart(), "192.0.2.11")
			for service, target := range map[string]string{"xmpp-client": test.xmpp, "xmpps-client": test.xmpps} {
				if target != "" {
					w.record(service, target, map[string]uint16{"xmpp-client": 5222, "xmpps-client": 5223}[service], 0, 0)
				}
			}
			d := newSeeker(w)
			d.Security = test.want
			_, err := d.Dial(t.Context(), juliet, quickstart.Password(password))
			require.Error(t, err)
			assert.Equal(t, test.refused, errors.Is(err, quickstart.ErrNoService), err.Error())
			assert.Equal(t, 1, strings.Count(err.Error(), "quickstart:"), "one prefix: %v", err)
			var tried []string
			for _, d := range w.tries() {
				tried = append(tried, d.Addr)
			}
			assert.Equal(t, test.tried, tried)
			assert.NotContains(t, w.questions(), juliet.Domainpart(), "the domain's own addresses are not asked for")

			if !test.refused {
				return
			}
			time.Sleep(4 * time.Minute)
			_, err = d.Dial(t.Context(), juliet, quickstart.Password(password))
			require.ErrorIs(t, err, quickstart.ErrNoService)
			assert.Empty(t, w.questions(), "D-18: it is remembered")
			time.Sleep(2 * time.Minute)
			_, err = d.Dial(t.Context(), juliet, quickstart.Password(password))
			require.ErrorIs(t, err, quickstart.ErrNoService)
			assert.NotEmpty(t, w.questions(), "D-18: briefly")
		})
	}
}

// TestServfail asserts that no answer is not taken for one.
func TestServfail(t *testing.T) {
	inBubble(t, "the domain itself is tried", func(t *testing.T) {
		w := newWorld(t, newHouse().serve)
		w.broken["xmpp-client"], w.broken["xmpps-client"] = servfail, servfail
		w.name(juliet.Domainpart(), "192.0.2.1")
		d := newSeeker(w)
		mustDial(t, d)
		w.questions()
		mustDial(t, d)
		assert.Len(t, w.questions(), 3, "nothing is remembered")
	})
	inBubble(t, "the domain has no address", func(t *testing.T) {
		w := newEmptyWorld(t)
		w.broken["xmpp-client"], w.broken["xmpps-client"] = servfail, servfail
		_, err := newSeeker(w).Dial(t.Context(), juliet, quickstart.Password(password))
		require.ErrorIs(t, err, servfail, "the cause is said")
		assert.NotErrorIs(t, err, quickstart.ErrNoService)
		assert.Empty(t, w.tries())
	})
	inBubble(t, "one service is known", func(t *testing.T) {
		w := newWorld(t, newHouse().serve)
		w.broken["xmpps-client"] = servfail
		w.record("xmpp-client", "home.example.", 5222, 1, 0)
		w.name("home.example", "192.0.2.1")
		d := newSeeker(w)
		mustDial(t, d)
		w.questions()
		mustDial(t, d)
		assert.Len(t, w.questions(), 3, "half an answer is not remembered")
	})
	inBubble(t, "one service is denied", func(t *testing.T) {
		w := newEmptyWorld(t)
		w.broken["xmpp-client"] = servfail
		w.record("xmpps-client", ".", 0, 0, 0)
		w.name(juliet.Domainpart(), "192.0.2.10")
		d := newSeeker(w)
		for range 2 {
			_, err := d.Dial(t.Context(), juliet, quickstart.Password(password))
			require.ErrorIs(t, err, servfail)
			assert.NotErrorIs(t, err, quickstart.ErrNoService, "the other one may be there")
			assert.Equal(t, []string{"xmpp-client", "xmpps-client"}, w.questions())
		}
		assert.Empty(t, w.tries(), "DT-06: there is no fallback")
	})
	inBubble(t, "an address is not known", func(t *testing.T) {
		w := newEmptyWorld(t)
		w.record("xmpp-client", "home.example.", 5222, 1, 0)
		w.broken["home.example"] = servfail
		_, err := newSeeker(w).Dial(t.Context(), juliet, quickstart.Password(password))
		require.ErrorIs(t, err, servfail)
	})
}
