// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"context"
	"encoding/json"
	"time"

	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
)

// tokens keeps tokens in a Cache (XEP-0484).
type tokens struct {
	cache Cache
	trust string
}

// token is how one is kept. An auth.Token has no JSON that is promised to stay.
type token struct {
	Secret    string    `json:"secret"`
	Mechanism string    `json:"mechanism"`
	Expires   time.Time `json:"expires,omitzero"`
	Count     uint64    `json:"count,omitempty"`
}

func (t tokens) key(account jid.JID) Key {
	return Key{Account: account.Bare(), Trust: t.trust, Name: "token"}
}

// Token returns the token of an account.
func (t tokens) Token(ctx context.Context, account jid.JID) (auth.Token, error) {
	b, err := t.cache.Get(ctx, t.key(account))
	if err != nil || b == nil {
		return auth.Token{}, err
	}
	var kept token
	if json.Unmarshal(b, &kept) != nil {
		return auth.Token{}, nil // A password will do.
	}
	return auth.Token{Secret: auth.Secret(kept.Secret), Mechanism: kept.Mechanism, Expires: kept.Expires, Count: kept.Count}, nil
}

// SetToken replaces it.
func (t tokens) SetToken(ctx context.Context, account jid.JID, new auth.Token) error {
	if new.IsZero() {
		return t.cache.Delete(ctx, account.Bare(), "token")
	}
	b, err := json.Marshal(token{Secret: string(new.Secret), Mechanism: new.Mechanism, Expires: new.Expires, Count: new.Count})
	if err != nil {
		return err
	}
	return t.cache.Put(ctx, t.key(account), b)
}
