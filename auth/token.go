// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth

import (
	"context"
	"log/slog"
	"time"

	"mellium.im/xmpp/jid"
)

// Token lets one client of an account log in with one mechanism until it expires
// (XEP-0484). The zero value is no token.
type Token struct {
	// Secret is as good as a password until the token expires.
	Secret Secret

	// Mechanism is the only one that the token may be used with.
	Mechanism string

	// Issued is when the token was made. Clients do not know it.
	Issued time.Time

	// Expires is when the token is of no more use. The zero value means that a
	// client does not know; a server's tokens all expire.
	Expires time.Time

	// Count is on a server the highest counter that was seen with the token, and
	// zero if there was none. It is at most the largest int64.
	// A client may count its tries by it.
	Count uint64
}

// IsZero reports whether t is no token.
func (t Token) IsZero() bool { return t.Secret == "" }

// LogValue returns what t is for, without its secret, which encoders of logs would
// show otherwise.
func (t Token) LogValue() slog.Value {
	return slog.GroupValue(slog.String("mechanism", t.Mechanism), slog.Time("expires", t.Expires))
}

// Tokens are what a server knows of one client: the token that it used last, and
// a newer one that it may not have received (XEP-0484, section 4).
type Tokens struct {
	Current Token
	New     Token
}

// LogValue returns what the tokens are for, without their secrets.
func (t Tokens) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("current", t.Current), slog.Any("new", t.New))
}

// TokenStore keeps tokens on a server.
//
// It is called by several sessions at once, and also for clients that have proven
// nothing yet, with accounts that may not exist: it should keep nothing of those.
// It may forget tokens that have expired. An error wraps that of ctx if that has
// ended.
//
// A token's secret is needed as it is, not hashed; a store that is not in memory
// should encrypt it.
type TokenStore interface {
	// Update changes the tokens of one client of a bare account. Client is the id of
	// its user-agent element, a UUID in lower case.
	//
	// Change is called with what is stored, which is zero if there is nothing, and
	// reports whether it has changed it. What it leaves is stored if so; nothing
	// needs to be kept of a client without tokens.
	// Updates of the same client must take place one after the other, also in
	// different processes. A store may call change again after it has failed to
	// store what came of it, with what is stored then.
	//
	// If Update returns an error nothing has changed.
	Update(ctx context.Context, account jid.JID, client string, change func(*Tokens) bool) error
}

// TokenCache keeps tokens on a client. It is called by several sessions at once.
type TokenCache interface {
	// Token returns the token of a bare account, or the zero value if there is
	// none.
	Token(ctx context.Context, account jid.JID) (Token, error)

	// SetToken replaces the token of a bare account; the zero value removes it.
	SetToken(ctx context.Context, account jid.JID, t Token) error
}

// expired reports whether t is of no more use.
func (t Token) expired() bool { return !t.Expires.IsZero() && !time.Now().Before(t.Expires) }
