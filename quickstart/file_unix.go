// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

//go:build unix

package quickstart

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// openFlags are for reading. What has become a pipe meanwhile is opened without
// waiting for its other end.
const openFlags = syscall.O_NONBLOCK

// checkOwner returns ErrNotPrivate unless a file is for its owner only, who is the
// user of this process.
func checkOwner(name string, info fs.FileInfo) error {
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%w: %s has the permissions %#o", ErrNotPrivate, name, mode)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int64(stat.Uid) != int64(os.Geteuid()) {
		return fmt.Errorf("%w: %s belongs to another user", ErrNotPrivate, name)
	}
	return nil
}

// syncDir waits until the disk knows the names of the files.
//
// They have their names already, so that it cannot be done is no error: not every
// file system knows how.
func syncDir(root *os.Root) {
	if dir, err := root.Open("."); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
}
