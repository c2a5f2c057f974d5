// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// Place is how far a client knows an archive. The zero value is its beginning.
//
// It comes from results of the archive alone, never from messages that arrive
// live: between the last result and those there may be others that the client has
// not seen. A client keeps it with the messages.
type Place struct {
	// ID is the id of the last result.
	ID string

	// Stamp is when that was received, by the archive's clock.
	Stamp time.Time
}

// CatchUp fetches what an archive holds behind a place, in the archive's order, and
// calls handle with each result.
//
// It ends behind the result whose id until is, such as the one that was the last
// when a resource was bound, or if until is empty, at the end of the archive.
// It returns the place behind the last result that handle has taken, also beside an
// error: from there it can go on, on any session.
//
// If the archive does not know the place any more, because it was pruned, it goes on
// with what was received since its Stamp; some results may then come again.
// An error of handle ends it and is returned as it is.
//
// Archive, and the query's With and Max are those of Fetch; the rest of the query
// is CatchUp's.
func (c *Client) CatchUp(ctx context.Context, s *xmpp.Session, archive jid.JID, q Query, from Place, until string, handle func(Result) error) (Place, error) {
	q = Query{With: q.With, Max: q.Max, From: Cursor{After: from.ID}}
	for {
		place, err := c.follow(ctx, s, archive, q, from, until, handle)
		var refused stanza.Error
		if errors.As(err, &refused) && refused.Condition == stanza.ItemNotFound && q.From.After != "" && place == from {
			// It was pruned, and all before it with it.
			q.From, q.Start = Cursor{}, from.Stamp
			continue
		}
		return place, err
	}
}

func (c *Client) follow(ctx context.Context, s *xmpp.Session, archive jid.JID, q Query, from Place, until string, handle func(Result) error) (Place, error) {
	if until != "" && until == from.ID {
		return from, nil
	}
	for r, err := range c.Fetch(ctx, s, archive, q) {
		if err != nil {
			return from, err
		}
		if err := handle(r); err != nil {
			return from, err
		}
		if from = (Place{ID: r.ID, Stamp: r.Stamp}); r.ID == until {
			return from, nil
		}
	}
	if until != "" {
		return from, fmt.Errorf("mam: catching up to %q: %w", until, ErrNotFound)
	}
	return from, nil
}
