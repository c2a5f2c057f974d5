// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Package xmpptest helps to test XMPP extensions without a network.
//
//   - [Link] is a buffered connection in memory with delays, deadlines and a log
//     of every write.
//   - [NewPair] negotiates a client and a server session over a Link.
//   - [RunFeatureTests] runs tables of stream features, from the listing to the
//     negotiated state.
//   - [Transcript] is a conversation in a file, to compare with or to play.
//
// # Round trips
//
// Inside a testing/synctest bubble the delays of a Link are exact, so a test can
// state how many round trips something costs:
//
//	synctest.Test(t, func(t *testing.T) {
//		p := xmpptest.NewPair(t, xmpptest.PairConfig{
//			Link: xmpptest.LinkConfig{AtoB: 50 * time.Millisecond, BtoA: 50 * time.Millisecond},
//		})
//		assert.Equal(t, 4.0, p.Link.RoundTrips(p.Link.Elapsed()))
//	})
//
// Waiting for a mutex does not count as blocked in a bubble, so a deadlock over
// a mutex ends only with the timeout of the whole test binary.
package xmpptest
