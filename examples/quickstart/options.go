// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
	"unicode"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/pipelining"
)

const usage = `Usage: quickstart [flags]

Shows how long an XMPP login takes, step by step and pipelined, with a
password and with a token, as a table.
Without -addr, both ends run on loopback, -rtt apart.

  -rtt duration        simulated round trip time (default 100ms), or with -addr
                       what is added to that of the way there (default 0)
  -n count             measured runs of each strategy (default 3)
  -json                print one JSON array of rows instead of the table

To measure a server of your choice, by n logins for each row, and two more
where there are tokens:

  -addr host:port      the server
  -jid user@domain     the account; the certificate must be good for the domain
  -password-file file  file with the password; a line break at its end is cut
  -password password   the password, for all to see who can list processes
  -ca file             trust certificates in this PEM file, not the system's
  -tls starttls        or direct, for a port that begins with TLS

Its rows are SCRAM-SHA-256, SCRAM-SHA-1 and PLAIN, SASL2 with the best of
them, and FAST, each if it is offered. Passwords, also by PLAIN, are sent over
verified TLS only. Tokens are invalidated in the end.

"Server lost what was sent ahead" is a finding, not a failure: XMPP does not
promise that pipelining works, and a client then logs in step by step. It is a
failure if no other login with the same mechanism works, or on loopback.

The exit code is 0 if all went well, 1 if a strategy failed or no login worked,
2 if the flags are wrong, and 130 after Ctrl-C. NO_COLOR turns colours off.
`

// Limits that keep a typo from running for hours.
const (
	maxRTT  = 10 * time.Second
	maxRuns = 1000
)

const defaultRTT = 100 * time.Millisecond

// options is what the command line says.
type options struct {
	rtt  time.Duration
	runs int
	json bool

	// The rest is for a server that the user names.
	addr     string
	account  jid.JID
	password string
	roots    *x509.CertPool // nil means the system's
	direct   bool

	// answer is how long a server may be silent, the way to it not counted, until
	// what was sent ahead is lost.
	answer time.Duration
}

// parse reads the command line. Help goes to w.
func parse(args []string, w io.Writer) (options, error) {
	o := options{answer: pipelining.DefaultAnswerTimeout}
	var account, passwordFile, ca, transport string
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	flags.DurationVar(&o.rtt, "rtt", defaultRTT, "")
	flags.IntVar(&o.runs, "n", 3, "")
	flags.BoolVar(&o.json, "json", false, "")
	flags.StringVar(&o.addr, "addr", "", "")
	flags.StringVar(&account, "jid", "", "")
	flags.StringVar(&o.password, "password", "", "")
	flags.StringVar(&passwordFile, "password-file", "", "")
	flags.StringVar(&ca, "ca", "", "")
	flags.StringVar(&transport, "tls", "starttls", "")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			_, err = io.WriteString(w, usage)
			return o, errors.Join(flag.ErrHelp, err)
		}
		return o, err
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })

	switch {
	case flags.NArg() > 0:
		// It may be half of a password: better not to repeat it.
		return o, errors.New("there are arguments behind the flags")
	case o.rtt < 0 || o.rtt > maxRTT:
		return o, fmt.Errorf("-rtt must be from 0 to %v", maxRTT)
	case o.runs < 1 || o.runs > maxRuns:
		return o, fmt.Errorf("-n must be from 1 to %d", maxRuns)
	case transport != "starttls" && transport != "direct":
		return o, errors.New("-tls must be starttls or direct")
	}
	if o.addr == "" {
		for _, name := range []string{"addr", "jid", "password", "password-file", "ca", "tls"} {
			if given[name] {
				return o, fmt.Errorf("-%s needs an -addr", name)
			}
		}
		return o, nil
	}

	if !given["rtt"] {
		o.rtt = 0
	}
	o.direct = transport == "direct"
	if _, _, err := net.SplitHostPort(o.addr); err != nil {
		return o, fmt.Errorf("-addr: %w", err)
	}
	var err error
	if o.account, err = jid.Parse(account); err != nil || o.account.Localpart() == "" {
		return o, errors.New("-jid must be user@domain")
	}
	o.account = o.account.Bare()
	switch {
	case given["password"] == given["password-file"]:
		return o, errors.New("one of -password and -password-file is needed")
	case given["password-file"]:
		b, err := os.ReadFile(passwordFile)
		if err != nil {
			return o, fmt.Errorf("-password-file: %w", err)
		}
		o.password = string(bytes.TrimRight(b, "\r\n"))
	}
	if o.password == "" {
		return o, errors.New("the password is empty")
	}
	if ca == "" {
		return o, nil
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return o, fmt.Errorf("-ca: %w", err)
	}
	o.roots = x509.NewCertPool()
	if !o.roots.AppendCertsFromPEM(pem) {
		return o, errors.New("-ca: there is no certificate in the file")
	}
	return o, nil
}

// presentable returns the message of an error as it may be shown: some of it may
// be what a server said.
func (o options) presentable(err error) string {
	msg := err.Error()
	if o.password != "" {
		msg = strings.ReplaceAll(msg, o.password, "***")
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, msg)
}
