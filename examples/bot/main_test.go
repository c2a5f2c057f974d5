// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/ping"
	"mellium.im/xmpp/stanza"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/mucfr"
	"github.com/xmppext/xmppext/quickstart"
)

// enough is how long a test may take.
const enough = 2 * time.Minute

// serve builds and starts the server in examples/server, and returns its address and the
// file with the certificate to trust.
func serve(t *testing.T, ctx context.Context) (addr, ca string) {
	t.Helper()
	dir := t.TempDir()
	program, ca := filepath.Join(dir, "server"), filepath.Join(dir, "ca.pem")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "../server").CombinedOutput()
	require.NoError(t, err, "%s", out)
	server := exec.CommandContext(ctx, program, "-listen", "127.0.0.1:0", "-domain", "example.net",
		"-account", "juliet:r0m30", "-account", "romeo:r0m30", "-ca-out", ca)
	stderr, err := server.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	line, err := bufio.NewReader(stderr).ReadString('\n')
	require.NoError(t, err)
	addr, found := strings.CutPrefix(strings.TrimSpace(line), "serving example.net on ")
	require.True(t, found, line)
	go func() { _, _ = io.Copy(io.Discard, stderr) }() // It ends with the program.
	return addr, ca
}

// A relay is a way to the server that can be cut.
type relay struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &relay{Listener: l}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", to)
			if err != nil {
				_ = a.Close()
				continue
			}
			r.mu.Lock()
			r.conns = append(r.conns, a, b)
			r.mu.Unlock()
			for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
				all.Go(func() {
					_, _ = io.Copy(way[0], way[1])
					_ = way[0].Close()
				})
			}
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		r.cut()
		all.Wait()
	})
	return r
}

// cut ends all connections.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.conns = nil
}

// say sends a message from Romeo, and returns when the server has it.
func say(t *testing.T, ctx context.Context, addr, ca, text string) {
	t.Helper()
	pem, err := os.ReadFile(ca)
	require.NoError(t, err)
	trusted := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	require.True(t, trusted.RootCAs.AppendCertsFromPEM(pem))
	d := quickstart.Dialer{Address: addr, TLS: trusted}
	s, err := d.Dial(ctx, jid.MustParse("romeo@example.net"), quickstart.Password("r0m30"))
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(nil) }()
	message := stanza.Message{To: jid.MustParse("juliet@example.net"), Type: stanza.ChatMessage}.Wrap(
		xmlstream.Wrap(xmlstream.Token(xml.CharData(text)), xml.StartElement{Name: xml.Name{Local: "body"}}))
	require.NoError(t, s.Send(ctx, message))
	require.NoError(t, ping.Send(ctx, s.Session, jid.MustParse("example.net")))
	require.NoError(t, s.Close())
	_ = s.Conn().Close()
	<-served
}

// started is a bot that runs.
type started struct {
	t     *testing.T
	stop  context.CancelFunc
	lines chan string
	done  chan error
}

func start(t *testing.T, ctx context.Context, args ...string) *started {
	t.Helper()
	b := &started{t: t, lines: make(chan string, 100), done: make(chan error, 1)}
	ctx, b.stop = context.WithCancel(ctx)
	out, w := io.Pipe()
	go func() {
		defer close(b.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			b.lines <- lines.Text()
		}
	}()
	go func() {
		b.done <- run(ctx, args, w, t.Output())
		_ = w.Close()
	}()
	t.Cleanup(func() { b.end() })
	return b
}

// next asserts what the bot prints next.
func (b *started) next(want string) {
	b.t.Helper()
	select {
	case line := <-b.lines:
		require.Equal(b.t, want, line)
	case <-time.After(enough):
		require.Fail(b.t, "the bot does not print it", want)
	}
}

// end ends the bot, and returns what it has not been asked for.
func (b *started) end() (rest []string) {
	b.stop()
	for line := range b.lines {
		rest = append(rest, line)
	}
	return rest
}

func TestBot(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), enough)
	defer cancel()
	addr, ca := serve(t, ctx)
	way := newRelay(t, addr)
	password := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(password, []byte("r0m30\n"), 0o600))
	args := []string{"-jid", "juliet@example.net", "-addr", way.Addr().String(), "-ca", ca,
		"-state", filepath.Join(t.TempDir(), "state"), "-wait", "1ms"}

	say(t, ctx, addr, ca, "But, soft!")
	b := start(t, ctx, append(args, "-password-file", password)...)
	b.next("romeo@example.net: But, soft!")
	say(t, ctx, addr, ca, "What light through yonder window breaks?")
	b.next("romeo@example.net: What light through yonder window breaks?")

	way.cut()
	say(t, ctx, addr, ca, "It is the east,")
	b.next("romeo@example.net: It is the east,")
	say(t, ctx, addr, ca, "and Juliet is the sun.")
	b.next("romeo@example.net: and Juliet is the sun.")
	assert.Empty(t, b.end(), "each message is printed once")
	assert.NoError(t, <-b.done)

	say(t, ctx, addr, ca, "Arise, fair sun,")
	b = start(t, ctx, args...) // There is a token.
	b.next("romeo@example.net: Arise, fair sun,")
	assert.Empty(t, b.end(), "each message is printed once")
	assert.NoError(t, <-b.done)
}

func TestRefused(t *testing.T) {
	for name, args := range map[string][]string{
		"no account":    {"-state", "state"},
		"no folder":     {"-jid", "juliet@example.net"},
		"no address":    {"-jid", "@", "-state", "state"},
		"no nickname":   {"-jid", "juliet@example.net", "-state", "state", "-room", "coven@rooms.example"},
		"no such file":  {"-jid", "juliet@example.net", "-state", t.TempDir(), "-ca", filepath.Join(t.TempDir(), "ca.pem")},
		"no such flag":  {"-juliet"},
		"a broken file": {"-jid", "juliet@example.net", "-state", broken(t)},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // Nobody is to be asked.
			var out bytes.Buffer
			assert.Error(t, run(ctx, args, &out, io.Discard))
			assert.Empty(t, out.String())
		})
	}
}

// broken returns a folder with a state that cannot be read.
func broken(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "state.json"), []byte("{"), 0o600))
	return dir
}

func TestPassword(t *testing.T) {
	p, err := options{}.password(t.Context())
	require.NoError(t, err)
	assert.Empty(t, p, "which is "+auth.ErrNoPassword.Error())
	_, err = options{passwordFile: filepath.Join(t.TempDir(), "none")}.password(t.Context())
	assert.Error(t, err)
	name := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(name, []byte("r0m30\r\nsecond line"), 0o600))
	p, err = options{passwordFile: name}.password(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "r0m30", p)
}

func TestState(t *testing.T) {
	file := filepath.Join(t.TempDir(), "folder", "state.json")
	room := jid.MustParse("coven@rooms.example/juliet")
	s, err := open(file, room)
	require.NoError(t, err)
	place := s.place
	place.ID, place.Stamp = "28482-98726-73623", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	require.NoError(t, s.room.UnmarshalJSON(resumable(t, room)))
	require.NoError(t, s.move(place))

	again, err := open(file, jid.MustParse("coven@rooms.example/capulet"))
	require.NoError(t, err)
	assert.Equal(t, place, again.place)
	assert.Equal(t, mucfr.Resume, again.room.Join("1").Type)
	assert.Equal(t, "capulet", again.room.Address().Resourcepart(), "it asks for the nickname that it is to have now")

	for name, room := range map[string]jid.JID{
		"another room": jid.MustParse("orchard@rooms.example/juliet"),
		"no room":      {},
	} {
		other, err := open(file, room)
		require.NoError(t, err, name)
		assert.Equal(t, place, other.place, name)
		assert.Equal(t, room, other.room.Address(), name)
		assert.Empty(t, other.room.Join("1").Type, name)
	}
}

// resumable returns what is known of a room that somebody was in.
func resumable(t *testing.T, address jid.JID) []byte {
	t.Helper()
	o := mucfr.NewOccupancy(address)
	o.Join("1")
	_, err := o.Apply(xml.NewDecoder(strings.NewReader(`<presence id="1" from="` + address.String() + `" to="juliet@example.net/bot">` +
		`<x xmlns="http://jabber.org/protocol/muc#user"><item affiliation="none" role="participant"/><status code="110"/></x>` +
		`<presence-session xmlns="urn:xmpp:presence-session:0" session="s" id="i"/></presence>`)))
	require.NoError(t, err)
	b, err := o.MarshalJSON()
	require.NoError(t, err)
	return b
}
