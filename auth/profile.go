// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth

import (
	"bytes"
	"encoding/xml"
)

// Namespaces of the stream features of this package.
const (
	NSSASL           = "urn:ietf:params:xml:ns:xmpp-sasl" // RFC 6120, section 6
	NSSASL2          = "urn:xmpp:sasl:2"                  // XEP-0388
	NSChannelBinding = "urn:xmpp:sasl-cb:0"               // XEP-0440
	NSFAST           = "urn:xmpp:fast:0"                  // XEP-0484

	nsSM = "urn:xmpp:sm:3"
)

// A profile is one of the two ways in which SASL is written.
type profile struct {
	ns      string
	feature string // local name of the stream feature
	begin   string // local name of the element that begins
	equals  bool   // "=" stands for an empty message
}

var (
	rfc6120 = &profile{ns: NSSASL, feature: "mechanisms", begin: "auth", equals: true}
	sasl2   = &profile{ns: NSSASL2, feature: "authentication", begin: "authenticate"}
)

func (p *profile) name() xml.Name { return xml.Name{Space: p.ns, Local: p.feature} }

// challenge and response return elements with a message in them.
func (p *profile) challenge(data []byte) []byte { return p.element("challenge", data) }
func (p *profile) response(data []byte) []byte  { return p.element("response", data) }

// success returns a success with data, which is nil if there is none: that is
// not the same as nothing (RFC 6120, section 6.4.6).
func (p *profile) success(data []byte) []byte {
	if data == nil {
		return []byte("<success xmlns='" + p.ns + "'/>")
	}
	return p.element("success", data)
}

func (p *profile) element(local string, data []byte) []byte {
	var b bytes.Buffer
	write(&b, local, p.ns, p.encode(data))
	return b.Bytes()
}

// failure returns a failure. Conditions are the same in both profiles.
func (p *profile) failure(f Failure) []byte {
	var b bytes.Buffer
	b.WriteString("<failure xmlns='" + p.ns + "'>")
	write(&b, f.Condition, NSSASL, "")
	if f.Text != "" {
		write(&b, "text", "", quote(f.Text))
	}
	b.WriteString("</failure>")
	return b.Bytes()
}

// readFailure reads a failure.
func (p *profile) readFailure(e element) Failure {
	f := Failure{Condition: "undefined-condition"}
	for _, c := range e.children() {
		text, _ := c.text()
		switch {
		case c.is(p.ns, "text"), c.is(NSSASL, "text"):
			f.Text = text
		case c.start.Name.Space == NSSASL && f.Condition == "undefined-condition":
			f.Condition = c.start.Name.Local
		}
	}
	return f
}
