// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/quickstart"
)

func TestKeeperHandle(t *testing.T) {
	for _, roster := range []bool{false, true} {
		name := "who waits for an answer learns that the session has ended"
		if roster {
			name += ", of a session that takes in something by itself"
		}
		inBubble(t, name, func(t *testing.T) {
			w := newWorld(t, newHouse().serve)
			d := newDialer(w)
			d.Roster = roster
			k := keep(t, d, func(k *quickstart.Keeper) {
				k.Handle = func(ctx context.Context, s *quickstart.Session) error {
					served := make(chan error, 1)
					go func() { served <- s.Serve(nil) }()
					<-ctx.Done()
					return errors.Join(ctx.Err(), <-served)
				}
			})
			time.Sleep(time.Hour)
			require.Empty(t, k.told(), "a session that is served goes on")
			w.cut()
			time.Sleep(time.Second)
			require.Len(t, k.told(), 1)
			assert.ErrorIs(t, k.told()[0].err, context.Canceled)
		})
	}
}
