// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub_test

import (
	"context"
	"encoding/xml"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/bind2/hub"
	"github.com/xmppext/xmppext/mam"
)

// An arrival is a message as it is in a queue.
type arrival struct {
	XMLName xml.Name
	From    string `xml:"from,attr"`
	To      string `xml:"to,attr"`
	Type    string `xml:"type,attr"`
	Body    string `xml:"jabber:client body"`
	IDs     []struct {
		By string `xml:"by,attr"`
		ID string `xml:"id,attr"`
	} `xml:"urn:xmpp:sid:0 stanza-id"`
	Delays []struct {
		From  string `xml:"from,attr"`
		Stamp string `xml:"stamp,attr"`
	} `xml:"urn:xmpp:delay delay"`
	Received *wrapped `xml:"urn:xmpp:carbons:2 received"`
	Sent     *wrapped `xml:"urn:xmpp:carbons:2 sent"`

	raw string
}

// What a copy wraps.
type wrapped struct {
	Forwarded []struct {
		Messages []arrival `xml:"jabber:client message"`
	} `xml:"urn:xmpp:forward:0 forwarded"`
}

// inner returns the message itself, or the one that a copy wraps.
func (a arrival) inner() arrival {
	for _, w := range []*wrapped{a.Received, a.Sent} {
		if w != nil && len(w.Forwarded) == 1 && len(w.Forwarded[0].Messages) == 1 {
			return w.Forwarded[0].Messages[0]
		}
	}
	return a
}

// String says what it is: the body, with what has become of it in front.
func (a arrival) String() string {
	s := a.inner().Body
	switch {
	case a.Received != nil:
		return "received " + s
	case a.Sent != nil:
		return "sent " + s
	case len(a.Delays) > 0:
		return "late " + s
	}
	return s
}

// arrived empties a resource's queue.
func arrived(t testing.TB, r *hub.Resource) []arrival {
	t.Helper()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var all []arrival
	for {
		stanzas, err := r.Take(ended)
		if err != nil {
			return all
		}
		for _, s := range stanzas {
			a := arrival{raw: string(s)}
			require.NoError(t, xml.Unmarshal(s, &a), "%s", s)
			all = append(all, a)
		}
	}
}

// texts is arrived in a form to compare with.
func texts(t testing.TB, r *hub.Resource) []string {
	t.Helper()
	all := []string{}
	for _, a := range arrived(t, r) {
		all = append(all, a.String())
	}
	return all
}

// archived are the bodies in an archive.
func archived(t testing.TB, archive mam.Archive, account jid.JID) []string {
	t.Helper()
	all := []string{}
	_, err := archive.Query(t.Context(), account, mam.Query{Max: 1000}, func(item mam.Item) error {
		var a arrival
		if err := xml.Unmarshal(item.XML, &a); err != nil {
			return err
		}
		all = append(all, a.Body)
		return nil
	})
	require.NoError(t, err)
	return all
}

// waiting are the bodies in the offline queue, which is as it was then.
func waiting(t testing.TB, offline hub.Offline, account jid.JID) []string {
	t.Helper()
	messages, err := offline.Take(t.Context(), account, 0)
	require.NoError(t, err)
	all := []string{}
	for _, m := range messages {
		var a arrival
		require.NoError(t, xml.Unmarshal(m.XML, &a))
		all = append(all, a.Body)
		require.NoError(t, offline.Add(t.Context(), account, m))
	}
	return all
}

// Changes of a request.
func named(resource string) func(*bind2.Request) {
	return func(r *bind2.Request) { r.Resource = resource }
}

func withCarbons(on bool) func(*bind2.Request) {
	return func(r *bind2.Request) { r.Carbons = on }
}

func byClient(id, tag string) func(*bind2.Request) {
	return func(r *bind2.Request) { r.Client, r.Tag = id, tag }
}

func of(account jid.JID) func(*bind2.Request) {
	return func(r *bind2.Request) { r.Account = account }
}

// present makes a resource available.
func present(t testing.TB, r *hub.Resource, priority int8) *hub.Resource {
	t.Helper()
	require.NoError(t, r.SetPresence(t.Context(), true, priority))
	return r
}

// legacy binds an available resource of romeo's by RFC 6120.
func legacy(t *testing.T, h *hub.Hub, name string, priority int8) *hub.Resource {
	t.Helper()
	r, _ := bind(t, h, bind2.Legacy, named(name))
	return present(t, r, priority)
}

// deliver delivers a chat message of juliet's to somebody.
func deliver(t testing.TB, h *hub.Hub, to jid.JID, body string) {
	t.Helper()
	require.NoError(t, h.Deliver(t.Context(), to.Bare(), chat(to, body)))
}

// refusedWith asserts that an error tells the sender a condition.
func refusedWith(t testing.TB, err error, condition stanza.Condition) {
	t.Helper()
	var refused stanza.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, condition, refused.Condition)
	require.NotEmpty(t, refused.Type)
}

// errBroken is what broken stores return.
var errBroken = errors.New("the store is broken")

// A brokenArchive fails where it is told to.
type brokenArchive struct {
	mam.Memory

	mu   sync.Mutex
	fail string
}

func (b *brokenArchive) breakAt(method string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = method
}

func (b *brokenArchive) broken(method string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail == method {
		return errBroken
	}
	return nil
}

func (b *brokenArchive) Append(ctx context.Context, archive jid.JID, m mam.Message) (mam.Item, error) {
	if err := b.broken("Append"); err != nil {
		return mam.Item{}, err
	}
	return b.Memory.Append(ctx, archive, m)
}

func (b *brokenArchive) Ends(ctx context.Context, archive jid.JID) (first, last mam.Item, err error) {
	if err := b.broken("Ends"); err != nil {
		return first, last, err
	}
	return b.Memory.Ends(ctx, archive)
}

func (b *brokenArchive) Unread(ctx context.Context, archive jid.JID, limit int) ([]mam.Unread, error) {
	if err := b.broken("Unread"); err != nil {
		return nil, err
	}
	return b.Memory.Unread(ctx, archive, limit)
}

func (b *brokenArchive) Preferences(ctx context.Context, archive jid.JID) (mam.Preferences, error) {
	if err := b.broken("Preferences"); err != nil {
		return mam.Preferences{}, err
	}
	return b.Memory.Preferences(ctx, archive)
}

func (b *brokenArchive) Query(ctx context.Context, archive jid.JID, q mam.Query, yield func(mam.Item) error) (mam.Page, error) {
	if err := b.broken("Query"); err != nil {
		return mam.Page{}, err
	}
	return b.Memory.Query(ctx, archive, q, yield)
}

// A funcOffline is a queue of which parts are replaced.
type funcOffline struct {
	hub.MemoryOffline
	take func(ctx context.Context) error // before Take
	add  func(m hub.OfflineMessage) error
}

func (o *funcOffline) Take(ctx context.Context, account jid.JID, from int64) ([]hub.OfflineMessage, error) {
	if o.take != nil {
		if err := o.take(ctx); err != nil {
			return nil, err
		}
	}
	return o.MemoryOffline.Take(ctx, account, from)
}

func (o *funcOffline) Add(ctx context.Context, account jid.JID, m hub.OfflineMessage) error {
	if o.add != nil {
		if err := o.add(m); err != nil {
			return err
		}
	}
	return o.MemoryOffline.Add(ctx, account, m)
}

// plainArchive hides what else an archive is.
type plainArchive struct{ mam.Archive }

// events remembers what happens.
type events struct {
	mu   sync.Mutex
	list []hub.Event
}

func (e *events) observe(event hub.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, event)
}

func (e *events) of(kind hub.Kind) []hub.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []hub.Event
	for _, event := range e.list {
		if event.Kind == kind {
			all = append(all, event)
		}
	}
	return all
}

// typed returns a message of some type from juliet.
func typed(typ stanza.MessageType, to jid.JID, inside ...string) xml.TokenReader {
	attr := ` type="` + string(typ) + `"`
	if typ == stanza.NormalMessage {
		attr = ""
	}
	return parsed(`<message xmlns="jabber:client" from="%s" to="%s"%s>%s</message>`, juliet, to, attr, strings.Join(inside, ""))
}

func mustParse(t testing.TB, address string) jid.JID {
	t.Helper()
	j, err := jid.Parse(address)
	require.NoError(t, err)
	return j
}
