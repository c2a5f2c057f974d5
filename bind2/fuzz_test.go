// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"net"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
)

// A tape is a connection to a peer that has said all it will ever say.
type tape struct {
	in  *strings.Reader
	out bytes.Buffer
}

func (c *tape) Read(p []byte) (int, error)     { return c.in.Read(p) }
func (c *tape) Write(p []byte) (int, error)    { return c.out.Write(p) }
func (*tape) Close() error                     { return nil }
func (*tape) CloseWrite() error                { return nil }
func (*tape) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (*tape) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (*tape) SetDeadline(time.Time) error      { return nil }
func (*tape) SetReadDeadline(time.Time) error  { return nil }
func (*tape) SetWriteDeadline(time.Time) error { return nil }

// open returns h as it lets everybody in, at little cost.
func open(h house) house {
	h.logins = &auth.Server{
		Mechanisms: []string{auth.Plain},
		Password:   func(context.Context, jid.JID, string) (bool, error) { return true, nil },
		Inline:     []auth.Inline{h.binds},
	}
	return h
}

// checkRequest asserts what a Store may rely on.
func checkRequest(t *testing.T, r bind2.Request) {
	t.Helper()
	assert.True(t, r.Account.Equal(juliet), "whatever they say, it is she who has authenticated")
	assert.NotNil(t, r.Session)
	for _, part := range []string{r.Resource, r.Tag} {
		full, err := juliet.WithResource(part)
		require.NoError(t, err)
		assert.Equal(t, part, full.Resourcepart(), "it is a resourcepart")
	}
	assert.LessOrEqual(t, len(r.Tag), bind2.MaxTag)
	if r.Protocol != bind2.Legacy {
		assert.Empty(t, r.Resource)
	}
	if r.Protocol != bind2.Inline {
		assert.Empty(t, r.Tag+r.Client)
		assert.False(t, r.Inactive)
	}
}

// FuzzServer lets a client say anything once it is authenticated. Whatever it is, at
// most one resource is bound, and the session is ready if, and only if, one is.
func FuzzServer(f *testing.F) {
	for _, seed := range []string{
		askEarly, askLegacy, askEarly + askLegacy, askLegacy + askEarly, askFor("balcony"), askFor("\u200b") + askFor("x"),
		`<bind xmlns='urn:xmpp:bind2:0' a='1'><x/>y</bind>`, `<iq type='set'><bind xmlns='urn:xmpp:bind2:0'/></iq>`,
		`<bound xmlns='urn:xmpp:bind2:0'/>`, `<message/>`, closing, "<", "", " \n" + askEarly,
		askInline("<tag>a/b</tag>", "<enable xmlns='urn:xmpp:carbons:2'/>", "<inactive xmlns='urn:xmpp:csi:0'/>"),
		`<iq type='get' id='"&lt;'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource><x/></resource></bind></iq>` + askLegacy,
		`<stream:error xmlns:stream='http://etherx.jabber.org/streams'><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>`,
		strings.Repeat(`<iq id='x' type='get'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>`, 9),
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, said string, archived bool) {
		store := new(fakeStore)
		h := open(newHouse(store))
		h.binds.Archive = func(jid.JID) bool { return archived }
		c := &tape{in: strings.NewReader(opening + plain("juliet", password) + opening + said)}
		s, err := xmpp.ReceiveSession(t.Context(), c, xmpp.Secure, h.negotiator())
		require.LessOrEqual(t, len(store.requests), 1)
		assert.Equal(t, err == nil, len(store.requests) == 1, "%v", err)
		assert.Equal(t, err == nil, s.State()&xmpp.Ready != 0)
		for _, r := range store.requests {
			checkRequest(t, r)
			assert.True(t, archived || r.Protocol == bind2.Legacy)
		}
		wellFormed(t, c.out.String())
	})
}

// wellFormed asserts that a server's streams, of which there may be several, and the
// last without end, are XML.
func wellFormed(t *testing.T, said string) {
	t.Helper()
	for i, part := range strings.Split(said, "<?xml version") {
		if i == 0 {
			continue
		}
		if !strings.HasSuffix(part, closing) {
			part += closing
		}
		d := xml.NewDecoder(strings.NewReader("<?xml version" + part))
		for {
			_, err := d.Token()
			if err != nil {
				assert.Equal(t, "EOF", err.Error(), part)
				break
			}
		}
	}
}

// FuzzServerInline lets a client ask for anything within bind.
func FuzzServerInline(f *testing.F) {
	for _, seed := range []string{
		"", "<tag>X</tag>", "<tag>a/b</tag><enable xmlns='urn:xmpp:carbons:2'/><inactive xmlns='urn:xmpp:csi:0'/>", "<tag><b/></tag><tag/>",
		"<enable xmlns='urn:xmpp:sm:3' resume='true'/><enable xmlns='urn:xmpp:sm:3'/>", "text", "<x a='&lt;' xmlns:y='urn:y'><y:z y:b=''/></x>",
		"<tag>" + strings.Repeat("x", 200) + "</tag>", strings.Repeat("<x/>", 300), "<tag>\u202e</tag>", "<active xmlns='urn:xmpp:csi:0'/><!-- c -->",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, inner string) {
		store := new(fakeStore)
		h := open(newHouse(store))
		h.binds.More = []bind2.Feature{enableSM{"enabled"}}
		c := &tape{in: strings.NewReader(opening + plain2("juliet", password, agent, askInline(inner)))}
		s, err := xmpp.ReceiveSession(t.Context(), c, xmpp.Secure, h.negotiator())
		require.LessOrEqual(t, len(store.requests), 1)
		if err == nil && s.State()&xmpp.Ready != 0 {
			require.Len(t, store.requests, 1)
			assert.Equal(t, 1, strings.Count(c.out.String(), "<bound "))
		}
		for _, r := range store.requests {
			checkRequest(t, r)
		}
		wellFormed(t, c.out.String())
	})
}

// FuzzClientEarly lets a server answer anything to a client of Early, which reads it
// in two ways. Both come to the same.
func FuzzClientEarly(f *testing.F) {
	for _, seed := range []string{
		"<bound xmlns='urn:xmpp:bind2:0'><jid>juliet@im.example.com/balcony</jid><latest-id>c</latest-id><unreads><unread jid='a@b' read-id='r' unread-count='2'/></unreads></bound>",
		"<bound xmlns='urn:xmpp:bind2:0'><jid>romeo@im.example.com/balcony</jid></bound>", "<bound xmlns='urn:xmpp:bind2:0'/>",
		"\n<bound xmlns='urn:xmpp:bind2:0'>\n<jid> juliet@im.example.com/x\n</jid><unreads/></bound>", "<bound xmlns='urn:xmpp:bind:0'/>",
		"<bound xmlns='urn:xmpp:bind2:0'><unreads><unread jid='@' unread-count='-1'/><unread unread-count='1e3' jid='a@b'/></unreads>",
		"<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>", closing, "", "<", "x", "<!-- -->", "<message/>",
	} {
		f.Add(seed)
	}
	const header = `<stream:stream from='im.example.com' id='s1' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`
	f.Fuzz(func(t *testing.T, answer string) {
		c, seen := newClient()
		s, err := xmpp.NewSession(t.Context(), domain, juliet, &tape{in: strings.NewReader(header + features(offersEarly) + answer)},
			xmpp.Secure|xmpp.Authn, pipelining.Negotiator(xmpptest.Stock(c.Prefer(xmpp.BindResource())...), pipelining.Config{}))
		assert.Equal(t, err == nil, s.State()&xmpp.Ready != 0)
		assert.Equal(t, err == nil, len(seen()) == 1)
		if err != nil {
			assert.True(t, s.LocalAddr().Equal(juliet), "the address is what it was")
			return
		}
		b := seen()[0].Bound
		assert.True(t, s.LocalAddr().Equal(b.JID))
		checkBound(t, b)

		d := xml.NewDecoder(strings.NewReader(header + answer))
		var starts int
		for {
			tok, err := d.Token()
			require.NoError(t, err)
			if start, ok := tok.(xml.StartElement); ok {
				if starts++; starts == 2 {
					_, read, err := new(bind2.Client).Binder().Bind(juliet)
					require.NoError(t, err)
					bound, err := read(d, start)
					require.NoError(t, err)
					assert.True(t, bound.Equal(b.JID))
					return
				}
			}
		}
	})
}

// checkBound asserts what a client may rely on.
func checkBound(t *testing.T, b bind2.Bound) {
	t.Helper()
	assert.True(t, b.JID.Bare().Equal(juliet))
	assert.NotEmpty(t, b.JID.Resourcepart())
	assert.LessOrEqual(t, len(b.Unreads), bind2.MaxUnreads)
	seen := make(map[string]bool)
	for _, u := range b.Unreads {
		assert.Positive(t, u.Count)
		assert.NotEmpty(t, u.JID.String())
		assert.False(t, seen[u.JID.String()])
		assert.True(t, utf8.ValidString(u.ReadID))
		seen[u.JID.String()] = true
	}
	if !b.Archived {
		assert.Zero(t, b.First)
		assert.Zero(t, b.Last)
	}
}

// FuzzClientInline lets a server put anything into success for a client of Inline.
func FuzzClientInline(f *testing.F) {
	for _, seed := range []string{
		"<bound xmlns='urn:xmpp:bind:0'><metadata xmlns='urn:xmpp:mam:2'><start id='a' timestamp='2023-01-02T03:04:05Z'/><end id='c' timestamp='x'/></metadata><enabled xmlns='urn:xmpp:sm:3'/></bound>",
		"<bound xmlns='urn:xmpp:bind:0'/>", "<bound xmlns='urn:xmpp:bind:0'><metadata xmlns='urn:xmpp:mam:2'/></bound><bound xmlns='urn:xmpp:bind:0'/>",
		"", "<bind xmlns='urn:xmpp:bind:0'/>", "<bound xmlns='urn:xmpp:bind2:0'/>", "<failed xmlns='urn:xmpp:sm:3'/>", "text",
		"<bound xmlns='urn:xmpp:bind:0'><metadata xmlns='urn:xmpp:mam:2'><end timestamp='9999999999-01-01T00:00:00Z' id=''/></metadata></bound>",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, inner string) {
		// What auth.Client hands over is an element; here it is read as it stands.
		d := xml.NewDecoder(strings.NewReader("<success xmlns='urn:xmpp:sasl:2'>" + inner + "</success>"))
		if _, err := d.Token(); err != nil {
			t.Skip("not even the element around it can be read")
		}
		var answers []string
		c, seen := newClient()
		c.Features = []bind2.ClientFeature{askSM{answers: &answers}}
		request, answer, err := c.Inline().Request(juliet, nil)
		require.NoError(t, err)
		require.NotEmpty(t, request)
		for {
			tok, err := d.Token()
			if err != nil {
				break
			}
			start, ok := tok.(xml.StartElement)
			if !ok {
				continue
			}
			if start.Name.Space != bind2.NSInline {
				if d.Skip() != nil {
					break
				}
				continue
			}
			before := len(seen())
			now, err := answer(d, start, balcony)
			if err != nil {
				assert.ErrorIs(t, err, bind2.ErrAnswer)
				assert.Len(t, seen(), before)
				break
			}
			assert.Equal(t, now.Equal(balcony), len(seen()) == before+1, "it is told of what is bound")
			if before == len(seen()) && d.Skip() != nil {
				break
			}
		}
		for _, s := range seen() {
			assert.Equal(t, bind2.Inline, s.Protocol)
			checkBound(t, s.Bound)
		}
		assert.LessOrEqual(t, len(seen()), 1)
	})
}
