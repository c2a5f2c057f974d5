// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

//go:build race

package mamsqlite_test

// The race detector makes SQLite, which is in Go, many times slower.
func init() { slow = true }
