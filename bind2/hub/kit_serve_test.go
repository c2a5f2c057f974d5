// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub_test

import (
	"context"
	"io"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/mux"

	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/bind2/hub"
	"github.com/xmppext/xmppext/internal/xmpptest"
)

// A line is a served session. What its client says and hears is text, unless it
// is asked to do so by its session.
type line struct {
	*xmpptest.Pair
	t    testing.TB
	r    *hub.Resource
	done chan error
	mark int // of what was heard
}

// A call is how a client calls.
type call struct {
	account  string // romeo if empty
	resource string // bound by RFC 6120; if empty, it is bound by a cut
	link     xmpptest.LinkConfig
	ctx      context.Context
	options  []mux.Option
}

// asking is a hub whose clients ask for a resource, which stock mellium does not.
type asking struct {
	*hub.Hub
	resource string
}

func (a asking) Bind(ctx context.Context, r bind2.Request) (bind2.Bound, error) {
	r.Resource = a.resource
	return a.Hub.Bind(ctx, r)
}

// dial negotiates a session of stock mellium, and serves it. To be called in a
// bubble.
func dial(t testing.TB, h *hub.Hub, c call) *line {
	t.Helper()
	if c.ctx == nil {
		c.ctx = t.Context()
	}
	origin := romeo
	if c.account != "" {
		origin = mustParse(t, c.account)
	}
	features := (&bind2.Client{}).Prefer(xmpp.BindResource())
	if c.resource != "" {
		features = []xmpp.StreamFeature{xmpp.BindResource()}
	}
	binds := &bind2.Server{Store: asking{h, c.resource}}
	logins := xmpp.SASLServer(func(*sasl.Negotiator) bool { return true }, sasl.Plain)
	l := &line{t: t, r: h.NewResource(), done: make(chan error, 1)}
	var err error
	l.Pair, err = xmpptest.TryPair(l.r.Context(t.Context()), xmpptest.PairConfig{
		Link: c.link, Location: origin.Domain(), Client: origin,
		ClientNegotiator: xmpptest.Stock(append(features, xmpp.SASL("", xmpptest.Password, sasl.Plain))...),
		ServerNegotiator: xmpptest.Stock(append(binds.Features(nil), logins)...),
	})
	t.Cleanup(func() {
		assert.NoError(t, l.r.Close())
		_ = l.Close()
	})
	require.NoError(t, err)
	go func() { l.done <- l.r.Serve(c.ctx, l.Server, c.options...) }()
	synctest.Wait()
	l.mark = len(l.Link.Sent(xmpptest.Server))
	return l
}

// say sends text, and waits until everything has come of it.
func (l *line) say(text string) {
	l.t.Helper()
	_, err := io.WriteString(l.Link.A, text)
	require.NoError(l.t, err)
	synctest.Wait()
}

// heard returns what the server has sent since the last call.
func (l *line) heard() string {
	synctest.Wait()
	sent := l.Link.Sent(xmpptest.Server)
	defer func() { l.mark = len(sent) }()
	return string(sent[l.mark:])
}

// ended waits for the end of Serve.
func (l *line) ended() error { return <-l.done }

// hangUp ends a session as clients do.
func (l *line) hangUp() {
	l.t.Helper()
	l.say(`</stream:stream>`)
	assert.NoError(l.t, l.ended())
}

// A reader reads all that the server sends, in the background.
type background struct {
	mu   sync.Mutex
	text []byte
	done chan struct{}
}

func (l *line) read() *background {
	b := &background{done: make(chan struct{})}
	go func() {
		defer close(b.done)
		p := make([]byte, 4096)
		for {
			n, err := l.Link.A.Read(p)
			b.mu.Lock()
			b.text = append(b.text, p[:n]...)
			b.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return b
}

// all is everything until the end of the connection.
func (b *background) all() string {
	<-b.done
	return string(b.text)
}

// inBubble runs a test with a clock of its own. All goroutines that it has begun
// must end by themselves.
func inBubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}
