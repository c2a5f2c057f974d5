// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"context"
	"errors"
	"log"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"

	"github.com/xmppext/xmppext/examples/mucroom/groupchat"
)

const (
	crone = "crone@shakespeare.example/desk"
	hag   = "hag@shakespeare.example/broom"
)

// A world has a host and, for each of its connections, the other end.
type world struct {
	host  *host
	conns chan net.Conn
	ended chan error
	stop  context.CancelFunc
	log   *bytes.Buffer
}

// begin attaches a service in memory.
func begin(t *testing.T) *world {
	t.Helper()
	q := newQueue()
	service, err := groupchat.Open(t.Context(), jid.MustParse(domain), groupchat.Options{Send: q.put})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	w := &world{conns: make(chan net.Conn), ended: make(chan error, 1), stop: cancel, log: new(bytes.Buffer)}
	w.host = &host{
		dial: func(ctx context.Context) (net.Conn, error) {
			here, there := net.Pipe()
			select {
			case w.conns <- there:
				return here, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
		domain: jid.MustParse(domain), secret: []byte(secret), service: service, queue: q, log: log.New(w.log, "", 0),
	}
	go func() { w.ended <- w.host.stay(ctx) }()
	t.Cleanup(cancel)
	return w
}

// people enter the cave, and the last is returned that each has received.
func people(t *testing.T, s *server) (croneLast, hagLast heard) {
	t.Helper()
	all := s.say(join(crone, "crone", fast), ask(crone, cave, "c1", instant), join(hag, "hag", fast))
	return last(t, all, crone), last(t, all, hag)
}

func TestStream(t *testing.T) {
	t.Run("rooms are served over the stream, and what has changed after a rejoin", func(t *testing.T) {
		w := begin(t)
		s := accept(t, <-w.conns, secret)
		_, known := people(t, s)
		all := s.say(
			`<presence from="`+hag+`" to="`+cave+`/hag" type="unavailable"/>`,
			`<message from="`+crone+`" to="`+cave+`" type="groupchat"><body>Bubble</body></message>`,
			join(hag, "hag", known.resume()))
		its := only(all, hag)
		require.Len(t, its, 4, "it leaves, and hears of itself, the message and the subject")
		assert.Equal(t, cave+"/hag", its[1].From)
		assert.Equal(t, "Bubble", its[2].Body)
		assert.Equal(t, known.Session.Session, its[1].Session.Session)
	})
	t.Run("whatever clients send, the stream goes on", func(t *testing.T) {
		w := begin(t)
		s := accept(t, <-w.conns, secret)
		people(t, s)
		long := strings.Repeat("<a>", 2000) + strings.Repeat("</a>", 2000)
		all := s.say(
			" \n ", `<presence/>`, `<iq/>`, `<message/>`, `<other/>`, `<x:y xmlns:x="z"/>`,
			`<presence from="`+crone+`" to="@"/>`,
			`<message from="`+crone+`" to="`+cave+`" type="groupchat"><body>`+strings.Repeat("x", 70000)+`</body><more/></message>`,
			`<message from="`+crone+`" to="`+cave+`" type="groupchat">`+long+`</message>`,
			ask(crone, cave, "q1", `<query xmlns="http://jabber.org/protocol/muc#admin"><item affiliation="king"/><more/></query>`),
			ask(crone, cave, "q2", `<query xmlns="http://jabber.org/protocol/muc#owner"><x xmlns="jabber:x:data" type="submit"><field/></x></query>`),
			`<iq type="get" from="`+crone+`" to="`+cave+`/hag" id="q3"><query xmlns="jabber:iq:version"/></iq>`,
			`<message from="`+hag+`" to="`+cave+`" type="groupchat"><body>Bubble</body></message>`)
		require.NotEmpty(t, all)
		assert.Equal(t, "Bubble", all[len(all)-1].Body)
		asked := 0
		for _, one := range all {
			assert.False(t, one.ID == "q3", "a request that was passed on has no answer yet")
			if one.Type == "get" && one.To == hag {
				asked++
			}
		}
		assert.Equal(t, 1, asked)
	})
	t.Run("in the end all are told, and then the stream ends", func(t *testing.T) {
		w := begin(t)
		s := accept(t, <-w.conns, secret)
		people(t, s)
		w.stop()
		var told []string
		for next, ok := s.next(); ok; next, ok = s.next() {
			assert.Equal(t, "unavailable", next.Type)
			assert.Contains(t, next.Inner, `<status code="332"/>`)
			told = append(told, next.To)
		}
		assert.ElementsMatch(t, []string{crone, hag}, told)
		s.write("</stream:stream>")
		assert.NoError(t, <-w.ended)
	})
	t.Run("a server that does not end the stream is not waited for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := begin(t)
			s := accept(t, <-w.conns, secret)
			people(t, s)
			w.stop()
			begun := time.Now()
			s.drain()
			assert.NoError(t, <-w.ended)
			assert.Equal(t, closeTimeout, time.Since(begun))
		})
	})
	t.Run("after a lost connection it attaches again, and all are told to come back", func(t *testing.T) {
		w := begin(t)
		s := accept(t, <-w.conns, secret)
		_, known := people(t, s)
		require.NoError(t, s.conn.Close())
		s = accept(t, <-w.conns, secret)
		var told []string
		for _, one := range s.say() {
			assert.Contains(t, one.Inner, `<status code="333"/>`)
			told = append(told, one.To)
		}
		assert.ElementsMatch(t, []string{crone, hag}, told)
		all := s.say(join(hag, "hag", known.resume()))
		assert.Equal(t, known.Session.Session, last(t, all, hag).Session.Session)
		assert.Len(t, all, 2, "only what ends the answer, and nothing to the other one")
	})
	t.Run("a server that ends the stream is taken at its word", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := begin(t)
			s := accept(t, <-w.conns, secret)
			s.write(`<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`)
			synctest.Wait()
			assert.Contains(t, w.log.String(), "system-shutdown")
			s = accept(t, <-w.conns, secret)
			s.write("</stream:stream>")
			synctest.Wait()
			assert.Contains(t, w.log.String(), "the server has ended the stream")
			w.stop()
			assert.NoError(t, <-w.ended)
		})
	})
	t.Run("a server that does not take the secret is not asked again", func(t *testing.T) {
		w := begin(t)
		accept(t, <-w.conns, "another")
		assert.ErrorIs(t, <-w.ended, stream.NotAuthorized)
	})
	t.Run("a server that says nothing is asked again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := begin(t)
			silent := <-w.conns
			begun := time.Now()
			_, err := silent.Read(make([]byte, 4096))
			require.NoError(t, err)
			s := accept(t, <-w.conns, secret)
			assert.GreaterOrEqual(t, time.Since(begun), attachTimeout)
			assert.Less(t, time.Since(begun), attachTimeout+2*firstWait)
			s.say() // It is attached.
			w.stop()
			s.drain()
			assert.NoError(t, <-w.ended)
		})
	})
	t.Run("a server that reads nothing is lost", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := begin(t)
			s := accept(t, <-w.conns, secret)
			people(t, s)
			for range 3 { // The first is being written, the others wait.
				s.write(`<message from="` + crone + `" to="` + cave + `" type="groupchat"><body>Bubble</body></message>`)
				synctest.Wait()
			}
			begun := time.Now()
			again := accept(t, <-w.conns, secret)
			assert.GreaterOrEqual(t, time.Since(begun), writeTimeout)
			assert.Less(t, time.Since(begun), writeTimeout+2*firstWait)
			told := again.say()
			assert.Len(t, told, 2, "all are told, and nothing else is sent")
			for _, one := range told {
				assert.Contains(t, one.Inner, `<status code="333"/>`)
			}
			w.stop()
			again.drain()
			assert.NoError(t, <-w.ended)
		})
	})
	t.Run("who interrupts does not wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			for _, step := range []string{"before there is a connection", "while it begins"} {
				w := begin(t)
				if step != "before there is a connection" {
					<-w.conns
				}
				synctest.Wait()
				begun := time.Now()
				w.stop()
				assert.NoError(t, <-w.ended, step)
				assert.Zero(t, time.Since(begun), step)
			}
		})
	})
}

func TestBackOff(t *testing.T) {
	t.Run("it waits twice as long each time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := begin(t)
			<-w.conns // The one before is of no use here.
			w.stop()
			<-w.ended

			ctx, cancel := context.WithCancel(t.Context())
			var mu sync.Mutex
			var at []time.Time
			w.host.dial = func(context.Context) (net.Conn, error) {
				mu.Lock()
				defer mu.Unlock()
				if at = append(at, time.Now()); len(at) == 12 {
					cancel()
				}
				return nil, errors.New("there is nobody")
			}
			require.NoError(t, w.host.stay(ctx))
			wait := firstWait
			for i := 1; i < len(at); i++ {
				assert.GreaterOrEqual(t, at[i].Sub(at[i-1]), wait/2, i)
				assert.Less(t, at[i].Sub(at[i-1]), wait*3/2, i)
				wait = min(2*wait, longWait)
			}
			assert.Equal(t, longWait, wait)
		})
	})
	t.Run("after a connection it begins anew", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := begin(t)
			<-w.conns
			w.stop()
			<-w.ended

			ctx, cancel := context.WithCancel(t.Context())
			var at []time.Time
			w.host.dial = func(context.Context) (net.Conn, error) {
				switch at = append(at, time.Now()); len(at) {
				case 8:
					here, there := net.Pipe()
					go func() {
						s := accept(t, there, secret)
						s.say()
						_ = there.Close()
					}()
					return here, nil
				case 9:
					cancel()
				}
				return nil, errors.New("there is nobody")
			}
			require.NoError(t, w.host.stay(ctx))
			assert.Greater(t, at[7].Sub(at[6]), 2*firstWait)
			assert.Less(t, at[8].Sub(at[7]), 2*firstWait)
		})
	})
}

func TestQueue(t *testing.T) {
	t.Run("who waits for a queue that is full goes on when it is empty", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := newQueue()
			q.put(make([]groupchat.Stanza, maxQueued+1)...)
			went := make(chan struct{})
			go func() {
				defer close(went)
				q.wait(nil)
			}()
			synctest.Wait()
			select {
			case <-went:
				t.Fatal("it did not wait")
			default:
			}
			assert.Len(t, q.take(), maxQueued+1)
			<-went
		})
	})
	t.Run("or when nobody will empty it", func(t *testing.T) {
		q, done := newQueue(), make(chan struct{})
		q.put(make([]groupchat.Stanza, maxQueued+1)...)
		close(done)
		q.wait(done)
	})
}
