// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamtest_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/mam"
	"github.com/xmppext/xmppext/mam/mamtest"
)

func TestRunRandom(t *testing.T) {
	mamtest.RunRandom(t, new(mam.Memory))

	for name, broken := range map[string]func() mamtest.Full{
		"pages are not flipped":      func() mamtest.Full { return unflipped{new(mam.Memory)} },
		"one more is pruned":         func() mamtest.Full { return overPruned{new(mam.Memory)} },
		"what is read stays unread":  func() mamtest.Full { return unreadStays{new(mam.Memory)} },
		"group chat is not left out": func() mamtest.Full { return groupChatStays{new(mam.Memory)} },
	} {
		t.Run(name, func(t *testing.T) {
			r := &record{TB: t}
			for range 20 { // One run need not come across it.
				var done sync.WaitGroup
				done.Go(func() { mamtest.RunRandom(r, broken()) })
				done.Wait()
				if r.Failed() {
					return
				}
			}
			assert.Fail(t, "no run has found it")
		})
	}
}

type unflipped struct{ *mam.Memory }

func (s unflipped) Query(ctx context.Context, archive jid.JID, q mam.Query, yield func(mam.Item) error) (mam.Page, error) {
	q.Flip = false
	return s.Memory.Query(ctx, archive, q, yield)
}

type overPruned struct{ *mam.Memory }

func (s overPruned) Prune(ctx context.Context, archive jid.JID, before time.Time, keep int64) (int64, error) {
	return s.Memory.Prune(ctx, archive, before.Add(5*time.Second), keep)
}

type unreadStays struct{ *mam.Memory }

func (s unreadStays) Read(context.Context, jid.JID, jid.JID, string) (bool, error) { return false, nil }

type groupChatStays struct{ *mam.Memory }

func (s groupChatStays) Query(ctx context.Context, archive jid.JID, q mam.Query, yield func(mam.Item) error) (mam.Page, error) {
	q.WithoutGroupChat = false
	return s.Memory.Query(ctx, archive, q, yield)
}
