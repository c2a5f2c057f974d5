// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package interop_test

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/internal/interop"
)

// clients are all clients, and what is known about them.
var clients = []struct {
	get        func(testing.TB) *interop.Client
	mechanisms []string // that they know, the one of their choice first
	sasl2      bool
	fast       string // the mechanism
	latin1     bool   // PLAIN does not use UTF-8
}{
	{
		get:        func(testing.TB) *interop.Client { return interop.Mellium() },
		mechanisms: []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"},
	},
	{
		get:        interop.XMPPJS,
		mechanisms: []string{"SCRAM-SHA-1", "PLAIN"},
		sasl2:      true,
		fast:       "HT-SHA-256-NONE",
		latin1:     true,
	},
	{
		// Python has to learn to bind to the channel of TLS 1.3.
		get:        interop.Slixmpp,
		mechanisms: []string{"SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"},
	},
	{
		get:        interop.GoXMPP,
		mechanisms: []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"},
		sasl2:      true,
		fast:       "HT-SHA-256-EXPR",
	},
}

// TestClients shows that the clients log in at a server that is not ours.
func TestClients(t *testing.T) {
	const ascii = "r0m30"
	users := map[string]string{"juliet": password, "romeo": ascii}
	old := interop.Prosody(t, interop.Config{Users: users})
	srv := interop.Prosody(t, interop.Config{
		Users:   users,
		Modules: []string{"smacks", "sasl2", "sasl2_bind2", "sasl2_fast", "sasl2_sm"},
	})
	login := interop.ClientLogin{
		JID: "juliet@" + srv.Domain, Password: password, Addr: srv.STARTTLS, RootsPEM: srv.RootsPEM,
	}
	_, otherRoots := interop.Certificate(t, srv.Domain)

	for _, tc := range clients {
		client := optional(t, tc.get)
		if client == nil {
			continue
		}
		choice := tc.mechanisms[0]

		for _, direct := range []bool{false, true} {
			mode := map[bool]string{false: "STARTTLS", true: "direct TLS"}[direct]
			t.Run(client.Name+" over "+mode, func(t *testing.T) {
				login := login
				if login.DirectTLS = direct; direct {
					login.Addr = srv.DirectTLS
				}
				login.Times = 3
				results := client.Login(t, login)
				require.Len(t, results, 3)
				for i, r := range results {
					assert.Empty(t, r.Error)
					assert.Empty(t, r.Condition)
					assert.True(t, strings.HasPrefix(r.JID, login.JID+"/"), r.JID)
					assert.Equal(t, tc.sasl2, r.SASL2)
					if r.FAST = i > 0 && tc.fast != ""; r.FAST {
						assert.Equal(t, tc.fast, r.Mechanism)
					} else {
						assert.Equal(t, choice, r.Mechanism)
					}
				}
			})
		}
		t.Run(client.Name+" without SASL2", func(t *testing.T) {
			login := login
			login.Addr, login.RootsPEM, login.Times = old.STARTTLS, old.RootsPEM, 2
			results := client.Login(t, login)
			require.Len(t, results, 2)
			for _, r := range results {
				assert.True(t, strings.HasPrefix(r.JID, login.JID+"/"), r.JID)
				r.JID = ""
				assert.Equal(t, interop.LoginResult{Mechanism: choice}, r)
			}
		})
		for _, m := range tc.mechanisms {
			login := login
			login.Mechanism = m
			if tc.latin1 && m == "PLAIN" {
				login.JID, login.Password = "romeo@"+srv.Domain, ascii
			}
			t.Run(client.Name+" with "+m, func(t *testing.T) {
				r := client.Login(t, login)[0]
				assert.Empty(t, r.Error)
				assert.Equal(t, m, r.Mechanism)
				assert.Equal(t, tc.sasl2, r.SASL2)
			})
			t.Run(client.Name+" with "+m+" and a wrong password", func(t *testing.T) {
				login := login
				login.Password += "?"
				login.Times = 2
				results := client.Login(t, login)
				require.Len(t, results, 1)
				assert.NotEmpty(t, results[0].Error)
				results[0].Error = ""
				assert.Equal(t, interop.LoginResult{Mechanism: m, SASL2: tc.sasl2, Condition: "not-authorized"}, results[0])
			})
		}
		t.Run(client.Name+" with a wrong password", func(t *testing.T) {
			login := login
			login.Password += "?"
			r := client.Login(t, login)[0]
			assert.NotEmpty(t, r.Error)
			assert.Empty(t, r.JID)
			assert.Equal(t, "not-authorized", r.Condition)
		})
		t.Run(client.Name+" with another authority", func(t *testing.T) {
			login := login
			login.RootsPEM = otherRoots
			r := client.Login(t, login)[0]
			assert.Regexp(t, `(?i)certificate`, r.Error)
			r.Error = ""
			assert.Zero(t, r)
		})
		t.Run(client.Name+" without a server", func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			require.NoError(t, l.Close())
			login := login
			login.Addr = l.Addr().String()
			r := client.Login(t, login)[0]
			assert.Regexp(t, `(?i)refused`, r.Error)
			r.Error = ""
			assert.Zero(t, r)
		})
	}
}

// optional returns a client, or nil in place of skipping the test.
func optional(t *testing.T, get func(testing.TB) *interop.Client) *interop.Client {
	t.Helper()
	var client *interop.Client
	fake := &fakeT{TB: t}
	fake.run(func() { client = get(fake) })
	if fake.skipped != "" {
		t.Log(fake.skipped)
	}
	return client
}

func TestClientsWithoutLauncher(t *testing.T) {
	for _, tc := range []struct {
		env, arg string
		get      func(testing.TB) *interop.Client
	}{
		{"XMPPEXT_XMPPJS", "xmppjs", interop.XMPPJS},
		{"XMPPEXT_SLIXMPP", "slixmpp", interop.Slixmpp},
		{"XMPPEXT_GOXMPP", "goxmpp", interop.GoXMPP},
	} {
		t.Run(tc.env, func(t *testing.T) {
			t.Setenv(tc.env, "")
			fake := &fakeT{TB: t}
			fake.run(func() { tc.get(fake) })
			assert.Equal(t, "interop: "+tc.env+" is not set; run: export "+tc.env+"=$(bash .ci/clients "+tc.arg+")", fake.skipped)
		})
	}
}

func TestClientWithBrokenLauncher(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no shell scripts here")
	}
	const ok, failed = `echo '{"jid":"a@b/c","mechanism":"PLAIN"}'; `, `echo '{"error":"no"}'; `
	for _, tc := range []struct {
		name, script, want string
		queries            []interop.ArchiveQuery
	}{
		{name: "missing", want: "no such file"},
		{name: "says nothing", script: "exit 0", want: "0 of 2 results and exit status 0"},
		{name: "says too little", script: ok, want: "1 of 2 results and exit status 0"},
		{name: "says too much", script: ok + ok + ok, want: "3 of 2 results and exit status 0"},
		{name: "hides a failure", script: ok + failed, want: "2 of 2 results and exit status 0"},
		{name: "hides a success", script: ok + ok + "exit 1", want: "2 of 2 results and exit status 1"},
		{name: "crashes", script: ok + failed + "exit 2", want: "2 of 2 results and exit status 2"},
		{name: "says nonsense", script: "echo nonsense", want: "invalid character"},
		{name: "asks nothing", script: ok + ok, want: "0 of 1 queries were answered", queries: make([]interop.ArchiveQuery, 1)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			launcher := filepath.Join(t.TempDir(), "launcher")
			if tc.script != "" {
				require.NoError(t, os.WriteFile(launcher, []byte("#!/bin/sh\n"+tc.script+"\n"), 0o700))
			}
			t.Setenv("XMPPEXT_GOXMPP", launcher)
			fake := &fakeT{TB: t}
			fake.run(func() { interop.GoXMPP(fake).Login(fake, interop.ClientLogin{Times: 2, Queries: tc.queries}) })
			assert.Contains(t, fake.fatal, tc.want)
			assert.Contains(t, fake.fatal, "XMPPEXT_GOXMPP="+launcher)
			assert.Empty(t, fake.skipped)
		})
	}
}
