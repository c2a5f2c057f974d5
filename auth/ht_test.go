// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/sasl"
	"mellium.im/xmpp"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/internal/xmpptest"
)

// htProof is the hash of a token (draft-schmaus-kitten-sasl-ht-09, sections 3.1 and
// 3.3), computed here once more.
func htProof(token, word string, binding []byte) []byte {
	m := hmac.New(sha256.New, []byte(token))
	m.Write(append([]byte(word), binding...))
	return m.Sum(nil)
}

// htData is the data of a mechanism's channel binding.
func htData(t testing.TB, name string, state tls.ConnectionState) []byte {
	t.Helper()
	switch name {
	case "HT-SHA-256-EXPR": // RFC 9266, section 2
		data, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
		require.NoError(t, err)
		return data
	case "HT-SHA-256-UNIQ": // RFC 5929, section 3
		require.NotEmpty(t, state.TLSUnique)
		return state.TLSUnique
	case "HT-SHA-256-ENDP": // RFC 5929, section 4
		sum := sha256.Sum256(pki().cert.Certificate[0])
		return sum[:]
	}
	return nil
}

// htVersion is a version of TLS that has a mechanism's channel binding.
func htVersion(name string) uint16 {
	if name == auth.HTSHA256Unique {
		return tls.VersionTLS12
	}
	return tls.VersionTLS13
}

// TestHTVector holds the computation of these tests to numbers that do not come
// from them.
func TestHTVector(t *testing.T) {
	// printf Initiator | openssl dgst -sha256 -hmac secret-token:fast-abc
	// printf Responderdata | openssl dgst -sha256 -hmac secret-token:fast-abc
	const (
		initiator = "31a40f95e222589afb8c28c212119413c99f1530ed11458f2ccd141988ee709e"
		responder = "9e978950bd38b8650c094c25472a2ba4ee718d58ac14711166748d90b45659e5"
	)
	assert.Equal(t, initiator, fmt.Sprintf("%x", htProof("secret-token:fast-abc", "Initiator", nil)))
	assert.Equal(t, responder, fmt.Sprintf("%x", htProof("secret-token:fast-abc", "Responder", []byte("data"))))
}

func TestHTClient(t *testing.T) {
	const token = "secret-token:fast-Zm9vYmFy"
	for _, name := range hts {
		t.Run(name, func(t *testing.T) {
			state, _ := tlsStates(t, htVersion(name))
			other, _ := tlsStates(t, htVersion(name))
			data := htData(t, name, state)
			begin := func() *sasl.Negotiator {
				return bareClient(t, name, names{"jülıet", token, "ignored"}, sasl.TLSState(state))
			}
			more, message, err := begin().Step(nil)
			require.NoError(t, err)
			assert.True(t, more, "the server has something to prove")
			assert.Equal(t, "jülıet\x00"+string(htProof(token, "Initiator", data)), string(message))

			for rule, test := range map[string]struct {
				answer []byte
				good   bool
			}{
				"the proof":               {htProof(token, "Responder", data), true},
				"nothing":                 {nil, false},
				"the client's own":        {htProof(token, "Initiator", data), false},
				"the whole message":       {message, false},
				"another token's":         {htProof("another", "Responder", data), false},
				"without binding":         {htProof(token, "Responder", nil), name == auth.HTSHA256None},
				"another connection's":    {htProof(token, "Responder", htData(t, name, other)), name == auth.HTSHA256None || name == auth.HTSHA256EndPoint},
				"cut short":               {htProof(token, "Responder", data)[:31], false},
				"with something behind":   {append(htProof(token, "Responder", data), 0), false},
				"with a name in front":    {append([]byte("jülıet\x00"), htProof(token, "Responder", data)...), false},
				"of an empty token":       {htProof("", "Responder", data), false},
				"in an older draft's way": {htProof(token, "Responder", append([]byte{0}, data...)), false},
			} {
				client := begin()
				_, _, err := client.Step(nil)
				require.NoError(t, err)
				more, out, err := client.Step(test.answer)
				assert.False(t, more)
				assert.Empty(t, out)
				if test.good {
					assert.NoError(t, err, rule)
				} else {
					assert.ErrorIs(t, err, auth.ErrUnproven, rule)
				}
			}
		})
	}
	t.Run("nothing is sent", func(t *testing.T) {
		state, _ := tlsStates(t, tls.VersionTLS13)
		_, _, err := bareClient(t, auth.HTSHA256None, names{"juliet", "", ""}).Step(nil)
		assert.ErrorIs(t, err, auth.ErrNoPassword, "without a token")
		for _, user := range []string{"", "jul\x00iet"} {
			_, _, err = bareClient(t, auth.HTSHA256None, names{user, token, ""}).Step(nil)
			assert.Error(t, err, "for nobody that can be named")
		}
		for _, name := range hts[:3] {
			_, _, err = bareClient(t, name, names{"juliet", token, ""}).Step(nil)
			assert.ErrorIs(t, err, auth.ErrChannelBinding, "%s: without TLS", name)
		}
		_, _, err = bareClient(t, auth.HTSHA256Unique, names{"juliet", token, ""}, sasl.TLSState(state)).Step(nil)
		assert.ErrorIs(t, err, auth.ErrChannelBinding, "TLS 1.3 has no tls-unique")
		state, _ = tlsStates(t, tls.VersionTLS12)
		_, _, err = bareClient(t, auth.HTSHA256Exporter, names{"juliet", token, ""}, sasl.TLSState(state)).Step(nil)
		assert.ErrorIs(t, err, auth.ErrChannelBinding, "TLS 1.2 has no tls-exporter of which it is sure")
	})
}

// keepToken stores a token of juliet's client.
func keepToken(t testing.TB, store auth.TokenStore, token auth.Token) {
	t.Helper()
	require.NoError(t, store.Update(t.Context(), juliet, agentID, func(kept *auth.Tokens) bool {
		kept.New = token
		return true
	}))
}

// authenticateRaw sends what request makes of the connection behind a stream header,
// and returns the server's answer.
func authenticateRaw(t testing.TB, srv *auth.Server, version uint16, request func(tls.ConnectionState) string) string {
	t.Helper()
	link := xmpptest.NewLink(xmpptest.LinkConfig{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = xmpp.ReceiveSession(ctx, tls.Server(link.B, serverTLS()), xmpp.Secure, negotiator(srv))
	}()
	defer func() {
		_ = link.Close()
		<-done
	}()
	cfg := clientTLS()
	cfg.MaxVersion = version
	c := tls.Client(link.A, cfg)
	require.NoError(t, c.HandshakeContext(ctx))
	_, err := c.Write([]byte(`<stream:stream to='im.example.com' from='juliet@im.example.com' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>` +
		request(c.ConnectionState())))
	require.NoError(t, err)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Minute)))
	var got []byte
	for buf := make([]byte, 4<<10); ; {
		n, err := c.Read(buf)
		got = append(got, buf[:n]...)
		for _, end := range []string{"</success>", "</failure>"} {
			if at := strings.Index(string(got), "</stream:features>"); at >= 0 && strings.Contains(string(got), end) {
				return string(got[at+len("</stream:features>"):])
			}
		}
		if err != nil {
			return string(got)
		}
	}
}

// htRequest is an authenticate element for a token.
func htRequest(mechanism, agent, fast string, message []byte) string {
	return fmt.Sprintf(`<authenticate xmlns='urn:xmpp:sasl:2' mechanism='%s'><initial-response>%s</initial-response>%s%s</authenticate>`,
		mechanism, b64.EncodeToString(message), agent, fast)
}

const (
	htAgent = `<user-agent id='` + agentID + `'/>`
	htFast  = `<fast xmlns='urn:xmpp:fast:0'/>`
)

func TestHTServer(t *testing.T) {
	// The draft bounds neither the token nor what is in its hash, so that a
	// hash with the octet that separates it from the name is one like any other.
	withNUL := func(word string, data []byte) string {
		for i := 0; ; i++ {
			if token := fmt.Sprint("token", i); bytes.IndexByte(htProof(token, word, data), 0) >= 0 {
				return token
			}
		}
	}
	for _, name := range hts {
		t.Run(name, func(t *testing.T) {
			version := htVersion(name)
			for rule, test := range map[string]struct {
				message func(token string, data []byte, state tls.ConnectionState) []byte
				good    bool
			}{
				"the proof": {func(token string, data []byte, _ tls.ConnectionState) []byte {
					return append([]byte("juliet\x00"), htProof(token, "Initiator", data)...)
				}, true},
				"a name is compared as an address is": {func(token string, data []byte, _ tls.ConnectionState) []byte {
					return append([]byte("ＪULIET\x00"), htProof(token, "Initiator", data)...)
				}, true},
				"another token": {func(_ string, data []byte, _ tls.ConnectionState) []byte {
					return append([]byte("juliet\x00"), htProof("another", "Initiator", data)...)
				}, false},
				"the token itself": {func(token string, _ []byte, _ tls.ConnectionState) []byte {
					return append([]byte("juliet\x00"), (token + strings.Repeat("x", 32))[:32]...)
				}, false},
				"the server's proof": {func(token string, data []byte, _ tls.ConnectionState) []byte {
					return append([]byte("juliet\x00"), htProof(token, "Responder", data)...)
				}, false},
				"another binding": {func(token string, data []byte, _ tls.ConnectionState) []byte {
					return append([]byte("juliet\x00"), htProof(token, "Initiator", append(data, 0))...)
				}, false},
				"without binding": {func(token string, _ []byte, _ tls.ConnectionState) []byte {
					return append([]byte("juliet\x00"), htProof(token, "Initiator", nil)...)
				}, name == auth.HTSHA256None},
				"another account": {func(token string, data []byte, _ tls.ConnectionState) []byte {
					return append([]byte("romeo\x00"), htProof(token, "Initiator", data)...)
				}, false},
				"a long name": {func(token string, data []byte, _ tls.ConnectionState) []byte {
					return append([]byte(strings.Repeat("j", 255)+"\x00"), htProof(token, "Initiator", data)...)
				}, false},
				"no account": {func(token string, data []byte, _ tls.ConnectionState) []byte {
					return append([]byte("not an account\x00"), htProof(token, "Initiator", data)...)
				}, false},
			} {
				srv := newServer()
				var data []byte
				token := "secret-token:fast-Zm9vYmFy"
				answer := authenticateRaw(t, srv, version, func(state tls.ConnectionState) string {
					data = htData(t, name, state)
					if test.good {
						token = withNUL("Initiator", data)
					}
					keepToken(t, srv.FAST.Store, auth.Token{Secret: auth.Secret(token), Mechanism: name, Issued: time.Now(), Expires: time.Now().Add(time.Hour)})
					return htRequest(name, htAgent, htFast, test.message(token, data, state))
				})
				if test.good {
					proof := b64.EncodeToString(htProof(token, "Responder", data))
					assert.Contains(t, answer, "<additional-data>"+proof+"</additional-data>", rule)
				} else {
					assert.Contains(t, answer, "<not-authorized ", rule)
				}
			}
		})
	}
	t.Run("malformed", func(t *testing.T) {
		const token = "secret-token:fast-Zm9vYmFy"
		proof := htProof(token, "Initiator", nil)
		good := append([]byte("juliet\x00"), proof...)
		for rule, request := range map[string]string{
			"nothing":                htRequest(auth.HTSHA256None, htAgent, htFast, nil),
			"no name":                htRequest(auth.HTSHA256None, htAgent, htFast, good[6:]),
			"a name only":            htRequest(auth.HTSHA256None, htAgent, htFast, []byte("juliet\x00")),
			"a hash only":            htRequest(auth.HTSHA256None, htAgent, htFast, bytes.ReplaceAll(proof, []byte{0}, []byte{1})),
			"a hash cut short":       htRequest(auth.HTSHA256None, htAgent, htFast, good[:len(good)-1]),
			"a hash and more":        htRequest(auth.HTSHA256None, htAgent, htFast, append(good[:len(good):len(good)], 0)),
			"a name that is no text": htRequest(auth.HTSHA256None, htAgent, htFast, append([]byte("juliet\xff\x00"), proof...)),
			"no user agent":          htRequest(auth.HTSHA256None, "", htFast, good),
			"a user agent without id": htRequest(auth.HTSHA256None, "<user-agent><software>x</software></user-agent>",
				htFast, good),
			"a token that is not said to be one": htRequest(auth.HTSHA256None, htAgent, "", good),
		} {
			srv := newServer()
			keepToken(t, srv.FAST.Store, auth.Token{Secret: token, Mechanism: auth.HTSHA256None, Issued: time.Now(), Expires: time.Now().Add(time.Hour)})
			answer := authenticateRaw(t, srv, tls.VersionTLS13, func(tls.ConnectionState) string { return request })
			assert.Contains(t, answer, "<malformed-request ", rule)
		}
	})
	t.Run("a token is good for its mechanism only", func(t *testing.T) {
		const token = "secret-token:fast-Zm9vYmFy"
		for _, kept := range hts {
			for _, used := range []string{auth.HTSHA256Exporter, auth.HTSHA256EndPoint, auth.HTSHA256None} {
				srv := newServer()
				keepToken(t, srv.FAST.Store, auth.Token{Secret: token, Mechanism: kept, Issued: time.Now(), Expires: time.Now().Add(time.Hour)})
				answer := authenticateRaw(t, srv, tls.VersionTLS13, func(state tls.ConnectionState) string {
					return htRequest(used, htAgent, htFast, append([]byte("juliet\x00"), htProof(token, "Initiator", htData(t, used, state))...))
				})
				assert.Equal(t, kept == used, strings.Contains(answer, "<success"), "kept for %s, used with %s", kept, used)
			}
		}
	})
	t.Run("offered by what the connection has", func(t *testing.T) {
		for version, missing := range map[uint16]string{tls.VersionTLS13: auth.HTSHA256Unique, tls.VersionTLS12: auth.HTSHA256Exporter} {
			answer := authenticateRaw(t, newServer(), version, func(tls.ConnectionState) string {
				return htRequest(missing, htAgent, htFast, []byte("juliet\x00"+strings.Repeat("x", 32)))
			})
			assert.Contains(t, answer, "<invalid-mechanism ", missing)
		}
	})
}
