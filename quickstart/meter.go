// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"net"
	"sync"
)

// meter counts what goes over a connection.
type meter struct {
	net.Conn

	mu             sync.Mutex
	flights        int
	sent, received int64
	reading        bool // since the last write something was read
}

func newMeter(c net.Conn) *meter { return &meter{Conn: c, reading: true} }

// Write writes. The first write since a read begins a flight.
func (m *meter) Write(p []byte) (int, error) {
	m.mu.Lock()
	if m.reading {
		m.flights++
		m.reading = false
	}
	m.mu.Unlock()
	n, err := m.Conn.Write(p)
	m.mu.Lock()
	m.sent += int64(n)
	m.mu.Unlock()
	return n, err
}

// Read reads.
func (m *meter) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.received += int64(n)
	m.reading = m.reading || n > 0
	return n, err
}

func (m *meter) count(r *Report) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r.Flights, r.Sent, r.Received = m.flights, m.sent, m.received
}

// NetConn returns the connection below.
func (m *meter) NetConn() net.Conn { return m.Conn }
