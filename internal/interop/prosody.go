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
	"strings"
	"testing"
	"time"
)

// prosodyEnv names the executable that runs Prosody with the arguments it gets.
const prosodyEnv = "XMPPEXT_PROSODY"

const (
	startTime  = 20 * time.Second
	startTries = 5
)

// Prosody starts a Prosody server, 13 or newer, and stops it at the end of the
// test.
//
// Over TLS it offers PLAIN and SCRAM with SHA-1 and SHA-256, both also with
// channel binding. Nothing limits rates.
//
// It skips the test if XMPPEXT_PROSODY is not set, and fails it if the server
// does not start.
func Prosody(t testing.TB, cfg Config) *Server {
	t.Helper()
	return prosody(t, cfg, freePorts)
}

func prosody(t testing.TB, cfg Config, ports portsFunc) *Server {
	t.Helper()
	launcher := os.Getenv(prosodyEnv)
	if launcher == "" {
		t.Skipf("interop: %s is not set; run: export %[1]s=$(bash .ci/peers prosody)", prosodyEnv)
	}
	cfg.Domain = cmp.Or(cfg.Domain, "interop.example")
	dir := t.TempDir() // before the cleanup that stops the server, so removed after it

	srv, err := startProsody(launcher, dir, cfg, ports)
	if err != nil {
		t.Fatalf("interop: Prosody does not start with %s=%s: %v", prosodyEnv, launcher, err)
	}
	t.Cleanup(func() {
		if err := srv.proc.stop(); err != nil {
			t.Errorf("interop: Prosody did not stop as it should: %v", err)
		}
		if t.Failed() {
			t.Logf("interop: the end of Prosody's log:\n%s", srv.proc.tail())
		}
	})
	return srv
}

// startProsody prepares the server in dir and tries to start it until it gets
// the ports that it should.
func startProsody(launcher, dir string, cfg Config, ports portsFunc) (*Server, error) {
	srv := &Server{Domain: cfg.Domain}
	pki, err := newPKI(cfg.Domain)
	if err != nil {
		return nil, err
	}
	srv.Roots, srv.RootsPEM = pki.roots, pki.rootsPEM
	if err := pki.write(dir); err != nil {
		return nil, err
	}
	if err := writeProsody(dir, cfg); err != nil {
		return nil, err
	}
	for try := range startTries {
		if srv.STARTTLS, srv.DirectTLS, err = ports(); err != nil {
			return nil, err
		}
		var conf string
		if conf, err = writeProsodyConfig(dir, cfg, srv.STARTTLS, srv.DirectTLS); err != nil {
			return nil, err
		}
		log := filepath.Join(dir, fmt.Sprintf("log%d", try))
		if srv.proc, err = start(log, launcher, "-F", "--config", conf); err != nil {
			return nil, err
		}
		if err = awaitProsody(srv); err == nil {
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

var (
	// prosodyVersion matches Prosody's first line.
	prosodyVersion = regexp.MustCompile(`Hello and welcome to Prosody version (\S+)`)

	// prosodyNoPort matches the only hint at a port that is in use: Prosody goes
	// on without it.
	prosodyNoPort = regexp.MustCompile(`Failed to open server port.* in use`)
)

// awaitProsody waits until the server has started and listens. That the ports
// accept is not enough, because they may be somebody else's.
func awaitProsody(srv *Server) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(startTime)
	defer late.Stop()
	for {
		log, err := srv.proc.log()
		switch {
		case err != nil:
			return err
		case prosodyNoPort.MatchString(log):
			return errPortTaken
		case strings.Contains(log, prosodyStarted) && accepts(srv.STARTTLS) && accepts(srv.DirectTLS):
			version := prosodyVersion.FindStringSubmatch(log)
			if version == nil {
				return errors.New("it does not say its version")
			}
			srv.Version = version[1]
			return nil
		}
		select {
		case <-tick.C:
		case <-srv.proc.done:
			return fmt.Errorf("it ended at once: %v", srv.proc.cmd.ProcessState)
		case <-late.C:
			return fmt.Errorf("it did not start within %v", startTime)
		}
	}
}
