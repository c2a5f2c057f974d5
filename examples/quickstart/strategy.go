// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"

	"mellium.im/sasl"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/pipelining"
)

// A strategy is one way of logging in.
type strategy struct {
	name   string // in its group
	client client
	server string // "stock", "ours" or "remote"
	mech   sasl.Mechanism
	resume bool
	target target
	warm   bool // one login more, without delay, comes first and is not counted
	absent bool // the server does not offer the mechanism
}

// group names the strategies that can be compared with each other.
func (s strategy) group() string { return tlsName(s.target.direct) + ", " + s.mech.Name }

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

		for _, s := range []strategy{
			{name: "stock both ends", client: stockClient, server: "stock", target: stock},
			{name: "stock client", client: stockClient, server: "ours", target: ours},
			{name: "paced", client: pacedClient, server: "ours", target: ours},
			{name: "pipelined", client: fullClient, server: "ours", target: ours},
			{name: "pipelined, resumed", client: fullClient, server: "ours", target: resuming, resume: true},
		} {
			s.mech, s.warm = sasl.Plain, true
			strategies = append(strategies, s)
		}
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
	offered, pipelined, err := to.probe(ctx, opts.rtt)
	if err != nil {
		return nil, fmt.Errorf("asking what the server offers: %w", err)
	}

	rep := &report{rtt: opts.rtt, runs: opts.runs, addr: opts.addr, account: opts.account, advertised: pipelined}
	var strategies []strategy
	for _, m := range []sasl.Mechanism{sasl.ScramSha256, sasl.ScramSha1, sasl.Plain} {
		for _, s := range []strategy{
			{name: "stock client", client: stockClient},
			{name: "paced", client: pacedClient},
			{name: "pipelined", client: fullClient},
		} {
			s.server, s.mech, s.target = "remote", m, to
			s.absent = !slices.Contains(offered, m.Name)
			strategies = append(strategies, s)
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
	r := row{strategy: s}
	if s.absent {
		r.status = notOffered
		return r
	}
	if s.warm {
		note("warming up")
		if _, err := s.target.login(ctx, 0, s.client, s.mech); err != nil {
			r.fail(opts, err)
			return r
		}
	}
	for n := range opts.runs {
		note(fmt.Sprintf("run %d", n+1))
		got, err := s.target.login(ctx, opts.rtt, s.client, s.mech)
		if err == nil && got.resumed != s.resume {
			err = fmt.Errorf("TLS session resumed: %t", got.resumed)
		}
		if err != nil {
			r.fail(opts, err)
			return r
		}
		r.samples = append(r.samples, got)
	}
	return r
}

// fail notes why a login has failed.
func (r *row) fail(opts options, err error) {
	r.status, r.err = failed, opts.presentable(err)
	if errors.Is(err, pipelining.ErrMispredicted) && r.strategy.server == "remote" {
		r.status = lost
	}
}
