// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"mellium.im/xmpp/jid"
)

// maxTickets is how many sessions of TLS are kept for an account and a domain.
// Each is good for one connection, so one is used and the next one got.
const maxTickets = 2

// ticketTime is how long a client tries to take up a session of TLS again. Servers
// are to refuse older ones (RFC 8446, section 4.6.1).
const ticketTime = 7 * 24 * time.Hour

// tickets keeps sessions of TLS in a Cache, so that they can be taken up again by
// another process. It is the [tls.ClientSessionCache] of one login.
type tickets struct {
	ctx   context.Context
	cache Cache
	key   Key

	mu    sync.Mutex
	shown bool // a session was taken out, and so shown to a server
}

// ticket is how one is kept.
type ticket struct {
	Name  string    `json:"name"` // what crypto/tls calls it by
	Since time.Time `json:"since"`
	ID    []byte    `json:"id"`
	State []byte    `json:"state"`
}

// newTickets returns the sessions of one account. The ones of another account may tell
// servers that two accounts are the same person's.
func newTickets(ctx context.Context, cache Cache, account jid.JID, trust string) *tickets {
	return &tickets{ctx: context.WithoutCancel(ctx), cache: cache, key: Key{Account: account.Bare(), Trust: trust, Name: "tickets"}}
}

func (t *tickets) load() []ticket {
	b, err := t.cache.Get(t.ctx, t.key)
	if err != nil || b == nil {
		return nil
	}
	var kept []ticket
	if json.Unmarshal(b, &kept) != nil {
		return nil
	}
	return kept
}

func (t *tickets) store(kept []ticket) {
	if b, err := json.Marshal(kept); err == nil {
		_ = t.cache.Put(t.ctx, t.key, b) // Without it the next handshake is a full one.
	}
}

// Get returns the newest session, and forgets it: none is shown to a server
// twice (RFC 8446, appendix C.4).
func (t *tickets) Get(name string) (*tls.ClientSessionState, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := t.load()
	for i := len(kept) - 1; i >= 0; i-- {
		k := kept[i]
		if k.Name != name || time.Since(k.Since) > ticketTime || time.Until(k.Since) > time.Hour {
			continue
		}
		t.store(append(kept[:i:i], kept[i+1:]...))
		state, err := tls.ParseSessionState(k.State)
		if err != nil {
			return nil, false
		}
		session, err := tls.NewResumptionState(k.ID, state)
		t.shown = t.shown || err == nil
		return session, err == nil
	}
	return nil, false
}

// Put keeps a session, or if it is nil, forgets all of that name.
func (t *tickets) Put(name string, session *tls.ClientSessionState) {
	if session == nil {
		t.forget(name)
		return
	}
	id, state, err := session.ResumptionState()
	if err != nil || state == nil {
		return
	}
	b, err := state.Bytes()
	if err != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := append(t.load(), ticket{Name: name, Since: time.Now(), ID: id, State: b})
	if len(kept) > maxTickets {
		kept = kept[len(kept)-maxTickets:]
	}
	t.store(kept)
}

// forget forgets all sessions of a name.
func (t *tickets) forget(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if kept := t.load(); len(kept) > 0 {
		t.store(slices.DeleteFunc(kept, func(k ticket) bool { return k.Name == name }))
	}
}

// wereShown reports whether a server was shown a session.
func (t *tickets) wereShown() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.shown
}

// ErrUntrusted means that a session of TLS that was taken up again is one with a peer
// that would not be trusted any more. It was forgotten.
var ErrUntrusted = errors.New("quickstart: the peer of the resumed TLS session is not trusted any more")

// verifyResumed checks the certificates of a session that was taken up again, as if
// it were a new one: what is trusted may have changed since.
func verifyResumed(cfg *tls.Config) func(tls.ConnectionState) error {
	then := cfg.VerifyConnection
	return func(state tls.ConnectionState) error {
		if state.DidResume && !cfg.InsecureSkipVerify {
			if len(state.PeerCertificates) == 0 {
				return ErrUntrusted
			}
			options := x509.VerifyOptions{Roots: cfg.RootCAs, DNSName: cfg.ServerName, Intermediates: x509.NewCertPool()}
			if cfg.Time != nil {
				options.CurrentTime = cfg.Time()
			}
			for _, c := range state.PeerCertificates[1:] {
				options.Intermediates.AddCert(c)
			}
			chains, err := state.PeerCertificates[0].Verify(options)
			if err == nil && cfg.VerifyPeerCertificate != nil {
				raw := make([][]byte, len(state.PeerCertificates))
				for i, c := range state.PeerCertificates {
					raw[i] = c.Raw
				}
				err = cfg.VerifyPeerCertificate(raw, chains) // It is not asked otherwise.
			}
			if err != nil {
				return fmt.Errorf("%w: %w", ErrUntrusted, err)
			}
		}
		if then != nil {
			return then(state)
		}
		return nil
	}
}

// writeOnly keeps sessions and takes none up.
type writeOnly struct{ *tickets }

// Get returns nothing.
func (writeOnly) Get(string) (*tls.ClientSessionState, bool) { return nil, false }
