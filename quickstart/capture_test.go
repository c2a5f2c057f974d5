// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp"

	"github.com/xmppext/xmppext/auth"
	"github.com/xmppext/xmppext/internal/xmpptest"
	"github.com/xmppext/xmppext/pipelining"
	"github.com/xmppext/xmppext/quickstart"
)

// newPassword is what the password has changed to in one of the cases.
const newPassword = "r0m30isgone"

// A misfortune is what becomes of the place where a client has logged in before.
type misfortune struct {
	name string
	// befall changes the world, and returns the servers that are there from now on.
	befall func(w *world, h *house) []*house
	// more is how many connections it may cost besides the one that any login may.
	more int
	// password is another one, if it is not empty.
	password string
	// unknown is set if it says something about those who come for the first time.
	unknown bool
}

// renovation is a change of the server itself.
func renovation(change func(*house)) func(*world, *house) []*house {
	return func(w *world, h *house) []*house {
		now := h.renovated(change)
		w.put(homeAddress, now.serve)
		return []*house{now}
	}
}

// impostor is who has another certificate for the name.
func impostor(h *house) *house {
	return h.renovated(func(h *house) {
		h.tls = &tls.Config{Certificates: []tls.Certificate{strangers().cert}}
		h.logins.Certificate = auth.Leaf(strangers().cert)
	})
}

// inTheClear answers every client in the clear, and asks for its secrets there.
func inTheClear(answer string) func(*world, *house) []*house {
	return func(w *world, h *house) []*house {
		bait := new(house)
		w.put(homeAddress, func(_ context.Context, c net.Conn) {
			defer c.Close()
			b := make([]byte, 4096)
			if n, err := c.Read(b); err != nil || n == 0 {
				return
			}
			_, _ = io.WriteString(c, scriptHeader+`<stream:features>`+
				`<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism><mechanism>SCRAM-SHA-256</mechanism></mechanisms>`+
				`<authentication xmlns='urn:xmpp:sasl:2'><mechanism>PLAIN</mechanism><mechanism>SCRAM-SHA-256</mechanism>`+
				`<inline><fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-NONE</mechanism></fast></inline></authentication>`+
				`</stream:features>`+answer)
			_, _ = io.Copy(&bait.heard, c)
		})
		return []*house{bait}
	}
}

// sentTo has the server at home send its clients to otherAddress, where there is
// somebody else.
func sentTo(other func(h *house) *house) func(*world, *house) []*house {
	return func(w *world, h *house) []*house {
		guide, there := h.renovated(func(*house) {}), other(h)
		w.put(homeAddress, guide.sending(elsewhere(otherAddress)))
		w.put(otherAddress, there.serve)
		return []*house{guide, there}
	}
}

// misfortunes returns all of them.
func misfortunes() []misfortune {
	all := []misfortune{
		{name: "none", befall: renovation(func(*house) {})},
		{name: "SASL2 is gone", befall: renovation(func(h *house) { h.logins.Profiles = auth.RFC6120 })},
		{name: "inline features are gone", befall: renovation(func(h *house) { h.logins.Inline = nil })},
		{name: "pipelining is gone", befall: renovation(func(h *house) { h.noPipelining = true })},
		{name: "tokens are gone", befall: renovation(func(h *house) { h.logins.FAST = nil })},
		{name: "tokens are revoked", befall: renovation(func(h *house) { h.logins.FAST = &auth.FAST{Store: new(auth.MemoryTokens)} })},
		{name: "channel binding is gone", befall: renovation(func(h *house) { h.offering(auth.ScramSHA256, auth.ScramSHA1, auth.Plain) })},
		{name: "AQ-01: only PLAIN is left", befall: renovation(func(h *house) { h.offering(auth.Plain) })},
		{name: "AQ-01: only PLAIN is left, and there are no tokens", befall: renovation(func(h *house) { h.offering(auth.Plain); h.logins.FAST = nil })},
		{name: "nothing but SCRAM with SHA-1 is left", befall: renovation(func(h *house) { h.offering(auth.ScramSHA1Plus, auth.ScramSHA1); h.logins.FAST = nil })},
		{name: "the password has changed", befall: renovation(func(h *house) { h.logins.FAST = nil }), password: newPassword},
		{name: "AQ-02: STARTTLS is stripped", unknown: true, befall: renovation(func(h *house) { h.noStartTLS = true })},
		{name: "AQ-02: secrets are asked for in the clear", unknown: true, befall: inTheClear("")},
		{name: "AQ-02: and STARTTLS is refused", unknown: true, befall: inTheClear(`<failure ` + nsTLS + `/></stream:stream>`)},
		{name: "AQ-02: and whatever comes is a success", unknown: true, befall: inTheClear(`<proceed ` + nsTLS + `/><success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`)},
		{name: "AQ-04: an impostor", unknown: true, befall: func(w *world, h *house) []*house {
			villain := impostor(h)
			w.put(homeAddress, villain.serve)
			return []*house{villain}
		}},
		{name: "it sends its clients elsewhere", befall: sentTo(func(h *house) *house { return h.renovated(func(*house) {}) }), more: 1},
		{name: "AQ-05: it sends its clients to an impostor", unknown: true, befall: sentTo(impostor), more: 1},
		{name: "AQ-05: it sends its clients to where there is no TLS", unknown: true, befall: func(w *world, h *house) []*house {
			bait := inTheClear("")(w, h)
			w.put(otherAddress, w.hosts[homeAddress])
			guide := h.renovated(func(*house) {})
			w.put(homeAddress, guide.sending(elsewhere(otherAddress)))
			return append(bait, guide)
		}, more: 1},
		{name: "it loses what comes ahead", befall: func(w *world, h *house) []*house {
			now := h.renovated(func(*house) {})
			w.put(homeAddress, func(ctx context.Context, c net.Conn) {
				var rw io.ReadWriter = c
				state := xmpp.SessionState(0)
				if h.direct {
					rw, state = serverTLS(c, h.tls), xmpp.Secure
				}
				cfg := func(s *xmpp.Session, c *xmpp.StreamConfig) xmpp.StreamConfig {
					is := now.features(s, c)
					is.TeeIn = &now.heard
					return is
				}
				if _, err := xmpp.ReceiveSession(ctx, rw, state, xmpp.NewNegotiator(cfg)); err != nil {
					_ = c.Close()
				}
			})
			return []*house{now}
		}},
		{name: "it takes its time", befall: func(w *world, h *house) []*house {
			now := h.renovated(func(*house) {})
			w.put(homeAddress, func(ctx context.Context, c net.Conn) {
				now.serve(ctx, &slow{Conn: c, delay: pipelining.DefaultAnswerTimeout + time.Second})
			})
			return []*house{now}
		}},
	}
	for stage := 1; stage < 6; stage += 2 { // TestEnd has all of them.
		all = append(all, misfortune{name: fmt.Sprintf("it hangs up after %d writes", stage), befall: func(w *world, h *house) []*house {
			now := h.renovated(func(*house) {})
			w.put(homeAddress, func(ctx context.Context, c net.Conn) { now.serve(ctx, &stopper{Conn: c, left: stage}) })
			return []*house{now}
		}})
	}
	return all
}

// TestCapture asserts what a network can see and what servers are told, whatever
// happens: nothing of a login but its end is in the clear, nothing at all is told to
// whose certificate is not good, nothing is used that is weaker than what was used
// before, and a guess that was wrong costs one connection.
func TestCapture(t *testing.T) {
	for _, login := range []struct {
		name       string
		mechanisms []string
		tokens     bool
		kind       func() *house
		fit        []string // what may be used once it is known what there is
	}{
		{"PLAIN", []string{auth.Plain}, false, newHouse, []string{auth.Plain}},
		{"PLAIN, RFC 6120", []string{auth.Plain}, false, newOldHouse, []string{auth.Plain}},
		{"SCRAM and all else, RFC 6120", append(auth.DefaultMechanisms(), auth.Plain), false, newOldHouse, []string{auth.ScramSHA256Plus, auth.ScramSHA1Plus}},
		{"SCRAM and all else", append(auth.DefaultMechanisms(), auth.Plain), false, newHouse, []string{auth.ScramSHA256Plus, auth.ScramSHA1Plus}},
		{"tokens and all else", append(auth.DefaultMechanisms(), auth.Plain), true, newHouse, []string{auth.HTSHA256Exporter, auth.ScramSHA256Plus, auth.ScramSHA1Plus}},
	} {
		for _, m := range misfortunes() {
			for _, known := range []bool{false, true} {
				if !known && !m.unknown {
					continue
				}
				name := login.name + ": " + m.name + ", first login"
				fit := login.mechanisms
				if known {
					name = login.name + ": " + m.name + ", later login"
					fit = login.fit
				}
				inBoth(t, name, func(t *testing.T, w *world, _ *house, d *quickstart.Dialer) {
					h := login.kind()
					h.direct = d.Security == quickstart.DirectTLS
					w.put(homeAddress, h.serve)
					d.Mechanisms, d.NoTokens, d.Timeout = login.mechanisms, !login.tokens, 3*time.Minute
					secrets := []string{password, newPassword}
					if known {
						mustDial(t, d)
						if login.tokens {
							secrets = append(secrets, mustToken(t, d))
						}
					}
					before := len(w.connections())

					servers := m.befall(w, h)
					s, err := d.Dial(t.Context(), juliet, quickstart.Password(cmp.Or(m.password, password)))
					made := w.connections()[before:]
					// The session of TLS with who sends it elsewhere is worth a try there.
					guesses := known || m.more > 0
					assert.LessOrEqual(t, len(made), 1+countIf(guesses)+m.more, "connections")
					if err == nil {
						assert.Contains(t, fit, s.Report.Mechanism)
						assert.True(t, s.ConnectionState().HandshakeComplete)
					}
					for _, l := range made {
						assertDiscreet(t, l.Sent(xmpptest.Client), h.direct)
					}
					assertUnheard(t, "on the wire", w.sent(), secrets)
					for _, server := range servers {
						heard := server.heard.String()
						if !slices.Contains(fit, auth.Plain) {
							assertUnheard(t, "in a server's hands", heard, secrets)
						}
						for _, name := range server.mechanisms() {
							assert.Contains(t, fit, name, "nothing weaker than before")
						}
						if server.tls != nil && server.tls.Certificates[0].Leaf == strangers().cert.Leaf && heard != "" {
							assert.Regexp(t, clearText, heard, "that is all that who is not trusted is told")
						}
					}

					w.put(homeAddress, h.serve)
					s = mustDial(t, d)
					if known {
						assert.Contains(t, fit, s.Report.Mechanism, "when all is as before, it is so for the client")
					}
				})
			}
		}
	}
}

// mustToken returns the secret of juliet's token.
func mustToken(t *testing.T, d *quickstart.Dialer) string {
	t.Helper()
	b, err := d.Cache.Get(t.Context(), quickstart.Key{Account: juliet, Name: "token"})
	require.NoError(t, err)
	var kept struct{ Secret string }
	require.NoError(t, json.Unmarshal(b, &kept))
	require.NotEmpty(t, kept.Secret)
	return kept.Secret
}

// assertUnheard asserts that secrets are in no text, as they are or as they would be sent.
func assertUnheard(t *testing.T, where, text string, secrets []string) {
	t.Helper()
	for _, secret := range secrets {
		for _, shape := range []string{secret, "\x00juliet\x00" + secret} {
			assert.NotContains(t, text, shape, where)
			assert.NotContains(t, text, base64.StdEncoding.EncodeToString([]byte(shape)), where)
		}
	}
}

// clearText is all that a client may send before TLS: a header, without its account, the
// request for TLS, and the end.
var clearText = regexp.MustCompile(`\A(<\?xml [^>]*\?>\s*)?<stream:stream( (to|version|xml:lang|xmlns|xmlns:stream)=('[^']*'|"[^"]*"))*>(<starttls xmlns=['"]urn:ietf:params:xml:ns:xmpp-tls['"]/>)?(</stream:stream>)?\z`)

// assertDiscreet asserts that what a client has sent over a connection is a bit of XML
// that everybody may read, and then TLS to the end.
func assertDiscreet(t *testing.T, sent []byte, direct bool) {
	t.Helper()
	begin := slices.Index(sent, 0x16) // a handshake; there is no such character in XML
	if begin < 0 {
		begin = len(sent)
	}
	if direct {
		assert.Zero(t, begin, "there is TLS only")
	} else if begin > 0 {
		assert.Regexp(t, clearText, string(sent[:begin]))
	}
	for rest := sent[begin:]; len(rest) > 0; {
		if !assert.GreaterOrEqual(t, len(rest), 5, "a record has a header") {
			return
		}
		assert.True(t, 0x14 <= rest[0] && rest[0] <= 0x17 && rest[1] == 3, "it is TLS to the end: % x", rest[:5])
		n := 5 + int(binary.BigEndian.Uint16(rest[3:]))
		if !assert.LessOrEqual(t, n, len(rest), "a record is whole") {
			return
		}
		rest = rest[n:]
	}
}
