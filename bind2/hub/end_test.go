// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/ping"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/bind2/hub"
	"github.com/xmppext/xmppext/internal/xmpptest"
)

// TestServeEnds is how sessions end. In a bubble no goroutine may be left.
func TestServeEnds(t *testing.T) {
	inBubble(t, "the client ends its stream", func(t *testing.T) {
		l := dial(t, stocked(), call{})
		l.hangUp()
		assert.Equal(t, `</stream:stream>`, l.heard())
		_, err := l.Link.B.Write(nil)
		assert.Error(t, err, "the connection is closed")
	})
	inBubble(t, "the context ends, and the client hears of it", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		l := dial(t, stocked(), call{ctx: ctx})
		cancel()
		assert.Equal(t, `</stream:stream>`, l.heard())
		l.say(`</stream:stream>`)
		assert.ErrorIs(t, l.ended(), context.Canceled)
	})
	inBubble(t, "the context ends, and the client does not care", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		l := dial(t, stocked(), call{ctx: ctx})
		start := time.Now()
		assert.ErrorIs(t, l.ended(), context.DeadlineExceeded)
		assert.LessOrEqual(t, time.Since(start), time.Minute+5*time.Second)
		assert.Equal(t, `</stream:stream>`, l.heard())
	})
	inBubble(t, "the resource is closed", func(t *testing.T) {
		l := dial(t, stocked(), call{})
		require.NoError(t, l.r.Close())
		assert.Equal(t, `</stream:stream>`, l.heard())
		assert.ErrorIs(t, l.ended(), hub.ErrClosed)
	})
	inBubble(t, "BN-17: the client is replaced", func(t *testing.T) {
		h := stocked()
		l := dial(t, h, call{resource: "orchard"})
		other := dial(t, h, call{resource: "orchard"})
		got := l.heard()
		assert.Contains(t, got, `<conflict xmlns="urn:ietf:params:xml:ns:xmpp-streams">`)
		assert.True(t, strings.HasSuffix(got, `</stream:stream>`), got)
		assert.ErrorIs(t, l.ended(), hub.ErrReplaced)
		other.hangUp()
	})
	inBubble(t, "the client is replaced while it sends", func(t *testing.T) {
		inside, leave := make(chan struct{}), make(chan struct{})
		h := stocked()
		h.Remote = func(context.Context, jid.JID, []byte) error {
			close(inside)
			<-leave
			return stanza.Error{Type: stanza.Cancel, Condition: stanza.ItemNotFound}
		}
		l := dial(t, h, call{resource: "orchard"})
		l.say(`<message to="juliet@capulet.example" type="chat"><body>x</body></message><message to="juliet@capulet.example" type="chat"><body>y</body></message>`)
		<-inside
		other := dial(t, h, call{resource: "orchard"})
		close(leave)
		assert.ErrorIs(t, l.ended(), hub.ErrReplaced)
		got := l.heard()
		assert.Contains(t, got, `<conflict xmlns="urn:ietf:params:xml:ns:xmpp-streams">`)
		assert.NotContains(t, got, `undefined-condition`)
		other.hangUp()
	})
	inBubble(t, "what was missed cannot be read", func(t *testing.T) {
		archive := new(brokenArchive)
		h, there := &hub.Hub{Archive: archive}, &hub.Hub{Archive: archive}
		l := dial(t, h, call{})
		deliver(t, there, romeo, "1")
		archive.breakAt("Query")
		deliver(t, h, romeo, "2")
		assert.Contains(t, l.heard(), `<reset xmlns="urn:ietf:params:xml:ns:xmpp-streams">`)
		assert.ErrorIs(t, l.ended(), hub.ErrLost)
	})
	inBubble(t, "the connection breaks, and what was not sent is kept", func(t *testing.T) {
		h := stocked()
		h.Archive = nil
		l := dial(t, h, call{resource: "orchard"})
		l.say(`<presence/>`)
		l.Link.Cut()
		deliver(t, h, romeo, "1")
		assert.Error(t, l.ended())
		deliver(t, h, romeo, "2")
		require.NoError(t, l.r.Close())
		assert.Equal(t, []string{"1", "2"}, waiting(t, h.Offline, romeo))
	})
	inBubble(t, "a handler fails", func(t *testing.T) {
		l := dial(t, stocked(), call{options: []mux.Option{
			mux.IQFunc(stanza.GetIQ, xml.Name{Space: "urn:x", Local: "x"}, func(stanza.IQ, xmlstream.TokenReadEncoder, *xml.StartElement) error { return errBroken }),
		}})
		l.say(`<iq type="get" id="q"><x xmlns="urn:x"/></iq>`)
		assert.ErrorIs(t, l.ended(), errBroken)
	})
}

// TestSlow is what becomes of clients that do not read.
func TestSlow(t *testing.T) {
	fill := func(t *testing.T, h *hub.Hub, l *line) int {
		t.Helper()
		for n := 1; ; n++ {
			require.Less(t, n, 1000, "there is a bound")
			deliver(t, h, l.r.JID(), fmt.Sprintf("%d %s", n, strings.Repeat("x", 10_000)))
			synctest.Wait()
			select {
			case <-l.r.Gone():
				return n
			default:
			}
		}
	}
	slow := call{resource: "slow", link: xmpptest.LinkConfig{Limit: 32 << 10}}
	inBubble(t, "it never reads again", func(t *testing.T) {
		h := stocked()
		h.QueueSize = 20
		l := dial(t, h, slow)
		other := legacy(t, h, "other", 0)
		go func() { // The client reads what it was answered at its bind, and no more.
			_, _ = l.Link.A.Read(make([]byte, 1))
		}()
		n := fill(t, h, l)
		start := time.Now()
		assert.ErrorIs(t, l.ended(), hub.ErrSlow)
		assert.LessOrEqual(t, time.Since(start), 10*time.Second)
		assert.Len(t, archived(t, h.Archive, romeo), n)
		deliver(t, h, romeo, "others go on")
		assert.Equal(t, []string{"others go on"}, texts(t, other))
	})
	inBubble(t, "it reads again once it is too late", func(t *testing.T) {
		h := stocked()
		h.QueueSize = 20
		l := dial(t, h, slow)
		fill(t, h, l)
		b := l.read()
		assert.ErrorIs(t, l.ended(), hub.ErrSlow)
		got := b.all()
		assert.Contains(t, got, `<policy-violation xmlns="urn:ietf:params:xml:ns:xmpp-streams">`)
		assert.True(t, strings.HasSuffix(got, `</stream:stream>`))
	})
	inBubble(t, "what it has not been sent is kept", func(t *testing.T) {
		h := &hub.Hub{Offline: &hub.MemoryOffline{MaxBytes: 1 << 30}, QueueSize: 20}
		l := dial(t, h, slow)
		n := fill(t, h, l)
		assert.ErrorIs(t, l.ended(), hub.ErrSlow)
		sent := string(l.Link.Sent(xmpptest.Server))
		kept := make(map[string]bool)
		for _, body := range waiting(t, h.Offline, romeo) {
			number, _, _ := strings.Cut(body, " ")
			kept[number] = true
		}
		for i := 1; i <= n; i++ {
			_, behind, begun := strings.Cut(sent, fmt.Sprintf("<body>%d x", i))
			if !begun || !strings.Contains(behind, "</message>") {
				assert.True(t, kept[fmt.Sprint(i)], "%d is lost", i)
			}
		}
		assert.NotEmpty(t, kept)
		assert.Less(t, len(kept), n)
	})
	inBubble(t, "it does not read, and its queue is never full", func(t *testing.T) {
		h := &hub.Hub{Offline: new(hub.MemoryOffline)}
		l := dial(t, h, slow)
		for range 10 {
			deliver(t, h, l.r.JID(), strings.Repeat("x", 10_000))
		}
		start := time.Now()
		assert.ErrorIs(t, l.ended(), hub.ErrSlow)
		assert.LessOrEqual(t, time.Since(start), 3*time.Minute)
		require.NoError(t, l.r.Close())
		kept := len(waiting(t, h.Offline, romeo))
		assert.GreaterOrEqual(t, kept, 7, "the connection holds three")
	})
	inBubble(t, "it reads slowly, and loses nothing", func(t *testing.T) {
		h := &hub.Hub{}
		l := dial(t, h, slow)
		text := strings.Repeat("x", 500_000)
		deliver(t, h, l.r.JID(), text)
		deliver(t, h, l.r.JID(), "last")
		var got strings.Builder
		p := make([]byte, 10_000)
		for !strings.HasSuffix(got.String(), "<body>last</body></message>") {
			time.Sleep(10 * time.Second)
			n, err := l.Link.A.Read(p)
			require.NoError(t, err)
			got.Write(p[:n])
		}
		assert.Contains(t, got.String(), text)
		l.hangUp()
	})
	inBubble(t, "the context ends while it is written to", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		h := stocked()
		c := slow
		c.ctx = ctx
		l := dial(t, h, c)
		for range 20 {
			deliver(t, h, l.r.JID(), strings.Repeat("x", 10_000))
		}
		synctest.Wait()
		cancel()
		start := time.Now()
		assert.Error(t, l.ended())
		assert.LessOrEqual(t, time.Since(start), 10*time.Second)
	})
}

// TestServeInterleaved lets messages and answers compete for the stream.
func TestServeInterleaved(t *testing.T) {
	inBubble(t, "no stanza is torn", func(t *testing.T) {
		const senders, each, pings = 4, 20, 50
		h := &hub.Hub{}
		l := dial(t, h, call{link: xmpptest.LinkConfig{Limit: 8 << 10, Chunk: 1000}, options: []mux.Option{ping.Handle()}})
		var (
			wg    sync.WaitGroup
			mu    sync.Mutex
			got   = make(map[string]int)
			whole int
		)
		wg.Go(func() {
			_ = l.Client.Serve(mux.New(stanza.NSClient, mux.MessageFunc(stanza.ChatMessage, xml.Name{Local: "body"}, func(_ stanza.Message, r xmlstream.TokenReadEncoder) error {
				var m arrival
				if err := xml.NewTokenDecoder(r).Decode(&m); err != nil {
					return err
				}
				who, text, _ := strings.Cut(m.Body, " ")
				mu.Lock()
				defer mu.Unlock()
				got[who]++
				if text == strings.Repeat("x", 6_000) {
					whole++
				}
				return nil
			})))
		})
		var work sync.WaitGroup
		for i := range senders {
			work.Go(func() {
				for n := range each {
					deliver(t, h, l.r.JID(), fmt.Sprintf("%d-%d %s", i, n, strings.Repeat("x", 6_000)))
				}
			})
		}
		for range 2 {
			work.Go(func() {
				for range pings / 2 {
					assert.NoError(t, ping.Send(t.Context(), l.Client, jid.JID{}))
				}
			})
		}
		work.Wait()
		synctest.Wait()
		assert.NoError(t, l.Client.Close())
		assert.NoError(t, l.ended())
		wg.Wait()
		assert.Len(t, got, senders*each)
		assert.Equal(t, senders*each, whole)
	})
	inBubble(t, "accounts that write to each other never wait for each other", func(t *testing.T) {
		h := stocked()
		a := dial(t, h, call{resource: "a"})
		b := dial(t, h, call{account: "benvolio@montague.example", resource: "b"})
		a.say(`<presence/>`)
		b.say(`<presence/>`)
		var work sync.WaitGroup
		for _, l := range []struct {
			*line
			to string
		}{{a, "benvolio@montague.example"}, {b, "romeo@montague.example"}} {
			work.Go(func() {
				for i := range 200 {
					_, err := fmt.Fprintf(l.Link.A, `<message to="%s" type="chat"><body>%d</body></message>`, l.to, i)
					assert.NoError(t, err)
				}
			})
		}
		work.Wait()
		for _, l := range []*line{a, b} {
			got := l.heard()
			assert.Equal(t, 200, strings.Count(got, "<body>"))
			at := 0
			for i := range 200 {
				next := strings.Index(got[at:], fmt.Sprintf("<body>%d</body>", i))
				require.GreaterOrEqual(t, next, 0, "in the order in which they were sent")
				at += next
			}
			l.hangUp()
		}
	})
	inBubble(t, "B2-10: the answer to the bind comes first", func(t *testing.T) {
		h := stocked()
		h.Observe = func(e hub.Event) {
			if e.Kind == hub.BoundResource {
				go func() { _ = h.Deliver(context.Background(), romeo, chat(romeo, "hi")) }()
			}
		}
		l := dial(t, h, call{})
		synctest.Wait()
		sent := string(l.Link.Sent(xmpptest.Server))
		bound, hi := strings.Index(sent, "<bound xmlns='"+bind2.NS+"'>"), strings.Index(sent, "<body>hi</body>")
		require.Positive(t, bound)
		assert.Greater(t, hi, bound)
		assert.Equal(t, 1, strings.Count(sent, "<body>hi</body>"))
		l.hangUp()
	})
}
