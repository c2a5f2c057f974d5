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
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp"
	"mellium.im/xmpp/stream"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/pipelining"
	"github.com/xmppext/xmppext/quickstart"
)

// ending is what a server says that ends a session.
func ending(condition string) string {
	return `<stream:error><` + condition + ` xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`
}

// serving is serve, and then says something and listens.
func (h *house) serving(text string) func(context.Context, net.Conn) {
	return func(ctx context.Context, c net.Conn) {
		s, err := xmpp.ReceiveSession(ctx, c, 0, pipelining.NewNegotiator(h.features, pipelining.Config{TeeIn: &h.heard}))
		if err == nil {
			_, _ = io.WriteString(s.Conn(), text)
			_, _ = io.Copy(&h.heard, s.Conn())
		}
	}
}

// remove makes the network refuse connections to an address.
func (w *world) remove(address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.hosts, address)
}

// cut ends all connections.
func (w *world) cut() {
	for _, l := range w.connections() {
		_ = l.B.Close()
	}
}

// pause is what a Keeper has told.
type pause struct {
	err error
	at  time.Duration // since the world began
	d   time.Duration
}

// A kept account has a Keeper that runs, and notes what that does.
type kept struct {
	quickstart.Keeper
	cancel context.CancelFunc
	done   chan struct{}
	err    error // of Run, once done is closed

	mu     sync.Mutex
	pauses []pause
	begun  []time.Duration // of sessions
}

// keep has a Keeper run. It ends with the test.
func keep(t *testing.T, d *quickstart.Dialer, change func(*quickstart.Keeper)) *kept {
	k := &kept{done: make(chan struct{})}
	k.Keeper = quickstart.Keeper{
		Dialer: d, Account: juliet, Credentials: quickstart.Password(password),
		Handle: func(_ context.Context, s *quickstart.Session) error {
			k.mu.Lock()
			k.begun = append(k.begun, time.Since(bubbleBegin))
			k.mu.Unlock()
			return s.Serve(nil)
		},
		Observe: func(err error, wait time.Duration) {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.pauses = append(k.pauses, pause{err, time.Since(bubbleBegin), wait})
		},
	}
	if change != nil {
		change(&k.Keeper)
	}
	var ctx context.Context
	ctx, k.cancel = context.WithCancel(t.Context())
	go func() {
		defer close(k.done)
		k.err = k.Run(ctx)
	}()
	t.Cleanup(func() {
		k.cancel()
		<-k.done
	})
	return k
}

func (k *kept) told() []pause {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.pauses)
}

func (k *kept) sessions() []time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.begun)
}

// crowd is so many that the longest of their waits is more than half of the limit, but
// for one time in 2^24.
const crowd = 24

// assertLimit asserts what the waits of many, the i-th of each, are drawn from.
func assertLimit(t *testing.T, all []*kept, i int, limit time.Duration) {
	t.Helper()
	var longest time.Duration
	for _, k := range all {
		told := k.told()
		if assert.Greater(t, len(told), i, "waits") {
			assert.GreaterOrEqual(t, told[i].d, time.Duration(0))
			longest = max(longest, told[i].d)
		}
	}
	assert.Less(t, longest, limit, "wait %d", i)
	assert.Greater(t, longest, limit/2, "wait %d", i)
}

func TestKeeper(t *testing.T) {
	inBubble(t, "it logs in at once, and again after a wait when the session has ended", func(t *testing.T) {
		w := newWorld(t, newHouse().serve)
		k := keep(t, newDialer(w), nil)
		time.Sleep(time.Hour)
		begun := k.sessions()
		require.Len(t, begun, 1)
		assert.Equal(t, 7*roundTrip, begun[0], "the first login took no more than that")
		assert.Empty(t, k.told())

		w.cut()
		time.Sleep(time.Hour)
		told := k.told()
		require.Len(t, told, 1)
		assert.Equal(t, time.Hour+oneWay, told[0].at)
		assert.Less(t, told[0].d, quickstart.DefaultMinWait)
		begun = k.sessions()
		require.Len(t, begun, 2)
		assert.Equal(t, told[0].at+told[0].d+3*roundTrip, begun[1], "with what is remembered")
	})
	for name, serve := range map[string]func(context.Context, net.Conn){
		"a server that does not answer": nil,
		"sessions that do not last":     newHouse().serving(ending("reset")),
		"temporary-auth-failure": newHouse().sending(scriptHeader + `<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>` +
			`<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><temporary-auth-failure/></failure>`),
	} {
		inBubble(t, "waits get longer, "+name, func(t *testing.T) {
			w := newWorld(t, serve)
			if serve == nil {
				w.remove(homeAddress)
			}
			var all []*kept
			for range crowd {
				d := newDialer(w)
				d.Mechanisms = []string{auth.Plain}
				all = append(all, keep(t, d, func(k *quickstart.Keeper) { k.MinWait, k.MaxWait = time.Second, 5*time.Second }))
			}
			time.Sleep(30 * time.Second)
			for i, limit := range []time.Duration{1, 2, 4, 5, 5, 5} {
				assertLimit(t, all, i, limit*time.Second)
			}
		})
	}
	inBubble(t, "after a session that has lasted they are short again", func(t *testing.T) {
		w := newWorld(t, nil)
		w.remove(homeAddress)
		var all []*kept
		for range crowd {
			d := newDialer(w)
			d.Mechanisms = []string{auth.Plain}
			all = append(all, keep(t, d, func(k *quickstart.Keeper) { k.MinWait, k.MaxWait = time.Second, time.Hour }))
		}
		for len(all[0].told()) < 10 {
			time.Sleep(time.Minute)
		}
		w.put(homeAddress, newHouse().serve)
		time.Sleep(24 * time.Hour)
		var waits []int
		for _, k := range all {
			assert.Len(t, k.sessions(), 1)
			waits = append(waits, len(k.told()))
		}
		w.cut()
		time.Sleep(24 * time.Hour)
		for i, k := range all {
			told := k.told()
			require.Greater(t, len(told), waits[i])
			assert.Less(t, told[waits[i]].d, time.Second)
			assert.Len(t, k.sessions(), 2)
		}
	})
	inBubble(t, "a certificate that is not trusted is waited for long, and is not final", func(t *testing.T) {
		h := newHouse()
		h.tls = &tls.Config{Certificates: []tls.Certificate{strangers().cert}}
		w := newWorld(t, h.serve)
		var all []*kept
		for range crowd {
			all = append(all, keep(t, newDialer(w), nil))
		}
		time.Sleep(quickstart.DefaultMaxWait)
		assertLimit(t, all, 0, quickstart.DefaultMaxWait)
		w.put(homeAddress, newHouse().serve)
		time.Sleep(quickstart.DefaultMaxWait)
		for _, k := range all {
			assert.ErrorAs(t, k.told()[0].err, new(*tls.CertificateVerificationError))
			assert.Len(t, k.sessions(), 1)
		}
	})
	inBubble(t, "a resource that somebody else has is not asked for again", func(t *testing.T) {
		h := newOldHouse()
		w := newWorld(t, h.serving(ending("conflict")))
		d := newDialer(w)
		d.Legacy, d.LockStep = true, true
		k := keep(t, d, func(k *quickstart.Keeper) {
			var err error
			k.Account, err = juliet.WithResource("balcony")
			require.NoError(t, err)
		})
		time.Sleep(time.Hour)
		require.Greater(t, len(k.sessions()), 2)
		assert.ErrorIs(t, k.told()[0].err, stream.Conflict)
		assert.Equal(t, 1, strings.Count(h.heard.String(), "balcony"))
	})
	inBubble(t, "waking it up ends a wait", func(t *testing.T) {
		w := newWorld(t, newHouse().serve)
		wake := make(chan struct{})
		k := keep(t, newDialer(w), func(k *quickstart.Keeper) { k.MinWait, k.Wake = 1000*time.Hour, wake })
		time.Sleep(time.Hour)
		w.cut()
		time.Sleep(time.Second)
		require.Len(t, k.told(), 1)
		woken := time.Since(bubbleBegin)
		wake <- struct{}{}
		time.Sleep(time.Second)
		require.Len(t, k.sessions(), 2)
		assert.Equal(t, woken+3*roundTrip, k.sessions()[1])
	})
	inBubble(t, "a session that is not handled any more is ended", func(t *testing.T) {
		h := newHouse()
		w := newWorld(t, h.serving(""))
		failed := errors.New("handled enough")
		k := keep(t, newDialer(w), func(k *quickstart.Keeper) {
			k.Handle = func(context.Context, *quickstart.Session) error { return failed }
		})
		for len(k.told()) == 0 {
			time.Sleep(roundTrip)
		}
		require.Len(t, k.told(), 1)
		assert.Equal(t, failed, k.told()[0].err)
		assertGone(t, w, h)
	})
	t.Run("without a Dialer", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // Nobody is to be asked.
		assert.ErrorIs(t, (&quickstart.Keeper{Account: juliet}).Run(ctx), context.Canceled)
	})
	inBubble(t, "without Handle and Observe", func(t *testing.T) {
		w := newWorld(t, newHouse().serve)
		keep(t, newDialer(w), func(k *quickstart.Keeper) { k.Handle, k.Observe = nil, nil })
		time.Sleep(time.Hour)
		w.cut()
		time.Sleep(time.Hour)
		assert.Len(t, w.tries(), 2)
	})
}

// assertGone asserts that the client has closed its last connection, and not without
// a word.
func assertGone(t *testing.T, w *world, h *house) {
	t.Helper()
	_, err := w.last().A.Write([]byte("x"))
	assert.ErrorIs(t, err, net.ErrClosed)
	time.Sleep(oneWay)
	synctest.Wait()
	assert.True(t, strings.HasSuffix(h.heard.String(), "</stream:stream>"), "it says goodbye")
}

func TestKeeperEnds(t *testing.T) {
	begin := func(t *testing.T, serve func(context.Context, net.Conn)) (*world, *kept) {
		w := newWorld(t, serve)
		return w, keep(t, newDialer(w), nil)
	}
	// end ends the context, and asserts that nothing takes time after that.
	end := func(t *testing.T, k *kept) {
		t.Helper()
		now := time.Now()
		k.cancel()
		<-k.done
		assert.Zero(t, time.Since(now), "at once")
		assert.ErrorIs(t, k.err, context.Canceled)
		assert.Regexp(t, `^quickstart: juliet@im\.example\.com is not kept logged in any more: `, k.err)
	}
	inBubble(t, "with the context, within a session", func(t *testing.T) {
		h := newHouse()
		w, k := begin(t, h.serving(""))
		time.Sleep(time.Hour)
		end(t, k)
		assert.Empty(t, k.told())
		assertGone(t, w, h)
	})
	inBubble(t, "with the context, within a login", func(t *testing.T) {
		_, k := begin(t, nil) // It never answers.
		time.Sleep(time.Second)
		end(t, k)
		assert.Empty(t, k.told())
	})
	inBubble(t, "with the context, within a wait", func(t *testing.T) {
		w, k := begin(t, nil)
		w.remove(homeAddress)
		time.Sleep(time.Hour)
		require.NotEmpty(t, k.told())
		tries := len(w.tries())
		end(t, k)
		time.Sleep(time.Hour)
		assert.Len(t, w.tries(), tries)
	})
	inBubble(t, "with the context, whatever is final", func(t *testing.T) {
		w := newWorld(t, newHouse().serve)
		ctx, cancel := context.WithCancel(t.Context())
		k := &quickstart.Keeper{Dialer: newDialer(w), Account: juliet, Credentials: quickstart.Credentials{
			Password: func(context.Context) (string, error) {
				cancel()
				return "", auth.ErrNoPassword
			},
		}}
		err := k.Run(ctx)
		assert.ErrorIs(t, err, context.Canceled)
		assert.ErrorContains(t, err, "is not kept logged in any more")
	})

	// final asserts that it has ended by itself after some logins.
	final := func(t *testing.T, w *world, k *kept, tries int) {
		t.Helper()
		time.Sleep(time.Hour)
		synctest.Wait()
		select {
		case <-k.done:
		default:
			require.FailNow(t, "it goes on")
		}
		assert.Len(t, w.tries(), tries)
	}
	inBubble(t, "with a wrong password", func(t *testing.T) {
		w := newWorld(t, newHouse().serve)
		k := keep(t, newDialer(w), func(k *quickstart.Keeper) { k.Credentials = quickstart.Password("wr0ng") })
		final(t, w, k, 1)
		var refused auth.Failure
		require.ErrorAs(t, k.err, &refused)
		assert.Equal(t, auth.NotAuthorized, refused.Condition)
		assert.Empty(t, k.told())
	})
	inBubble(t, "without a password", func(t *testing.T) {
		w := newWorld(t, newHouse().serve)
		k := keep(t, newDialer(w), func(k *quickstart.Keeper) { k.Credentials = quickstart.Credentials{} })
		final(t, w, k, 1)
		assert.ErrorIs(t, k.err, auth.ErrNoPassword)
	})
	inBubble(t, "with a server that has become weaker", func(t *testing.T) {
		h := newHouse()
		h.logins.FAST = nil
		w := newWorld(t, h.serve)
		d := newDialer(w)
		d.Mechanisms = []string{auth.ScramSHA256, auth.Plain}
		k := keep(t, d, nil)
		time.Sleep(time.Hour)
		tries := len(w.tries())
		w.put(homeAddress, h.renovated(func(h *house) { h.offering(auth.Plain) }).serve)
		w.cut()
		time.Sleep(time.Hour)
		final(t, w, k, len(w.tries()))
		assert.LessOrEqual(t, len(w.tries()), tries+2)
		assert.ErrorIs(t, k.err, quickstart.ErrDowngrade)
	})
}
