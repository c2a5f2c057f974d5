// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/component"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/examples/mucroom/groupchat"
)

const (
	// attachTimeout is how long a server may take to accept the component.
	attachTimeout = 10 * time.Second

	// writeTimeout is how long it may read nothing.
	writeTimeout = 30 * time.Second

	// closeTimeout is how long it may take to end the stream.
	closeTimeout = 5 * time.Second

	// writeSize is about how many bytes are written at once.
	writeSize = 64 << 10
)

// A link is a stream to a server by which a service has its domain.
type link struct {
	conn    net.Conn
	session *xmpp.Session
	service *groupchat.Service
	queue   *queue
	done    chan struct{} // closed when nothing is written any more
}

// attach begins a stream on a connection, and closes the connection if it cannot.
func attach(ctx context.Context, conn net.Conn, domain jid.JID, secret []byte) (*xmpp.Session, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	err := conn.SetDeadline(time.Now().Add(attachTimeout))
	var session *xmpp.Session
	if err == nil {
		session, err = component.NewSession(ctx, domain, secret, conn)
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("attaching: %w", err)
	}
	return session, nil
}

// serve serves the service until the stream ends, or until the context does: then
// everybody is told that there is no service any more. It closes the connection.
func (l *link) serve(ctx context.Context) error {
	read := make(chan error, 1)
	go func() { read <- l.read() }()
	err := l.write(ctx, read)
	if err != nil || ctx.Err() == nil {
		close(l.done)
		_ = l.conn.Close()
		return errors.Join(err, <-read)
	}
	l.service.Shutdown()
	err = errors.Join(l.flush(), l.conn.SetDeadline(time.Now().Add(closeTimeout)), l.session.Close())
	close(l.done)
	if err != nil {
		_ = l.conn.Close()
	}
	return errors.Join(err, <-read, l.conn.Close())
}

// write sends what is in the queue, until the reader or the context ends.
func (l *link) write(ctx context.Context, read chan error) error {
	for {
		if err := l.flush(); err != nil {
			return err
		}
		select {
		case <-l.queue.filled:
		case err := <-read:
			read <- nil
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

// flush writes what is in the queue.
func (l *link) flush() error {
	var b []byte
	for all := l.queue.take(); len(all) > 0; all = l.queue.take() {
		for _, s := range all {
			if b = s.AppendXML(b); len(b) < writeSize {
				continue
			}
			if err := l.send(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	if len(b) == 0 {
		return nil
	}
	return l.send(b)
}

// send writes whole stanzas, between those that the session itself may write.
func (l *link) send(b []byte) error {
	w := l.session.TokenWriter()
	defer w.Close()
	if err := w.Flush(); err != nil {
		return err
	}
	if err := l.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := l.session.Conn().Write(b)
	return err
}

// read gives the service all stanzas that come in. It takes the place of the session's
// Serve, which answers requests itself that a handler has not answered when it
// returns, so that they could not be passed on to an occupant who will answer.
func (l *link) read() error {
	r := l.session.TokenReader()
	defer r.Close()
	for {
		l.queue.wait(l.done)
		t, err := r.Token()
		if errors.Is(err, io.EOF) {
			return nil // The server has ended the stream.
		}
		if err != nil {
			return fmt.Errorf("reading: %w", err)
		}
		start, ok := t.(xml.StartElement)
		if !ok {
			continue // White space is between stanzas.
		}
		children := xmlstream.Inner(r)
		if stanza.Is(start.Name, component.NSAccept) {
			l.service.Handle(start, children)
		}
		if _, err := xmlstream.Copy(xmlstream.Discard(), children); err != nil {
			return fmt.Errorf("reading: %w", err)
		}
	}
}
