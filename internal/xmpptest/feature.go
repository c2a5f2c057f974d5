// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package xmpptest

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
)

// ErrAny stands in [FeatureTest] for any error.
var ErrAny = errors.New("any error")

// concurrentSessions is how many sessions share a feature in tests.
const concurrentSessions = 8

// FeatureTest is a row in a table of tests for stream features.
//
// Mellium's own negotiator runs the feature, in a session that takes the role
// of the server if State contains xmpp.Received and of the client otherwise.
// The other end speaks the lines of the table.
// It reads a flight before it answers, and it closes its direction when it has
// nothing more to say, so that truncated input needs no special care.
//
// In a table all bytes may contain placeholders as in a [Transcript].
type FeatureTest struct {
	// Name is the name of the subtest.
	Name string

	// Feature is the feature; the same value is used by all sessions of the test.
	Feature xmpp.StreamFeature

	// State is the state that the session starts in.
	State xmpp.SessionState

	// Location and Client are the addresses in the stream headers.
	// They default to example.net and juliet@example.net.
	Location, Client jid.JID

	// List is what the feature must list, and ListReq whether it must call itself
	// required.
	// In the role of the server an empty List means that the feature must not be
	// listed; in the role of the client, that listing is not tested.
	List    string
	ListReq bool

	// Parse is what a server lists, ParseReq whether the feature must then call
	// itself required, and ParseData the data it must return.
	// In the role of the client an empty Parse means that the server does not
	// list the feature; in the role of the server, that parsing is not tested.
	Parse     string
	ParseReq  bool
	ParseData any

	// In is what the other end sends during negotiation and Out what the feature
	// must send.
	// A server's Out answers In; a client's Out comes before In.
	In, Out string

	// Dialog replaces In and Out where there is more to say.
	// It is a transcript whose lines may be indented.
	Dialog string

	// Stage is called for each stage of the dialog, at the other end.
	Stage func(name string, conn net.Conn) (net.Conn, error)

	// Skipped means that the feature must not be negotiated.
	// It is implied for features without a Negotiate function.
	Skipped bool

	// Mask is what Negotiate must return, and Restart whether it must return a
	// new io.ReadWriter too.
	Mask    xmpp.SessionState
	Restart bool

	// Err is the error that the feature must return from any of its functions, or
	// if it returns none, the error of the negotiator.
	// It is compared with errors.Is; [ErrAny] matches every error.
	Err error

	// Check, if set, is called with the session if no error was expected.
	// It may be called concurrently.
	Check func(s *xmpp.Session) error
}

// RunFeatureTests runs each test in a subtest with one session, and then with
// several sessions that use the same feature value concurrently.
//
// Each session is in a bubble of its own (testing/synctest), so a session that
// hangs costs no time, and RunFeatureTests must not be called in a bubble.
func RunFeatureTests(t *testing.T, tests ...FeatureTest) {
	t.Helper()
	for i, tc := range tests {
		t.Run(cmp.Or(tc.Name, fmt.Sprint(i)), func(t *testing.T) {
			ok := t.Run("alone", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					report(t, tc.run(t.Context()))
				})
			})
			if !ok {
				return
			}
			t.Run("concurrently", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					report(t, tc.runConcurrently(t.Context()))
				})
			})
		})
	}
}

func report(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// server reports whether the feature is in the role of the server.
func (tc FeatureTest) server() bool { return tc.State&xmpp.Received != 0 }

// dialog returns what is said during negotiation.
func (tc FeatureTest) dialog() (Transcript, error) {
	if tc.Dialog != "" {
		if tc.In != "" || tc.Out != "" {
			return nil, errors.New("both Dialog and In or Out are set")
		}
		lines := strings.Split(tc.Dialog, "\n")
		for i := range lines {
			lines[i] = strings.TrimLeft(lines[i], " \t")
		}
		tr, err := ParseTranscript(strings.Join(lines, "\n"))
		if err != nil {
			return nil, fmt.Errorf("dialog: %w", err)
		}
		return tr, nil
	}
	out, in := Line{Side: Client, Text: tc.Out}, Line{Side: Server, Text: tc.In}
	first, second := out, in
	if tc.server() {
		out.Side, in.Side = Server, Client
		first, second = in, out
	}
	var tr Transcript
	for _, line := range []Line{first, second} {
		if line.Text != "" {
			tr = append(tr, line)
		}
	}
	return tr, nil
}
