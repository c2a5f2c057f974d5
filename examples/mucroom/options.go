// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/examples/mucroom/groupchat"
)

const usage = `Usage: mucroom -server host:port -domain domain -secret secret [flags]

Serves chat rooms at a domain, as a component of an XMPP server.

  -server host:port    where the server listens for components
  -domain domain       the domain of the rooms, as the server knows it
  -secret secret       the secret that both know, for all to see who can list
                       processes
  -secret-file file    file with the secret; a line break at its end is cut
  -data directory      keep rooms in this directory; without it they are gone
                       when the program ends

  -grace duration      how long occupants may take to enter again when the service
                       was not there, before others are told that they have
                       left (5m)
  -max-occupants n     most occupants of a room (1000)

The connection is not encrypted: the server should be on the same machine. When it
is lost it is begun again, and everybody is told to enter again.

The exit code is 0 after Ctrl-C, 1 if the server does not take the secret or rooms
cannot be stored, and 2 if the flags are wrong.
`

// options is what the command line says.
type options struct {
	server, secret, data string
	domain               jid.JID
	grace                time.Duration
	maxOccupants         int
}

// parse reads the command line. Help goes to w.
func parse(args []string, w io.Writer) (o options, err error) {
	var domain, secretFile string
	flags := flag.NewFlagSet("mucroom", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	flags.StringVar(&o.server, "server", "", "")
	flags.StringVar(&domain, "domain", "", "")
	flags.StringVar(&o.secret, "secret", "", "")
	flags.StringVar(&secretFile, "secret-file", "", "")
	flags.StringVar(&o.data, "data", "", "")
	flags.DurationVar(&o.grace, "grace", groupchat.DefaultGrace, "")
	flags.IntVar(&o.maxOccupants, "max-occupants", groupchat.DefaultMaxOccupants, "")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			_, err = io.WriteString(w, usage)
			return o, errors.Join(flag.ErrHelp, err)
		}
		return o, err
	}
	if flags.NArg() > 0 {
		return o, errors.New("there are arguments behind the flags")
	}
	if _, _, err := net.SplitHostPort(o.server); err != nil {
		return o, fmt.Errorf("-server: %w", err)
	}
	if o.domain, err = jid.Parse(domain); err != nil || !o.domain.Equal(o.domain.Domain()) {
		return o, errors.New("-domain must be a domain")
	}
	if o.grace <= 0 {
		return o, errors.New("-grace must be more than nothing")
	}
	if o.maxOccupants <= 0 {
		return o, errors.New("-max-occupants must be more than none")
	}
	if (o.secret == "") == (secretFile == "") {
		return o, errors.New("one of -secret and -secret-file is needed")
	}
	if secretFile != "" {
		b, err := os.ReadFile(secretFile)
		if err != nil {
			return o, fmt.Errorf("-secret-file: %w", err)
		}
		if o.secret = string(bytes.TrimRight(b, "\r\n")); o.secret == "" {
			return o, errors.New("-secret-file: the secret is empty")
		}
	}
	return o, nil
}

// slogger returns what the service logs with, to the same place.
func slogger(l *log.Logger) *slog.Logger {
	return slog.New(slog.NewTextHandler(l.Writer(), nil))
}
