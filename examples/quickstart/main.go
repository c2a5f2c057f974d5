// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Quickstart shows how long an XMPP login takes, step by step and pipelined, with
// a password and with a token.
//
//	go run ./examples/quickstart
//
// It starts real servers on loopback, logs in to them over TCP and TLS 1.3 with
// every strategy, through a relay that takes the time of a long way, and prints
// what came of it.
// With -addr it does the same with a server that you name:
//
//	go run ./examples/quickstart -addr xmpp.example.net:5222 -jid juliet@example.net -password-file secret.txt
//
// Try -h for all flags.
//
// # What is measured
//
// A run is one login.
// Its time begins when the TCP connection stands and ends when the session is
// ready, which includes TLS.
// Then, outside of the measured time, the session has to show that it works: it
// has the account's address and a resource, and a ping is answered.
//
// A flight is what a client sends without having received anything in between.
// Flights are counted at the client's socket, below TLS, until the session is
// ready: each of them is a round trip that the login waits for.
//
// TLS that resumes an earlier session needs no certificate, and so fewer bytes,
// but with TLS 1.3 as many flights as any other.
//
// # Ways to log in
//
// PLAIN and SCRAM-SHA-256 are what XMPP has always had (RFC 6120).
// With -PLUS, SCRAM binds to the TLS connection, so that nobody can be in its
// middle.
//
// SASL2 (XEP-0388) restarts no stream, and the resource is bound within the
// login (XEP-0386).
// FAST (XEP-0484) puts a token that an earlier login has brought in the place of
// the password. It needs one message, as PLAIN does, and is bound to the
// connection, as SCRAM is.
//
// The servers on loopback know the account by stored keys, not by its password.
// Tokens of a server that you name are invalidated in the end.
//
// # Where to look
//
// Server.go and login.go show how both ends use packages auth and pipelining; the
// rest measures and prints.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130 // as a shell says it
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program. It returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parse(args, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "quickstart: %v\nTry -h for help.\n", err)
		return exitUsage
	}

	rep, err := measure(ctx, opts, newProgress(stderr))
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "quickstart: interrupted")
		return exitInterrupted
	case err != nil:
		fmt.Fprintln(stderr, "quickstart:", opts.presentable(err))
		return exitFailed
	}

	if opts.json {
		err = writeJSON(stdout, rep)
	} else {
		err = writeTable(stdout, rep, coloured(stdout))
	}
	if err != nil {
		fmt.Fprintln(stderr, "quickstart:", err)
		return exitFailed
	}
	if rep.failed() {
		return exitFailed
	}
	return exitOK
}

// measure measures every strategy there is.
func measure(ctx context.Context, opts options, p *progress) (*report, error) {
	defer p.clear()
	if opts.addr != "" {
		return measureRemote(ctx, opts, p)
	}
	return measureLocal(ctx, opts, p)
}
