// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamsqlite_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkWire compares servers of archives by what a client waits for: Prosody
// with its archive in SQLite, and ours with one in SQLite and one in memory.
//
// All are processes of their own, have the same messages, and take turns.
// NAME-ms is the time that a client waits, the median, and NAME-cpu-ms the processor
// time of the server, the mean. NAME-x and NAME-cpu-x say how many times as long
// Prosody takes.
func BenchmarkWire(b *testing.B) {
	servers := []struct {
		name string
		*wireServer
	}{
		{"prosody", prosodyWire(b)},
		{"sqlite", ownWire(b, filepath.Join(b.TempDir(), "archive.db"))},
		{"memory", ownWire(b, "memory")},
	}
	for _, task := range []struct {
		name string
		run  func(*wireClient) (int, error)
		want int
	}{
		{"CatchUp", func(c *wireClient) (int, error) { return c.catchUp(wirePage) }, wireItems},
		{"LastPage", func(c *wireClient) (int, error) { return c.lastPage(50) }, 50},
	} {
		b.Run(task.name, func(b *testing.B) {
			clients := make([]*wireClient, len(servers))
			waited := make([][]time.Duration, len(servers))
			used := make([]time.Duration, len(servers))
			for i, s := range servers {
				c, err := dialWire(s.addr, wireUser, wireDomain)
				require.NoError(b, err)
				defer c.conn.Close()
				clients[i], used[i] = c, s.cpu()
			}
			for b.Loop() {
				for i, s := range servers {
					start := time.Now()
					n, err := task.run(clients[i])
					waited[i] = append(waited[i], time.Since(start))
					if err != nil || n != task.want {
						b.Fatalf("%s: %d results, %v", s.name, n, err)
					}
				}
			}
			b.ReportMetric(0, "ns/op") // It is that of all.
			report := func(name string, took, prosody time.Duration) {
				b.ReportMetric(took.Seconds()*1e3, name+"-ms")
				if took > 0 && prosody > 0 && took != prosody {
					b.ReportMetric(prosody.Seconds()/took.Seconds(), name+"-x")
				}
			}
			for i, s := range servers {
				slices.Sort(waited[i])
				waited[i] = waited[i][b.N/2:]
				used[i] = (s.cpu() - used[i]) / time.Duration(b.N)
				report(s.name, waited[i][0], waited[0][0])
				report(s.name+"-cpu", used[i], used[0])
			}
		})
	}
}
