// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"

	"github.com/xmppext/xmppext/auth"
)

const (
	// DefaultMinWait is what the first wait of a Keeper is less than: as long as all
	// clients of a server that went away take to come back (RFC 6120, section 3.3).
	DefaultMinWait = time.Minute

	// DefaultMaxWait is what all waits are less than. A server that comes back after a
	// day is worth a few minutes more, and one that does not is not worth many logins.
	DefaultMaxWait = 10 * time.Minute

	// settled is how long a session has to last for the next wait to be short again.
	// A server that accepts clients and throws them out must not see them more often
	// than one that does not answer.
	settled = time.Minute

	// farewell is how long the end of a stream may take to be written, which is for
	// the server to know at once that the client has gone. If the connection is dead
	// it takes that long to give up.
	farewell = time.Second
)

// Keeper keeps an account logged in: it dials, has the session handled, and dials again
// when that has ended.
//
// Before it dials again it waits for a random time. What the time is less than doubles
// with each login that fails, from MinWait up to MaxWait, and so it does with each
// session that lasted less than a minute; after any other it is MinWait. The waits of
// many clients are spread evenly from the first one on: those of a server that was
// restarted do not come back all at once, nor in waves.
//
// A Keeper must not be changed or copied while it is in use.
type Keeper struct {
	// Dialer logs in, and follows servers that name another host. It may be shared. If
	// it is nil it is one of the Keeper's own.
	Dialer *Dialer

	// Account and Credentials are as for Dial.
	Account     jid.JID
	Credentials Credentials

	// Handle handles one session, and returns when that has ended: this ends the
	// session if it has not. It should serve the session. Its error only goes to
	// Observe.
	//
	// Ctx ends with that of Run, and when [Session.Serve] has returned, so that nobody
	// waits for an answer that cannot come any more. When that of Run ends, the session
	// and its connection are closed, so that Serve returns.
	//
	// If Handle is nil, sessions are served, and requests refused.
	Handle func(ctx context.Context, s *Session) error

	// MinWait and MaxWait are the bounds of waits. If they are not positive they are
	// DefaultMinWait and DefaultMaxWait. MaxWait is at least MinWait.
	MinWait, MaxWait time.Duration

	// Wake ends a wait: receiving from it means that it is worth dialing now, because
	// the network is back, or the user says so. It should not be sent to when that may
	// be so for many clients at once. It may be nil.
	Wake <-chan struct{}

	// Observe is called before each wait, with how long it is and why the login has
	// failed or what Handle has returned. It may be nil.
	Observe func(err error, wait time.Duration)
}

// Run keeps the account logged in until ctx ends or there is an error that will not go
// away by itself: an auth.Failure other than temporary-auth-failure and aborted,
// [ErrDowngrade], and auth.ErrNoPassword. It returns that, or the error of ctx; never
// nil.
//
// What would need somebody to change a server's configuration, such as a certificate
// that is not trusted, or [ErrNoService], is tried again at the longest waits.
//
// Handle has returned and the connection is closed when Run returns.
func (k *Keeper) Run(ctx context.Context) error {
	d := k.Dialer
	if d == nil {
		d = new(Dialer)
	}
	account, limit := k.Account, k.minWait()
	for {
		s, err := d.Dial(ctx, account, k.Credentials)
		switch {
		case err == nil:
			begun := time.Now()
			err = k.handle(ctx, s)
			if time.Since(begun) >= settled {
				limit = k.minWait()
			}
			if errors.Is(err, stream.Conflict) {
				// Somebody else has the resource. To ask for it would throw them out
				// in turn (RFC 6120, section 4.9.3.3).
				account = account.Bare()
			}
		case ctx.Err() == nil && final(err):
			return err
		case slow(err):
			limit = k.maxWait()
		}
		if ctx.Err() == nil {
			k.wait(ctx, err, limit)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("quickstart: %s is not kept logged in any more: %w", k.Account.Bare(), ctx.Err())
		}
		limit += min(limit, k.maxWait()-limit)
	}
}

func (k *Keeper) minWait() time.Duration {
	if k.MinWait <= 0 {
		return DefaultMinWait
	}
	return k.MinWait
}

func (k *Keeper) maxWait() time.Duration {
	if k.MaxWait <= 0 {
		return max(DefaultMaxWait, k.minWait())
	}
	return max(k.MaxWait, k.minWait())
}

// wait waits for a random time below a limit.
func (k *Keeper) wait(ctx context.Context, why error, limit time.Duration) {
	d := rand.N(limit)
	if k.Observe != nil {
		k.Observe(why, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-k.Wake:
	case <-ctx.Done():
	}
}

// handle has a session handled, and ends it.
func (k *Keeper) handle(ctx context.Context, s *Session) error {
	conn := s.Conn()
	end := sync.OnceFunc(func() {
		_ = conn.SetWriteDeadline(time.Now().Add(farewell))
		_ = s.Close() // The server may have hung up.
		_ = conn.Close()
	})
	defer end()
	defer context.AfterFunc(ctx, end)()
	if k.Handle == nil {
		return s.Serve(nil)
	}
	handling, stop := context.WithCancel(ctx)
	defer stop()
	s.served = stop
	return k.Handle(handling, s)
}

// final reports whether there is no use in trying again.
func final(err error) bool {
	var refused auth.Failure
	if errors.As(err, &refused) {
		return refused.Condition != auth.TemporaryAuthFailure && refused.Condition != auth.Aborted
	}
	return errors.Is(err, ErrDowngrade) || errors.Is(err, auth.ErrNoPassword)
}

// slow reports whether an error takes somebody to go away.
func slow(err error) bool {
	return errors.As(err, new(*tls.CertificateVerificationError)) || errors.Is(err, ErrUntrusted) ||
		errors.Is(err, ErrNoService) || errors.Is(err, auth.ErrNoMechanism) || errors.Is(err, auth.ErrChannelBinding) ||
		errors.Is(err, auth.ErrUnproven) || errors.Is(err, stream.HostUnknown) || errors.Is(err, stream.PolicyViolation)
}
