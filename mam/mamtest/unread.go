// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamtest

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

// incoming returns a message that is to be read, of somebody or somewhere.
func incoming(with jid.JID) mam.Message {
	m := from(with)
	m.Unread = true
	return m
}

// named returns a message with a stanza id.
func named(m mam.Message, stanzaID string) mam.Message {
	m.StanzaID = stanzaID
	return m
}

// row is what is unread, with the conversation as a text.
type row struct {
	Conversation, ReadID string
	Count, Last          int64
}

// assertUnread asserts what is unread, the newest first.
func assertUnread(ctx context.Context, t testing.TB, s mam.UnreadArchive, archive jid.JID, want ...row) bool {
	t.Helper()
	return assertRows(ctx, t, s, archive, 1000, want)
}

func assertRows(ctx context.Context, t testing.TB, s mam.UnreadArchive, archive jid.JID, limit int, want []row) bool {
	t.Helper()
	unread, err := s.Unread(ctx, archive, limit)
	require.NoError(t, err, "Unread")
	have := make([]row, 0, len(unread))
	for _, u := range unread {
		have = append(have, row{u.Conversation.String(), u.ReadID, u.Count, u.Last})
	}
	return assert.Equal(t, append([]row{}, want...), have, "unread")
}

// markRead asserts that reading is news, or not.
func markRead(ctx context.Context, t testing.TB, s mam.UnreadArchive, archive, conversation jid.JID, id string, news bool) {
	t.Helper()
	have, err := s.Read(ctx, archive, conversation, id)
	require.NoError(t, err, "Read")
	assert.Equal(t, news, have, "that %s was read up to %q is news", conversation, id)
}

func assertNothingRead(ctx context.Context, t testing.TB, s mam.UnreadArchive, archive, conversation jid.JID, id string) {
	t.Helper()
	news, err := s.Read(ctx, archive, conversation, id)
	assert.ErrorIs(t, err, mam.ErrNotFound, "Read of %s up to %q", conversation, id)
	assert.False(t, news)
}

var unreadRules = []rule[mam.UnreadArchive]{
	{
		name: "D-04 nothing unread",
		says: "Where nothing is unread there are no conversations.",
		check: func(ctx context.Context, t testing.TB, s mam.UnreadArchive) {
			assertUnread(ctx, t, s, romeo)
			put(ctx, t, s, romeo, from(juliet), from(nurse))
			put(ctx, t, s, room, incoming(juliet))
			assertUnread(ctx, t, s, romeo)
		},
	},
	{
		name: "D-04 what is counted",
		says: "Unread messages are counted by conversation, with all resources of a contact, and no others; the conversation with the newest is first.",
		check: func(ctx context.Context, t testing.TB, s mam.UnreadArchive) {
			put(ctx, t, s, romeo, incoming(juliet), incoming(nurse), incoming(juliet.Bare()), from(juliet), incoming(nurse), from(nurse))
			assertUnread(ctx, t, s, romeo, row{Conversation: "nurse@capulet.example", Count: 2, Last: 5}, row{Conversation: "juliet@capulet.example", Count: 2, Last: 3})
			put(ctx, t, s, romeo, incoming(juliet), from(nurse))
			assertUnread(ctx, t, s, romeo, row{Conversation: "juliet@capulet.example", Count: 3, Last: 7}, row{Conversation: "nurse@capulet.example", Count: 2, Last: 5})
		},
	},
	{
		name: "D-04 read up to an item",
		says: "What lies behind the item that a conversation was read up to is unread, and its id is known.",
		check: func(ctx context.Context, t testing.TB, s mam.UnreadArchive) {
			hers, other := juliet.Bare(), nurse.Bare()
			items := put(ctx, t, s, romeo, incoming(juliet), incoming(nurse), incoming(juliet), incoming(juliet), incoming(nurse))
			markRead(ctx, t, s, romeo, hers, items[0].ID, true)
			nursing := row{Conversation: other.String(), Count: 2, Last: 5}
			assertUnread(ctx, t, s, romeo, nursing, row{hers.String(), items[0].ID, 2, 4})
			markRead(ctx, t, s, romeo, hers, items[2].ID, true)
			assertUnread(ctx, t, s, romeo, nursing, row{hers.String(), items[2].ID, 1, 4})
			markRead(ctx, t, s, romeo, hers, items[3].ID, true)
			assertUnread(ctx, t, s, romeo, nursing)
			more := put(ctx, t, s, romeo, incoming(juliet), incoming(juliet))
			assertUnread(ctx, t, s, romeo, row{hers.String(), items[3].ID, 2, 7}, nursing)
			markRead(ctx, t, s, romeo, hers, more[1].ID, true)
			markRead(ctx, t, s, romeo, other, items[4].ID, true)
			assertUnread(ctx, t, s, romeo)
		},
	},
	{
		name: "D-04 never backwards",
		says: "What was read stays read: an item that is not behind the last one that was read changes nothing.",
		check: func(ctx context.Context, t testing.TB, s mam.UnreadArchive) {
			hers := juliet.Bare()
			items := put(ctx, t, s, romeo, named(incoming(juliet), "a"), named(incoming(juliet), "b"), incoming(juliet), incoming(juliet))
			markRead(ctx, t, s, romeo, hers, items[2].ID, true)
			for _, n := range []int{2, 1, 0, 2} {
				markRead(ctx, t, s, romeo, hers, items[n].ID, false)
				assertUnread(ctx, t, s, romeo, row{hers.String(), items[2].ID, 1, 4})
			}
			for _, id := range []string{"a", "b"} {
				news, err := s.ReadStanza(ctx, romeo, hers, id)
				assert.NoError(t, err)
				assert.False(t, news, "an older message")
				assertUnread(ctx, t, s, romeo, row{hers.String(), items[2].ID, 1, 4})
			}
			markRead(ctx, t, s, romeo, hers, items[3].ID, true)
			markRead(ctx, t, s, romeo, hers, items[0].ID, false)
			assertUnread(ctx, t, s, romeo)
		},
	},
	{
		name: "D-04 one's own messages",
		says: "A message that is not unread is not counted and is no sign of reading, but a conversation can be read up to it.",
		check: func(ctx context.Context, t testing.TB, s mam.UnreadArchive) {
			hers := juliet.Bare()
			items := put(ctx, t, s, romeo, from(juliet), incoming(juliet), from(juliet), incoming(juliet), from(juliet))
			assertUnread(ctx, t, s, romeo, row{Conversation: hers.String(), Count: 2, Last: 4})
			markRead(ctx, t, s, romeo, hers, items[0].ID, true)
			assertUnread(ctx, t, s, romeo, row{hers.String(), items[0].ID, 2, 4})
			markRead(ctx, t, s, romeo, hers, items[2].ID, true)
			assertUnread(ctx, t, s, romeo, row{hers.String(), items[2].ID, 1, 4})
			markRead(ctx, t, s, romeo, hers, items[4].ID, true)
			assertUnread(ctx, t, s, romeo)
			put(ctx, t, s, romeo, incoming(juliet))
			assertUnread(ctx, t, s, romeo, row{hers.String(), items[4].ID, 1, 6})
		},
	},
	{
		name: "D-04 read without anything unread",
		says: "What was read is known even if nothing was unread then.",
		check: func(ctx context.Context, t testing.TB, s mam.UnreadArchive) {
			hers := juliet.Bare()
			items := put(ctx, t, s, romeo, from(juliet), from(juliet))
			markRead(ctx, t, s, romeo, hers, items[0].ID, true)
			assertUnread(ctx, t, s, romeo)
			put(ctx, t, s, romeo, incoming(juliet))
			assertUnread(ctx, t, s, romeo, row{hers.String(), items[0].ID, 1, 3})
		},
	},
	{
		name: "D-04 items that are not there",
		says: "An item that the conversation does not have cannot be what it was read up to, and changes nothing.",
		check: func(ctx context.Context, t testing.TB, s mam.UnreadArchive) {
			hers := juliet.Bare()
			items := put(ctx, t, s, romeo, incoming(juliet), named(incoming(nurse), "s"), incoming(juliet))
			theirs := put(ctx, t, s, room, named(incoming(juliet), "t"))
			for _, id := range append(oddTexts, "", items[1].ID, theirs[0].ID) {
				assertNothingRead(ctx, t, s, romeo, hers, id)
			}
			for _, id := range append(oddTexts, "", "s", "t", items[0].ID) {
				news, err := s.ReadStanza(ctx, romeo, hers, id)
				assert.ErrorIs(t, err, mam.ErrNotFound, "ReadStanza %q", id)
				assert.False(t, news)
			}
			assertNothingRead(ctx, t, s, romeo, juliet, items[0].ID)
			assertNothingRead(ctx, t, s, romeo, room, items[0].ID)
			assertNothingRead(ctx, t, s, nurse.Bare(), hers, items[0].ID)
			assertUnread(ctx, t, s, romeo, row{Conversation: hers.String(), Count: 2, Last: 3}, row{Conversation: nurse.Bare().String(), Count: 1, Last: 2})
			assertUnread(ctx, t, s, room, row{Conversation: hers.String(), Count: 1, Last: 1})
		},
	},
	{
		name: "D-04 stanza ids",
		says: "A chat marker means the newest item of the conversation with its stanza id.",
		check: func(ctx context.Context, t testing.TB, s mam.UnreadArchive) {
			hers := juliet.Bare()
			items := put(ctx, t, s, romeo, named(incoming(juliet), "a"), named(incoming(juliet), "b"), named(incoming(juliet), "a"), incoming(juliet), named(incoming(nurse), "a"), named(incoming(juliet), "c"), named(from(juliet), "A"))
			others := row{Conversation: nurse.Bare().String(), Count: 1, Last: 5}
			for _, c := range []struct {
				id   string
				news bool
				read int
				left int64
			}{{"b", true, 1, 3}, {"a", true, 2, 2}, {"a", false, 2, 2}, {"b", false, 2, 2}} {
				news, err := s.ReadStanza(ctx, romeo, hers, c.id)
				require.NoError(t, err)
				assert.Equal(t, c.news, news, "%q is news", c.id)
				assertUnread(ctx, t, s, romeo, row{hers.String(), items[c.read].ID, c.left, 6}, others)
			}
			news, err := s.ReadStanza(ctx, romeo, hers, "A")
			require.NoError(t, err)
			assert.True(t, news)
			assertUnread(ctx, t, s, romeo, others)
		},
	},
	{
		name: "D-04 odd stanza ids",
		says: "Stanza ids are chosen by others: they are kept apart whatever they look like (AA-20).",
		check: func(ctx context.Context, t testing.TB, s mam.UnreadArchive) {
			var messages []mam.Message
			var ids []string
			for _, text := range oddTexts {
				if text = text[:min(len(text), 1024)]; !slices.Contains(ids, text) {
					ids, messages = append(ids, text), append(messages, named(incoming(juliet), text))
				}
			}
			items := put(ctx, t, s, romeo, messages...)
			for n, id := range ids {
				news, err := s.ReadStanza(ctx, romeo, juliet.Bare(), id)
				require.NoError(t, err, "%q", id)
				assert.True(t, news, "%q is news", id)
				if left := int64(len(ids) - n - 1); left > 0 {
					assertUnread(ctx, t, s, romeo, row{juliet.Bare().String(), items[n].ID, left, int64(len(ids))})
				}
			}
			assertUnread(ctx, t, s, romeo)
		},
	},
	{
		name: "D-04 private messages in a room",
		says: "A private message in a room belongs to a conversation with the occupant, not to that with the room.",
		check: func(ctx context.Context, t testing.TB, s mam.UnreadArchive) {
			occupant := parse(t, "garden@chat.example/Juliet")
			private := incoming(occupant)
			private.Conversation = occupant
			items := put(ctx, t, s, romeo, incoming(occupant), private, incoming(parse(t, "garden@chat.example/juliet")))
			assertUnread(ctx, t, s, romeo, row{Conversation: room.String(), Count: 2, Last: 3}, row{Conversation: occupant.String(), Count: 1, Last: 2})
			assertNothingRead(ctx, t, s, romeo, room, items[1].ID)
			assertNothingRead(ctx, t, s, romeo, occupant, items[2].ID)
			markRead(ctx, t, s, romeo, room, items[2].ID, true)
			assertUnread(ctx, t, s, romeo, row{Conversation: occupant.String(), Count: 1, Last: 2})
			markRead(ctx, t, s, romeo, occupant, items[1].ID, true)
			assertUnread(ctx, t, s, romeo)
		},
	},
	{
		name: "D-04 conversations do not mix",
		says: "Whatever their names look like, two conversations have nothing in common (AA-20).",
		check: func(ctx context.Context, t testing.TB, s mam.UnreadArchive) {
			var want []row
			position := int64(0)
			names := odd(t)
			for _, line := range names {
				for _, with := range line {
					m := incoming(with)
					m.Conversation = with
					position++
					id := put(ctx, t, s, romeo, m)[0].ID
					markRead(ctx, t, s, romeo, with, id, true)
					put(ctx, t, s, romeo, m)
					position++
					want = append(want, row{with.String(), id, 1, position})
				}
			}
			slices.Reverse(want)
			assertUnread(ctx, t, s, romeo, want...)
		},
	},
	{
		name: "D-05 no more than asked for",
		says: "No more conversations are returned than were asked for: those with the newest messages.",
		check: func(ctx context.Context, t testing.TB, s mam.UnreadArchive) {
			var want []row
			for n := range int64(12) {
				with := parse(t, strings.Repeat("x", int(n+1))+"@capulet.example/balcony")
				put(ctx, t, s, romeo, incoming(with))
				want = append(want, row{Conversation: with.Bare().String(), Count: 1, Last: n + 1})
			}
			slices.Reverse(want)
			for _, limit := range []int{0, 1, 5, 11, 12, 13, 1 << 31} {
				assertRows(ctx, t, s, romeo, limit, want[:min(limit, 12)])
			}
		},
	},
	{
		name: "D-04 what was pruned",
		says: "What was pruned is unread no longer, and nothing was read up to it.",
		check: func(ctx context.Context, t testing.TB, s mam.UnreadArchive) {
			p, ok := s.(mam.Pruner)
			if !ok {
				t.Skip("The store cannot prune, and need not.")
			}
			hers, other := juliet.Bare(), nurse.Bare()
			items := put(ctx, t, s, romeo, named(incoming(juliet), "a"), incoming(nurse), incoming(juliet), incoming(juliet), incoming(juliet), incoming(juliet), from(nurse))
			markRead(ctx, t, s, romeo, hers, items[2].ID, true)
			prune(ctx, t, p, romeo, never, 6, 1)
			assertUnread(ctx, t, s, romeo, row{hers.String(), items[2].ID, 3, 6}, row{Conversation: other.String(), Count: 1, Last: 2})
			assertNothingRead(ctx, t, s, romeo, hers, items[0].ID)
			_, err := s.ReadStanza(ctx, romeo, hers, "a")
			assert.ErrorIs(t, err, mam.ErrNotFound)
			prune(ctx, t, p, romeo, never, 5, 1)
			assertUnread(ctx, t, s, romeo, row{hers.String(), items[2].ID, 3, 6})
			prune(ctx, t, p, romeo, never, 4, 1) // what was read
			assertUnread(ctx, t, s, romeo, row{Conversation: hers.String(), Count: 3, Last: 6})
			prune(ctx, t, p, romeo, never, 3, 1)
			assertUnread(ctx, t, s, romeo, row{Conversation: hers.String(), Count: 2, Last: 6})
			markRead(ctx, t, s, romeo, hers, items[4].ID, true)
			assertUnread(ctx, t, s, romeo, row{hers.String(), items[4].ID, 1, 6})
			prune(ctx, t, p, romeo, never, 0, 3)
			assertUnread(ctx, t, s, romeo)
			items = put(ctx, t, s, romeo, named(incoming(juliet), "b"), named(incoming(juliet), "b"))
			assertUnread(ctx, t, s, romeo, row{Conversation: hers.String(), Count: 2, Last: 9})
			prune(ctx, t, p, romeo, never, 1, 1)
			put(ctx, t, s, romeo, incoming(juliet))
			news, err := s.ReadStanza(ctx, romeo, hers, "b")
			require.NoError(t, err, "an id of two messages, of which one is left")
			assert.True(t, news)
			assertUnread(ctx, t, s, romeo, row{hers.String(), items[1].ID, 1, 10})
		},
	},
	{
		name: "D-04 counted again",
		says: "Whatever was appended, read and pruned, what is unread is what a new count finds.",
		check: func(ctx context.Context, t testing.TB, s mam.UnreadArchive) {
			lots := lots(t)
			m := readModel{read: make(map[string]int64)}
			for range 120 {
				if !m.step(ctx, t, s, lots) || !assertUnread(ctx, t, s, romeo, m.unread()...) {
					return
				}
			}
		},
	},
	{
		name: "D-04 counted again after many at once",
		says: "What is appended at once is unread as if it was appended one by one.",
		check: func(ctx context.Context, t testing.TB, s mam.UnreadArchive) {
			b, ok := s.(mam.Batcher)
			if !ok {
				t.Skip("The store cannot do this, and need not.")
			}
			lots := lots(t)
			m := readModel{read: make(map[string]int64)}
			for range 10 {
				var entries []mam.Entry
				for _, message := range randomMessages(lots, 40) {
					entries = append(entries, mam.Entry{Archive: romeo, Message: message}, mam.Entry{Archive: room, Message: message})
				}
				items, err := b.AppendAll(ctx, entries)
				require.NoError(t, err)
				for n := 0; n < len(items); n += 2 {
					i := items[n]
					i.Message = entries[n].Message
					m.items = append(m.items, i)
				}
				if !m.step(ctx, t, s, lots) || !assertUnread(ctx, t, s, romeo, m.unread()...) {
					return
				}
			}
		},
	},
	{
		name: "D-04 read while others write",
		says: "Reading and appending at once, no message is counted twice or forgotten.",
		check: func(ctx context.Context, t testing.TB, s mam.UnreadArchive) {
			var (
				all  sync.WaitGroup
				news [4]int
			)
			for range 4 {
				all.Go(func() {
					for range letters {
						if _, err := s.Append(ctx, romeo, incoming(juliet)); !assert.NoError(t, err, "Append") {
							return
						}
					}
				})
			}
			for n := range news {
				all.Go(func() {
					for range letters {
						_, last, err := s.Ends(ctx, romeo)
						if !assert.NoError(t, err, "Ends") {
							return
						}
						if last.Position == 0 {
							continue
						}
						ok, err := s.Read(ctx, romeo, juliet.Bare(), last.ID)
						if !assert.NoError(t, err, "Read") {
							return
						}
						if ok {
							news[n]++
						}
						unread, err := s.Unread(ctx, romeo, 1)
						if !assert.NoError(t, err, "Unread") {
							return
						}
						for _, u := range unread {
							assert.Positive(t, u.Count, "a row has something unread")
							assert.Greater(t, u.Last, last.Position, "what was read is unread no longer")
						}
					}
				})
			}
			all.Wait()
			items := everything(ctx, t, s, romeo)
			require.Len(t, items, 4*letters)
			put(ctx, t, s, romeo, incoming(juliet))
			unread, err := s.Unread(ctx, romeo, 10)
			require.NoError(t, err)
			require.Len(t, unread, 1)
			read := slices.IndexFunc(items, func(i mam.Item) bool { return i.ID == unread[0].ReadID })
			assert.EqualValues(t, len(items)-read, unread[0].Count, "messages behind %d", read+1)
		},
	},
	{
		name: "reading with a context that has ended",
		says: "With a context that has ended nothing is read, and the error says so.",
		check: func(ctx context.Context, t testing.TB, s mam.UnreadArchive) {
			items := put(ctx, t, s, romeo, named(incoming(juliet), "a"))
			_, err := s.Read(ended(ctx), romeo, juliet.Bare(), items[0].ID)
			assert.Error(t, err, "Read")
			_, err = s.ReadStanza(ended(ctx), romeo, juliet.Bare(), "a")
			assert.Error(t, err, "ReadStanza")
			_, err = s.Unread(ended(ctx), romeo, 10)
			assert.Error(t, err, "Unread")
			assertUnread(ctx, t, s, romeo, row{Conversation: juliet.Bare().String(), Count: 1, Last: 1})
		},
	},
}

// A readModel is what was read of an archive as its definition has it.
type readModel struct {
	model
	read map[string]int64 // position by conversation
}

// step does something to the archive, and to the model.
func (m *readModel) step(ctx context.Context, t testing.TB, s mam.UnreadArchive, lots *rand.Rand) bool {
	t.Helper()
	pruner, _ := s.(mam.Pruner)
	switch n := lots.IntN(10); {
	case n < 5 || len(m.items) == 0:
		m.items = append(m.items, put(ctx, t, s, romeo, randomMessages(lots, 1+lots.IntN(4))...)...)
	case n < 9:
		i := m.items[lots.IntN(len(m.items))]
		where := conversation(i.Message)
		news, err := false, error(nil)
		if n < 8 || i.StanzaID == "" {
			news, err = s.Read(ctx, romeo, where, i.ID)
		} else {
			news, err = s.ReadStanza(ctx, romeo, where, i.StanzaID)
			for _, other := range m.items {
				if other.StanzaID == i.StanzaID && conversation(other.Message).Equal(where) {
					i = other
				}
			}
		}
		if !assert.NoError(t, err) || !assert.Equal(t, i.Position > m.read[where.String()], news, "reading %d of %s is news", i.Position, where) {
			return false
		}
		m.read[where.String()] = max(m.read[where.String()], i.Position)
	case pruner != nil:
		n := lots.IntN(min(10, len(m.items)+1))
		prune(ctx, t, pruner, romeo, never, int64(len(m.items)-n), int64(n))
		m.items = m.items[n:]
	}
	return true
}

// unread counts anew.
func (m *readModel) unread() []row {
	rows := make(map[string]row)
	ids := make(map[string]string)
	for _, i := range m.items {
		name := conversation(i.Message).String()
		if i.Position == m.read[name] {
			ids[name] = i.ID
		}
		if i.Unread && i.Position > m.read[name] {
			rows[name] = row{name, ids[name], rows[name].Count + 1, i.Position}
		}
	}
	var all []row
	for _, r := range rows {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b row) int { return int(b.Last - a.Last) })
	return all
}
