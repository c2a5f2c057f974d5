// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamsqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/mam"
	"github.com/xmppext/xmppext/mam/mamsqlite"
	"github.com/xmppext/xmppext/mam/mamtest"
)

// largeEnv adds a larger archive to the benchmarks. It is how many messages that has: a
// million takes a minute or two to fill, and ten million, in 8 GB, an hour.
const largeEnv = "MAMSQLITE_TEST_LARGE"

func newFile(t testing.TB) mam.Archive { return open(t, filepath.Join(t.TempDir(), "archive.db")) }

func BenchmarkArchive(b *testing.B) {
	sizes := []int{10_000}
	if text := os.Getenv(largeEnv); text != "" {
		large, err := strconv.Atoi(text)
		require.NoError(b, err, largeEnv)
		sizes = append(sizes, large)
	}
	mamtest.Benchmark(b, newFile, sizes...)
}

// BenchmarkCallers measures how much is gained by storing together what comes
// together.
func BenchmarkCallers(b *testing.B) {
	for _, c := range []struct {
		name    string
		callers int
		options []mamsqlite.Option
	}{
		{"1", 1, nil}, {"8", 8, nil}, {"64", 64, nil}, {"512", 512, nil},
		{"relaxed 1", 1, []mamsqlite.Option{mamsqlite.Relaxed()}}, {"relaxed 64", 64, []mamsqlite.Option{mamsqlite.Relaxed()}},
	} {
		b.Run(c.name, func(b *testing.B) {
			a := open(b, filepath.Join(b.TempDir(), "archive.db"), c.options...)
			var n atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range c.callers {
				wg.Go(func() {
					for {
						k := n.Add(1)
						if k > int64(b.N) {
							return
						}
						m := message(int(k))
						m.XML = make([]byte, 500)
						if _, err := a.Append(context.Background(), romeo, m); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			require.GreaterOrEqual(b, n.Load(), int64(b.N))
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
