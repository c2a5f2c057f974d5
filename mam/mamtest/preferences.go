// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamtest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
)

// assertPreferences asserts what is preferred. Lists have no order.
func assertPreferences(ctx context.Context, t testing.TB, s mam.PreferenceStore, archive jid.JID, want mam.Preferences) {
	t.Helper()
	have, err := s.Preferences(ctx, archive)
	require.NoError(t, err, "Preferences")
	assert.Equal(t, want.Default, have.Default, "default of %s", archive)
	assert.Equal(t, texts(want.Always), texts(have.Always), "always of %s", archive)
	assert.Equal(t, texts(want.Never), texts(have.Never), "never of %s", archive)
}

func texts(list []jid.JID) []string {
	names := make([]string, 0, len(list))
	for _, j := range list {
		names = append(names, j.String())
	}
	slices.Sort(names)
	return names
}

func prefer(ctx context.Context, t testing.TB, s mam.PreferenceStore, archive jid.JID, p mam.Preferences) {
	t.Helper()
	require.NoError(t, s.SetPreferences(ctx, archive, p), "SetPreferences")
}

var preferenceRules = []rule[mam.PreferenceStore]{
	{
		name: "PR-01 no preferences",
		says: "Where no preferences were set there is the zero value.",
		check: func(ctx context.Context, t testing.TB, s mam.PreferenceStore) {
			assertPreferences(ctx, t, s, romeo, mam.Preferences{})
			putSome(ctx, t, s, romeo, 1)
			prefer(ctx, t, s, room, mam.Preferences{Default: mam.Never})
			assertPreferences(ctx, t, s, romeo, mam.Preferences{})
		},
	},
	{
		name: "PR-05 preferences are replaced",
		says: "Preferences are kept as they were last set: a list that is missing is empty.",
		check: func(ctx context.Context, t testing.TB, s mam.PreferenceStore) {
			for _, p := range []mam.Preferences{
				{Default: mam.Always},
				{Default: mam.Roster, Always: []jid.JID{juliet, nurse.Bare()}, Never: []jid.JID{room}},
				{Default: mam.Never, Always: []jid.JID{juliet}, Never: []jid.JID{juliet}},
				{Default: mam.Never, Always: []jid.JID{nurse}, Never: []jid.JID{}},
				{Default: mam.Roster},
				{Never: []jid.JID{nurse}},
				{},
			} {
				prefer(ctx, t, s, romeo, p)
				assertPreferences(ctx, t, s, romeo, p)
			}
			assert.Empty(t, everything(ctx, t, s, romeo), "preferences are not messages")
		},
	},
	{
		name: "PR-07 any address",
		says: "Lists have any address, with and without resource, and none that looks like it (AA-20).",
		check: func(ctx context.Context, t testing.TB, s mam.PreferenceStore) {
			var p mam.Preferences
			for n, line := range odd(t) {
				if n%2 == 0 {
					p.Always = append(p.Always, line...)
				} else {
					p.Never = append(p.Never, line...)
				}
			}
			p.Default = mam.Roster
			prefer(ctx, t, s, romeo, p)
			assertPreferences(ctx, t, s, romeo, p)
		},
	},
	{
		name: "PR-05 long lists",
		says: "Lists may have a thousand addresses.",
		check: func(ctx context.Context, t testing.TB, s mam.PreferenceStore) {
			p := mam.Preferences{Default: mam.Always}
			for n := range 1000 {
				p.Always = append(p.Always, parse(t, fmt.Sprintf("juliet%d@capulet.example", n)))
				p.Never = append(p.Never, parse(t, fmt.Sprintf("nurse%d@capulet.example/pocket", n)))
			}
			prefer(ctx, t, s, romeo, p)
			assertPreferences(ctx, t, s, romeo, p)
			prefer(ctx, t, s, romeo, mam.Preferences{Default: mam.Always, Always: p.Always[:1]})
			assertPreferences(ctx, t, s, romeo, mam.Preferences{Default: mam.Always, Always: p.Always[:1]})
		},
	},
	{
		name: "PR-01 preferences of one archive",
		says: "Whatever their names look like, two archives have no preferences in common (AA-20).",
		check: func(ctx context.Context, t testing.TB, s mam.PreferenceStore) {
			names := odd(t)
			of := func(n int) mam.Preferences {
				return mam.Preferences{Default: []mam.Default{mam.Always, mam.Never, mam.Roster}[n%3], Always: []jid.JID{names[n][0]}}
			}
			for n, line := range names {
				prefer(ctx, t, s, line[0].Bare(), of(n))
			}
			for n, line := range names {
				assertPreferences(ctx, t, s, line[0].Bare(), of(n))
			}
		},
	},
	{
		name: "PR-01 preferences of one's own",
		says: "What was set or returned is not what is stored: writing to it later changes nothing.",
		check: func(ctx context.Context, t testing.TB, s mam.PreferenceStore) {
			want := mam.Preferences{Default: mam.Always, Always: []jid.JID{juliet}, Never: []jid.JID{nurse}}
			set := mam.Preferences{Default: mam.Always, Always: []jid.JID{juliet}, Never: []jid.JID{nurse}}
			prefer(ctx, t, s, romeo, set)
			set.Always[0], set.Never[0] = romeo, romeo
			assertPreferences(ctx, t, s, romeo, want)
			have, err := s.Preferences(ctx, romeo)
			require.NoError(t, err)
			require.Len(t, have.Always, 1)
			require.Len(t, have.Never, 1)
			have.Always[0], have.Never[0] = romeo, romeo
			assertPreferences(ctx, t, s, romeo, want)
		},
	},
	{
		name: "preferences with a context that has ended",
		says: "With a context that has ended nothing is set, and the error says so.",
		check: func(ctx context.Context, t testing.TB, s mam.PreferenceStore) {
			want := mam.Preferences{Default: mam.Never, Never: []jid.JID{nurse}}
			prefer(ctx, t, s, romeo, want)
			assert.Error(t, s.SetPreferences(ended(ctx), romeo, mam.Preferences{Default: mam.Always}), "SetPreferences")
			_, err := s.Preferences(ended(ctx), romeo)
			assert.Error(t, err, "Preferences")
			assertPreferences(ctx, t, s, romeo, want)
		},
	},
}
