// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// say runs the program. Nothing that it says has a secret.
func say(t *testing.T, flags []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), slices.Concat(flags, args), &out, &errs)
	assert.NotContains(t, out.String()+errs.String(), password)
	return code, out.String(), errs.String()
}

// file returns the name of a new file.
func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

// output is what -json prints.
type output struct {
	Report struct {
		Account   string
		Direct    bool
		Held      bool
		Attempts  int
		Resumed   bool
		Mechanism string
		Flights   int
		Phases    []struct{ Name string }
	}
	JID   string
	Token bool
	Ping  *float64 `json:"ping_ms"`
}

// logIn runs the program with -json.
func logIn(t *testing.T, flags []string, args ...string) output {
	t.Helper()
	code, stdout, stderr := say(t, flags, append(args, "-json")...)
	require.Equal(t, exitOK, code, stderr)
	assert.Empty(t, stderr)
	var v output
	d := json.NewDecoder(bytes.NewReader([]byte(stdout)))
	require.NoError(t, d.Decode(&v), stdout)
	assert.ErrorIs(t, d.Decode(new(any)), io.EOF, "it is one document")
	assert.Equal(t, account, v.Report.Account)
	assert.Regexp(t, `^juliet@example\.net/.`, v.JID)
	assert.Equal(t, 1, v.Report.Attempts)
	require.NotNil(t, v.Ping)
	assert.Positive(t, *v.Ping)
	return v
}

func TestSecondRun(t *testing.T) {
	for _, test := range []struct {
		name   string
		direct bool
		first  int // flights
	}{{"STARTTLS", false, 6}, {"direct TLS", true, 4}} {
		t.Run(test.name, func(t *testing.T) {
			flags := serve(t, test.direct)
			secret := []string{"-password-file", file(t, password+"\n")}
			cache := []string{"-cache", filepath.Join(t.TempDir(), "cache")}

			v := logIn(t, flags, slices.Concat(secret, cache)...)
			assert.Equal(t, test.direct, v.Report.Direct)
			assert.Equal(t, test.first, v.Report.Flights)
			assert.Equal(t, "SCRAM-SHA-256-PLUS", v.Report.Mechanism)
			assert.False(t, v.Token || v.Report.Resumed || v.Report.Held)
			for range 2 {
				v = logIn(t, flags, cache...)
				assert.Equal(t, 2, v.Report.Flights)
				assert.Equal(t, "HT-SHA-256-EXPR", v.Report.Mechanism)
				assert.True(t, v.Token, "no password is needed")
				assert.True(t, v.Report.Resumed, "TLS is taken up again by another process")
				assert.True(t, v.Report.Held, "the plan is used")
			}

			v = logIn(t, flags, secret...)
			assert.Equal(t, test.first, v.Report.Flights, "it is the cache that remembers")

			other := filepath.Join(t.TempDir(), "more.pem")
			pem, err := os.ReadFile(flags[slices.Index(flags, "-ca")+1])
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(other, append(pem, '\n'), 0o600))
			v = logIn(t, flags, slices.Concat(secret, cache, []string{"-ca", other})...)
			assert.Equal(t, test.first, v.Report.Flights, "what is remembered is not for those that trust others")
		})
	}
}

func TestOutput(t *testing.T) {
	flags := append(serve(t, true), "-password-file", file(t, password))
	t.Run("text", func(t *testing.T) {
		code, stdout, stderr := say(t, flags)
		assert.Equal(t, exitOK, code)
		assert.Empty(t, stderr)
		assert.Regexp(t, `\Ajuliet@example\.net at 127\.0\.0\.1:\d+, direct TLS\n`, stdout)
		assert.Regexp(t, `(?m)^  flights 4, connections 1$`, stdout)
		for _, phase := range []string{"tcp", "tls", "login"} {
			assert.Regexp(t, `(?m)^  `+phase+` +\| *=+ *\| .* ms$`, stdout)
		}
		assert.Regexp(t, `\n  ping    \d+\.\d ms, as juliet@example\.net/\S+\n\z`, stdout)
	})
	t.Run("-svg", func(t *testing.T) {
		svg := filepath.Join(t.TempDir(), "report.svg")
		code, _, stderr := say(t, flags, "-svg", svg)
		require.Equal(t, exitOK, code, stderr)
		f, err := os.Open(svg)
		require.NoError(t, err)
		defer f.Close()
		var names []string
		for d := xml.NewDecoder(f); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			if start, ok := token.(xml.StartElement); ok {
				names = append(names, start.Name.Local)
			}
		}
		assert.Equal(t, "svg", names[0])
		assert.Contains(t, names, "rect")

		code, _, stderr = say(t, flags, "-svg", t.TempDir())
		assert.Equal(t, exitFailed, code)
		assert.Contains(t, stderr, "connect: ")
	})
}

func TestFailures(t *testing.T) {
	flags := serve(t, false)
	secret := []string{"-password-file", file(t, password)}
	_, otherCA := certificate(t)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"a wrong password", []string{"-password-file", file(t, "wr0ng")}, "authentication failed: not-authorized"},
		{"no password", nil, "there is no token, and no -password-file"},
		{"no file with a password", []string{"-password-file", filepath.Join(t.TempDir(), "none")}, "none: "},
		{"an unknown authority", append([]string{"-ca", otherCA}, secret...), "certificate signed by unknown authority"},
		{"no certificates", append([]string{"-ca", file(t, "PEM")}, secret...), "-ca: no certificate in "},
		{"no server", append([]string{"-addr", l.Addr().String()}, secret...), "connection refused"},
		{"a cache that is a file", append([]string{"-cache", file(t, "")}, secret...), "-cache: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, how := range [][]string{nil, {"-json"}} {
				code, stdout, stderr := say(t, flags, slices.Concat(test.args, how)...)
				assert.Equal(t, exitFailed, code)
				assert.Empty(t, stdout)
				assert.Regexp(t, `\Aconnect: `, stderr)
				assert.Contains(t, stderr, test.want)
				assert.NotContains(t, stderr, "wr0ng")
			}
		})
	}
	for name, args := range map[string][]string{
		"no account":     {"-jid", ""},
		"only a domain":  {"-jid", "example.net"},
		"a kind of TLS":  {"-tls", "none"},
		"an argument":    {"more"},
		"a flag":         {"-password", password[:3]},
		"a wrong number": {"-json=2"},
	} {
		t.Run("usage: "+name, func(t *testing.T) {
			code, stdout, stderr := say(t, flags, args...)
			assert.Equal(t, exitUsage, code)
			assert.Empty(t, stdout)
			assert.Regexp(t, `\Aconnect: .+\nTry -h for help\.\n\z`, stderr)
		})
	}
	code, stdout, stderr := say(t, flags, "-h")
	assert.Equal(t, exitOK, code)
	assert.Empty(t, stderr)
	assert.Contains(t, stdout, "-password-file")
}
