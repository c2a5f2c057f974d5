// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package main

import (
	"crypto/tls"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/xmppext/xmppext/auth"
)

// TestOffer asks for what would not be taken.
func TestOffer(t *testing.T) {
	all := []string{auth.Plain, auth.ScramSHA1, auth.ScramSHA1Plus, auth.ScramSHA256, auth.ScramSHA256Plus}
	const tls13, tls12 = tls.VersionTLS13, tls.VersionTLS12
	for _, test := range []struct {
		offer offer
		best  string
		fast  bool
	}{
		{offer{}, "", false},
		{offer{version: tls13, mechanisms: all}, "", false},
		{offer{version: tls13, sasl2: all}, auth.ScramSHA256, false},
		{offer{version: tls13, sasl2: all, bindings: []string{"tls-server-end-point", "tls-exporter"}}, auth.ScramSHA256Plus, false},
		{offer{version: tls13, sasl2: all, bindings: []string{"tls-server-end-point"}}, auth.ScramSHA256, false},
		{offer{version: tls12, sasl2: all, bindings: []string{"tls-exporter"}}, auth.ScramSHA256, false},
		{offer{version: tls12, sasl2: all, bindings: []string{"tls-unique"}}, auth.ScramSHA256Plus, false},
		{offer{version: tls13, sasl2: all[:3], bindings: []string{"tls-exporter"}}, auth.ScramSHA1Plus, false},
		{offer{version: tls13, sasl2: all[:1], tokens: []string{auth.HTSHA256Exporter}}, auth.Plain, true},
		{offer{version: tls13, sasl2: []string{"X-OTHER"}, tokens: []string{"HT-SHA-512-EXPR"}}, "", false},
		{offer{version: tls13, tokens: []string{auth.HTSHA256Unique}}, "", false},
		{offer{version: tls12, tokens: []string{auth.HTSHA256Unique}}, "", true},
		{offer{version: tls12, tokens: []string{auth.HTSHA256Exporter}}, "", false},
		{offer{version: tls12, tokens: []string{auth.HTSHA256None}}, "", true},
	} {
		assert.Equal(t, test.best, test.offer.best(), "%+v", test.offer)
		assert.Equal(t, test.fast, test.offer.fast(), "%+v", test.offer)
	}
}

// TestCheck lets logins be by something else than what is measured.
func TestCheck(t *testing.T) {
	logged := func(p auth.Profile, mech string) sample {
		return sample{login: auth.Login{Profile: p, Mechanism: mech}}
	}
	byScram, byToken := logged(auth.SASL2, auth.ScramSHA256Plus), logged(auth.SASL2, auth.HTSHA256None)
	for _, test := range []struct {
		way  way
		got  sample
		want bool
	}{
		{way{client: stockClient, profile: rfc6120, mech: auth.Plain}, sample{}, true},
		{way{client: fullClient, profile: rfc6120, mech: auth.Plain}, logged(auth.RFC6120, auth.Plain), true},
		{way{client: fullClient, profile: rfc6120, mech: auth.Plain}, logged(auth.RFC6120, auth.ScramSHA256), false},
		{way{client: fullClient, profile: rfc6120, mech: auth.ScramSHA256Plus}, byScram, false},
		{way{client: fullClient, profile: sasl2, mech: auth.ScramSHA256Plus}, byScram, true},
		{way{client: fullClient, profile: sasl2, mech: auth.ScramSHA256Plus}, logged(auth.RFC6120, auth.ScramSHA256Plus), false},
		{way{client: fullClient, profile: fast, mech: auth.ScramSHA256Plus}, byScram, false},
		{way{client: fullClient, profile: fast, mech: auth.ScramSHA256Plus}, byToken, true},
	} {
		err := strategy{way: test.way}.check(test.got)
		assert.Equal(t, test.want, err == nil, "%v", err)
		assert.Error(t, strategy{way: test.way, resume: true}.check(test.got))
	}
}
