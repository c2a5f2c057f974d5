// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth_test

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/xdg-go/scram"
	"mellium.im/sasl"
	"mellium.im/xmpp/jid"

	"github.com/xmppext/xmppext/auth"
)

var b64 = base64.StdEncoding

// A secretOf is what a password is turned into (RFC 5802, section 3), computed
// here once more.
type secretOf struct {
	h                               func() hash.Hash
	salt                            []byte
	iterations                      int
	clientKey, storedKey, serverKey []byte
}

func hashPassword(mechanism, password string, salt []byte, iterations int) secretOf {
	s := secretOf{h: sha256.New, salt: salt, iterations: iterations}
	if strings.HasPrefix(mechanism, auth.ScramSHA1) {
		s.h = sha1.New
	}
	salted, err := pbkdf2.Key(s.h, password, salt, iterations, s.h().Size())
	if err != nil {
		panic(err)
	}
	s.clientKey = s.mac(salted, "Client Key")
	h := s.h()
	h.Write(s.clientKey)
	s.storedKey = h.Sum(nil)
	s.serverKey = s.mac(salted, "Server Key")
	return s
}

func (s secretOf) mac(key []byte, message string) []byte {
	m := hmac.New(s.h, key)
	m.Write([]byte(message))
	return m.Sum(nil)
}

// proof returns what a client shows of a password, and the server's answer.
func (s secretOf) proof(authMessage string) (proof, signature string) {
	p := make([]byte, s.h().Size())
	subtle.XORBytes(p, s.clientKey, s.mac(s.storedKey, authMessage))
	return b64.EncodeToString(p), b64.EncodeToString(s.mac(s.serverKey, authMessage))
}

func (s secretOf) keys() auth.Keys {
	return auth.Keys{Salt: s.salt, Iterations: s.iterations, StoredKey: s.storedKey, ServerKey: s.serverKey}
}

// first is the server's first message.
func (s secretOf) first(nonce string) string {
	return fmt.Sprintf("r=%s,s=%s,i=%d", nonce, b64.EncodeToString(s.salt), s.iterations)
}

// A vector is an exchange as an RFC has it, without what random numbers differ in.
type vector struct {
	mechanism, salt        string
	clientNonce, nonce     string
	proof, serverSignature string
}

// The user is called user, the password is pencil.
var vectors = map[string]vector{
	"RFC 5802, section 5": {
		auth.ScramSHA1, "QSXCR+Q6sek8bf92",
		"fyko+d2lbbFgONRv9qkxdawL", "fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j",
		"v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
	},
	"RFC 7677, section 3": {
		auth.ScramSHA256, "W22ZaJ0SNY7soEsUEjb6gQ==",
		"rOprNGfwEbeRWgbNEkqO", "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
		"dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
	},
}

func TestScramVectors(t *testing.T) {
	user, err := jid.New("user", domain.String(), "")
	require.NoError(t, err)
	for name, v := range vectors {
		t.Run(name, func(t *testing.T) {
			salt, err := b64.DecodeString(v.salt)
			require.NoError(t, err)
			secret := hashPassword(v.mechanism, "pencil", salt, 4096)
			proof, signature := secret.proof("n=user,r=" + v.clientNonce + "," + secret.first(v.nonce) + ",c=biws,r=" + v.nonce)
			require.Equal(t, v.proof, proof, "what this test computes is what the RFC has")
			require.Equal(t, v.serverSignature, signature)

			t.Run("server", func(t *testing.T) {
				a := new(auth.Accounts)
				require.NoError(t, a.SetKeys(user, v.mechanism, secret.keys()))
				g := new(gate)
				server := bareServer(t, &auth.Server{Credentials: a}, v.mechanism, g)
				more, message, err := server.Step([]byte("n,,n=user,r=" + v.clientNonce))
				require.NoError(t, err)
				require.True(t, more)
				challenge := string(message)
				nonce, _, _ := strings.Cut(strings.TrimPrefix(challenge, "r="), ",")
				require.Equal(t, secret.first(nonce), challenge)
				require.True(t, strings.HasPrefix(nonce, v.clientNonce))
				require.GreaterOrEqual(t, len(nonce)-len(v.clientNonce), 24, "the server's part is at least as long as 18 random bytes")

				withoutProof := "c=biws,r=" + nonce
				proof, signature := secret.proof("n=user,r=" + v.clientNonce + "," + challenge + "," + withoutProof)
				more, message, err = server.Step([]byte(withoutProof + ",p=" + proof))
				require.NoError(t, err)
				assert.False(t, more)
				assert.Equal(t, "v="+signature, string(message))
				assert.Equal(t, []names{{user: "user"}}, g.asked)
			})
			t.Run("client", func(t *testing.T) {
				for _, forged := range []bool{false, true} {
					client := bareClient(t, v.mechanism, names{"user", "pencil", ""})
					_, message, err := client.Step(nil)
					require.NoError(t, err)
					clientNonce, ok := strings.CutPrefix(string(message), "n,,n=user,r=")
					require.True(t, ok, string(message))
					nonce := clientNonce + strings.TrimPrefix(v.nonce, v.clientNonce)
					more, message, err := client.Step([]byte(secret.first(nonce)))
					require.NoError(t, err)
					require.True(t, more)
					withoutProof := "c=biws,r=" + nonce
					proof, signature := secret.proof("n=user,r=" + clientNonce + "," + secret.first(nonce) + "," + withoutProof)
					assert.Equal(t, withoutProof+",p="+proof, string(message))
					if forged {
						signature = v.serverSignature
					}
					more, message, err = client.Step([]byte("v=" + signature))
					assert.Empty(t, message)
					assert.False(t, more)
					if forged {
						assert.ErrorIs(t, err, auth.ErrUnproven)
					} else {
						assert.NoError(t, err)
					}
				}
			})
			t.Run("NewKeys", func(t *testing.T) {
				k, err := auth.NewKeys("pencil", v.mechanism, 4096)
				require.NoError(t, err)
				assert.Equal(t, hashPassword(v.mechanism, "pencil", k.Salt, 4096).keys(), k)
			})
		})
	}
}

// The peers of the mechanisms, each by another hand.
type (
	xdgClient struct{ *scram.ClientConversation }
	xdgServer struct{ *scram.ServerConversation }
)

func (c xdgClient) Step(message []byte) (bool, []byte, error) {
	out, err := c.ClientConversation.Step(string(message))
	if err == nil && c.Done() && !c.Valid() {
		err = errors.New("not valid")
	}
	return !c.Done(), []byte(out), err
}

func (s xdgServer) Step(message []byte) (bool, []byte, error) {
	out, err := s.ServerConversation.Step(string(message))
	if err == nil && s.Done() && !s.Valid() {
		err = errors.New("not valid")
	}
	return !s.Done(), []byte(out), err
}

var (
	xdgHashes    = map[string]scram.HashGeneratorFcn{auth.ScramSHA256: scram.SHA256, auth.ScramSHA1: scram.SHA1}
	melliumScram = map[string]sasl.Mechanism{
		auth.ScramSHA256: sasl.ScramSha256, auth.ScramSHA256Plus: sasl.ScramSha256Plus,
		auth.ScramSHA1: sasl.ScramSha1, auth.ScramSHA1Plus: sasl.ScramSha1Plus,
	}
)

func newXDGClient(t testing.TB, mechanism string, n names) *scram.Client {
	t.Helper()
	c, err := xdgHashes[strings.TrimSuffix(mechanism, "-PLUS")].NewClient(n.user, n.password, n.identity)
	require.NoError(t, err)
	return c
}

// newXDGServer returns a server with one account.
func newXDGServer(t testing.TB, mechanism string, n names) *scram.Server {
	t.Helper()
	s, err := xdgHashes[strings.TrimSuffix(mechanism, "-PLUS")].NewServer(func(user string) (scram.StoredCredentials, error) {
		if user != n.user {
			return scram.StoredCredentials{}, errors.New("nobody of that name")
		}
		k := hashPassword(mechanism, n.password, []byte("salt"), iterations)
		return scram.StoredCredentials{
			KeyFactors: scram.KeyFactors{Salt: "salt", Iters: iterations}, StoredKey: k.storedKey, ServerKey: k.serverKey,
		}, nil
	})
	require.NoError(t, err)
	return s
}

// newMelliumServer returns a server with one account.
func newMelliumServer(mechanism string, n names) *sasl.Negotiator {
	return sasl.NewServer(melliumScram[mechanism], nil, sasl.SaltedCredentials(func(user, _ []byte, _ string) (salt, salted []byte, i int64, err error) {
		if string(user) != n.user {
			return nil, nil, 0, sasl.ErrAuthn
		}
		h := hashPassword(mechanism, "", nil, 1).h
		return []byte("salt"), sasl.SCRAMSaltPassword(h, []byte(n.password), []byte("salt"), iterations), iterations, nil
	}))
}

// serverOf returns a server of ours with one account.
func serverOf(t testing.TB, n names) *auth.Server {
	t.Helper()
	a, ok := hashed.Load(n)
	if !ok {
		account, err := jid.New(n.user, domain.String(), "")
		require.NoError(t, err)
		fresh := &auth.Accounts{Iterations: iterations}
		require.NoError(t, fresh.SetPassword(account, n.password))
		a, _ = hashed.LoadOrStore(n, fresh)
	}
	return &auth.Server{Credentials: a.(*auth.Accounts), Iterations: iterations, Certificate: auth.Leaf(pki().cert)}
}

// hashed are the accounts of serverOf, by names: to hash takes time.
var hashed sync.Map

func TestScramPeers(t *testing.T) {
	ours := func(t *testing.T, mechanism string, n names) stepper { return bareClient(t, mechanism, n) }
	pairs := map[string]struct {
		client, server func(t *testing.T, mechanism string, n names) stepper
	}{
		"our client, our server": {ours, func(t *testing.T, mechanism string, n names) stepper {
			return bareServer(t, serverOf(t, n), mechanism, new(gate))
		}},
		"our client, xdg-go's server": {ours, func(t *testing.T, mechanism string, n names) stepper {
			return xdgServer{newXDGServer(t, mechanism, n).NewConversation()}
		}},
		"our client, mellium's server": {ours, func(_ *testing.T, mechanism string, n names) stepper {
			return newMelliumServer(mechanism, n)
		}},
		"xdg-go's client, our server": {func(t *testing.T, mechanism string, n names) stepper {
			return xdgClient{newXDGClient(t, mechanism, n).NewConversation()}
		}, func(t *testing.T, mechanism string, n names) stepper {
			return bareServer(t, serverOf(t, n), mechanism, new(gate))
		}},
		"mellium's client, our server": {func(_ *testing.T, mechanism string, n names) stepper {
			return sasl.NewClient(melliumScram[mechanism], n.option())
		}, func(t *testing.T, mechanism string, n names) stepper {
			return bareServer(t, serverOf(t, n), mechanism, new(gate))
		}},
	}
	for name, pair := range pairs {
		for _, mechanism := range scrams {
			t.Run(name+"/"+mechanism, func(t *testing.T) {
				for _, n := range []names{
					{user: "juliet", password: password},
					{user: "juliet", password: "n=,p=, ="},
					{user: "a,b", password: password},
					{user: "a=b,=2C,=3D,", password: password},
					{user: "jülıet", password: "ﾊﾟｽ word"},
				} {
					if strings.ContainsAny(n.user, ",=") && strings.Contains(name, "mellium's server") {
						continue // It cannot read such a name (mellium.im/sasl v0.3.2).
					}
					kept := n
					if strings.Contains(n.password, "ﾊ") {
						kept.password = "パス word" // as SASLprep has it
						if strings.Contains(name, "mellium's client") {
							n = kept // It sends what it is given (mellium.im/sasl v0.3.2).
						}
					}
					require.NoError(t, letTalk(pair.client(t, mechanism, n), pair.server(t, mechanism, kept)).err(), n.user)

					wrong := n
					wrong.password = "wrong"
					assert.Error(t, letTalk(pair.client(t, mechanism, wrong), pair.server(t, mechanism, kept)).serverErr, "wrong password")
					wrong = n
					wrong.user = "romeo"
					assert.Error(t, letTalk(pair.client(t, mechanism, wrong), pair.server(t, mechanism, kept)).serverErr, "wrong user")
				}
			})
		}
	}
}

func TestScramPlusPeers(t *testing.T) {
	good := names{"juliet", password, ""}
	for _, test := range []struct {
		version uint16
		kind    scram.ChannelBindingType // the best that the connection has
		name    string
	}{
		{tls.VersionTLS13, scram.ChannelBindingTLSExporter, "TLS 1.3"},
		{tls.VersionTLS12, scram.ChannelBindingTLSUnique, "TLS 1.2"},
	} {
		client, server := tlsStates(t, test.version)
		other, _ := tlsStates(t, test.version)
		binding := scram.NewTLSUniqueBinding(client.TLSUnique)
		if test.kind == scram.ChannelBindingTLSExporter {
			data, err := client.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
			require.NoError(t, err)
			binding = scram.ChannelBinding{Type: test.kind, Data: data}
		}
		sum := sha256.Sum256(pki().cert.Certificate[0])
		endPoint := scram.ChannelBinding{Type: scram.ChannelBindingTLSServerEndpoint, Data: sum[:]}
		for _, mechanism := range []string{auth.ScramSHA256Plus, auth.ScramSHA1Plus} {
			t.Run(test.name+"/"+mechanism, func(t *testing.T) {
				ours := func(state tls.ConnectionState) stepper {
					return bareClient(t, mechanism, good, sasl.TLSState(state))
				}
				ourServer := func(opts ...sasl.Option) stepper {
					return bareServer(t, serverOf(t, good), mechanism, new(gate), opts...)
				}
				xdg := newXDGServer(t, mechanism, good).NewConversationWithChannelBindingRequired(binding)
				x := letTalk(ours(client), xdgServer{xdg})
				require.NoError(t, x.err())
				assert.True(t, strings.HasPrefix(x.said[0], "p="+string(test.kind)+",,"), x.said[0])

				for _, b := range []scram.ChannelBinding{binding, endPoint} {
					c := newXDGClient(t, mechanism, good).NewConversationWithChannelBinding(b)
					assert.NoError(t, letTalk(xdgClient{c}, ourServer(sasl.TLSState(server))).err(), b.Type)
				}
				mellium := func(state tls.ConnectionState) stepper {
					return sasl.NewClient(melliumScram[mechanism], good.option(), sasl.TLSState(state), sasl.RemoteMechanisms(mechanism))
				}
				assert.NoError(t, letTalk(mellium(client), ourServer(sasl.TLSState(server))).err())

				t.Run("refused", func(t *testing.T) {
					for rule, x := range map[string]talk{
						"another connection":           letTalk(ours(other), ourServer(sasl.TLSState(server))),
						"another connection, mellium":  letTalk(mellium(other), ourServer(sasl.TLSState(server))),
						"a server without TLS":         letTalk(ours(client), ourServer()),
						"the mechanism without -PLUS":  letTalk(bareClient(t, strings.TrimSuffix(mechanism, "-PLUS"), good), ourServer(sasl.TLSState(server))),
						"no binding and yet -PLUS":     letTalk(xdgClient{newXDGClient(t, mechanism, good).NewConversation()}, ourServer(sasl.TLSState(server))),
						"a type that is not there":     letTalk(xdgClient{newXDGClient(t, mechanism, good).NewConversationWithChannelBinding(scram.ChannelBinding{Type: map[bool]scram.ChannelBindingType{true: scram.ChannelBindingTLSUnique, false: scram.ChannelBindingTLSExporter}[test.version == tls.VersionTLS13], Data: []byte("x")})}, ourServer(sasl.TLSState(server))),
						"-PLUS, and yet no such name":  letTalk(ours(client), bareServer(t, serverOf(t, good), strings.TrimSuffix(mechanism, "-PLUS"), new(gate), sasl.TLSState(server))),
						"another certificate's digest": letTalk(xdgClient{newXDGClient(t, mechanism, good).NewConversationWithChannelBinding(scram.ChannelBinding{Type: endPoint.Type, Data: make([]byte, 32)})}, ourServer(sasl.TLSState(server))),
					} {
						assert.NoError(t, x.clientErr, rule)
						assert.Equal(t, sasl.ErrAuthn, x.serverErr, rule)
					}
				})
				t.Run("y is believed", func(t *testing.T) {
					name := strings.TrimSuffix(mechanism, "-PLUS")
					y := func() stepper {
						return xdgClient{newXDGClient(t, name, good).NewConversationAdvertisingChannelBinding()}
					}
					// What is listed, only Server's own features know.
					srv := serverOf(t, good)
					assert.NoError(t, letTalk(y(), bareServer(t, srv, name, new(gate), sasl.TLSState(server))).err())
				})
				t.Run("a client that cannot bind sends nothing", func(t *testing.T) {
					_, message, err := bareClient(t, mechanism, good).Step(nil)
					assert.ErrorIs(t, err, auth.ErrChannelBinding)
					assert.Empty(t, message)
				})
			})
		}
	}
}

// TestPasswords has passwords that SASLprep changes or forbids: however they are
// typed when they are kept and when they are used, it is the same for all
// mechanisms.
func TestPasswords(t *testing.T) {
	for _, test := range []struct {
		rule, kept, typed string
		good              bool
	}{
		{"a soft hyphen is nothing", "I\u00adX", "IX", true},
		{"a soft hyphen is nothing", "IX", "I\u00adX", true},
		{"case counts", "USER", "user", false},
		{"compatible characters are the same", "\u00aa", "a", true},
		{"compatible characters are the same", "\u2168", "IX", true},
		{"full width is no difference", "ｐｅｎｃｉｌ", "pencil", true},
		{"full width is no difference", "pencil", "ｐｅｎｃｉｌ", true},
		{"each space is a space", "to\u00a0be", "to be", true},
		{"accents may be on their own", "e\u0301", "\u00e9", true},
		{"emoji are kept as they are", "🔑🚪", "🔑🚪", true},
		{"emoji are told apart", "🔑🚪", "🚪🔑", false},
		{"with emoji, all is kept as it is", "🔑I\u00adX", "🔑I\u00adX", true},
		{"with emoji, all is kept as it is", "🔑I\u00adX", "🔑IX", false},
		{"control characters too", "a\u0007b", "a\u0007b", true},
		{"and mixed directions", "\u0627\u0031", "\u0627\u0031", true},
		{"a space at the end counts", "pencil ", "pencil", false},
		{"long passwords are not cut", strings.Repeat("x", 1000), strings.Repeat("x", 1000), true},
		{"long passwords are not cut", strings.Repeat("x", 1000), strings.Repeat("x", 999), false},
	} {
		srv := serverOf(t, names{user: "juliet", password: test.kept})
		for _, name := range append(scrams[:2:2], auth.Plain) {
			x := letTalk(bareClient(t, name, names{"juliet", test.typed, ""}), bareServer(t, srv, name, new(gate)))
			if test.good {
				assert.NoError(t, x.err(), "%s: %s, kept as %q, typed as %q", name, test.rule, test.kept, test.typed)
			} else {
				assert.Equal(t, sasl.ErrAuthn, x.serverErr, "%s: %s, kept as %q, typed as %q", name, test.rule, test.kept, test.typed)
			}
		}
	}
}

func TestNewKeysBounds(t *testing.T) {
	for _, i := range []int{-1, 1, 4095, 5_000_001, 1 << 31} {
		_, err := auth.NewKeys(password, auth.ScramSHA256, i)
		assert.Error(t, err, "%d iterations", i)
	}
	k, err := auth.NewKeys(password, auth.ScramSHA256, 0)
	require.NoError(t, err)
	assert.Equal(t, auth.DefaultIterations, k.Iterations)
	other, err := auth.NewKeys(password, auth.ScramSHA256, 0)
	require.NoError(t, err)
	assert.NotEqual(t, k.Salt, other.Salt, "each has a salt of its own")
	assert.Len(t, k.Salt, 16)
	_, err = auth.NewKeys("", auth.ScramSHA256, 0)
	assert.Error(t, err)
	_, err = auth.NewKeys(password, auth.Plain, 0)
	assert.Error(t, err)
}

// TestScramClientRefuses has servers' first messages that make no sense or ask too
// much. Each is refused before any work: the largest would take some minutes.
func TestScramClientRefuses(t *testing.T) {
	salt := ",s=" + b64.EncodeToString([]byte("salt"))
	for _, mechanism := range scrams {
		for rule, challenge := range map[string]func(nonce string) string{
			"nothing":                           func(string) string { return "" },
			"a nonce of its own":                func(string) string { return "r=abcdefghijklmnop" + salt + ",i=4096" },
			"the client's nonce and no more":    func(n string) string { return "r=" + n + salt + ",i=4096" },
			"the client's nonce cut short":      func(n string) string { return "r=" + n[:len(n)-1] + salt + ",i=4096" },
			"another case":                      func(n string) string { return "r=" + strings.ToUpper(n) + "x" + salt + ",i=4096" },
			"the client's nonce at the end":     func(n string) string { return "r=x" + n + salt + ",i=4096" },
			"no nonce":                          func(string) string { return "r=" + salt + ",i=4096" },
			"no salt":                           func(n string) string { return "r=" + n + "x,i=4096" },
			"a salt that is no base64":          func(n string) string { return "r=" + n + "x,s=!!!!,i=4096" },
			"no count":                          func(n string) string { return "r=" + n + "x" + salt },
			"an empty count":                    func(n string) string { return "r=" + n + "x" + salt + ",i=" },
			"another order":                     func(n string) string { return "s=" + b64.EncodeToString([]byte("salt")) + ",r=" + n + "x,i=4096" },
			"a count that is none":              func(n string) string { return "r=" + n + "x" + salt + ",i=4096x" },
			"a count in hexadecimal":            func(n string) string { return "r=" + n + "x" + salt + ",i=0x1000" },
			"a count of zero":                   func(n string) string { return "r=" + n + "x" + salt + ",i=0" },
			"a count below zero":                func(n string) string { return "r=" + n + "x" + salt + ",i=-4096" },
			"a count below the minimum":         func(n string) string { return "r=" + n + "x" + salt + ",i=4095" },
			"a count just above the bound":      func(n string) string { return "r=" + n + "x" + salt + ",i=5000001" },
			"a count of minutes":                func(n string) string { return "r=" + n + "x" + salt + ",i=2147483647" },
			"a count of ages":                   func(n string) string { return "r=" + n + "x" + salt + ",i=9223372036854775807" },
			"a count beyond numbers":            func(n string) string { return "r=" + n + "x" + salt + ",i=99999999999999999999" },
			"two counts, the first of them bad": func(n string) string { return "r=" + n + "x" + salt + ",i=1,i=4096" },
			"an extension that must be known":   func(n string) string { return "m=x,r=" + n + "x" + salt + ",i=4096" },
			"an error in place of a challenge":  func(string) string { return "e=other-error" },
			"a proof in place of a challenge":   func(string) string { return "v=" + b64.EncodeToString(make([]byte, 32)) },
			"a line behind it":                  func(n string) string { return "r=" + n + "x" + salt + ",i=4096\n" },
		} {
			client := bareClient(t, mechanism, names{"juliet", password, ""})
			_, first, err := client.Step(nil)
			require.NoError(t, err)
			_, nonce, _ := strings.Cut(string(first), ",r=")
			start := time.Now()
			_, message, err := client.Step([]byte(challenge(nonce)))
			assert.ErrorIs(t, err, auth.ErrUnproven, rule)
			assert.Empty(t, message, "%s: nothing is proven to such a server", rule)
			assert.Less(t, time.Since(start), 10*time.Second, "%s: it costs nothing", rule)
		}
	}
}

// TestScramExtensions has attributes that may be ignored, but are proven.
func TestScramExtensions(t *testing.T) {
	const mechanism = auth.ScramSHA256
	secret := hashPassword(mechanism, password, []byte("salt"), iterations)
	t.Run("client", func(t *testing.T) {
		client := bareClient(t, mechanism, names{"juliet", password, ""})
		_, first, err := client.Step(nil)
		require.NoError(t, err)
		_, nonce, _ := strings.Cut(string(first), ",r=")
		challenge := secret.first(nonce+"x") + ",x=y,z="
		_, message, err := client.Step([]byte(challenge))
		require.NoError(t, err)
		withoutProof := "c=biws,r=" + nonce + "x"
		proof, signature := secret.proof("n=juliet,r=" + nonce + "," + challenge + "," + withoutProof)
		assert.Equal(t, withoutProof+",p="+proof, string(message))
		_, _, err = client.Step([]byte("v=" + signature + ",x=y"))
		assert.NoError(t, err)
	})
	t.Run("server", func(t *testing.T) {
		for _, tampered := range []bool{false, true} {
			a := new(auth.Accounts)
			require.NoError(t, a.SetKeys(juliet, mechanism, secret.keys()))
			server := bareServer(t, &auth.Server{Credentials: a}, mechanism, new(gate))
			_, challenge, err := server.Step([]byte("n,,n=juliet,r=abc,x=y"))
			require.NoError(t, err)
			nonce, _, _ := strings.Cut(strings.TrimPrefix(string(challenge), "r="), ",")
			withoutProof := "c=biws,r=" + nonce + ",z=1,y=2"
			proof, _ := secret.proof("n=juliet,r=abc,x=y," + string(challenge) + "," + withoutProof)
			if tampered {
				withoutProof = "c=biws,r=" + nonce + ",z=1,y=3"
			}
			_, _, err = server.Step([]byte(withoutProof + ",p=" + proof))
			assert.Equal(t, tampered, err != nil)
		}
	})
}

// TestScramCutShort has all beginnings of messages that are good as a whole.
func TestScramCutShort(t *testing.T) {
	const mechanism = auth.ScramSHA256
	secret := hashPassword(mechanism, password, []byte("salt"), iterations)
	begin := func() (client *sasl.Negotiator, nonce string) {
		client = bareClient(t, mechanism, names{"juliet", password, ""})
		_, first, err := client.Step(nil)
		require.NoError(t, err)
		_, nonce, _ = strings.Cut(string(first), ",r=")
		return client, nonce
	}
	_, nonce := begin()
	for i := range len(secret.first(nonce + "x")) {
		client, nonce := begin()
		_, out, err := client.Step([]byte(secret.first(nonce + "x")[:i]))
		assert.ErrorIs(t, err, auth.ErrUnproven, "the challenge, %d bytes", i)
		assert.Empty(t, out)
	}
	proven := func() (client *sasl.Negotiator, final string) {
		client, nonce := begin()
		challenge := secret.first(nonce + "x")
		_, _, err := client.Step([]byte(challenge))
		require.NoError(t, err)
		_, signature := secret.proof("n=juliet,r=" + nonce + "," + challenge + ",c=biws,r=" + nonce + "x")
		return client, "v=" + signature
	}
	client, final := proven()
	_, _, err := client.Step([]byte(final))
	require.NoError(t, err)
	for i := range len(final) {
		client, final := proven()
		_, _, err := client.Step([]byte(final[:i]))
		assert.ErrorIs(t, err, auth.ErrUnproven, "the last message, %d bytes", i)
	}
	for _, wrong := range []string{"e=invalid-proof", "x=y", "r=abc,s=abcd,i=4096", "v=" + b64.EncodeToString(make([]byte, 32)), final} {
		client, _ := proven()
		_, _, err := client.Step([]byte(wrong))
		assert.ErrorIs(t, err, auth.ErrUnproven, wrong)
	}

	a := new(auth.Accounts)
	require.NoError(t, a.SetKeys(juliet, mechanism, secret.keys()))
	for i := range 128 {
		g := new(gate)
		server := bareServer(t, &auth.Server{Credentials: a}, mechanism, g)
		_, challenge, err := server.Step([]byte("n,,n=juliet,r=abc"))
		require.NoError(t, err)
		nonce, _, _ := strings.Cut(strings.TrimPrefix(string(challenge), "r="), ",")
		withoutProof := "c=biws,r=" + nonce
		proof, _ := secret.proof("n=juliet,r=abc," + string(challenge) + "," + withoutProof)
		final := withoutProof + ",p=" + proof
		_, _, err = server.Step([]byte(final[:min(i, len(final)-1)]))
		assert.Equal(t, sasl.ErrAuthn, err, "the client's last message, %d bytes", i)
		assert.Empty(t, g.asked)
	}
}

// TestScramServerFinal has last messages of clients that the server does not accept.
func TestScramServerFinal(t *testing.T) {
	const mechanism = auth.ScramSHA256
	secret := hashPassword(mechanism, password, []byte("salt"), iterations)
	a := new(auth.Accounts)
	require.NoError(t, a.SetKeys(juliet, mechanism, secret.keys()))
	srv := &auth.Server{Credentials: a}
	for rule, final := range map[string]func(nonce, withoutProof, proof string) string{
		"nothing":                   func(_, _, _ string) string { return "" },
		"no proof":                  func(_, w, _ string) string { return w },
		"an empty proof":            func(_, w, _ string) string { return w + ",p=" },
		"a proof cut short":         func(_, w, p string) string { return w + ",p=" + p[:40] },
		"a proof that is no base64": func(_, w, p string) string { return w + ",p=!" + p[1:] },
		"a longer proof":            func(_, w, p string) string { return w + ",p=" + b64.EncodeToString(append([]byte(p), 0)) },
		"another nonce": func(n, w, p string) string {
			return strings.Replace(w, n, n[:len(n)-1]+"!", 1) + ",p=" + p
		},
		"another header":          func(n, _, p string) string { return "c=eSws,r=" + n + ",p=" + p },
		"no header":               func(n, _, p string) string { return "c=,r=" + n + ",p=" + p },
		"another order":           func(n, _, p string) string { return "r=" + n + ",c=biws,p=" + p },
		"something behind":        func(_, w, p string) string { return w + ",p=" + p + ",x=y" },
		"all zero":                func(_, w, _ string) string { return w + ",p=" + b64.EncodeToString(make([]byte, 32)) },
		"the first message again": func(_, _, _ string) string { return "n,,n=juliet,r=abc" },
	} {
		g := new(gate)
		server := bareServer(t, srv, mechanism, g)
		_, challenge, err := server.Step([]byte("n,,n=juliet,r=abc"))
		require.NoError(t, err)
		nonce, _, _ := strings.Cut(strings.TrimPrefix(string(challenge), "r="), ",")
		withoutProof := "c=biws,r=" + nonce
		proof, _ := secret.proof("n=juliet,r=abc," + string(challenge) + "," + withoutProof)
		_, message, err := server.Step([]byte(final(nonce, withoutProof, proof)))
		assert.Error(t, err, rule)
		assert.Empty(t, message, rule)
		assert.Empty(t, g.asked, rule)
	}
}

func TestScramServerFirst(t *testing.T) {
	srv := newServer()
	t.Run("malformed", func(t *testing.T) {
		for _, message := range []string{
			"", "n", "n,", "n,,", "n,,n=juliet", "n,,r=abc,n=juliet", "n,,juliet,r=abc", "n,n=juliet,r=abc",
			"n,,n=ju=liet,r=abc", "n,,n=juliet=,r=abc", "n,,n=juliet=2,r=abc", "n,,n=juliet=2c,r=abc", "n,,n=juliet=2D,r=abc",
			"n,a=x=y,n=juliet,r=abc", "n,x=juliet,n=juliet,r=abc", "x,,n=juliet,r=abc", ",,n=juliet,r=abc",
			"N,,n=juliet,r=abc", "n,,m=x,n=juliet,r=abc", "\x00juliet\x00" + password,
		} {
			for _, mechanism := range scrams {
				g := new(gate)
				_, _, err := bareServer(t, srv, mechanism, g).Step([]byte(message))
				assert.Error(t, err, "%q", message)
				assert.NotErrorIs(t, err, sasl.ErrAuthn, "%q", message)
			}
		}
	})
	t.Run("an identity is unescaped, and asked about", func(t *testing.T) {
		for _, mechanism := range scrams {
			g := new(gate)
			c := bareClient(t, mechanism, names{"juliet", password, "a,b=c@im.example.com"})
			x := letTalk(c, bareServer(t, srv, mechanism, g))
			require.NoError(t, x.err())
			assert.True(t, strings.HasPrefix(x.said[0], "n,a=a=2Cb=3Dc@im.example.com,n=juliet,r="), x.said[0])
			assert.Equal(t, []names{{"juliet", "", "a,b=c@im.example.com"}}, g.asked)
			x = letTalk(bareClient(t, mechanism, names{"juliet", password, "nurse"}), bareServer(t, srv, mechanism, &gate{shut: true}))
			assert.Equal(t, sasl.ErrAuthn, x.serverErr)
		}
	})
	t.Run("a store that fails is no refusal", func(t *testing.T) {
		_, _, err := bareServer(t, &auth.Server{Credentials: brokenStore{}}, auth.ScramSHA256, new(gate)).Step([]byte("n,,n=juliet,r=abc"))
		assert.ErrorIs(t, err, errBroken)
		assert.NotErrorIs(t, err, sasl.ErrAuthn)
	})
	t.Run("nonces do not come again", func(t *testing.T) {
		seen := make(map[string]bool)
		for range 100 {
			_, challenge, err := bareServer(t, srv, auth.ScramSHA256, new(gate)).Step([]byte("n,,n=juliet,r=abc"))
			require.NoError(t, err)
			seen[string(challenge)] = true
			_, first, err := bareClient(t, auth.ScramSHA256, names{"juliet", password, ""}).Step(nil)
			require.NoError(t, err)
			seen[string(first)] = true
		}
		assert.Len(t, seen, 200)
	})
}

// challengeTo returns salt and count of a server's first message to a user.
func challengeTo(t *testing.T, srv *auth.Server, mechanism, user string) (salt string, count string) {
	t.Helper()
	_, challenge, err := bareServer(t, srv, mechanism, new(gate)).Step([]byte("n,,n=" + user + ",r=abc"))
	require.NoError(t, err)
	fields := strings.Split(string(challenge), ",")
	require.Len(t, fields, 3)
	return fields[1], fields[2]
}

// TestUnknownAccounts asserts that accounts which do not exist look like others.
func TestUnknownAccounts(t *testing.T) {
	srv := newServer()
	srv.Secret = "0123456789abcdef0123456789abcdef"
	again := newServer()
	again.Secret = srv.Secret
	t.Run("the salt stays the same", func(t *testing.T) {
		for _, user := range []string{"juliet", "romeo"} {
			salt, count := challengeTo(t, srv, auth.ScramSHA256, user)
			raw, err := b64.DecodeString(strings.TrimPrefix(salt, "s="))
			require.NoError(t, err)
			assert.Len(t, raw, 16)
			assert.Equal(t, fmt.Sprint("i=", iterations), count)
			for _, s := range []*auth.Server{srv, again} {
				now, _ := challengeTo(t, s, auth.ScramSHA256, user)
				assert.Equal(t, salt, now)
			}
		}
	})
	t.Run("the end is the same", func(t *testing.T) {
		for _, mechanism := range append(scrams[:2:2], auth.Plain) {
			var ends []error
			for _, n := range []names{{"juliet", "wrong", ""}, {"romeo", "wrong", ""}, {"not an account", "wrong", ""}, {"romeo@example.net", "wrong", ""}} {
				x := letTalk(bareClient(t, mechanism, n), bareServer(t, srv, mechanism, new(gate)))
				require.NoError(t, x.clientErr)
				ends = append(ends, x.serverErr)
			}
			assert.Equal(t, slices.Repeat([]error{sasl.ErrAuthn}, 4), ends, mechanism)
		}
	})
	t.Run("an account without keys for a mechanism too", func(t *testing.T) {
		k, err := auth.NewKeys(password, auth.ScramSHA256, iterations)
		require.NoError(t, err)
		a := new(auth.Accounts)
		require.NoError(t, a.SetKeys(juliet, auth.ScramSHA256, k))
		srv := &auth.Server{Credentials: a, Iterations: iterations}
		x := letTalk(bareClient(t, auth.ScramSHA1, names{"juliet", password, ""}), bareServer(t, srv, auth.ScramSHA1, new(gate)))
		assert.Equal(t, sasl.ErrAuthn, x.serverErr)
	})
	t.Run("the store is asked as often", func(t *testing.T) {
		for _, mechanism := range append(scrams[:2:2], auth.Plain) {
			asked := make(map[string]int)
			for _, user := range []string{"juliet", "romeo"} {
				store := &countingStore{Credentials: accounts()}
				srv := &auth.Server{Credentials: store, Iterations: iterations}
				letTalk(bareClient(t, mechanism, names{user, "wrong", ""}), bareServer(t, srv, mechanism, new(gate)))
				asked[user] = store.asked
			}
			assert.Equal(t, asked["juliet"], asked["romeo"], "%s: %v", mechanism, slices.Sorted(maps.Keys(asked)))
		}
	})
}

// countingStore counts how often it is asked.
type countingStore struct {
	auth.Credentials
	asked int
}

func (s *countingStore) Keys(ctx context.Context, account jid.JID, mechanism string) (auth.Keys, error) {
	s.asked++
	return s.Credentials.Keys(ctx, account, mechanism)
}
