// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining

import (
	"io"

	"mellium.im/xmpp"
	"mellium.im/xmpp/stream"
)

// FeaturesFollow tells the negotiation that runs on c that a client has its address,
// and that all that is left is to read a list of features: the one that follows on
// SASL2's success with a resource bound in it (XEP-0388, section 2.6.1).
//
// A feature calls it in place of returning Ready, and leaves the list unread.
// The session then knows these features, none is negotiated, and it is ready.
// Features that know nothing of this package find it by an interface:
//
//	if f, ok := session.Conn().(interface{ FeaturesFollow() }); ok {
//		f.FeaturesFollow()
//	}
//
// It does nothing if no [Negotiator] runs on c, and on a server.
func (c *Conn) FeaturesFollow() {
	if n := c.in.owner; n != nil && !n.server {
		n.follows = true
	}
}

// Negotiating reports whether a [Negotiator] runs on c. Without one, Authenticated
// fails, and FeaturesFollow and RefuseSpace do nothing.
func (c *Conn) Negotiating() bool { return c.in.owner != nil }

// RefuseSpace says whether white space between elements ends the negotiation that
// runs on c, as it does while SASL2 is under way (XEP-0388, section 2.5), or is
// passed over as it is otherwise.
// It is called between two elements, by the feature that reads them.
func (c *Conn) RefuseSpace(yes bool) {
	if c.in.scan != nil {
		c.in.scan.tight = yes
	}
}

// beforeTail makes ready for a list of features that mellium reads behind a stream
// header only: the last one, again.
func (n *negotiation) beforeTail() io.ReadWriter {
	n.follows, n.tail = false, true
	n.top.in.replay = n.header
	return n.top
}

// readTail reads the list of features, and ends the negotiation.
func (n *negotiation) readTail(in, out *stream.Info, s *xmpp.Session) (xmpp.SessionState, io.ReadWriter, error) {
	claimed := *in
	known := xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig { return xmpp.StreamConfig{} })
	c, ahead := n.cache.(*client)
	bound, peer, self := s.LocalAddr(), in.From, n.origin
	if ahead {
		known, self = c.known, n.origin.Bare()
	}
	// The header is an old one, from before the address was bound.
	in.To, out.From = self, self
	n.top.swallowNext(true)
	_, _, _, err := known(n.watch.ctx, in, out, s, nil)
	in.To, out.From, in.From = bound, bound, peer
	if err != nil && !isNothingKnown(err) {
		in.To, out.From = n.origin, n.origin // It came to nothing.
		if ahead {
			err = judge(err)
		}
		return 0, nil, n.fail(err, claimed)
	}
	if err := n.finish(s); err != nil {
		in.To, out.From = n.origin, n.origin
		return 0, nil, n.fail(err, claimed)
	}
	return xmpp.Ready, nil, nil
}
