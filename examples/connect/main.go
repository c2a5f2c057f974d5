// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Connect logs in to an XMPP server, pings it, and shows where the time went.
//
//	go run ./examples/connect -jid juliet@example.net -password-file password -cache ~/.cache/connect
//
// The first run goes step by step. With -cache later ones send ahead what worked, take
// up the session of TLS again, and log in with a token if the server gives them out; no
// file with a password is needed then. This works with any server.
//
// Without -addr, the server is where DNS says. Ours, in examples/server, has STARTTLS:
//
//	go run ./examples/server -domain example.net -account juliet:r0m30 -ca-out ca.pem
//	echo r0m30 >password
//	go run ./examples/connect -jid juliet@example.net -password-file password -addr 127.0.0.1:5222 -ca ca.pem -cache cache
//
// With -json it prints one object: "report", "jid", "token", which says whether the login
// was by one, and "ping_ms". What is in the cache is as good as the password while it is
// valid.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"mellium.im/xmpp/ping"

	"github.com/xmppext/xmppext/quickstart"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program. It returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "connect: %v\nTry -h for help.\n", err)
		return exitUsage
	}
	ctx, cancel := context.WithTimeout(ctx, quickstart.DefaultTimeout)
	defer cancel()
	v, err := connect(ctx, o)
	if err == nil {
		err = v.show(stdout, o)
	}
	if err != nil {
		fmt.Fprintln(stderr, "connect:", err)
		return exitFailed
	}
	return exitOK
}

// A visit is a login and a ping.
type visit struct {
	report quickstart.Report
	jid    string
	ping   time.Duration
}

// connect logs in, pings the server and goes.
func connect(ctx context.Context, o options) (visit, error) {
	d, err := o.dialer()
	if err != nil {
		return visit{}, err
	}
	s, err := d.Dial(ctx, o.account, quickstart.Credentials{Password: o.password})
	if err != nil {
		return visit{}, err
	}
	conn := s.Conn()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	served := make(chan error, 1)
	go func() { served <- s.Serve(nil) }()

	v := visit{report: s.Report, jid: s.LocalAddr().String()}
	begin := time.Now()
	err = ping.Send(ctx, s.Session, o.account.Domain())
	v.ping = time.Since(begin)
	if err != nil {
		err = fmt.Errorf("ping: %w", err)
	}
	return v, errors.Join(err, s.Close(), <-served, conn.Close())
}

// byToken reports whether the login was by a token.
func (v visit) byToken() bool { return strings.HasPrefix(v.report.Mechanism, "HT-") }

// show prints, and draws if a file was named for that.
func (v visit) show(w io.Writer, o options) error {
	if o.svg != "" {
		if err := draw(v.report, o.svg); err != nil {
			return err
		}
	}
	pinged := float64(v.ping.Microseconds()) / 1000
	if o.json {
		return json.NewEncoder(w).Encode(struct {
			Report quickstart.Report `json:"report"`
			JID    string            `json:"jid"`
			Token  bool              `json:"token"`
			Ping   float64           `json:"ping_ms"`
		}{v.report, v.jid, v.byToken(), pinged})
	}
	_, err := fmt.Fprintf(w, "%v  %-7s %.1f ms, as %s\n", v.report, "ping", pinged, v.jid)
	return err
}

// draw writes the report as a picture.
func draw(r quickstart.Report, file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(r.SVG(f), f.Close())
}
