// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package xmpptest

import "context"

// Run runs a feature test and returns what was wrong instead of failing.
func Run(ctx context.Context, tc FeatureTest) error { return tc.run(ctx) }

// RunConcurrently is like Run, with several sessions.
func RunConcurrently(ctx context.Context, tc FeatureTest) error { return tc.runConcurrently(ctx) }
