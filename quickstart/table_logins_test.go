// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/internal/interop"
	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/quickstart"
)

// A visit is all kinds of logins at one server.
type visit struct {
	t                *testing.T
	server           *interop.Server
	account          jid.JID
	direct, starttls *relay
	rows             []row
}

func newVisit(t *testing.T, s *interop.Server) *visit {
	t.Helper()
	return &visit{
		t: t, server: s, account: jid.MustParse(juliet.Localpart() + "@" + s.Domain),
		direct: newRelay(t, s.DirectTLS), starttls: newRelay(t, s.STARTTLS),
	}
}

// kind says how a connection through a relay becomes secure.
func (v *visit) kind(r *relay) string {
	if r == v.direct {
		return "direct TLS"
	}
	return "STARTTLS"
}

// measure makes a login of a kind, and enters it. Login returns how it was done. On a
// machine that is busy what belongs to one flight may come apart, never the other way
// round: if there are more flights than there should be, it is made again.
func (v *visit) measure(r *relay, client, what string, login func() string) tally {
	v.t.Helper()
	is := row{client: client, kind: v.kind(r), login: what}
	for try := 0; ; try++ {
		how := login()
		took := r.last().tally()
		if want := flights[is.name()]; try < busy && want > 0 && took.flights > want {
			v.t.Logf("%s: %d flights in place of %d; once more", is.name(), took.flights, want)
			continue
		}
		i := slices.IndexFunc(v.rows, func(r row) bool { return r.name() == is.name() })
		if i < 0 {
			i = len(v.rows)
			is.how = how
			v.rows = append(v.rows, is)
		}
		v.rows[i].tallies = append(v.rows[i].tallies, took)
		assert.Equal(v.t, v.rows[i].how, how, is.name())
		return took
	}
}

// logins makes each login so many times.
func (v *visit) logins(times int) []row {
	js := newXMPPJS(v.t, v.server, v.account, v.direct.address())
	if js != nil {
		js.login("first") // A runtime that compiles as it goes on is slow at first.
		js.end()
	}
	for range times {
		v.stock(v.starttls)
		v.stock(v.direct)
		for _, r := range []*relay{v.starttls, v.direct} {
			v.first(r)
			if r == v.direct {
				v.later(r, "SCRAM", auth.DefaultMechanisms()...)
				v.later(r, "PLAIN", auth.Plain)
			}
			v.later(r, "token")
		}
		if js == nil {
			continue
		}
		v.measure(v.direct, "xmpp.js", "first", func() string { return js.login("first") })
		js.end()
		v.measure(v.direct, "xmpp.js", "later, token", func() string {
			how := js.login("later")
			require.True(v.t, strings.HasPrefix(how, "HT-"), how)
			return how
		})
		js.end()
	}
	return v.rows
}

// stock logs in with mellium alone.
func (v *visit) stock(r *relay) {
	v.t.Helper()
	v.measure(r, "mellium", "SCRAM", func() string {
		conn, err := new(net.Dialer).DialContext(v.t.Context(), "tcp", r.address())
		require.NoError(v.t, err)
		v.t.Cleanup(func() { _ = conn.Close() })
		var (
			rw       io.ReadWriter = conn
			state    xmpp.SessionState
			cfg      = &tls.Config{RootCAs: v.server.Roots, ServerName: v.server.Domain}
			features = []xmpp.StreamFeature{xmpp.SASL("", password, sasl.ScramSha256), xmpp.BindResource()}
		)
		if r == v.direct {
			rw, state = tls.Client(conn, cfg), xmpp.Secure
		} else {
			features = append(features, xmpp.StartTLS(cfg))
		}
		_, err = xmpp.NewSession(v.t.Context(), v.account.Domain(), v.account, rw, state, xmpptest.Stock(features...))
		require.NoError(v.t, err)
		return auth.ScramSHA256
	})
}

// dial logs in with a Dialer that was just made, as after a restart. With mechanisms it
// is not by token.
func (v *visit) dial(r *relay, address, dir string, mechanisms ...string) quickstart.Report {
	v.t.Helper()
	cache, err := quickstart.OpenFileCache(dir)
	require.NoError(v.t, err)
	d := &quickstart.Dialer{
		Cache: cache, TLS: &tls.Config{RootCAs: v.server.Roots}, Address: address, Security: quickstart.DirectTLS,
		Mechanisms: mechanisms, NoTokens: mechanisms != nil,
	}
	if r == v.starttls {
		d.Security = quickstart.StartTLS
	}
	s, err := d.Dial(v.t.Context(), v.account, quickstart.Password(password))
	require.NoError(v.t, err)
	v.t.Cleanup(func() { _ = s.Conn().Close() })
	return s.Report
}

// first logs in with nothing remembered.
func (v *visit) first(r *relay) {
	v.t.Helper()
	var report quickstart.Report
	is := v.measure(r, "quickstart", "first", func() string {
		report = v.dial(r, r.address(), filepath.Join(v.t.TempDir(), "cache"))
		return report.Mechanism
	})
	v.assertReport(report, is)
	assert.False(v.t, report.Held)
}

// later logs in once more. What is remembered is of a login that takes no time.
func (v *visit) later(r *relay, by string, mechanisms ...string) {
	v.t.Helper()
	var report quickstart.Report
	is := v.measure(r, "quickstart", "later, "+by, func() string {
		dir := filepath.Join(v.t.TempDir(), "cache")
		v.dial(r, r.server, dir, mechanisms...)
		report = v.dial(r, r.address(), dir, mechanisms...)
		if report.Resumed {
			return report.Mechanism + ", TLS resumed"
		}
		return report.Mechanism
	})
	v.assertReport(report, is)
	assert.True(v.t, report.Held, "%s: as planned", by)
	prefix := map[string]string{"SCRAM": "SCRAM-", "PLAIN": "PLAIN", "token": "HT-"}[by]
	assert.True(v.t, strings.HasPrefix(report.Mechanism, prefix), "%s with %s", by, report.Mechanism)
}

// assertReport asserts that a Report tells what was on the wire.
func (v *visit) assertReport(r quickstart.Report, is tally) {
	v.t.Helper()
	assert.Equal(v.t, 1, r.Attempts)
	assert.Equal(v.t, r.Flights, is.flights)
	assert.EqualValues(v.t, r.Sent, is.sent)
}

// xmppJS is a process with xmpp.js.
type xmppJS struct {
	t   *testing.T
	in  *json.Encoder
	out *json.Decoder
}

// newXMPPJS starts one that logs in at an address by direct TLS, or returns nil if it is
// not there.
func newXMPPJS(t *testing.T, s *interop.Server, account jid.JID, address string) *xmppJS {
	t.Helper()
	launcher := os.Getenv("XMPPEXT_XMPPJS")
	if launcher == "" {
		t.Log("xmpp.js is not there; run: export XMPPEXT_XMPPJS=$(bash .ci/clients xmppjs)")
		return nil
	}
	program, err := filepath.Abs(filepath.Join("..", "internal", "interop", "clients", "xmppjs-steps.mjs"))
	require.NoError(t, err)
	roots := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(roots, s.RootsPEM, 0o600))
	cmd := exec.CommandContext(t.Context(), launcher, program)
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+roots)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	var said synced
	cmd.Stderr = &said
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("xmpp.js says: %s", said.String())
		}
	})
	js := &xmppJS{t, json.NewEncoder(in), json.NewDecoder(out)}
	require.NoError(t, js.in.Encode(map[string]any{
		"jid": account.String(), "password": password, "addr": address, "directTLS": true,
	}))
	return js
}

// do has it do a step, and waits until that is done.
func (js *xmppJS) do(step string, answer any) {
	js.t.Helper()
	require.NoError(js.t, js.in.Encode(step))
	require.NoError(js.t, js.out.Decode(answer))
}

// login logs in, and returns the mechanism.
func (js *xmppJS) login(step string) string {
	js.t.Helper()
	var is struct{ JID, Mechanism, Error string }
	js.do(step, &is)
	require.Empty(js.t, is.Error)
	require.NotEmpty(js.t, is.JID)
	return is.Mechanism
}

func (js *xmppJS) end() {
	js.t.Helper()
	js.do("end", new(struct{}))
}
