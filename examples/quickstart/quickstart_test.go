// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
)

var juliet = jid.MustParse("juliet@capulet.example")

const password = "r0m30myr0m30"

// noLeaks fails the test if it leaves goroutines behind.
func noLeaks(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		// What was told to end may need a moment for it.
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; {
			if time.Now().After(deadline) {
				buf := make([]byte, 1<<20)
				t.Fatalf("goroutines are left:\n%s", buf[:runtime.Stack(buf, true)])
			}
			<-tick.C
		}
	})
}

// quickstart runs the program.
func quickstart(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), args, &out, &err)
	return code, out.String(), err.String()
}

func decode(t *testing.T, stdout string) []jsonRow {
	t.Helper()
	var rows []jsonRow
	require.NoError(t, json.Unmarshal([]byte(stdout), &rows), "one document")
	return rows
}

// remote starts a server, and returns the flags that name it.
func remote(t *testing.T, stock, direct bool) []string {
	t.Helper()
	_, cert, err := newPKI(juliet.Domainpart())
	require.NoError(t, err)
	s, err := startServer(serverConfig{
		tls:      &tls.Config{Certificates: []tls.Certificate{cert}},
		direct:   direct,
		stock:    stock,
		account:  juliet,
		password: password,
	})
	require.NoError(t, err)
	t.Cleanup(s.stop)
	transport := "starttls"
	if direct {
		transport = "direct"
	}
	return []string{"-addr", s.addr(), "-jid", juliet.String(), "-tls", transport, "-ca", writePEM(t, cert.Certificate[0]), "-n", "1"}
}

// writePEM writes a certificate that is trusted for itself.
func writePEM(t *testing.T, der []byte) string {
	t.Helper()
	_, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return file
}

func TestFlights(t *testing.T) {
	noLeaks(t)
	code, stdout, stderr := quickstart(t, "-rtt", "4ms", "-n", "1", "-json")
	assert.Equal(t, exitOK, code)
	assert.Empty(t, stderr)
	flights := map[string]int{}
	mechanisms := map[string]string{
		"plain":              "PLAIN",
		"scram-sha-256":      "SCRAM-SHA-256",
		"scram-sha-256-plus": "SCRAM-SHA-256-PLUS",
		"sasl2":              "SCRAM-SHA-256-PLUS",
		"fast":               "HT-SHA-256-EXPR",
	}
	for _, r := range decode(t, stdout) {
		flights[r.Strategy] = r.Flights
		assert.Equal(t, "ok", r.Status, r.Strategy)
		assert.Empty(t, r.Error, r.Strategy)
		assert.Equal(t, 1, r.Runs, r.Strategy)
		assert.Equal(t, 4.0, r.RTTMs, r.Strategy)
		assert.Equal(t, mechanisms[strings.Split(r.Strategy, "/")[1]], r.Mechanism, r.Strategy)
		assert.Positive(t, r.Sent, r.Strategy)
		assert.Positive(t, r.Received, r.Strategy)
		assert.Positive(t, r.TimesStock, r.Strategy)
		assert.GreaterOrEqual(t, r.MedianMs, float64(4*r.Flights), "%s: no flight is faster than the way is long", r.Strategy)
	}
	assert.Equal(t, map[string]int{
		"starttls/plain/stock/stock":       7,
		"starttls/plain/stock/ours":        7,
		"starttls/plain/paced/ours":        2,
		"starttls/plain/full/ours":         2,
		"starttls/plain/full/ours/resumed": 2,
		"direct/plain/stock/stock":         5,
		"direct/plain/stock/ours":          5,
		"direct/plain/paced/ours":          2,
		"direct/plain/full/ours":           2,
		"direct/plain/full/ours/resumed":   2,

		"starttls/scram-sha-256/stock/ours":     8,
		"starttls/scram-sha-256/full/ours":      3,
		"starttls/scram-sha-256-plus/full/ours": 3,
		"starttls/sasl2/off/ours":               6,
		"starttls/sasl2/full/ours":              3,
		"starttls/fast/full/ours":               2,
		"direct/scram-sha-256/stock/ours":       6,
		"direct/scram-sha-256/full/ours":        3,
		"direct/scram-sha-256-plus/full/ours":   3,
		"direct/sasl2/off/ours":                 4,
		"direct/sasl2/full/ours":                3,
		"direct/fast/full/ours":                 2,
	}, flights)
}

func TestRunTable(t *testing.T) {
	noLeaks(t)
	code, stdout, stderr := quickstart(t, "-rtt", "2ms", "-n", "2")
	assert.Equal(t, exitOK, code)
	assert.Empty(t, stderr)
	assert.NotContains(t, stdout, "\x1b", "colour is for terminals")
	assert.Regexp(t, `^XMPP login over TLS 1\.3, 2 ms round trip time \(RTT\), median of 2 runs\n`, stdout)
	assert.Regexp(t, `(?m)^STARTTLS, PLAIN\n  stock both ends          7 +\d+ +\d+ +[\d.]+ ms +1\.0×  [█▏▎▍▌▋▊▉]+$`, stdout)
	assert.Regexp(t, `(?m)^STARTTLS, SCRAM-SHA-256\n  stock client             8 `, stdout)
	assert.Regexp(t, `(?m)^  FAST, pipelined          2 `, stdout)
	assert.Regexp(t, `\na later login takes 2 round trips in place of 8: [\d.]+ ms in place of [\d.]+ ms\n$`, stdout)
}

func TestRemote(t *testing.T) {
	for _, direct := range []bool{false, true} {
		t.Run(tlsName(direct), func(t *testing.T) {
			noLeaks(t)
			flags := remote(t, false, direct)
			file := filepath.Join(t.TempDir(), "password")
			require.NoError(t, os.WriteFile(file, []byte(password+"\n"), 0o600))

			code, stdout, stderr := quickstart(t, append(flags, "-json", "-password-file", file)...)
			assert.Equal(t, exitOK, code)
			assert.Empty(t, stderr)
			var got []string
			for _, r := range decode(t, stdout) {
				assert.Zero(t, r.RTTMs)
				assert.Equal(t, "ok", r.Status, r.Strategy)
				got = append(got, fmt.Sprintf("%s %d", r.Strategy, r.Flights))
			}
			// Step by step there are two more before direct TLS would begin.
			transport, more := "starttls", 2
			if direct {
				transport, more = "direct", 0
			}
			var want []string
			for _, w := range []struct {
				way     string
				flights int
			}{
				{"scram-sha-256/stock", 6 + more}, {"scram-sha-256/paced", 3}, {"scram-sha-256/full", 3},
				{"scram-sha-256-plus/paced", 3}, {"scram-sha-256-plus/full", 3},
				{"sasl2/off", 4 + more}, {"sasl2/paced", 3}, {"sasl2/full", 3}, {"fast/paced", 2}, {"fast/full", 2},
				{"scram-sha-1/stock", 6 + more}, {"scram-sha-1/paced", 3}, {"scram-sha-1/full", 3},
				{"scram-sha-1-plus/paced", 3}, {"scram-sha-1-plus/full", 3},
				{"plain/stock", 5 + more}, {"plain/paced", 2}, {"plain/full", 2},
			} {
				want = append(want, fmt.Sprintf("%s/%s/remote %d", transport, w.way, w.flights))
			}
			assert.Equal(t, want, got)

			code, stdout, _ = quickstart(t, append(flags, "-password", password, "-rtt", "2ms")...)
			assert.Equal(t, exitOK, code)
			assert.Contains(t, stdout, "2 ms added to the round trip time")
			assert.Contains(t, stdout, "the server announces pipelining")
		})
	}
}

func TestWrongPassword(t *testing.T) {
	noLeaks(t)
	flags := append(remote(t, false, false), "-password", "wr0ng")
	code, stdout, stderr := quickstart(t, append(flags, "-json")...)
	assert.Equal(t, exitFailed, code)
	assert.NotContains(t, stdout+stderr, "wr0ng")
	var failures int
	for _, r := range decode(t, stdout) {
		failures++
		assert.Equal(t, "failed", r.Status, r.Strategy)
		assert.Contains(t, r.Error, "not-authorized", r.Strategy)
		assert.Zero(t, r.Flights)
	}
	assert.Equal(t, 18, failures)

	code, stdout, stderr = quickstart(t, flags...)
	assert.Equal(t, exitFailed, code)
	assert.NotContains(t, stdout+stderr, "wr0ng")
	assert.Regexp(t, `(?m)^  pipelined           failed: authentication failed: not-authorized$`, stdout)
	assert.Regexp(t, `(?m)^  FAST, pipelined     failed: authentication failed: not-authorized$`, stdout)
	assert.NotContains(t, stdout, "login takes")
}

// TestLogOut makes sure that no token is left behind.
func TestLogOut(t *testing.T) {
	noLeaks(t)
	opts, err := parse(append(remote(t, false, true), "-password", password), t.Output())
	require.NoError(t, err)
	rep, err := measure(t.Context(), opts, &progress{})
	require.NoError(t, err)
	found := 0
	for _, r := range rep.rows {
		if r.profile != fast {
			continue
		}
		found++
		assert.Equal(t, ok, r.status, r.err)
		token, err := r.tokens.Token(t.Context(), juliet)
		require.NoError(t, err)
		assert.True(t, token.IsZero())
	}
	assert.Equal(t, 2, found)
}

// TestLost measures a server that loses what is sent ahead.
func TestLost(t *testing.T) {
	noLeaks(t)
	opts, err := parse(append(remote(t, true, false), "-password", password), t.Output())
	require.NoError(t, err)
	opts.answer = time.Second
	rep, err := measure(t.Context(), opts, &progress{})
	require.NoError(t, err)
	for _, r := range rep.rows {
		switch {
		case r.mech != auth.Plain:
			assert.Equal(t, notOffered, r.status)
		case r.client == stockClient:
			assert.Equal(t, ok, r.status, r.err)
		case r.client == fullClient:
			assert.Equal(t, lost, r.status, r.err)
		}
	}
	assert.False(t, rep.failed(), "a login step by step works")

	var b bytes.Buffer
	require.NoError(t, writeTable(&b, rep, false))
	assert.Contains(t, b.String(), "does not announce pipelining")
	assert.Contains(t, b.String(), "  pipelined           server lost what was sent ahead\n")
	assert.Contains(t, b.String(), "  FAST, pipelined     not offered\n")
}

func TestNoServer(t *testing.T) {
	noLeaks(t)
	flags := remote(t, false, false)
	for name, change := range map[string][]string{
		"nobody listens":      {"-addr", "127.0.0.1:1"},
		"another domain":      {"-jid", "juliet@montague.example"},
		"TLS comes too early": {"-tls", "direct"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := quickstart(t, append(append(flags, "-password", password), change...)...)
			assert.Equal(t, exitFailed, code)
			assert.Empty(t, stdout)
			assert.Regexp(t, `^quickstart: asking what the server offers: .+\n$`, stderr)
		})
	}
}

func TestInterrupt(t *testing.T) {
	noLeaks(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	var stdout, stderr bytes.Buffer
	start := time.Now()
	assert.Equal(t, exitInterrupted, run(ctx, []string{"-rtt", "10s", "-json"}, &stdout, &stderr))
	assert.Less(t, time.Since(start), 5*time.Second)
	assert.Empty(t, stdout.String())
	assert.Equal(t, "quickstart: interrupted\n", stderr.String())
}

func TestFlags(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, []byte("\n"), 0o600))
	named := "-addr localhost:5222 -jid juliet@capulet.example "
	for flags, want := range map[string]string{
		"-bogus":                               "-bogus",
		"-rtt soon":                            "-rtt",
		"-rtt -1ms":                            "-rtt must be from 0 to 10s",
		"-rtt 1h":                              "-rtt must be from 0 to 10s",
		"-n 0":                                 "-n must be from 1 to 1000",
		"-tls never":                           "-tls must be starttls or direct",
		"-tls direct":                          "-tls needs an -addr",
		"-jid a@b":                             "-jid needs an -addr",
		"-password r0m30":                      "-password needs an -addr",
		"-json secret":                         "there are arguments behind the flags",
		"-addr localhost -jid a@b":             "missing port",
		"-addr localhost:5222 -password x":     "-jid must be",
		"-addr localhost:5222 -jid b":          "-jid must be",
		named:                                  "-password",
		named + "-password x -password-file y": "one of -password and -password-file",
		named + "-password-file no-such-file":  "no-such-file",
		named + "-password-file " + empty:      "the password is empty",
		named + "-password x -ca " + empty:     "-ca: there is no certificate",
		named + "-password x -ca no-such-file": "no-such-file",
	} {
		t.Run(flags, func(t *testing.T) {
			code, stdout, stderr := quickstart(t, strings.Fields(flags)...)
			assert.Equal(t, exitUsage, code)
			assert.Empty(t, stdout)
			assert.Contains(t, stderr, want)
			assert.NotContains(t, stderr, "secret")
			assert.NotContains(t, stderr, "r0m30")
		})
	}

	code, stdout, stderr := quickstart(t, "-h")
	assert.Equal(t, exitOK, code)
	assert.Equal(t, usage, stdout)
	assert.Empty(t, stderr)
	for line := range strings.Lines(usage) {
		assert.Less(t, len(line), 81)
	}
}

func TestPresentable(t *testing.T) {
	o := options{password: "r0m30"}
	assert.Equal(t, "it was *** [31m", o.presentable(errorString("it was r0m30\x1b[31m")))
	assert.Equal(t, "a b", o.presentable(errorString("a\nb")))
}

type errorString string

func (e errorString) Error() string { return string(e) }
