// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

//go:build !linux

package mampg_test

import (
	"os/exec"
	"syscall"
)

// A server is run by whoever runs the tests, who is not root.

func isRoot() bool { return false }

func unprivileged() *syscall.SysProcAttr { return nil }

func giveAway(string) error { return nil }

func startWith(cmd *exec.Cmd, f func()) error {
	err := cmd.Start()
	if err == nil {
		go f()
	}
	return err
}
