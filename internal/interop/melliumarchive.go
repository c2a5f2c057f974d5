// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package interop

import (
	"context"
	"encoding/xml"
	"sync"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/history"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"
)

// melliumArchive asks an archive with mellium's package history.
type melliumArchive struct {
	session *xmpp.Session

	mu       sync.Mutex
	messages []ArchiveMessage
}

// handle returns the option that collects messages. Its own iterator would read
// them while the session goes on.
func (a *melliumArchive) handle() mux.Option {
	return history.Handle(history.NewHandler(mux.MessageHandlerFunc(func(_ stanza.Message, t xmlstream.TokenReadEncoder) error {
		var result struct {
			ID   string `xml:"id,attr"`
			Body string `xml:"forwarded>message>body"`
		}
		if err := xml.NewTokenDecoder(t).Decode(&result); err != nil {
			return err
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.messages = append(a.messages, ArchiveMessage{ID: result.ID, Body: result.Body})
		return nil
	})))
}

func (a *melliumArchive) ask(ctx context.Context, q ArchiveQuery) ([]ArchiveMessage, error) {
	query := history.Query{Limit: uint64(q.Max), Last: q.Last, Reverse: q.Flip}
	if q.With != "" {
		with, err := jid.Parse(q.With)
		if err != nil {
			return nil, err
		}
		query.With = with
	}
	for {
		fin, err := history.Fetch(ctx, query, jid.JID{}, a.session)
		if err != nil {
			return nil, err
		}
		if !q.All || fin.Complete {
			break
		}
		query.PageID = fin.Set.Last
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	messages := a.messages
	a.messages = nil
	return messages, nil
}
