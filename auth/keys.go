// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/xdg-go/scram"
	"mellium.im/xmpp/jid"
)

const (
	// DefaultIterations is how often a password is hashed into keys.
	// A client pays for it at every login, a server only when keys are made and
	// for PLAIN.
	DefaultIterations = 10_000

	// minIterations is what RFC 5802, section 5.1 asks for, and what clients
	// insist on.
	minIterations = 4096

	saltSize = 16
)

// ErrUnknownAccount is what [Credentials] return of an account that does not
// exist, or has no keys for a mechanism.
var ErrUnknownAccount = errors.New("auth: unknown account")

// Credentials are a server's accounts.
//
// The domain of an account is the one that the client's stream is to, which is for
// the client to choose: a store must know it.
//
// They are called by several sessions at once.
type Credentials interface {
	// Keys returns what is stored of a bare account for a mechanism, which is
	// named without -PLUS: SCRAM-SHA-256 or SCRAM-SHA-1.
	//
	// The error wraps ErrUnknownAccount if there is nothing. The client is then
	// led through the same exchange as if there were something, to the same end;
	// the store should take as long, too.
	// Any other error ends the attempt with temporary-auth-failure.
	Keys(ctx context.Context, account jid.JID, mechanism string) (Keys, error)
}

// Keys are stored in place of a password (RFC 5802, section 3).
// Whoever has them can pretend to be the server, and test passwords, but not log
// in.
type Keys struct {
	Salt       []byte
	Iterations int
	StoredKey  []byte
	ServerKey  []byte
}

// Format writes nothing of the keys, whatever the verb.
func (Keys) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns nothing of the keys.
func (Keys) LogValue() slog.Value { return slog.StringValue(redacted) }

// NewKeys makes the keys of a password for a mechanism, SCRAM-SHA-256 or
// SCRAM-SHA-1 with or without -PLUS, with a salt of its own.
// If iterations is zero it is [DefaultIterations]; fewer than 4096 are refused.
//
// The password is prepared by SASLprep; one that SASLprep forbids, as it does
// with emoji, is taken as it is, by clients of this package too. One of which
// SASLprep leaves nothing, such as a soft hyphen, is refused like an empty one.
func NewKeys(password, mechanism string, iterations int) (Keys, error) {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // It never fails.
	return deriveKeys(password, mechanism, salt, iterations)
}

func deriveKeys(password, mechanism string, salt []byte, iterations int) (Keys, error) {
	h, ok := hashOf(mechanism)
	if !ok {
		return Keys{}, fmt.Errorf("auth: there are no keys for the mechanism %q", mechanism)
	}
	if iterations == 0 {
		iterations = DefaultIterations
	}
	if iterations < minIterations || iterations > maxIterations {
		return Keys{}, fmt.Errorf("auth: %d iterations; between %d and %d are possible", iterations, minIterations, maxIterations)
	}
	if prepared(password) == "" {
		return Keys{}, errors.New("auth: the password is empty") // SASLprep may have left nothing of it.
	}
	return hashPassword(h, password, salt, iterations)
}

func hashPassword(h scram.HashGeneratorFcn, password string, salt []byte, iterations int) (Keys, error) {
	user, err := scramUser(h, "", password, "")
	if err != nil {
		return Keys{}, err
	}
	kept, err := user.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt), Iters: iterations})
	if err != nil {
		return Keys{}, errors.New("auth: the password could not be hashed")
	}
	return Keys{Salt: salt, Iterations: iterations, StoredKey: kept.StoredKey, ServerKey: kept.ServerKey}, nil
}

// valid reports whether k can be what a store returns for a mechanism.
func (k Keys) valid(h scram.HashGeneratorFcn) bool {
	size := h().Size()
	return len(k.Salt) > 0 && k.Iterations > 0 && len(k.StoredKey) == size && len(k.ServerKey) == size
}

// match reports whether k was made of password.
func (k Keys) match(h scram.HashGeneratorFcn, password string) bool {
	have, err := hashPassword(h, password, k.Salt, k.Iterations)
	return err == nil && subtle.ConstantTimeCompare(have.StoredKey, k.StoredKey) == 1
}

// fakeKeys are the keys of an account that does not exist: the same whenever
// they are asked for, and not to be told from others.
func fakeKeys(secret []byte, account string, h scram.HashGeneratorFcn, iterations int) Keys {
	size := h().Size()
	stream := func(what byte, size int) []byte {
		var b []byte
		for i := uint64(0); len(b) < size; i++ {
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte{what, byte(h().Size())})
			mac.Write(binary.BigEndian.AppendUint64(nil, i))
			mac.Write([]byte(account))
			b = mac.Sum(b)
		}
		return b[:size]
	}
	return Keys{
		Salt:       stream('s', saltSize),
		Iterations: iterations,
		StoredKey:  stream('k', size),
		ServerKey:  stream('v', size),
	}
}
