// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package interop

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

const (
	startTime  = 20 * time.Second
	startTries = 5
)

// software is a program that is a server.
type software struct {
	name string
	env  string // names the executable that runs it with the arguments it gets
	peer string // how .ci/peers calls it

	// prepare writes everything that does not depend on ports into dir.
	prepare func(dir string, cfg Config) error

	// configure writes what does, and returns the arguments for a start.
	configure func(dir string, cfg Config, starttls, direct string) (args []string, err error)

	// started, version and taken match the log of a server that is ready, has the
	// submatch as its version, and was too late for one of its ports.
	started, version, taken *regexp.Regexp
}

// run starts the server, and stops it at the end of the test.
func (sw *software) run(t testing.TB, cfg Config, ports portsFunc) *Server {
	t.Helper()
	launcher := os.Getenv(sw.env)
	if launcher == "" {
		t.Skipf("interop: %s is not set; run: export %[1]s=$(bash .ci/peers %s)", sw.env, sw.peer)
	}
	cfg.Domain = cmp.Or(cfg.Domain, "interop.example")
	dir := t.TempDir() // before the cleanup that stops the server, so removed after it

	srv, err := sw.start(launcher, dir, cfg, ports)
	if err != nil {
		t.Fatalf("interop: %s does not start with %s=%s: %v", sw.name, sw.env, launcher, err)
	}
	t.Cleanup(func() {
		if err := srv.proc.stop(); err != nil {
			t.Errorf("interop: %s did not stop as it should: %v", sw.name, err)
		}
		if t.Failed() {
			t.Logf("interop: the end of %s's log:\n%s", sw.name, srv.proc.tail())
		}
	})
	return srv
}

// start prepares the server in dir and tries to start it until it gets the ports
// that it should.
func (sw *software) start(launcher, dir string, cfg Config, ports portsFunc) (*Server, error) {
	srv := &Server{Domain: cfg.Domain}
	pki, err := newPKI(cfg.Domain)
	if err != nil {
		return nil, err
	}
	srv.Roots, srv.RootsPEM = pki.roots, pki.rootsPEM
	if err := pki.write(dir); err != nil {
		return nil, err
	}
	if err := sw.prepare(dir, cfg); err != nil {
		return nil, err
	}
	for try := range startTries {
		if srv.STARTTLS, srv.DirectTLS, err = ports(); err != nil {
			return nil, err
		}
		var args []string
		if args, err = sw.configure(dir, cfg, srv.STARTTLS, srv.DirectTLS); err != nil {
			return nil, err
		}
		log := filepath.Join(dir, fmt.Sprintf("log%d", try))
		if srv.proc, err = start(log, launcher, args...); err != nil {
			return nil, err
		}
		if err = sw.await(srv); err == nil {
			return srv, nil
		}
		err = fmt.Errorf("%w; the end of its log:\n%s", err, srv.proc.tail())
		_ = srv.proc.stop() // the first error says more
		if !errors.Is(err, errPortTaken) {
			break
		}
	}
	return nil, err
}

// await waits until the server has started and listens. That the ports accept is
// not enough, because they may be somebody else's.
func (sw *software) await(srv *Server) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(startTime)
	defer late.Stop()
	for ended := false; ; {
		log, err := srv.proc.log()
		switch {
		case err != nil:
			return err
		case sw.taken.MatchString(log):
			return errPortTaken
		case ended:
			return fmt.Errorf("it ended at once: %v", srv.proc.cmd.ProcessState)
		case sw.started.MatchString(log) && accepts(srv.STARTTLS) && accepts(srv.DirectTLS):
			version := sw.version.FindStringSubmatch(log)
			if version == nil {
				return errors.New("it does not say its version")
			}
			srv.Version = version[1]
			return nil
		}
		select {
		case <-tick.C:
		case <-srv.proc.done:
			ended = true // after a last look at the log
		case <-late.C:
			return fmt.Errorf("it did not start within %v", startTime)
		}
	}
}
