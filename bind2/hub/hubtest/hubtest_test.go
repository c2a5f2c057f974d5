// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hubtest_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/bind2/hub"
	"github.com/xmppext/xmppext/bind2/hub/hubtest"
	"github.com/xmppext/xmppext/mam"
)

// A record is what happened to a rule that was checked without failing the test
// that did so.
type record struct {
	testing.TB
	mu     sync.Mutex
	failed bool
	log    strings.Builder
}

func (r *record) Helper()                           {}
func (r *record) Log(args ...any)                   { r.write(fmt.Sprintln(args...), false) }
func (r *record) Logf(format string, args ...any)   { r.Log(fmt.Sprintf(format, args...)) }
func (r *record) Error(args ...any)                 { r.write(fmt.Sprintln(args...), true) }
func (r *record) Errorf(format string, args ...any) { r.Error(fmt.Sprintf(format, args...)) }
func (r *record) FailNow()                          { r.write("", true); runtime.Goexit() }

func (r *record) write(text string, failed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log.WriteString(text)
	r.failed = r.failed || failed
}

// records are what happened to the rules of the suite, by name.
type records map[string]*record

// run tests a hub, and returns what happened to the rules.
func run(t *testing.T, newArchives func(testing.TB, int) []mam.Archive, o hubtest.Options) records {
	t.Helper()
	all := make(records)
	hubtest.Check(t, func(name string, test func(t testing.TB)) {
		require.NotContains(t, all, name, "two rules have one name")
		r := &record{TB: t}
		all[name] = r
		var done sync.WaitGroup
		done.Go(func() { test(r) })
		done.Wait()
	}, newArchives, o)
	return all
}

// roomy returns n times the same archive, which keeps all messages of a run.
func roomy(_ testing.TB, n int) []mam.Archive {
	archive := &mam.Memory{MaxItems: 1 << 30, MaxBytes: 1 << 40}
	archives := make([]mam.Archive, n)
	for i := range archives {
		archives[i] = archive
	}
	return archives
}

// enough is how many messages nearly always find a fault. It is tried anew if they
// do not, so many times that it never happens.
const enough, runs = 2500, 5

func TestGood(t *testing.T) {
	plain := func(t testing.TB, n int) []mam.Archive {
		all := roomy(t, n)
		for i, a := range all {
			all[i] = struct{ mam.Archive }{a}
		}
		return all
	}
	for name, tc := range map[string]struct {
		archives func(testing.TB, int) []mam.Archive
		o        hubtest.Options
	}{
		"one hub":         {roomy, hubtest.Options{}},
		"three hubs":      {roomy, hubtest.Options{Hubs: 3}},
		"a plain archive": {plain, hubtest.Options{}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.o.Messages = enough
			for name, r := range run(t, tc.archives, tc.o) {
				assert.False(t, r.failed, "%s: %s", name, r.log.String())
			}
		})
	}
}

func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("It tests the tests, at length: run it without -short.")
	}
	unbroken := make(map[string]bool)
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			var all records
			for range runs {
				all = run(t, roomy, hubtest.Options{
					Messages: max(f.messages, enough), Hubs: f.hubs,
					Wrap: func(h *hub.Hub) hubtest.Hub {
						if f.configure != nil {
							f.configure(h)
						}
						return &faulty{hub: h, fault: f}
					},
				})
				if !slices.ContainsFunc(f.breaks, func(name string) bool { return all[name] == nil || !all[name].failed }) {
					break
				}
			}
			for name := range all {
				if _, ok := unbroken[name]; !ok {
					unbroken[name] = true
				}
			}
			for _, name := range f.breaks {
				require.Contains(t, all, name)
				assert.True(t, all[name].failed, "%s: it was not found", name)
				assert.Contains(t, all[name].log.String(), "The rule: ")
				assert.Contains(t, all[name].log.String(), "Seed: ")
				unbroken[name] = false
			}
		})
	}
	for name, is := range unbroken {
		assert.False(t, is, "%s: no fault breaks it", name)
	}
}
