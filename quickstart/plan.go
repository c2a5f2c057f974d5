// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/pipelining"
)

const (
	// planVersion changes with the fields of a plan. Others are not understood.
	planVersion = 1

	// planTime is how long a plan is worth trying.
	planTime = 90 * 24 * time.Hour

	// firstPause is how long nothing is sent ahead after a server has answered in
	// another way than it did before. It doubles each time up to lastPause.
	firstPause = 10 * time.Minute
	lastPause  = 7 * 24 * time.Hour
)

// ErrDowngrade means that a server, or somebody in the middle, offers less than what
// the account was logged in with before. Nothing was sent. If the server is known to
// have changed so, Dialer.Forget lets the account log in anew.
var ErrDowngrade = errors.New("quickstart: the server offers weaker mechanisms than before")

// A plan is what was learned about a server by logging in. It says what to send
// first, and what to expect at least.
type plan struct {
	Version int       `json:"version"`
	Learned time.Time `json:"learned"`

	// Direct, Mechanism, SASL2 and Bind are what was used.
	Direct    bool           `json:"direct"`
	Mechanism string         `json:"mechanism"`
	SASL2     bool           `json:"sasl2"`
	Bind      bind2.Protocol `json:"bind"`

	// Pipelining is set if the server says that it can be sent ahead to.
	Pipelining bool `json:"pipelining"`

	// Offered and Bindings are the mechanisms and the types of channel binding that the
	// server has offered, Tokens those for tokens.
	Offered  []string `json:"offered"`
	Bindings []string `json:"bindings,omitempty"`
	Tokens   []string `json:"tokens,omitempty"`

	// RosterVersions is set if the server has versions of rosters, and Caps are what it
	// has told about what it can do, if that was of interest.
	RosterVersions bool `json:"rosterver,omitempty"`
	Caps           Caps `json:"caps,omitzero"`

	// Refused are mechanisms that the server has listed and not taken.
	Refused []string `json:"refused,omitempty"`

	// Missed is how often in a row the server has not answered as planned, and Pause
	// until when nothing is sent ahead because of that. Until Paced, nothing is sent in
	// one write.
	Missed int       `json:"missed,omitempty"`
	Pause  time.Time `json:"pause,omitzero"`
	Paced  time.Time `json:"paced,omitzero"`
}

func planKey(account jid.JID, trust string) Key {
	return Key{Account: account.Bare(), Trust: trust, Name: "plan"}
}

// loadPlan returns what is known, or nil.
func loadPlan(ctx context.Context, cache Cache, account jid.JID, trust string) *plan {
	b, err := cache.Get(ctx, planKey(account, trust))
	if err != nil || b == nil {
		return nil
	}
	p := new(plan)
	if json.Unmarshal(b, p) != nil || p.Version != planVersion || time.Since(p.Learned) > planTime {
		return nil
	}
	return p
}

func (p *plan) store(ctx context.Context, cache Cache, account jid.JID, trust string) error {
	p.Version = planVersion
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return cache.Put(ctx, planKey(account, trust), b)
}

// mode returns how far to send ahead.
func (p *plan) mode(now time.Time) pipelining.Mode {
	switch {
	case p == nil, now.Before(p.Pause):
		return pipelining.Off
	case p.Pipelining && !now.Before(p.Paced):
		return pipelining.Full
	}
	return pipelining.Paced
}

// missed notes that the server did not answer as planned to a login in a mode.
func (p *plan) missed(now time.Time, mode pipelining.Mode) {
	if mode == pipelining.Full {
		p.Paced = now.Add(lastPause) // A part that is sent later may still do.
		return
	}
	p.Missed++
	pause := firstPause
	for range min(p.Missed-1, 20) {
		pause = min(2*pause, lastPause)
	}
	p.Pause = now.Add(pause)
}

// floor returns those of the mechanisms that are no weaker than what the server is
// known to have. What is weaker stays if there is nothing else among them: that is not
// the server's doing.
func (p *plan) floor(mechanisms []string) []string {
	if p == nil {
		return mechanisms
	}
	has := func(kind func(string) bool) bool {
		return slices.ContainsFunc(mechanisms, func(name string) bool {
			return kind(name) && (name == p.Mechanism || slices.Contains(p.Offered, name))
		})
	}
	scram, bound := has(isScram), isPlus(p.Mechanism) && has(isPlus)
	return slices.DeleteFunc(slices.Clone(mechanisms), func(name string) bool {
		return bound && !isPlus(name) || scram && name == auth.Plain
	})
}

func isScram(name string) bool { return strings.HasPrefix(name, "SCRAM-") }
func isPlus(name string) bool  { return strings.HasSuffix(name, "-PLUS") }
func isHT(name string) bool    { return strings.HasPrefix(name, "HT-") }

// tokenMechanisms are those for tokens, best first.
var tokenMechanisms = []string{auth.HTSHA256Exporter, auth.HTSHA256EndPoint, auth.HTSHA256Unique, auth.HTSHA256None}

// bindings are the types of channel binding that mechanisms use.
var bindings = []string{"tls-exporter", "tls-unique", "tls-server-end-point"}

// tokenMechanism returns the best of the mechanisms for tokens that the server is
// known to have, or nothing.
func (p *plan) tokenMechanism() string {
	if p == nil {
		return ""
	}
	for _, name := range tokenMechanisms {
		if slices.Contains(p.Tokens, name) {
			return name
		}
	}
	return ""
}

// merge keeps of an earlier plan what a later login did not show. A login with a token
// says nothing about the mechanism that a password would take, and does not show that
// the list of mechanisms was the server's.
func (p *plan) merge(before *plan) {
	if !isHT(p.Mechanism) {
		return
	}
	p.Mechanism = ""
	if before != nil {
		p.Mechanism, p.Refused = before.Mechanism, before.Refused
		p.Offered, p.Bindings = union(p.Offered, before.Offered), union(p.Bindings, before.Bindings)
	}
}

// limit drops names that mean nothing to the client, of which a server may invent any
// number, and others each time.
func (p *plan) limit(mechanisms []string) {
	common := func(names, known []string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !slices.Contains(known, name) })
	}
	p.Offered, p.Bindings, p.Tokens = common(p.Offered, mechanisms), common(p.Bindings, bindings), common(p.Tokens, tokenMechanisms)
	slices.Sort(p.Bindings)
	slices.Sort(p.Tokens)
	p.Bindings, p.Tokens = slices.Compact(p.Bindings), slices.Compact(p.Tokens)
}

// improve notes what else the server offers and would have been better, to be used
// the next time: a login that is sent ahead takes what was there before. Allowed are
// the mechanisms that may be used, best first.
func (p *plan) improve(allowed []string, o auth.Offer) {
	best := func(names []string) int {
		return slices.IndexFunc(allowed, func(name string) bool {
			// Whether the channel can be bound is for a login step by step to find out.
			return slices.Contains(names, name) && !slices.Contains(p.Refused, name) &&
				(name == p.Mechanism || !isPlus(name) && !isPlus(p.Mechanism))
		})
	}
	names := o.SASL2
	if !p.SASL2 && best(names) < 0 {
		names = o.RFC6120
	} else {
		p.SASL2 = true
	}
	if i := best(names); i >= 0 && p.Mechanism != "" {
		p.Mechanism = allowed[i]
	}
	if p.SASL2 && slices.Contains(o.Inline, bind2.NSInline) {
		p.Bind = bind2.Inline
	}
}
