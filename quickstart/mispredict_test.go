// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"context"
	"encoding/base64"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/bind2"
	"github.com/xmppext/xmppext/quickstart"
)

var mechanismUsed = regexp.MustCompile(`<auth[^>]* mechanism=['"]([^'"]*)`)

// mechanisms returns those that clients have used, within TLS or not.
func (h *house) mechanisms() []string {
	var names []string
	for _, m := range mechanismUsed.FindAllStringSubmatch(h.heard.String(), -1) {
		names = append(names, m[1])
	}
	return names
}

// assertSecret asserts that the password was on no wire, and in no hand, as it is.
func assertSecret(t *testing.T, w *world, houses ...*house) {
	t.Helper()
	places := map[string]string{"the network": w.sent()}
	for _, h := range houses {
		places["a server"] += h.heard.String()
	}
	for place, sent := range places {
		assert.NotContains(t, sent, password, place)
		assert.NotContains(t, sent, base64.StdEncoding.EncodeToString([]byte("\x00juliet\x00"+password)), place)
		assert.NotContains(t, sent, "PLAIN", place)
	}
	assert.NotContains(t, w.sent(), "<auth", "nobody logs in without TLS")
}

// TestRenovated lets servers change between logins: each login ends in a session, with
// the mechanisms that are due.
func TestRenovated(t *testing.T) {
	for _, test := range []struct {
		name        string
		before      func() *house
		change      func(h *house)
		mechanisms  []string // of the client
		connections int      // of the login after the change, if the client sends ahead
		with        string   // mechanism of that login
		bind        bind2.Protocol
		held        bool
	}{
		{"nothing is gone", newHouse, func(*house) {}, nil, 1, auth.HTSHA256Exporter, bind2.Inline, true},
		{"tokens are gone", newHouse, func(h *house) { h.logins.FAST = nil }, nil, 1, auth.ScramSHA256Plus, bind2.Inline, false},
		{"SASL2 is gone", newHouse, func(h *house) { h.logins.Profiles = auth.RFC6120 }, nil, 2, auth.ScramSHA256Plus, bind2.Early, false},
		{"all is gone that RFC 6120 has not", newHouse, func(h *house) {
			h.logins.Profiles, h.noEarly, h.noPipelining = auth.RFC6120, true, true
		}, nil, 2, auth.ScramSHA256Plus, bind2.Legacy, false},
		{"bind:0 is gone", newHouse, func(h *house) { h.logins.Inline = nil }, nil, 1, auth.HTSHA256Exporter, bind2.Early, false},
		{"bind2:0 is gone", kinds["bind2:0"], func(h *house) { h.noEarly = true }, nil, 2, auth.ScramSHA256Plus, bind2.Legacy, false},
		{"pipelining is gone", newOldHouse, func(h *house) { h.noPipelining = true }, nil, 1, auth.ScramSHA256Plus, bind2.Legacy, true},
		{"a mechanism is gone", newOldHouse, func(h *house) { h.offering(auth.ScramSHA1) },
			[]string{auth.ScramSHA256, auth.ScramSHA1}, 1, auth.ScramSHA1, bind2.Legacy, false},
		{"a mechanism is gone from SASL2", kinds["SASL2"], func(h *house) { h.offering(auth.ScramSHA1) },
			[]string{auth.ScramSHA256, auth.ScramSHA1}, 1, auth.ScramSHA1, bind2.Inline, false},
		{"TLS sessions are gone", newHouse, func(h *house) {
			h.tls = h.tls.Clone()
			h.tls.SetSessionTicketKeys([][32]byte{{1}})
		}, nil, 1, auth.HTSHA256Exporter, bind2.Inline, true},
		{"tokens are revoked", newHouse, func(h *house) { h.logins.FAST = &auth.FAST{Store: new(auth.MemoryTokens)} },
			nil, 1, auth.ScramSHA256Plus, bind2.Inline, false},
	} {
		for _, direct := range []bool{false, true} {
			kind := ", STARTTLS"
			if direct {
				kind = ", direct TLS"
			}
			inBubble(t, test.name+kind, func(t *testing.T) {
				h := test.before()
				h.direct = direct
				w := newWorld(t, h.serve)
				d := newDialer(w)
				d.Mechanisms = test.mechanisms
				if direct {
					d.Security = quickstart.DirectTLS
				}
				mustDial(t, d)
				require.True(t, mustDial(t, d).Report.Held, "the client has sent ahead")

				now := h.renovated(test.change)
				w.put(homeAddress, now.serve)
				r := mustDial(t, d).Report
				assert.Equal(t, test.connections, r.Attempts, "connections")
				assert.Equal(t, test.with, r.Mechanism)
				assert.Equal(t, test.bind, r.Bind)
				assert.Equal(t, test.held, r.Held)
				assertSecret(t, w, h, now)

				r = mustDial(t, d).Report
				assert.Equal(t, 1, r.Attempts, "the client has learned")
				time.Sleep(8 * 24 * time.Hour)
				r = mustDial(t, d).Report
				assert.Equal(t, 1, r.Attempts)
				assert.True(t, r.Held, "it sends ahead again, by and by")
			})
		}
	}
}

// TestBetter lets servers get better: later logins use what they have.
func TestBetter(t *testing.T) {
	for name, change := range map[string]func(h *house){
		"bind2:0":          func(h *house) { h.noEarly = false },
		"SASL2":            func(h *house) { h.logins.Profiles = 0 },
		"a mechanism":      func(h *house) { h.offering(auth.ScramSHA256, auth.ScramSHA1) },
		"channel binding":  func(h *house) { h.offering(auth.DefaultMechanisms()...) },
		"all there may be": func(h *house) { *h = *newHouse() },
	} {
		inBubble(t, name, func(t *testing.T) {
			h := newOldHouse().offering(auth.ScramSHA1)
			w := newWorld(t, h.serve)
			d := newDialer(w)
			mustDial(t, d)
			require.True(t, mustDial(t, d).Report.Held)
			now := h.renovated(change)
			w.put(homeAddress, now.serve)
			for range 3 {
				mustDial(t, d)
			}
			fresh := newDialer(w)
			first, later, best := mustDial(t, fresh).Report, mustDial(t, fresh).Report, mustDial(t, d).Report
			assert.Equal(t, first.Bind, best.Bind)
			assert.Equal(t, first.SASL2, best.SASL2)
			assert.Equal(t, later.Mechanism, best.Mechanism)
			assert.Equal(t, later.Flights, best.Flights)
			assert.True(t, best.Held)
		})
	}
}

// TestDowngrade asserts D-20: what is weaker than before gets nothing.
func TestDowngrade(t *testing.T) {
	all := append(auth.DefaultMechanisms(), auth.Plain) // PLAIN is allowed where there is nothing better.
	for _, test := range []struct {
		name   string
		before func() *house
		offers []string
	}{
		{"AQ-01: channel binding was known, PLAIN is left", kinds["SASL2"], []string{auth.Plain}},
		{"AQ-01: and there was a token", newHouse, []string{auth.Plain}},
		{"AQ-01: by RFC 6120", newOldHouse, []string{auth.Plain}},
		{"channel binding was known, SCRAM is left", kinds["SASL2"], []string{auth.ScramSHA256}},
		{"SCRAM was known, PLAIN is left", func() *house { return newOldHouse().offering(auth.ScramSHA256, auth.Plain) }, []string{auth.Plain}},
	} {
		for _, lockStep := range []bool{false, true} {
			name := test.name
			if lockStep {
				name += ", step by step"
			}
			inBoth(t, name, func(t *testing.T, w *world, _ *house, d *quickstart.Dialer) {
				h := test.before()
				h.direct = d.Security == quickstart.DirectTLS
				w.put(homeAddress, h.serve)
				d.Mechanisms, d.LockStep = all, lockStep
				mustDial(t, d)
				before := len(w.connections())

				weak := h.renovated(func(h *house) {
					h.logins.FAST = nil
					h.offering(test.offers...)
				})
				w.put(homeAddress, weak.serve)
				for range 2 {
					_, err := d.Dial(t.Context(), juliet, quickstart.Password(password))
					require.ErrorIs(t, err, quickstart.ErrDowngrade)
					assert.Equal(t, 1, strings.Count(err.Error(), "quickstart:"), err.Error())
				}
				assert.Len(t, w.connections(), before+2, "one each")
				assertSecret(t, w, h, weak)
				for _, name := range weak.mechanisms() {
					assert.NotContains(t, test.offers, name, "nothing is sent to what is weaker")
					assert.False(t, lockStep, "nor anything at all")
				}

				require.NoError(t, d.Forget(t.Context(), juliet))
				assert.Equal(t, test.offers[0], mustDial(t, d).Report.Mechanism, "whoever knows better can forget")
			})
		}
	}
	inBubble(t, "who names PLAIN alone gets it", func(t *testing.T) {
		w := newWorld(t, newHouse().serve)
		d := newDialer(w)
		d.Mechanisms, d.NoTokens = []string{auth.Plain}, true
		for range 2 {
			assert.Equal(t, auth.Plain, mustDial(t, d).Report.Mechanism)
		}
	})
	inBubble(t, "a token does not wash the list", func(t *testing.T) {
		h := newHouse()
		w := newWorld(t, h.serve)
		d := newDialer(w)
		d.Mechanisms = all
		mustDial(t, d)
		// In the middle, somebody lets the token pass.
		middle := h.renovated(func(h *house) { h.offering(auth.Plain) })
		w.put(homeAddress, middle.serve)
		require.Equal(t, auth.HTSHA256Exporter, mustDial(t, d).Report.Mechanism)
		weak := middle.renovated(func(h *house) { h.logins.FAST = nil })
		w.put(homeAddress, weak.serve)
		_, err := d.Dial(t.Context(), juliet, quickstart.Password(password))
		require.ErrorIs(t, err, quickstart.ErrDowngrade)
		assertSecret(t, w, h, middle, weak)
	})
}

// TestPassword asserts what becomes of a password that is not good any more.
func TestPassword(t *testing.T) {
	inBoth(t, "it has changed", func(t *testing.T, w *world, h *house, d *quickstart.Dialer) {
		h.logins.FAST = nil
		mustDial(t, d)
		for range 2 {
			before := len(w.connections())
			_, err := d.Dial(t.Context(), juliet, quickstart.Password("another"))
			var failed auth.Failure
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, auth.NotAuthorized, failed.Condition)
			assert.Len(t, w.connections(), before+1, "it is final")
		}
		assert.True(t, mustDial(t, d).Report.Held, "and says nothing about the plan")
		assertSecret(t, w, h)
	})
	inBoth(t, "the token is good", func(t *testing.T, w *world, _ *house, d *quickstart.Dialer) {
		mustDial(t, d)
		_, err := d.Dial(t.Context(), juliet, quickstart.Credentials{Password: func(context.Context) (string, error) {
			return "", errors.New("nobody should ask")
		}})
		require.NoError(t, err)
	})
	inBoth(t, "asking fails", func(t *testing.T, w *world, h *house, d *quickstart.Dialer) {
		cancelled := errors.New("cancelled by the user")
		_, err := d.Dial(t.Context(), juliet, quickstart.Credentials{Password: func(context.Context) (string, error) {
			return "", cancelled
		}})
		require.ErrorIs(t, err, cancelled)
		assert.Len(t, w.connections(), 1)
	})
}
