// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/quickstart"
)

// options are what the user wants.
type options struct {
	account      jid.JID
	passwordFile string
	addr, tls    string
	ca, cache    string
	svg          string
	json         bool
}

// parse reads the arguments. Help goes to w.
func parse(args []string, w io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("connect", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	account := flags.String("jid", "", "`user@domain` of the account")
	flags.StringVar(&o.passwordFile, "password-file", "", "`file` with its password in the first line; not read if there is a token")
	flags.StringVar(&o.addr, "addr", "", "`host:port` of the server, in place of what DNS says")
	flags.StringVar(&o.tls, "tls", "", "direct or starttls; any `kind` if empty, which is STARTTLS with -addr")
	flags.StringVar(&o.ca, "ca", "", "PEM `file` with certificates to trust, not the system's")
	flags.StringVar(&o.cache, "cache", "", "`folder` to remember things in, secrets included; if empty, nothing is remembered")
	flags.StringVar(&o.svg, "svg", "", "`file` to draw a waterfall to")
	flags.BoolVar(&o.json, "json", false, "print JSON")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			flags.SetOutput(w)
			flags.Usage()
		}
		return o, err
	}
	if flags.NArg() > 0 {
		return o, errors.New("there are only flags")
	}
	o.account, err = jid.Parse(*account)
	if err != nil || o.account.Localpart() == "" {
		return o, errors.New("-jid must be user@domain")
	}
	if _, err := o.security(); err != nil {
		return o, err
	}
	return o, nil
}

func (o options) security() (quickstart.Security, error) {
	switch o.tls {
	case "":
		return quickstart.Any, nil
	case "direct":
		return quickstart.DirectTLS, nil
	case "starttls":
		return quickstart.StartTLS, nil
	}
	return 0, errors.New("-tls must be direct or starttls")
}

// dialer returns what logs in.
func (o options) dialer() (*quickstart.Dialer, error) {
	security, err := o.security()
	if err != nil {
		return nil, err
	}
	d := &quickstart.Dialer{
		Address:   o.addr,
		Security:  security,
		UserAgent: auth.UserAgent{Software: "xmppext example"},
		Tag:       "example",
	}
	if o.ca != "" {
		pem, err := os.ReadFile(o.ca)
		if err != nil {
			return nil, fmt.Errorf("-ca: %w", err)
		}
		d.TLS = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
		if !d.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("-ca: no certificate in %s", o.ca)
		}
		// What was learned under other certificates is not for this run.
		d.Trust = fmt.Sprintf("%x", sha256.Sum256(pem))
	}
	if o.cache != "" {
		cache, err := quickstart.OpenFileCache(o.cache)
		if err != nil {
			return nil, fmt.Errorf("-cache: %w", err)
		}
		d.Cache = cache
	}
	return d, nil
}

// password reads the password from its file.
func (o options) password(context.Context) (string, error) {
	if o.passwordFile == "" {
		return "", errors.New("there is no token, and no -password-file")
	}
	b, err := os.ReadFile(o.passwordFile)
	if err != nil {
		return "", err
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	return strings.TrimSuffix(string(line), "\r"), nil
}
