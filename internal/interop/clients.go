// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package interop

import (
	"context"
	"os"
	"testing"
	"time"
)

// Names of the environment variables that say how clients are run.
const (
	// Runs a JavaScript module that finds @xmpp/client.
	xmppJSEnv = "XMPPEXT_XMPPJS"

	// Runs a Python program that finds slixmpp.
	slixmppEnv = "XMPPEXT_SLIXMPP"

	// The program in clients/goxmpp.
	goXMPPEnv = "XMPPEXT_GOXMPP"
)

// loginTime limits how long a login takes, including the start of the client.
// SCRAM is slow in some languages, and so is everything on a busy machine.
const loginTime = 30 * time.Second

// Client is an XMPP client that somebody else wrote.
type Client struct {
	// Name is what the client is called.
	Name string

	login loginFunc
}

// loginFunc logs in as often as it is wanted, or until that fails. It returns an
// error only if it does not know what came of it. The trace is for people.
type loginFunc func(context.Context, ClientLogin) (results []LoginResult, trace string, err error)

// ClientLogin is what a test wants of a client.
type ClientLogin struct {
	// JID is the account. If it has a resource, then the client may ask for it, or
	// for one that begins with it.
	JID      string
	Password string

	// Addr is the host:port of the server. Its certificate is for the domain of
	// JID nevertheless.
	Addr string

	// DirectTLS is set if the connection begins with the TLS handshake instead of
	// STARTTLS.
	DirectTLS bool

	// RootsPEM are the certificates to trust.
	RootsPEM []byte

	// Mechanism is the only SASL mechanism that may be used with the password. If
	// it is empty, then the client chooses.
	Mechanism string

	// UserAgentID is the UUID of the installation, for clients that send one. If
	// it is empty, then it is a new one for each call of [Client.Login].
	UserAgentID string

	// Times is how often to log in, one after the other; zero is once. A client
	// that supports FAST uses the last token that it was given.
	Times int

	// Queries are what the client asks its own archive once it has logged in.
	// All clients but go-xmpp can.
	Queries []ArchiveQuery
}

// ArchiveQuery asks an archive for messages (XEP-0313).
type ArchiveQuery struct {
	// With is the JID of the other party, or empty.
	With string `json:"with"`

	// Max is how many messages a page has.
	Max int `json:"max"`

	// Last asks for the last page, instead of the first.
	Last bool `json:"last"`

	// Flip asks for a page whose messages come in reverse order.
	Flip bool `json:"flip"`

	// All asks for all pages from the first on, instead of one.
	All bool `json:"all"`
}

// ArchiveMessage is a message that an archive has returned.
type ArchiveMessage struct {
	ID   string `json:"id"` // that of the archive
	Body string `json:"body"`
}

// LoginResult is what came of one login.
type LoginResult struct {
	// JID is the full JID that the client got.
	JID string `json:"jid"`

	// Mechanism is the SASL mechanism that was tried last.
	Mechanism string `json:"mechanism"`

	// SASL2 is set if that was with the Extensible SASL Profile.
	SASL2 bool `json:"sasl2"`

	// FAST is set if that was with a token in place of the password.
	FAST bool `json:"fast"`

	// Condition is the SASL error condition, such as "not-authorized", with which
	// the server ended the first try of a login that failed. It is empty if the
	// login failed otherwise.
	Condition string `json:"condition"`

	// Archive has the messages for each query, in the order in which they came.
	Archive [][]ArchiveMessage `json:"archive"`

	// Error is empty if the client logged in and had an answer from its server
	// afterwards, and to all queries.
	Error string `json:"error"`
}

// XMPPJS returns xmpp.js. It uses SASL2, Bind 2 and FAST if it can.
//
// It skips the test if XMPPEXT_XMPPJS is not set.
func XMPPJS(t testing.TB) *Client {
	t.Helper()
	return driven(t, "xmpp.js", xmppJSEnv, "xmppjs", "clients/xmppjs.mjs")
}

// Slixmpp returns slixmpp, which knows none of these. It is the only client here
// that goes on with another mechanism when one has failed.
//
// It skips the test if XMPPEXT_SLIXMPP is not set.
func Slixmpp(t testing.TB) *Client {
	t.Helper()
	return driven(t, "slixmpp", slixmppEnv, "slixmpp", "clients/slixmpp.py")
}

// GoXMPP returns the Go library xmppo/go-xmpp. It uses SASL2, Bind 2 and FAST if
// it can, with channel binding if it can.
//
// It skips the test if XMPPEXT_GOXMPP is not set.
func GoXMPP(t testing.TB) *Client {
	t.Helper()
	return driven(t, "go-xmpp", goXMPPEnv, "goxmpp", "")
}

// driven returns a client that another program runs: the one that the variable
// env names, with a driver as its argument unless it is one itself.
func driven(t testing.TB, name, env, arg, driver string) *Client {
	t.Helper()
	launcher := os.Getenv(env)
	if launcher == "" {
		t.Skipf("interop: %s is not set; run: export %[1]s=$(bash .ci/clients %s)", env, arg)
	}
	return &Client{Name: name, login: driverLogin(env, launcher, driver)}
}

// Login logs in, asks the server something and logs out, as often as l wants it,
// or until that fails. It returns what came of each; only the last can have
// failed.
//
// A login that fails is no failure of the test, but it fails if the client says
// nothing. What the client sent and received is logged if the test has failed by
// its end.
func (c *Client) Login(t testing.TB, l ClientLogin) []LoginResult {
	t.Helper()
	l.Times = max(l.Times, 1)
	ctx, cancel := context.WithTimeout(context.Background(), loginTime*time.Duration(l.Times))
	defer cancel()
	results, trace, err := c.login(ctx, l)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("interop: what %s did:\n%s", c.Name, trace)
		}
	})
	if err != nil {
		t.Fatalf("interop: %s does not say whether it can log in: %v", c.Name, err)
	}
	return results
}
