// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Bot stays logged in, and prints each message of its account once: those that were
// received or sent while it was away, and those that come while it is there, whichever
// client of the account they are for. It may follow a chat room, too.
//
//	go run ./examples/bot -jid juliet@example.net -password-file password -state state
//	go run ./examples/bot -jid juliet@example.net -state state -room coven@rooms.example/juliet
//
// When it has lost the connection, or is started again, it logs in by what it has
// remembered, and asks for what it has missed and nothing else. The server needs an
// archive (XEP-0313), such as ours:
//
//	go run ./examples/server -domain example.net -account juliet:r0m30 -ca-out ca.pem
//
// for which the bot needs -addr 127.0.0.1:5222 and -ca ca.pem. It has no rooms; those of
// examples/mucroom know what somebody has missed (XEP-0311).
//
// # Where to look
//
// Package quickstart is in keep, here. What is done with each session is in session.go,
// and what outlives sessions is in state.go.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/quickstart"
)

// options are what the user wants.
type options struct {
	account, room    jid.JID
	passwordFile     string
	addr, ca, folder string
	wait             time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bot:", err)
		os.Exit(1)
	}
}

// run is the whole program, until ctx ends. Messages go to stdout, and all else to stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var (
		o     options
		flags = flag.NewFlagSet("bot", flag.ContinueOnError)
	)
	parse := func(j *jid.JID) func(string) error {
		return func(s string) (err error) {
			*j, err = jid.Parse(s)
			return err
		}
	}
	flags.SetOutput(stderr)
	flags.Func("jid", "`user@domain` of the account", parse(&o.account))
	flags.Func("room", "`room@domain/nick` to follow; if empty, none", parse(&o.room))
	flags.StringVar(&o.passwordFile, "password-file", "", "`file` with its password; not read if there is a token")
	flags.StringVar(&o.addr, "addr", "", "`host:port` of the server, in place of what DNS says")
	flags.StringVar(&o.ca, "ca", "", "PEM `file` with certificates to trust, not the system's")
	flags.StringVar(&o.folder, "state", "", "`folder` to remember things in, secrets included")
	flags.DurationVar(&o.wait, "wait", quickstart.DefaultMinWait, "how long to wait at most before logging in again for the first `time`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.account.Localpart() == "" || o.folder == "" {
		return errors.New("-jid and -state are needed")
	}
	logger := log.New(stderr, "bot: ", 0)
	state, err := open(filepath.Join(o.folder, "state.json"), o.room)
	if err != nil {
		return err
	}
	return keep(ctx, o, &bot{state: state, messages: log.New(stdout, "", 0), log: logger})
}

// keep keeps the account logged in.
func keep(ctx context.Context, o options, b *bot) error {
	cache, err := quickstart.OpenFileCache(filepath.Join(o.folder, "cache"))
	if err != nil {
		return err
	}
	d := &quickstart.Dialer{
		Cache:     cache,
		Address:   o.addr,
		UserAgent: auth.UserAgent{Software: "xmppext example"},
		Tag:       "bot",
		Roster:    true,
		Opening:   quickstart.Available,
	}
	if o.ca != "" {
		pem, err := os.ReadFile(o.ca)
		if err != nil {
			return fmt.Errorf("-ca: %w", err)
		}
		d.TLS = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
		if !d.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("-ca: no certificate in %s", o.ca)
		}
		d.Trust = o.ca
	}
	k := &quickstart.Keeper{
		Dialer:      d,
		Account:     o.account,
		Credentials: quickstart.Credentials{Password: o.password},
		Handle:      b.handle,
		MinWait:     o.wait,
		Observe: func(err error, wait time.Duration) {
			b.log.Printf("logging in again in %v: %v", wait.Round(time.Millisecond), err)
		},
	}
	if err := k.Run(ctx); ctx.Err() == nil {
		return err
	}
	return nil
}

// password reads the password from its file. It is not called as long as there is a token.
func (o options) password(context.Context) (string, error) {
	if o.passwordFile == "" {
		return "", nil // auth.ErrNoPassword
	}
	b, err := os.ReadFile(o.passwordFile)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSuffix(line, "\r"), nil
}
