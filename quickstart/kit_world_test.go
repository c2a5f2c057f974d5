// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/quickstart"
)

var _ quickstart.Resolver = (*net.Resolver)(nil)

// A world is a network with a DNS.
type world struct {
	t testing.TB

	mu      sync.Mutex
	hosts   map[string]func(context.Context, net.Conn) // by address; nil never answers
	srv     map[string][]*net.SRV                      // by service
	addrs   map[string][]string                        // by name
	broken  map[string]error                           // by service or name: what DNS says
	slow    map[string]time.Duration                   // by service, name or address
	asked   []string                                   // services and names
	dialled []dialled
	links   []*xmpptest.Link // of connections that were made
}

// dialled is one try to connect.
type dialled struct {
	Addr string
	At   time.Duration // since the world began
	Lost bool          // it was ended before it was there
}

// newWorld returns a world with one server, at homeAddress. It must be made in the
// bubble of the test.
func newWorld(t testing.TB, home func(context.Context, net.Conn)) *world {
	w := &world{
		t: t, hosts: map[string]func(context.Context, net.Conn){homeAddress: home},
		srv: make(map[string][]*net.SRV), addrs: make(map[string][]string),
		broken: make(map[string]error), slow: make(map[string]time.Duration),
	}
	t.Cleanup(func() {
		for _, l := range w.connections() {
			_ = l.Close()
		}
	})
	return w
}

// visit sets what is at an address from now on.
func (w *world) put(address string, serve func(context.Context, net.Conn)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hosts[address] = serve
}

func (w *world) connections() []*xmpptest.Link {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.links)
}

// last returns the connection that was made last.
func (w *world) last() *xmpptest.Link {
	links := w.connections()
	if len(links) == 0 {
		w.t.Fatal("no connection was made")
	}
	return links[len(links)-1]
}

// sent returns all that clients have sent, as it was on the wire.
func (w *world) sent() string {
	var all string
	for _, l := range w.connections() {
		all += string(l.Sent(xmpptest.Client))
	}
	return all
}

func (w *world) tries() []dialled {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.dialled)
}

// questions returns what DNS was asked since the last time.
func (w *world) questions() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	asked := w.asked
	w.asked = nil
	slices.Sort(asked)
	return asked
}

// dial is for Dialer.NetDial. A connection takes a round trip, and so does a refusal.
func (w *world) dial(ctx context.Context, _, address string) (net.Conn, error) {
	w.mu.Lock()
	serve, there := w.hosts[address]
	delay := roundTrip + w.slow[address]
	i := len(w.dialled)
	w.dialled = append(w.dialled, dialled{Addr: address, At: time.Since(bubbleBegin)})
	w.mu.Unlock()
	if there && serve == nil {
		delay = 24 * time.Hour
	}
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		w.mu.Lock()
		defer w.mu.Unlock()
		w.dialled[i].Lost = true
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
	}
	if serve == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	l := xmpptest.NewLink(xmpptest.LinkConfig{AtoB: oneWay, BtoA: oneWay})
	w.mu.Lock()
	w.links = append(w.links, l)
	w.mu.Unlock()
	go serve(w.t.Context(), l.B)
	return l.A, nil
}

// bubbleBegin is when the clocks of synctest begin.
var bubbleBegin = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// LookupSRV answers what was put into the world.
func (w *world) LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error) {
	if proto != "tcp" || name != juliet.Domainpart() {
		return "", nil, errors.New("nobody should ask for " + service + " " + proto + " " + name)
	}
	if err := w.ask(ctx, service); err != nil {
		return "", nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.srv[service]) == 0 {
		return "", nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return name, slices.Clone(w.srv[service]), nil
}

// LookupNetIP answers what was put into the world.
func (w *world) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if err := w.ask(ctx, host); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []netip.Addr
	for _, a := range w.addrs[host] {
		found = append(found, netip.MustParseAddr(a))
	}
	if len(found) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return found, nil
}

// ask takes the time of a question, which is a round trip.
func (w *world) ask(ctx context.Context, what string) error {
	w.mu.Lock()
	w.asked = append(w.asked, what)
	err, delay := w.broken[what], roundTrip+w.slow[what]
	w.mu.Unlock()
	select {
	case <-time.After(delay):
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// record adds an SRV record.
func (w *world) record(service, host string, port, priority, weight uint16) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.srv[service] = append(w.srv[service], &net.SRV{Target: host, Port: port, Priority: priority, Weight: weight})
}

// name adds addresses of a name.
func (w *world) name(host string, addrs ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.addrs[host] = append(w.addrs[host], addrs...)
}

// at returns the address of an endpoint.
func at(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
