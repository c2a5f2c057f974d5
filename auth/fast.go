// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strconv"
	"time"

	"mellium.im/xmpp/jid"
)

const (
	// DefaultLife lets a client be away for a holiday without being asked for a
	// password.
	DefaultLife = 21 * 24 * time.Hour

	// DefaultRefresh is the age at which a token that is used is replaced.
	DefaultRefresh = 24 * time.Hour

	// settleTime is how long a token that nobody has asked for is left for the client
	// to store, before another one takes its place.
	settleTime = time.Minute

	// secretSize is the number of random bytes in a token.
	secretSize = 32
)

// FAST lets clients log in with tokens (XEP-0484), in one round trip.
//
// A client has two tokens at most: the one that it used last, and a newer one
// that replaces it when it is first used.
type FAST struct {
	// Store keeps the tokens. Without it there are none.
	Store TokenStore

	// Mechanisms are the HT mechanisms that may be offered, in the order in which
	// they are. If it is nil they are all that there are.
	Mechanisms []string

	// Life is how long a token is good for. If it is zero it is DefaultLife.
	Life time.Duration

	// Refresh is the age at which a token that is used is replaced.
	// If it is zero it is DefaultRefresh, or half of Life if that is shorter.
	Refresh time.Duration

	// Trust is asked for each good token whether it is still trusted. If not, the
	// client is told that its credentials have expired, and can log in otherwise.
	// If it is nil all are trusted.
	Trust func(ctx context.Context, account jid.JID, client string) bool
}

func (f *FAST) mechanisms() []string {
	if f.Mechanisms == nil {
		return tokenMechanisms
	}
	return f.Mechanisms
}

func (f *FAST) life() time.Duration {
	if f.Life <= 0 {
		return DefaultLife
	}
	return f.Life
}

func (f *FAST) refresh() time.Duration {
	if f.Refresh <= 0 {
		return min(DefaultRefresh, f.life()/2)
	}
	return f.Refresh
}

// A fastRequest is what a client says about tokens in authenticate.
type fastRequest struct {
	present    bool   // it uses a token
	counts     bool   // and counts how often
	count      uint64 //
	invalidate bool
	request    string // the mechanism of the token that it asks for

	used Token // the token that was good
}

// readFast reads the children of authenticate that are about tokens.
func readFast(e element) (*fastRequest, error) {
	f := new(fastRequest)
	if c, ok := e.child(NSFAST, "fast"); ok {
		f.present = true
		if count, ok := c.attr("count"); ok {
			n, err := strconv.ParseUint(count, 10, 63)
			if err != nil || n == 0 {
				return nil, errMalformed
			}
			f.counts, f.count = true, n
		}
		switch v, _ := c.attr("invalidate"); v {
		case "", "0", "false":
		case "1", "true":
			f.invalidate = true
		default:
			return nil, errMalformed
		}
	}
	if c, ok := e.child(NSFAST, "request-token"); ok {
		f.request, _ = c.attr("mechanism")
	}
	return f, nil
}

// token checks the proof that a client has a token, and returns the proof that
// the server has it, too.
func (x *exchange) token(mechanism, user string, proof, binding []byte) (*claim, []byte, error) {
	c, err := x.claim(user)
	if err != nil {
		return nil, nil, err
	}
	var (
		now    = time.Now()
		answer []byte
		used   Token
	)
	// The same is done for all tokens, good or bad or not there.
	good := func(t Token) (Token, bool) {
		secret := t.Secret
		if t.IsZero() {
			secret = Secret(x.server.fakes())
		}
		p := prove(secret, binding)
		ok := hmac.Equal(p.initiator, proof)
		if !ok || t.IsZero() || t.Mechanism != mechanism || !now.Before(t.Expires) || x.fast.counts && x.fast.count <= t.Count {
			return t, false
		}
		answer = p.responder
		if x.fast.counts {
			t.Count = x.fast.count
		}
		return t, true
	}
	account := c.account
	if account.Equal(jid.JID{}) {
		account = x.domain // There is nothing to be found, but the store is asked.
	}
	err = x.server.FAST.Store.Update(x.ctx, account.Bare(), x.client, func(t *Tokens) bool {
		used, answer = Token{}, nil
		fresh, isNew := good(t.New)
		current, isCurrent := good(t.Current)
		switch {
		case isNew:
			used = fresh
			*t = Tokens{Current: fresh}
		case isCurrent:
			used = current
			t.Current = current
			earlier := !t.New.IsZero() && t.New.Expires.Before(current.Expires)
			if earlier {
				t.New = Token{} // It was made to live shorter.
			}
			return x.fast.counts || earlier
		default:
			return false
		}
		return true
	})
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("auth: the tokens of an account: %w", err)
	case used.IsZero() || c.account.Equal(jid.JID{}):
		return nil, nil, errRefused
	case x.server.FAST.Trust != nil && !x.server.FAST.Trust(x.ctx, c.account, x.client):
		return nil, nil, Failure{Condition: CredentialsExpired}
	}
	x.fast.used, c.known = used, true
	return c, answer, nil
}

// forget removes the client's tokens if it has asked for that.
func (x *exchange) forget() error {
	if !x.fast.invalidate || x.fast.used.IsZero() {
		return nil
	}
	err := x.server.FAST.Store.Update(x.ctx, x.account, x.client, func(t *Tokens) bool {
		*t = Tokens{}
		return true
	})
	if err != nil {
		return fmt.Errorf("auth: the tokens of an account: %w", err)
	}
	return nil
}

// issue returns a new token if one is asked for or due, or the zero value.
func (x *exchange) issue(possible []string) Token {
	mechanism := x.fast.request
	f := x.server.FAST
	if f == nil || f.Store == nil || x.client == "" {
		return Token{}
	}
	now := time.Now().Round(0) // Without the monotonic clock, which may stand still.
	if mechanism == "" {
		due := !x.fast.used.IsZero() && !x.fast.invalidate && now.Sub(x.fast.used.Issued) >= f.refresh()
		if !due {
			return Token{}
		}
		mechanism = x.fast.used.Mechanism
	}
	known := false
	for _, name := range possible {
		known = known || name == mechanism
	}
	if !known {
		return Token{}
	}
	secret := make([]byte, secretSize)
	_, _ = rand.Read(secret) // It never fails.
	t := Token{
		Secret:    Secret(base64.RawURLEncoding.EncodeToString(secret)),
		Mechanism: mechanism,
		Issued:    now,
		Expires:   now.Add(f.life()),
	}
	given := true
	err := f.Store.Update(x.ctx, x.account, x.client, func(kept *Tokens) bool {
		given = true
		if x.fast.request == "" {
			// Another session of the client may have been given one a moment ago, or
			// somebody may have taken away the one that this login was with.
			young := !kept.New.IsZero() && now.Sub(kept.New.Issued) < settleTime
			given = !young && kept.Current.Secret == x.fast.used.Secret
		}
		if given {
			kept.New = t
		}
		return given
	})
	if !given {
		return Token{}
	}
	if err != nil {
		// A client without a token can log in, too.
		x.server.logger().ErrorContext(x.ctx, "auth: a token was not stored", "account", x.account, "err", err)
		return Token{}
	}
	return t
}
