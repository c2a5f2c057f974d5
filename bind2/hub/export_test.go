// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package hub

// Accounts returns how many accounts a hub knows something of.
func (h *Hub) Accounts() int {
	n := 0
	for i := range h.accounts.shards {
		s := &h.accounts.shards[i]
		s.mu.Lock()
		n += len(s.accounts)
		s.mu.Unlock()
	}
	return n
}
