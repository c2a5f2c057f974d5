// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mam

import "mellium.im/xmpp/disco/info"

// nsGroupChat says that include-groupchat is understood.
const nsGroupChat = "urn:xmpp:mam:2#groupchat-field"

// ForFeatures calls f for each feature that the address of an archive announces
// (XEP-0030): queries, extended queries, the field include-groupchat, and that
// messages from it have ids that can be relied on (XEP-0359).
// It returns the first error of f.
func (h *Handler) ForFeatures(node string, f func(info.Feature) error) error {
	if node != "" {
		return nil
	}
	for _, ns := range []string{NS, NSExtended, nsGroupChat, NSStanzaID} {
		if err := f(info.Feature{Var: ns}); err != nil {
			return err
		}
	}
	return nil
}
