// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/pipelining"
)

// The test binary is started again as a server that can be killed: the directory of its
// files and the address to listen on.
const serverVariable = "XMPPEXT_QUICKSTART_TEST_SERVER"

func init() {
	dir, address, ok := strings.Cut(os.Getenv(serverVariable), "\n")
	if !ok {
		return
	}
	if err := serveMany(dir, address); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Files of the server. What is in them outlives it.
const (
	certFile   = "cert.pem"
	keyFile    = "key.pem"
	tokensFile = "tokens"
)

// resources is what a process has at some instant.
type resources struct {
	Sessions   int64
	Goroutines int
	Memory     uint64 // bytes of heap that is in use, and of stacks
}

// measure returns those of this process, but for sessions.
func measure() resources {
	for range 2 { // What has a finalizer or is in a pool takes two rounds.
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return resources{Goroutines: runtime.NumGoroutine(), Memory: m.HeapAlloc + m.StackInuse}
}

// serveMany is the program. It prints its address, and answers each line of its standard
// input with its resources, one that says "left" when all sessions have ended. It ends
// when there are no more.
func serveMany(dir, address string) error {
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, certFile), filepath.Join(dir, keyFile))
	if err != nil {
		return err
	}
	tokens, err := openJournal(filepath.Join(dir, tokensFile))
	if err != nil {
		return err
	}
	h := newHouse()
	h.logins.Credentials = sharedKeys{accounts()}
	h.logins.Certificate = auth.Leaf(cert)
	h.logins.FAST = &auth.FAST{Store: tokens}
	h.tls = &tls.Config{Certificates: []tls.Certificate{cert}}
	h.tls.SetSessionTicketKeys([][32]byte{{1}}) // As a server has that is several processes.
	n := pipelining.NewNegotiator(h.features, pipelining.Config{})
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	var (
		sessions atomic.Int64
		serving  sync.WaitGroup
	)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				secure := tls.Server(pipelining.NewConn(conn), h.tls)
				s, err := xmpp.ReceiveSession(context.Background(), secure, xmpp.Secure, n)
				if err != nil {
					return
				}
				sessions.Add(1)
				defer sessions.Add(-1)
				_ = s.Serve(nil)
			})
		}
	}()
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(l.Addr().String()); err != nil {
		return err
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if lines.Text() == "left" {
			serving.Wait()
		}
		now := measure()
		now.Sessions = sessions.Load()
		if err := out.Encode(now); err != nil {
			return err
		}
	}
	return nil
}

// sharedKeys gives all accounts the password of juliet. To make as many keys takes
// minutes.
type sharedKeys struct{ auth.Credentials }

// Keys implements auth.Credentials.
func (s sharedKeys) Keys(ctx context.Context, _ jid.JID, mechanism string) (auth.Keys, error) {
	return s.Credentials.Keys(ctx, juliet, mechanism)
}

// A journal keeps tokens in a file to which each change is appended, so that they are
// there when the process was killed.
type journal struct {
	mu     sync.Mutex
	tokens map[string][2]keptToken // by account and client
	file   *os.File
}

// keptToken is an auth.Token, which has no JSON of its secret.
type keptToken struct {
	Secret, Mechanism string
	Issued, Expires   time.Time
	Count             uint64
}

func (k keptToken) token() auth.Token {
	return auth.Token{Secret: auth.Secret(k.Secret), Mechanism: k.Mechanism, Issued: k.Issued, Expires: k.Expires, Count: k.Count}
}

func keptOf(t auth.Token) keptToken {
	return keptToken{string(t.Secret), t.Mechanism, t.Issued, t.Expires, t.Count}
}

// change is a line of a journal.
type change struct {
	Key    string
	Tokens [2]keptToken
}

func openJournal(name string) (*journal, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal{tokens: make(map[string][2]keptToken), file: f}
	for d := json.NewDecoder(f); ; {
		var c change
		if err := d.Decode(&c); err != nil {
			return j, nil // The last line may have been cut short.
		}
		j.tokens[c.Key] = c.Tokens
	}
}

// Update implements auth.TokenStore.
func (j *journal) Update(ctx context.Context, account jid.JID, client string, update func(*auth.Tokens) bool) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	key := account.Bare().String() + " " + client
	kept := j.tokens[key]
	t := auth.Tokens{Current: kept[0].token(), New: kept[1].token()}
	if !update(&t) {
		return nil
	}
	j.tokens[key] = [2]keptToken{keptOf(t.Current), keptOf(t.New)}
	b, err := json.Marshal(change{key, j.tokens[key]})
	if err == nil {
		_, err = j.file.Write(append(b, '\n'))
	}
	return err
}

// A mortal is the server process.
type mortal struct {
	t       *testing.T
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *json.Decoder
	said    synced
	address string
}

// newEstate returns a directory with the files of a server.
func newEstate(t *testing.T, a authority) string {
	t.Helper()
	dir := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(a.cert.PrivateKey)
	require.NoError(t, err)
	for name, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: a.cert.Certificate[0]},
		keyFile:  {Type: "PRIVATE KEY", Bytes: key},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
	return dir
}

// newMortal starts a server. It ends with the test at the latest.
func newMortal(t *testing.T, dir, address string) *mortal {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	m := &mortal{t: t, cmd: exec.CommandContext(t.Context(), self)}
	m.cmd.Env = append(os.Environ(), serverVariable+"="+dir+"\n"+address)
	m.cmd.Stderr = &m.said
	m.in, err = m.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := m.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, m.cmd.Start())
	m.out = json.NewDecoder(out)
	require.NoError(t, m.out.Decode(&m.address), "%v", &m.said)
	return m
}

// resources asks the server for what it has.
func (m *mortal) resources() resources { return m.ask("now") }

// left is resources once all sessions have ended.
func (m *mortal) left() resources { return m.ask("left") }

func (m *mortal) ask(when string) resources {
	m.t.Helper()
	_, err := io.WriteString(m.in, when+"\n")
	require.NoError(m.t, err)
	var r resources
	require.NoError(m.t, m.out.Decode(&r))
	return r
}

// kill ends the server with all that it has, and returns how long it has computed.
func (m *mortal) kill() time.Duration {
	m.t.Helper()
	require.NoError(m.t, m.cmd.Process.Kill())
	_ = m.cmd.Wait()
	return m.cmd.ProcessState.UserTime() + m.cmd.ProcessState.SystemTime()
}
