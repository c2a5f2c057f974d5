// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package pipelining

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"time"

	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"
)

const (
	// lingerTime and lingerBytes bound how long a server listens to a peer that
	// it has hung up on. Closing at once would reset the connection while the
	// peer's bytes are under way, and the stream error might never be seen.
	lingerTime  = time.Second
	lingerBytes = 64 << 10
)

// fail ends a negotiation, and on a server the connection.
// Claimed is what was known of the peer before the stream that failed.
func (n *negotiation) fail(err error, claimed stream.Info) error {
	if ended := n.watch.stop(); ended != nil {
		err = ended
	}
	if n.server {
		n.hangUp(n.condition(err, claimed))
	}
	return err
}

// condition returns what a peer is told about err, or nil if it has nothing to
// be told.
func (n *negotiation) condition(err error, claimed stream.Info) *stream.Error {
	var (
		se      stream.Error
		syntax  *xml.SyntaxError
		corrupt base64.CorruptInputError
	)
	in := &n.top.in
	switch {
	case errors.As(err, new(errPeer)), in.scan.local() == "error", in.eof:
		return nil
	case errors.As(err, &syntax):
		se = stream.NotWellFormed
	case in.ended:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		se = stream.ConnectionTimeout
	case errors.Is(err, context.Canceled):
		se = stream.SystemShutdown
	case errors.As(err, &se):
		// The stock negotiator says no more than that; limits of our own say more.
		if bare, ok := err.(stream.Error); ok && errors.Is(bare, stream.PolicyViolation) && n.tooSoon() {
			se = stream.NotAuthorized
		}
	case errors.As(err, &corrupt):
		se = stream.BadFormat
	case claimed.To.String() != "" && !n.in.To.Equal(claimed.To):
		se = stream.HostUnknown
		n.in.To = claimed.To // the one that answers
	case claimed.From.String() != "" && !n.in.From.Equal(claimed.From):
		se = stream.InvalidFrom
	case errors.Is(err, sasl.ErrAuthn), !n.authn && (n.atAuth() || n.tooSoon()):
		se = stream.NotAuthorized
	default:
		se = stream.InternalServerError
	}
	return &se
}

// tooSoon reports whether the peer has sent something that it may not send before
// it has authenticated, or before a resource is bound (RFC 6120 §4.9.3.12 and §7.1).
func (n *negotiation) tooSoon() bool {
	switch n.top.in.scan.local() {
	case "iq", "message", "presence":
		return true
	case "bind":
		return !n.authn
	case "stream":
		// A header within the stream. The scanner may be further than the decoder,
		// so where it stands says nothing.
		return !n.authn && n.top.in.scan.child
	}
	return false
}

// atAuth reports whether the peer's last element was about authentication.
func (n *negotiation) atAuth() bool {
	switch n.top.in.scan.local() {
	case "auth", "response", "abort", "authenticate":
		return true
	}
	return false
}

// hangUp ends the stream, with a stream error if there is one to tell, and then
// the connection.
func (n *negotiation) hangUp(se *stream.Error) {
	// The connection's deadlines are not safe from mellium here (see insist).
	guard := time.AfterFunc(closeTimeout, func() { _ = n.watch.conn.Close() })
	defer guard.Stop()
	defer n.top.Close()

	n.top.in.owner = nil
	if n.top.in.eof || !n.top.speakable() {
		return
	}
	var b bytes.Buffer
	if n.top.written() == 0 {
		writeHeader(&b, header{ns: n.namespace(), from: n.in.To, id: rand.Text()})
	}
	if se != nil {
		writeError(&b, *se)
	}
	b.WriteString(`</stream:stream>`)
	if _, err := n.top.Write(b.Bytes()); err != nil {
		return
	}
	if n.flush() != nil {
		return
	}
	_ = n.top.CloseWrite() // Whatever comes of it, the peer is to hear the rest.
	linger := time.AfterFunc(lingerTime, func() { _ = n.watch.conn.SetReadDeadline(past) })
	defer linger.Stop()
	_, _ = io.CopyN(io.Discard, n.top, lingerBytes) // What it is does not matter any more.
}

// flush sends what all layers hold, from the top down.
func (n *negotiation) flush() error {
	err := n.top.Flush()
	for _, c := range slices.Backward(n.lower) {
		err = errors.Join(err, c.Flush())
	}
	return err
}

func (n *negotiation) namespace() string {
	if n.s2s {
		return stanza.NSServer
	}
	return stanza.NSClient
}

// writeError writes a stream error with the prefix that some clients look for
// in place of the namespace.
func writeError(b *bytes.Buffer, se stream.Error) {
	b.WriteString(`<stream:error>`)
	if se.Err == "" {
		se.Err = stream.UndefinedCondition.Err
	}
	r := se.TokenReader()
	_, _ = r.Token() // The start tag, with the namespace in place of the prefix.
	e := xml.NewEncoder(b)
	_, _ = xmlstream.Copy(e, xmlstream.Inner(r)) // A Buffer takes everything.
	_ = e.Flush()
	b.WriteString(`</stream:error>`)
}

// A header is a stream header to be written.
type header struct {
	ns, lang string
	to, from jid.JID
	id       string
}

func writeHeader(b *bytes.Buffer, h header) {
	// The declaration is more than a custom. A server whose parser has swallowed
	// a header that was sent ahead, as a child of the stream before, fails on the
	// declaration at once; without it Prosody 13 answers as if all were well and
	// fails on the first stanza.
	b.WriteString(`<?xml version='1.0'?><stream:stream`)
	attr := func(name, value string) {
		if value == "" {
			return
		}
		b.WriteString(" " + name + "='")
		_ = xml.EscapeText(b, []byte(value)) // A Buffer takes everything.
		b.WriteByte('\'')
	}
	attr("from", h.from.String())
	attr("id", h.id)
	attr("to", h.to.String())
	attr("version", "1.0")
	attr("xml:lang", h.lang)
	attr("xmlns", h.ns)
	attr("xmlns:stream", stream.NS)
	b.WriteByte('>')
}
