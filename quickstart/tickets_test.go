// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/pipelining"
	"github.com/xmppext/xmppext/quickstart"
)

// inBoth runs a test with STARTTLS and one with direct TLS.
func inBoth(t *testing.T, name string, f func(t *testing.T, w *world, h *house, d *quickstart.Dialer)) {
	t.Helper()
	for _, direct := range []bool{false, true} {
		kind := ", STARTTLS"
		if direct {
			kind = ", direct TLS"
		}
		inBubble(t, name+kind, func(t *testing.T) {
			h := newHouse()
			h.direct = direct
			w := newWorld(t, h.serve)
			d := newDialer(w)
			if direct {
				d.Security = quickstart.DirectTLS
			}
			f(t, w, h, d)
		})
	}
}

// shown notes the sessions of TLS that a server is shown.
func (h *house) shown() func() []string {
	var (
		mu   sync.Mutex
		list []string
	)
	cfg := h.tls
	cfg.WrapSession = cfg.EncryptTicket
	cfg.UnwrapSession = func(id []byte, state tls.ConnectionState) (*tls.SessionState, error) {
		mu.Lock()
		defer mu.Unlock()
		list = append(list, string(id))
		return cfg.DecryptTicket(id, state)
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return list
	}
}

func TestTLS(t *testing.T) {
	inBoth(t, "DT-05: SNI and ALPN", func(t *testing.T, _ *world, h *house, d *quickstart.Dialer) {
		var hello *tls.ClientHelloInfo
		h.tls.GetConfigForClient = func(info *tls.ClientHelloInfo) (*tls.Config, error) {
			hello = info
			return nil, nil
		}
		d.TLS.ServerName, d.TLS.NextProtos = "wrong.example", []string{"http/1.1"}
		mustDial(t, d)
		assert.Equal(t, juliet.Domainpart(), hello.ServerName)
		var protocols []string
		if h.direct {
			protocols = []string{"xmpp-client"}
		}
		assert.Equal(t, protocols, hello.SupportedProtos)
		assert.Equal(t, "wrong.example", d.TLS.ServerName, "what is the caller's is not changed")
		assert.Nil(t, d.TLS.ClientSessionCache)
	})
	inBubble(t, "DT-05: a server of something else", func(t *testing.T) {
		h := newHouse()
		h.direct, h.tls.NextProtos = true, []string{"http/1.1"}
		d := newDialer(newWorld(t, h.serve))
		d.Security = quickstart.DirectTLS
		_, err := d.Dial(t.Context(), juliet, quickstart.Password(password))
		require.ErrorContains(t, err, "no application protocol")
		assert.Empty(t, h.heard.String())
	})
	for name, cert := range map[string]func() tls.Certificate{
		"DT-03: the certificate of the host of the SRV record": func() tls.Certificate { return newAuthority("home.example").cert },
		"a certificate of somebody else's authority":           func() tls.Certificate { return strangers().cert },
	} {
		inBoth(t, name, func(t *testing.T, w *world, h *house, d *quickstart.Dialer) {
			c := cert()
			h.tls.Certificates = []tls.Certificate{c}
			if c.Leaf.DNSNames[0] == "home.example" {
				d.TLS.RootCAs = x509.NewCertPool()
				d.TLS.RootCAs.AddCert(c.Leaf) // It is trusted, for its own name.
			}
			service := "xmpp-client"
			if h.direct {
				service = "xmpps-client"
			}
			w.record(service, "home.example.", 5222, 0, 0)
			w.name("home.example", "192.0.2.1")
			d.Address = ""
			_, err := d.Dial(t.Context(), juliet, quickstart.Password(password))
			require.ErrorAs(t, err, new(*tls.CertificateVerificationError))
			assert.Len(t, w.connections(), 1, "it is final")
			assert.NotContains(t, h.heard.String(), "auth", "nothing was sent")
		})
	}
	inBoth(t, "a certificate that is not verified", func(t *testing.T, w *world, h *house, d *quickstart.Dialer) {
		d.TLS.InsecureSkipVerify = true
		for range 2 {
			_, err := d.Dial(t.Context(), juliet, quickstart.Password(password))
			require.ErrorIs(t, err, pipelining.ErrUnverifiedTLS)
		}
		assert.NotContains(t, h.heard.String(), "auth", "nothing was sent")
	})
	inBoth(t, "VerifyConnection has its say", func(t *testing.T, w *world, h *house, d *quickstart.Dialer) {
		mustDial(t, d)
		refused := errors.New("not today")
		asked := 0
		d.TLS.VerifyConnection = func(state tls.ConnectionState) error {
			asked++
			return refused
		}
		_, err := d.Dial(t.Context(), juliet, quickstart.Password(password))
		require.ErrorIs(t, err, refused)
		assert.Equal(t, len(w.connections())-1, asked, "each time")
		assert.LessOrEqual(t, asked, 2)
	})
}

// ticketsKey is where the sessions of TLS of juliet are.
var ticketsKey = quickstart.Key{Account: juliet, Name: "tickets"}

func TestTickets(t *testing.T) {
	inBoth(t, "PL-16: another process takes the session up", func(t *testing.T, w *world, h *house, d *quickstart.Dialer) {
		dir := filepath.Join(t.TempDir(), "cache")
		for i := range 4 {
			cache, err := quickstart.OpenFileCache(dir)
			require.NoError(t, err)
			again := &quickstart.Dialer{Cache: cache, TLS: d.TLS, Address: d.Address, NetDial: d.NetDial, Security: d.Security}
			s := mustDial(t, again)
			assert.Equal(t, i > 0, s.Report.Resumed)
			assert.Equal(t, i > 0, s.Report.Held, "nor is the plan lost")
			state := s.ConnectionState()
			assert.Equal(t, i > 0, state.DidResume)
			assert.NotEmpty(t, state.VerifiedChains)
		}
	})
	inBoth(t, "no session is shown twice", func(t *testing.T, w *world, h *house, d *quickstart.Dialer) {
		shown := h.shown()
		for range 4 {
			mustDial(t, d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*roundTrip)
		defer cancel()
		_, err := d.Dial(ctx, juliet, quickstart.Password(password))
		require.Error(t, err)
		mustDial(t, d)
		seen := make(map[string]bool)
		for _, id := range shown() {
			assert.False(t, seen[id])
			seen[id] = true
		}
		assert.GreaterOrEqual(t, len(seen), 4)
	})
	inBoth(t, "an old session is not shown", func(t *testing.T, w *world, h *house, d *quickstart.Dialer) {
		shown := h.shown()
		mustDial(t, d)
		time.Sleep(7*24*time.Hour + time.Minute)
		r := mustDial(t, d).Report
		assert.False(t, r.Resumed)
		assert.Equal(t, 1, r.Attempts)
		assert.Empty(t, shown())
	})
	inBoth(t, "D-21: each account has its own", func(t *testing.T, w *world, h *house, d *quickstart.Dialer) {
		shown := h.shown()
		mustDial(t, d)
		s, err := d.Dial(t.Context(), romeo, quickstart.Password(password))
		require.NoError(t, err)
		assert.False(t, s.Report.Resumed)
		assert.Empty(t, shown())
		assert.True(t, mustDial(t, d).Report.Resumed)
	})
	inBoth(t, "D-21: what is learned under another Trust is not used", func(t *testing.T, w *world, h *house, d *quickstart.Dialer) {
		shown := h.shown()
		mustDial(t, d)
		other := newDialer(w)
		other.Cache, other.Security, other.Trust = d.Cache, d.Security, "another"
		r := mustDial(t, other).Report
		assert.False(t, r.Resumed || r.Held)
		assert.NotContains(t, r.Mechanism, "HT-", "nor the token")
		assert.Empty(t, shown())
		assert.True(t, mustDial(t, d).Report.Resumed)
	})
	inBoth(t, "D-21: Forget forgets it", func(t *testing.T, w *world, h *house, d *quickstart.Dialer) {
		shown := h.shown()
		mustDial(t, d)
		require.NoError(t, d.Forget(t.Context(), juliet))
		r := mustDial(t, d).Report
		assert.False(t, r.Resumed || r.Held)
		assert.NotContains(t, r.Mechanism, "HT-")
		assert.Empty(t, shown())
	})

	inBoth(t, "AQ-19: the server does not know it any more", func(t *testing.T, w *world, h *house, d *quickstart.Dialer) {
		mustDial(t, d)
		h.tls.SetSessionTicketKeys([][32]byte{{1}})
		r := mustDial(t, d).Report
		assert.False(t, r.Resumed)
		assert.True(t, r.Held)
		assert.Equal(t, 1, r.Attempts)
		assert.True(t, mustDial(t, d).Report.Resumed)
	})
	inBoth(t, "AQ-19: it is about another session", func(t *testing.T, w *world, h *house, d *quickstart.Dialer) {
		mustDial(t, d)
		other := newDialer(w)
		other.Security = d.Security
		mustDial(t, other)
		kept, theirs := mustTickets(t, d), mustTickets(t, other)
		kept[0]["id"] = theirs[0]["id"]
		b, err := json.Marshal(kept)
		require.NoError(t, err)
		require.NoError(t, d.Cache.Put(t.Context(), ticketsKey, b))

		r := mustDial(t, d).Report
		assert.Equal(t, 2, r.Attempts, "the server ends the handshake; one connection more")
		assert.False(t, r.Resumed)
		r = mustDial(t, d).Report
		assert.Equal(t, 1, r.Attempts)
		assert.True(t, r.Resumed)
		assert.True(t, !h.direct || r.Held, "the plan has nothing to do with it")
	})
	for name, garbage := range map[string]string{
		"no JSON":      "\x00\x01",
		"nothing":      "[]",
		"another kind": `{"name":"im.example.com"}`,
		"no session":   `[{"name":"im.example.com","since":"2000-01-01T00:00:00Z","id":"AAAA","state":"AAAA"}]`,
		"empty":        `[{"name":"im.example.com","since":"2000-01-01T00:00:00Z"}]`,
		"the future":   `[{"name":"im.example.com","since":"2030-01-01T00:00:00Z","id":"AAAA","state":"AAAA"}]`,
	} {
		inBoth(t, "AQ-19: garbage, "+name, func(t *testing.T, w *world, h *house, d *quickstart.Dialer) {
			require.NoError(t, d.Cache.Put(t.Context(), ticketsKey, []byte(garbage)))
			r := mustDial(t, d).Report
			assert.False(t, r.Resumed)
			assert.Equal(t, 1, r.Attempts)
			assert.True(t, mustDial(t, d).Report.Resumed, "it was replaced")
		})
	}
	inBoth(t, "AQ-19: the authority is not trusted any more", func(t *testing.T, w *world, h *house, d *quickstart.Dialer) {
		mustDial(t, d)
		heard := len(h.heard.String())
		other := newDialer(w)
		other.Cache, other.Security = d.Cache, d.Security
		other.TLS.RootCAs = strangers().pool
		_, err := other.Dial(t.Context(), juliet, quickstart.Password(password))
		require.ErrorAs(t, err, new(*tls.CertificateVerificationError))
		assert.NotContains(t, h.heard.String()[heard:], "auth", "nothing was sent")

		h.tls.Certificates = []tls.Certificate{strangers().cert}
		r := mustDial(t, other).Report
		assert.False(t, r.Resumed)
		assert.Equal(t, 1, r.Attempts)
	})
	inBoth(t, "AQ-19: VerifyPeerCertificate is asked again", func(t *testing.T, w *world, h *house, d *quickstart.Dialer) {
		mustDial(t, d)
		var asked []int
		d.TLS.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) error {
			asked = append(asked, len(raw))
			assert.Equal(t, pki().cert.Certificate, raw)
			assert.NotEmpty(t, chains)
			if len(asked) == 1 {
				return errors.New("revoked")
			}
			return nil
		}
		r := mustDial(t, d).Report
		assert.Equal(t, []int{1, 1}, asked)
		assert.Equal(t, 2, r.Attempts, "a session that is not trusted costs one connection")
		assert.False(t, r.Resumed)
		assert.True(t, r.Held, "the plan has nothing to do with it")
		r = mustDial(t, d).Report
		assert.True(t, r.Resumed)
		assert.Equal(t, 1, r.Attempts)
		d.TLS.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { return errors.New("revoked") }
		before := len(w.connections())
		_, err := d.Dial(t.Context(), juliet, quickstart.Password(password))
		require.ErrorContains(t, err, "revoked")
		assert.Len(t, w.connections(), before+2)
		assert.Empty(t, mustTickets(t, d), "none is left")
	})
}

// mustTickets returns what is kept for juliet.
func mustTickets(t *testing.T, d *quickstart.Dialer) []map[string]any {
	t.Helper()
	b, err := d.Cache.Get(t.Context(), ticketsKey)
	require.NoError(t, err)
	var kept []map[string]any
	if len(b) > 0 {
		require.NoError(t, json.Unmarshal(b, &kept))
	}
	return kept
}
