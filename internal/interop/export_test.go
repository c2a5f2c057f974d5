// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package interop

import "testing"

// Seams for the tests: how ports are chosen, which process the server is, and
// what it is left with when the test binary is killed.
var FreePorts = freePorts

func ProsodyAt(t testing.TB, cfg Config, ports func() (starttls, direct string, err error)) *Server {
	t.Helper()
	return prosodySoftware.run(t, cfg, ports)
}

func EjabberdAt(t testing.TB, cfg Config, ports func() (starttls, direct string, err error)) *Server {
	t.Helper()
	return ejabberdSoftware.run(t, cfg, ports)
}

func (s *Server) PID() int              { return s.proc.cmd.Process.Pid }
func (s *Server) Done() <-chan struct{} { return s.proc.done }
func (s *Server) Abandon() error        { return s.proc.stdin.Close() }
