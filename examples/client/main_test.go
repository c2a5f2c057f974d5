// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"bufio"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTogether runs both programs, as their documentation says.
func TestTogether(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	dir := t.TempDir()
	build := exec.CommandContext(ctx, "go", "build", "-o", dir+string(filepath.Separator), ".", "../server")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	ca := filepath.Join(dir, "ca.pem")
	server := exec.CommandContext(ctx, filepath.Join(dir, "server"),
		"-listen", "127.0.0.1:0", "-domain", "example.net", "-account", "juliet:r0m30", "-ca-out", ca)
	stderr, err := server.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	defer func() {
		cancel()
		_ = server.Wait() // It was killed.
	}()
	line, err := bufio.NewReader(stderr).ReadString('\n')
	require.NoError(t, err)
	addr, found := strings.CutPrefix(strings.TrimSpace(line), "serving example.net on ")
	require.True(t, found, line)

	logIn := func(args ...string) (string, error) {
		args = append([]string{"-addr", addr, "-jid", "juliet@example.net", "-password", "r0m30", "-ca", ca}, args...)
		out, err := exec.CommandContext(ctx, filepath.Join(dir, "client"), args...).CombinedOutput()
		return string(out), err
	}
	said, err := logIn()
	assert.NoError(t, err)
	assert.Regexp(t, `^logged in as juliet@example\.net/\S+ in \S+\nping answered in \S+\n$`, said)

	said, err = logIn("-mechanism", "SCRAM-SHA-256")
	assert.NoError(t, err)
	assert.Regexp(t, `\Alogged in as juliet@example\.net/\S+ in `, said)

	said, err = logIn("-password", "wrong")
	assert.Error(t, err)
	assert.Contains(t, said, "authentication failed: not-authorized")
}
