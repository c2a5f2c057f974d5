// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package carbons_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/carbons"
)

func TestRegistry(t *testing.T) {
	phone := jid.MustParse("romeo@montague.example/phone")
	resources := []jid.JID{garden, home, phone}

	t.Run("CA-02: on and off", func(t *testing.T) {
		var r carbons.Registry
		assert.False(t, r.Enabled(garden))
		r.Set(garden, true)
		assert.True(t, r.Enabled(garden))
		assert.False(t, r.Enabled(home))
		r.Set(garden, false)
		assert.False(t, r.Enabled(garden))
		r.Set(home, false)
	})
	t.Run("a JID that is not full", func(t *testing.T) {
		var r carbons.Registry
		r.Set(romeo, true)
		assert.False(t, r.Enabled(romeo))
		err := r.Switch(t.Context(), romeo, true)
		assert.True(t, errors.Is(err, stanza.Error{Condition: stanza.NotAllowed}))
	})
	t.Run("CA-10: those that have not had it", func(t *testing.T) {
		var r carbons.Registry
		r.Set(garden, true)
		r.Set(home, true)
		assert.Equal(t, []jid.JID{home}, r.Copies(resources, []jid.JID{garden}), "not to the addressed resource")
		assert.Equal(t, []jid.JID{garden, home}, r.Copies(resources, []jid.JID{phone}))
		assert.Empty(t, r.Copies(resources, resources), "to all of them")
	})
	t.Run("CA-12: though the sender has them off, and never to the sender", func(t *testing.T) {
		var r carbons.Registry
		r.Set(home, true)
		assert.Equal(t, []jid.JID{home}, r.Copies(resources, []jid.JID{phone}))
		assert.Empty(t, r.Copies(resources, []jid.JID{home}))
	})
	t.Run("CA-21: AC-09: AC-10: once for each resource", func(t *testing.T) {
		var r carbons.Registry
		for range 1000 {
			require.NoError(t, r.Switch(t.Context(), home, true))
		}
		assert.Equal(t, []jid.JID{home}, r.Copies(append(resources, resources...), []jid.JID{garden, garden}))
		require.NoError(t, r.Switch(t.Context(), home, false))
		assert.Empty(t, r.Copies(resources, nil), "however often it was turned on")
	})
	t.Run("AC-12: a resource that is gone gets nothing", func(t *testing.T) {
		var r carbons.Registry
		r.Set(home, true)
		assert.Empty(t, r.Copies([]jid.JID{garden}, nil))
	})
	t.Run("several goroutines", func(t *testing.T) {
		var (
			r  carbons.Registry
			wg sync.WaitGroup
		)
		for _, resource := range resources {
			wg.Go(func() {
				for range 100 {
					r.Set(resource, true)
					assert.Contains(t, r.Copies(resources, nil), resource)
				}
			})
		}
		wg.Wait()
	})
}
