// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package quickstart_test

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/xmppext/xmppext/quickstart"
)

// TestBorrowedCertificate asserts that who shows the server's certificates, which
// anybody can, and does not have their key, is not remembered for it.
func TestBorrowedCertificate(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, direct := range []bool{false, true} {
			name, service := "STARTTLS", "xmpp-client"
			if direct {
				name, service = "direct TLS", "xmpps-client"
			}
			inBubble(t, "AQ-04: "+name+", "+tls.VersionName(version), func(t *testing.T) {
				h := newHouse()
				h.direct = direct
				w := newWorld(t, h.serve)
				w.record(service, "home.example.", 5222, 0, 0)
				w.name("home.example", "192.0.2.1")
				d := newSeeker(w)
				mustDial(t, d)

				villain := newHouse()
				villain.direct = direct
				villain.tls.MaxVersion = version
				villain.tls.Certificates = []tls.Certificate{{Certificate: pki().cert.Certificate, PrivateKey: strangers().cert.PrivateKey}}
				w.put(otherAddress, villain.serve)
				key := quickstart.Key{Name: "dns/0/" + juliet.Domainpart()}
				known, err := d.Cache.Get(t.Context(), key)
				require.NoError(t, err)
				poison := strings.ReplaceAll(string(known), homeAddress, otherAddress)
				require.NoError(t, d.Cache.Put(t.Context(), key, []byte(poison)))

				r := mustDial(t, d).Report
				assert.Equal(t, homeAddress, r.Server, "DNS was asked again")
				assert.Equal(t, otherAddress, w.tries()[1].Addr, "it was tried")
				assert.NotContains(t, villain.heard.String(), "auth", "nothing was sent to it")
				assert.Equal(t, 1, mustDial(t, d).Report.Attempts, "it is forgotten")
			})
		}
	}
}
