// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub_test

import (
	"encoding/xml"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/bind2/hub"
	"github.com/xmppext/xmppext/mam"
)

// In a bubble time passes only if everybody waits. So a turn that waits for another
// one, or for somebody to read, takes as long as a turn may take, and who does not
// is at once at the end.
func TestNobodyWaits(t *testing.T) {
	const (
		writers  = 4 // of each account
		messages = 100
	)
	synctest.Test(t, func(t *testing.T) {
		h := &hub.Hub{Archive: &mam.Memory{MaxItems: 1 << 20}, Offline: new(hub.MemoryOffline), QueueSize: 2}
		start := time.Now()
		both := [2]jid.JID{romeo, juliet.Bare()}
		h.Local = func(jid.JID) bool { return true }
		var all sync.WaitGroup
		for n := range both {
			own, other := both[n], both[1-n]
			for range writers {
				all.Go(func() {
					for i := range messages {
						r := h.NewResource()
						_, err := h.Bind(r.Context(t.Context()), bind2.Request{Account: own, Protocol: bind2.Early, Carbons: true})
						if !assert.NoError(t, err) {
							return
						}
						for _, to := range []jid.JID{other, own, other} {
							err := r.Send(t.Context(), note(to, fmt.Sprint(i)))
							// It has lost its session because it does not read.
							if err != nil && !assert.ErrorIs(t, err, hub.ErrSlow) {
								return
							}
						}
						assert.NoError(t, r.Close())
					}
				})
			}
		}
		all.Wait()
		assert.Zero(t, time.Since(start), "somebody has waited")
		assert.Zero(t, h.Accounts())
		for _, account := range both {
			_, last, err := h.Archive.Ends(t.Context(), account)
			require.NoError(t, err)
			assert.Positive(t, last.Position)
		}
	})
}

// note returns a message to somebody.
func note(to jid.JID, body string) xml.TokenReader {
	return xml.NewDecoder(strings.NewReader(fmt.Sprintf(`<message xmlns="jabber:client" type="chat" to="%s"><body>%s</body></message>`, to, body)))
}
