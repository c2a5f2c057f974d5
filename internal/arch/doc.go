// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Package arch holds the rules of this source tree, as tests: who may import
// whom, what every file carries and which modules the workspace ties together.
//
// It has no code of its own. The rules read source files, not build results,
// so that files behind a build constraint are held to them too.
package arch
