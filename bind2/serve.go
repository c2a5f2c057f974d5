// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package bind2

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"
)

// maxTries is how often a client may ask by Legacy: for the resource that it would
// like to have, for another one, and for any, with some to spare.
const maxTries = 5

// A serving is the server's side of the binds of one stream.
type serving struct {
	*Server
	ctx     context.Context
	session *xmpp.Session
	r       xml.TokenReader
}

// early serves a client of Early.
func (v *serving) early() error {
	start, err := v.next()
	if err != nil {
		return err
	}
	if start.Name != earlyName {
		return unexpected(start)
	}
	// What is in it means nothing.
	if _, err := v.read(start); err != nil {
		return err
	}
	bound, err := v.bind(Request{Protocol: Early, Carbons: true})
	if err != nil {
		return condition(err)
	}
	return v.send(bound.early())
}

// legacy serves a client of Legacy, until it has a resource.
func (v *serving) legacy() error {
	for range maxTries {
		start, err := v.next()
		if err != nil {
			return err
		}
		if start.Name != (xml.Name{Space: stanza.NSClient, Local: "iq"}) {
			return unexpected(start)
		}
		iq, err := v.read(start)
		if err != nil {
			return err
		}
		request, err := legacyRequest(iq)
		if err != nil {
			return err
		}
		bound, err := v.ask(request)
		var refusal stanza.Error
		switch {
		case err == nil:
			return v.send(result(iq, bound.JID))
		case errors.As(err, new(stream.Error)):
			return err
		case !errors.As(err, &refusal):
			refusal = stanza.Error{Type: stanza.Wait, Condition: stanza.InternalServerError}
		}
		if err := v.send(refused(iq, refusal)); err != nil {
			return err
		}
	}
	return fmt.Errorf("bind2: too many attempts to bind: %w", stream.PolicyViolation)
}

// A wish is what a client of Legacy asks for.
type wish struct {
	resource string
	valid    bool
}

// legacyRequest reads an IQ that must ask for a resource.
func legacyRequest(iq element) (wish, error) {
	payload := iq.children()
	if len(payload) != 1 || payload[0].start.Name != legacyName {
		return wish{}, unexpected(iq.start)
	}
	w := wish{valid: iq.attr("type") == string(stanza.SetIQ)}
	if c, ok := payload[0].child(nsBind, "resource"); ok {
		text, only := c.text()
		w.resource, w.valid = text, w.valid && only
	}
	return w, nil
}

// ask binds what a client of Legacy asks for.
func (v *serving) ask(w wish) (Bound, error) {
	r := Request{Protocol: Legacy}
	if w.valid && w.resource != "" {
		full, err := v.session.RemoteAddr().WithResource(w.resource)
		r.Resource, w.valid = full.Resourcepart(), err == nil
	}
	if !w.valid {
		return Bound{}, stanza.Error{Type: stanza.Modify, Condition: stanza.BadRequest}
	}
	return v.bind(r)
}

// bind lets the store bind, and logs what comes of it.
func (s *Server) bind(ctx context.Context, session *xmpp.Session, r Request) (Bound, error) {
	r.Session, r.Account = session, session.RemoteAddr().Bare()
	if r.Account.Domainpart() == "" {
		return Bound{}, fmt.Errorf("bind2: nobody has authenticated: %w", stream.NotAuthorized)
	}
	b, err := s.Store.Bind(ctx, r)
	if err == nil && (b.JID.Resourcepart() == "" || !b.JID.Bare().Equal(r.Account)) {
		err = fmt.Errorf("bind2: the store has bound %q, which is no full JID of %v", b.JID, r.Account)
	}
	switch {
	case err == nil:
		s.logger().DebugContext(ctx, "bind2: bound", "jid", b.JID, "protocol", r.Protocol)
	case errors.As(err, new(stanza.Error)):
		s.logger().DebugContext(ctx, "bind2: refused", "account", r.Account, "protocol", r.Protocol, "err", err)
	default:
		s.logger().ErrorContext(ctx, "bind2: a resource could not be bound", "account", r.Account, "protocol", r.Protocol, "err", err)
	}
	return b, err
}

func (v *serving) bind(r Request) (Bound, error) { return v.Server.bind(v.ctx, v.session, r) }

// next reads up to the next start tag.
func (v *serving) next() (xml.StartElement, error) {
	start, err := nextStart(v.r)
	if errors.Is(err, errText) {
		err = fmt.Errorf("%w: %w", err, stream.PolicyViolation)
	}
	return start, err
}

// read reads what is behind a start tag.
func (v *serving) read(start xml.StartElement) (element, error) {
	e, err := readElement(v.r, start, ofClient)
	if errors.Is(err, errTooLarge) {
		err = fmt.Errorf("%w: %w", err, stream.PolicyViolation)
	}
	return e, err
}

func (v *serving) send(p []byte) error {
	_, err := v.session.Conn().Write(p)
	return err
}

// unexpected returns what becomes of a client that sends something else before it
// has a resource (RFC 6120, section 7.1).
func unexpected(start xml.StartElement) error {
	se := stream.PolicyViolation
	if start.Name.Space == stanza.NSClient {
		se = stream.NotAuthorized
	}
	return fmt.Errorf("bind2: %s before a resource is bound: %w", start.Name.Local, se)
}

// condition returns the error of a store as one that ends the stream.
func condition(err error) error {
	var (
		se stanza.Error
		as = stream.InternalServerError
	)
	switch {
	case errors.As(err, new(stream.Error)):
		return err
	case errors.As(err, &se):
		switch se.Condition {
		case stanza.ResourceConstraint:
			as = stream.ResourceConstraint
		case stanza.Conflict:
			as = stream.Conflict
		case stanza.NotAuthorized:
			as = stream.NotAuthorized
		case stanza.PolicyViolation, stanza.NotAllowed, stanza.Forbidden:
			as = stream.PolicyViolation
		}
	}
	return fmt.Errorf("bind2: binding a resource: %w: %w", err, as)
}

// hangUp tells a client why its stream ends, if nobody else does.
func (v *serving) hangUp(err error) {
	if c, ok := v.session.Conn().(interface{ Negotiating() bool }); ok && c.Negotiating() {
		return // Its negotiator does.
	}
	var se stream.Error
	if !errors.As(err, &se) || errors.As(err, new(errPeer)) {
		return
	}
	_ = v.send([]byte("<stream:error><" + se.Err + " xmlns='" + nsStreams + "'/></stream:error></stream:stream>")) // It is over anyway.
}

// result answers an IQ with the address that is bound.
func result(iq element, bound jid.JID) []byte {
	var b bytes.Buffer
	b.WriteString("<iq type='result' id='" + quote(iq.attr("id")) + "'><bind xmlns='" + nsBind + "'>")
	write(&b, "jid", bound.String())
	b.WriteString("</bind></iq>")
	return b.Bytes()
}

// refused answers an IQ with an error. A type that is not given is that of RFC
// 6120, section 7.
func refused(iq element, se stanza.Error) []byte {
	switch {
	case se.Condition == "":
		se.Condition = stanza.UndefinedCondition
	case se.Type == "" && se.Condition == stanza.ResourceConstraint:
		se.Type = stanza.Wait
	case se.Type == "" && (se.Condition == stanza.Conflict || se.Condition == stanza.BadRequest):
		se.Type = stanza.Modify
	}
	if se.Type == "" {
		se.Type = stanza.Cancel
	}
	return []byte("<iq type='error' id='" + quote(iq.attr("id")) + "'><error type='" + quote(string(se.Type)) + "'>" +
		"<" + string(se.Condition) + " xmlns='" + nsStanzas + "'/></error></iq>")
}
