// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/quickstart"
)

// TestTampered asserts that what a cache returns is a hint: whatever it is, the client
// logs in as it may, and soon as quickly as before. For sessions of TLS and addresses it
// is in TestTickets and TestPoisoned, for files in TestFileCache.
func TestTampered(t *testing.T) {
	const learned = `"version":1,"learned":"2000-01-01T00:00:00Z"`
	for _, test := range []struct{ name, key, value string }{
		{"a plan that is no JSON", "plan", "\x00\x01"},
		{"a plan that was cut short", "plan", `{"version":1,"learned":"2000-01-01T0`},
		{"a plan that is another kind", "plan", `[1,2,3]`},
		{"a plan that says nothing", "plan", `{}`},
		{"a plan of another version", "plan", `{"version":99,"learned":"2000-01-01T00:00:00Z","mechanism":"PLAIN","pipelining":true}`},
		{"a plan without a mechanism", "plan", `{` + learned + `,"pipelining":true,"offered":[]}`},
		{"a plan with PLAIN", "plan", `{` + learned + `,"mechanism":"PLAIN","offered":["PLAIN"],"pipelining":true,"bind":3}`},
		{"a plan with PLAIN and SASL2", "plan", `{` + learned + `,"mechanism":"PLAIN","sasl2":true,"offered":["PLAIN"],"pipelining":true,"bind":1}`},
		{"a plan with a mechanism that nobody knows", "plan", `{` + learned + `,"mechanism":"\u0000<x/>","sasl2":true,"offered":["<x/>"],"bind":2}`},
		{"a plan with a bind that nobody knows", "plan", `{` + learned + `,"mechanism":"SCRAM-SHA-256","pipelining":true,"bind":200}`},
		{"a plan with tokens that nobody knows", "plan", `{` + learned + `,"mechanism":"SCRAM-SHA-256","sasl2":true,"tokens":["HT-MD5-NONE"]}`},
		{"no token", "token", `{}`},
		{"a token that is no JSON", "token", `secret`},
		{"a token of somebody else", "token", `{"secret":"c2VjcmV0","mechanism":"HT-SHA-256-EXPR"}`},
		{"a token for a mechanism that nobody knows", "token", `{"secret":"c2VjcmV0","mechanism":"PLAIN"}`},
		{"a token that binds nothing", "token", `{"secret":"c2VjcmV0","mechanism":"HT-SHA-256-NONE","count":18446744073709551615}`},
		{"an installation that is no UUID", "installation", "\x00'/><x/>"},
		{"an installation that is long", "installation", string(make([]byte, 1<<20))},
		{"an installation of an older kind", "installation", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
	} {
		for _, known := range []bool{false, true} {
			name := "AQ-03: " + test.name
			if known {
				name += ", and the rest is right"
			}
			inBoth(t, name, func(t *testing.T, w *world, h *house, d *quickstart.Dialer) {
				cache := &quickstart.MemoryCache{MaxBytes: 8 << 20}
				d.Cache = cache
				if known {
					mustDial(t, d)
				}
				before := len(w.connections())
				require.NoError(t, cache.Put(t.Context(), quickstart.Key{Account: juliet, Name: test.key}, []byte(test.value)))
				mustDial(t, d)
				assert.LessOrEqual(t, len(w.connections())-before, 2, "connections")
				assertSecret(t, w, h) // PLAIN is not among the client's.
				for _, name := range h.mechanisms() {
					assert.Contains(t, append(auth.DefaultMechanisms(), auth.HTSHA256Exporter, auth.HTSHA256None), name)
				}
				time.Sleep(time.Hour) // A wrong guess is not forgiven at once.
				mustDial(t, d)
				r := mustDial(t, d).Report
				assert.Equal(t, 1, r.Attempts)
				assert.True(t, r.Held, "all is as it was")
				assert.Equal(t, auth.HTSHA256Exporter, r.Mechanism)
				assert.Equal(t, 2, r.Flights)
			})
		}
	}
}
