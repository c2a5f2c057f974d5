// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mucfr"
)

// A fullStore is a store that takes nothing more, or does.
type fullStore struct {
	mucfr.Memory
	full  bool
	asked int // how many entries it was to save last
}

var errFull = errors.New("no space left")

func (f *fullStore) Save(ctx context.Context, room jid.JID, entries []mucfr.Entry) error {
	f.asked = len(entries)
	if f.full {
		return errFull
	}
	return f.Memory.Save(ctx, room, entries)
}

func (f *fullStore) Delete(ctx context.Context, room jid.JID) error {
	if f.full {
		return errFull
	}
	return f.Memory.Delete(ctx, room)
}

func TestFailingStore(t *testing.T) {
	ctx, store := t.Context(), new(fullStore)
	limits := mucfr.Options{Limits: mucfr.Limits{Messages: 2, Visitors: 2, Departures: 2}}
	r, err := mucfr.OpenRoom(ctx, orchard, limits, store)
	require.NoError(t, err)
	test := &room{r, t, make(map[string]mucfr.Element)}
	test.enter("juliet", "Juliet", participant, optIn)
	require.NoError(t, r.Save()(ctx))
	n := 0
	storm := func(visitors int) {
		for range visitors {
			n++
			who := fmt.Sprint("user", n)
			test.enter(who, who, participant, "")
			test.say(who, "hi")
			test.unheard(r.Leave(full(who), mucfr.Payload{}))
		}
	}
	store.full = true
	storm(10)
	require.ErrorIs(t, r.Save()(ctx), errFull)
	store.full = false
	require.NoError(t, r.Save()(ctx), "what has failed is saved the next time")
	assert.Less(t, store.asked, 100)
	store.full = true
	storm(20_000)
	require.ErrorIs(t, r.Save()(ctx), errFull)
	storm(1)
	store.full = false
	require.NoError(t, r.Save()(ctx))
	assert.Less(t, store.asked, 20, "what came and went meanwhile is not")
	storm(1)
	require.NoError(t, r.Close(ctx))

	r, err = mucfr.OpenRoom(ctx, orchard, limits, store)
	require.NoError(t, err)
	assert.Equal(t, 1, r.Len())
	last := test.last[full("juliet").String()]
	test = &room{r, t, map[string]mucfr.Element{full("juliet").String(): last}}
	assert.Equal(t, []string{"user20012 gone (none) *", "Juliet (participant) 110 *", "room subject *"}, test.again("juliet", "Juliet", participant, ""))
}
