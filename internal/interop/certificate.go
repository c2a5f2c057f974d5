// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package interop

import (
	"crypto/tls"
	"testing"
)

// Certificate makes a certificate for domain, for a server in the test itself,
// and the certificate in PEM of the authority that has issued it, which nobody
// else trusts.
func Certificate(t testing.TB, domain string) (cert tls.Certificate, rootsPEM []byte) {
	t.Helper()
	pki, err := newPKI(domain)
	if err == nil {
		cert, err = tls.X509KeyPair(pki.certPEM, pki.keyPEM)
	}
	if err != nil {
		t.Fatalf("interop: no certificate for %s: %v", domain, err)
	}
	return cert, pki.rootsPEM
}
