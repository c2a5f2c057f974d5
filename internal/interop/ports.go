// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package interop

import (
	"errors"
	"net"
	"time"
)

// errPortTaken means that somebody else got a port between our choice of it and
// the server's start.
var errPortTaken = errors.New("a port was taken")

// portsFunc chooses the addresses of a server.
type portsFunc func() (starttls, direct string, err error)

// freePorts returns addresses on loopback that nobody listens at.
func freePorts() (starttls, direct string, err error) {
	var addrs [2]string
	for i := range addrs {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", "", err
		}
		defer l.Close() // not before the other is open, so that they differ
		addrs[i] = l.Addr().String()
	}
	return addrs[0], addrs[1], nil
}

// accepts reports whether somebody accepts connections at addr.
func accepts(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// port returns the port of a host:port.
func port(addr string) (string, error) {
	_, port, err := net.SplitHostPort(addr)
	return port, err
}
