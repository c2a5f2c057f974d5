// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package interop_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/internal/interop"
)

// peers are the servers that there are.
var peers = []struct {
	name, env, peer string
	start           func(testing.TB, interop.Config) *interop.Server
	at              func(testing.TB, interop.Config, func() (starttls, direct string, err error)) *interop.Server
}{
	{"Prosody", "XMPPEXT_PROSODY", "prosody", interop.Prosody, interop.ProsodyAt},
	{"ejabberd", "XMPPEXT_EJABBERD", "ejabberd", interop.Ejabberd, interop.EjabberdAt},
}

// fakeT is a test that only notes how it ends.
type fakeT struct {
	testing.TB
	skipped, fatal, errors string
	cleanups               []func()
}

func (f *fakeT) Helper() {}

func (f *fakeT) Skipf(format string, args ...any) {
	f.skipped = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (f *fakeT) Fatalf(format string, args ...any) {
	f.fatal = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (f *fakeT) Errorf(format string, args ...any) { f.errors += fmt.Sprintf(format+"\n", args...) }

func (f *fakeT) Cleanup(fn func()) { f.cleanups = append(f.cleanups, fn) }

func (f *fakeT) cleanUp() {
	for _, fn := range slices.Backward(f.cleanups) {
		fn()
	}
}

// run runs fn where it can end early.
func (f *fakeT) run(fn func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	<-done
}

func TestWithoutLauncher(t *testing.T) {
	for _, peer := range peers {
		t.Run(peer.name, func(t *testing.T) {
			t.Setenv(peer.env, "")
			fake := &fakeT{TB: t}
			fake.run(func() { peer.start(fake, interop.Config{}) })
			assert.Equal(t, fmt.Sprintf("interop: %s is not set; run: export %[1]s=$(bash .ci/peers %s)", peer.env, peer.peer), fake.skipped)
			assert.Empty(t, fake.fatal)
		})
	}
}

func TestWithBrokenLauncher(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no shell scripts here")
	}
	for _, peer := range peers {
		for _, tc := range []struct{ name, script, want string }{
			{"missing", "", "no such file"},
			{"fails", "echo it is ill >&2; exit 3", "exit status 3"},
			{"says why it fails", "echo it is ill >&2; exit 3", "it is ill"},
		} {
			t.Run(peer.name+" "+tc.name, func(t *testing.T) {
				launcher := filepath.Join(t.TempDir(), "launcher")
				if tc.script != "" {
					require.NoError(t, os.WriteFile(launcher, []byte("#!/bin/sh\n"+tc.script+"\n"), 0o700))
				}
				t.Setenv(peer.env, launcher)
				fake := &fakeT{TB: t}
				fake.run(func() { peer.start(fake, interop.Config{}) })
				assert.Contains(t, fake.fatal, tc.want)
				assert.Empty(t, fake.skipped)
				assert.Empty(t, fake.cleanups)
			})
		}
	}
}

func TestWithTakenPort(t *testing.T) {
	for _, peer := range peers {
		for _, which := range []string{"STARTTLS", "direct TLS"} {
			t.Run(peer.name+" "+which, func(t *testing.T) {
				// It accepts, as a server would.
				l, err := net.Listen("tcp", "127.0.0.1:0")
				require.NoError(t, err)
				t.Cleanup(func() { _ = l.Close() })

				calls := 0
				srv := peer.at(t, interop.Config{}, func() (string, string, error) {
					starttls, direct, err := interop.FreePorts()
					if calls++; calls == 1 {
						if which == "STARTTLS" {
							starttls = l.Addr().String()
						} else {
							direct = l.Addr().String()
						}
					}
					return starttls, direct, err
				})
				assert.Equal(t, 2, calls)
				assert.NotContains(t, []string{srv.STARTTLS, srv.DirectTLS}, l.Addr().String())
			})
		}
	}
}
