// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"mellium.im/xmpp/jid"
)

const (
	// stagger is how long one connection is waited for before another one is tried
	// beside it (RFC 8305, section 5).
	stagger = 250 * time.Millisecond

	// maxAddresses is how many addresses are tried in all.
	maxAddresses = 16

	// dnsTime is how long what DNS has said is used without asking again, and
	// dnsRefresh from when on it is asked again for the next time. The resolver of Go
	// does not tell how long an answer is good.
	dnsTime    = time.Hour
	dnsRefresh = dnsTime / 2

	// dnsDenied is how long a domain is believed that it has no service.
	dnsDenied = 5 * time.Minute
)

// endpoint is where a connection may be made to.
type endpoint struct {
	Addr     string `json:"addr"` // host:port, the host commonly an IP address
	Direct   bool   `json:"direct"`
	Priority uint16 `json:"priority,omitempty"` // of its SRV record
}

// is reports whether two endpoints are the same place.
func (e endpoint) is(other endpoint) bool { return e.Addr == other.Addr && e.Direct == other.Direct }

// places is what is remembered of a domain.
type places struct {
	Asked     time.Time  `json:"asked"`
	Denied    bool       `json:"denied,omitempty"` // the domain says that it has no service
	Endpoints []endpoint `json:"endpoints,omitempty"`
}

// good reports whether places may be used without asking DNS.
func (p places) good(now time.Time) bool {
	age := now.Sub(p.Asked)
	if p.Denied {
		return age >= 0 && age < dnsDenied
	}
	return age >= 0 && age < dnsTime && len(p.Endpoints) > 0 && len(p.Endpoints) <= maxAddresses
}

func (l *login) placesKey() Key {
	return Key{Name: fmt.Sprintf("dns/%d/%s", l.d.Security, l.account.Domainpart())}
}

// find makes a connection to where the domain's server is.
func (l *login) find(ctx context.Context, dial dialFunc) (net.Conn, endpoint, error) {
	known := l.places(ctx)
	if known.Denied {
		return nil, endpoint{}, fmt.Errorf("%w: %s", ErrNoService, l.account.Domainpart())
	}
	if len(known.Endpoints) > 0 {
		works := make(chan endpoint, 1)
		if time.Since(known.Asked) > dnsRefresh {
			l.refresh(ctx, works)
		}
		done := l.phase("tcp")
		conn, where, err := race(ctx, dial, known.Endpoints)
		done()
		if err == nil {
			works <- where
			l.remembered = true
			return conn, where, nil
		}
		close(works)
		if ctx.Err() != nil {
			return nil, endpoint{}, err
		}
		l.forgetPlaces(ctx)
	}
	found, keep, err := l.look(ctx)
	if err != nil {
		return nil, endpoint{}, err
	}
	done := l.phase("tcp")
	conn, where, err := race(ctx, dial, found)
	done()
	if err == nil && keep {
		l.remember(ctx, places{Endpoints: first(found, where.is)})
	}
	return conn, where, err
}

// places returns what is remembered and still good, or the zero value.
func (l *login) places(ctx context.Context) places {
	var known places
	b, err := l.cache.Get(ctx, l.placesKey())
	if err != nil {
		l.d.log(ctx, "the cache failed", "err", err)
	}
	if err != nil || b == nil || json.Unmarshal(b, &known) != nil || !known.good(time.Now()) {
		return places{}
	}
	return known
}

// forgetPlaces makes the next login ask DNS.
func (l *login) forgetPlaces(ctx context.Context) {
	if err := l.cache.Delete(ctx, jid.JID{}, l.placesKey().Name); err != nil {
		l.d.log(ctx, "the cache failed", "err", err)
	}
}

// remember keeps what DNS has said just now.
func (l *login) remember(ctx context.Context, p places) {
	p.Asked = time.Now()
	b, err := json.Marshal(p)
	if err == nil {
		err = l.cache.Put(ctx, l.placesKey(), b)
	}
	if err != nil {
		l.d.log(ctx, "the cache failed", "err", err)
	}
}

// first returns endpoints, the one that is good in front.
func first(endpoints []endpoint, good func(endpoint) bool) []endpoint {
	i := slices.IndexFunc(endpoints, good)
	if i < 0 {
		return endpoints
	}
	return append([]endpoint{endpoints[i]}, slices.Delete(slices.Clone(endpoints), i, i+1)...)
}

// refresh asks DNS again while the login goes on; if that is done first, the next one
// asks. What works now goes before others of its priority, but not before those that
// the domain prefers: they may be back. If works is closed nothing does, and whoever
// closes it asks for himself.
func (l *login) refresh(ctx context.Context, works <-chan endpoint) {
	l.background.Go(func() {
		quiet := &login{d: l.d, account: l.account, cache: l.cache, begun: l.begun, silent: true}
		found, keep, err := quiet.look(ctx)
		where, ok := <-works
		if err != nil || !keep || !ok {
			return
		}
		if i := slices.IndexFunc(found, where.is); i >= 0 {
			e := found[i]
			same := slices.IndexFunc(found, func(other endpoint) bool { return other.Priority == e.Priority })
			found = slices.Insert(slices.Delete(found, i, i+1), same, e)
		}
		quiet.remember(ctx, places{Endpoints: found})
	})
}

// look asks DNS, and reports whether it has said all there is, so that this may be
// remembered.
func (l *login) look(ctx context.Context) (found []endpoint, keep bool, err error) {
	defer l.phase("dns")()
	var r Resolver = net.DefaultResolver
	if l.d.Resolver != nil {
		r = l.d.Resolver
	}
	targets, failed, err := resolve(ctx, r, l.account.Domainpart(), l.d.Security, random)
	if err != nil {
		if errors.Is(err, ErrNoService) {
			l.remember(ctx, places{Denied: true})
		}
		return nil, false, err
	}
	addrs, missing, unknown := addresses(ctx, r, targets)
	for _, t := range targets {
		for _, a := range interleave(addrs[t.Host]) {
			if len(found) < maxAddresses {
				at := netip.AddrPortFrom(a.Unmap(), t.Port)
				found = append(found, endpoint{Addr: at.String(), Direct: t.Direct, Priority: t.Priority})
			}
		}
	}
	failed = errors.Join(failed, unknown)
	if len(found) == 0 {
		if failed = errors.Join(failed, missing); failed == nil {
			failed = errors.New("there is no address")
		}
		return nil, false, fmt.Errorf("looking up the service of %s: %w", l.account.Domainpart(), failed)
	}
	return found, failed == nil, nil
}

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// race connects to the first of endpoints that answers. Each gets a head start before
// the next (RFC 8305, section 5). Those that lose are ended and closed before race
// returns.
func race(ctx context.Context, dial dialFunc, endpoints []endpoint) (net.Conn, endpoint, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		conn  net.Conn
		where endpoint
		err   error
	}
	results := make(chan result)
	started, running := 0, 0
	start := func() {
		where := endpoints[started]
		started++
		running++
		go func() {
			conn, err := dial(ctx, "tcp", where.Addr)
			results <- result{conn, where, err}
		}()
	}
	timer := time.NewTimer(stagger)
	defer timer.Stop()
	var (
		won    result
		errs   []error
		closed = ctx.Done()
	)
	start()
	for running > 0 {
		select {
		case r := <-results:
			running--
			switch {
			case r.err != nil:
				errs = append(errs, r.err)
				if won.conn == nil && started < len(endpoints) && ctx.Err() == nil {
					start()
					timer.Reset(stagger)
				}
			case won.conn == nil:
				won = r
				cancel()
				closed = nil
			default:
				_ = r.conn.Close()
			}
		case <-timer.C:
			if won.conn == nil && started < len(endpoints) && ctx.Err() == nil {
				start()
				timer.Reset(stagger)
			}
		case <-closed:
			closed = nil // The dials end by themselves.
		}
	}
	if won.conn == nil {
		return nil, endpoint{}, errors.Join(append(errs, ctx.Err())...)
	}
	return won.conn, won.where, nil
}
