// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mampg_test

import (
	"context"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
	"github.com/xmppext/xmppext/mam/mampg"
	"github.com/xmppext/xmppext/mam/mamtest"
)

// largeEnv adds a larger archive to the benchmarks. It is how many messages that has: a
// million takes a minute or two to fill.
const largeEnv = "MAMPG_TEST_LARGE"

// accounts are those that many callers append to.
var accounts = func() []jid.JID {
	all := make([]jid.JID, 16)
	for n := range all {
		all[n] = jid.MustParse("romeo" + strconv.Itoa(n) + "@montague.example")
	}
	return all
}()

func BenchmarkArchive(b *testing.B) {
	sizes := []int{10_000}
	if text := os.Getenv(largeEnv); text != "" {
		large, err := strconv.Atoi(text)
		require.NoError(b, err, largeEnv)
		sizes = append(sizes, large)
	}
	s := ownServer(b) // it waits for the disk
	mamtest.Benchmark(b, func(t testing.TB) mam.Archive { return open(t, s.newPool(t), newSchema()) }, sizes...)
}

// BenchmarkCallers measures how much is gained by storing together what comes
// together.
func BenchmarkCallers(b *testing.B) {
	s := ownServer(b) // it waits for the disk
	for _, c := range []struct {
		name             string
		callers, writers int
	}{
		{"1", 1, 2}, {"8", 8, 2}, {"64", 64, 2}, {"512", 512, 2}, {"64 for one writer", 64, 1}, {"64 for four writers", 64, 4},
	} {
		b.Run(c.name, func(b *testing.B) {
			a := open(b, s.newPool(b), newSchema(), mampg.Writers(c.writers))
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
						if _, err := a.Append(context.Background(), accounts[k%int64(len(accounts))], m); err != nil {
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
