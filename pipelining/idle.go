// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining

import (
	"encoding/xml"
	"io"

	"mellium.im/xmpp"
	"mellium.im/xmpp/stream"
)

// An idle stream is between its features and its first stanza.
type idle struct{ in, out stream.Info }

// suspend ends the inner negotiator's wait for a feature on a stream between
// servers, where none comes.
// The decoder that was waiting is spent: a new one reads the header again.
func (n *negotiation) suspend() (xmpp.SessionState, io.ReadWriter, error) {
	n.idle = &idle{*n.in, *n.out}
	n.top.in.stopIdle = false
	n.top.in.prepend(n.header)
	return 0, n.top, nil
}

// resume makes a suspended stream ready.
func (n *negotiation) resume(s *xmpp.Session) (xmpp.SessionState, io.ReadWriter, error) {
	*n.in, *n.out = n.idle.in, n.idle.out
	r := s.TokenReader()
	defer r.Close()
	for {
		tok, err := r.Token()
		if err != nil {
			return 0, nil, n.fail(err, *n.in)
		}
		if _, ok := tok.(xml.StartElement); !ok {
			continue
		}
		if err := n.finish(s); err != nil {
			return 0, nil, n.fail(err, *n.in)
		}
		return xmpp.Ready, nil, nil
	}
}
