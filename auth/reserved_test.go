// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"

	"github.com/xmppext/xmppext/auth"
)

// TestScramReservedExtension puts the attribute m, which must not be ignored (RFC 5802,
// section 5.1), everywhere.
func TestScramReservedExtension(t *testing.T) {
	const mechanism = auth.ScramSHA256
	secret := hashPassword(mechanism, password, []byte("salt"), iterations)
	t.Run("client", func(t *testing.T) {
		for _, challenge := range []string{"m=x,%s", "%s,m=x", "%s,x=y,m=x"} {
			client := bareClient(t, mechanism, names{"juliet", password, ""})
			_, first, err := client.Step(nil)
			require.NoError(t, err)
			_, nonce, _ := strings.Cut(string(first), ",r=")
			_, _, err = client.Step(fmt.Appendf(nil, challenge, secret.first(nonce+"x")))
			assert.ErrorIs(t, err, auth.ErrUnproven, challenge)
		}
	})
	t.Run("server", func(t *testing.T) {
		for _, first := range []string{"m=x,n=juliet,r=abc", "n=juliet,m=x,r=abc", "n=juliet,r=abc,m=x", "n=juliet,r=abc,x=y,m=x"} {
			_, _, err := bareServer(t, newServer(), mechanism, new(gate)).Step([]byte("n,," + first))
			assert.Error(t, err, first)
			assert.NotErrorIs(t, err, sasl.ErrAuthn)
		}
		a := new(auth.Accounts)
		require.NoError(t, a.SetKeys(juliet, mechanism, secret.keys()))
		server := bareServer(t, &auth.Server{Credentials: a}, mechanism, new(gate))
		_, challenge, err := server.Step([]byte("n,,n=juliet,r=abc"))
		require.NoError(t, err)
		nonce, _, _ := strings.Cut(strings.TrimPrefix(string(challenge), "r="), ",")
		withoutProof := "c=biws,r=" + nonce + ",m=x"
		proof, _ := secret.proof("n=juliet,r=abc," + string(challenge) + "," + withoutProof)
		_, _, err = server.Step([]byte(withoutProof + ",p=" + proof))
		assert.Error(t, err, "in the last message")
	})
}
