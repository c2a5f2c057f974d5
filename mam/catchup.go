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

// maxRestarts bounds how often a client that catches up is overtaken by what the
// archive prunes. It gets nowhere then.
const maxRestarts = 10

// Place is how far a client knows an archive. The zero value is its beginning.
//
// It comes from results of the archive alone, never from messages that arrive
// live: between the last result and those there may be others that the client has
// not seen. A client keeps it with the messages.
//
// So what has arrived live comes once more when the client catches up the next time. A
// client that keeps ids with its messages knows it by Result.ID: in a live message that is
// the stanza-id by the archive (XEP-0359), if [Support.IDs] is set.
type Place struct {
	// ID is the id of the last result.
	ID string

	// Stamp is when that was received, by the archive's clock, or if the archive did
	// not tell, the last one before it whose time it told.
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
// If the archive does not know a place any more, because it was pruned, CatchUp goes
// on with what was received since its Stamp; some results may then come again.
// It is ErrNotFound if it came to the end of the archive and until was not there:
// it was pruned, or lies before the place. Nothing is left to fetch then.
// An error of handle ends it and is returned as it is.
//
// Archive, and the query's With and Max are those of Fetch; the rest of the query
// is CatchUp's.
func (c *Client) CatchUp(ctx context.Context, s *xmpp.Session, archive jid.JID, q Query, from Place, until string, handle func(Result) error) (Place, error) {
	if until != "" && until == from.ID {
		return from, nil
	}
	q = Query{With: q.With, Max: q.Max, From: Cursor{After: from.ID}}
	for restarts := 0; ; restarts++ {
		began := from
		var (
			done   bool
			failed error // of handle
		)
		err := c.pages(ctx, s, archive, q, func(r Result) bool {
			if failed = handle(r); failed != nil {
				return false
			}
			from.ID = r.ID
			if !r.Stamp.IsZero() {
				from.Stamp = r.Stamp
			}
			done = until != "" && r.ID == until
			return !done
		})
		switch {
		case failed != nil:
			return from, failed
		case err == nil && until != "" && !done:
			return from, explained{ErrNotFound, fmt.Sprintf("catching up to %q, which the archive does not hold", until)}
		case !pruned(err), restarts == maxRestarts, from == began && q.From.After == "":
			return from, err
		}
		// All that lies before it was pruned with it.
		q.From, q.Start = Cursor{}, from.Stamp
	}
}

// pruned reports whether an archive does not hold an item.
func pruned(err error) bool {
	var refused stanza.Error
	return errors.As(err, &refused) && refused.Condition == stanza.ItemNotFound
}
