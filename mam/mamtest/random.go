// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamtest

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

// Full is an archive that can do everything that is compared by [RunRandom].
type Full interface {
	mam.Pruner
	mam.Batcher
	mam.UnreadArchive
}

// RunRandom does at random the same with an empty archive and with a mam.Memory, and
// compares what they answer. The times of messages are in an order that changes, and
// what is searched by them must not depend on it.
//
// It logs its seed.
func RunRandom(t testing.TB, archive Full) {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("The seed is %d.", seed)
	random(t.Context(), t, rand.New(rand.NewPCG(seed, 0)), archive)
}

func random(ctx context.Context, t testing.TB, rnd *rand.Rand, have Full) {
	want := new(mam.Memory)
	var ids [2][]string // by position, which begins at 1
	ids[0], ids[1] = []string{""}, []string{""}
	withs := []jid.JID{juliet, juliet.Bare(), jid.MustParse("juliet@capulet.example/chamber"), jid.MustParse("nurse@capulet.example"), jid.MustParse("capulet.example")}
	clock := 1000
	oldest := 1

	someID := func() (string, string) {
		switch n := oldest - 1 + rnd.IntN(len(ids[0])-oldest+1); {
		case n < oldest || rnd.IntN(2) == 0:
			return "", ""
		default:
			return ids[0][n], ids[1][n]
		}
	}
	for range 40 {
		var entries []mam.Entry
		wild := rnd.IntN(3) == 0
		for range rnd.IntN(8) {
			switch n := rnd.IntN(8); {
			case wild:
				clock += rnd.IntN(21) - 12
			case n == 0:
				clock -= rnd.IntN(20)
			case n == 1:
				clock += 30
			default:
				clock += rnd.IntN(2)
			}
			m := mam.Message{
				With: withs[rnd.IntN(len(withs))], Stamp: noon.Add(time.Duration(clock) * time.Second),
				GroupChat: rnd.IntN(4) == 0, Unread: rnd.IntN(2) == 0, StanzaID: []string{"", "a", "b"}[rnd.IntN(3)],
			}
			entries = append(entries, mam.Entry{Archive: romeo, Message: m})
		}
		for n, a := range []mam.Batcher{have, want} {
			items, err := a.AppendAll(ctx, entries)
			require.NoError(t, err)
			for _, i := range items {
				require.EqualValues(t, len(ids[n]), i.Position)
				ids[n] = append(ids[n], i.ID)
			}
		}
		if rnd.IntN(4) == 0 {
			before, keep := noon.Add(time.Duration(clock-rnd.IntN(60))*time.Second), int64(rnd.IntN(100)-20)
			x, err := have.Prune(ctx, romeo, before, keep)
			require.NoError(t, err)
			y, err := want.Prune(ctx, romeo, before, keep)
			require.NoError(t, err)
			require.Equal(t, y, x, "how many were pruned")
			oldest += int(x)
		}
		if x, y := someID(); x != "" {
			who := withs[rnd.IntN(len(withs))].Bare()
			gotNews, gotErr := have.Read(ctx, romeo, who, x)
			news, err := want.Read(ctx, romeo, who, y)
			require.Equal(t, []any{news, err}, []any{gotNews, gotErr}, "Read")
			gotNews, gotErr = have.ReadStanza(ctx, romeo, who, "a")
			news, err = want.ReadStanza(ctx, romeo, who, "a")
			require.Equal(t, []any{news, err}, []any{gotNews, gotErr}, "ReadStanza")
		}
		compareUnread(ctx, t, have, want, ids)
		for range 20 {
			q := mam.Query{Max: rnd.IntN(12), Flip: rnd.IntN(2) == 0, Count: rnd.IntN(2) == 0, WithoutGroupChat: rnd.IntN(4) == 0}
			if rnd.IntN(2) == 0 {
				q.With = withs[rnd.IntN(len(withs))]
			}
			if rnd.IntN(2) == 0 {
				q.Start = noon.Add(time.Duration(clock-rnd.IntN(80)) * time.Second)
			}
			if rnd.IntN(2) == 0 {
				q.End = noon.Add(time.Duration(clock-rnd.IntN(80)) * time.Second)
			}
			if rnd.IntN(3) == 0 {
				q.From.Index = int64(rnd.IntN(20))
			}
			q.From.Last = rnd.IntN(4) == 0
			p := q
			if rnd.IntN(3) == 0 {
				q.AfterID, p.AfterID = someID()
			}
			if rnd.IntN(3) == 0 {
				q.BeforeID, p.BeforeID = someID()
			}
			if rnd.IntN(3) == 0 {
				q.From.After, p.From.After = someID()
			}
			if rnd.IntN(3) == 0 {
				q.From.Before, p.From.Before = someID()
			}
			for rnd.IntN(6) == 0 || len(q.IDs) > 0 && rnd.IntN(4) > 0 {
				if x, y := someID(); x != "" {
					q.IDs, p.IDs = append(q.IDs, x), append(p.IDs, y)
				}
			}
			comparePages(ctx, t, have, want, q, p)
			if t.Failed() {
				return
			}
		}
	}
}

func comparePages(ctx context.Context, t testing.TB, have, want mam.Archive, q, p mam.Query) {
	t.Helper()
	items, page := get(ctx, t, have, romeo, q)
	others, other := get(ctx, t, want, romeo, p)
	if !assert.Len(t, items, len(others), "%+v", q) {
		return
	}
	for n := range items {
		items[n].ID, others[n].ID = "", ""
		items[n].With, others[n].With = norm(items[n].With), norm(others[n].With)
		items[n].Conversation, others[n].Conversation = norm(items[n].Conversation), norm(others[n].Conversation)
	}
	assert.Equal(t, others, items, "%+v", q)
	if !q.Count {
		if page.Count == -1 || other.Count == -1 {
			page.Count, other.Count = -1, -1
		}
		if len(items) > 0 && (page.First == -1 || other.First == -1) {
			page.First, other.First = -1, -1
		}
	}
	assert.Equal(t, other, page, "%+v", q)
}

// norm makes addresses comparable that were made in different ways.
func norm(j jid.JID) jid.JID {
	if j.Equal(jid.JID{}) {
		return jid.JID{}
	}
	return jid.MustParse(j.String())
}

func compareUnread(ctx context.Context, t testing.TB, have, want mam.UnreadArchive, ids [2][]string) {
	t.Helper()
	position := [2]map[string]int{{}, {}}
	for n := range ids {
		for i, id := range ids[n] {
			position[n][id] = i
		}
	}
	var lists [2][][]any
	for n, a := range []mam.UnreadArchive{have, want} {
		list, err := a.Unread(ctx, romeo, 100)
		require.NoError(t, err)
		for _, u := range list {
			lists[n] = append(lists[n], []any{u.Conversation.String(), position[n][u.ReadID], u.Count, u.Last})
		}
	}
	require.Equal(t, lists[1], lists[0], "Unread")
}
