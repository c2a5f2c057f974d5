// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"mellium.im/xmpp/stream"

	"github.com/xmppext/xmppext/quickstart"
)

const (
	scriptHeader = `<?xml version='1.0'?><stream:stream from='im.example.com' id='s1' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`
	nsTLS        = `xmlns='urn:ietf:params:xml:ns:xmpp-tls'`
)

// elsewhere is what a server says that sends its clients away.
func elsewhere(host string) string {
	return scriptHeader + `<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>` + host +
		`</see-other-host></stream:error></stream:stream>`
}

// sending returns a server that says something within TLS, in place of features, and
// hangs up.
func (h *house) sending(text string) func(context.Context, net.Conn) {
	return func(_ context.Context, c net.Conn) {
		defer c.Close()
		if !h.direct {
			if !expect(c, "version=") {
				return
			}
			_, _ = io.WriteString(c, scriptHeader+`<stream:features><starttls `+nsTLS+`/></stream:features>`)
			if !expect(c, "starttls") {
				return
			}
			_, _ = io.WriteString(c, `<proceed `+nsTLS+`/>`)
		}
		secure := tls.Server(c, h.tls)
		if secure.Handshake() != nil || !expect(io.TeeReader(secure, &h.heard), "version=") {
			return
		}
		_, _ = io.WriteString(secure, text)
		_, _ = io.Copy(io.Discard, secure)
	}
}

// expect reads until mark was read.
func expect(r io.Reader, mark string) bool {
	var heard []byte
	buf := make([]byte, 4096)
	for !bytes.Contains(heard, []byte(mark)) {
		n, err := r.Read(buf)
		heard = append(heard, buf[:n]...)
		if err != nil {
			return false
		}
	}
	return true
}

func TestSeeOtherHost(t *testing.T) {
	// send makes the server at home send its clients to a host.
	send := func(w *world, h *house, host string) {
		w.put(homeAddress, h.sending(elsewhere(host)))
	}
	inBoth(t, "it is followed", func(t *testing.T, w *world, h *house, d *quickstart.Dialer) {
		send(w, h, otherAddress)
		other := newHouse()
		other.direct = h.direct
		w.put(otherAddress, other.serve)
		r := mustDial(t, d).Report
		assert.Equal(t, otherAddress, r.Server)
		assert.Equal(t, 2, r.Attempts)
		assertSecret(t, w, h, other)
	})
	inBubble(t, "it is followed after something was sent ahead", func(t *testing.T) {
		h := newHouse()
		h.direct = true
		w := newWorld(t, h.serve)
		d := newDialer(w)
		d.Security = quickstart.DirectTLS
		mustDial(t, d)
		send(w, h, "192.0.2.2:5222")
		other := h.renovated(func(*house) {})
		w.put(otherAddress, other.serve)
		r := mustDial(t, d).Report
		assert.Equal(t, otherAddress, r.Server)
		assert.True(t, r.Held, "the plan is none the worse")
	})
	for host, address := range map[string]string{
		" other.example \n":  "other.example:5222",
		"other.example:5299": "other.example:5299",
		"192.0.2.2":          otherAddress,
		"[2001:db8::2]":      "[2001:db8::2]:5222",
		"[2001:db8::2]:5299": "[2001:db8::2]:5299",
		"2001:db8::2":        "[2001:db8::2]:5222",
	} {
		inBubble(t, "the host is "+host, func(t *testing.T) {
			h := newHouse()
			h.direct = true
			w := newWorld(t, nil)
			send(w, h, host)
			d := newDialer(w)
			d.Security = quickstart.DirectTLS
			other := newHouse()
			other.direct = true
			w.put(address, other.serve)
			assert.Equal(t, address, mustDial(t, d).Report.Server)
		})
	}
	for _, host := range []string{"", " ", "a/b", "juliet@other.example", "other.example:", ":5222", "a b", "xmpp://other.example:1/"} {
		inBubble(t, "no host is "+host, func(t *testing.T) {
			h := newHouse()
			h.direct = true
			w := newWorld(t, nil)
			send(w, h, host)
			d := newDialer(w)
			d.Security = quickstart.DirectTLS
			_, err := d.Dial(t.Context(), juliet, quickstart.Password(password))
			require.ErrorIs(t, err, stream.SeeOtherHost)
			assert.Len(t, w.tries(), 1)
		})
	}
	inBoth(t, "once", func(t *testing.T, w *world, h *house, d *quickstart.Dialer) {
		send(w, h, otherAddress)
		w.put(otherAddress, h.sending(elsewhere(homeAddress)))
		_, err := d.Dial(t.Context(), juliet, quickstart.Password(password))
		require.ErrorIs(t, err, stream.SeeOtherHost)
		assert.Len(t, w.tries(), 2)
	})
	inBoth(t, "the other host has a certificate of its own name", func(t *testing.T, w *world, h *house, d *quickstart.Dialer) {
		send(w, h, otherAddress)
		other := newHouse()
		other.direct = h.direct
		other.tls.Certificates = []tls.Certificate{newAuthority("192.0.2.2").cert}
		w.put(otherAddress, other.serve)
		_, err := d.Dial(t.Context(), juliet, quickstart.Password(password))
		require.ErrorAs(t, err, new(*tls.CertificateVerificationError))
		assert.NotContains(t, other.heard.String(), "auth")
		assert.Len(t, w.tries(), 2)
	})
	inBoth(t, "so could who was not verified", func(t *testing.T, w *world, h *house, d *quickstart.Dialer) {
		d.TLS.InsecureSkipVerify = true
		send(w, h, otherAddress)
		_, err := d.Dial(t.Context(), juliet, quickstart.Password(password))
		require.ErrorIs(t, err, stream.SeeOtherHost)
		assert.Len(t, w.tries(), 1)
	})
	inBubble(t, "without TLS anybody could say so", func(t *testing.T) {
		for _, known := range []bool{false, true} {
			h := newHouse()
			w := newWorld(t, h.serve)
			d := newDialer(w)
			if known {
				mustDial(t, d)
			}
			before := len(w.tries())
			w.put(otherAddress, newHouse().serve)
			w.put(homeAddress, func(_ context.Context, c net.Conn) {
				if expect(c, "version=") {
					_, _ = io.WriteString(c, elsewhere(otherAddress))
				}
				_, _ = io.Copy(io.Discard, c)
			})
			_, err := d.Dial(t.Context(), juliet, quickstart.Password(password))
			require.ErrorIs(t, err, stream.SeeOtherHost)
			for _, d := range w.tries()[before:] {
				assert.Equal(t, homeAddress, d.Addr)
			}
			assert.LessOrEqual(t, len(w.tries()), before+2)
		}
	})
}

// TestStreamErrors asserts which errors of a server are final.
func TestStreamErrors(t *testing.T) {
	for condition, final := range map[string]bool{
		"host-unknown": true, "system-shutdown": true, "resource-constraint": true, "conflict": true,
		"policy-violation": false, "not-well-formed": false, "bad-format": false, "undefined-condition": false,
	} {
		inBubble(t, condition, func(t *testing.T) {
			h := newHouse()
			h.direct = true
			w := newWorld(t, h.serve)
			d := newDialer(w)
			d.Security = quickstart.DirectTLS
			mustDial(t, d)
			w.put(homeAddress, h.sending(scriptHeader+`<stream:error><`+condition+` xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`))
			_, err := d.Dial(t.Context(), juliet, quickstart.Password(password))
			require.ErrorIs(t, err, stream.Error{Err: condition})
			if final {
				assert.Len(t, w.tries(), 2)
			} else {
				assert.Len(t, w.tries(), 3, "a login step by step may do better")
			}
			w.put(homeAddress, h.serve)
			assert.Equal(t, final, strings.HasPrefix(mustDial(t, d).Report.Plan, "full"), "the client is careful from then on")
		})
	}
}
