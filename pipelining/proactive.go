// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining

import (
	"crypto/tls"
	"encoding/xml"
	"fmt"
	"maps"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"
)

// answerAhead lets the inner negotiator answer, behind the TLS handshake, the
// header that the client is going to send: XEP-0305, step 4.
//
// The header from before TLS stands in for it.
// It must end in the same answer, so the true one is compared and then passed
// over.
func (n *negotiation) answerAhead(t *tls.Conn) error {
	// Not before the client's Finished: until then its hello may be a replay, with
	// nobody there who could read the answer.
	if err := t.Handshake(); err != nil {
		return err
	}
	assumed, err := parseTag(n.header)
	if err != nil {
		return fmt.Errorf("pipelining: stream header: %w", stream.NotWellFormed)
	}
	n.assumed = &assumed
	n.top.in.prepend(n.header)
	n.header = nil
	return nil
}

// sameHeader compares the header that was answered with the one that came.
// A client may say within TLS who it wants to be; it may not change its mind.
func (n *negotiation) sameHeader(assumed rawTag, raw []byte) error {
	came, err := parseTag(raw)
	if err != nil {
		return fmt.Errorf("pipelining: stream header: %w", stream.NotWellFormed)
	}
	if came.Name != assumed.Name || came.get("version") != assumed.get("version") || !maps.Equal(came.namespaces(), assumed.namespaces()) {
		return fmt.Errorf("pipelining: the stream header changed behind TLS: %w", stream.BadFormat)
	}
	if came.get("to") != assumed.get("to") {
		return fmt.Errorf("pipelining: the stream header named another host before TLS: %w", stream.HostUnknown)
	}
	from := came.get("from")
	switch {
	case from == "" || from == assumed.get("from"):
		return nil
	case assumed.get("from") != "":
		return fmt.Errorf("pipelining: the stream header named another account before TLS: %w", stream.InvalidFrom)
	}
	j, err := jid.Parse(from)
	if err != nil {
		return fmt.Errorf("pipelining: stream header: %w", stream.ImproperAddressing)
	}
	n.in.From, n.out.To = j, j
	return nil
}

// namespaces returns the namespaces that are declared, by prefix.
func (t rawTag) namespaces() map[string]string {
	m := make(map[string]string)
	for _, a := range t.Attr {
		if a.Name.Space == "xmlns" || a.Name == (xml.Name{Local: "xmlns"}) {
			m[a.Name.Local] = a.Value
		}
	}
	return m
}
