// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

//go:build !unix

package quickstart

import (
	"io/fs"
	"os"
)

const openFlags = 0

// checkOwner knows nothing about owners and permissions here.
func checkOwner(string, fs.FileInfo) error { return nil }

// syncDir does nothing: directories cannot be synced here.
func syncDir(*os.Root) {}
