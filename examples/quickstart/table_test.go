// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"bytes"
	"crypto/tls"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/auth"
)

// measured returns a sample that never was.
func measured(flights int, took time.Duration) []sample {
	s := sample{counts: counts{flights: flights, sent: 2400, received: 12345}, took: took, version: tls.VersionTLS13}
	slow, fast := s, s
	slow.took, fast.took = 2*took, took/2
	return []sample{slow, s, fast}
}

func remoteReport() *report {
	at := func(mech string, c client, name string) strategy {
		return strategy{name: name, way: way{client: c, profile: rfc6120, mech: mech}, server: "remote"}
	}
	return &report{
		rtt: 60 * time.Millisecond, runs: 3, addr: "capulet.example:5222", account: juliet,
		rows: []row{
			{strategy: at(auth.ScramSHA256, stockClient, "stock client"), status: notOffered},
			{strategy: at(auth.ScramSHA256, pacedClient, "paced"), status: notOffered},
			{strategy: at(auth.ScramSHA1, stockClient, "stock client"), status: failed, err: "xmpp: no matching SASL mechanisms found, and a lot more to say about it"},
			{strategy: at(auth.ScramSHA1, fullClient, "pipelined"), samples: measured(3, 3333*time.Microsecond)},
			{strategy: at(auth.Plain, stockClient, "stock client"), samples: measured(7, 12345*time.Millisecond)},
			{strategy: at(auth.Plain, pacedClient, "paced"), samples: measured(2, 98765*time.Microsecond)},
			{strategy: at(auth.Plain, fullClient, "pipelined"), status: lost, err: "pipelining: the server did not answer as planned"},
		},
	}
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, writeTable(&b, remoteReport(), false))
	assert.Equal(t, `XMPP login of juliet@capulet.example to capulet.example:5222
over TLS 1.3, 60 ms added to the round trip time, median of 3 runs
the server does not announce pipelining

                     flights   sent   rcvd    median  speed-up
STARTTLS, SCRAM-SHA-256
  stock client        not offered
  paced               not offered
STARTTLS, SCRAM-SHA-1
  stock client        failed: no matching SASL mechanisms found, and a lot mor…
  pipelined                3   2400  12345   3.33 ms            ▏
STARTTLS, PLAIN
  stock client             7   2400  12345  12345 ms      1.0×  ███████████████
  paced                    2   2400  12345   98.8 ms    125.0×  ▏
  pipelined           server lost what was sent ahead

flights: how often the client sends and then waits a round trip, TLS included
sent, rcvd: bytes on the wire, up to the moment when the session is ready
lost: the client then has to log in anew, step by step

a paced login takes 2 round trips in place of 7: 98.8 ms in place of 12345 ms
`, b.String())
	for line := range strings.Lines(b.String()) {
		assert.LessOrEqual(t, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")), tableWidth, line)
	}

	var painted bytes.Buffer
	require.NoError(t, writeTable(&painted, remoteReport(), true))
	assert.Contains(t, painted.String(), "\x1b[33mserver lost what was sent ahead\x1b[0m")
	assert.Equal(t, b.String(), regexp.MustCompile(`\x1b\[\d*m`).ReplaceAllString(painted.String(), ""))
}

// TestTableTokens adds the ways that need SASL2.
func TestTableTokens(t *testing.T) {
	rep := remoteReport()
	rep.addr, rep.rows = "", rep.rows[4:6]
	by := func(name string, c client, p profile, mech string, samples []sample) {
		for i := range samples {
			samples[i].login.Mechanism = mech
		}
		rep.rows = append(rep.rows, row{
			strategy: strategy{name: name, way: way{client: c, profile: p, mech: auth.Plain}, server: "ours"}, samples: samples,
		})
	}
	by("SASL2 alone", offClient, sasl2, auth.Plain, measured(6, 600*time.Millisecond))
	by("SASL2, pipelined", fullClient, sasl2, auth.Plain, measured(3, 300*time.Millisecond))
	by("FAST, pipelined", fullClient, fast, auth.HTSHA256None, measured(2, 200*time.Millisecond))
	var b bytes.Buffer
	require.NoError(t, writeTable(&b, rep, false))
	assert.Equal(t, `XMPP login over TLS 1.3, 60 ms round trip time (RTT), median of 3 runs

                     flights   sent   rcvd    median  speed-up
STARTTLS, PLAIN
  stock client             7   2400  12345  12345 ms      1.0×  ███████████████
  paced                    2   2400  12345   98.8 ms    125.0×  ▏
  SASL2 alone              6   2400  12345    600 ms     20.6×  ▊
  SASL2, pipelined         3   2400  12345    300 ms     41.1×  ▍
  FAST, pipelined          2   2400  12345    200 ms     61.7×  ▎

flights: how often the client sends and then waits a round trip, TLS included
sent, rcvd: bytes on the wire, up to the moment when the session is ready
stock: mellium.im/xmpp alone; servers are ours, but for "stock both ends"
SASL2: PLAIN, and the resource is bound in the login itself
FAST: the same with a token from an earlier login, HT-SHA-256-NONE

a later login takes 2 round trips in place of 7: 200 ms in place of 12345 ms
`, b.String())
	for line := range strings.Lines(b.String()) {
		assert.LessOrEqual(t, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")), tableWidth, line)
	}

	rep.rows[4].status = lost
	_, best, found := rep.best()
	assert.True(t, found)
	assert.Equal(t, "SASL2, pipelined", best.name, "without a token")
}

func TestTooNear(t *testing.T) {
	rep := remoteReport()
	rep.rows = rep.rows[4:6]
	rep.rows[1].samples = measured(2, time.Minute)
	var b bytes.Buffer
	require.NoError(t, writeTable(&b, rep, false))
	assert.Contains(t, b.String(), "try -rtt")
}

func TestFailed(t *testing.T) {
	with := func(status ...status) *report {
		rep := &report{}
		for _, s := range status {
			rep.rows = append(rep.rows, row{strategy: strategy{way: way{mech: auth.Plain}}, status: s})
		}
		return rep
	}
	assert.False(t, with(ok, ok, ok).failed())
	assert.True(t, with(ok, ok, failed).failed())
	assert.False(t, with(ok, lost, lost).failed(), "a finding")
	assert.True(t, with(failed, failed, lost).failed())
	assert.True(t, with(lost, lost, lost).failed())
	assert.True(t, with(notOffered, notOffered).failed(), "nobody could log in")

	rep := with(notOffered, ok)
	rep.rows[0].mech = auth.ScramSHA256
	assert.False(t, rep.failed())
	rep.rows[0].status = lost
	assert.True(t, rep.failed(), "another mechanism makes up for nothing")
}

func TestBar(t *testing.T) {
	for eighths, want := range map[int64]string{0: "", 1: "▏", 7: "▉", 8: "█", 12: "█▌", 8 * barWidth: strings.Repeat("█", barWidth)} {
		assert.Equal(t, want, bar(time.Duration(eighths), 8*barWidth))
	}
	assert.Equal(t, "▏", bar(1, 1_000_000), "what there is can be seen")
	assert.Empty(t, bar(1, 0))
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                          "0.00 ms",
		1234 * time.Microsecond:    "1.23 ms",
		9994 * time.Microsecond:    "9.99 ms",
		9996 * time.Microsecond:    "10.0 ms",
		99940 * time.Microsecond:   "99.9 ms",
		99960 * time.Microsecond:   "100 ms",
		1234567 * time.Microsecond: "1235 ms",
	} {
		assert.Equal(t, want, duration(d))
	}
}

func TestMedian(t *testing.T) {
	took := func(s sample) time.Duration { return s.took }
	assert.Zero(t, median(nil, took))
	assert.Equal(t, time.Duration(2), median([]sample{{took: 3}, {took: 1}, {took: 2}}, took))
	assert.Equal(t, time.Duration(2), median([]sample{{took: 3}, {took: 1}, {took: 2}, {took: 9}}, took))
}

// TestProgress writes to what is no terminal, and to what claims to be one.
func TestProgress(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/out")
	require.NoError(t, err)
	defer file.Close()
	assert.False(t, isTerminal(file))
	assert.False(t, coloured(file))
	assert.Nil(t, newProgress(file).w)

	var b bytes.Buffer
	p := progress{w: &b}
	p.clear()
	assert.Empty(t, b.String())
	p.show("%s", strings.Repeat("x", 100))
	p.clear()
	assert.Equal(t, "\r\x1b[K"+strings.Repeat("x", tableWidth-1)+"…\r\x1b[K", b.String())
}
