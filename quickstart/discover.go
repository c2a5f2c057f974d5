// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"context"
	"crypto/rand"
	"encoding/xml"
	"errors"
	"fmt"
	"sync"

	"mellium.im/xmpp"
	"mellium.im/xmpp/disco"
)

// ErrNotDiscovered means that the Dialer was not told to discover.
var ErrNotDiscovered = errors.New("quickstart: the session does not know what the server can do")

// discovery is what the server can do, once that is known.
type discovery struct {
	once  sync.Once
	known chan struct{}
	info  disco.Info // and err, before known is closed
	err   error
}

func newDiscovery() *discovery { return &discovery{known: make(chan struct{})} }

func (d *discovery) finish(info disco.Info, err error) {
	d.once.Do(func() {
		d.info, d.err = info, err
		close(d.known)
	})
}

// Server returns what the server can do, as it was kept of an earlier login if the
// server still tells the same hash, or else as it has answered now. It waits for the
// answer, which comes while [Session.Serve] runs. The caller must not change what is
// in the Info.
//
// If the error is [ErrUnverified], the Info is what the server has said. Others are
// [ErrNotDiscovered], the server's [mellium.im/xmpp/stanza.Error], [ErrNoAnswer] and that of ctx.
// If the answer is too large it is ErrUnverified without an Info.
func (s *Session) Server(ctx context.Context) (disco.Info, error) {
	if s.inbox == nil || s.inbox.discovery == nil {
		return disco.Info{}, ErrNotDiscovered
	}
	select {
	case <-s.inbox.discovery.known:
		return s.inbox.discovery.info, s.inbox.discovery.err
	default:
	}
	select {
	case <-s.inbox.discovery.known:
		return s.inbox.discovery.info, s.inbox.discovery.err
	case <-ctx.Done():
		return disco.Info{}, fmt.Errorf("quickstart: waiting for what the server can do: %w", ctx.Err())
	}
}

// capsFeature is the stream feature by which a server tells its caps. It is like
// mellium's disco.StreamFeature, but no hash ends the login.
func capsFeature() xmpp.StreamFeature {
	return xmpp.StreamFeature{
		Name: xml.Name{Space: NSCaps, Local: "c"},
		Parse: func(_ context.Context, d *xml.Decoder, start *xml.StartElement) (bool, any, error) {
			var c Caps
			err := c.UnmarshalXML(d, *start)
			return false, c, err
		},
	}
}

// maxCaps bounds what a server may tell, which is kept with each plan: the URI of a
// program and a hash. Of what it says before the client has authenticated there is a
// bound, but not of what it says then.
const maxCaps = 1 << 10

// serverCaps returns what the server tells, or the zero Caps.
func serverCaps(s *xmpp.Session) Caps {
	data, _ := s.Feature(NSCaps)
	switch c := data.(type) {
	case Caps:
		if len(c.Hash)+len(c.Node)+len(c.Ver) > maxCaps {
			return Caps{}
		}
		return c
	case disco.Caps: // The program's own feature came first.
		return Caps{Hash: c.Hash.String(), Node: c.Node, Ver: c.Ver}
	}
	return Caps{}
}

// recall reports whether it is known what the server can do.
func (b *inbox) recall(ctx context.Context) bool {
	q := b.kept.load(ctx, b.caps)
	if q == nil {
		return false
	}
	b.discovery.finish(q.info(), nil)
	return true
}

// askServer asks the server what it can do, which is what its caps are of if it has
// told any.
func (b *inbox) askServer(caps Caps) []byte {
	id := rand.Text()
	b.asked = true
	b.wait(id, question{
		take: b.takeInfo,
		lost: func() { b.discovery.finish(disco.Info{}, ErrNoAnswer) },
	})
	var node string
	if caps.node() != "" {
		node = " node='" + escaped(caps.node()) + "'"
	}
	return fmt.Appendf(nil, `<iq id='%s' type='get' to='%s'><query xmlns='%s'%s/></iq>`, id, escaped(b.server.String()), disco.NSInfo, node)
}

// takeInfo takes the answer.
func (b *inbox) takeInfo(r xml.TokenReader, start xml.StartElement) error {
	q, err := readInfo(r, start)
	switch {
	case err == nil:
	case errors.Is(err, errLimit):
		b.discovery.finish(disco.Info{}, fmt.Errorf("%w: %w", ErrUnverified, err))
		return nil
	case errors.As(err, new(refusal)):
		b.discovery.finish(disco.Info{}, fmt.Errorf("quickstart: asking the server what it can do: %w", err))
		return nil
	default:
		b.discovery.finish(disco.Info{}, ErrNoAnswer)
		return err
	}
	ctx, cancel := context.WithTimeout(b.ctx, keepTime)
	defer cancel()
	failed, err := b.kept.verifyAndKeep(ctx, b.caps, q)
	if failed != nil {
		b.log("what the server can do is not kept", failed)
	}
	b.discovery.finish(q.info(), err)
	return nil
}
