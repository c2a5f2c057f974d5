// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"context"
	"errors"
	"log"
	"math/rand/v2"
	"net"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"

	"github.com/xmppext/xmppext/examples/mucroom/groupchat"
)

// How long to wait before the next attempt: twice as long each time, and somewhat more
// or less so that components of a server that comes back do not all come at once.
const (
	firstWait = 500 * time.Millisecond
	longWait  = time.Minute
)

// A host attaches a service to its server.
type host struct {
	dial    func(context.Context) (net.Conn, error)
	domain  jid.JID
	secret  []byte
	service *groupchat.Service
	queue   *queue
	log     *log.Logger
}

// stay attaches the service again and again until the context ends, which is no error. It
// is one if the server does not take the secret.
func (h *host) stay(ctx context.Context) error {
	wait := firstWait
	for {
		attached, err := h.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, stream.NotAuthorized) {
			return err
		}
		if attached {
			wait = firstWait
			// Whatever was to be sent is not known to have arrived.
			h.service.Lost()
			h.queue.take()
		}
		pause := wait/2 + rand.N(wait)
		h.log.Printf("%v; trying again in %v", err, pause.Round(time.Millisecond))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		wait = min(2*wait, longWait)
	}
}

// once attaches the service until the stream ends, and reports whether it was attached.
func (h *host) once(ctx context.Context) (bool, error) {
	conn, err := h.dial(ctx)
	if err != nil {
		return false, err
	}
	session, err := attach(ctx, conn, h.domain, h.secret)
	if err != nil {
		return false, err
	}
	h.log.Printf("attached as %s", h.domain)
	h.service.Attached()
	l := &link{conn: conn, session: session, service: h.service, queue: h.queue, done: make(chan struct{})}
	if err = l.serve(ctx); err == nil {
		err = errors.New("the server has ended the stream")
	}
	return true, err
}
