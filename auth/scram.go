// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/xdg-go/scram"
	"github.com/xdg-go/stringprep"
	"mellium.im/sasl"
)

// maxIterations bounds the work that a server may ask a client for, which is
// some seconds; servers ask for four thousand to a million.
const maxIterations = 5_000_000

// hashOf returns the hash of a SCRAM mechanism.
func hashOf(mechanism string) (scram.HashGeneratorFcn, bool) {
	switch mechanism {
	case ScramSHA256, ScramSHA256Plus:
		return scram.SHA256, true
	case ScramSHA1, ScramSHA1Plus:
		return scram.SHA1, true
	}
	return nil, false
}

// scramUser prepares names and password by SASLprep, and takes them as they are
// if that forbids them.
func scramUser(h scram.HashGeneratorFcn, user, password, identity string) (*scram.Client, error) {
	c, err := h.NewClientUnprepped(prepared(user), prepared(password), prepared(identity))
	if err != nil {
		return nil, errors.New("auth: the password cannot be used with SCRAM")
	}
	return c, nil
}

func prepared(s string) string {
	if p, err := stringprep.SASLprep.Prepare(s); err == nil {
		return p
	}
	return s
}

// gs2 is what a client says about channel binding.
type gs2 struct {
	kind    string // the type to bind by with -PLUS; if empty, the best there is
	canBind bool   // the client could bind, but the server cannot: "y"
}

// A scramLogin is the client's side of an exchange.
type scramLogin struct {
	*scram.ClientConversation
	nonce string
	steps int
}

func scramClient(name string, g gs2) sasl.Mechanism {
	h, _ := hashOf(name)
	return sasl.Mechanism{
		Name: name,
		Start: func(n *sasl.Negotiator) (bool, []byte, any, error) {
			user, password, identity := n.Credentials()
			if len(password) == 0 {
				return false, nil, nil, ErrNoPassword
			}
			client, err := scramUser(h, string(user), string(password), string(identity))
			if err != nil {
				return false, nil, nil, err
			}
			x := &scramLogin{}
			switch {
			case isPlus(name):
				list := clientBindings(n.TLSState())
				if g.kind != "" {
					b, ok := pick(list, g.kind)
					if !ok {
						return false, nil, nil, fmt.Errorf("%w: the connection has no %s", ErrChannelBinding, g.kind)
					}
					list = []scram.ChannelBinding{b}
				}
				if len(list) == 0 {
					return false, nil, nil, fmt.Errorf("%w: the connection has none", ErrChannelBinding)
				}
				x.ClientConversation = client.NewConversationWithChannelBinding(list[0])
			case g.canBind:
				x.ClientConversation = client.NewConversationAdvertisingChannelBinding()
			default:
				x.ClientConversation = client.NewConversation()
			}
			first, err := x.Step("")
			if err != nil {
				return false, nil, nil, fmt.Errorf("auth: %s: %w", name, err)
			}
			_, x.nonce, _ = strings.Cut(first, ",r=")
			return true, []byte(first), x, nil
		},
		Next: func(_ *sasl.Negotiator, challenge []byte, data any) (bool, []byte, any, error) {
			x, ok := data.(*scramLogin)
			if !ok {
				return false, nil, nil, sasl.ErrInvalidState
			}
			if x.steps++; x.steps > 2 {
				return false, nil, nil, sasl.ErrTooManySteps
			}
			if reserved(string(challenge)) {
				return false, nil, nil, fmt.Errorf("%w: an extension that is not known", ErrUnproven)
			}
			if x.steps == 1 {
				if err := checkServerFirst(string(challenge), x.nonce); err != nil {
					return false, nil, nil, err
				}
			}
			response, err := x.Step(string(challenge))
			switch {
			case err != nil:
				return false, nil, nil, fmt.Errorf("%w: %s: %w", ErrUnproven, name, err)
			case x.steps == 2 && !x.Valid():
				return false, nil, nil, fmt.Errorf("%w: %s", ErrUnproven, name)
			}
			return x.steps < 2, []byte(response), x, nil
		},
	}
}

// reserved reports whether a message has the attribute m, which must not be passed
// over (RFC 5802, section 5.1).
func reserved(message string) bool {
	return slices.ContainsFunc(strings.Split(message, ","), func(field string) bool { return strings.HasPrefix(field, "m=") })
}

// checkServerFirst checks what the library leaves open.
func checkServerFirst(challenge, nonce string) error {
	fields := strings.Split(challenge, ",")
	if len(fields) < 3 || !strings.HasPrefix(fields[0], "r="+nonce) || len(fields[0]) == len("r=")+len(nonce) {
		return fmt.Errorf("%w: the challenge does not go on from the client's nonce", ErrUnproven)
	}
	count, ok := strings.CutPrefix(fields[2], "i=")
	if i, err := strconv.Atoi(count); !ok || err != nil || i < minIterations || i > maxIterations {
		return fmt.Errorf("%w: an iteration count that is not between %d and %d", ErrUnproven, minIterations, maxIterations)
	}
	return nil
}

// A scramCheck is the server's side of an exchange.
type scramCheck struct {
	*scram.ServerConversation
	account *claim
}

func scramServer(name string, x *exchange) sasl.Mechanism {
	h, _ := hashOf(name)
	return sasl.Mechanism{
		Name:  name,
		Start: serverOnly,
		Next: func(n *sasl.Negotiator, message []byte, data any) (bool, []byte, any, error) {
			if reserved(string(message)) {
				return false, nil, nil, errMalformed
			}
			if data == nil {
				c, challenge, err := scramFirst(name, h, x, n, string(message))
				return true, challenge, c, err
			}
			c, ok := data.(*scramCheck)
			if !ok || c.Done() {
				return false, nil, nil, sasl.ErrTooManySteps
			}
			proof, err := c.Step(string(message))
			if err != nil || !c.Valid() || !c.account.known || !x.accept(n, c.account, c.AuthzID()) {
				return false, nil, nil, errRefused
			}
			return false, []byte(proof), c, nil
		},
	}
}

func scramFirst(name string, h scram.HashGeneratorFcn, x *exchange, n *sasl.Negotiator, message string) (*scramCheck, []byte, error) {
	var (
		c      = new(scramCheck)
		failed error
	)
	server, err := h.NewServer(func(user string) (scram.StoredCredentials, error) {
		var k Keys
		k, c.account, failed = x.keys(user, strings.TrimSuffix(name, "-PLUS"))
		return scram.StoredCredentials{
			KeyFactors: scram.KeyFactors{Salt: string(k.Salt), Iters: k.Iterations},
			StoredKey:  k.StoredKey,
			ServerKey:  k.ServerKey,
		}, failed
	})
	if err != nil {
		return nil, nil, err
	}
	flag, _, _ := strings.Cut(message, ",")
	kind, bound := strings.CutPrefix(flag, "p=")
	if bound != isPlus(name) {
		return nil, nil, errRefused
	}
	switch {
	case bound:
		b, ok := pick(x.bindings(n.TLSState()), kind)
		if !ok {
			return nil, nil, errRefused
		}
		c.ServerConversation = server.NewConversationWithChannelBinding(b)
	case flag == "y" && x.plus:
		// Somebody has taken -PLUS out of what was offered (RFC 5802, section 6).
		return nil, nil, errRefused
	default:
		c.ServerConversation = server.NewConversation()
	}
	challenge, err := c.Step(message)
	switch {
	case failed != nil:
		return nil, nil, failed
	case err != nil || c.account == nil:
		return nil, nil, errMalformed
	}
	return c, []byte(challenge), nil
}

// serverOnly is the Start of mechanisms that only check.
func serverOnly(*sasl.Negotiator) (bool, []byte, any, error) {
	return false, nil, nil, sasl.ErrInvalidState
}
