// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

//go:build !unix

package auth_test

import "time"

// cpuTime is not known here.
func cpuTime() time.Duration { return 0 }
