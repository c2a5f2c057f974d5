// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/bind2"
)

// Phase is a part of a login.
type Phase struct {
	// Name is "dns", "tcp", "tls" or "login". With STARTTLS, "tls" begins with the
	// stream.
	Name string

	// Start and End are since Dial was called.
	Start, End time.Duration
}

// Report says how a login went. It has no secrets.
type Report struct {
	Account jid.JID

	// Server is the address of the server, as host:port, and Direct is set if TLS began
	// with the first byte.
	Server string
	Direct bool

	// Plan says what was sent ahead, and Held whether there was anything, and the
	// server has answered as planned.
	Plan string
	Held bool

	// Opening is set if what the session begins with was in the flight of the login:
	// Dialer.Opening and what the Dialer asks for. If not it followed without waiting,
	// and is a flight of its own.
	Opening bool

	// Attempts is how many connections it took.
	Attempts int

	// Resumed is set if a session of TLS was taken up again.
	Resumed bool

	// Mechanism is the SASL mechanism, SASL2 whether it was used by XEP-0388, and Bind
	// how the resource was bound.
	Mechanism string
	SASL2     bool
	Bind      bind2.Protocol

	// Flights is how often the client has sent something after it had received
	// something, TLS included. Sent and Received are bytes. All are those of the
	// connection that the session has.
	Flights        int
	Sent, Received int64

	// Phases are in the order in which they ended, those of connections that have
	// failed included.
	Phases []Phase

	// Total is how long Dial took.
	Total time.Duration
}

// MarshalJSON returns the report as an object. Its names are those of the fields in
// lower case; times are in milliseconds, with fractions: "total_ms", and "start_ms"
// and "end_ms" of each of the phases. Bind is the name of the protocol.
func (r Report) MarshalJSON() ([]byte, error) {
	type phase struct {
		Name  string  `json:"name"`
		Start float64 `json:"start_ms"`
		End   float64 `json:"end_ms"`
	}
	phases := make([]phase, len(r.Phases))
	for i, p := range r.Phases {
		phases[i] = phase{p.Name, milliseconds(p.Start), milliseconds(p.End)}
	}
	return json.Marshal(struct {
		Account   string  `json:"account"`
		Server    string  `json:"server"`
		Direct    bool    `json:"direct"`
		Plan      string  `json:"plan"`
		Held      bool    `json:"held"`
		Opening   bool    `json:"opening"`
		Attempts  int     `json:"attempts"`
		Resumed   bool    `json:"resumed"`
		Mechanism string  `json:"mechanism"`
		SASL2     bool    `json:"sasl2"`
		Bind      string  `json:"bind"`
		Flights   int     `json:"flights"`
		Sent      int64   `json:"sent"`
		Received  int64   `json:"received"`
		Phases    []phase `json:"phases"`
		Total     float64 `json:"total_ms"`
	}{
		r.Account.String(), r.Server, r.Direct, r.Plan, r.Held, r.Opening, r.Attempts, r.Resumed, r.Mechanism, r.SASL2,
		r.Bind.String(), r.Flights, r.Sent, r.Received, phases, milliseconds(r.Total),
	})
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// inOrder returns the phases in the order in which they began, none of which ends
// before that.
func (r Report) inOrder() []Phase {
	phases := slices.Clone(r.Phases)
	for i, p := range phases {
		phases[i].End = max(p.Start, p.End)
	}
	slices.SortStableFunc(phases, func(a, b Phase) int { return cmp.Compare(a.Start, b.Start) })
	return phases
}

// span is how long a drawing goes: to the end of the last phase, or of all.
func (r Report) span() time.Duration {
	span := max(r.Total, 1)
	for _, p := range r.inOrder() {
		span = max(span, p.End)
	}
	return span
}
