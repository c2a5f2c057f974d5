// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hubtest_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"runtime"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/bind2/hub"
	"github.com/xmppext/xmppext/bind2/hub/hubtest"
	"github.com/xmppext/xmppext/mam"
)

// A fault is something wrong with a hub, and the rules that it breaks.
type fault struct {
	name     string
	breaks   []string
	hubs     int
	messages int // If it is 0 there are enough.

	configure func(h *hub.Hub)
	bind      func(r *resource, ctx context.Context, request bind2.Request) (bind2.Bound, error)
	deliver   func(f *faulty, ctx context.Context, account jid.JID, r xml.TokenReader) error
	take      func(r *resource, stanzas [][]byte) [][]byte
	close     func(r *resource) error
}

// The rules by what they are about.
const (
	progress = "nobody waits for ever"
	binds    = "BN-14 a bind binds"
	replaced = "BN-17 a session is replaced"
	ends     = "BN-24 the ends of the archive"
	unread   = "D-04 what is unread"
	stored   = "MA-01 what was taken is archived"
	missed   = "B2-12 nothing is missed"
	twice    = "B2-12 nothing comes twice"
	order    = "D-01 one order"
	ids      = "MA-06 ids of the archive"
	copies   = "CA-10 who gets copies"
	lost     = "D-03 nothing that is not archived is lost"
	offline  = "D-02 offline messages go to somebody"
	form     = "CA-11 the form of what is sent"
)

// A faulty hub has a fault.
type faulty struct {
	hub   *hub.Hub
	fault fault
}

// A resource is one of a faulty hub.
type resource struct {
	*hub.Resource
	f    *faulty
	last [][]byte
}

func (f *faulty) NewResource() hubtest.Resource {
	return &resource{Resource: f.hub.NewResource(), f: f}
}

func (f *faulty) Deliver(ctx context.Context, account jid.JID, r xml.TokenReader) error {
	if f.fault.deliver != nil {
		return f.fault.deliver(f, ctx, account, r)
	}
	return f.hub.Deliver(ctx, account, r)
}

// bind is as it should be.
func (r *resource) bind(ctx context.Context, request bind2.Request) (bind2.Bound, error) {
	return r.f.hub.Bind(r.Context(ctx), request)
}

func (r *resource) Bind(ctx context.Context, request bind2.Request) (bind2.Bound, error) {
	if r.f.fault.bind != nil {
		return r.f.fault.bind(r, ctx, request)
	}
	return r.bind(ctx, request)
}

func (r *resource) Take(ctx context.Context) ([][]byte, error) {
	stanzas, err := r.Resource.Take(ctx)
	if err == nil && r.f.fault.take != nil {
		stanzas = r.f.fault.take(r, stanzas)
	}
	return stanzas, err
}

func (r *resource) Close() error {
	if r.f.fault.close != nil {
		return r.f.fault.close(r)
	}
	return r.Resource.Close()
}

// aWhile lets the others go on.
func aWhile() {
	for range 200 {
		runtime.Gosched()
	}
}

// entry returns what a bind tells of an item.
func entry(i mam.Item) bind2.Entry { return bind2.Entry{ID: i.ID, Time: i.Stamp} }

// at returns a bind whose snapshot is another one.
func at(b bind2.Bound, first, last mam.Item) bind2.Bound {
	b.First, b.Last = entry(first), entry(last)
	if last.Position == 0 {
		b.First, b.Last = bind2.Entry{}, bind2.Entry{}
	}
	return b
}

// gone is a context that has ended.
var gone = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// changed returns stanzas with something replaced.
func changed(stanzas [][]byte, from, to string) [][]byte {
	all := make([][]byte, len(stanzas))
	for i, s := range stanzas {
		all[i] = bytes.ReplaceAll(s, []byte(from), []byte(to))
	}
	return all
}

var faults = []fault{
	{name: "snapshot before registration", breaks: []string{missed}, bind: func(r *resource, ctx context.Context, request bind2.Request) (bind2.Bound, error) {
		first, last, err := r.f.hub.Archive.Ends(ctx, request.Account)
		if err != nil {
			return bind2.Bound{}, err
		}
		aWhile()
		b, err := r.bind(ctx, request)
		return at(b, first, last), err
	}},
	{name: "registration before snapshot", breaks: []string{twice}, bind: func(r *resource, ctx context.Context, request bind2.Request) (bind2.Bound, error) {
		b, err := r.bind(ctx, request)
		if err != nil {
			return b, err
		}
		aWhile()
		first, last, err := r.f.hub.Archive.Ends(ctx, request.Account)
		return at(b, first, last), err
	}},
	{name: "a snapshot of before", breaks: []string{ends}, bind: func(r *resource, ctx context.Context, request bind2.Request) (bind2.Bound, error) {
		b, err := r.bind(ctx, request)
		b.First, b.Last = bind2.Entry{}, bind2.Entry{}
		return b, err
	}},
	{name: "an id that is not there", breaks: []string{ends}, bind: func(r *resource, ctx context.Context, request bind2.Request) (bind2.Bound, error) {
		b, err := r.bind(ctx, request)
		b.Last.ID += "0"
		return b, err
	}},
	{name: "another first", breaks: []string{ends}, bind: func(r *resource, ctx context.Context, request bind2.Request) (bind2.Bound, error) {
		b, err := r.bind(ctx, request)
		b.First = b.Last
		return b, err
	}},
	{name: "copies too late", breaks: []string{missed}, bind: func(r *resource, ctx context.Context, request bind2.Request) (bind2.Bound, error) {
		carbons := request.Carbons
		request.Carbons = false
		b, err := r.bind(ctx, request)
		if err == nil {
			aWhile()
			_ = r.SetCarbons(ctx, carbons)
		}
		return b, err
	}},
	{name: "copies for all", breaks: []string{copies}, bind: func(r *resource, ctx context.Context, request bind2.Request) (bind2.Bound, error) {
		request.Carbons = true
		return r.bind(ctx, request)
	}},
	{name: "everything is cleared", breaks: []string{lost}, configure: func(h *hub.Hub) { h.ClearAll = true }},
	{name: "cleared before the commit", breaks: []string{offline}, bind: func(r *resource, ctx context.Context, request bind2.Request) (bind2.Bound, error) {
		if request.Protocol != bind2.Legacy {
			if _, err := r.f.hub.Offline.Take(ctx, request.Account, 1); err != nil {
				return bind2.Bound{}, err
			}
		}
		return r.bind(ctx, request)
	}},
	{name: "nothing is kept when a session goes", messages: 4 * enough, breaks: []string{lost, offline}, close: func(r *resource) error {
		_, _ = r.Resource.Take(gone)
		_, _ = r.Resource.Take(gone)
		return r.Resource.Close()
	}},
	{name: "nobody is there", breaks: []string{lost, offline}, configure: func(h *hub.Hub) { h.Offline = careless{h.Offline} }},
	{name: "live copies without id", breaks: []string{ids}, take: func(_ *resource, stanzas [][]byte) [][]byte {
		return changed(stanzas, mam.NSStanzaID, "urn:example:sid")
	}},
	{name: "ids by somebody else", breaks: []string{ids}, take: func(_ *resource, stanzas [][]byte) [][]byte {
		return changed(stanzas, `by="account0@`, `by="account1@`)
	}},
	{name: "overflow drops messages", breaks: []string{missed}, take: func(_ *resource, stanzas [][]byte) [][]byte {
		const size = 3
		return stanzas[:min(size, len(stanzas))]
	}},
	{name: "the newest first", breaks: []string{order}, take: func(_ *resource, stanzas [][]byte) [][]byte {
		all := make([][]byte, 0, len(stanzas))
		for _, s := range stanzas {
			all = append([][]byte{s}, all...)
		}
		return all
	}},
	{name: "sent again", breaks: []string{twice}, take: func(r *resource, stanzas [][]byte) [][]byte {
		all := append(append([][]byte(nil), r.last...), stanzas...)
		r.last = stanzas[len(stanzas)-1:]
		return all
	}},
	{name: "copies are not from the account", breaks: []string{form}, take: func(_ *resource, stanzas [][]byte) [][]byte {
		return changed(stanzas, `<message xmlns="jabber:client" from="account0@here.example"`, `<message xmlns="jabber:client" from="account1@here.example"`)
	}},
	{name: "half a message", breaks: []string{form}, take: func(_ *resource, stanzas [][]byte) [][]byte {
		return changed(stanzas, "</message>", "")
	}},
	{name: "all is read", breaks: []string{unread}, bind: func(r *resource, ctx context.Context, request bind2.Request) (bind2.Bound, error) {
		b, err := r.bind(ctx, request)
		b.Unreads = []bind2.Unread{}
		return b, err
	}},
	{name: "unread as of later", breaks: []string{unread}, bind: func(r *resource, ctx context.Context, request bind2.Request) (bind2.Bound, error) {
		b, err := r.bind(ctx, request)
		if err != nil {
			return b, err
		}
		aWhile()
		all, err := r.f.hub.Archive.(mam.UnreadArchive).Unread(ctx, request.Account, 1000)
		b.Unreads = nil
		for _, u := range all {
			b.Unreads = append(b.Unreads, bind2.Unread{JID: u.Conversation, ReadID: u.ReadID, Count: u.Count})
		}
		return b, err
	}},
	{name: "nobody is replaced", breaks: []string{replaced}, bind: func(r *resource, ctx context.Context, request bind2.Request) (bind2.Bound, error) {
		request.Client = ""
		return r.bind(ctx, request)
	}},
	{name: "another's resource", breaks: []string{binds}, bind: func(r *resource, ctx context.Context, request bind2.Request) (bind2.Bound, error) {
		b, err := r.bind(ctx, request)
		if err == nil && request.Protocol == bind2.Inline {
			b.JID = b.JID.Bare()
		}
		return b, err
	}},
	{name: "too few resources", breaks: []string{binds}, configure: func(h *hub.Hub) { h.MaxResources = 2 }},
	{name: "the archive is forgetful", breaks: []string{stored}, configure: func(h *hub.Hub) { h.Archive = forgetful{h.Archive.(*mam.Memory)} }},
	{name: "archived against all wishes", breaks: []string{stored}, configure: func(h *hub.Hub) { h.Archive = plainArchive{h.Archive.(*mam.Memory)} }},
	{name: "messages do not go through", breaks: []string{progress}, deliver: func(f *faulty, ctx context.Context, account jid.JID, r xml.TokenReader) error {
		if account.Localpart() == "account1" {
			return errors.New("not now")
		}
		return f.hub.Deliver(ctx, account, r)
	}},
	{name: "each for itself", hubs: 2, breaks: []string{missed}, configure: func(h *hub.Hub) { h.Archive = ignorant{h.Archive.(*mam.Memory)} }},
}

// careless is an offline queue that loses every other message.
type careless struct{ hub.Offline }

func (c careless) Add(ctx context.Context, account jid.JID, m hub.OfflineMessage) error {
	if m.Stamp.Nanosecond()/int(time.Microsecond)%2 == 0 {
		return nil
	}
	return c.Offline.Add(ctx, account, m)
}

// forgetful is an archive that does not store some messages.
type forgetful struct{ *mam.Memory }

func (f forgetful) Append(ctx context.Context, archive jid.JID, m mam.Message) (mam.Item, error) {
	if len(m.StanzaID)%3 == 0 {
		return mam.Item{ID: "none", Message: m}, nil
	}
	return f.Memory.Append(ctx, archive, m)
}

// plainArchive is an archive that knows no preferences.
type plainArchive struct{ mam.UnreadArchive }

// ignorant is an archive whose positions tell nothing of what others append.
type ignorant struct {
	mam.UnreadArchive
}

func (i ignorant) Append(ctx context.Context, archive jid.JID, m mam.Message) (mam.Item, error) {
	item, err := i.UnreadArchive.Append(ctx, archive, m)
	item.Position = 1
	return item, err
}
