// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mucfr_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/mucfr"
	"github.com/xmppext/xmppext/mucfr/mucfrtest"
)

// TestModel runs as many random schedules as XMPPEXT_MUCFR says, or 500.
func TestModel(t *testing.T) {
	runs := 500
	if s := os.Getenv("XMPPEXT_MUCFR"); s != "" {
		var err error
		runs, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	first := rand.Uint64()
	for i := range uint64(runs) {
		choices := rand.New(rand.NewPCG(first, i))
		limits := mucfr.Limits{Departures: choices.IntN(20), Visitors: 1 + choices.IntN(6), Messages: 1 + choices.IntN(20)}
		err := mucfrtest.Model(choices.IntN, 60, new(mucfr.Memory), limits)
		require.NoError(t, err, "AM-18: schedule %d of seed %d", i, first)
	}
}
