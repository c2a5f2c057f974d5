// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/mucfr"
	"github.com/xmppext/xmppext/mucfr/mucfrtest"
)

// TestModel runs as many random schedules as XMPPEXT_MUCFR says, or 500. What has failed is
// run again by its seed in XMPPEXT_MUCFR_SEED.
func TestModel(t *testing.T) {
	number := func(name string, otherwise uint64) uint64 {
		s := os.Getenv(name)
		if s == "" {
			return otherwise
		}
		n, err := strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
		return n
	}
	runs, first := number("XMPPEXT_MUCFR", 500), number("XMPPEXT_MUCFR_SEED", rand.Uint64())
	synctest.Test(t, func(t *testing.T) {
		for i := range runs {
			choices := rand.New(rand.NewPCG(first, i))
			limits := mucfr.Limits{Departures: choices.IntN(20), Visitors: 1 + choices.IntN(6), Messages: 1 + choices.IntN(20)}
			if choices.IntN(4) == 0 {
				limits.Age = time.Hour
			}
			err := mucfrtest.Model(choices.IntN, 60, new(mucfr.Memory), limits)
			require.NoError(t, err, "AM-18: schedule %d of seed %d", i, first)
		}
	})
}
