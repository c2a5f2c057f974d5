// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A program is one that runs, and the server that it is attached to.
type program struct {
	server *server
	stop   context.CancelFunc
	code   chan int
	stderr *bytes.Buffer
}

// start runs the program.
func start(t *testing.T, args ...string) *program {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	p := &program{stop: cancel, code: make(chan int, 1), stderr: new(bytes.Buffer)}
	args = append([]string{"-server", l.Addr().String(), "-domain", domain}, args...)
	go func() { p.code <- run(ctx, args, new(bytes.Buffer), p.stderr) }()
	conn, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	p.server = accept(t, conn, secret)
	return p
}

// end ends it as Ctrl-C does, and returns the exit code.
func (p *program) end() int {
	p.server.say() // It is attached.
	p.stop()
	p.server.drain()
	p.server.write("</stream:stream>")
	return <-p.code
}

// await waits until there is a file with a text in it.
func await(t *testing.T, p *program, pattern, text string) {
	t.Helper()
	for {
		p.server.say()
		names, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, name := range names {
			b, err := os.ReadFile(name)
			require.NoError(t, err)
			if strings.Contains(string(b), text) {
				return
			}
		}
	}
}

func TestProgram(t *testing.T) {
	t.Run("rooms are kept in a directory", func(t *testing.T) {
		flags := []string{"-secret", secret, "-data", filepath.Join(t.TempDir(), "data")}
		p := start(t, flags...)
		_, known := people(t, p.server)
		p.server.say(`<message from="` + crone + `" to="` + cave + `" type="groupchat"><subject>Brew</subject></message>`)
		require.Equal(t, exitOK, p.end(), p.stderr)

		p = start(t, flags...)
		all := p.server.say(join(hag, "hag", known.resume()))
		assert.Equal(t, known.Session.Session, last(t, all, hag).Session.Session)
		assert.Contains(t, all[len(all)-1].Inner, "Brew")
		assert.Equal(t, exitOK, p.end(), p.stderr)
		assert.Equal(t, "mucroom: attached as rooms.example\n", p.stderr.String())
	})
	t.Run("a program that was not ended properly has not lost much", func(t *testing.T) {
		dir := t.TempDir()
		p := start(t, "-secret", secret, "-data", filepath.Join(dir, "data"))
		_, known := people(t, p.server)
		// It saves every now and then, what a room is like first. When that has changed all
		// that was before is there.
		rename := strings.Replace(instant, `/></query>`, `><field var="muc#roomconfig_roomname"><value>Cave</value></field></x></query>`, 1)
		await(t, p, filepath.Join(dir, "data", "rooms", "*.json"), `"name": ""`)
		p.server.say(ask(crone, cave, "c2", rename))
		await(t, p, filepath.Join(dir, "data", "rooms", "*.json"), `"name": "Cave"`)
		// What there is then is all that another one finds.
		copied := filepath.Join(dir, "copy")
		require.NoError(t, os.CopyFS(copied, os.DirFS(filepath.Join(dir, "data"))))
		require.Equal(t, exitOK, p.end(), p.stderr)

		p = start(t, "-secret", secret, "-data", copied)
		told := p.server.say()
		assert.Len(t, told, 2)
		for _, one := range told {
			assert.Contains(t, one.Inner, `<status code="333"/>`)
		}
		all := p.server.say(join(hag, "hag", known.resume()))
		assert.Equal(t, known.Session.Session, last(t, all, hag).Session.Session)
		assert.Equal(t, exitOK, p.end(), p.stderr)
	})
	t.Run("the secret may be in a file", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "secret")
		require.NoError(t, os.WriteFile(name, []byte(secret+"\n"), 0o600))
		p := start(t, "-secret-file", name)
		assert.Equal(t, exitOK, p.end(), p.stderr)
	})
	t.Run("a wrong secret is the end", func(t *testing.T) {
		p := start(t, "-secret", "another")
		assert.Equal(t, exitFailed, <-p.code)
		assert.Equal(t, "mucroom: attaching: not-authorized\n", p.stderr.String())
	})
	t.Run("rooms that cannot be kept are the end", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		var stderr bytes.Buffer
		code := run(t.Context(), []string{"-server", "127.0.0.1:1", "-domain", domain, "-secret", secret, "-data", file}, new(bytes.Buffer), &stderr)
		assert.Equal(t, exitFailed, code)
		assert.Contains(t, stderr.String(), "mucroom: -data: ")
	})
}

func TestFlags(t *testing.T) {
	good := []string{"-server", "localhost:5347", "-domain", domain, "-secret", secret}
	for _, tc := range []struct {
		name, want string
		args       []string
	}{
		{"no server", "-server: ", []string{"-domain", domain, "-secret", secret}},
		{"a server without a port", "-server: ", []string{"-server", "localhost", "-domain", domain, "-secret", secret}},
		{"no domain", "-domain must be a domain", []string{"-server", "localhost:5347", "-secret", secret}},
		{"a domain with more", "-domain must be a domain", []string{"-server", "localhost:5347", "-domain", cave, "-secret", secret}},
		{"no secret", "one of -secret and -secret-file is needed", []string{"-server", "localhost:5347", "-domain", domain}},
		{"two secrets", "one of -secret and -secret-file is needed", append(good[:6:6], "-secret-file", "x")},
		{"a file that is not there", "-secret-file: ", []string{"-server", "localhost:5347", "-domain", domain, "-secret-file", "none"}},
		{"no time", "-grace must be", append(good[:6:6], "-grace", "0s")},
		{"no occupants", "-max-occupants must be", append(good[:6:6], "-max-occupants", "0")},
		{"more than flags", "there are arguments behind the flags", append(good[:6:6], "x")},
		{"an unknown flag", "not defined", append(good[:6:6], "-x")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			assert.Equal(t, exitUsage, run(t.Context(), tc.args, &stdout, &stderr))
			assert.Contains(t, stderr.String(), tc.want)
			assert.NotContains(t, stderr.String(), secret)
			assert.Empty(t, stdout.String())
		})
	}
	t.Run("an empty secret", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "secret")
		require.NoError(t, os.WriteFile(name, []byte("\n"), 0o600))
		var stderr bytes.Buffer
		assert.Equal(t, exitUsage, run(t.Context(), append(good[:4:4], "-secret-file", name), new(bytes.Buffer), &stderr))
		assert.Contains(t, stderr.String(), "the secret is empty")
	})
	t.Run("help", func(t *testing.T) {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, exitOK, run(t.Context(), []string{"-h"}, &stdout, &stderr))
		assert.Equal(t, usage, stdout.String())
		assert.Empty(t, stderr.String())
	})
}
