// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfrsqlite_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/mucfr"
)

// entries returns entries as large as those of occupants and messages usually are.
func entries(n, round int) []mucfr.Entry {
	all := make([]mucfr.Entry, n)
	for i := range all {
		all[i] = mucfr.Entry{Key: fmt.Sprintf("message/%x", i), Value: fmt.Appendf(nil, "%d %s", round, strings.Repeat("x", 300))}
	}
	return all
}

// BenchmarkSave replaces entries of a room that has a thousand.
func BenchmarkSave(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := open(b, newFile(b))
			require.NoError(b, s.Save(context.Background(), coven, entries(1000, 0)))
			round := 0
			for b.Loop() {
				round++
				require.NoError(b, s.Save(context.Background(), coven, entries(n, round)))
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	const n = 10_000
	s := open(b, newFile(b))
	require.NoError(b, s.Save(context.Background(), coven, entries(n, 0)))
	for b.Loop() {
		all, err := s.Load(context.Background(), coven)
		require.NoError(b, err)
		require.Len(b, all, n)
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "entries/s")
}
