// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
)

// asConn returns rw as a Conn. What rw lacks to a net.Conn it has from prev.
func asConn(rw io.ReadWriter, prev *Conn) *Conn {
	switch c := rw.(type) {
	case *Conn:
		return c
	case net.Conn:
		return NewConn(c)
	}
	return NewConn(layer{prev: prev, Conn: prev, rw: rw})
}

// A layer is a connection whose bytes go through rw, such as compression.
type layer struct {
	prev *Conn
	net.Conn
	rw io.ReadWriter
}

func (l layer) NetConn() net.Conn           { return l.Conn }
func (l layer) Read(p []byte) (int, error)  { return l.rw.Read(p) }
func (l layer) Write(p []byte) (int, error) { return l.rw.Write(p) }

func (l layer) Close() error {
	var err error
	if c, ok := l.rw.(io.Closer); ok {
		err = c.Close()
	}
	return errors.Join(err, l.Conn.Close())
}

func (l layer) ConnectionState() tls.ConnectionState { return l.prev.ConnectionState() }
