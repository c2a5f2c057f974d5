// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxTargets is how many of the addresses that DNS names are tried. Services have
// two or three.
const maxTargets = 8

// latecomers is how long the addresses of other hosts are waited for once those of
// one host are known: as long as would be waited for a connection to that.
const latecomers = stagger

// ErrNoService means that a domain says by DNS that it has no XMPP service, or none of
// the kind of TLS that is asked for.
var ErrNoService = errors.New("quickstart: the domain has no such service")

// Resolver is what DNS is asked by. A [net.Resolver] is one.
type Resolver interface {
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Security says which kinds of TLS may be used.
type Security uint8

// The kinds of TLS.
const (
	Any       Security = iota // whatever the domain prefers
	DirectTLS                 // from the first byte on (XEP-0368)
	StartTLS                  // within the stream (RFC 6120, section 5)
)

// target is where a server may be reached.
type target struct {
	Host     string
	Port     uint16
	Direct   bool
	Priority uint16 // of the SRV record: less comes first
}

// resolve returns where the server of a domain may be reached, in the order in which
// to try (XEP-0368, section 3). Pick returns a number below n; it decides among
// records of the same priority by their weight (RFC 2782).
//
// Failed is not nil if DNS did not answer all that it was asked. What was found may be
// tried then (RFC 6120, section 3.2.1), but is nothing to be remembered.
func resolve(ctx context.Context, r Resolver, domain string, want Security, pick func(n int) int) (targets []target, failed, err error) {
	type answer struct {
		records []*net.SRV
		err     error
	}
	var (
		answers [2]answer
		wait    sync.WaitGroup
	)
	for i, service := range []string{"xmpp-client", "xmpps-client"} {
		if want == DirectTLS && i == 0 || want == StartTLS && i == 1 {
			continue
		}
		wait.Go(func() {
			_, answers[i].records, answers[i].err = r.LookupSRV(ctx, service, "tcp", domain)
		})
	}
	wait.Wait()
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	var (
		records []record
		denied  bool
	)
	for i, a := range answers {
		if a.err != nil && !notFound(a.err) && len(a.records) == 0 {
			failed = errors.Join(failed, a.err)
		}
		for _, s := range a.records {
			if s.Target == "." {
				denied = true
				continue
			}
			records = append(records, record{s, i == 1})
		}
	}
	switch {
	case len(records) > 0:
		return order(records, pick), failed, nil
	case denied && failed != nil:
		return nil, failed, fmt.Errorf("looking up the service of %s: %w", domain, failed)
	case denied:
		// Whatever the domain's own addresses are, they are not to be tried.
		return nil, nil, fmt.Errorf("%w: %s", ErrNoService, domain)
	case want == DirectTLS:
		return []target{{Host: domain, Port: 5223, Direct: true}}, failed, nil
	}
	return []target{{Host: domain, Port: 5222}}, failed, nil
}

// notFound reports whether DNS has said that there is no such thing, as opposed to
// having said nothing.
func notFound(err error) bool {
	var missing *net.DNSError
	return errors.As(err, &missing) && missing.IsNotFound
}

type record struct {
	*net.SRV
	direct bool
}

// order sorts records by priority, and within one at random by weight.
func order(records []record, pick func(n int) int) []target {
	slices.SortStableFunc(records, func(a, b record) int { return int(a.Priority) - int(b.Priority) })
	var targets []target
	for len(records) > 0 && len(targets) < maxTargets {
		same := 1
		for same < len(records) && records[same].Priority == records[0].Priority {
			same++
		}
		sum := 0
		for _, r := range records[:same] {
			sum += int(r.Weight)
		}
		i := 0
		if sum > 0 {
			n := pick(sum)
			for n >= int(records[i].Weight) {
				n -= int(records[i].Weight)
				i++
			}
		} else {
			i = pick(same)
		}
		r := records[i]
		records = slices.Delete(records, i, i+1)
		targets = append(targets, target{Host: strings.TrimSuffix(r.Target, "."), Port: r.Port, Direct: r.direct, Priority: r.Priority})
	}
	return targets
}

func random(n int) int { return rand.IntN(n) }

// addresses returns the addresses of all hosts, which are asked for at the same time.
// Those of hosts that take much longer than others are done without. Missing says
// which hosts have none, and failed is not nil if DNS did not answer for all of them.
func addresses(ctx context.Context, r Resolver, targets []target) (addrs map[string][]netip.Addr, missing, failed error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		host  string
		addrs []netip.Addr
		err   error
	}
	answers := make(chan answer)
	asked := make(map[string]bool)
	for _, t := range targets {
		if !asked[t.Host] {
			asked[t.Host] = true
			go func() {
				found, err := r.LookupNetIP(ctx, "ip", t.Host)
				answers <- answer{t.Host, found, err}
			}()
		}
	}
	addrs = make(map[string][]netip.Addr)
	var late <-chan time.Time
	for range asked {
		var a answer
		select {
		case a = <-answers:
		case <-late:
			cancel()
			late = nil
			a = <-answers
		}
		switch {
		case a.err != nil && notFound(a.err):
			missing = errors.Join(missing, a.err)
		case a.err != nil:
			failed = errors.Join(failed, a.err)
		case len(a.addrs) > 0:
			addrs[a.host] = a.addrs
			if late == nil && ctx.Err() == nil {
				timer := time.NewTimer(latecomers)
				defer timer.Stop()
				late = timer.C
			}
		}
	}
	return addrs, missing, failed
}

// interleave puts addresses of both families in turn, the kind of the first one
// first (RFC 8305, section 4).
func interleave(addrs []netip.Addr) []netip.Addr {
	var first, second []netip.Addr
	for _, a := range addrs {
		if a.Unmap().Is4() == addrs[0].Unmap().Is4() {
			first = append(first, a)
		} else {
			second = append(second, a)
		}
	}
	var all []netip.Addr
	for i := range max(len(first), len(second)) {
		if i < len(first) {
			all = append(all, first[i])
		}
		if i < len(second) {
			all = append(all, second[i])
		}
	}
	return all
}
