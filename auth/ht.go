// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"unicode/utf8"

	"github.com/xdg-go/scram"
	"mellium.im/sasl"
)

// proofs are what the two ends of an HT mechanism show each other: the HMAC, with
// the token as the key, of a word and the channel binding's data
// (draft-schmaus-kitten-sasl-ht, sections 3.1 and 3.3).
type proofs struct{ initiator, responder []byte }

func prove(token Secret, binding []byte) proofs {
	mac := func(word string) []byte {
		m := hmac.New(sha256.New, []byte(token))
		m.Write([]byte(word))
		m.Write(binding)
		return m.Sum(nil)
	}
	return proofs{mac("Initiator"), mac("Responder")}
}

// htBinding returns the type of an HT mechanism's channel binding.
func htBinding(name string) string {
	switch name {
	case HTSHA256Exporter:
		return bindExporter
	case HTSHA256Unique:
		return bindUnique
	case HTSHA256EndPoint:
		return bindEndPoint
	}
	return ""
}

// htData returns the data of the channel binding, and whether the connection
// has it.
func htData(name string, list []scram.ChannelBinding) ([]byte, bool) {
	kind := htBinding(name)
	if kind == "" {
		return nil, true
	}
	b, ok := pick(list, kind)
	return b.Data, ok
}

// htPossible returns those of the HT mechanisms that the connection has the
// channel binding for.
func htPossible(names []string, list []scram.ChannelBinding) []string {
	var possible []string
	for _, name := range names {
		if _, ok := htData(name, list); ok {
			possible = append(possible, name)
		}
	}
	return possible
}

func htClient(name string) sasl.Mechanism {
	return sasl.Mechanism{
		Name: name,
		Start: func(n *sasl.Negotiator) (bool, []byte, any, error) {
			user, token, _ := n.Credentials()
			if len(token) == 0 {
				return false, nil, nil, ErrNoPassword
			}
			if len(user) == 0 || bytes.IndexByte(user, 0) >= 0 {
				return false, nil, nil, errMalformed
			}
			data, ok := htData(name, clientBindings(n.TLSState()))
			if !ok {
				return false, nil, nil, fmt.Errorf("%w: the connection has no %s", ErrChannelBinding, htBinding(name))
			}
			p := prove(Secret(token), data)
			message := append(bytes.Clone(user), 0)
			return true, append(message, p.initiator...), p, nil
		},
		Next: func(_ *sasl.Negotiator, challenge []byte, data any) (bool, []byte, any, error) {
			p, ok := data.(proofs)
			if !ok {
				return false, nil, nil, sasl.ErrInvalidState
			}
			if !hmac.Equal(challenge, p.responder) {
				return false, nil, nil, fmt.Errorf("%w: %s", ErrUnproven, name)
			}
			return false, nil, nil, nil
		},
	}
}

func htServer(name string, x *exchange) sasl.Mechanism {
	return sasl.Mechanism{
		Name:  name,
		Start: serverOnly,
		Next: func(n *sasl.Negotiator, message []byte, _ any) (bool, []byte, any, error) {
			user, proof, ok := bytes.Cut(message, []byte{0})
			if !ok || len(user) == 0 || !utf8.Valid(user) || len(proof) != sha256.Size {
				return false, nil, nil, errMalformed
			}
			state := n.TLSState()
			data, ok := htData(name, x.bindings(state))
			if !ok {
				return false, nil, nil, errRefused
			}
			account, answer, err := x.token(name, string(user), proof, data)
			switch {
			case err != nil:
				return false, nil, nil, err
			case !x.accept(n, account, ""):
				return false, nil, nil, errRefused
			}
			return false, answer, nil, nil
		},
	}
}
