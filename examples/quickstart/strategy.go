// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/pipelining"
)

// A strategy is a way of logging in to a server.
type strategy struct {
	way
	name   string // in its group
	server string // "stock", "ours" or "remote"
	resume bool
	target target
	warm   bool // one login more, without delay, comes first and is not counted
	absent bool // the server does not offer it
}

// group names the strategies that can be compared with each other.
func (s strategy) group() string { return tlsName(s.target.direct) + ", " + family(s.mech) }

// family returns what a mechanism is called with and without channel binding.
func family(mech string) string { return strings.TrimSuffix(mech, "-PLUS") }

func tlsName(direct bool) string {
	if direct {
		return "direct TLS"
	}
	return "STARTTLS"
}

// measureLocal measures servers of its own.
func measureLocal(ctx context.Context, opts options, p *progress) (*report, error) {
	account := jid.MustParse("juliet@capulet.example")
	password := rand.Text()
	roots, cert, err := newPKI(account.Domainpart())
	if err != nil {
		return nil, err
	}

	var strategies []strategy
	for _, direct := range []bool{false, true} {
		var targets [2]target
		for i, stock := range []bool{true, false} {
			s, err := startServer(serverConfig{
				tls:      &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13},
				direct:   direct,
				stock:    stock,
				account:  account,
				password: password,
			})
			if err != nil {
				return nil, err
			}
			defer s.stop()
			targets[i] = target{
				addr:     s.addr(),
				direct:   direct,
				tls:      &tls.Config{RootCAs: roots, ServerName: account.Domainpart(), MinVersion: tls.VersionTLS13},
				account:  account,
				password: password,
				answer:   opts.answer,
			}
		}
		stock, ours := targets[0], targets[1]
		resuming := ours
		resuming.tls = ours.tls.Clone()
		resuming.tls.ClientSessionCache = tls.NewLRUClientSessionCache(1)

		with := func(name string, c client, p profile, mech string) strategy {
			return strategy{name: name, way: way{client: c, profile: p, mech: mech}, server: "ours", target: ours, warm: true}
		}
		theirs := with("stock both ends", stockClient, rfc6120, auth.Plain)
		theirs.server, theirs.target = "stock", stock
		resumed := with("pipelined, resumed", fullClient, rfc6120, auth.Plain)
		resumed.target, resumed.resume = resuming, true
		early := func(s strategy) strategy { s.early = true; return s }
		strategies = append(strategies,
			theirs,
			with("stock client", stockClient, rfc6120, auth.Plain),
			with("paced", pacedClient, rfc6120, auth.Plain),
			with("pipelined", fullClient, rfc6120, auth.Plain),
			early(with("pipelined, bind2", fullClient, rfc6120, auth.Plain)),
			resumed,

			with("stock client", stockClient, rfc6120, auth.ScramSHA256),
			with("pipelined", fullClient, rfc6120, auth.ScramSHA256),
			with("pipelined, -PLUS", fullClient, rfc6120, auth.ScramSHA256Plus),
			early(with("pipelined, bind2", fullClient, rfc6120, auth.ScramSHA256Plus)),
			with("SASL2 alone", offClient, sasl2, auth.ScramSHA256Plus),
			with("SASL2, pipelined", fullClient, sasl2, auth.ScramSHA256Plus),
			with("FAST, pipelined", fullClient, fast, auth.ScramSHA256Plus),
		)
	}
	rep := &report{rtt: opts.rtt, runs: opts.runs}
	return rep, rep.measure(ctx, opts, strategies, p)
}

// measureRemote measures the server that the user has named.
func measureRemote(ctx context.Context, opts options, p *progress) (*report, error) {
	to := target{
		addr:     opts.addr,
		direct:   opts.direct,
		tls:      &tls.Config{RootCAs: opts.roots, ServerName: opts.account.Domainpart(), MinVersion: tls.VersionTLS12},
		account:  opts.account,
		password: opts.password,
		answer:   opts.answer,
	}
	if to.direct {
		to.tls.NextProtos = []string{"xmpp-client"} // XEP-0368
	}
	p.show("asking what the server offers")
	offered, err := to.probe(ctx, opts.rtt)
	if err != nil {
		return nil, fmt.Errorf("asking what the server offers: %w", err)
	}

	rep := &report{rtt: opts.rtt, runs: opts.runs, addr: opts.addr, account: opts.account, advertised: offered.pipelined}
	var strategies []strategy
	add := func(name string, c client, p profile, mech string, there bool) {
		strategies = append(strategies, strategy{
			name: name, way: way{client: c, profile: p, mech: mech}, server: "remote", target: to,
			warm: p == fast, absent: !there,
		})
	}
	best := cmp.Or(offered.best(), auth.ScramSHA256)
	for _, mech := range []string{auth.ScramSHA256, auth.ScramSHA1, auth.Plain} {
		there := offered.has(offered.mechanisms, mech)
		add("stock client", stockClient, rfc6120, mech, there)
		add("paced", pacedClient, rfc6120, mech, there)
		add("pipelined", fullClient, rfc6120, mech, there)
		if plus := mech + "-PLUS"; mech != auth.Plain {
			there = offered.has(offered.mechanisms, plus)
			add("paced, -PLUS", pacedClient, rfc6120, plus, there)
			add("pipelined, -PLUS", fullClient, rfc6120, plus, there)
		}
		if family(best) == mech {
			there = offered.best() != ""
			add("SASL2 alone", offClient, sasl2, best, there)
			add("SASL2, paced", pacedClient, sasl2, best, there)
			add("SASL2, pipelined", fullClient, sasl2, best, there)
			there = there && offered.fast()
			add("FAST, paced", pacedClient, fast, best, there)
			add("FAST, pipelined", fullClient, fast, best, there)
		}
	}
	return rep, rep.measure(ctx, opts, strategies, p)
}

// measure runs all strategies, one after the other, and adds their rows.
func (rep *report) measure(ctx context.Context, opts options, strategies []strategy, p *progress) error {
	for i, s := range strategies {
		note := fmt.Sprintf("%d of %d  %s, %s", i+1, len(strategies), s.group(), s.name)
		rep.rows = append(rep.rows, s.measure(ctx, opts, func(run string) { p.show("%s  %s", note, run) }))
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// measure runs one strategy, until it fails.
func (s strategy) measure(ctx context.Context, opts options, note func(string)) row {
	if s.profile == fast {
		s.tokens = new(auth.MemoryCache)
		defer s.logOut(ctx)
	}
	r := row{strategy: s}
	if s.absent {
		r.status = notOffered
		return r
	}
	if s.warm {
		note("warming up")
		first := s.way
		if s.profile == fast {
			first.client = offClient // It sees which tokens there are, and asks for one.
		}
		if _, err := s.target.login(ctx, 0, first); err != nil {
			r.fail(opts, err)
			return r
		}
	}
	for n := range opts.runs {
		note(fmt.Sprintf("run %d", n+1))
		got, err := s.target.login(ctx, opts.rtt, s.way)
		if err == nil {
			err = s.check(got)
		}
		if err != nil {
			r.fail(opts, err)
			return r
		}
		r.samples = append(r.samples, got)
	}
	return r
}

// check makes sure that a login was by what it should be.
func (s strategy) check(got sample) error {
	l := got.login
	switch {
	case got.resumed != s.resume:
		return fmt.Errorf("TLS session resumed: %t", got.resumed)
	case s.client == stockClient:
		return nil // It knows nothing else.
	case (l.Profile == auth.SASL2) != (s.profile != rfc6120),
		s.profile == fast && !strings.HasPrefix(l.Mechanism, "HT-"),
		s.profile != fast && l.Mechanism != s.mech:
		return fmt.Errorf("the login went on with %s", l.Mechanism)
	}
	return nil
}

// logOut gives a token back that there may be.
func (s strategy) logOut(ctx context.Context) {
	if t, err := s.tokens.Token(ctx, s.target.account); err != nil || t.IsZero() {
		return
	}
	s.client, s.logout = offClient, true
	_, _ = s.target.login(ctx, 0, s.way) // It was not what was to be shown.
}

// fail notes why a login has failed.
func (r *row) fail(opts options, err error) {
	r.status, r.err = failed, opts.presentable(err)
	if errors.Is(err, pipelining.ErrMispredicted) && r.strategy.server == "remote" {
		r.status = lost
	}
}
