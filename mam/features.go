// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam

import "mellium.im/xmpp/disco/info"

const (
	// nsGroupChat says that include-groupchat is understood.
	nsGroupChat = "urn:xmpp:mam:2#groupchat-field"

	// nsGroupChatStored says that messages of type groupchat are stored besides.
	nsGroupChatStored = "urn:xmpp:mam:2#groupchat-available"
)

// ForFeatures calls f for each feature that the address of an archive announces
// (XEP-0030): queries, extended queries, the field include-groupchat, and that
// messages from it have ids that can be relied on (XEP-0359).
// It returns the first error of f.
//
// It is for the address of each archive, such as an account's bare JID, which is
// not that of the server.
func (h *Handler) ForFeatures(node string, f func(info.Feature) error) error {
	if node != "" || h.Archive == nil {
		return nil
	}
	features := []string{NS, NSExtended, nsGroupChat, NSStanzaID}
	if h.GroupChat {
		features = append(features, nsGroupChatStored)
	}
	for _, ns := range features {
		if err := f(info.Feature{Var: ns}); err != nil {
			return err
		}
	}
	return nil
}
