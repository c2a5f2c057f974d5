// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Mucroom is a chat room service for any XMPP server, whose clients may come back for
// the price of what has changed (XEP-0311).
//
//	go run ./examples/mucroom -server 127.0.0.1:5347 -secret s3cr3t -domain rooms.example
//
// It attaches to a server as a component (XEP-0114), and does so again when it has lost
// the connection. Clients that know nothing of XEP-0311 see an ordinary service.
//
// Without -data rooms are gone when the program ends. With -data and a directory they are
// kept there, and clients may resume what they had before it was started again. Then, and
// after a lost connection, nobody is told of those who enter again in time (-grace).
//
// # The server
//
// A server has to know the component, and the secret. With Prosody that is
//
//	component_ports = { 5347 }
//
//	Component "rooms.example"
//		component_secret = "s3cr3t"
//
// and with ejabberd, below listen:
//
//	-
//	  port: 5347
//	  ip: 127.0.0.1
//	  module: ejabberd_service
//	  hosts:
//	    rooms.example:
//	      password: s3cr3t
//
// The stream is not encrypted, and its port is for loopback or a network of one's own.
//
// # Where to look
//
// What rooms do is in package groupchat, below. Here is what holds it: link.go is the
// stream, and attach.go begins it, again and again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/xmppext/xmppext/examples/mucroom/groupchat"
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
		fmt.Fprintf(stderr, "mucroom: %v\nTry -h for help.\n", err)
		return exitUsage
	}
	if err := serve(ctx, o, log.New(stderr, "mucroom: ", 0)); err != nil {
		fmt.Fprintln(stderr, "mucroom:", err)
		return exitFailed
	}
	return exitOK
}

const (
	// saveEvery is how much a crash may cost.
	saveEvery = time.Second

	// storeTimeout is how long it may take to store all rooms in the end.
	storeTimeout = 30 * time.Second
)

// serve serves the rooms until the context ends.
func serve(ctx context.Context, o options, logger *log.Logger) (err error) {
	q := newQueue()
	opts := groupchat.Options{
		Send: q.put, Grace: o.grace, MaxOccupants: o.maxOccupants, Logger: slogger(logger),
	}
	if o.data != "" {
		kept, openErr := openData(ctx, o.data)
		if openErr != nil {
			return openErr
		}
		defer func() { err = errors.Join(err, kept.Close()) }()
		opts.Store, opts.Records = kept.store, kept.records
	}
	service, err := groupchat.Open(ctx, o.domain, opts)
	if err != nil {
		return err
	}
	stopped := make(chan struct{})
	saveCtx, stopSaving := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(stopped)
		keep(saveCtx, service, logger)
	}()

	dialer := net.Dialer{Timeout: attachTimeout}
	h := &host{
		dial:   func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", o.server) },
		domain: o.domain, secret: []byte(o.secret), service: service, queue: q, log: logger,
	}
	err = h.stay(ctx)

	stopSaving()
	<-stopped
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	return errors.Join(err, service.Close(last))
}

// keep stores what has changed, and takes out who has not come back, every now and then,
// until the context ends.
func keep(ctx context.Context, s *groupchat.Service, logger *log.Logger) {
	t := time.NewTicker(saveEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		s.Expire()
		if err := s.Save(ctx); err != nil && ctx.Err() == nil {
			logger.Print(err)
		}
	}
}
