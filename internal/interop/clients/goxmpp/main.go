// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Command goxmpp logs in with xmppo/go-xmpp, as a driver that ../../driver.go
// describes.
package main

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/xmppo/go-xmpp"
)

// want is what is read from the standard input.
type want struct {
	JID         string `json:"jid"`
	Password    string `json:"password"`
	Addr        string `json:"addr"`
	DirectTLS   bool   `json:"directTLS"`
	CA          string `json:"ca"`
	Mechanism   string `json:"mechanism"`
	UserAgentID string `json:"userAgentID"`
	Times       int    `json:"times"`
}

// result is what is written for a login.
type result struct {
	JID       string `json:"jid"`
	Mechanism string `json:"mechanism"`
	SASL2     bool   `json:"sasl2"`
	FAST      bool   `json:"fast"`
	Condition string `json:"condition"`
	Error     string `json:"error"`
}

func main() {
	ok, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// run logs in as often as it is wanted, or until it fails.
func run() (ok bool, err error) {
	var w want
	if err := json.NewDecoder(os.Stdin).Decode(&w); err != nil {
		return false, err
	}
	pem, err := os.ReadFile(w.CA)
	if err != nil {
		return false, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return false, fmt.Errorf("no certificate in %s", w.CA)
	}
	w.UserAgentID = cmp.Or(w.UserAgentID, uuid.NewString())
	var token xmpp.Fast
	for range max(w.Times, 1) {
		r := login(w, roots, &token)
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			return false, err
		}
		if r.Error != "" {
			return false, nil
		}
	}
	return true, nil
}

// login logs in once. It uses the token if there is one, and keeps the one that
// it is given.
func login(w want, roots *x509.CertPool, token *xmpp.Fast) result {
	account, resource, _ := strings.Cut(w.JID, "/")
	_, domain, _ := strings.Cut(account, "@")
	trace := &trace{}
	options := xmpp.Options{
		Host:          w.Addr,
		User:          account,
		Password:      w.Password,
		Resource:      resource,
		Mechanism:     w.Mechanism,
		DialTimeout:   10 * time.Second,
		TLSConfig:     &tls.Config{RootCAs: roots, ServerName: domain},
		NoTLS:         !w.DirectTLS,
		StartTLS:      !w.DirectTLS,
		SSDP:          true,
		UserAgentID:   w.UserAgentID,
		Fast:          true,
		FastToken:     token.Token,
		FastMechanism: token.Mechanism,
		Debug:         true,
		DebugWriter:   trace,
	}
	client, err := options.NewClient()
	var jid string
	if err == nil {
		jid = client.JID()
		if client.Fast.Token != "" {
			*token = client.Fast
		}
		err = errors.Join(ping(client, domain), client.Close())
	}
	r := trace.result()
	r.JID = jid
	if err != nil {
		r.Error = err.Error()
	}
	return r
}

// ping shows that the session is alive in both directions. An error is an
// answer too.
func ping(client *xmpp.Client, domain string) error {
	id, err := client.RawInformation(client.JID(), domain, "ping", "get", "<ping xmlns='urn:xmpp:ping'/>")
	if err != nil {
		return err
	}
	for {
		stanza, err := client.Recv()
		if err != nil {
			return err
		}
		if iq, ok := stanza.(xmpp.IQ); ok && iq.ID == id && iq.Type != "get" && iq.Type != "set" {
			return nil
		}
	}
}

// trace keeps what is sent and received: the client does not tell all that we
// want to know.
type trace struct{ sent, received bytes.Buffer }

// Write gets what was sent or received, with a prefix that says which.
func (t *trace) Write(p []byte) (int, error) {
	data := bytes.TrimSuffix(p, []byte("\n"))
	if sent, ok := bytes.CutPrefix(data, []byte("SEND ")); ok {
		t.sent.Write(sent)
		fmt.Fprintf(os.Stderr, "C: %s\n", sent)
	} else {
		received := bytes.TrimPrefix(data, []byte("RECV "))
		t.received.Write(received)
		fmt.Fprintf(os.Stderr, "S: %s\n", received)
	}
	return len(p), nil
}

var (
	authPattern    = regexp.MustCompile(`<auth(?:enticate)? xmlns='([^']*)' mechanism='([^']*)'`)
	failurePattern = regexp.MustCompile(`<failure\b[^>]*>\s*<([a-z-]+)`)
)

// result returns what can be told from the traffic.
func (t *trace) result() (r result) {
	const sasl2 = "urn:xmpp:sasl:2"
	received := t.received.String()
	switch auth := authPattern.FindStringSubmatch(t.sent.String()); {
	case auth != nil:
		r.SASL2 = auth[1] == sasl2
		r.Mechanism = auth[2]
		r.FAST = strings.Contains(t.sent.String(), "<fast ")
	case strings.Contains(received, "<success") || strings.Contains(received, "<failure"):
		// It shows everything but passwords.
		r.Mechanism = "PLAIN"
		r.SASL2 = strings.Contains(received, sasl2)
	}
	if failure := failurePattern.FindStringSubmatch(received); failure != nil {
		r.Condition = failure[1]
	}
	return r
}
