// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

//go:build !unix

package interop

import (
	"os"
	"syscall"
)

// ownGroup does nothing: there are no groups here.
func ownGroup() *syscall.SysProcAttr { return nil }

// terminate ends the process, because it cannot be asked.
func terminate(p *os.Process) error { return p.Kill() }

// kill ends the process.
func kill(p *os.Process) error { return p.Kill() }
