// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2

import (
	"bytes"
	"encoding/xml"
	"fmt"

	"mellium.im/xmpp/jid"
)

// askEarly is what a client of Early sends.
const askEarly = "<bind xmlns='" + NS + "'/>"

// Binder binds by [Early] in a flight that is sent before the server has offered it.
// It is a Binder of package pipelining.
type Binder struct{ c *Client }

// Binder returns the Client as a Binder of package pipelining.
//
// A server that does not offer Early any more is a pipelining.ErrMispredicted. The
// login step by step that follows on that binds by RFC 6120 if
// pipelining.ClientConfig.Features is what Prefer returns.
func (c *Client) Binder() Binder { return Binder{c} }

// Feature returns the name of the stream feature.
func (b Binder) Feature() xml.Name { return earlyName }

// Bind begins one attempt for origin. Answer reads the element that the server has
// sent in return, and returns the full JID.
func (b Binder) Bind(origin jid.JID) (request []byte, answer func(d *xml.Decoder, start xml.StartElement) (jid.JID, error), err error) {
	return []byte(askEarly), func(d *xml.Decoder, start xml.StartElement) (jid.JID, error) {
		bound, err := readEarly(d, start, origin)
		if err != nil {
			return jid.JID{}, err
		}
		b.c.observe(Early, bound)
		return bound.JID, nil
	}, nil
}

// InlineBinder binds by [Inline], within a login. It is a ClientInline of package
// auth.
type InlineBinder struct{ c *Client }

// Inline returns the Client as a ClientInline of package auth.
//
// A server that has logged the client in and not bound a resource leaves that to
// the stream features behind the login.
func (c *Client) Inline() InlineBinder { return InlineBinder{c} }

// Feature returns the name of the announcement.
func (b InlineBinder) Feature() xml.Name { return inlineName }

// Request begins one attempt for origin, with what the server offers, or if that is
// nil, with all that the Client wants: a server passes over what it does not know.
// Answer reads bound, and returns address if that is a full JID.
//
// Its errors are [ErrTag] and those of the Client's Features.
func (b InlineBinder) Request(origin jid.JID, offer xml.TokenReader) (request []byte, answer func(d *xml.Decoder, start xml.StartElement, address jid.JID) (jid.JID, error), err error) {
	has, err := offered(offer)
	if err != nil {
		return nil, nil, err
	}
	var buf bytes.Buffer
	buf.WriteString("<bind xmlns='" + NSInline + "'>")
	if b.c.Tag != "" {
		if cleanTag(b.c.Tag) == "" {
			return nil, nil, fmt.Errorf("%w: %q", ErrTag, b.c.Tag)
		}
		write(&buf, "tag", b.c.Tag)
	}
	if !b.c.NoCarbons && has(nsCarbons) {
		buf.WriteString("<enable xmlns='" + nsCarbons + "'/>")
	}
	if b.c.Inactive && has(nsCSI) {
		buf.WriteString("<inactive xmlns='" + nsCSI + "'/>")
	}
	answers := make([]func(*xml.Decoder, xml.StartElement, jid.JID) error, len(b.c.Features))
	for i, f := range b.c.Features {
		if !has(f.Name()) {
			continue
		}
		request, answer, err := f.Request(origin)
		if err != nil {
			return nil, nil, fmt.Errorf("bind2: %s: %w", f.Name(), err)
		}
		buf.Write(request)
		if len(request) > 0 {
			answers[i] = answer
		}
	}
	buf.WriteString("</bind>")
	bound := false
	return buf.Bytes(), func(d *xml.Decoder, start xml.StartElement, address jid.JID) (jid.JID, error) {
		if bound || start.Name.Local != "bound" || address.Resourcepart() == "" {
			return jid.JID{}, nil
		}
		bound = true
		return b.c.boundInline(d, start, address, answers)
	}, nil
}

// offered returns whether a server offers something by its name. If it is not known
// what it offers it may be everything.
func offered(offer xml.TokenReader) (has func(name string) bool, err error) {
	if offer == nil {
		return func(string) bool { return true }, nil
	}
	names := make(map[string]bool)
	start, err := nextStart(offer)
	if err != nil {
		return nil, err
	}
	e, err := readElement(offer, start, ofServer)
	if err != nil {
		return nil, err
	}
	if inline, ok := e.child(NSInline, "inline"); ok {
		for _, f := range inline.children() {
			if f.is(NSInline, "feature") {
				names[f.attr("var")] = true
			}
		}
	}
	return func(name string) bool { return names[name] }, nil
}

// boundInline reads bound, and hands what else is in it to those who have asked.
func (c *Client) boundInline(d *xml.Decoder, start xml.StartElement, address jid.JID, answers []func(*xml.Decoder, xml.StartElement, jid.JID) error) (jid.JID, error) {
	e, err := readElement(d, start, ofServer)
	if err != nil {
		return jid.JID{}, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	b := Bound{JID: address}
	for _, child := range e.children() {
		if child.is(nsMAM, "metadata") {
			b.readMetadata(child)
			continue
		}
		for i, f := range c.Features {
			if answers[i] == nil || !f.Handles(child.start.Name) {
				continue
			}
			if err := answers[i](child.decoder(), child.start, address); err != nil {
				return jid.JID{}, fmt.Errorf("bind2: %s: %w", f.Name(), err)
			}
			break
		}
	}
	c.observe(Inline, b)
	return address, nil
}
