// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"time"

	"mellium.im/xmpp"

	"github.com/xmppext/xmppext/bind2"
)

// Session is a session, and what was learned by logging in.
type Session struct {
	*xmpp.Session

	// Bound is what the server has said about the account at the instant of the bind.
	// It is nil if the resource was bound by RFC 6120. A server may bind otherwise and say
	// nothing about the archive, as Prosody does: see Bound.Archived.
	Bound *bind2.Bound

	// Protocol is how the resource was bound.
	Protocol bind2.Protocol

	// Roster is the account's, if Dialer.Roster is set, or else nil.
	Roster *Roster

	// Report says how the login went.
	Report Report

	inbox  *inbox // or nil, if there is nothing to be taken in
	served func() // called when Serve returns, or nil
}

// Trace is called as a login goes on, each of its functions if it is not nil, by the
// goroutine that dials.
type Trace struct {
	// PhaseStart and PhaseDone are called around each phase: "dns", "tcp", "tls" and
	// "login".
	PhaseStart func(name string)
	PhaseDone  func(name string)
}

// phase notes the beginning of a phase, and returns what notes its end.
func (l *login) phase(name string) (done func()) {
	if l.silent {
		return func() {}
	}
	begin := time.Since(l.begun)
	if t := l.d.Trace; t != nil && t.PhaseStart != nil {
		t.PhaseStart(name)
	}
	return func() {
		l.report.Phases = append(l.report.Phases, Phase{Name: name, Start: begin, End: time.Since(l.begun)})
		if t := l.d.Trace; t != nil && t.PhaseDone != nil {
			t.PhaseDone(name)
		}
	}
}
