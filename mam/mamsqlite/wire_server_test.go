// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mamsqlite_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/mam"
	"github.com/xmppext/xmppext/mam/mamsqlite"
)

const (
	wireUser   = "juliet"
	wireDomain = "wire.example"
	wireItems  = 10_000
	wireBytes  = 347 // of a message
	wirePage   = 100

	// wireEnv makes the test binary a server: with the archive in the file that it
	// names, or with "memory".
	wireEnv = "MAMSQLITE_TEST_WIRE"

	prosodyEnv = "XMPPEXT_PROSODY"
)

// wireMessage returns the nth message, with the attributes that a server adds.
func wireMessage(n int, attrs string) string {
	head := fmt.Sprintf(`<message xmlns="jabber:client"%s id="m%05d" to="romeo@%s" type="chat"><body>`, attrs, n, wireDomain)
	const tail = `</body></message>`
	return head + strings.Repeat("x", wireBytes-len(head)-len(tail)) + tail
}

// A wireServer is a server in a process of its own.
type wireServer struct {
	cmd  *exec.Cmd
	addr string
}

// startWire starts a program until the benchmark ends, which says so by closing its
// standard input.
func startWire(b *testing.B, program string, args ...string) (*exec.Cmd, *bufio.Reader) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), program, args...)
	cmd.Env = append(os.Environ(), wireEnv+"="+args[len(args)-1])
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Stderr = os.Stderr
	_, err := cmd.StdinPipe() // It is closed by Wait, or when we end.
	require.NoError(b, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() { _ = cmd.Wait() })
	return cmd, bufio.NewReader(stdout)
}

// ownWire starts our server.
func ownWire(b *testing.B, store string) *wireServer {
	b.Helper()
	self, err := os.Executable()
	require.NoError(b, err)
	cmd, stdout := startWire(b, self, "-test.run=^TestWireServer$", store)
	addr, err := stdout.ReadString('\n')
	require.NoError(b, err)
	return &wireServer{cmd, strings.TrimSpace(addr)}
}

// TestWireServer is the server that ownWire starts. It prints its address.
func TestWireServer(t *testing.T) {
	store := os.Getenv(wireEnv)
	if store == "" {
		t.Skip("this is a server for a benchmark, which starts it: run go test -run '^$' -bench Wire")
	}
	var archive mam.Batcher = new(mam.Memory)
	if store != "memory" {
		a, err := mamsqlite.Open(t.Context(), store)
		require.NoError(t, err)
		defer a.Close()
		archive = a
	}
	account := jid.MustParse(wireUser + "@" + wireDomain)
	var entries []mam.Entry
	for n := range wireItems {
		entries = append(entries, mam.Entry{Archive: account, Message: mam.Message{
			With: jid.MustParse("romeo@" + wireDomain),
			XML:  []byte(wireMessage(n, ` from="`+wireUser+`@`+wireDomain+`/wire"`)),
		}})
	}
	_, err := archive.AppendAll(t.Context(), entries)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = l.Close()
	}()
	negotiator := xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
		return xmpp.StreamConfig{Features: []xmpp.StreamFeature{
			xmpp.SASLServer(func(*sasl.Negotiator) bool { return true }, sasl.Plain),
			xmpp.BindResource(),
		}}
	})
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		s, err := xmpp.ReceiveSession(t.Context(), conn, xmpp.Secure, negotiator)
		require.NoError(t, err)
		go func() {
			_ = s.Serve(mux.New(stanza.NSClient, mam.Handle(&mam.Handler{Archive: archive, Account: account})))
			_ = conn.Close()
		}()
	}
}

// wireModule makes Prosody end when its standard input does.
const wireModule = `module:set_global();
module:hook("server-started", function ()
	require "prosody.net.server".watchfd(0, function () os.exit(1); end);
end);
`

// wireProsody is Prosody's configuration. Its archive may be as large, and its pages
// as long, as ours. With nagle, it would wait for the client's kernel. Its SQLite
// does without a file, because it would wait for the disk at each message that it is
// filled with.
const wireProsody = `run_as_root = true
data_path = %q
plugin_paths = { %q }
log = { { to = "stderr", levels = { min = "error" } } }
interfaces = { "127.0.0.1" }
c2s_ports = { %s }
s2s_ports, http_ports, https_ports = {}, {}, {}
network_settings = { nagle = false }
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
storage = { archive = "sql" }
sql = { driver = "SQLite3", database = ":memory:" }
default_archive_policy = true
storage_archive_item_limit = 100000
max_archive_query_results = %d
modules_enabled = { "wire", "saslauth", "mam" }
modules_disabled = { "s2s", "tls", "offline" }
VirtualHost %q
`

// prosodyWire starts Prosody with its archive in SQLite, and fills it.
func prosodyWire(b *testing.B) *wireServer {
	b.Helper()
	launcher := os.Getenv(prosodyEnv)
	if launcher == "" {
		b.Skipf("%s is not set; run: export %[1]s=$(bash .ci/peers prosody)", prosodyEnv)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	addr := l.Addr().String()
	require.NoError(b, l.Close())
	_, port, err := net.SplitHostPort(addr)
	require.NoError(b, err)
	dir := b.TempDir()
	config := filepath.Join(dir, "prosody.cfg.lua")
	for name, content := range map[string]string{
		config: fmt.Sprintf(wireProsody, filepath.Join(dir, "data"), filepath.Join(dir, "plugins"), port, wirePage, wireDomain),
		filepath.Join(dir, "plugins", "mod_wire.lua"):                             wireModule,
		filepath.Join(dir, "data", "wire%2eexample", "accounts", wireUser+".dat"): `return { password = "` + wirePassword + `" }`,
	} {
		require.NoError(b, os.MkdirAll(filepath.Dir(name), 0o700))
		require.NoError(b, os.WriteFile(name, []byte(content), 0o600))
	}
	cmd, _ := startWire(b, launcher, "-F", "--config", config)
	ctx, cancel := context.WithTimeout(b.Context(), 20*time.Second)
	defer cancel()
	require.NoError(b, listening(ctx, addr))

	c, err := dialWire(addr, wireUser, wireDomain)
	require.NoError(b, err)
	defer c.conn.Close()
	go func() {
		w := bufio.NewWriter(c.conn) // It keeps an error.
		for n := range wireItems {
			_, _ = w.WriteString(wireMessage(n, ""))
		}
		_, _ = w.WriteString(`<iq type="get" id="filled"><query xmlns="jabber:iq:roster"/></iq>`)
		_ = w.Flush()
	}()
	// Each message comes back: there is no romeo.
	var end []byte
	buf := make([]byte, 64<<10)
	for !bytes.Contains(end, []byte("filled")) {
		n, err := c.conn.Read(buf)
		require.NoError(b, err)
		end = append(end[max(len(end)-6, 0):], buf[:n]...)
	}
	return &wireServer{cmd, addr}
}

// listening waits until somebody listens.
func listening(ctx context.Context, addr string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

// cpu returns the processor time that a server has used, or zero where that cannot
// be told.
func (s *wireServer) cpu() (used time.Duration) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	for _, field := range fields[11:13] { // utime and stime, in ticks of 10 ms
		ticks, err := strconv.Atoi(field)
		if err != nil {
			return 0
		}
		used += time.Duration(ticks) * 10 * time.Millisecond
	}
	return used
}
