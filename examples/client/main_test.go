// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
)

// programs are both programs, built.
type programs struct{ dir string }

func build(t *testing.T) programs {
	t.Helper()
	p := programs{t.TempDir()}
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", p.dir+string(filepath.Separator), ".", "../server").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return p
}

// serve starts the server, and returns the client's flags for it.
func (p programs) serve(t *testing.T, args ...string) []string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ca := filepath.Join(t.TempDir(), "ca.pem")
	server := exec.CommandContext(ctx, filepath.Join(p.dir, "server"),
		append([]string{"-listen", "127.0.0.1:0", "-domain", "example.net", "-account", "juliet:r0m30", "-ca-out", ca}, args...)...)
	stderr, err := server.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		cancel()
		_ = server.Wait() // It was killed.
	})
	line, err := bufio.NewReader(stderr).ReadString('\n')
	require.NoError(t, err)
	addr, found := strings.CutPrefix(strings.TrimSpace(line), "serving example.net on ")
	require.True(t, found, line)
	return []string{"-addr", addr, "-jid", "juliet@example.net", "-ca", ca}
}

// logIn runs the client.
func (p programs) logIn(t *testing.T, flags []string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(p.dir, "client"), slices.Concat(flags, args)...).CombinedOutput()
	return string(out), err
}

// expected is what the client says of a login.
func expected(mechanism string, flights int) string {
	return fmt.Sprintf(`\Alogged in as juliet@example\.net/\S+ in \S+: %s, %d flights\nping answered in \S+\n\z`, mechanism, flights)
}

// TestTogether runs both programs, as their documentation says.
func TestTogether(t *testing.T) {
	p := build(t)
	flags := p.serve(t)
	password := []string{"-password", "r0m30"}

	said, err := p.logIn(t, flags, password...)
	assert.NoError(t, err)
	assert.Regexp(t, expected("SCRAM-SHA-256-PLUS", 3), said)

	said, err = p.logIn(t, flags, append(password, "-mechanism", "SCRAM-SHA-256")...)
	assert.NoError(t, err)
	assert.Regexp(t, expected("SCRAM-SHA-256", 3), said)

	said, err = p.logIn(t, flags, "-password", "wrong")
	assert.Error(t, err)
	assert.Contains(t, said, "authentication failed: not-authorized")

	said, err = p.logIn(t, flags)
	assert.Error(t, err)
	assert.Contains(t, said, "there is no password")

	t.Run("PLAIN is there if it is asked for", func(t *testing.T) {
		said, err := p.logIn(t, flags, append(password, "-mechanism", "PLAIN")...)
		assert.Error(t, err)
		assert.Contains(t, said, "the server offers no SASL mechanism that may be used")

		said, err = p.logIn(t, p.serve(t, "-plain"), append(password, "-mechanism", "PLAIN")...)
		assert.NoError(t, err)
		assert.Regexp(t, expected("PLAIN", 2), said)
	})

	t.Run("a token is kept", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "token.json")
		said, err := p.logIn(t, flags, append(password, "-token-file", file)...)
		assert.NoError(t, err)
		assert.Regexp(t, expected("SCRAM-SHA-256-PLUS", 3), said)
		for range 2 {
			said, err = p.logIn(t, flags, "-token-file", file)
			assert.NoError(t, err, "no password is needed")
			assert.Regexp(t, expected("HT-SHA-256-EXPR", 2), said)
		}

		another := p.serve(t)
		said, err = p.logIn(t, another, append(password, "-token-file", file)...)
		assert.NoError(t, err, "a server that does not know the token takes the password")
		assert.Regexp(t, expected("SCRAM-SHA-256-PLUS", 4), said)
		said, err = p.logIn(t, another, "-token-file", file)
		assert.NoError(t, err, "and gives a new one")
		assert.Regexp(t, expected("HT-SHA-256-EXPR", 2), said)
	})
}

func TestTokenFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "token.json")
	juliet, romeo := jid.MustParse("juliet@example.net"), jid.MustParse("romeo@example.net")
	f, err := openTokens(name)
	require.NoError(t, err)
	assert.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, f.ID)
	want := auth.Token{Secret: "hush", Mechanism: auth.HTSHA256Exporter, Expires: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}
	require.NoError(t, f.SetToken(t.Context(), juliet, want))
	require.NoError(t, f.SetToken(t.Context(), romeo, auth.Token{Secret: "other"}))

	again, err := openTokens(name)
	require.NoError(t, err)
	assert.Equal(t, f.ID, again.ID, "it is that of the installation")
	resource, err := juliet.WithResource("balcony")
	require.NoError(t, err)
	got, err := again.Token(t.Context(), resource)
	require.NoError(t, err)
	assert.Equal(t, want, got)

	require.NoError(t, again.SetToken(t.Context(), juliet, auth.Token{}))
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.NotContains(t, string(b), "hush", "a token that is removed is gone")
	assert.Contains(t, string(b), "other")
	if runtime.GOOS != "windows" {
		info, err := os.Stat(name)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode())
	}
	entries, err := os.ReadDir(filepath.Dir(name))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "nothing else is left")

	for _, text := range []string{"", "hush", "{}"} {
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
		_, err = openTokens(name)
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "hush")
	}
	_, err = openTokens(filepath.Join(name, "no", "folder"))
	assert.Error(t, err)
}
