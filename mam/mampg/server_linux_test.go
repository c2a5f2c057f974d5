// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package mampg_test

import (
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"syscall"
)

func isRoot() bool { return os.Geteuid() == 0 }

// somebody returns who a server runs as in place of root, which it refuses.
func somebody() (uid, gid int, ok bool) {
	if !isRoot() {
		return 0, 0, false
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		return uid, gid, true
	}
	return 0, 0, false
}

// unprivileged returns how a server is run. It ends with its parent.
func unprivileged() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT, Setpgid: true}
	if uid, gid, ok := somebody(); ok {
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	return attr
}

// giveAway makes a file theirs who a server runs as.
func giveAway(path string) error {
	if uid, gid, ok := somebody(); ok {
		return os.Chown(path, uid, gid)
	}
	return nil
}

// startWith starts a command and then runs f beside it, in the thread whose end would
// be that of the command.
func startWith(cmd *exec.Cmd, f func()) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			f()
		}
	}()
	return <-started
}
