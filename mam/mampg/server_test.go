// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mampg_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

// serverEnv names the programs of PostgreSQL: a folder that has initdb and postgres,
// or a program that takes one of these names as its first argument.
const serverEnv = "XMPPEXT_POSTGRESQL"

// patience is how long a server may take to start or to stop.
const patience = time.Minute

// A server is a PostgreSQL server with a database of its own, reached by a socket in
// a folder of its own.
type server struct {
	dir    string
	fsync  bool
	stop   func(os.Signal) error // sends a signal and waits for the end
	output lastLines
}

// programs is where the programs are: those that serverEnv names, or a copy of them.
var programs struct {
	once sync.Once
	path string
	copy string // a folder to remove
	err  error
}

// findPrograms finds the programs. Root cannot run them, and may have them where
// nobody else looks: then it makes a copy.
func findPrograms() {
	path := os.Getenv(serverEnv)
	info, err := os.Stat(path)
	if programs.path, programs.err = path, err; err != nil || info.IsDir() || !isRoot() {
		return
	}
	if path, programs.err = filepath.EvalSymlinks(path); programs.err != nil {
		return
	}
	if programs.copy, programs.err = os.MkdirTemp("", "mampg"); programs.err != nil {
		return
	}
	out, err := exec.Command("cp", "-R", "--", filepath.Dir(path), filepath.Join(programs.copy, "postgresql")).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("cp: %w\n%s", err, out)
	}
	programs.path = filepath.Join(programs.copy, "postgresql", filepath.Base(path))
	programs.err = errors.Join(err, os.Chmod(programs.copy, 0o755))
}

// program returns a command that runs one of PostgreSQL's programs.
func program(name string, args ...string) *exec.Cmd {
	path := programs.path
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, name)
	} else {
		args = append([]string{name}, args...)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	cmd.SysProcAttr = unprivileged()
	return cmd
}

// newServer makes a database and starts its server. If fsync is not set, it would not
// survive a power failure, and is faster.
func newServer(fsync bool) (*server, error) {
	if programs.once.Do(findPrograms); programs.err != nil {
		return nil, programs.err
	}
	// The path of a socket must be short.
	dir, err := os.MkdirTemp("", "mampg")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir, fsync: fsync}
	if err := errors.Join(os.Mkdir(s.data(), 0o700), giveAway(dir), giveAway(s.data())); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	cmd := program("initdb", "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("initdb: %w\n%s", err, out), s.remove())
	}
	if err := s.start(); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

func (s *server) data() string { return filepath.Join(s.dir, "data") }

func (s *server) remove() error { return os.RemoveAll(s.dir) }

// start starts the server and waits until it is ready.
func (s *server) start() error {
	// After a crash some of the old server may not have noticed yet.
	for deadline := time.Now().Add(patience); ; {
		err := s.startOnce()
		if err == nil || !strings.Contains(s.output.String(), "still in use") || time.Now().After(deadline) {
			return err
		}
	}
}

func (s *server) startOnce() error {
	cmd := program("postgres", "-D", s.data(), "-k", s.dir, "-c", "listen_addresses=", "-c", "fsync="+fmt.Sprint(s.fsync),
		"-c", "shared_buffers=64MB", "-c", "logging_collector=off", "-c", "log_destination=stderr", "-c", "lc_messages=C")
	cmd.Dir = s.dir
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	ready, ended := make(chan error, 1), make(chan error, 1)
	started := startWith(cmd, func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			s.output.add(lines.Text())
			if strings.Contains(lines.Text(), "ready to accept connections") {
				ready <- nil
			}
		}
		_, _ = io.Copy(io.Discard, stderr)
		ended <- cmd.Wait()
		close(ended)
	})
	if started != nil {
		return started
	}
	s.stop = func(signal os.Signal) error {
		if err := cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		select {
		case <-ended:
			return nil
		case <-time.After(patience):
			return errors.Join(errors.New("the server does not end"), cmd.Process.Kill())
		}
	}
	select {
	case <-ready:
		return nil
	case err := <-ended:
		return fmt.Errorf("the server has ended: %v\n%s", err, &s.output)
	case <-time.After(patience):
		return errors.Join(fmt.Errorf("the server does not start\n%s", &s.output), s.stop(os.Kill))
	}
}

// dsn returns the connection string of the server.
func (s *server) dsn() string { return "host=" + s.dir + " user=postgres dbname=postgres" }

// lastLines are the last lines of a program's output.
type lastLines struct {
	mu   sync.Mutex
	list []string
}

func (l *lastLines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list[max(0, len(l.list)-50):], line)
}

func (l *lastLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.list, "\n")
}

// common is the server of all tests that do it no harm.
var common struct {
	once sync.Once
	*server
	err error
}

// cleanUp removes what tests share.
func cleanUp() error {
	var err error
	if common.server != nil {
		err = errors.Join(common.stop(os.Interrupt), common.remove())
	}
	if programs.copy != "" {
		err = errors.Join(err, os.RemoveAll(programs.copy))
	}
	return err
}

// needServer skips a test if there are no programs to run.
func needServer(t testing.TB) {
	t.Helper()
	if os.Getenv(serverEnv) == "" {
		t.Skipf("%s is not set; run: export %[1]s=$(bash .ci/peers postgresql)", serverEnv)
	}
}

// commonServer returns a server that others use as well.
func commonServer(t testing.TB) *server {
	t.Helper()
	needServer(t)
	common.once.Do(func() { common.server, common.err = newServer(false) })
	require.NoError(t, common.err)
	return common.server
}

// ownServer returns a server that a test may crash.
func ownServer(t testing.TB) *server {
	t.Helper()
	needServer(t)
	s, err := newServer(true)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, s.stop(os.Interrupt))
		require.NoError(t, s.remove())
	})
	return s
}

// newPool returns a pool that is closed at the end of the test.
func (s *server) newPool(t testing.TB, change ...func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(s.dsn())
	require.NoError(t, err)
	cfg.MaxConns = 6
	for _, f := range change {
		f(cfg)
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

var schemas atomic.Int64

// newSchema returns the name of a schema that nobody has used.
func newSchema() string { return fmt.Sprintf("Mam %d", schemas.Add(1)) }
