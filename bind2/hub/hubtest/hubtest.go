// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Package hubtest checks that a bind is a cut: that a client which binds by XEP-0386
// finds each message either in the archive or live, and none in both or in neither.
//
// Whoever keeps archives in a database of their own calls it from a test, beside
// mamtest:
//
//	func TestSeam(t *testing.T) {
//		hubtest.Seam(t, func(t testing.TB, n int) []mam.Archive {
//			path := newDatabase(t)
//			archives := make([]mam.Archive, n)
//			for i := range archives {
//				archives[i] = mystore.Open(t, path)
//			}
//			return archives
//		}, hubtest.Options{})
//	}
//
// # What is done
//
// A number of senders write to accounts, from elsewhere and as the accounts' own
// clients, while those bind in all three ways, read, are replaced, send presences or
// none, and go at any point: before they have read anything, between taking and
// writing, while they bind, or because they do not read at all.
// What each of them got is then compared with the archive.
//
// The order of events differs from run to run. What is drawn by lot is drawn from a
// seed, which a failure tells.
// The environment variables HUBTEST_SEED and HUBTEST_MESSAGES are for Options that set
// none.
//
// # What must be so
//
// Each rule is a subtest, and a failure ends with the rule in a sentence.
//
// A session that was bound by XEP-0386 is due an archived message behind its cut if
//
//   - it is to its full JID, or
//   - it was sent or received by the account, may be copied, and the session gets copies, or
//   - it is to the bare JID, and the session has never said that such messages are not
//     for it, by a negative priority or an unavailable presence.
//
// It is due all of them up to the last one that it got, or if it has stayed until the
// end, all of them.
//
// # What may be so
//
//   - A session gets no message that it has sent itself, but for one to its own
//     account, which it may get or not.
//   - A message that must not be copied (XEP-0280, section 9) goes to those only who get
//     it in their own right. The session that is not due it may get it from the offline
//     queue later, and out of order then.
//   - What a session takes and does not write is lost to it, and so is what it has not
//     taken when it goes. In the archive it stays. If it is not archived, and may be
//     kept (XEP-0160), somebody else gets it, or the offline queue has it in the
//     end. So somebody may get it twice: who has written it last, and has not
//     said so.
//   - A session that copies go to may get the message itself as well, from the offline
//     queue, if it could not be reached at first. Not so if it is bound by
//     XEP-0386 and the message is archived.
//   - A message is refused if nobody is there and it must not be kept.
//   - An account that only ever binds by RFC 6120 does not look into the archive: all
//     that may be kept goes to somebody, or stays in the offline queue.
//   - With more than one hub, what is unread may be ahead of the cut. A session that
//     is bound by RFC 6120 may get a message from the archive and from the offline
//     queue, into which another hub has put it.
package hubtest

import (
	"context"
	"encoding/xml"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/bind2/hub"
	"github.com/xmppext/xmppext/mam"
)

// DefaultMessages is how many messages are sent if Options do not say. With the race
// detector and archives in memory they take some seconds.
const DefaultMessages = 20_000

// patience is how long a run may take, for each of some messages and at least, so
// that a hub that waits for itself fails. It is many times what busy machines need.
const patience, some = 2 * time.Minute, 10_000

// Options say how to test. The zero value has good defaults.
type Options struct {
	// Messages is how many messages are sent; at their end all sessions end. If it is
	// not positive it is what the environment says, or DefaultMessages.
	Messages int

	// Hubs is how many hubs share the archive, as several processes do. If it is not
	// positive it is 1.
	Hubs int

	// Seed is what lots are drawn from. If it is 0 it is what the environment says, or
	// a random one.
	Seed uint64

	// Wrap returns what is tested in place of a hub. If it is nil the hub itself is.
	Wrap func(h *hub.Hub) Hub
}

// Hub is what is tested. [Wrap] makes one of a hub.Hub.
type Hub interface {
	NewResource() Resource

	// Deliver delivers a message that an account has received.
	Deliver(ctx context.Context, account jid.JID, r xml.TokenReader) error
}

// Resource is one connection of a client. Its methods are those of a hub.Resource, and
// Bind binds it.
type Resource interface {
	Bind(ctx context.Context, r bind2.Request) (bind2.Bound, error)
	Send(ctx context.Context, r xml.TokenReader) error
	Take(ctx context.Context) ([][]byte, error)
	SetPresence(ctx context.Context, available bool, priority int8) error
	Close() error
}

// Wrap returns a hub as it is tested.
func Wrap(h *hub.Hub) Hub { return plainHub{h} }

type plainHub struct{ *hub.Hub }

func (h plainHub) NewResource() Resource { return plainResource{h.Hub.NewResource(), h.Hub} }

type plainResource struct {
	*hub.Resource
	hub *hub.Hub
}

func (r plainResource) Bind(ctx context.Context, request bind2.Request) (bind2.Bound, error) {
	return r.hub.Bind(r.Context(ctx), request)
}

// Seam tests a hub over archives.
//
// NewArchives returns n empty archives which have the same contents: those of n
// processes, or n times the same value. They must keep all messages of a run.
// If they are mam.UnreadArchives, or mam.PreferenceStores, that is tested as well.
func Seam(t *testing.T, newArchives func(t testing.TB, n int) []mam.Archive, o Options) {
	seam(t, func(name string, test func(t testing.TB)) {
		t.Run(name, func(t *testing.T) { test(t) })
	}, newArchives, o)
}

// A runner runs a test as part of another.
type runner func(name string, test func(t testing.TB))

func seam(t testing.TB, run runner, newArchives func(t testing.TB, n int) []mam.Archive, o Options) {
	if o.Messages <= 0 {
		o.Messages = int(environment(t, "HUBTEST_MESSAGES", DefaultMessages))
	}
	if o.Hubs <= 0 {
		o.Hubs = 1
	}
	if o.Seed == 0 {
		o.Seed = environment(t, "HUBTEST_SEED", rand.Uint64())
	}
	if o.Wrap == nil {
		o.Wrap = Wrap
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+o.Messages/some)*patience)
	defer cancel()
	w := newWorld(ctx, t, newArchives(t, o.Hubs), o)
	w.run(ctx)
	if err := ctx.Err(); err != nil {
		w.found.add(ruleProgress, "the run has not ended: %v", err)
	}
	w.check(t.Context(), t)
	t.Logf("Seed %d: %s", o.Seed, w.summary())
	for _, r := range rules {
		run(r.name, func(t testing.TB) { w.report(t, r) })
	}
}

// environment returns a number from the environment, if it is there.
func environment(t testing.TB, name string, otherwise uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err, name)
	return n
}

// report fails a test if a rule was broken.
func (w *world) report(t testing.TB, r rule) {
	examples, n := w.found.of(r.name)
	if n == 0 {
		return
	}
	for _, text := range examples {
		t.Error(text)
	}
	t.Logf("The rule: %s", r.says)
	t.Logf("It was broken %d times, with Options{Messages: %d, Hubs: %d, Seed: %d}: %s", n, w.o.Messages, w.o.Hubs, w.o.Seed, w.summary())
}
