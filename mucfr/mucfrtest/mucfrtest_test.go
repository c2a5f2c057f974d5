// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfrtest_test

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/mucfr/mucfrtest"
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
func (r *record) Fail()                             { r.write("", true) }
func (r *record) FailNow()                          { r.Fail(); runtime.Goexit() }
func (r *record) Fatal(args ...any)                 { r.Error(args...); runtime.Goexit() }
func (r *record) Fatalf(format string, args ...any) { r.Errorf(format, args...); runtime.Goexit() }

func (r *record) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *record) write(text string, failed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log.WriteString(text)
	r.failed = r.failed || failed
}

// records are what happened to the rules of a suite, by name.
type records map[string]*record

// runner returns what runs a suite, or some rules of it, into the records.
func (all records) runner(t *testing.T, only ...string) mucfrtest.Runner {
	return func(name string, test func(t testing.TB)) {
		if len(only) > 0 && !slices.Contains(only, name) {
			return
		}
		r := &record{TB: t}
		require.NotContains(t, all, name, "two rules have one name")
		all[name] = r
		var done sync.WaitGroup
		done.Go(func() { test(r) })
		done.Wait()
	}
}

// A fault is a store with something wrong, and some rules that it breaks.
type fault[S any] struct {
	name   string
	breaks []string
	store  func() S
}

// expectFaults asserts that a suite tells stores with faults from good ones, and that
// it has no rule that none of the faults breaks.
func expectFaults[S any](t *testing.T, check func(r mucfrtest.Runner, newStore func() S), good, faults []fault[S]) {
	t.Helper()
	unbroken := make(map[string]bool)
	for _, g := range good {
		t.Run("good/"+g.name, func(t *testing.T) {
			all := make(records)
			check(all.runner(t), g.store)
			require.NotEmpty(t, all)
			for name, r := range all {
				assert.False(t, r.Failed(), "%s: %s", name, r.log.String())
				unbroken[name] = true
			}
		})
	}
	for _, f := range faults {
		t.Run("faulty/"+f.name, func(t *testing.T) {
			all := make(records)
			check(all.runner(t, f.breaks...), f.store)
			require.Len(t, all, len(f.breaks), "rules that there are")
			for name, r := range all {
				assert.True(t, r.Failed(), "%s: it was not found", name)
				assert.Contains(t, r.log.String(), "The rule: ", name)
				delete(unbroken, name)
			}
		})
	}
	assert.Empty(t, slices.Sorted(maps.Keys(unbroken)), "rules that no fault breaks")
}
