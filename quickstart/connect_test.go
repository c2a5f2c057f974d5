// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/quickstart"
)

// stagger is how long a connection is waited for before the next one is tried.
const stagger = 250 * time.Millisecond

// newStreet returns a world in which a domain has several addresses.
func newStreet(t *testing.T, addrs ...string) *world {
	w := newEmptyWorld(t)
	w.record("xmpp-client", "street.example.", 5222, 0, 0)
	w.name("street.example", addrs...)
	return w
}

// since returns the tries with times that count from the first one.
func since(tries []dialled) []dialled {
	for i := len(tries) - 1; i >= 0; i-- {
		tries[i].At -= tries[0].At
	}
	return tries
}

func TestRace(t *testing.T) {
	inBubble(t, "families take turns, as the first one begins", func(t *testing.T) {
		w := newStreet(t, "2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1", "::ffff:192.0.2.2")
		assert.Equal(t, []string{"[2001:db8::1]:5222", "192.0.2.1:5222", "[2001:db8::2]:5222", "192.0.2.2:5222", "[2001:db8::3]:5222"},
			order(t, w, newSeeker(w)))
		w = newStreet(t, "192.0.2.1", "192.0.2.2", "2001:db8::1")
		assert.Equal(t, []string{"192.0.2.1:5222", "[2001:db8::1]:5222", "192.0.2.2:5222"}, order(t, w, newSeeker(w)))
	})
	inBubble(t, "who does not answer gets company", func(t *testing.T) {
		w := newStreet(t, "2001:db8::1", "192.0.2.9", "192.0.2.1")
		w.put("[2001:db8::1]:5222", nil)
		w.put("192.0.2.9:5222", nil)
		w.put("192.0.2.1:5222", newHouse().serve)
		s := mustDial(t, newSeeker(w))
		assert.Equal(t, []dialled{
			{"[2001:db8::1]:5222", 0, true}, {"192.0.2.9:5222", stagger, true}, {"192.0.2.1:5222", 2 * stagger, false},
		}, since(w.tries()), "the losers are ended")
		assert.Equal(t, homeAddress, s.Report.Server)
	})
	inBubble(t, "who refuses makes room", func(t *testing.T) {
		w := newStreet(t, "192.0.2.8", "192.0.2.9", "192.0.2.1")
		w.put("192.0.2.1:5222", newHouse().serve)
		mustDial(t, newSeeker(w))
		assert.Equal(t, []dialled{
			{"192.0.2.8:5222", 0, false}, {"192.0.2.9:5222", roundTrip, false}, {"192.0.2.1:5222", 2 * roundTrip, false},
		}, since(w.tries()), "nobody waits for what has failed")
	})
	inBubble(t, "the first one may still win", func(t *testing.T) {
		w := newStreet(t, "192.0.2.1", "192.0.2.2")
		w.put(homeAddress, newHouse().serve)
		w.put(otherAddress, nil)
		w.slow[homeAddress] = stagger
		s := mustDial(t, newSeeker(w))
		assert.Equal(t, homeAddress, s.Report.Server)
		assert.Equal(t, []dialled{{homeAddress, 0, false}, {otherAddress, stagger, true}}, since(w.tries()))
	})
	inBubble(t, "who comes second is hung up on", func(t *testing.T) {
		w := newStreet(t, "192.0.2.1", "192.0.2.2")
		loser := make(chan error, 1)
		w.put(homeAddress, newHouse().serve)
		w.put(otherAddress, func(_ context.Context, c net.Conn) {
			_, err := c.Read(make([]byte, 1))
			loser <- err
		})
		w.slow[homeAddress] = stagger - oneWay
		d := newSeeker(w)
		dial := d.NetDial
		d.NetDial = func(ctx context.Context, network, address string) (net.Conn, error) {
			return dial(context.WithoutCancel(ctx), network, address) // It does not notice that it has lost.
		}
		s := mustDial(t, d)
		assert.Equal(t, homeAddress, s.Report.Server)
		synctest.Wait()
		require.ErrorIs(t, <-loser, io.EOF, "not a byte was sent")
	})
	inBubble(t, "all fail", func(t *testing.T) {
		w := newStreet(t, "192.0.2.1", "192.0.2.2")
		_, err := newSeeker(w).Dial(t.Context(), juliet, quickstart.Password(password))
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		assert.Len(t, w.tries(), 2, "once each")
	})
	inBubble(t, "the context ends it", func(t *testing.T) {
		w := newStreet(t, "192.0.2.1", "192.0.2.2", "192.0.2.3")
		for _, a := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"} {
			w.put(at(a, 5222), nil)
		}
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(2*roundTrip+stagger+1, func() { cancel(cause) })
		begin := time.Now()
		_, err := newSeeker(w).Dial(ctx, juliet, quickstart.Password(password))
		require.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, 2*roundTrip+stagger+1, time.Since(begin), "at once")
		assert.Len(t, w.tries(), 2, "nothing is begun any more")
	})
	inBubble(t, "Timeout ends it", func(t *testing.T) {
		w := newStreet(t, "192.0.2.1")
		w.put(homeAddress, nil)
		d := newSeeker(w)
		d.Timeout = 7 * time.Second
		begin := time.Now()
		_, err := d.Dial(t.Context(), juliet, quickstart.Password(password))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, d.Timeout, time.Since(begin))
	})
	inBubble(t, "the context ends a question to DNS", func(t *testing.T) {
		w := newStreet(t, "192.0.2.1")
		for _, what := range []string{"xmpp-client", "street.example"} {
			w.slow = map[string]time.Duration{what: time.Hour}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := newSeeker(w).Dial(ctx, juliet, quickstart.Password(password))
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded, what)
		}
		assert.Empty(t, w.tries())
	})
}

// TestRemembered asserts what is done without asking DNS (PL-01, D-18).
func TestRemembered(t *testing.T) {
	inBubble(t, "PL-01: the second login asks nothing", func(t *testing.T) {
		w := newStreet(t, "192.0.2.9", "192.0.2.1")
		w.put(homeAddress, newHouse().serve)
		d := newSeeker(w)
		mustDial(t, d)
		assert.Len(t, w.questions(), 3)
		before := len(w.tries())
		r := mustDial(t, d).Report
		assert.Empty(t, w.questions())
		assert.Equal(t, homeAddress, w.tries()[before].Addr, "what has worked is the first to be tried")
		assert.Equal(t, 3*roundTrip, r.Total)
	})
	inBubble(t, "another kind of TLS is another question", func(t *testing.T) {
		w := newStreet(t, "192.0.2.1")
		w.put(homeAddress, newHouse().serve)
		d := newSeeker(w)
		mustDial(t, d)
		w.questions()
		other := newSeeker(w)
		other.Cache, other.Security = d.Cache, quickstart.StartTLS
		mustDial(t, other)
		assert.NotEmpty(t, w.questions())
	})
	inBubble(t, "all accounts of a domain share it", func(t *testing.T) {
		w := newStreet(t, "192.0.2.1")
		w.put(homeAddress, newHouse().serve)
		d := newSeeker(w)
		mustDial(t, d)
		w.questions()
		_, err := d.Dial(t.Context(), romeo, quickstart.Password(password))
		require.NoError(t, err)
		assert.Empty(t, w.questions())
		require.NoError(t, d.Forget(t.Context(), juliet))
		mustDial(t, d)
		assert.Empty(t, w.questions(), "nor does it go with an account")
	})
	inBubble(t, "D-18: it is refreshed while logging in", func(t *testing.T) {
		w := newStreet(t, "192.0.2.1")
		w.put(homeAddress, newHouse().serve)
		d := newSeeker(w)
		mustDial(t, d)
		w.questions()
		time.Sleep(20 * time.Minute)
		mustDial(t, d)
		assert.Empty(t, w.questions(), "not yet")
		time.Sleep(20 * time.Minute)
		begin := time.Now()
		mustDial(t, d)
		assert.Equal(t, 3*roundTrip, time.Since(begin), "nobody waits for it")
		assert.Len(t, w.questions(), 3)
		time.Sleep(40 * time.Minute)
		begin = time.Now()
		mustDial(t, d)
		assert.Equal(t, 3*roundTrip, time.Since(begin), "it was 80 minutes ago that it was asked in the foreground")
		time.Sleep(61 * time.Minute)
		begin = time.Now()
		mustDial(t, d)
		assert.Equal(t, 5*roundTrip, time.Since(begin), "what is old is not used")
	})
	inBubble(t, "a refresh ends with the login", func(t *testing.T) {
		w := newStreet(t, "192.0.2.1")
		w.put(homeAddress, newHouse().serve)
		d := newSeeker(w)
		mustDial(t, d)
		time.Sleep(40 * time.Minute)
		w.slow["xmpp-client"] = time.Hour
		begin := time.Now()
		mustDial(t, d)
		assert.Equal(t, 3*roundTrip, time.Since(begin))
		w.slow = nil
		time.Sleep(5 * time.Minute)
		w.questions()
		mustDial(t, d)
		assert.Len(t, w.questions(), 3, "the next login tries again")
	})
	inBubble(t, "a refresh lets the preferred host come back", func(t *testing.T) {
		const first, second, third = "192.0.2.1:5222", "192.0.2.2:5222", "192.0.2.3:5222"
		w := newEmptyWorld(t)
		for i, host := range []string{"first.example", "second.example", "third.example"} {
			w.record("xmpp-client", host+".", 5222, uint16(i+1)/2, 0) // The last two are alike.
			w.name(host, []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}[i])
		}
		h := newHouse()
		w.put(third, h.serve)
		d := newSeeker(w)
		assert.Equal(t, third, mustDial(t, d).Report.Server)
		w.put(first, h.serve)
		w.put(second, h.serve)
		time.Sleep(40 * time.Minute)
		assert.Equal(t, third, mustDial(t, d).Report.Server, "it has worked")
		assert.Equal(t, first, mustDial(t, d).Report.Server, "RFC 2782: what the domain prefers goes first")
		w.put(first, nil)
		begin := time.Now()
		assert.Equal(t, third, mustDial(t, d).Report.Server, "among equals, what has worked")
		assert.Equal(t, stagger+3*roundTrip, time.Since(begin))
	})
	inBubble(t, "an address that is gone from DNS is not refreshed", func(t *testing.T) {
		w := newStreet(t, "192.0.2.1")
		h := newHouse()
		w.put(homeAddress, h.serve)
		d := newSeeker(w)
		mustDial(t, d)
		w.put(otherAddress, h.serve)
		w.addrs["street.example"] = []string{"192.0.2.2"}
		time.Sleep(40 * time.Minute)
		assert.Equal(t, homeAddress, mustDial(t, d).Report.Server)
		assert.Equal(t, otherAddress, mustDial(t, d).Report.Server)
	})
	inBubble(t, "D-18: what is dead is dropped", func(t *testing.T) {
		w := newStreet(t, "192.0.2.1")
		h := newHouse()
		w.put(homeAddress, h.serve)
		d := newSeeker(w)
		mustDial(t, d)
		w.questions()
		delete(w.hosts, homeAddress)
		w.put(otherAddress, h.serve)
		w.addrs["street.example"] = []string{"192.0.2.2"}
		r := mustDial(t, d).Report
		assert.Equal(t, otherAddress, r.Server, "within the same login")
		assert.True(t, r.Held, "and the plan is none the worse")
		assert.Equal(t, 1, r.Attempts)
		assert.Len(t, w.questions(), 3)
		before := len(w.tries())
		mustDial(t, d)
		assert.Empty(t, w.questions())
		assert.Len(t, w.tries()[before:], 1, "the dead one is forgotten")
	})
	inBubble(t, "a network that is gone spoils no plan", func(t *testing.T) {
		w := newStreet(t, "192.0.2.1")
		h := newHouse()
		w.put(homeAddress, h.serve)
		d := newSeeker(w)
		mustDial(t, d)
		delete(w.hosts, homeAddress)
		_, err := d.Dial(t.Context(), juliet, quickstart.Password(password))
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		assert.Len(t, w.connections(), 1)
		w.put(homeAddress, h.serve)
		assert.True(t, mustDial(t, d).Report.Held)
	})
	for name, garbage := range map[string]string{
		"nothing":      "",
		"no JSON":      "}{",
		"another kind": `[1,2]`,
		"no endpoints": `{"asked":"2000-01-01T00:00:00Z","endpoints":[]}`,
		"the future":   `{"asked":"2030-01-01T00:00:00Z","endpoints":[{"addr":"192.0.2.9:5222"}]}`,
		"denied then":  `{"asked":"2030-01-01T00:00:00Z","denied":true}`,
	} {
		inBubble(t, "AQ-03: "+name+" in the cache", func(t *testing.T) {
			w := newStreet(t, "192.0.2.1")
			w.put(homeAddress, newHouse().serve)
			d := newSeeker(w)
			key := quickstart.Key{Name: "dns/0/" + juliet.Domainpart()}
			require.NoError(t, d.Cache.Put(t.Context(), key, []byte(garbage)))
			mustDial(t, d)
			assert.Len(t, w.questions(), 3)
		})
	}
}

// TestPoisoned asserts that who is in the wrong place learns nothing (AQ-04).
func TestPoisoned(t *testing.T) {
	for _, direct := range []bool{false, true} {
		name, service := "STARTTLS", "xmpp-client"
		if direct {
			name, service = "direct TLS", "xmpps-client"
		}
		inBubble(t, "AQ-04: "+name, func(t *testing.T) {
			h := newHouse()
			h.direct = direct
			w := newWorld(t, h.serve)
			w.record(service, "home.example.", 5222, 0, 0)
			w.name("home.example", "192.0.2.1")
			d := newSeeker(w)
			mustDial(t, d)

			villain := newHouse()
			villain.direct = direct
			villain.tls.Certificates = []tls.Certificate{newAuthority("evil.example").cert}
			w.put(otherAddress, villain.serve)
			key := quickstart.Key{Name: "dns/0/" + juliet.Domainpart()}
			known, err := d.Cache.Get(t.Context(), key)
			require.NoError(t, err)
			require.Contains(t, string(known), homeAddress)
			poison := strings.ReplaceAll(string(known), homeAddress, otherAddress)
			require.NoError(t, d.Cache.Put(t.Context(), key, []byte(poison)))

			r := mustDial(t, d).Report
			assert.Equal(t, homeAddress, r.Server, "DNS was asked again")
			assert.Equal(t, 2, r.Attempts, "one connection more")
			assert.Equal(t, otherAddress, w.tries()[1].Addr, "it was tried")
			assert.NotContains(t, villain.heard.String(), "auth", "nothing was sent to it")
			assert.Equal(t, 1, mustDial(t, d).Report.Attempts, "it is forgotten")
			if direct {
				assert.True(t, r.Held, "the plan has nothing to do with it")
			}
		})
	}
}

// TestOneConnection asserts that the connections of failed logins are closed.
func TestOneConnection(t *testing.T) {
	inBubble(t, "a wrong password", func(t *testing.T) {
		w := newWorld(t, newHouse().serve)
		_, err := newDialer(w).Dial(t.Context(), jid.MustParse("nobody@"+juliet.Domainpart()), quickstart.Password(password))
		require.Error(t, err)
		require.Len(t, w.connections(), 1)
		_, err = w.last().End(xmpptest.Client).Write([]byte("x"))
		require.ErrorIs(t, err, net.ErrClosed)
	})
}
